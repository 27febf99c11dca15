"""flow: spread packets over classes. Every packet of the protocol matches; the class is of no interest here.

Source: iproute2 6.1 tc/f_flow.c, man tc-flow(8); net/sched/cls_flow.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.ir.ruleset import Rule
from tcemu.syntax.words import Word
from tcemu.tc import ematch, readers
from tcemu.tc.basic import BasicReader, show_terms
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse

KEYS: Final = (
    *("src", "dst", "proto", "proto-src", "proto-dst", "iif", "priority", "mark", "nfct", "nfct-src", "nfct-dst", "nfct-proto-src"),
    *("nfct-proto-dst", "rt-classid", "sk-uid", "sk-gid", "vlan-tag", "rxhash"),
)


class Options(NamedTuple):
    """Mode, keys and operations by name, and an expression."""

    set: dict[str, Any]
    terms: list[ematch.Term]
    given: bool


class FlowReader(BasicReader):
    """Reads flow."""

    KIND = "flow"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.set: dict[str, Any] = {"mode": "map"}
        self.mask, self.xor = readers.U32, 0

    def on_map(self, _word: Word) -> None:
        self.set["mode"] = "map"

    def on_hash(self, _word: Word) -> None:
        self.set["mode"] = "hash"

    def on_keys(self, word: Word) -> None:
        keys = []
        for text in word.split(","):
            name = next((name for name in KEYS if name.startswith(text)), "")
            if not name:
                raise ComplaintError(f'Unknown flow key "{text}"\n')
            keys.append(name)
        self.set["keys"] = sorted(keys, key=KEYS.index)

    def _number(self, name: str, word: Word) -> int:
        number = readers.unsigned(word, readers.U32, 0)
        if number is None:
            if name == "addend" and self.set.get("keys") in (["src"], ["dst"]):
                raise ComplaintError(f'Error: any valid address is expected rather than "{word}".\n', 1, True)
            self.illegal(name)
        return number

    def on_and_key(self, word: Word) -> None:
        number = self._number("mask", word)
        self.mask, self.xor = self.mask & number, self.xor & number

    def on_or_key(self, word: Word) -> None:
        number = self._number("or", word)
        self.mask, self.xor = self.mask & ~number, self.xor & ~number | number

    def on_xor_key(self, word: Word) -> None:
        self.xor ^= self._number("xor", word)

    def on_rshift(self, word: Word) -> None:
        self.set["rshift"] = self._number("rshift", word)

    def read_handle(self, text: str) -> int:
        return FilterReader.read_handle(self, text)

    def on_addend(self, word: Word) -> None:
        self.set["addend"] = self._number("addend", word)

    def on_divisor(self, word: Word) -> None:
        self.set["divisor"] = self._number("divisor", word)

    def on_perturb(self, word: Word) -> None:
        self.set["perturb"] = self._number("perturb", word)

    def on_baseclass(self, word: Word) -> None:
        classid = readers.classid(word)
        if classid is None or not classid & 0xFFFF:
            self.illegal("baseclass")
        self.set["baseclass"] = classid

    def finish(self) -> Any:
        if self.mask != readers.U32 or self.xor:
            self.set["mask"], self.set["xor"] = self.mask, self.xor
        self.options = Options(self.set, self.terms, not self.empty)
        return self.options


READER = FlowReader


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's flow_change: a handle is needed, and for a new filter keys."""
    options = command.options
    if options is None or not options.given or not command.handle:
        raise RefusalError()
    given = {**(old.extra if old is not None else {}), **options.set}
    if not given.get("keys") or (given["mode"] == "map" and len(given["keys"]) > 1):
        raise RefusalError()
    given.setdefault("baseclass", (work.block.qdisc or 0xFFFF0000) & 0xFFFF0000 | 1)
    given["terms"] = ematch.listed(options.terms)
    return Filter(ematch.steps(options.terms), RuleNote(command.handle, 0, 0, "", "", given), whole=True)


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, keys, operations and base class: bare text mostly."""
    given = note.extra
    out.bare(f"handle 0x{note.handle:x} {given['mode']} keys {','.join(given['keys'])} ")
    mask, xor = given.get("mask", readers.U32), given.get("xor", 0)
    either = ~mask & xor & readers.U32  # bits that "or" sets
    if mask != readers.U32:
        out.bare(f"and 0x{mask:08x} ")
    if xor & mask:
        out.bare(f"xor 0x{xor & mask:08x} ")
    if either:
        out.bare(f"or 0x{either:08x} ")
    if given.get("rshift"):
        out.bare(f"rshift {given['rshift']} ")
    if given.get("addend"):
        out.bare(f"addend 0x{given['addend']:x} ")
    if given.get("divisor"):
        out.bare(f"divisor {given['divisor']} ")
    out.bare(f"baseclass {classid_text(given['baseclass'])} ")
    if given.get("perturb"):
        out.bare(f"perturb {given['perturb']}sec ")
    show_terms(out, note)


ACTIONS_LINE = True  # as in fw
