"""bpf as an action: a program whose number is the verdict.

Source: iproute2 6.1 tc/m_bpf.c, man tc-bpf(8); net/sched/act_bpf.c.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tcemu.ir.effect import Other
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import bytecode, readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.usage import usage
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class BpfActionReader(ActionReader):
    """Reads the action bpf."""

    KIND = "bpf"
    USAGE = "action bpf"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.text: str | None = None

    def on_bytecode(self, word: Word) -> None:
        program = bytecode.parse(word)
        if isinstance(program, str):
            self.fail(program)
        self.text = bytecode.text(program)

    def on_bytecode_file(self, word: Word) -> None:
        try:
            self.on_bytecode(Word(bytecode.read_file(word), word.place, word.terminal))
        except OSError as slip:
            self.fail(f"Cannot fopen: {slip.strerror}\n")

    def on_object_file(self, word: Word) -> None:
        self.fail("Cannot initialize ELF context!\n")

    def on_help(self, _word: Word) -> None:
        self.fail(usage(self.USAGE))

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            self.fail('bpf: Illegal "index"\n')
        self.index = index

    def finish(self) -> ActionSpec:
        if self.text is None and self.control is not None:
            self.fail(f'What mode is "{self.parse.words[self.head.place + 1]}"?\n')
        return self.spec(Other("bpf", msgspec.Raw(msgspec.json.encode({"bytecode": self.text}))))


READER = BpfActionReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Other:
    """What the kernel wants (tcf_bpf_init)."""
    effect = spec.effect
    assert isinstance(effect, Other)
    text = msgspec.json.decode(bytes(effect.params))["bytecode"]
    if text is None:
        raise RefusalError()
    program = bytecode.parse(text)
    bytecode.check([] if isinstance(program, str) else program)
    return effect


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a bpf."""
    effect = action.effect
    assert isinstance(effect, Other)
    out.string("kind", "%s ", "bpf")
    bytecode.show(out, msgspec.json.decode(bytes(effect.params))["bytecode"])
    show_control(out, " default-action ", action.then, "\\" if out.oneline else "\n")
    show_index(out, "\t index %u", action, note, now, False)
    out.bare("\n ")  # tc writes both, line end and blank, past its JSON writer
