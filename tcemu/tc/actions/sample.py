"""sample: hand a sample of the packets to psample.

Source: iproute2 6.1 tc/m_sample.c, man tc-sample(8); net/sched/act_sample.c.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tcemu.ir.effect import Log
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class SampleReader(ActionReader):
    """Reads sample."""

    KIND = "sample"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.set: dict[str, int] = {}

    def starved(self) -> NoReturn:
        self.usage("sample bad argument count 1\n")

    def value(self, name: str, word: Word) -> None:
        if name == "INDEX":
            self.on_index(word)
            return
        number = readers.unsigned(word, readers.U32)
        if number is None:
            said = {"RATE": "rate", "GROUP": "group num", "TRUNC": "truncation size"}[name]
            self.usage(f"Illegal {said} {word}\n")
        self.set[name.lower()] = number

    def finish(self) -> ActionSpec:
        for name in ("group", "rate"):
            if not self.index and name not in self.set:
                self.usage(f'param "{name}" not set\n')
        given = self.set
        spec = self.spec(Log("", "psample", given.get("group"), given.get("rate", 0), given.get("trunc", 0)))
        if given.get("trunc") == 0:
            spec.extra = {"trunc": True}
        return spec


READER = SampleReader
VERDICT_FIRST = True  # a goto without a chain is refused before the rate is looked at


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Log:
    """A new one needs rate and group (tcf_sample_init)."""
    log = spec.effect
    assert isinstance(log, Log)
    if log.group is None:
        raise RefusalError("sample rate and group are required")
    if not log.rate:
        raise RefusalError("invalid sample rate")
    return log


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a sample."""
    log = action.effect
    assert isinstance(log, Log)
    out.string("kind", "%s ", "sample")
    out.number("rate", "rate 1/%u ", log.rate)
    out.number("group", "group %u", log.group or 0)
    if log.truncate or note.extra.get("trunc"):
        out.number("trunc_size", " trunc_size %u", log.truncate)
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
