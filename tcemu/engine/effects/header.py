"""Header rewriting by tc: vlan, mpls, skbmod, csum. The bytes are written in `tcemu.packet`; here stands what each action does."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import ETH_DST, ETH_SRC
from tcemu.packet.decode import decode
from tcemu.packet.packet import Packet
from tcemu.packet.resum import update_checksums
from tcemu.packet.tags import (
    eth_pop,
    eth_push,
    mpls_dec_ttl,
    mpls_mac_push,
    mpls_modify,
    mpls_pop,
    mpls_push,
    set_ethertype,
    set_macs,
    swap_macs,
    vlan_modify,
    vlan_pop,
    vlan_push,
)

POP: Final = 0
PUSH: Final = 1
MODIFY: Final = 2
POP_ETH: Final = 3
PUSH_ETH: Final = 4
MAC_PUSH: Final = 5
DEC_TTL: Final = 6


class VlanOp(Op):
    """net/sched/act_vlan.c tcf_vlan_act."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, what: i64) -> None:
        super().__init__(then, to, number, counter)
        self.what: i64 = what
        self.id: i64 = 0
        self.tpid: i64 = 0x8100
        self.priority: i64 = -1
        self.target: i64 = 0
        self.source: i64 = 0

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        what = self.what
        if what == POP:
            good = vlan_pop(p)
        elif what == PUSH:
            good = vlan_push(p, self.tpid, (self.priority if self.priority > 0 else 0) << 13 | self.id)
        elif what == MODIFY:
            good = vlan_modify(p, self.tpid, self.id, self.priority)
        elif what == POP_ETH:
            good = eth_pop(p)
        else:
            good = eth_push(p, self.target, self.source)
        if not good:
            p.reason = "vlan: the header cannot be changed"
            return self.drop(env)
        return self.leave(env)


class MplsOp(Op):
    """net/sched/act_mpls.c tcf_mpls_act; -1 leaves a part of the label stack entry as it is."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, what: i64) -> None:
        super().__init__(then, to, number, counter)
        self.what: i64 = what
        self.protocol: i64 = 0
        self.label: i64 = -1
        self.tc: i64 = -1
        self.bos: i64 = -1
        self.ttl: i64 = 0

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        what = self.what
        if what == POP:
            good = mpls_pop(p, self.protocol)
        elif what == PUSH:
            good = mpls_push(p, self.protocol, self.label, self.tc, self.bos, self.ttl)
        elif what == MAC_PUSH:
            good = mpls_mac_push(p, self.protocol, self.label, self.tc, self.bos, self.ttl)
        elif what == MODIFY:
            good = mpls_modify(p, self.label, self.tc, self.bos, self.ttl)
        else:
            good = mpls_dec_ttl(p)
        if not good:
            p.reason = "mpls: the label stack cannot be changed"
            return self.drop(env)
        return self.leave(env)


class ModifyMacOp(Op):
    """net/sched/act_skbmod.c tcf_skbmod_act, but for ECN, which `EcnOp` does."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None) -> None:
        super().__init__(then, to, number, counter)
        self.target: i64 = -1
        self.source: i64 = -1
        self.ethertype: i64 = -1
        self.swap: bool = False

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        if self.target >= 0 or self.source >= 0:
            set_macs(p, self.target if self.target >= 0 else p.f[ETH_DST], self.source if self.source >= 0 else p.f[ETH_SRC])
        if self.ethertype >= 0:
            set_ethertype(p, self.ethertype)
        if self.swap:
            swap_macs(p)
        return self.leave(env)


class ChecksumOp(Op):
    """net/sched/act_csum.c tcf_csum_act."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, flags: i64) -> None:
        super().__init__(then, to, number, counter)
        self.flags: i64 = flags

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        if not update_checksums(p, self.flags):
            p.reason = "csum: a header is cut or its lengths lie"
            return self.drop(env)
        decode(p)
        return self.leave(env)
