"""tcindex: match the index that dsmark put on the packet. tc reads it; Linux has it no more, so that every filter of the kind is refused.

Source: iproute2 6.1 tc/f_tcindex.c; observed with tc 6.1.0 and Linux 6.1.192 (which lacks net/sched/cls_tcindex.c).
"""

from __future__ import annotations

from typing import Final, NoReturn

from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.usage import usage

MAX_HASH: Final = 0x10000


class TcindexReader(FilterReader):
    """Reads tcindex; nothing becomes of it."""

    KIND = "tcindex"

    def read_handle(self, text: str) -> int:
        found = readers.strtoul(text, 0)
        if found is None or found[1]:
            raise ComplaintError("Illegal filter ID\n")
        return found[0] & readers.U32

    def _number(self, word: Word) -> int:
        found = readers.strtoul(word, 0)
        if found is None or found[1]:
            self.complain(word)
        return found[0]

    def on_hash_size(self, word: Word) -> None:
        if not 0 < self._number(word) <= MAX_HASH:
            self.complain(word)

    def on_mask_whole(self, word: Word) -> None:
        self._number(word)

    def on_shift_whole(self, word: Word) -> None:
        self._number(word)

    def flag(self, name: str, word: Word) -> None:
        """``pass_on`` or ``fall_through``."""

    def finish(self) -> None:
        """Nothing is kept."""

    def complain(self, word: str) -> NoReturn:
        raise ComplaintError(usage(self.KIND))


READER = TcindexReader
