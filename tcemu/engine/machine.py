"""The machine: a packet's way through devices, tc, netfilter's hooks and routing.

::

    receive → tc ingress → netdev ingress → stack ┬ VLAN device, bridge
                                                  └ prerouting → route ┬ input → local (sockets, tunnels)
                                                                       └ forward → postrouting → transmit
    transmit → netdev egress → tc egress → the wire, a peer, or a tunnel and transmit again

One packet runs to its end before the next (net/core/dev.c __netif_receive_skb_core, __dev_queue_xmit). Linux 6.1 sends
mirred's nested ingress packets straight on (tc-act-mirred-loop), so nothing is queued here either.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.defrag import Defrag
from tcemu.conntrack.entry import CONFIRMED
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.engine.effects.track import show_ct
from tcemu.engine.effects.tunnel import show_tunnel
from tcemu.engine.ports import IFB, LOOPBACK, PHYSICAL, SINK, VETH, VLAN, HostTables, Port
from tcemu.engine.program import AT_EGRESS, AT_INGRESS, AT_STACK, Env, Program, Way
from tcemu.engine.run import evaluate
from tcemu.engine.stages import CONFIRM, CONNTRACK, DEFRAG, NAT_RULES, RULES, Hooks, Stage, build
from tcemu.engine.tunnels import decapsulate, encapsulate, lead
from tcemu.fields import (
    DPORT,
    ETH_DST,
    G_ETH,
    G_FRAG,
    G_IP4,
    G_IP6,
    G_TCP,
    G_UDP,
    G_VLAN,
    IIF,
    IP6_DADDR,
    IP_DADDR,
    IP_TTL,
    OIF,
    PKT_LEN,
    PKTTYPE,
    SLOTS,
    VLAN_ID,
    VLAN_TPID,
)
from tcemu.ir.verdict import ACCEPT, DROP, QUEUE, REDIRECT, STOLEN, TRAP
from tcemu.packet.decode import decode, load
from tcemu.packet.packet import BROADCAST, HOST, LINK_ETHER, LINK_IP, MULTICAST, OTHERHOST, UNTRACKED, Packet
from tcemu.packet.reply import icmp_error4, icmp_error6, tcp_reset
from tcemu.packet.rewrite import decrement_ttl, fragment, set_macs, vlan_pop, vlan_push

NF_ACCEPT: Final = 1
XMIT_DROP: Final = 1  # NET_XMIT_DROP
ENETDOWN: Final = -100
ENODEV: Final = -19
ENETUNREACH: Final = 101
EPERM: Final = 1


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


class Machine(Env):
    """See the module's text. All devices, routes and chains in it are of one moment; `plug` and `load_program` renew them."""

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(Conntrack(settings if settings is not None else Settings()))
        self.sink: Sink = sink if sink is not None else Sink()
        self.frames: bool = self.sink.wants_frames
        self.tables: HostTables = HostTables()
        self.program: Program = Program()
        self.hooks4: Hooks = Hooks()
        self.hooks6: Hooks = Hooks()
        self.in_ways: list[Way | None] = []
        self.out_ways: list[Way | None] = []
        self.packet: Packet = Packet()
        self.spare: list[Packet] = []
        self.defrag: Defrag = Defrag(self.conntrack.settings)
        self.cut: i64 = 0  # bytes that the capture did not keep of the packet at hand
        self.friendly: bool = False  # packets that routing cannot place are taken as forwarded
        self.hash: i64 = 0
        self.ident: i64 = 0  # of IPv4 packets that the machine makes; the kernel's are random
        self.answers: bool = False  # closed ports answer, as they do on a real machine
        self.tcp_ports: set[int] = set()
        self.udp_ports: set[int] = set()
        # final verdicts of received packets
        self.received: i64 = 0
        self.accepted: i64 = 0
        self.dropped: i64 = 0
        self.redirected: i64 = 0
        self.held: i64 = 0  # fragments that wait for others or went into a whole packet, and packets that were queued
        self.trapped: i64 = 0
        self.verdict: i64 = ACCEPT  # of the last one
        self.next_tick: i64 = 0

    # ------------------------------------------------------------ renewing

    def set_tables(self, tables: HostTables) -> None:
        """Take the host's devices, routes and neighbours."""
        self.tables = tables
        self._ways()

    def load(self, program: Program) -> None:
        """Take a program."""
        for zone, flows in self.program.flow_tables.items():
            # connections stay in the flow table of their zone while some action of it lives
            if zone in program.flow_tables:
                program.flow_tables[zone] = flows
        self.program = program
        for flows in program.flow_tables.values():
            flows.tcp_timeout = self.conntrack.settings.flow_tcp
            flows.udp_timeout = self.conntrack.settings.flow_udp
        self.hooks4 = build(program, "ip")
        self.hooks6 = build(program, "ip6")
        self._ways()

    def _ways(self) -> None:
        count = len(self.tables.ports)
        self.in_ways = [_linked(self.program.ingress.get(index, [])) for index in range(count)]
        self.out_ways = [_linked(self.program.egress.get(index, [])) for index in range(count)]

    # ------------------------------------------------------------ in

    def receive(self, data: bytes, start: i64, end: i64, wire: i64, ts: i64, link: i64, device: i64) -> None:
        """A frame arrives on a device at a time (ns)."""
        p = self.packet
        load(p, data, start, end, wire, ts, link, device)
        p.number = self.received = self.received + 1
        self.now = ts
        if ts >= self.next_tick:
            self.advance(ts)
        self.cut = wire - (end - start)
        verdict = self.verdict = self.ingress(p, device)
        if verdict == ACCEPT:
            self.accepted += 1
        elif verdict == DROP:
            self.dropped += 1
        elif verdict == TRAP:
            self.trapped += 1
        elif verdict == REDIRECT:
            self.redirected += 1
        else:
            self.held += 1

    def advance(self, now: i64) -> None:
        """Let time pass: connections, fragments and flows expire."""
        self.now = now
        self.next_tick = now + 100_000_000
        for flows in self.program.flow_tables.values():
            flows.collect(self.conntrack, now)
        self.conntrack.turn(now)
        self.defrag.expire(now)

    def settle(self, now: i64) -> None:
        """As `advance`, and look at every connection: for those who list or keep them."""
        self.advance(now)
        self.conntrack.sweep(now)

    def ingress(self, p: Packet, device: i64) -> i64:
        """__netif_receive_skb_core: the verdict that ends the packet's way in."""
        ports = self.tables.ports
        port = ports[device] if 0 < device < len(ports) else None
        if port is None or not port.up:
            p.reason = "the device is gone or down"
            if self.observer is not None:
                self.observer.say("drop", f"{port.name} is down" if port is not None else "there is no such device")
            return DROP
        port.rx_packets += 1
        f = p.f
        f[IIF] = device
        groups = p.groups
        if (groups & G_ETH) != 0:
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
            verdict = self.run_ways(p, way)
            self.hook, self.device, self.length = hook, before, length
            if verdict != ACCEPT:
                return verdict
            groups = p.groups
        if (groups & G_VLAN) != 0 or self.frames:
            return self.to_stack(p, port)
        return self.to_network(p, port)

    def length_in(self, p: Packet) -> i64:
        """skb->len at ingress: without the Ethernet header and without a tag that the NIC took off."""
        length = p.end - p.start + self.cut
        if p.link == LINK_ETHER:
            length -= 14
            if (p.groups & G_VLAN) != 0:
                length -= 4
        return length if length > 0 else 0

    def run_ways(self, p: Packet, first: Way) -> i64:
        """tc and netdev chains of a device, in order."""
        way: Way | None = first
        while way is not None:
            code = evaluate(self, p, way.chain)
            if code == DROP:
                if self.observer is not None:
                    self.observer.say("drop", p.reason or "a rule says so")
                return DROP
            if code in (STOLEN, QUEUE, TRAP, REDIRECT):
                return code
            way = way.next
        return ACCEPT

    def to_stack(self, p: Packet, port: Port) -> i64:
        """Behind ingress: VLAN devices take their tag, then the network layer has the packet."""
        f = p.f
        groups = p.groups
        if (groups & G_VLAN) != 0 and p.link == LINK_ETHER:
            child = port.children.get(f[VLAN_TPID] << 16 | f[VLAN_ID], 0) if len(port.children) > 0 else 0
            if child > 0:
                vlan_pop(p)
                return self.ingress(p, child)
            if self.frames:
                frame = p.data[p.start : p.start + 12] + p.data[p.start + 16 : p.end]
                self.sink.stack(port.index, frame)
            if not self.friendly:
                p.reason = "no device has that VLAN"
                return DROP if f[VLAN_ID] != 0 else self.to_network(p, port)
            return self.to_network(p, port)
        if self.frames:
            self.sink.stack(port.index, p.data[p.start : p.end])
        return self.to_network(p, port)

    def to_network(self, p: Packet, port: Port) -> i64:
        """ip_rcv and ip6_rcv; other protocols are accepted and end here."""
        groups = p.groups
        if (groups & (G_IP4 | G_IP6)) == 0:
            return ACCEPT
        placeless = self.friendly and not self.tables.configured
        f = p.f
        if not placeless and f[PKTTYPE] == OTHERHOST:
            return ACCEPT  # promiscuous taps saw it; ip_rcv lets it go without a word
        if p.broken and p.broken.startswith("IPv"):
            p.reason = p.broken
            return DROP
        f[PKT_LEN] = p.end - p.l3 + self.cut
        if (groups & G_IP4) != 0:
            return self._ip4(p, port, placeless)
        return self._ip6(p, port, placeless)

    # ------------------------------------------------------------ the hooks

    def run_stages(self, p: Packet, first: Stage | None, device: i64) -> i64:
        """nf_hook_slow over the stages of a hook; a nat chain sees only what its own machinery hands it."""
        stage = first
        while stage is not None:
            kind = stage.kind
            if kind == RULES:
                only = stage.device
                if not only or only == device:
                    chain = stage.chain
                    assert chain is not None
                    code = evaluate(self, p, chain)
                    if code != ACCEPT:
                        return code
            elif kind == CONNTRACK:
                if self.conntrack.track(p, 0, 3, True) != NF_ACCEPT:
                    return DROP
                show_ct(p)
                if self.observer is not None:
                    self.observer.say("ct", self.ask("ct", p))
            elif kind == CONFIRM:
                ct = p.ct
                if ct is not None and (ct.status & CONFIRMED) == 0 and self.conntrack.confirm(p) != NF_ACCEPT:
                    p.reason = "the entry was not confirmed"
                    return DROP
            elif kind == DEFRAG:
                if (p.groups & G_FRAG) != 0 or p.mru > 0:
                    held = self.defragment(p, -1)
                    if held != 0:
                        return STOLEN if held > 0 else DROP
            elif kind == NAT_RULES:
                pass
            stage = stage.next
        return ACCEPT

    def _ip4(self, p: Packet, port: Port, placeless: bool) -> i64:
        saved = self.hook
        self.hook = AT_STACK
        code = self.run_stages(p, self.hooks4.prerouting, port.index)
        if code == ACCEPT:
            hop = self.tables.route(4, 0, p.f[IP_DADDR])
            if hop is not None and hop.kind == 1:
                code = self.deliver(p, port, self.hooks4.input)
            elif placeless:
                code = self.run_stages(p, self.hooks4.forward, port.index)
                if code == ACCEPT:
                    code = self.run_stages(p, self.hooks4.postrouting, port.index)
            elif hop is None or hop.kind != 0 or not self.tables.forward4:
                p.reason = "no route, or forwarding is off"
                code = ACCEPT
            else:
                code = self._forward(p, port, self.hooks4, 4, 0, hop.via if hop.has_via else p.f[IP_DADDR], hop.device)
        self.hook = saved
        return code

    def _ip6(self, p: Packet, port: Port, placeless: bool) -> i64:
        saved = self.hook
        self.hook = AT_STACK
        f = p.f
        code = self.run_stages(p, self.hooks6.prerouting, port.index)
        if code == ACCEPT:
            hop = self.tables.route(6, f[IP6_DADDR], f[IP6_DADDR + 1])
            if hop is not None and hop.kind == 1:
                code = self.deliver(p, port, self.hooks6.input)
            elif placeless:
                code = self.run_stages(p, self.hooks6.forward, port.index)
                if code == ACCEPT:
                    code = self.run_stages(p, self.hooks6.postrouting, port.index)
            elif hop is None or hop.kind != 0 or not self.tables.forward6:
                p.reason = "no route, or forwarding is off"
                code = ACCEPT
            else:
                high, low = (hop.via_high, hop.via) if hop.has_via else (f[IP6_DADDR], f[IP6_DADDR + 1])
                code = self._forward(p, port, self.hooks6, 6, high, low, hop.device)
        self.hook = saved
        return code

    def deliver(self, p: Packet, port: Port, stages: Stage | None) -> i64:
        """ip_local_deliver: input, then whoever listens: tunnels here, raw sockets in the sink."""
        code = self.run_stages(p, stages, port.index)
        if code != ACCEPT:
            return code
        if self.frames:
            self.sink.local(port.index, p.data[p.l3 : p.l3_end])
        inner = decapsulate(self.tables, p)
        if inner < 0:
            return DROP
        if inner == 0 and self.answers:
            self.answer(p)
        if inner > 0:
            show_tunnel(p)
            p.ct = None
            p.ctinfo = 0
            p.tracked = False
            show_ct(p)
            return self.ingress(p, inner)
        return ACCEPT

    def _forward(self, p: Packet, port: Port, hooks: Hooks, family: i64, high: i64, low: i64, out: i64) -> i64:
        """ip_forward: TTL, forward, postrouting, neighbour, transmit."""
        if p.f[IP_TTL] <= 1:
            p.reason = "the time to live is over"
            return DROP
        p.f[OIF] = out
        decrement_ttl(p)
        code = self.run_stages(p, hooks.forward, port.index)
        if code == ACCEPT:
            code = self.run_stages(p, hooks.postrouting, out)
        if code != ACCEPT:
            return code
        target = self.port(out)
        mac = self.tables.neighbour(out, high, low)
        if target is None or mac < 0:
            p.reason = "the neighbour is not known"
            return DROP
        set_macs(p, mac, target.mac)
        self.transmit(p, target)
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
        if packet.ct is not None or packet.tracked:
            # "all mirred/redirected skbs should clear previous ct info" (nf_reset_ct); post_ct goes with the classifier's cb
            packet.ct = None
            packet.ctinfo = 0
            packet.tracked = False
            show_ct(packet)
        if not ingress:
            code = self.transmit(packet, port)
        else:
            code = 0 if self.ingress(packet, device) != DROP else XMIT_DROP
        if copy:
            self.spare.append(packet)
        return code

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
        other.ct, other.ctinfo, other.tracked, other.track_zone = p.ct, p.ctinfo, p.tracked, p.track_zone
        other.tunnel, other.mru, other.loops, other.reason = p.tunnel, p.mru, p.loops, p.reason
        other.pieces = None  # a clone is cut anew
        return other

    def transmit(self, p: Packet, port: Port) -> i64:
        """__dev_queue_xmit: egress chains, then the device; a reassembled packet is cut again first (sch_frag_xmit_hook)."""
        if p.mru > 0 and p.l3_end - p.l3 > p.mru:
            code: i64 = 0
            for piece in fragment(p, p.mru, self.hash):
                part = self.copied(p)
                part.data, part.start, part.end, part.mru = piece, 0, len(piece), 0
                part.wire = part.end
                decode(part)
                code = self.transmit(part, port)
                self.spare.append(part)
            return code
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
            self._scrub(p)
            return 0 if self.ingress(p, peer) != DROP else XMIT_DROP
        return self._tunnel(p, port)

    def _tunnel(self, p: Packet, port: Port) -> i64:
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
        hooks = self.hooks4 if (p.groups & G_IP4) != 0 else self.hooks6
        target = self.port(out)
        if target is None:
            return ENODEV
        saved = self.hook
        self.hook = AT_STACK
        code = self.run_stages(p, hooks.output, 0)
        if code == ACCEPT:
            code = self.run_stages(p, hooks.postrouting, out)
        self.hook = saved
        return self.transmit(p, target) if code == ACCEPT else 0

    def _scrub(self, p: Packet) -> None:
        """skb_scrub_packet: what does not survive a change of device."""
        p.ct = None
        p.ctinfo = 0
        p.tracked = False
        p.tunnel = None
        show_ct(p)
        show_tunnel(p)

    # ------------------------------------------------------------ services of Env

    def defragment(self, p: Packet, zone: i64) -> i64:
        """Reassembly, one queue set per zone of tc ct and one for the hooks (zone -1)."""
        held = self.defrag.add(p, zone)
        if held == 0 and p.mru > 0:
            # what is counted from here on is the whole packet (act_ct.c: pkt_len = skb->len)
            self.length = p.end - p.start if self.hook == AT_EGRESS else self.length_in(p)
        return held

    def ask(self, what: str, p: Packet) -> str:
        if what == "ct":
            return describe_ct(p)
        return ""

    def answer(self, p: Packet) -> None:
        """What a closed port says: ICMP port unreachable, or a TCP reset (__udp4_lib_rcv, tcp_v4_rcv)."""
        f = p.f
        if f[PKTTYPE] != HOST:
            return
        port = int(f[DPORT])
        if (p.groups & G_UDP) != 0 and port not in self.udp_ports:
            self.ident = (self.ident + 1) & 0xFFFF
            if (p.groups & G_IP4) != 0:
                data = icmp_error4(p, 3, 3, 0, f[IP_DADDR], 1500, self.ident)
            else:
                data = icmp_error6(p, 1, 4, 0, f[IP6_DADDR], f[IP6_DADDR + 1])
        elif (p.groups & G_TCP) != 0 and port not in self.tcp_ports:
            data = tcp_reset(p)
        else:
            return
        if data:
            self.send_local(data, self.now)

    def send_local(self, data: bytes, ts: i64) -> i64:
        """A packet of the machine's own: output, postrouting, out; an errno."""
        p = self.spare.pop() if len(self.spare) > 0 else Packet()
        load(p, data, 0, len(data), len(data), ts, LINK_IP, 0)
        show_ct(p)
        self.now = ts
        cut, self.cut = self.cut, 0
        code = self._originate(p)
        self.cut = cut
        self.spare.append(p)
        return code

    def _originate(self, p: Packet) -> i64:
        """ip_local_out."""
        f = p.f
        four = (p.groups & G_IP4) != 0
        hooks = self.hooks4 if four else self.hooks6
        high: i64 = 0 if four else f[IP6_DADDR]
        low = f[IP_DADDR] if four else f[IP6_DADDR + 1]
        hop = self.tables.route(4 if four else 6, high, low)
        if hop is None:
            return ENETUNREACH
        f[OIF] = hop.device
        f[PKT_LEN] = p.end - p.l3
        saved = self.hook
        self.hook = AT_STACK
        code = self.run_stages(p, hooks.output, hop.device)
        dropped = code != ACCEPT
        if not dropped:
            code = self.run_stages(p, hooks.postrouting, hop.device)
        self.hook = saved
        if dropped:
            return EPERM
        if code == ACCEPT:
            out = lead(self.tables, p, p.data[p.start : p.end], 4 if four else 6, high, low)
            target = self.port(out)
            if target is not None:
                self.transmit(p, target)
        return 0


def packet_type(target: i64, own: i64) -> i64:
    """eth_type_trans."""
    if target == own:
        return HOST
    if (target >> 40) & 1:
        return BROADCAST if target == 0xFFFFFFFFFFFF else MULTICAST
    return OTHERHOST


def describe_ct(p: Packet) -> str:
    """What conntrack made of the packet, in words."""
    if p.ct is None:
        return "untracked" if p.ctinfo == UNTRACKED else f"invalid: {p.reason}" if p.reason else "invalid"
    names = {0: "established", 1: "related", 2: "new", 3: "established, reply", 4: "related, reply"}
    text = names.get(p.ctinfo, "?")
    return f"{text} ({p.reason})" if p.reason else text


def _linked(ways: list[Way]) -> Way | None:
    for here, behind in pairwise(ways):
        here.next = behind
    if ways:
        ways[-1].next = None
    return ways[0] if ways else None


def values(count: i64) -> vec[i64]:
    """Room for numbers."""
    return vec[i64]([0] * count)
