"""Devices: a packet's way in from a wire and out to one, with what tc and netfilter's netdev hooks do there.

::

    ingress   tc ingress → netdev ingress → VLAN device? → bridge port? → network layer
    transmit  netdev egress → tc egress → the wire, a peer, a bridge, or a tunnel and transmit again

Sources: net/core/dev.c __netif_receive_skb_core, __dev_queue_xmit; net/sched/act_mirred.c tcf_mirred_forward.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.defrag import Defrag
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.engine.effects.track import show_ct
from tcemu.engine.effects.tunnel import show_tunnel
from tcemu.engine.ports import BRIDGE, IFB, LOOPBACK, PHYSICAL, SINK, VETH, VLAN, Port
from tcemu.engine.program import AT_EGRESS, AT_INGRESS, NF_EGRESS, NF_INGRESS, PF_INET, PF_IPV4, PF_IPV6, Env, Program, Way
from tcemu.engine.run import evaluate
from tcemu.fields import (
    ETH_DST,
    G_CT,
    G_CVLAN,
    G_ETH,
    G_IP4,
    G_IP6,
    G_META,
    G_MPLS,
    G_PPPOE,
    G_VLAN,
    IIF,
    L4PROTO,
    OIF,
    PKT_LEN,
    PKTTYPE,
    SLOTS,
    VLAN_ETHTYPE,
    VLAN_ID,
    VLAN_TPID,
)
from tcemu.ir.verdict import ACCEPT, DROP, QUEUE, REDIRECT, STOLEN, TRAP
from tcemu.offload.nft_flows import FlowTable
from tcemu.packet.decode import decode
from tcemu.packet.packet import BROADCAST, HOST, LINK_ETHER, MULTICAST, OTHERHOST, Packet
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6
from tcemu.packet.rewrite import fragment, vlan_pop, vlan_push

XMIT_DROP: Final = 1  # NET_XMIT_DROP
ENETDOWN: Final = -100
ENODEV: Final = -19
EMSGSIZE: Final = -90
ETH_HLEN: Final = 14
ABOVE: Final = G_META | G_ETH | G_VLAN | G_CVLAN | G_MPLS | G_PPPOE | G_IP4 | G_IP6 | G_CT  # groups of headers above the transport's
NO_PROTOCOL: Final = 255


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink:
    """Where packets and verdicts go. The base class forgets them; ``wants_frames`` asks for the calls."""

    def __init__(self) -> None:
        self.wants_frames: bool = False

    def transmit(self, device: int, data: bytes) -> None:
        """A frame left the machine on a device."""

    def stack(self, device: int, data: bytes) -> None:
        """A frame passed ingress and went on to the protocol stack."""

    def local(self, device: int, data: bytes) -> None:
        """An IP packet was delivered to the machine itself."""

    def dropped(self, reason: str) -> None:
        """A packet ended here."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Programs:
    """Programs in user space that the ruleset hands packets to. The base class is nobody."""

    def log(self, prefix: str, level: str, group: int, iif: int, oif: int, link: bytes, data: bytes) -> None:
        """A packet came by an nft log statement; group -1 is the system log, ``link`` the link-layer header if there is one."""

    def queued(self, queue: int, data: bytes) -> int:
        """What becomes of a queued packet: a code of `tcemu.ir.verdict`, or -1 where nobody listens."""
        return -1


class Wire(Env):
    """The devices, and the ways in and out. What stands above and beside them is in the subclasses."""

    __slots__ = (
        "cut",
        "defrag",
        "frames",
        "friendly",
        "hash",
        "hw_bytes",
        "hw_packets",
        "in_ways",
        "out_ways",
        "placeless",
        "program",
        "programs",
        "settled",
        "sink",
        "spare",
    )

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(Conntrack(settings if settings is not None else Settings()))
        self.sink: Sink = sink if sink is not None else Sink()
        self.frames: bool = self.sink.wants_frames
        self.programs: Programs | None = None
        self.program: Program = Program()
        self.in_ways: list[Way | None] = []
        self.out_ways: list[Way | None] = []
        self.spare: list[Packet] = []
        self.defrag: Defrag = Defrag(self.conntrack.settings)
        self.cut: i64 = 0  # bytes that the capture did not keep of the packet at hand
        self.friendly: bool = False  # packets that routing cannot place are taken as forwarded
        self.placeless: bool = False  # friendly, and nobody gave an address or a route
        self.settled: bool = False  # friendly, and somebody did
        self.hash: i64 = 0
        self.hw_packets: i64 = 0  # packets that a network card forwarded or dropped by itself
        self.hw_bytes: i64 = 0

    # ------------------------------------------------------------ in

    def ingress(self, p: Packet, device: i64, typed: bool = False) -> i64:
        """__netif_receive_skb_core: the verdict that ends the packet's way in.

        ``typed``: whose packet it is (skb->pkt_type) is known and stays; else the device's driver finds it out (eth_type_trans).
        """
        ports = self.tables.ports
        port = ports[device] if device < len(ports) else None  # there is none at 0
        if port is None or not port.up:
            p.reason = "the device is gone or down"
            if self.observer is not None:
                self.observer.say("drop", f"{port.name} is down" if port is not None else "there is no such device")
            return DROP
        port.rx_packets += 1
        f = p.f
        f[IIF] = device
        groups = p.groups
        if not typed and (groups & G_ETH) != 0:
            target = f[ETH_DST]
            f[PKTTYPE] = packet_type(target, port.mac) if (target >> 40) & 1 else HOST if target == port.mac else OTHERHOST
        watch = self.observer
        if watch is not None:
            watch.say("in", port.name)
        way = self.in_ways[device]
        if way is not None:
            hook, before, length = self.hook, self.device, self.length
            self.hook = AT_INGRESS
            self.device = device
            self.length = self.length_in(p)
            self.in_hardware = port.hardware
            size = self.length
            verdict = self.run_ways(p, way)
            self.hook, self.device, self.length = hook, before, length
            if self.in_hardware:
                self.in_hardware = False
                if verdict != ACCEPT:
                    self.hw_packets += 1
                    self.hw_bytes += size
            if verdict != ACCEPT:
                return verdict
            groups = p.groups
        if (groups & G_VLAN) != 0 or self.frames or port.master > 0:
            return self.to_stack(p, port)
        return self.to_network(p, port)

    def length_in(self, p: Packet) -> i64:
        """skb->len at ingress: without the Ethernet header and without a tag that the NIC took off."""
        length = p.end - p.start + self.cut
        if p.link == LINK_ETHER:
            length -= ETH_HLEN
            if (p.groups & G_VLAN) != 0:
                length -= 4
        return length if length > 0 else 0

    def run_ways(self, p: Packet, first: Way) -> i64:
        """tc and netdev chains of a device, in order."""
        way: Way | None = first
        while way is not None:
            if way.family == 0:
                code = evaluate(self, p, way.chain)
            else:
                flows = way.flows
                code = self.run_netdev(p, way) if flows is None else self.fast_path(p, flows)
            if code == DROP:
                if self.observer is not None:
                    self.observer.say("drop", p.reason or "a rule says so")
                return DROP
            if code in (STOLEN, QUEUE, TRAP, REDIRECT):
                return code
            way = way.next
        return ACCEPT

    def run_netdev(self, p: Packet, way: Way) -> i64:
        """nft_do_chain_netdev, nft_do_chain_inet_ingress: at egress skb->data is the Ethernet header still, and counts."""
        f = p.f
        family = way.family
        if family == PF_INET:
            if (p.groups & (G_IP4 | G_IP6)) == 0:
                return ACCEPT  # an inet chain sees IP only
            family = PF_IPV4 if (p.groups & G_IP4) != 0 else PF_IPV6
        hook, before = self.nf_hook, self.family
        self.family = family
        groups, proto = p.groups, f[L4PROTO]
        hides = p.lies
        if hides:
            hide_transport(p)
        if self.hook == AT_EGRESS:
            self.nf_hook = NF_EGRESS
            came, f[IIF], f[OIF] = f[IIF], 0, self.device
            f[PKT_LEN] += ETH_HLEN
            code = evaluate(self, p, way.chain)
            f[PKT_LEN] -= ETH_HLEN
            f[IIF] = came
        else:
            self.nf_hook = NF_INGRESS
            f[OIF] = 0
            code = evaluate(self, p, way.chain)
        self.nf_hook, self.family = hook, before
        if hides:
            p.groups, f[L4PROTO] = groups, proto
        return code

    def fast_path(self, p: Packet, flows: FlowTable) -> i64:
        """A flow table at ingress; see `tcemu.engine.fast_path`."""
        return ACCEPT

    def to_stack(self, p: Packet, port: Port) -> i64:
        """Behind ingress: VLAN devices take their tag, bridges what their ports get, then the network layer has the packet."""
        f = p.f
        groups = p.groups
        if (groups & G_VLAN) != 0 and p.link == LINK_ETHER:
            child = port.children.get(f[VLAN_TPID] << 16 | f[VLAN_ID], 0) if len(port.children) > 0 else 0
            if child > 0:
                vlan_pop(p)
                own = self.port(child)
                if f[PKTTYPE] == OTHERHOST and own is not None and f[ETH_DST] == own.mac:
                    f[PKTTYPE] = HOST  # vlan_do_receive
                return self.ingress(p, child, True)
            if self.frames:
                frame = p.data[p.start : p.start + 12] + p.data[p.start + 16 : p.end]
                self.sink.stack(port.index, frame)
            if port.master > 0 and self.is_bridged(port):
                return self.to_bridge(p, port)
            if not self.friendly:
                p.reason = "no device has that VLAN"
                if f[VLAN_ID] == 0:
                    return self.to_network(p, port)
                # IP is another host's then, and ip_rcv drops it; what no protocol takes ends without a word
                return DROP if f[VLAN_ETHTYPE] in (ETH_P_IP, ETH_P_IPV6) else ACCEPT
            return self.to_network(p, port)
        if self.frames:
            self.sink.stack(port.index, p.data[p.start : p.end])
        if port.master > 0 and self.is_bridged(port):
            return self.to_bridge(p, port)
        return self.to_network(p, port)

    def to_network(self, p: Packet, port: Port) -> i64:
        """The network layer gets a packet; see `tcemu.engine.stack`."""
        return ACCEPT

    def is_bridged(self, port: Port) -> bool:
        """Is it a port of a bridge that is up?"""
        master = self.port(port.master)
        return master is not None and master.kind == BRIDGE

    def to_bridge(self, p: Packet, port: Port) -> i64:
        """A bridge gets a frame from a port; see `tcemu.engine.bridge`."""
        return ACCEPT

    # ------------------------------------------------------------ out

    def port(self, device: i64) -> Port | None:
        """The device of an index."""
        return self.tables.ports[device] if 0 < device < len(self.tables.ports) else None

    def device_up(self, device: i64) -> bool:
        port = self.port(device)
        return port is not None and port.up

    def forward(self, p: Packet, device: i64, ingress: bool, copy: bool) -> i64:
        """tcf_mirred_forward."""
        port = self.port(device)
        if port is None:
            return ENODEV
        packet = self.copied(p) if copy else p
        in_hardware, self.in_hardware = self.in_hardware, False
        if packet.ct is not None or packet.tracked:
            # "all mirred/redirected skbs should clear previous ct info" (nf_reset_ct); post_ct goes with the classifier's cb
            packet.ct = None
            packet.ctinfo = 0
            packet.tracked = False
            show_ct(packet)
        if not ingress:
            code = self.transmit(packet, port)
        else:
            verdict = self.ingress(packet, device, True)
            code = XMIT_DROP if verdict == DROP or (verdict == ACCEPT and self.is_unwanted(packet)) else 0
        self.in_hardware = in_hardware
        if copy:
            self.spare.append(packet)
        return code

    def is_unwanted(self, p: Packet) -> bool:
        """Did ip_rcv_core or ip6_rcv_core drop, as another host's, what ingress let pass?"""
        groups = p.groups
        if (
            (groups & (G_IP4 | G_IP6)) == 0
            or (groups & (G_MPLS | G_PPPOE | G_CVLAN)) != 0
            or (self.friendly and not self.tables.configured)
        ):
            return False
        return p.f[PKTTYPE] == OTHERHOST

    def copied(self, p: Packet) -> Packet:
        """skb_clone: a packet of its own with the same bytes and marks."""
        other = self.spare.pop() if len(self.spare) > 0 else Packet()
        other.data, other.start, other.end, other.wire, other.ts, other.link = p.data, p.start, p.end, p.wire, p.ts, p.link
        at: i64 = 0
        while at < SLOTS:
            other.f[at] = p.f[at]
            at += 1
        other.groups, other.number = p.groups, p.number
        other.l3, other.l4, other.l3_end, other.payload, other.broken = p.l3, p.l4, p.l3_end, p.payload, p.broken
        other.lies = p.lies
        other.ct, other.ctinfo, other.tracked, other.track_zone = p.ct, p.ctinfo, p.tracked, p.track_zone
        other.tunnel, other.mru, other.loops, other.reason = p.tunnel, p.mru, p.loops, p.reason
        other.traced, other.summed = p.traced, p.summed
        other.pieces = None  # a clone is cut anew
        return other

    def transmit(self, p: Packet, port: Port) -> i64:
        """__dev_queue_xmit: egress chains, then the device; a reassembled packet is cut again first (sch_frag_xmit_hook)."""
        if p.mru > 0 and p.l3_end - p.l3 > p.mru:
            return self.cut_again(p, port)
        if not port.up:
            return ENETDOWN
        way = self.out_ways[port.index]
        if way is not None:
            hook, before, length = self.hook, self.device, self.length
            self.hook = AT_EGRESS
            self.device = port.index
            self.length = p.end - p.start + self.cut
            if (p.groups & G_VLAN) != 0:
                self.length -= 4
            verdict = self.run_ways(p, way)
            self.hook, self.device, self.length = hook, before, length
            if verdict == DROP:
                return XMIT_DROP
            if verdict != ACCEPT:
                return 0
        return self.send(p, port)

    def cut_again(self, p: Packet, port: Port) -> i64:
        """A packet that tc ct put together leaves as fragments, no larger than it came in nor than the device takes (sch_fragment)."""
        code: i64 = 0
        mtu = p.mru
        if port.mtu < mtu:
            if (p.groups & G_IP6) != 0:
                p.reason = f"longer than the MTU of {port.name}"
                return EMSGSIZE
            mtu = port.mtu
        for piece in fragment(p, mtu, self.hash):
            part = self.copied(p)
            size: i64 = len(piece)
            part.data, part.start, part.end, part.mru = piece, 0, size, 0
            part.wire = size
            decode(part)
            code = self.transmit(part, port)
            self.spare.append(part)
        return code

    def send(self, p: Packet, port: Port) -> i64:
        """The device's own transmit function."""
        port.tx_packets += 1
        if self.observer is not None:
            self.observer.say("out", port.name)
        kind = port.kind
        if kind in (PHYSICAL, SINK):
            if self.frames:
                self.sink.transmit(port.index, p.data[p.start : p.end])
            return 0
        if kind == VLAN:
            lower = self.port(port.lower)
            if lower is None:
                return ENODEV
            vlan_push(p, port.vlan_tpid, port.vlan)
            return self.transmit(p, lower)
        if kind in (VETH, IFB, LOOPBACK):
            peer = port.peer if kind == VETH else port.index
            if kind != LOOPBACK:
                self.scrub(p)
            return 0 if self.ingress(p, peer) != DROP else XMIT_DROP
        if kind == BRIDGE:
            return self.from_bridge(p, port)
        return self.tunnel(p, port)

    def from_bridge(self, p: Packet, port: Port) -> i64:
        """The machine itself sends by a bridge; see `tcemu.engine.bridge`."""
        return 0

    def tunnel(self, p: Packet, port: Port) -> i64:
        """A tunnel device; see `tcemu.engine.output`."""
        return 0

    def scrub(self, p: Packet) -> None:
        """skb_scrub_packet: what does not survive a change of device."""
        p.ct = None
        p.ctinfo = 0
        p.tracked = False
        p.tunnel = None
        show_ct(p)
        show_tunnel(p)

    def defragment(self, p: Packet, zone: i64) -> i64:
        """Reassembly, one queue set per zone of tc ct and some below nought for the hooks."""
        held = self.defrag.add(p, zone)
        if held == 0 and p.mru > 0:
            # what is counted from here on is the whole packet (act_ct.c: pkt_len = skb->len)
            self.length = p.end - p.start if self.hook == AT_EGRESS else self.length_in(p)
        return held


def hide_transport(p: Packet) -> None:
    """nft_set_pktinfo_ipv4_validate: behind an IP header that lies about lengths, a link layer's chains see no transport protocol."""
    p.groups &= ABOVE
    p.f[L4PROTO] = NO_PROTOCOL


def packet_type(target: i64, own: i64) -> i64:
    """eth_type_trans."""
    if target == own:
        return HOST
    if (target >> 40) & 1:
        return BROADCAST if target == 0xFFFFFFFFFFFF else MULTICAST
    return OTHERHOST
