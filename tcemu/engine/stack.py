"""The network layer: netfilter's hooks, routing, forwarding, delivery, and what the machine itself sends.

::

    receive → prerouting → route ┬ input → local (sockets, tunnels)
                                 ├ forward → postrouting → fragments → neighbour → transmit
                                 └ nowhere: an ICMP error
    send → output → postrouting → …

Sources: net/ipv4/ip_input.c, route.c (ip_route_input_slow, ip_error), ip_forward.c, ip_output.c, icmp.c; net/ipv6/ip6_input.c, ip6_output.c,
icmp.c; net/netfilter/nf_nat_proto.c, nf_nat_core.c nf_nat_inet_fn; net/netfilter/core.c nf_hook_slow.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.track import show_ct
from tcemu.engine.effects.tunnel import show_tunnel
from tcemu.engine.elsewhere import Elsewhere
from tcemu.engine.headers import find_ip_option
from tcemu.engine.keys import ends_of
from tcemu.engine.ports import (
    BLACKHOLE,
    BROADCAST,
    LOCAL,
    LOOPBACK,
    PROHIBIT,
    UNICAST,
    UNREACHABLE,
    Hop,
    Port,
)
from tcemu.engine.program import (
    AT_STACK,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.engine.stages import Stage
from tcemu.engine.tunnels import decapsulate
from tcemu.engine.wire import Sink
from tcemu.fields import (
    FRAG_FLAGS,
    G_ARP,
    G_CVLAN,
    G_FRAG,
    G_ICMP,
    G_ICMP6,
    G_IP4,
    G_IP6,
    G_PPPOE,
    G_TCP,
    G_UDP,
    G_UDPLITE,
    G_VLAN,
    ICMP_TYPE,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_FRAG,
    IP_IHL,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    L4PROTO,
    PKT_LEN,
    PKTTYPE,
    PRIORITY,
)
from tcemu.ir.verdict import ACCEPT, DROP, STOLEN
from tcemu.packet.checksum import checksum, udplite_verifies, verify_header
from tcemu.packet.edit import be16, be32, get16
from tcemu.packet.packet import (
    HOST,
    OTHERHOST,
    Packet,
)
from tcemu.packet.protocols import IP_DF, IPPROTO_TCP
from tcemu.packet.reply import reject_verifies
from tcemu.packet.respond import echo_reply4, echo_reply6
from tcemu.packet.rewrite import decrement_ttl, set_bytes, trim_to_ip

ECHO_REQUEST: Final = 8
ECHO_REQUEST6: Final = 128
DEST_UNREACH: Final = 3  # ICMP
TIME_EXCEEDED: Final = 11
FRAG_NEEDED: Final = 4
DEST_UNREACH6: Final = 1  # ICMPv6
TOO_BIG6: Final = 2
TIME_EXCEEDED6: Final = 3
LEAST_MTU6: Final = 1280
TCP_HEADER: Final = 20
RECORD_ROUTE: Final = 7  # IPv4 options
LSRR: Final = 131
SSRR: Final = 137
TOS_PRIORITY: Final = (0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4)  # net/ipv4/route.c ip_tos2prio
SERVED: Final = (1, 2, 6, 17, 58, 136)  # protocols that the machine itself knows; of their broken packets it says nothing
USER_LOCAL: Final = -3
IP: Final = G_IP4 | G_IP6
STACKED: Final = G_PPPOE | G_CVLAN  # what the network layer does not look behind
OWNED: Final = "tproxy gave it a local socket, but routing does not deliver it here (ip rule add fwmark …)"


class Stack(Elsewhere):
    """The network layer of the machine."""

    __slots__ = ("raw_protocols", "strangers")

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.strangers: i64 = 0  # IP packets for other stations, which nobody looks at
        self.raw_protocols: set[int] = set()  # that local programs read from raw sockets, so that nobody answers "unreachable"

    # ------------------------------------------------------------ in

    def to_network(self, p: Packet, port: Port) -> i64:
        """ip_rcv, ipv6_rcv and arp_rcv; other protocols are accepted and end here."""
        groups = p.groups
        if (groups & IP) == 0 or (groups & STACKED) != 0:
            if (groups & G_ARP) != 0 and (groups & G_VLAN) == 0:
                return self.arp(p, port)
            return ACCEPT
        placeless = self.placeless
        f = p.f
        if not placeless and f[PKTTYPE] == OTHERHOST:
            self.strangers += 1
            return ACCEPT  # promiscuous taps saw it; ip_rcv lets it go without a word
        if p.lies:
            p.reason = p.broken if p.broken.startswith("IPv") else "the packet is shorter than its IP header says"
            return DROP
        cut = self.cut
        end = p.end
        if end > p.l3_end and cut <= 0:
            trim_to_ip(p)  # padding
            end = p.end
        f[PKT_LEN] = end - p.l3 + cut
        hook, route, socket = self.hook, self.route, self.socket
        self.hook = AT_STACK
        if route is not None or socket:
            self.route = None
            self.socket = False
        assigned = self.assigned
        if assigned is not None:
            self.assigned = None
        if placeless:  # as if the packet were forwarded, by nobody knows which device
            if (groups & G_IP4) != 0:
                code = self.run_stages(p, self.hooks4.through, PF_IPV4, port.index, 0)
            else:
                code = self.run_stages(p, self.hooks6.through, PF_IPV6, port.index, 0)
        elif (groups & G_IP4) != 0:
            code = self.receive4(p, port)
        else:
            code = self.receive6(p, port)
        self.hook, self.route, self.socket = hook, route, socket
        if assigned is not None or self.assigned is not None:
            self.assigned = assigned
        return code

    def receive4(self, p: Packet, port: Port) -> i64:
        """ip_rcv and ip_rcv_finish."""
        if not verify_header(p):
            p.reason = "the IPv4 header checksum is wrong"
            return DROP
        code = self.run_stages(p, self.hooks4.prerouting, PF_IPV4, port.index, 0)
        if code != ACCEPT:
            return code
        pieces = p.pieces
        if pieces is not None and p.f[L4PROTO] == IPPROTO_TCP and pieces[0] < TCP_HEADER:
            p.pieces = None  # tcp_v4_early_demux pulls the whole header into the first piece, and the pieces no longer suit
        return self.route4(p, port)

    def receive6(self, p: Packet, port: Port) -> i64:
        """ipv6_rcv and ip6_rcv_finish."""
        f = p.f
        if (f[IP6_SADDR] >> 56) & 0xFF == 0xFF:
            p.reason = "the source is a multicast address"
            return DROP
        code = self.run_stages(p, self.hooks6.prerouting, PF_IPV6, port.index, 0)
        if code != ACCEPT:
            return code
        return self.route6(p, port)

    # ------------------------------------------------------------ routing what came in

    def route4(self, p: Packet, port: Port) -> i64:
        """ip_route_input_slow."""
        f = p.f
        source, target = f[IP_SADDR], f[IP_DADDR]
        tables = self.tables
        if port.kind != LOOPBACK and is_martian(source, target):
            p.reason = "a martian address"
            return DROP
        hop = tables.route(4, 0, target) if len(tables.policies) == 0 else tables.policed(self.asked(p, port.index))
        if target == 0xFFFFFFFF or (target >> 28 == 0xE and f[PKTTYPE] != HOST) or (source == 0 and target == 0):
            return self.deliver(p, port, self.hooks4.input, PF_IPV4, None)
        mine = tables.local(4, 0, source)
        if port.kind != LOOPBACK and mine is not None and mine.kind == LOCAL:
            p.reason = "the source is an address of this machine"
            return DROP
        if hop is not None and hop.kind in (LOCAL, BROADCAST):
            return self.deliver(p, port, self.hooks4.input, PF_IPV4, hop)
        if not tables.forward4:
            p.reason = "not for this machine, and forwarding is off"
            return DROP
        if hop is None or hop.kind != UNICAST:
            return self.unroutable4(p, hop)
        return self.forward4(p, port, hop)

    def unroutable4(self, p: Packet, hop: Hop | None) -> i64:
        """ip_error: no route, or one that says no."""
        p.reason = "there is no route"
        code: i64 = 0
        if hop is not None:
            p.reason = "a route says no"
            if hop.kind == BLACKHOLE:
                return DROP
            code = 13 if hop.kind == PROHIBIT else 1
        if self.peers.spend(p.f[IP_SADDR], self.now):
            self.icmp4(p, DEST_UNREACH, code, 0, False)
        return DROP

    def route6(self, p: Packet, port: Port) -> i64:
        """ip6_route_input."""
        f = p.f
        tables = self.tables
        if len(tables.policies) == 0:
            hop = tables.route(6, f[IP6_DADDR], f[IP6_DADDR + 1])
        else:
            hop = tables.policed(self.asked(p, port.index))
        if (f[IP6_DADDR] >> 56) & 0xFF == 0xFF:
            return self.deliver(p, port, self.hooks6.input, PF_IPV6, None)
        if hop is not None and hop.kind == LOCAL:
            return self.deliver(p, port, self.hooks6.input, PF_IPV6, hop)
        if hop is None or hop.kind != UNICAST:
            p.reason = "there is no route"
            if hop is None or hop.kind in (UNREACHABLE, PROHIBIT):
                self.icmp6(p, DEST_UNREACH6, 1 if hop is not None and hop.kind == PROHIBIT else 0, 0)
            return DROP
        if not self.tables.forward6:
            p.reason = "not for this machine, and forwarding is off"
            return DROP
        return self.forward6(p, port, hop)

    # ------------------------------------------------------------ forwarding

    def forward4(self, p: Packet, port: Port, hop: Hop) -> i64:
        """ip_forward."""
        f = p.f
        if self.assigned is not None:
            p.reason = OWNED
            return DROP
        if f[PKTTYPE] != HOST:
            p.reason = "it came as a broadcast, and is not for this machine"
            return DROP
        self.route = hop
        if f[IP_TTL] <= 1:
            p.reason = "the time to live is over"
            self.icmp4(p, TIME_EXCEEDED, 0, 0, False)
            return DROP
        target = self.port(hop.device)
        if target is None:
            p.reason = "the route's device is gone"
            return DROP
        length = p.l3_end - p.l3 + self.cut
        if length > target.mtu and (f[IP_FRAG] & IP_DF) != 0 and (p.mru == 0 or p.mru > target.mtu):
            p.reason = f"longer than the MTU of {target.name}, and not to be cut"
            self.icmp4(p, DEST_UNREACH, FRAG_NEEDED, target.mtu, False)
            return DROP
        decrement_ttl(p)
        if f[IP_IHL] > 5 and not self.options(p, hop):
            return DROP
        f[PRIORITY] = TOS_PRIORITY[(f[IP_TOS] & 0x1E) >> 1]
        code = self.run_stages(p, self.hooks4.forward, PF_IPV4, port.index, hop.device)
        return self.leave(p, port.index, hop, PF_IPV4) if code == ACCEPT else code

    def options(self, p: Packet, hop: Hop) -> bool:
        """ip_rcv_options, ip_forward_options: source routes are refused, routes recorded; False to drop."""
        if find_ip_option(p, LSRR) >= 0 or find_ip_option(p, SSRR) >= 0:
            p.reason = "source routing is off"
            return False
        at = find_ip_option(p, RECORD_ROUTE)
        if at < 0:
            return True
        size: i64 = p.data[at + 1]
        place: i64 = p.data[at + 2]
        own = self.tables.source(4, hop, 0, p.f[IP_DADDR])
        if place < 4 or place + 3 > size or own is None:
            return True
        header = p.data[p.l3 : at + 2] + be16((place + 4) << 8)[:1] + p.data[at + 3 : at + place - 1] + be32(own.low)
        header += p.data[at + place + 3 : p.l3 + p.f[IP_IHL] * 4]
        header = header[:10] + b"\0\0" + header[12:]
        header = header[:10] + be16(checksum(header, 0, len(header), 0)) + header[12:]
        return set_bytes(p, p.l3, header)

    def forward6(self, p: Packet, port: Port, hop: Hop) -> i64:
        """ip6_forward."""
        f = p.f
        if self.assigned is not None:
            p.reason = OWNED
            return DROP
        if f[PKTTYPE] != HOST:
            p.reason = "it came as a broadcast, and is not for this machine"
            return DROP
        self.route = hop
        if f[IP_TTL] <= 1:
            p.reason = "the hop limit is reached"
            self.icmp6(p, TIME_EXCEEDED6, 0, 0)
            return DROP
        target = self.port(hop.device)
        if target is None:
            p.reason = "the route's device is gone"
            return DROP
        length = p.l3_end - p.l3 + self.cut
        if length > target.mtu and (p.mru == 0 or p.mru > target.mtu):
            p.reason = f"longer than the MTU of {target.name}"
            self.icmp6(p, TOO_BIG6, 0, max(target.mtu, LEAST_MTU6))
            return DROP
        decrement_ttl(p)
        code = self.run_stages(p, self.hooks6.forward, PF_IPV6, port.index, hop.device)
        return self.leave(p, port.index, hop, PF_IPV6) if code == ACCEPT else code

    # ------------------------------------------------------------ delivery

    def deliver(self, p: Packet, port: Port, stages: Stage | None, family: i64, hop: Hop | None) -> i64:
        """ip_local_deliver: input, then whoever listens: tunnels here, raw sockets in the sink."""
        if (p.groups & G_FRAG) != 0:
            held = self.defragment(p, USER_LOCAL)
            if held != 0:
                return STOLEN if held > 0 else DROP
            p.f[PKT_LEN] = p.end - p.l3 + self.cut
        self.route = hop
        code = self.run_stages(p, stages, family, port.index, 0)
        if code != ACCEPT:
            return code
        if self.frames:
            self.sink.local(port.index, p.data[p.l3 : p.l3_end])
        inner = decapsulate(self.tables, p)
        if inner < 0:
            return DROP
        if inner > 0:
            show_tunnel(p)
            p.ct = None
            p.ctinfo = 0
            p.tracked = False
            show_ct(p)
            return self.ingress(p, inner)
        if (p.groups & G_ICMP6) != 0 and p.f[ICMP_TYPE] in (135, 136):
            self.neighbour_discovery(p, port)
        elif self.answers:
            self.answer(p, hop is None or hop.kind != LOCAL)
        return ACCEPT

    def answer(self, p: Packet, to_many: bool) -> None:
        """What the machine says of itself: echo replies, and of closed ports and unknown protocols that they are."""
        f = p.f
        groups = p.groups
        four = (groups & G_IP4) != 0
        if (groups & G_ICMP) != 0 or (groups & G_ICMP6) != 0:
            kind = f[ICMP_TYPE]
            if four and kind == ECHO_REQUEST and self.tables.echo4 and not to_many:
                self.ident = (self.ident + 1) & 0xFFFF
                self.send_local(echo_reply4(p, self.ident), self.now, False)
            elif not four and kind == ECHO_REQUEST6 and self.tables.echo6 and not to_many:
                self.send_local(echo_reply6(p), self.now, False)
            return
        if to_many or f[PKTTYPE] != HOST:
            return
        if (groups & G_UDP) != 0:
            if not is_short(p, four) and not self.heard(p) and reject_verifies(p):
                self.refuse_port(p, four)
        elif (groups & G_UDPLITE) != 0:
            if udplite_verifies(p):
                self.refuse_port(p, four)
        elif (groups & G_TCP) != 0:
            if not self.heard(p):
                self.reset(p, False)
        elif int(f[L4PROTO]) not in self.raw_protocols and f[L4PROTO] not in SERVED and f[FRAG_FLAGS] == 0:
            if four:
                self.icmp4(p, DEST_UNREACH, 2, 0, True)
            elif p.l4 >= 0:
                self.icmp6(p, 4, 1, 6)

    def refuse_port(self, p: Packet, four: bool) -> None:
        """Nobody listens there: port unreachable."""
        if four:
            self.icmp4(p, DEST_UNREACH, 3, 0, True)
        else:
            self.icmp6(p, DEST_UNREACH6, 4, 0)

    def heard(self, p: Packet) -> bool:
        """Is there a local socket for the packet?"""
        ends = ends_of(p)
        return self.assigned is not None or (ends is not None and self.tables.sockets.find(ends) is not None)


def is_short(p: Packet, four: bool) -> bool:
    """__udp4_lib_rcv, __udp6_lib_rcv: a datagram whose length cannot be is dropped without a word; nought is a jumbogram's in IPv6."""
    length = get16(p.data, p.l4 + 4)
    return length > p.l3_end - p.l4 or (length < 8 and (four or length != 0))


def is_martian(source: i64, target: i64) -> bool:
    """Addresses that no wire may bring (ip_route_input_slow): multicast, loopback and nought in the wrong places."""
    if source >> 28 == 0xE or source == 0xFFFFFFFF or source >> 24 == 127 or target >> 24 == 127:
        return True
    if target == 0xFFFFFFFF or (source == 0 and target == 0):
        return False
    return (source >> 24 == 0 and target >> 28 != 0xE) or target >> 24 == 0
