"""basic and cgroup: match by expressions (ematches).

cgroup is basic over the class of the sending process's control group; packets that are not sent by a process here have none.
Source: iproute2 6.1 tc/f_basic.c, tc/f_cgroup.c, man tc-basic(8), tc-cgroup(8); net/sched/cls_basic.c, cls_cgroup.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import MISS, Verdict
from tcemu.syntax.words import Word
from tcemu.tc import ematch
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.filter_base import FilterReader, any_number
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


class Options(NamedTuple):
    """Class id, the expression, and whether there were options at all."""

    classid: int
    terms: list[ematch.Term]
    given: bool


class BasicReader(FilterReader):
    """Reads basic."""

    KIND = "basic"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.terms: list[ematch.Term] = []

    def read_handle(self, text: str) -> int:
        return any_number(text)

    def expression(self, words: tuple[Word, ...]) -> None:
        """``match EXPR``."""
        self.given = True
        begin = words[0].place
        self.terms, taken = ematch.parse([str(word) for word in self.parse.words[begin:]])
        after = begin + taken
        if after <= words[-1].place:
            self.complain(self.parse.words[after])

    def finish(self) -> Options:
        self.options = Options(self.classid, self.terms, not self.empty)
        return Options(self.classid, self.terms, not self.empty)


READER = BasicReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's basic_change: a new filter goes in front of the others."""
    options = command.options
    if options is None or not options.given:
        raise RefusalError()
    slot.made += old is None
    order = -slot.made if old is None else old.extra.get("order", -1)
    extra: dict[str, Any] = {"terms": ematch.listed(options.terms), "order": order}
    return Filter(ematch.steps(options.terms), RuleNote(command.handle, options.classid, 0, "", "", extra), order)


def listed(rules: list[Rule]) -> list[Rule]:
    """In order of evaluation."""
    return rules


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id and expression."""
    if note.handle:
        out.hexadecimal("handle", "handle 0x%x ", note.handle)
    if note.classid:
        out.string("flowid", "flowid %s ", classid_text(note.classid))
    show_terms(out, note)


def show_terms(out: Writer, note: RuleNote) -> None:
    """An expression: bare text, in JSON too."""
    out.bare(note.extra.get("terms", ""))


class CgroupReader(BasicReader):
    """Reads cgroup."""

    KIND = "cgroup"

    def finish(self) -> Options:
        options = Options(self.classid, self.terms, not self.empty or self.parse.handle is not None)
        self.options = options
        return options


def configure_cgroup(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's cls_cgroup_change: one filter a slot, with a handle."""
    options = command.options
    if options is None or not options.given:
        raise RefusalError()
    if slot.count and old is None:
        raise RefusalError("", errno.EEXIST)
    if not command.handle:
        raise RefusalError()
    steps: list[Step] = [Do(None, Verdict(MISS), implied=True)]  # packets from a wire have the class id 0, which matches nothing
    return Filter(steps, RuleNote(command.handle, 0, 0, "", "", {"terms": ematch.listed(options.terms)}), whole=True)
