"""route: match the realms of the packet's route, which are 0 here; a packet that has no route, as at ingress, matches nothing.

Source: iproute2 6.1 tc/f_route.c, man tc-route(8); net/sched/cls_route.c (route4_change, route4_classify, route4_walk).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.ir.operand import Key, Load
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Masked, Match, Step
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

NAMES: Final = {"cosmos": 0}  # /etc/iproute2/rt_realms
REALMS: Final = Key("meta", ("rtclassid",))  # from << 16 | to
LOW: Final = 0xFF  # of a realm: what filters are found by
ANY: Final = 32  # place of filters that name no origin, behind 16 for realms and 16 for devices


class Options(NamedTuple):
    """Class id, realms and input device."""

    classid: int
    set: dict[str, Any]
    given: bool


class RouteReader(FilterReader):
    """Reads route."""

    KIND = "route"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.set: dict[str, Any] = {}

    def _realm(self, name: str, word: Word) -> None:
        number = NAMES.get(word)
        number = readers.unsigned(word, 255, 0) if number is None else number
        if number is None:
            self.illegal(name)
        self.set[name] = number

    def on_to(self, word: Word) -> None:
        self._realm("to", word)

    def on_from(self, word: Word) -> None:
        self._realm("from", word)

    def on_fromif(self, word: Word) -> None:
        try:
            self.parse.devices(word)
        except ComplaintError:
            self.illegal("fromif")
        self.set["fromif"] = str(word)

    def finish(self) -> Options:
        self.options = Options(self.classid, self.set, not self.empty)
        return Options(self.classid, self.set, not self.empty)


READER = RouteReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's route4_change: the handle is made of the realms."""
    options = command.options
    if options is None or not options.given:
        raise RefusalError("" if command.handle else "Creating with handle of 0 is invalid")
    given = options.set
    upper = given["from"] if "from" in given else 0x8000 | work.device_index(given["fromif"]) if "fromif" in given else 0xFFFF
    handle = upper << 16 | given.get("to", 0x8000)
    if command.handle and command.handle != handle:
        raise RefusalError()
    mask = (LOW if "to" in given else 0) | (LOW << 16 if "from" in given else 0)
    steps: list[Step] = [Match(REALMS, Masked(given.get("to", 0) | given.get("from", 0) << 16, mask))]
    if "fromif" in given:
        steps.append(Match(Load("meta.iif"), Masked(upper & 0x7FFF, readers.U32)))
    order = (0 if "to" in given else 3) + (0 if "from" in given else 1 if "fromif" in given else 2)  # from the narrowest to the widest
    return Filter(steps, RuleNote(handle, options.classid, 0, "", "", given), order, whole=True)


def listed(rules: list[Rule]) -> list[Rule]:
    """By realm, and then by origin (route4_walk)."""

    def place(rule: Rule) -> tuple[int, int]:
        handle = int(rule.key.rpartition("/")[2], 16)
        origin = handle >> 16
        row = ANY if origin == 0xFFFF else 16 + (origin & 0xF) if origin & 0x8000 else origin & 0xF
        return (handle & LOW if not handle & 0x8000 else LOW + 1, row)

    return sorted(rules, key=place)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id and realms: bare text."""
    given = note.extra
    out.bare(f"fh 0x{note.handle:08x} ")
    if note.classid:
        out.bare(f"flowid {classid_text(note.classid)} ")
    if "to" in given:
        out.bare(f"to {given['to'] or 'unknown'} ")  # tc reads names when it meets another number than 0
    if "fromif" in given:
        out.bare(f"fromif {given['fromif']}")
    if "from" in given:
        out.bare(f"from {given['from']} ")
