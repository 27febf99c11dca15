"""mpls: push, pop and change label stack entries.

Source: iproute2 6.1 tc/m_mpls.c, man tc-mpls(8); net/sched/act_mpls.c.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Mpls
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError, incomplete, invalid, required
from tcemu.tc.names import ETH_MPLS_MC, ETH_MPLS_UC, protocol_name
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

PUSHES: Final = ("push", "mac_push")
WITH_PROTOCOL: Final = (*PUSHES, "pop")
WITH_ENTRY: Final = (*PUSHES, "modify")
DEFAULT_TTL: Final = 255  # act_mpls.c tcf_mpls_init


class MplsReader(ActionReader):
    """Reads mpls."""

    KIND = "mpls"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.op = ""
        self.protocol = 0
        self.parts: dict[str, int] = {}

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        if self.op:
            self.explain(f'Error: got "{word}" but action already set to "{self.op}"\n')
        self.op = name.lower()

    def value(self, name: str, word: Word) -> None:
        if name == "PROTOCOL":
            if self.op not in WITH_PROTOCOL:
                raise invalid("only valid for push, mac_push and pop", self.parse.words[word.place - 1])
        elif name != "INDEX" and self.op not in WITH_ENTRY:
            raise invalid("only valid for push, mac_push and modify", self.parse.words[word.place - 1])
        super().value(name, word)

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            raise invalid("illegal index", word)
        self.index = index

    def on_protocol(self, word: Word) -> None:
        protocol = readers.protocol(word)
        if protocol is None:
            raise invalid("protocol is invalid", word)
        self.protocol = protocol

    def on_label(self, word: Word) -> None:
        self._part("label", word, 0, 0xFFFFF, "label must be <=0xFFFFF")

    def on_tc(self, word: Word) -> None:
        self._part("tc", word, 0, 7, "tc field is 3 bits max")

    def on_ttl(self, word: Word) -> None:
        self._part("ttl", word, 1, 255, "ttl must be >0 and <=255")

    def on_bos(self, word: Word) -> None:
        self._part("bos", word, 0, 1, "bos must be 0 or 1")

    def _part(self, name: str, word: Word, low: int, high: int, text: str) -> None:
        value = readers.unsigned(word, high, 0)
        if value is None or value < low:
            raise invalid(text, word)
        self.parts[name] = value

    def finish(self) -> ActionSpec:
        if not self.op:
            raise incomplete()
        if self.op == "push" and "label" not in self.parts:
            raise required("label")
        if self.op in PUSHES and self.protocol not in (0, ETH_MPLS_UC, ETH_MPLS_MC):
            self.fail(f'invalid {self.op} protocol "0x{self.protocol:04x}" - use mpls_(uc|mc)\n')
        if self.op == "pop" and not self.protocol:
            raise required("protocol")
        protocol = self.protocol or (ETH_MPLS_UC if self.op in PUSHES else 0)
        parts = self.parts
        return self.spec(
            Mpls(
                self.op,
                protocol,
                parts.get("label"),
                parts.get("tc"),
                parts.get("ttl", DEFAULT_TTL if self.op in PUSHES else None),
                parts.get("bos"),
            )
        )


READER = MplsReader
IMPLICIT_NULL: Final = 3  # MPLS_LABEL_IMPLNULL


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Mpls:
    """The implicit null label stands on no wire (valid_label)."""
    mpls = spec.effect
    if not isinstance(mpls, Mpls):
        raise RefusalError("Missing MPLS parameters")
    if mpls.label == IMPLICIT_NULL:
        raise RefusalError("act_mpls: MPLS label out of range")
    return mpls


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a mpls."""
    mpls = action.effect
    assert isinstance(mpls, Mpls)
    out.string("kind", "%s ", "mpls")
    out.string("mpls_action", " %s", mpls.op)
    if mpls.op in WITH_PROTOCOL:
        out.string("protocol", " protocol %s", protocol_name(mpls.protocol, out.numeric))
    if mpls.op in WITH_ENTRY:
        for name in ("label", "tc", "bos", "ttl"):
            value = getattr(mpls, name)
            if value is not None:
                out.number(name, f" {name} %u", value)
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
