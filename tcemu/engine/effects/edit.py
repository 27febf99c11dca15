"""Rewriting by tc pedit, nat and skbmod's ECN: fields in place, checksums where the kernel's own code mends them."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import G_ICMP, G_IP4, ICMP_TYPE, IP_DADDR, IP_FRAG, IP_IHL, IP_SADDR
from tcemu.ir.verdict import DROP
from tcemu.packet.checksum import update
from tcemu.packet.edit import be16, be32, get16, get32
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_ICMP
from tcemu.packet.rewrite import mark_congestion, pedit, set_address, set_bytes


class EditKey:
    """One key of a pedit action, linked to the next."""

    def __init__(self, header: i64, add: bool, offset: i64, value: i64, keep: i64, at: i64, offmask: i64, shift: i64) -> None:
        self.header: i64 = header
        self.add: bool = add
        self.offset: i64 = offset
        self.value: i64 = value
        self.keep: i64 = keep
        self.at: i64 = at
        self.offmask: i64 = offmask
        self.shift: i64 = shift
        self.next: EditKey | None = None


class EditOp(Op):
    """net/sched/act_pedit.c tcf_pedit_act: keys in order; one that fails ends the edit and counts an overlimit."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, first: EditKey | None) -> None:
        super().__init__(then, to, number, counter)
        self.first: EditKey | None = first

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        key = self.first
        while key is not None:
            if not pedit(p, key.header, key.offset, key.keep, key.value, key.add, key.at, key.offmask, key.shift):
                if self.counter is not None:
                    self.counter.overlimits += 1
                break
            key = key.next
        return self.leave(env)


class StatelessNatOp(Op):
    """net/sched/act_nat.c tcf_nat_act: one address prefix for another, and back inside ICMP errors."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, egress: bool) -> None:
        super().__init__(then, to, number, counter)
        self.egress: bool = egress
        self.old: i64 = 0
        self.new: i64 = 0
        self.mask: i64 = 0

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        if self.then == DROP:
            return self.drop(env)
        if (p.groups & G_IP4) == 0:
            return self.drop(env) if p.l3 < 0 else self.leave(env)
        address = p.f[IP_SADDR] if self.egress else p.f[IP_DADDR]
        if ((address ^ self.old) & self.mask) == 0:
            set_address(p, self.egress, 0, (self.new & self.mask) | (address & ~self.mask))
        elif p.data[p.l3 + 9] != IPPROTO_ICMP or (p.f[IP_FRAG] & 0x1FFF) != 0:
            return self.leave(env)
        if not self._has_header(p):
            p.reason = "nat: the transport header is cut"
            return self.drop(env)
        if (p.groups & G_ICMP) != 0 and (p.f[IP_FRAG] & 0x1FFF) == 0 and not self._quoted(p):
            p.reason = "nat: the packet inside the ICMP error is cut"
            return self.drop(env)
        return self.leave(env)

    def _has_header(self, p: Packet) -> bool:
        """Room for the header whose checksum follows the address (the pskb_may_pull of each protocol)."""
        if (p.f[IP_FRAG] & 0x1FFF) != 0:
            return True
        proto: i64 = p.data[p.l3 + 9]
        least: i64 = 20 if proto == 6 else 8 if proto in (1, 17) else 0
        return p.end - p.l3 - p.f[IP_IHL] * 4 >= least

    def _quoted(self, p: Packet) -> bool:
        """The address inside an ICMP error; its own checksums stay as they are, as in the kernel."""
        if p.f[ICMP_TYPE] not in (3, 4, 5, 11, 12):  # icmp_is_err
            return True
        at = p.l4 + 8 + (16 if self.egress else 12)
        if p.l4 + 28 > p.end:
            return False
        address = get32(p.data, at)
        if ((address ^ self.old) & self.mask) != 0:
            return True
        fresh = (self.new & self.mask) | (address & ~self.mask)
        check_at = p.l4 + 2 - p.start
        check = update(get16(p.data, p.l4 + 2), address, fresh)
        if not set_bytes(p, at, be32(fresh)):
            return False
        return set_bytes(p, p.start + check_at, be16(check))


class CongestionOp(Op):
    """skbmod ecn: mark Congestion Experienced where the packet allows it (tcf_skbmod_act, INET_ECN_set_ce)."""

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        mark_congestion(p)
        return self.leave(env)
