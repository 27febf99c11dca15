"""route: match the realms of the packet's route. Listed; a packet that meets it is refused, for realms are not modelled.

Source: iproute2 6.1 tc/f_route.c, man tc-route(8); net/sched/cls_route.c (route4_change).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Step, Unsupported
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

NAMES = {"default": 0, "cosmos": 0}


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
    steps: list[Step] = [Unsupported("route", "realms of routes are not modelled")]
    return Filter(steps, RuleNote(handle, options.classid, 0, "", "", given), whole=True)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id and realms: bare text."""
    given = note.extra
    out.bare(f"fh 0x{note.handle:08x} ")
    if note.classid:
        out.bare(f"flowid {classid_text(note.classid)} ")
    if "to" in given:
        out.bare(f"to {given['to']} ")
    if "fromif" in given:
        out.bare(f"fromif {given['fromif']}")
    if "from" in given:
        out.bare(f"from {given['from']} ")
