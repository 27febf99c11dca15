"""nat: translate addresses without state.

Source: iproute2 6.1 tc/m_nat.c, man tc-nat(8); net/sched/act_nat.c.
"""

from __future__ import annotations

from typing import Any

from tcemu.ir.effect import Nat
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import OK, ActionReader
from tcemu.tc.command import ActionSpec
from tcemu.tc.complaint import ComplaintError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import ipv4_text, show_control, show_index
from tcemu.tc.writer import Writer


class NatReader(ActionReader):
    """Reads nat."""

    KIND = "nat"
    DEFAULT = OK
    ILLEGAL_INDEX = 'Nat: Illegal "index"'

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.nat: Nat | None = None

    def values(self, words: tuple[Word, ...]) -> None:
        """``ingress|egress OLD NEW``."""
        addresses = []
        for word in words[-2:]:
            try:
                addresses.append(readers.prefix(word, 4))
            except ComplaintError:
                self.explain(f"Illegal nat construct ({words[0]})\n")
        old, new = addresses
        mask = old.mask if old.bits else readers.U32  # a shift by 32 on x86 is none (parse_nat_args)
        self.nat = Nat(words[0].terminal == "EGRESS_WORD", old.address, new.address, mask)

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        self.explain(f"Illegal nat construct ({word})\n")

    def finish(self) -> ActionSpec:
        return self.spec(self.nat)


READER = NatReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a nat; the length comes out right only below 8 bits, for tc counts the bits of a swapped mask."""
    nat = action.effect
    assert isinstance(nat, Nat)
    out.string("type", " %s ", "nat")
    out.string("direction", "%s", "egress" if nat.egress else "ingress")
    bits = nat.mask.bit_count()
    out.string("old_addr", " %s", f"{ipv4_text(nat.old)}/{24 + bits if bits < 8 else 32}")
    out.string("new_addr", " %s", ipv4_text(nat.new))
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
