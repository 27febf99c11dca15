"""The last step out: an Ethernet header for the neighbour, who is asked for where nobody knows its address.

Sources: net/core/neighbour.c, net/ipv4/arp.c arp_solicit, net/ipv6/ndisc.c ndisc_solicit.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.track import show_ct
from tcemu.engine.neigh import Neighbours, Pending
from tcemu.engine.netfilter import Netfilter
from tcemu.engine.ports import (
    BROADCAST,
    GRE,
    LOCAL,
    LOOPBACK,
    Port,
)
from tcemu.engine.program import (
    PF_ARP,
    PF_IPV4,
)
from tcemu.engine.stages import Hooks
from tcemu.engine.wire import Sink
from tcemu.fields import (
    ETH_DST,
    ETH_SRC,
    G_CVLAN,
    G_IP4,
    G_IP6,
    G_PPPOE,
    G_VLAN,
    IP_SADDR,
    PKT_LEN,
)
from tcemu.ir.verdict import ACCEPT
from tcemu.packet.build import arp_frame, ethernet
from tcemu.packet.decode import decode, load
from tcemu.packet.packet import (
    LINK_ETHER,
    Packet,
)
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6
from tcemu.packet.respond import solicit

EVERYBODY: Final = 0xFFFFFFFFFFFF
IP: Final = G_IP4 | G_IP6


class LastHop(Netfilter):
    """To the neighbours of the machine."""

    __slots__ = (
        "answers",
        "hooks_arp",
        "neighbours",
    )

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.answers: bool = False  # closed ports answer, as they do on a real machine
        self.hooks_arp: Hooks = Hooks()
        self.neighbours: Neighbours = Neighbours()

    def to_neighbour(self, p: Packet, target: Port, family: i64, high: i64, low: i64) -> None:
        """neigh_output: to the neighbour's MAC address, or a copy waits until it is known."""
        if target.kind in (LOOPBACK, GRE):
            self.transmit(p, target)
            return
        mac = link_address(family, high, low)
        if mac < 0:
            broadcast = self.tables.local(4, 0, low) if family == PF_IPV4 else None
            mac = EVERYBODY if broadcast is not None and broadcast.kind == BROADCAST else self.tables.neighbour(target.index, high, low)
        if mac < 0 and target.noarp:
            mac = target.mac
        if mac < 0:
            self.discover(p, target, family, high, low)
            return
        dress(p, target.mac, mac, self.out_ways[target.index] is not None)
        self.transmit(p, target)

    def discover(self, p: Packet, target: Port, family: i64, high: i64, low: i64) -> None:
        """neigh_event_send: ask for the neighbour; the packet waits."""
        if self.friendly and not self.answers:
            p.reason = "the neighbour is not known"
            return
        one = self.neighbours.find(target.index, family, high, low)
        if one is None:
            one = self.neighbours.ask(target.index, family, high, low, self.now)
            self.probe(one, p, target)
        waits = self.copied(p)
        waits.pieces = p.pieces
        lost = one.hold(waits)
        if lost is not None:
            self.spare.append(lost)

    def probe(self, one: Pending, p: Packet, target: Port) -> None:
        """arp_solicit, ndisc_solicit."""
        f = p.f
        if one.family == PF_IPV4:
            mine = self.tables.local(4, 0, f[IP_SADDR])
            if mine is not None and mine.kind == LOCAL:
                source = f[IP_SADDR]
            else:
                own = self.tables.select(4, target.index, 0, one.low)
                if own is None:
                    return
                source = own.low
            self.send_arp(arp_frame(1, target.mac, source, 0, one.low), target)
            return
        own = self.tables.select(6, target.index, one.high, one.low)
        if own is None:
            return
        data = solicit(own.high, own.low, one.high, one.low, target.mac)
        mac = 0x3333FF000000 | (one.low & 0xFFFFFF)
        self.send_frame(ethernet(mac, target.mac, ETH_P_IPV6) + data, target)

    def send_arp(self, frame: bytes, target: Port) -> None:
        """arp_xmit: the arp family's output hook, then out."""
        p = self.taken(frame, LINK_ETHER)
        p.f[PKT_LEN] = p.end - p.start  # the header is there already
        if self.run_stages(p, self.hooks_arp.output, PF_ARP, 0, target.index) == ACCEPT:
            self.transmit(p, target)
        self.spare.append(p)

    def send_frame(self, frame: bytes, target: Port) -> None:
        """A frame of the machine's own, past all hooks of the network layer."""
        p = self.taken(frame, LINK_ETHER)
        self.transmit(p, target)
        self.spare.append(p)

    def taken(self, data: bytes, link: i64) -> Packet:
        """A packet of the machine's own."""
        p = self.spare.pop() if len(self.spare) > 0 else Packet()
        load(p, data, 0, len(data), len(data), self.now, link, 0)
        show_ct(p)
        return p


def link_address(family: i64, high: i64, low: i64) -> i64:
    """The MAC address that a multicast or broadcast address stands for, -1 for others."""
    if family == PF_IPV4:
        if low == 0xFFFFFFFF:
            return EVERYBODY
        return 0x01005E000000 | (low & 0x7FFFFF) if low >> 28 == 0xE else -1
    return 0x333300000000 | (low & 0xFFFFFFFF) if (high >> 56) & 0xFF == 0xFF else -1


def dress(p: Packet, source: i64, target: i64, seen: bool) -> None:
    """Put an Ethernet header in front of the IP packet, in place of what was there; ``seen``: somebody will look at it."""
    kind: i64 = ETH_P_IP if (p.groups & G_IP4) != 0 else ETH_P_IPV6
    plain = (p.groups & (G_VLAN | G_CVLAN | G_PPPOE)) == 0 and p.link == LINK_ETHER and not seen
    cut = p.wire - (p.end - p.start)
    end = p.l3_end if cut <= 0 else p.end
    shift = 14 - p.l3
    p.data = ethernet(target, source, kind) + p.data[p.l3 : end]
    p.start = 0
    p.end = end + shift
    p.wire = p.end + cut
    if plain:
        p.l3 = 14
        p.l3_end += shift
        if p.l4 >= 0:
            p.l4 += shift
        if p.payload >= 0:
            p.payload += shift
        p.f[ETH_DST] = target
        p.f[ETH_SRC] = source
        return
    p.link = LINK_ETHER
    decode(p)
