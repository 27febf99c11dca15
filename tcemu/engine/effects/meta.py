"""Packet metadata: tc skbedit, connmark and ctinfo, nft meta set."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import G_IP4, G_IP6, IP_TOS, MARK, PKTTYPE, PRIORITY, QUEUE
from tcemu.packet.packet import Packet


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
