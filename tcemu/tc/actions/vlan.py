"""vlan: push, pop and change VLAN tags and Ethernet headers.

Source: iproute2 6.1 tc/m_vlan.c, man tc-vlan(8); net/sched/act_vlan.c.
"""

from __future__ import annotations

import errno
from typing import Any

from tcemu.ir.effect import Vlan
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError, invalid
from tcemu.tc.names import ETH_8021AD, ETH_8021Q, protocol_name
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import mac_text, show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class VlanReader(ActionReader):
    """Reads vlan."""

    KIND = "vlan"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.op = ""
        self.id: int | None = None
        self.protocol: int | None = None
        self.priority: int | None = None
        self.target: int | None = None
        self.source: int | None = None

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        if self.op:
            self.explain(f'unexpected "{word}" - action already specified\n')
        self.op = name.lower()

    def value(self, name: str, word: Word) -> None:
        ops = ("push_eth",) if name in ("DST_MAC", "SRC_MAC") else ("push", "modify")
        if name != "INDEX" and self.op not in ops:
            raise invalid(f"only valid for {'/'.join(ops)}", self.parse.words[word.place - 1])
        super().value(name, word)

    def on_id(self, word: Word) -> None:
        self.id = readers.unsigned(word, readers.U16, 0)
        if self.id is None:
            raise invalid("id is invalid", word)

    def on_protocol(self, word: Word) -> None:
        self.protocol = readers.protocol(word)
        if self.protocol is None:
            raise invalid("protocol is invalid", word)

    def on_priority(self, word: Word) -> None:
        self.priority = readers.unsigned(word, 7, 0)
        if self.priority is None:
            raise invalid("prio is invalid", word)

    def on_dst_mac(self, word: Word) -> None:
        self.target = readers.mac(word)

    def on_src_mac(self, word: Word) -> None:
        self.source = readers.mac(word)

    def finish(self) -> ActionSpec:
        if self.op in ("push", "modify") and self.id is None:
            self.explain(f"id needs to be set for {self.op}\n")
        if self.op == "push_eth" and self.target is None:
            self.explain(f"dst_mac needs to be set for {self.op}\n")
        if self.op == "push_eth" and self.source is None:
            self.explain(f"src_mac needs to be set for {self.op}\n")
        if self.protocol not in (None, ETH_8021Q, ETH_8021AD):
            self.explain("protocol not supported\n")
        priority = 0 if self.priority is None and self.op == "push" else self.priority
        return self.spec(Vlan(self.op, self.id, self.protocol or ETH_8021Q, priority, self.target or 0, self.source or 0))


READER = VlanReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Vlan:
    """What the kernel wants (tcf_vlan_init)."""
    vlan = spec.effect
    assert isinstance(vlan, Vlan)
    if not vlan.op:
        raise RefusalError()
    if vlan.id is not None and vlan.id >= 0xFFF:
        raise RefusalError("", errno.ERANGE)
    return vlan


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a vlan."""
    vlan = action.effect
    assert isinstance(vlan, Vlan)
    out.string("kind", "%s ", "vlan")
    out.string("vlan_action", " %s", vlan.op)
    if vlan.op in ("push", "modify"):
        out.number("id", " id %u", vlan.id or 0)
        out.string("protocol", " protocol %s", protocol_name(vlan.protocol, out.numeric))
        if vlan.priority is not None:
            out.number("priority", " priority %u", vlan.priority)
    elif vlan.op == "push_eth":
        out.string("dst_mac", " dst_mac %s", mac_text(vlan.target))
        out.string("src_mac", " src_mac %s", mac_text(vlan.source))
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
