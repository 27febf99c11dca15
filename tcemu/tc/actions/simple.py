"""simple: say something when a packet comes by.

Source: iproute2 6.1 tc/m_simple.c, man tc-simple(8); net/sched/act_simple.c.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Log
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_times
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

MAX_DATA: Final = 32


class SimpleReader(ActionReader):
    """Reads simple."""

    KIND = "simple"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.given = False
        self.text: str | None = None

    def on_sdata(self, word: Word) -> None:
        self.given = True
        self.text = str(word)

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            self.fail(f'simple: Illegal "index" ({word})\n')
        self.index, self.given = index, True

    def finish(self) -> ActionSpec:
        if not self.given:
            self.explain()
        if self.text is not None and len(self.text) > MAX_DATA - 1:
            self.fail(f"simple: Illegal string len {len(self.text)} <{self.text}>\n")
        return self.spec(None if self.text is None else Log(self.text))


READER = SimpleReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Log:
    """A new one needs its text (tcf_simp_init)."""
    if not isinstance(spec.effect, Log):
        raise RefusalError()
    return spec.effect


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a simple: bare text, in JSON too."""
    effect = action.effect
    assert isinstance(effect, Log)
    out.bare(f"Simple <{effect.text}>\n")
    out.bare(f"\t index {action.rank} ref {action.bound + note.alone} bind {action.bound}")
    if out.stats:
        show_times(out, action.stats, now)
    out.newline()
