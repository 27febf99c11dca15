"""ARP and neighbour discovery: answers to others and from others, and what becomes of packets that wait.

Sources: net/ipv4/arp.c arp_process, arp_error_report; net/ipv6/ndisc.c ndisc_recv_ns, ndisc_recv_na; net/core/neighbour.c neigh_timer_handler.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcemu.engine.last_hop import dress
from tcemu.engine.neigh import PROBES, Pending
from tcemu.engine.output import Output
from tcemu.engine.ports import (
    LOCAL,
    Port,
)
from tcemu.engine.program import (
    PF_ARP,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SIP,
    ARP_TIP,
    ICMP_TYPE,
    IP6_SADDR,
    IP_TTL,
    PKTTYPE,
)
from tcemu.ir.verdict import ACCEPT
from tcemu.packet.build import arp_frame
from tcemu.packet.packet import (
    OTHERHOST,
    Packet,
)
from tcemu.packet.respond import advertise

DEST_UNREACH: Final = 3  # ICMP
DEST_UNREACH6: Final = 1  # ICMPv6


class Resolution(Output):
    """Who is who on the links."""

    __slots__ = ()

    def arp(self, p: Packet, port: Port) -> i64:
        """arp_rcv, arp_process: answer for own addresses, learn from answers."""
        f = p.f
        if f[PKTTYPE] == OTHERHOST or port.noarp:
            return ACCEPT
        code = self.run_stages(p, self.hooks_arp.input, PF_ARP, port.index, 0)
        if code != ACCEPT:
            return code
        if f[ARP_OP] not in (1, 2) or f[ARP_SHA] == 0:
            return ACCEPT
        sender, target = f[ARP_SIP], f[ARP_TIP]
        hop = self.tables.local(4, 0, target)
        if f[ARP_OP] == 1 and hop is not None and hop.kind == LOCAL:
            self.met(port.index, PF_IPV4, 0, sender, f[ARP_SHA])
            if self.tables.neighbour(port.index, 0, sender) < 0 and sender != 0:
                self.tables.know(port.index, 0, sender, f[ARP_SHA])  # neigh_event_ns makes an entry
            self.send_arp(arp_frame(2, port.mac, target, f[ARP_SHA], sender), port)
            return ACCEPT
        self.met(port.index, PF_IPV4, 0, sender, f[ARP_SHA])
        return ACCEPT

    def neighbour_discovery(self, p: Packet, port: Port) -> None:
        """ndisc_recv_ns, ndisc_recv_na."""
        f = p.f
        kind = f[ICMP_TYPE]
        if p.l4 + 24 > p.l3_end or f[IP_TTL] != 255:
            return
        high, low = word(p.data, p.l4 + 8), word(p.data, p.l4 + 16)
        mac = option_mac(p, 1 if kind == 135 else 2)
        if kind == 136:
            if mac >= 0:
                self.met(port.index, PF_IPV6, high, low, mac)
            return
        hop = self.tables.local(6, high, low)
        if kind != 135 or hop is None or hop.device != port.index:
            return
        from_high, from_low = f[IP6_SADDR], f[IP6_SADDR + 1]
        if mac >= 0:
            self.met(port.index, PF_IPV6, from_high, from_low, mac)
            if self.tables.neighbour(port.index, from_high, from_low) < 0:
                self.tables.know(port.index, from_high, from_low, mac)
        flags: i64 = 0x60 | (0x80 if self.tables.forward6 else 0)
        if (from_high | from_low) == 0:
            return
        self.send_local(advertise(high, low, from_high, from_low, port.mac, flags), self.now, False)

    def met(self, device: i64, family: i64, high: i64, low: i64, mac: i64) -> None:
        """A neighbour answered: what waited for it goes out."""
        one = self.neighbours.find(device, family, high, low)
        if one is None:
            if self.tables.neighbour(device, high, low) >= 0:
                self.tables.know(device, high, low, mac)
            return
        self.neighbours.take(one)
        self.tables.know(device, high, low, mac)
        target = self.port(device)
        for p in one.waiting:
            if target is not None:
                dress(p, target.mac, mac, self.out_ways[device] is not None)
                self.transmit(p, target)
            self.spare.append(p)

    def remind(self, now: i64) -> None:
        """neigh_timer_handler: ask again, or give up and tell the senders."""
        while self.neighbours.next_due <= now:
            one = self.neighbours.due(now)
            if one is None:
                self.neighbours.reckon()
                return
            moment, self.now = self.now, one.due
            target = self.port(one.device)
            if one.probes >= PROBES or target is None or not one.waiting:
                self.neighbours.take(one)
                self.give_up(one)
            else:
                one.probes += 1
                one.due += 1_000_000_000
                self.neighbours.reckon()
                self.probe(one, one.waiting[0], target)
            self.now = moment

    def give_up(self, one: Pending) -> None:
        """arp_error_report, ndisc_error_report: host unreachable."""
        for p in one.waiting:
            route = self.route
            self.route = None
            if one.family == PF_IPV4:
                self.icmp4(p, DEST_UNREACH, 1, 0, False)
            else:
                self.icmp6(p, DEST_UNREACH6, 3, 0)
            self.route = route
            self.spare.append(p)


def word(data: bytes, at: i64) -> i64:
    """Eight bytes as a signed number."""
    return read_i64_be(data, at)


def option_mac(p: Packet, kind: i64) -> i64:
    """The link-layer address option of a neighbour discovery message, -1 where there is none."""
    at = p.l4 + 24
    while at + 8 <= p.l3_end:
        size: i64 = p.data[at + 1] * 8
        if size == 0:
            return -1
        if p.data[at] == kind:
            return read_i64_be(p.data, at) & 0xFFFFFFFFFFFF
        at += size
    return -1
