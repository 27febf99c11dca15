"""bpf: match by a program, classic bytecode that runs on the frame.

Source: iproute2 6.1 tc/f_bpf.c, man tc-bpf(8); net/sched/cls_bpf.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from msgspec import Raw
from msgspec.json import encode

from tcemu.ir.effect import Other
from tcemu.ir.operand import Key
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Compare, Do, Match, Step
from tcemu.syntax.words import Word
from tcemu.tc import bytecode
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.flower_keys import SKIP_HW
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse

NO_PROGRAM = "Unable to parse bpf command line\n"


class Options(NamedTuple):
    """Class id, program, flags; ``direct``: the program's number is the verdict."""

    classid: int
    program: list[tuple[int, int, int, int]]
    flags: int
    given: bool
    direct: bool


class BpfReader(FilterReader):
    """Reads bpf."""

    KIND = "bpf"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.program: list[tuple[int, int, int, int]] = []
        self.flags = 0
        self.direct = False
        self.object = False  # an object file is to be loaded, which nothing here does

    def on_bytecode(self, word: Word) -> None:
        program = bytecode.parse(word)
        if isinstance(program, str):
            raise ComplaintError(f"{program}{NO_PROGRAM}")
        self.program = program

    def on_bytecode_file(self, word: Word) -> None:
        try:
            self.on_bytecode(Word(bytecode.read_file(word), word.place, word.terminal))
        except OSError as slip:
            raise ComplaintError(f"Cannot fopen: {slip.strerror}\n{NO_PROGRAM}") from None

    def on_object_file(self, word: Word) -> None:
        self.object = True

    def on_pinned(self, word: Word) -> None:
        raise ComplaintError(f"Couldn't retrieve pinned program '{word}': No such file or directory\n{NO_PROGRAM}")

    def on_section(self, word: Word) -> None:
        """The section of an object file."""

    def complain(self, word: str) -> NoReturn:
        if not self.program and not self.object and word != "help":
            raise ComplaintError(f'What mode is "{word}"?\n{NO_PROGRAM}')
        super().complain(word)

    def flag(self, name: str, _word: Word) -> None:
        self.given = True
        if name == "SKIP_HW":
            self.flags |= SKIP_HW
        elif name in ("DIRECT_ACTION", "DA"):
            self.direct = True

    def finish(self) -> Options:
        if self.object:
            raise ComplaintError("Cannot initialize ELF context!\nUnable to load program\n")
        self.options = Options(self.classid, self.program, self.flags, not self.empty, self.direct)
        return Options(self.classid, self.program, self.flags, not self.empty, self.direct)


READER = BpfReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's cls_bpf_change: a new filter goes in front of the others."""
    options = command.options
    if options is None or not options.given or not options.program:
        raise RefusalError()
    bytecode.check(options.program)
    slot.made += old is None
    order = -slot.made if old is None else old.extra.get("order", -1)
    text = bytecode.text(options.program)
    steps: list[Step] = [Match(Key("bpf", (text,)), Compare("!=", 0))]
    extra: dict[str, Any] = {"text": text, "order": order}
    if options.direct:
        steps = [Do(Other("bpf", Raw(encode({"bytecode": text, "direct": True}))), implied=True)]
        extra["direct"] = True
    return Filter(steps, RuleNote(command.handle, options.classid, options.flags, "", "", extra), order)


def listed(rules: list[Rule]) -> list[Rule]:
    """In order of evaluation."""
    return rules


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id and program."""
    if note.handle:
        out.string("handle", "handle %s ", f"0x{note.handle:x}")
    if note.classid:
        out.string("flowid", "flowid %s ", classid_text(note.classid))
    if note.extra.get("direct"):
        out.flag("direct-action", "direct-action ")
    if note.flags & SKIP_HW:
        out.flag("skip_hw", "skip_hw ")
    out.flag("not_in_hw", "not_in_hw ")
    bytecode.show(out, note.extra["text"])
