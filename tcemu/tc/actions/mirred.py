"""mirred: send the packet, or a copy, to a device.

Source: iproute2 6.1 tc/m_mirred.c, man tc-mirred(8); net/sched/act_mirred.c.
"""

from __future__ import annotations

from typing import Any

from tcemu.ir.effect import Output
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc.actions.base import OK, PIPE, STOLEN, ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class MirredReader(ActionReader):
    """Reads mirred."""

    KIND = "mirred"
    ILLEGAL_INDEX = 'Illegal "index"'

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.direction = ""
        self.copy: bool | None = None
        self.device = ""

    def on_egress_word(self, _word: Word) -> None:
        if self.direction == "ingress":
            self.fail("Can't have both egress and ingress\n")
        self.direction = "egress"

    def on_ingress_word(self, _word: Word) -> None:
        if self.direction == "egress":
            self.fail("Can't have both ingress and egress\n")
        self.direction = "ingress"

    def on_mirror(self, word: Word) -> None:
        self._what(word, True)

    def on_redirect(self, word: Word) -> None:
        self._what(word, False)

    def _what(self, word: Word, copy: bool) -> None:
        if not self.direction:
            self.fail(f"mirred option not supported {word}\n")
        self.copy = copy

    def on_m_dev(self, word: Word) -> None:
        self.device = word[:15]
        try:
            self.parse.devices(self.device)
        except ComplaintError as slip:
            self.fail(slip.text)

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        if last == "mirred_head":
            if word == "help":
                self.usage()
            self.fail(f"mirred option not supported {word}\n")
        return last != "M_DEV"  # tc passes over words that are none

    def finish(self) -> ActionSpec:
        if self.copy is None:
            spec = self.spec(None)
            spec.control = self.control or OK
            return spec
        spec = self.spec(Output(self.device, self.direction == "ingress", self.copy))
        spec.control = (self.control or PIPE) if self.copy else STOLEN
        return spec


READER = MirredReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Output:
    """A new one must say what to do (tcf_mirred_init)."""
    if not isinstance(spec.effect, Output):
        raise RefusalError("act_mirred: Unknown mirred option.")
    return spec.effect


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a mirred."""
    output = action.effect
    assert isinstance(output, Output)
    out.string("kind", "%s ", "mirred")
    side = "ingress" if output.ingress else "egress"
    what = "mirror" if output.copy else "redirect"
    out.text(f"({side.capitalize()} {what.capitalize()}")
    out.string("mirred_action", "", what)
    out.string("direction", "", side)
    out.string("to_dev", " to device %s)", output.device if out.exists(output.device) else "*")
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\tindex %u", action, note, now)
