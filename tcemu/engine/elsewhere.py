"""What rules do with a packet beside a verdict: copies, other ways out, queues, logs.

Sources: net/ipv4/netfilter/nf_dup_ipv4.c, net/ipv6/netfilter/nf_dup_ipv6.c, net/netfilter/nft_fwd_netdev.c, nfnetlink_queue.c, nfnetlink_log.c.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.effects.track import show_ct
from tcemu.engine.fast_path import FastPath
from tcemu.engine.ports import (
    UNICAST,
    Hop,
)
from tcemu.engine.program import (
    AT_STACK,
    NF_INPUT,
    NF_PREROUTING,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.fields import (
    G_ETH,
    IIF,
    IP_FRAG,
    IP_TTL,
    OIF,
)
from tcemu.ir.verdict import ACCEPT, DROP
from tcemu.packet.checksum import checksum
from tcemu.packet.edit import be16
from tcemu.packet.packet import (
    UNTRACKED,
    Packet,
)
from tcemu.packet.protocols import IP_DF
from tcemu.packet.rewrite import decrement_ttl, set_bytes


class Elsewhere(FastPath):
    """Where rules send packets."""

    __slots__ = ()

    def duplicate(self, p: Packet, family: i64, high: i64, low: i64, device: i64) -> None:
        if family == 0:
            target = self.port(device)
            if target is not None:
                other = self.copied(p)
                self.transmit(other, target)
                self.spare.append(other)
            return
        self.duplicate_ip(p, family, high, low, device)

    def duplicate_ip(self, p: Packet, family: i64, high: i64, low: i64, device: i64) -> None:
        """nf_dup_ipv4, nf_dup_ipv6: an untracked copy to a neighbour, one hop fewer to live."""
        if self.nesting > 0:
            return  # nf_skb_duplicated
        other = self.copied(p)
        other.ct = None
        other.ctinfo = UNTRACKED
        show_ct(other)
        other.mru = 0
        if self.nf_hook in (NF_PREROUTING, NF_INPUT):
            decrement_ttl(other)
        if family == 4:
            set_df(other)
        route = self.tables.route(family, high, low)
        if route is not None and route.kind == UNICAST:
            hop = Hop()
            hop.device = device if device > 0 else route.device
            hop.has_via = True
            hop.via_high, hop.via = (route.via_high, route.via) if route.has_via and device == 0 else (high, low)
            self.nesting += 1
            self.send_by(other, hop, PF_IPV4 if family == 4 else PF_IPV6)
            self.nesting -= 1
        self.spare.append(other)

    def send_by(self, p: Packet, hop: Hop, family: i64) -> None:
        """Output and out along a route that is settled."""
        saved, route, socket, reroute = self.hook, self.route, self.socket, self.reroute
        self.hook = AT_STACK
        self.socket = False
        self.route = hop
        hooks = self.hooks4 if family == PF_IPV4 else self.hooks6
        if self.run_stages(p, hooks.output, family, 0, hop.device) == ACCEPT:
            self.leave(p, 0, hop, family)
        self.hook, self.route, self.socket, self.reroute = saved, route, socket, reroute

    def hand_over(self, p: Packet, device: i64, family: i64, high: i64, low: i64) -> bool:
        target = self.port(device)
        if target is None:
            return False
        if family == 0:
            self.transmit(p, target)
            return True
        if p.f[IP_TTL] <= 1:
            p.reason = "the time to live is over"
            return False
        decrement_ttl(p)
        self.to_neighbour(p, target, PF_IPV4 if family == 4 else PF_IPV6, high, low)
        return True

    def ask_user(self, p: Packet, queue: i64, bypass: bool) -> i64:
        programs = self.programs
        if programs is not None:
            verdict = programs.queued(queue, p.data[p.l3 if p.l3 >= 0 else p.start : p.end])
            if verdict >= 0:
                if verdict == DROP:
                    p.reason = "the program behind the queue says so"
                return verdict
        p.reason = "nobody listens at the queue"
        return ACCEPT if bypass else DROP

    def log(self, p: Packet, prefix: str, level: str, group: i64, size: i64) -> None:
        if self.observer is not None:
            self.observer.say("log", prefix)
        programs = self.programs
        if programs is not None:
            at = p.l3 if p.l3 >= 0 else p.start
            end = p.end if size <= 0 or at + size > p.end else at + size
            link = p.data[p.start : at] if (p.groups & G_ETH) != 0 else b""
            programs.log(prefix, level, group, p.f[IIF], p.f[OIF], link, p.data[at:end])


def set_df(p: Packet) -> None:
    """Set "don't fragment", with the header checksum (nf_dup_ipv4, then ip_send_check)."""
    field = p.f[IP_FRAG]
    if (field & IP_DF) != 0:
        return
    at = p.l3 - p.start
    set_bytes(p, p.l3 + 6, bytes([(field | IP_DF) >> 8, field & 0xFF]))
    header = bytearray(p.data[p.start + at : p.start + at + (p.data[p.start + at] & 15) * 4])
    header[10] = header[11] = 0
    check = checksum(bytes(header), 0, len(header), 0)
    set_bytes(p, p.start + at + 10, be16(check))
