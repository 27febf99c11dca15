"""mirred: send the packet, or a copy, to a device, or to all devices of a shared block but the one that it is on.

Source: iproute2 6.1 tc/m_mirred.c, man tc-mirred(8); net/sched/act_mirred.c. ``blockid``: iproute2 6.8 and Linux 6.8; its words in a listing
are the keys that the kernel's own tests (tdc) look for; its sentences of errors, Source: assumed.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Output
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import OK, PIPE, STOLEN, ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError, incomplete
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

BLOCK_SINCE: Final = (6, 8)


class MirredReader(ActionReader):
    """Reads mirred."""

    KIND = "mirred"
    ILLEGAL_INDEX = 'Illegal "index"'

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.direction = ""
        self.copy: bool | None = None
        self.device = ""
        self.block = 0

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

    def on_blockid(self, word: Word) -> None:
        names = self.parse.names
        if not names.profile.knows(BLOCK_SINCE, names.strict):
            raise incomplete()  # an older tc passes over words that it does not know, and wants a device
        block = readers.unsigned(word, readers.U32, 0)
        if not block:
            self.fail("invalid block ID")
        self.block = block

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
        spec = self.spec(Output(self.device, self.direction == "ingress", self.copy, self.block))
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
    if output.block:
        out.number("to_blockid", " to blockid %u)", output.block)
    else:
        out.string("to_dev", " to device %s)", output.device if out.exists(output.device) else "*")
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\tindex %u", action, note, now)
