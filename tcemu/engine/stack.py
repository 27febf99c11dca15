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

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, EXPECTED, HELPER, OFFLOADED, SEQ_ADJUST, TEMPLATE, Entry
from tcemu.conntrack.nat import DST, SRC, is_set_up, null_binding, translate, translate_error
from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.divert import ICMP4, RESET
from tcemu.engine.effects.track import CT_SLOTS, FLOWER_STATES, NFT_STATES, show_ct
from tcemu.engine.effects.tunnel import show_tunnel
from tcemu.engine.headers import find_ip_option
from tcemu.engine.neigh import PROBES, Neighbours, Peers, Pending
from tcemu.engine.ports import (
    BLACKHOLE,
    BROADCAST,
    GRE,
    LOCAL,
    LOOPBACK,
    PROHIBIT,
    RTN_MULTICAST,
    UNICAST,
    UNREACHABLE,
    VLAN,
    Hop,
    Port,
)
from tcemu.engine.program import (
    AT_STACK,
    NF_FORWARD,
    NF_INGRESS,
    NF_INPUT,
    NF_OUTPUT,
    NF_POSTROUTING,
    NF_PREROUTING,
    PF_ARP,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.engine.run import evaluate
from tcemu.engine.stages import CONFIRM, CONNTRACK, DEFRAG, NAT, ROUTED_RULES, RULES, Hooks, Stage
from tcemu.engine.tunnels import decapsulate, encapsulate
from tcemu.engine.wire import Sink, Wire
from tcemu.fields import (
    ARP_OP,
    ARP_SHA,
    ARP_SIP,
    ARP_TIP,
    DPORT,
    ETH_DST,
    ETH_SRC,
    FRAG_FLAGS,
    G_ARP,
    G_CT,
    G_CVLAN,
    G_ETH,
    G_FRAG,
    G_ICMP,
    G_ICMP6,
    G_IP4,
    G_IP6,
    G_PPPOE,
    G_TCP,
    G_UDP,
    G_VLAN,
    ICMP_TYPE,
    IIF,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_FRAG,
    IP_IHL,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    L4PROTO,
    MARK,
    OIF,
    PKT_LEN,
    PKTTYPE,
    PRIORITY,
    VLAN_ID,
    VLAN_TPID,
)
from tcemu.ir.verdict import ACCEPT, DROP, STOLEN
from tcemu.offload.nft_flows import FlowTable, Path
from tcemu.packet.build import arp_frame, ethernet
from tcemu.packet.checksum import checksum, verify_header
from tcemu.packet.decode import decode, load
from tcemu.packet.edit import be16, be32
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import (
    ESTABLISHED,
    ESTABLISHED_REPLY,
    HOST,
    IS_REPLY,
    LINK_ETHER,
    LINK_IP,
    NEW,
    OTHERHOST,
    RELATED,
    RELATED_REPLY,
    UNTRACKED,
    Packet,
)
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6, IP_DF, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP
from tcemu.packet.reply import icmp_error4, icmp_error6, reject_verifies, tcp_reset
from tcemu.packet.respond import advertise, echo_reply4, echo_reply6, solicit
from tcemu.packet.rewrite import decrement_ttl, fragment, set_bytes, trim_to_ip, vlan_pop

NF_ACCEPT: Final = 1
EPERM: Final = 1
ENETUNREACH: Final = 101
EHOSTUNREACH: Final = 113
EINVAL: Final = 22
EACCES: Final = 13
EMSGSIZE: Final = 90
ENOBUFS: Final = 105

ECHO_REQUEST: Final = 8
ECHO_REQUEST6: Final = 128
DEST_UNREACH: Final = 3  # ICMP
TIME_EXCEEDED: Final = 11
FRAG_NEEDED: Final = 4
DEST_UNREACH6: Final = 1  # ICMPv6
TOO_BIG6: Final = 2
TIME_EXCEEDED6: Final = 3
LEAST_MTU6: Final = 1280
RECORD_ROUTE: Final = 7  # IPv4 options
LSRR: Final = 131
SSRR: Final = 137
EVERYBODY: Final = 0xFFFFFFFFFFFF
TOS_PRIORITY: Final = (0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4)  # net/ipv4/route.c ip_tos2prio
SERVED: Final = (1, 2, 6, 17, 58, 136)  # protocols that the machine itself knows; of their broken packets it says nothing
USER_OUT: Final = -2  # users of reassembly besides the prerouting hook
USER_LOCAL: Final = -3


IP: Final = G_IP4 | G_IP6
SETTLED: Final = CONFIRMED | HELPER | SEQ_ADJUST | EXPECTED  # only CONFIRMED of these: nothing is left to do for the connection
STACKED: Final = G_PPPOE | G_CVLAN  # what the network layer does not look behind


class Stack(Wire):
    """The network layer of the machine."""

    __slots__ = (
        "answers",
        "hooks4",
        "hooks6",
        "hooks_arp",
        "ident",
        "neighbours",
        "peers",
        "raw_protocols",
        "reroute",
        "tcp_ports",
        "udp_ports",
    )

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.hooks4: Hooks = Hooks()
        self.hooks6: Hooks = Hooks()
        self.hooks_arp: Hooks = Hooks()
        self.neighbours: Neighbours = Neighbours()
        self.peers: Peers = Peers()
        self.ident: i64 = 0  # of IPv4 packets that the machine makes; the kernel's are random
        self.answers: bool = False  # closed ports answer, as they do on a real machine
        self.tcp_ports: set[int] = set()
        self.udp_ports: set[int] = set()
        self.raw_protocols: set[int] = set()  # that local programs read from raw sockets, so that nobody answers "unreachable"
        self.reroute: bool = False  # a hook on the way out changed what the route was chosen by

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
        return code

    def receive4(self, p: Packet, port: Port) -> i64:
        """ip_rcv and ip_rcv_finish."""
        if not verify_header(p):
            p.reason = "the IPv4 header checksum is wrong"
            return DROP
        code = self.run_stages(p, self.hooks4.prerouting, PF_IPV4, port.index, 0)
        if code != ACCEPT:
            return code
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
        hop = tables.route(4, 0, target)
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
        hop = self.tables.route(6, f[IP6_DADDR], f[IP6_DADDR + 1])
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

    # ------------------------------------------------------------ out

    def leave(self, p: Packet, iif: i64, hop: Hop, family: i64) -> i64:
        """ip_output, ip6_output: postrouting, then fragments if need be, then the neighbour. A verdict."""
        target = self.port(hop.device)
        if target is None:
            return DROP
        hooks = self.hooks4 if family == PF_IPV4 else self.hooks6
        code = self.run_stages(p, hooks.postrouting, family, iif, target.index)
        if code != ACCEPT:
            return code
        p.f[IIF] = iif
        length = p.l3_end - p.l3
        if self.cut <= 0 and (length > target.mtu or p.mru > 0) and target.kind != LOOPBACK:
            return self.fragments(p, target, hop, family, length)
        return self.out(p, target, hop, family)

    def fragments(self, p: Packet, target: Port, hop: Hop, family: i64, length: i64) -> i64:
        """ip_fragment, ip6_fragment: pieces no larger than the MTU, nor than those that a packet came in."""
        mtu = target.mtu
        df = (p.f[IP_FRAG] & IP_DF) != 0
        if family == PF_IPV4:
            if df and (p.mru == 0 or p.mru > mtu):
                p.reason = f"longer than the MTU of {target.name}, and not to be cut"
                self.icmp4(p, DEST_UNREACH, FRAG_NEEDED, mtu, False)
                return DROP
            if 0 < p.mru < mtu:
                mtu = p.mru
        else:
            if (p.mru == 0 and length > mtu) or p.mru > mtu:
                p.reason = f"longer than the MTU of {target.name}"
                self.icmp6(p, TOO_BIG6, 0, max(mtu, LEAST_MTU6))
                return DROP
            if p.mru > 0:
                mtu = max(p.mru, LEAST_MTU6)
            if length <= mtu:
                return self.out(p, target, hop, family)
        high, low = self.next_hop(p, hop, family)
        self.hash += 1
        for piece in fragment(p, mtu, self.hash, True, p.mru > 0 and df):
            part = self.copied(p)
            size: i64 = len(piece)
            part.data, part.start, part.end, part.wire, part.mru = piece, 0, size, size, 0
            decode(part)
            self.to_neighbour(part, target, family, high, low)
            self.spare.append(part)
        return ACCEPT

    def next_hop(self, p: Packet, hop: Hop, family: i64) -> tuple[i64, i64]:
        """Whom the packet is handed to."""
        if hop.has_via:
            return hop.via_high, hop.via
        f = p.f
        return (0, f[IP_DADDR]) if family == PF_IPV4 else (f[IP6_DADDR], f[IP6_DADDR + 1])

    def out(self, p: Packet, target: Port, hop: Hop, family: i64) -> i64:
        """ip_finish_output2."""
        p.mru = 0
        high, low = self.next_hop(p, hop, family)
        self.to_neighbour(p, target, family, high, low)
        return ACCEPT

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

    # ------------------------------------------------------------ neighbours

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

    # ------------------------------------------------------------ the hooks

    def run_stages(self, p: Packet, first: Stage | None, family: i64, iif: i64, oif: i64) -> i64:
        """nf_hook_slow over the stages of a hook, or of several hooks that follow each other."""
        if first is None:
            return ACCEPT
        f = p.f
        f[IIF] = iif
        f[OIF] = oif
        before, other = self.nf_hook, self.family
        self.family = family
        code: i64 = ACCEPT
        stage: Stage | None = first
        if first.kind == DEFRAG and (p.groups & G_FRAG) == 0 and p.mru == 0:
            stage = first.next
        while stage is not None:
            self.nf_hook = stage.hook
            kind = stage.kind
            if kind == RULES:
                chain = stage.chain
                assert chain is not None
                code = evaluate(self, p, chain)
            elif kind == CONNTRACK:
                code = self.track(p)
            elif kind == CONFIRM:
                ct = p.ct
                if ct is not None and ((ct.status & SETTLED) != CONFIRMED or self.conntrack.watcher is not None):
                    code = self.confirm(p)
            elif kind != DEFRAG:
                code = self.own_stage(p, stage)
            elif (p.groups & G_FRAG) != 0 or p.mru != 0:
                code = self.reassemble(p)
            if code != ACCEPT:
                if self.observer is not None and code == DROP:
                    self.observer.say("drop", p.reason or "a rule says so")
                break
            stage = stage.next
        self.nf_hook = before
        self.family = other
        return code

    def own_stage(self, p: Packet, stage: Stage) -> i64:
        """NAT, and rules that may change the route."""
        if stage.kind == NAT:
            return self.nat(p, stage)
        chain = stage.chain
        assert chain is not None and stage.kind == ROUTED_RULES
        f = p.f
        four = self.family == PF_IPV4
        at: i64 = IP_SADDR if four else IP6_SADDR
        size: i64 = 1 if four else 2
        source, target, far = f[at], f[at + size], f[at + 2 * size - 1]
        mark, tos = f[MARK], f[IP_TOS]
        code = evaluate(self, p, chain)
        if source != f[at] or target != f[at + size] or far != f[at + 2 * size - 1] or mark != f[MARK] or tos != f[IP_TOS]:
            self.reroute = True  # nf_route_table_hook4
        return code

    def reassemble(self, p: Packet) -> i64:
        """nf_defrag: of a fragment, or of what was put together before (ipv4_conntrack_defrag, ipv6_defrag)."""
        held = self.defragment(p, USER_OUT if self.nf_hook == NF_OUTPUT else -1)
        if held == 0 and p.mru > 0:
            p.f[PKT_LEN] = p.end - p.l3 + self.cut
        return ACCEPT if held == 0 else STOLEN if held > 0 else DROP

    def track(self, p: Packet) -> i64:
        """nf_conntrack_in: with the zone of a template, if the packet brought one."""
        zone: i64 = 0
        way: i64 = 3
        ct = p.ct
        if ct is not None:
            if (ct.status & TEMPLATE) == 0:
                return ACCEPT
            if isinstance(ct, Entry):
                zone = ct.zone
                zone_dir: int = ct.zone_dir
                way = zone_dir
            p.ct = None
        if p.ctinfo == UNTRACKED:
            return ACCEPT
        conntrack = self.conntrack
        if self.nf_hook == NF_PREROUTING:
            code = conntrack.track(p, zone, way, True)
            p.summed = conntrack.settings.checksum != 0
        else:
            code = conntrack.track(p, zone, way, False)
            p.summed = False
        ct = p.ct
        if COMPILED or ct is None:
            show_ct(p)
        else:  # as `show_ct` does it, less a call
            info = p.ctinfo
            p.groups |= G_CT
            labels = ct.labels
            if labels is None:
                p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, 0, 0, NFT_STATES[info])
            else:
                p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, labels.high, labels.low, NFT_STATES[info])
        if self.observer is not None:
            self.observer.say("ct", self.ask("ct", p))
        return ACCEPT if code == NF_ACCEPT else DROP

    def confirm(self, p: Packet) -> i64:
        """nf_confirm: helpers look at the packet, then a new connection enters the table."""
        ct = p.ct
        if isinstance(ct, Entry) and ct.extra is not None and ct.extra.helper != "":
            self.conntrack.broadcast_mask = self.mask_of_all(p)
        if self.conntrack.finish(p) != NF_ACCEPT:
            p.reason = p.reason or "the entry was not confirmed"
            return DROP
        return ACCEPT

    def mask_of_all(self, p: Packet) -> i64:
        """The mask of the network that a program's packet goes to all of, else 0 (nf_conntrack_broadcast_help)."""
        hop = self.route
        if hop is None or hop.kind != BROADCAST or not self.socket:
            return 0
        port = self.port(hop.device)
        if port is not None:
            for own in port.addresses:
                mask = (0xFFFFFFFF << (32 - own.prefix)) & 0xFFFFFFFF if own.family == 4 else 0
                if own.family == 4 and (own.low | (0xFFFFFFFF & ~mask)) == p.f[IP_DADDR]:
                    return mask
        return 0

    def nat(self, p: Packet, stage: Stage) -> i64:
        """nf_nat_inet_fn and what its family puts in front: the first packet chooses, the others follow."""
        ct = p.ct
        if not isinstance(ct, Entry) or (ct.status & TEMPLATE) != 0:
            return ACCEPT
        info = p.ctinfo
        manip: i64 = SRC if self.nf_hook in (NF_POSTROUTING, NF_INPUT) else DST
        if info in (RELATED, RELATED_REPLY) and p.f[L4PROTO] == (IPPROTO_ICMP if self.family == PF_IPV4 else IPPROTO_ICMPV6):
            return ACCEPT if translate_error(p, ct, info, manip) == NF_ACCEPT else DROP
        if info in (NEW, RELATED, RELATED_REPLY) and not is_set_up(ct, manip):
            for way in stage.ways:
                code = evaluate(self, p, way.chain)
                if code != ACCEPT:
                    return code
                if is_set_up(ct, manip):
                    break
            if not is_set_up(ct, manip) and not null_binding(self.conntrack, ct, manip, self.now):
                return DROP
        elif ct.masquerade > 0 and self.nf_hook == NF_POSTROUTING and info < IS_REPLY and ct.masquerade != p.f[OIF]:
            p.reason = "nat: it was masqueraded for another device"
            self.conntrack.kill(ct)
            return DROP
        if (ct.status & 0x30) == 0:
            return ACCEPT
        code = translate(p, ct, info, manip)
        if self.nf_hook == NF_OUTPUT:
            self.reroute = True
        return ACCEPT if code == NF_ACCEPT else DROP

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
            if int(f[DPORT]) not in self.udp_ports and reject_verifies(p):
                if four:
                    self.icmp4(p, DEST_UNREACH, 3, 0, True)
                else:
                    self.icmp6(p, DEST_UNREACH6, 4, 0)
        elif (groups & G_TCP) != 0:
            if int(f[DPORT]) not in self.tcp_ports:
                self.reset(p, False)
        elif int(f[L4PROTO]) not in self.raw_protocols and f[L4PROTO] not in SERVED and f[FRAG_FLAGS] == 0:
            if four:
                self.icmp4(p, DEST_UNREACH, 2, 0, True)
            elif p.l4 >= 0:
                self.icmp6(p, 4, 1, 6)

    def listening(self, tcp: bool, port: i64) -> bool:
        return int(port) in (self.tcp_ports if tcp else self.udp_ports)

    # ------------------------------------------------------------ what the machine sends

    def send_local(self, data: bytes, ts: i64, program: bool = True) -> i64:
        """A packet of the machine's own, or (``program``) of a program's raw socket: output, postrouting, out; an errno."""
        p = self.spare.pop() if len(self.spare) > 0 else Packet()
        load(p, data, 0, len(data), len(data), ts, LINK_IP, 0)
        show_ct(p)
        self.now = ts
        code = self.originate(p, program)
        self.spare.append(p)
        return code

    def originate(self, p: Packet, program: bool) -> i64:
        """ip_local_out and what leads there; an errno."""
        saved, route, socket, reroute, cut = self.hook, self.route, self.socket, self.reroute, self.cut
        self.hook = AT_STACK
        self.socket = program
        self.reroute = False
        self.cut = 0
        code = self.local_out(p)
        self.hook, self.route, self.socket, self.reroute, self.cut = saved, route, socket, reroute, cut
        return code

    def local_out(self, p: Packet) -> i64:
        """Route, output, route again if need be, then out."""
        f = p.f
        four = (p.groups & G_IP4) != 0
        if (p.groups & (G_IP4 | G_IP6)) == 0:
            return EINVAL
        family: i64 = PF_IPV4 if four else PF_IPV6
        hop = self.lookup(p, family)
        if hop is None or hop.kind not in (UNICAST, LOCAL, BROADCAST):
            return unreachable_errno(hop)
        target = self.port(self.out_index(hop))
        if target is None:
            return ENETUNREACH
        if p.end - p.l3 > target.mtu and self.socket:
            return EMSGSIZE
        f[PKT_LEN] = p.end - p.l3
        self.route = hop
        hooks = self.hooks4 if four else self.hooks6
        code = self.run_stages(p, hooks.output, family, 0, target.index)
        if code == ACCEPT and self.reroute:
            # ip_route_me_harder
            hop = self.lookup(p, family)
            if hop is None or hop.kind not in (UNICAST, LOCAL, BROADCAST):
                return unreachable_errno(hop)
            self.route = hop
        if code == ACCEPT:
            code = self.leave_local(p, hop, family)
        return EPERM if code == DROP else 0

    def leave_local(self, p: Packet, hop: Hop, family: i64) -> i64:
        """`leave`, by the loopback device for own addresses."""
        if hop.kind in (UNICAST, BROADCAST):
            return self.leave(p, 0, hop, family)
        lo = Hop()
        lo.kind, lo.device = LOCAL, self.tables.loopback
        return self.leave(p, 0, lo, family)

    def lookup(self, p: Packet, family: i64) -> Hop | None:
        """The route of a packet by its target."""
        f = p.f
        if family == PF_IPV4:
            return self.tables.route(4, 0, f[IP_DADDR])
        return self.tables.route(6, f[IP6_DADDR], f[IP6_DADDR + 1])

    def out_index(self, hop: Hop) -> i64:
        """The device that a route leads out by."""
        return self.tables.loopback if hop.kind == LOCAL else hop.device

    def path_mtu(self, p: Packet, back: bool) -> i64:
        hop = self.route
        if back:
            f = p.f
            four = (p.groups & G_IP4) != 0
            hop = self.tables.route(4, 0, f[IP_SADDR]) if four else self.tables.route(6, f[IP6_SADDR], f[IP6_SADDR + 1])
        port = self.port(self.out_index(hop)) if hop is not None else None
        return 0 if port is None else port.mtu

    # ------------------------------------------------------------ errors and refusals

    def icmp4(self, p: Packet, kind: i64, code: i64, rest: i64, own: bool) -> None:
        """icmp_send; ``own``: from the address that the packet was for."""
        f = p.f
        if f[PKTTYPE] != HOST and not self.socket:
            return
        target = f[IP_DADDR]
        hop = self.tables.local(4, 0, target)
        if (hop is not None and hop.kind == BROADCAST) or self.tables.address_type(4, 0, target, 0) == RTN_MULTICAST:
            return
        back = self.tables.route(4, 0, f[IP_SADDR])
        if back is None or back.kind not in (UNICAST, LOCAL):
            return
        source = target
        if not own:
            mine = self.tables.source(4, back, 0, f[IP_SADDR])
            if mine is None:
                return
            source = f[IP_SADDR] if back.kind == LOCAL else mine.low
        port = self.port(self.out_index(back))
        self.ident = (self.ident + 1) & 0xFFFF
        data = icmp_error4(p, kind, code, rest, source, port.mtu if port is not None else 1500, self.ident)
        if data and (back.kind == LOCAL or code == FRAG_NEEDED or self.peers.allow(f[IP_SADDR], self.now, self.tables.rate4)):
            self.send_about(p, data)

    def icmp6(self, p: Packet, kind: i64, code: i64, rest: i64) -> None:
        """icmp6_send."""
        f = p.f
        high, low = f[IP6_DADDR], f[IP6_DADDR + 1]
        mine = self.tables.local(6, high, low)
        if mine is None or mine.kind != LOCAL:
            back = self.tables.route(6, f[IP6_SADDR], f[IP6_SADDR + 1])
            if back is None or back.kind not in (UNICAST, LOCAL):
                return
            own = self.tables.source(6, back, f[IP6_SADDR], f[IP6_SADDR + 1])
            if own is None:
                return
            high, low = own.high, own.low
        data = icmp_error6(p, kind, code, rest, high, low)
        if data and (kind == TOO_BIG6 or self.peers.allow(f[IP6_SADDR] ^ f[IP6_SADDR + 1], self.now, self.tables.rate6)):
            self.send_about(p, data)

    def send_about(self, p: Packet, data: bytes) -> None:
        """Send an error or a reset about a packet; it belongs to the packet's connection (nf_ct_attach)."""
        answer = self.taken(data, LINK_IP)
        if isinstance(p.ct, Entry) and (p.ct.status & TEMPLATE) == 0:
            answer.ct = p.ct
            answer.ctinfo = RELATED_REPLY if p.ctinfo < IS_REPLY else RELATED
            show_ct(answer)
        self.originate(answer, False)
        self.spare.append(answer)

    def reset(self, p: Packet, attached: bool) -> None:
        """nf_send_reset, tcp_v4_send_reset; ``attached``: the answer belongs to the packet's connection (nf_ct_attach)."""
        tos: i64 = 0 if attached else p.f[IP_TOS] & ~3  # tcp_v4_send_reset takes it over, reject does not
        data = tcp_reset(p, 64, False, not self.is_seen_to(p), tos)
        if data and attached:
            entry = p.ct
            if isinstance(entry, Entry) and (entry.status & TEMPLATE) == 0 and entry.proto == IPPROTO_TCP:
                self.conntrack.set_closing(entry, self.now)
            self.send_about(p, data)
        elif data:
            self.send_local(data, self.now, False)

    def reject(self, p: Packet, how: i64, code: i64) -> None:
        """nf_send_unreach, nf_send_unreach6, nf_send_reset."""
        if self.nf_hook == NF_INGRESS or self.family not in (PF_IPV4, PF_IPV6):
            self.reject_link(p, how, code)
            return
        if how == RESET:
            self.reset(p, True)
            return
        if not self.is_seen_to(p) and not reject_verifies(p):
            return
        if how == ICMP4:
            self.icmp4(p, DEST_UNREACH, code, 0, self.is_local4(p))
        else:
            self.icmp6(p, DEST_UNREACH6, code, 0)

    def is_seen_to(self, p: Packet) -> bool:
        """nf_ip_checksum: conntrack has looked at the sum, whatever came out, and forwarding has not forgotten it (skb_forward_csum)."""
        return p.summed and self.nf_hook not in (NF_PREROUTING, NF_INPUT, NF_FORWARD)

    def is_local4(self, p: Packet) -> bool:
        """Is the packet for this machine?"""
        hop = self.tables.local(4, 0, p.f[IP_DADDR])
        return hop is not None and hop.kind == LOCAL

    def reject_link(self, p: Packet, how: i64, code: i64) -> None:
        """reject in netdev and bridge hooks; see `tcemu.engine.bridge`."""

    # ------------------------------------------------------------ flow tables

    def offload(self, p: Packet, flows: FlowTable) -> bool:
        """nft_flow_offload_eval: only in the forward hook, and when conntrack and the flow table both agree."""
        entry = p.ct
        hop = self.route
        if not isinstance(entry, Entry) or hop is None or self.nf_hook != NF_FORWARD:
            p.reason = "flow add: no connection"
            return False
        why = flows.refuses(entry, p)
        if why != "":
            if self.observer is not None:
                self.observer.say("offload", why)
            if flows.watch is not None and (entry.status & OFFLOADED) == 0:
                flows.watch.refused(flows.key, entry, why, p, self.now)
            return False
        f = p.f
        reply = p.ctinfo >= IS_REPLY
        this = self.path(flows, hop, f[IIF])
        near = entry.reply if reply else entry.orig
        family: int = entry.family
        back = self.tables.route(family, near.src_high, near.src)
        if back is None or back.device != f[IIF] or back.kind != UNICAST:
            back = Hop()  # nobody knows a way back by that device, so its network is taken to be there
            back.device = f[IIF]
        other = self.path(flows, back, hop.device)
        if reply:
            flow = flows.add(entry, other, this, self.tables.generation, self.now)
        else:
            flow = flows.add(entry, this, other, self.tables.generation, self.now)
        if flows.watch is not None:
            flows.watch.added(flows.key, entry, flows.hardware, flow.there.iif, flow.back.iif, p, self.now)
        return True

    def path(self, flows: FlowTable, hop: Hop, iif: i64) -> Path:
        """One way of a flow along a route.

        Where packets come in by a VLAN device whose lower device is the flow table's, they are found there, with their tag
        (nft_dev_path_info).
        """
        path = Path()
        path.iif, path.oif = iif, hop.device
        came = self.port(iif)
        if came is not None and came.kind == VLAN and came.lower in flows.devices:
            path.iif = came.lower
            path.vlan = came.vlan_tpid << 16 | came.vlan
        path.has_via, path.via_high, path.via = hop.has_via, hop.via_high, hop.via
        port = self.port(hop.device)
        if port is not None:
            path.mtu = port.mtu
        return path

    def fast_path(self, p: Packet, flows: FlowTable) -> i64:
        """nf_flow_offload_ip_hook, nf_flow_offload_ipv6_hook."""
        if (p.groups & (G_CVLAN | G_PPPOE)) != 0:
            return ACCEPT
        tag: i64 = p.f[VLAN_TPID] << 16 | p.f[VLAN_ID] if (p.groups & G_VLAN) != 0 else 0
        flow = flows.lookup(p, p.f[IIF], tag)
        if flow is None:
            if flows.watch is not None:
                flows.tell_bypass(self.conntrack, p, self.now)
            return ACCEPT
        reply = flows.reply
        if not flows.passes(self.conntrack, flow, p, self.length_in(p), self.tables.generation, self.now):
            return ACCEPT
        path = flow.back if reply else flow.there
        target = self.port(path.oif)
        if target is None:
            return DROP
        if tag != 0:
            vlan_pop(p)
        info: i64 = ESTABLISHED_REPLY if reply else ESTABLISHED
        if translate(p, flow.entry, info, SRC) != NF_ACCEPT or translate(p, flow.entry, info, DST) != NF_ACCEPT:
            return DROP
        decrement_ttl(p)
        family: i64 = PF_IPV4 if (p.groups & G_IP4) != 0 else PF_IPV6
        f = p.f
        high, low = path.via_high, path.via
        if not path.has_via:
            high, low = (0, f[IP_DADDR]) if family == PF_IPV4 else (f[IP6_DADDR], f[IP6_DADDR + 1])
        if self.observer is not None:
            self.observer.say("flowtable", flows.key)
        p.l3_end = p.end  # padding goes along
        self.to_neighbour(p, target, family, high, low)
        return STOLEN

    # ------------------------------------------------------------ elsewhere

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

    def tunnel(self, p: Packet, port: Port) -> i64:
        """A tunnel device: wrap, route the outer packet, send it on."""
        self.ident = (self.ident + 1) & 0xFFFF
        out = encapsulate(self.tables, port, p, self.ident)
        if out <= 0:
            return 0  # the tunnel's own transmit function frees what it cannot send and reports success
        p.tunnel = None
        show_tunnel(p)
        p.ct = None
        p.ctinfo = 0
        p.tracked = False
        show_ct(p)
        four = (p.groups & G_IP4) != 0
        hooks = self.hooks4 if four else self.hooks6
        family: i64 = PF_IPV4 if four else PF_IPV6
        target = self.port(out)
        if target is None:
            return -19
        saved, route = self.hook, self.route
        self.hook = AT_STACK
        self.route = self.lookup(p, family)
        p.f[PKT_LEN] = p.end - p.l3
        code = self.run_stages(p, hooks.output, family, 0, out)
        if code == ACCEPT:
            code = self.run_stages(p, hooks.postrouting, family, 0, out)
        self.hook, self.route = saved, route
        return self.transmit(p, target) if code == ACCEPT else 0


# ---------------------------------------------------------------------- small things


def is_martian(source: i64, target: i64) -> bool:
    """Addresses that no wire may bring (ip_route_input_slow): multicast, loopback and nought in the wrong places."""
    if source >> 28 == 0xE or source == 0xFFFFFFFF or source >> 24 == 127 or target >> 24 == 127:
        return True
    if target == 0xFFFFFFFF or (source == 0 and target == 0):
        return False
    return (source >> 24 == 0 and target >> 28 != 0xE) or target >> 24 == 0


def unreachable_errno(hop: Hop | None) -> i64:
    """What sending gives along a route that leads nowhere."""
    if hop is None:
        return ENETUNREACH
    return EACCES if hop.kind == PROHIBIT else EINVAL if hop.kind == BLACKHOLE else EHOSTUNREACH


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
