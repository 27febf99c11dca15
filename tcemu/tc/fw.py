"""fw: match the packet's mark.

Source: iproute2 6.1 tc/f_fw.c, man tc-fw(8); net/sched/cls_fw.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tcemu.ir.operand import Load
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Do, Masked, Match, Step
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


class Options(NamedTuple):
    """Class id, mask (None: not given), input device, and whether there were options at all."""

    classid: int
    mask: int | None
    indev: str
    given: bool


class FwReader(FilterReader):
    """Reads fw."""

    KIND = "fw"

    def __init__(self, parse: Parse) -> None:
        self.mask: int | None = None
        self.indev = ""
        super().__init__(parse)

    def read_handle(self, text: str) -> int:
        value, slash, mask = text.partition("/")
        handle = readers.unsigned(value, readers.U32, 0)
        if handle is None:
            self.illegal("handle")
        if slash:
            self.mask = readers.unsigned(mask, readers.U32, 0)
            if self.mask is None:
                raise ComplaintError('Illegal "handle" mask\n')
        return handle

    def on_indev_whole(self, word: Word) -> None:
        self.indev = word[:15]

    def finish(self) -> Options:
        self.options = Options(self.classid, self.mask, self.indev, not self.empty)
        return Options(self.classid, self.mask, self.indev, not self.empty)


READER = FwReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's fw_change: all filters of a slot share one mask."""
    options = command.options
    if options is None or not options.given:
        if command.handle:
            raise RefusalError()
        return Filter([], RuleNote(), nothing=True)  # "old method": the mark is the class
    mask = options.mask if options.mask is not None else readers.U32
    head = slot.extra.setdefault("mask", mask)
    if mask != head:
        raise RefusalError()
    steps: list[Step] = [Match(Load("meta.mark"), Masked(command.handle & mask, mask))]
    if options.indev:
        steps.append(Match(Load("meta.iif"), Masked(work.device_index(options.indev), readers.U32)))
    extra = {"mask": mask} if mask != readers.U32 else {}
    return Filter(steps, RuleNote(command.handle, options.classid, 0, options.indev, "", extra), whole=True)


def listed(rules: list[Rule]) -> list[Rule]:
    """Hash buckets in order; within one, the newest first (fw_hash, fw_change)."""

    def bucket(rule: Rule) -> tuple[int, int]:
        handle = int(rule.key.rpartition("/")[2], 16)
        folded = handle ^ handle >> 16
        return ((folded ^ folded >> 8) % 256, -handle)

    return sorted(rules, key=bucket)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print the mark: bare text, in JSON too."""
    mask = note.extra.get("mask")
    out.bare(f"handle 0x{note.handle:x} " if mask is None else f"handle 0x{note.handle:x}/0x{mask:x} ")
    if note.classid:
        out.bare(f"classid {classid_text(note.classid)} ")
    if note.indev:
        out.bare(f"input dev {note.indev} ")


def has_options(rule: Rule, note: RuleNote) -> bool:
    """Without class and actions the kernel tells nothing but the head (fw_dump)."""
    return bool(note.classid) or any(isinstance(step, Do) and step.obj for step in rule.steps)


HANDLE_FIRST = True  # that there is none is said before actions are looked at
ACTIONS_LINE = True  # a newline of its own stands before the actions, in JSON too
