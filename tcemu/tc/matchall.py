"""matchall: match every packet of the protocol.

Source: iproute2 6.1 tc/f_matchall.c, man tc-matchall(8); net/sched/cls_matchall.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tcemu.ir.effect import Count
from tcemu.ir.ruleset import Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import Complaint, Unwilling
from tcemu.tc.flower import SKIP_HW, SKIP_SW, show_classid
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.usage import usage
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


class Options(NamedTuple):
    """Class id and flags."""

    classid: int
    flags: int
    given: bool


class MatchallReader:
    """Reads matchall's words."""

    def __init__(self, parse: Parse) -> None:
        self.parse = parse
        self.handle = 0
        self.classid = 0
        self.flags = 0
        self.options: Options | None = None
        if parse.handle is not None:
            handle = readers.unsigned(parse.handle, readers.U32, 0)
            if handle is None:
                raise Complaint('Illegal "handle"\n')
            self.handle = handle

    def value(self, _name: str, word: Word) -> None:
        """A class id."""
        classid = readers.classid(word)
        if classid is None:
            raise Complaint('Illegal "classid"\n')
        self.classid = classid

    def flag(self, name: str, _word: Word) -> None:
        """A keyword alone."""
        self.flags |= SKIP_HW if name == "SKIP_HW" else SKIP_SW

    def finish(self) -> Options:
        """All words are read; without any, tc sends no options at all."""
        given = bool(self.classid or self.flags or self.parse.acts is not None)
        self.options = Options(self.classid, self.flags, given)
        return self.options

    def complain(self, word: str) -> NoReturn:
        """A word that is no key."""
        raise Complaint(usage("matchall") if word == "help" else f'What is "{word}"?\n{usage("matchall")}')


READER = MatchallReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's mall_change: one filter a slot."""
    options = command.options
    if options is None or not options.given:
        raise Unwilling()
    if slot.count and old is None:
        raise Unwilling("", errno.EEXIST)
    if options.flags & SKIP_HW and options.flags & SKIP_SW:
        raise Unwilling()
    if options.flags & SKIP_SW:
        raise Unwilling("", errno.EOPNOTSUPP)
    note = RuleNote(command.handle, options.classid, options.flags)
    return Filter([Do(Count(Stats()), implied=True)], note)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id, flags and hits."""
    if note.handle:
        out.number("handle", "handle 0x%x ", note.handle)
    if note.classid:
        show_classid(out, note.classid)
    if note.flags & SKIP_HW:
        out.newline()
        out.flag("skip_hw", "  skip_hw")
    if note.flags & SKIP_SW:
        out.newline()
        out.flag("skip_sw", "  skip_sw")
    out.newline()
    out.flag("not_in_hw", "  not_in_hw")
    show_hits(out, rule)


def show_hits(out: Writer, rule: Rule) -> None:
    """How many packets met the filter, with -s."""
    if out.stats:
        hits = next((step.effect.stats.packets for step in rule.steps if isinstance(step, Do) and isinstance(step.effect, Count)), 0)
        out.number("rule_hit", " (rule hit %u", hits)
        out.text(")")
