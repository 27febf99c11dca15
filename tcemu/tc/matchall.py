"""matchall: match every packet of the protocol.

Source: iproute2 6.1 tc/f_matchall.c, man tc-matchall(8); net/sched/cls_matchall.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from tcemu.ir.effect import Count
from tcemu.ir.ruleset import Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do
from tcemu.syntax.words import Word
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError, incomplete
from tcemu.tc.filter_base import FilterReader, any_number
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.tc.hardware import show_place
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


class Options(NamedTuple):
    """Class id and flags."""

    classid: int
    flags: int
    given: bool


class MatchallReader(FilterReader):
    """Reads matchall's words."""

    KIND = "matchall"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.flags = 0

    def read_handle(self, text: str) -> int:
        return any_number(text)

    def flag(self, name: str, word: Word) -> None:
        self.given = True
        self.flags |= SKIP_HW if name == "SKIP_HW" else SKIP_SW
        if word.place == len(self.parse.words) - 1:
            raise incomplete()  # tc looks for a word behind it

    def finish(self) -> Options:
        if self.flags == SKIP_HW | SKIP_SW:
            raise ComplaintError("skip_hw and skip_sw are mutually exclusive\n")
        self.options = Options(self.classid, self.flags, not self.empty)
        return Options(self.classid, self.flags, not self.empty)


READER = MatchallReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's mall_change: one filter a slot."""
    options = command.options
    if options is None or not options.given:
        raise RefusalError()
    if slot.count:  # the one that is there cannot be changed
        raise RefusalError("", errno.EEXIST)
    if options.flags & SKIP_HW and options.flags & SKIP_SW:
        raise RefusalError()
    note = RuleNote(command.handle, options.classid, options.flags)
    return Filter([Do(Count(Stats()), implied=True)], note)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id, flags and hits."""
    if note.handle:
        out.number("handle", "handle 0x%x ", note.handle)
    if note.classid:
        out.string("flowid", "flowid %s ", classid_text(note.classid))
    if note.flags & SKIP_HW:
        out.text("\n")  # also with -oneline
        out.flag("skip_hw", "  skip_hw")
    if note.flags & SKIP_SW:
        out.text("\n")
        out.flag("skip_sw", "  skip_sw")
    out.text("\n")
    show_place(out, note.flags)
    show_hits(out, rule)


def show_hits(out: Writer, rule: Rule) -> None:
    """How many packets met the filter, with -s."""
    if out.stats:
        hits = next((step.effect.stats.packets for step in rule.steps if isinstance(step, Do) and isinstance(step.effect, Count)), 0)
        out.number("rule_hit", " (rule hit %u", hits)
        out.text(")")
