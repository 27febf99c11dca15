"""Packet metadata: tc skbedit, connmark, ctinfo and what only counts."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import G_IP4, G_IP6, IP_CSUM, IP_TOS, MARK, PKTTYPE, PRIORITY, QUEUE
from tcemu.packet.checksum import update
from tcemu.packet.edit import be16, get16
from tcemu.packet.packet import Conn, Packet
from tcemu.packet.rewrite import set_bytes


class SetMetaOp(Op):
    """net/sched/act_skbedit.c tcf_skbedit_act; -1 leaves a thing as it is."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None) -> None:
        super().__init__(then, to, number, counter)
        self.mark: i64 = -1
        self.mark_mask: i64 = 0xFFFFFFFF
        self.priority: i64 = -1
        self.queue: i64 = -1
        self.pkttype: i64 = -1
        self.dsfield: bool = False

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        f = p.f
        if self.priority >= 0:
            f[PRIORITY] = self.priority
        if self.dsfield:
            if (p.groups & (G_IP4 | G_IP6)) == 0:
                # neither IPv4 nor IPv6 is left alone; a header that is cut drops
                pass
            else:
                f[PRIORITY] = f[IP_TOS] >> 2
        if self.queue >= 0:
            f[QUEUE] = self.queue
        if self.mark >= 0:
            f[MARK] = (f[MARK] & ~self.mark_mask & 0xFFFFFFFF) | (self.mark & self.mark_mask)
        if self.pkttype >= 0:
            f[PKTTYPE] = self.pkttype
        return self.leave(env)


class CountedOp(Op):
    """Actions that only look: sample and simple count a packet and let it go on."""

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        return self.leave(env)


def connection(env: Env, p: Packet, zone: i64) -> Conn | None:
    """The packet's connection, else the one that its tuple has in the zone; nothing is tracked for it."""
    if (p.groups & (G_IP4 | G_IP6)) == 0:
        return None
    if p.ct is not None:
        return p.ct
    return env.conntrack.lookup(p, zone)


class MarkFromCtOp(Op):
    """net/sched/act_connmark.c tcf_connmark_act; overlimits count the packets that were marked."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, zone: i64) -> None:
        super().__init__(then, to, number, counter)
        self.zone: i64 = zone

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        ct = connection(env, p, self.zone)
        if ct is not None:
            p.f[MARK] = ct.mark
            if self.counter is not None:
                self.counter.overlimits += 1
        return self.leave(env)


class CtInfoOp(Op):
    """net/sched/act_ctinfo.c tcf_ctinfo_act: DSCP out of the connection's mark, and the mark itself under a mask."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, zone: i64) -> None:
        super().__init__(then, to, number, counter)
        self.zone: i64 = zone
        self.dscp_mask: i64 = 0
        self.dscp_shift: i64 = 0
        self.dscp_state: i64 = 0
        self.mark_mask: i64 = -1

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        ct = connection(env, p, self.zone)
        if ct is not None:
            if self.dscp_mask != 0 and (self.dscp_state == 0 or (ct.mark & self.dscp_state) != 0):
                set_dscp(p, ((ct.mark & self.dscp_mask) >> self.dscp_shift) & 0x3F)
            if self.mark_mask >= 0:
                p.f[MARK] = ct.mark & self.mark_mask
        return self.leave(env)


def set_dscp(p: Packet, dscp: i64) -> None:
    """ipv4_change_dsfield and ipv6_change_dsfield: the DSCP anew, ECN as it is, the header checksum mended."""
    field = p.f[IP_TOS]
    fresh = dscp << 2 | (field & 3)
    if fresh == field:
        return
    at = p.l3 - p.start
    if (p.groups & G_IP4) != 0:
        check = update(p.f[IP_CSUM], 0x4500 | field, 0x4500 | fresh)
        set_bytes(p, p.start + at + 1, bytes([fresh]))
        set_bytes(p, p.start + at + 10, be16(check))
    else:
        word = get16(p.data, p.l3)
        set_bytes(p, p.l3, be16((word & 0xF00F) | fresh << 4))
