"""rsvp and rsvp6: match the sessions of RSVP. tc reads them; Linux has them no more, so that every filter of the kinds is refused.

Source: iproute2 6.1 tc/f_rsvp.c; observed with tc 6.1.0 and Linux 6.1.192 (which lacks net/sched/cls_rsvp.c). Where ``u32 N`` ends the line
tc crashes; here the line is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError, incomplete
from tcemu.tc.filter_base import FilterReader

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


class RsvpReader(FilterReader):
    """Reads rsvp; nothing becomes of it."""

    KIND = "rsvp"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.family = 6 if parse.kind == "rsvp6" else 4

    def end(self, side: Word, address: Word, more: tuple[Word, ...]) -> None:
        """``session|sender ADDRESS[/PORT]``, and without a port what else tells sessions apart."""
        self.given = True
        name = "session" if side.terminal == "SESSION" else "sender"
        text, slash, port = address.partition("/")
        if slash and readers.unsigned(port, readers.U16, 0) is None:
            self.illegal(name)
        try:
            readers.address(text, self.family)
        except ComplaintError:
            self.illegal(name)
        if slash and more:
            self.complain(more[0])
        if more and not self._identifies(more):
            self.illegal(name)

    def _identifies(self, words: tuple[Word, ...]) -> bool:
        """``flowlabel N``, ``spi/ah N``, ``u16 N mask M at N`` …: are they numbers, and of this family?"""
        if readers.unsigned(words[1], readers.U32, 0) is None or (words[0].terminal == "FLOWLABEL" and self.family != 6):
            return False
        for name, word in zip(words[2::2], words[3::2], strict=True):
            if name == "at" and readers.signed(word, 32) is None:
                return False
            if name == "mask" and readers.unsigned(word, readers.U32, 16) is None:
                return False
        return True

    def tunnel(self, words: tuple[Word, ...]) -> None:
        """``tunnel ID [skip N]``; a word must follow the number."""
        self.given = True
        if readers.unsigned(words[1], readers.U32, 0) is None:
            self.illegal("tunnel")
        if len(words) > 2 and readers.unsigned(words[3], readers.U32, 0) is None:
            self.illegal("skip")
        if words[-1].place == len(self.parse.words) - 1 and len(words) == 2:
            raise incomplete()

    def on_ipproto(self, word: Word) -> None:
        from socket import getprotobyname

        try:
            if readers.unsigned(word, readers.U8, 0) is None:
                getprotobyname(word)
        except (OSError, UnicodeError, ValueError):
            self.illegal("ipproto")

    def on_tunnelid(self, word: Word) -> None:
        if readers.unsigned(word, readers.U32, 0) is None:
            self.illegal("tunnelid")

    def finish(self) -> None:
        """Nothing is kept."""


READER = RsvpReader
