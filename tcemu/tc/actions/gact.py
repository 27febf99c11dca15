"""gact: a verdict, perhaps a second one now and then.

Source: iproute2 6.1 tc/m_gact.c, man tc-gact (tc-actions(8)); net/sched/act_gact.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tcemu.ir.effect import Nothing, Random
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import OK, ActionReader
from tcemu.tc.command import ActionSpec, Control
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.writer import Writer


class GactReader(ActionReader):
    """Reads gact."""

    KIND = "gact"
    HUNGRY = False
    ILLEGAL_INDEX = 'Illegal "index"'

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.second: tuple[str, int, Control] | None = None

    def random(self, how: str, control: Control, word: Word) -> None:
        """``random netrand|determ CONTROL VALUE``."""
        value = readers.unsigned(word, readers.U16)
        if value is None:
            self.fail("Illegal probability val 0x1000\n")  # an uninitialised variable of tc, as recorded
        if value > 10000:
            self.fail(f"Illegal probability val  0x{value:x}\n")
        self.second = (how, max(value, 1), control)

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        if last == "RANDOM":
            self.fail('Illegal "random type"\n')
        if last in ("NETRAND", "DETERM", "gact_head"):
            self.usage(f"Bad action type {word}\n")
        return False

    def ended(self, symbols: Sequence[str], values: Sequence[Any]) -> None:
        if len(symbols) > 2 and symbols[-3] == "RANDOM":
            self.random("", OK, Word("", 0, ""))

    def finish(self) -> ActionSpec:
        spec = self.spec(Nothing())
        spec.control = self.control or OK
        spec.otherwise = self.second
        return spec


READER = GactReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a gact."""
    out.string("kind", "%s ", "gact")
    show_control(out, "action ", action.then, "")
    out.open("prob")
    out.newline()
    random = action.otherwise if isinstance(action.otherwise, Random) else None
    out.string("random_type", "\t random type %s", random.how if random else "none")
    show_control(out, " ", random.then if random else None, " ")
    out.number("val", "val %d", random.value if random else 0)
    out.close()
    out.newline()
    show_index(out, "\t index %u", action, note, now)
