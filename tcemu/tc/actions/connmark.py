"""connmark: copy the connection's mark to the packet.

Source: iproute2 6.1 tc/m_connmark.c, man tc-connmark(8); net/sched/act_connmark.c.
"""

from __future__ import annotations

from typing import Any

from tcemu.ir.effect import MarkFromCt
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.writer import Writer


class ConnmarkReader(ActionReader):
    """Reads connmark."""

    KIND = "connmark"
    HUNGRY = False

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.zone = 0

    def on_zone(self, word: Word) -> None:
        zone = readers.unsigned(word, readers.U16)
        if zone is None:
            self.fail('connmark: Illegal "zone"\n')
        self.zone = zone

    def finish(self) -> ActionSpec:
        return self.spec(MarkFromCt(self.zone))


READER = ConnmarkReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a connmark."""
    effect = action.effect
    assert isinstance(effect, MarkFromCt)
    out.string("kind", "%s ", "connmark")
    out.number("zone", "zone %u", effect.zone)
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
