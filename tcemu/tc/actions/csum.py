"""csum: compute checksums anew.

Source: iproute2 6.1 tc/m_csum.c, man tc-csum(8); include/uapi/linux/tc_act/tc_csum.h.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Checksum
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc.actions.base import OK, ActionReader
from tcemu.tc.command import ActionSpec
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.writer import Writer

# name printed -> TCA_CSUM_UPDATE_FLAG_*, in printing order
FLAGS: Final = (("iph", 1), ("icmp", 2), ("igmp", 4), ("tcp", 8), ("udp", 16), ("udplite", 32), ("sctp", 64))
TARGETS: Final = {**{name.upper(): flag for name, flag in FLAGS}, "IP4H": 1, "IPV4H": 1, "AND": 0, "OR": 0, "PLUS": 0}


class CsumReader(ActionReader):
    """Reads csum."""

    KIND = "csum"
    DEFAULT = OK

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.flags = 0

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        self.flags |= TARGETS[name]

    def on_index(self, word: Word) -> None:
        self.ILLEGAL_INDEX = f'Illegal "index" ({word}) <csum>'
        super().on_index(word)

    def finish(self) -> ActionSpec:
        if not self.flags:
            self.fail("Illegal csum construct, empty <UPDATE> list\n")
        return self.spec(Checksum(self.flags))


READER = CsumReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a csum."""
    effect = action.effect
    assert isinstance(effect, Checksum)
    out.string("kind", "%s ", "csum")
    out.string("csum", "(%s) ", ", ".join(name for name, flag in FLAGS if effect.flags & flag) or "?empty")
    show_control(out, "action ", action.then, "\\" if out.oneline else "\n")
    show_index(out, "\tindex %u", action, note, now)
