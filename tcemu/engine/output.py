"""Out of the machine: what is forwarded, what the machine sends itself, its errors and refusals.

::

    send → output → postrouting → fragments → neighbour

Sources: net/ipv4/ip_output.c, icmp.c; net/ipv6/ip6_output.c, icmp.c; net/ipv4/netfilter/nf_reject_ipv4.c, net/ipv6/netfilter/nf_reject_ipv6.c.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import TEMPLATE, Entry
from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.divert import ICMP4, RESET
from tcemu.engine.effects.track import show_ct
from tcemu.engine.effects.tunnel import show_tunnel
from tcemu.engine.last_hop import LastHop
from tcemu.engine.neigh import Peers
from tcemu.engine.policies import Asked
from tcemu.engine.ports import (
    BLACKHOLE,
    BROADCAST,
    LOCAL,
    LOOPBACK,
    PROHIBIT,
    RTN_MULTICAST,
    UNICAST,
    Hop,
    Port,
)
from tcemu.engine.program import (
    AT_STACK,
    NF_FORWARD,
    NF_INGRESS,
    NF_INPUT,
    NF_PREROUTING,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.engine.stages import Hooks
from tcemu.engine.tunnels import encapsulate
from tcemu.engine.wire import Sink
from tcemu.fields import (
    G_IP4,
    G_IP6,
    IIF,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_FRAG,
    IP_SADDR,
    IP_TOS,
    MARK,
    PKT_LEN,
    PKTTYPE,
)
from tcemu.ir.verdict import ACCEPT, DROP
from tcemu.packet.decode import decode, load
from tcemu.packet.packet import (
    HOST,
    IS_REPLY,
    LINK_IP,
    RELATED,
    RELATED_REPLY,
    Conn,
    Packet,
)
from tcemu.packet.protocols import IP_DF, IPPROTO_TCP
from tcemu.packet.reply import icmp_error4, icmp_error6, reject_verifies, tcp_reset
from tcemu.packet.rewrite import fragment

EPERM: Final = 1
ENETUNREACH: Final = 101
EHOSTUNREACH: Final = 113
EINVAL: Final = 22
EACCES: Final = 13
EMSGSIZE: Final = 90
DEST_UNREACH: Final = 3  # ICMP
FRAG_NEEDED: Final = 4
DEST_UNREACH6: Final = 1  # ICMPv6
TOO_BIG6: Final = 2
LEAST_MTU6: Final = 1280


class Output(LastHop):
    """The way out of the network layer."""

    __slots__ = (
        "hooks4",
        "hooks6",
        "ident",
        "peers",
    )

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.hooks4: Hooks = Hooks()
        self.hooks6: Hooks = Hooks()
        self.ident: i64 = 0  # of IPv4 packets that the machine makes; the kernel's are random
        self.peers: Peers = Peers()

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
            if length <= (p.mru if p.mru > 0 else mtu):
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
        if len(self.tables.policies) > 0:
            return self.tables.policed(self.asked(p, self.tables.loopback))
        if family == PF_IPV4:
            return self.tables.route(4, 0, f[IP_DADDR])
        return self.tables.route(6, f[IP6_DADDR], f[IP6_DADDR + 1])

    def asked(self, p: Packet, device: i64) -> Asked:
        """What a packet is routed by; ``device``: where it came in, the loopback device for the machine's own."""
        f = p.f
        asked = Asked()
        asked.mark, asked.device = f[MARK], device
        if (p.groups & G_IP4) != 0:
            asked.source, asked.target = f[IP_SADDR], f[IP_DADDR]
        else:
            asked.family = 6
            asked.source_high, asked.source = f[IP6_SADDR], f[IP6_SADDR + 1]
            asked.target_high, asked.target = f[IP6_DADDR], f[IP6_DADDR + 1]
        return asked

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

    def emit(self, data: bytes, ct: Conn | None, info: i64) -> None:
        made = self.taken(data, LINK_IP)
        made.ct, made.ctinfo = ct, info if ct is not None else 0
        show_ct(made)
        self.originate(made, False)
        self.spare.append(made)

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


def unreachable_errno(hop: Hop | None) -> i64:
    """What sending gives along a route that leads nowhere."""
    if hop is None:
        return ENETUNREACH
    return EACCES if hop.kind == PROHIBIT else EINVAL if hop.kind == BLACKHOLE else EHOSTUNREACH
