"""Tunnel devices: wrapping what they transmit, and taking out what arrives for them.

Sources: drivers/net/vxlan/vxlan_core.c vxlan_xmit_one, vxlan_rcv; drivers/net/geneve.c geneve_xmit_skb, geneve_rx; net/ipv4/ip_gre.c
gre_fb_xmit, __ipgre_rcv.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.ports import GENEVE, GRE, GRETAP, VXLAN, HostTables, Port
from tcemu.fields import DPORT, G_GRE, G_IP4, G_IP6, G_UDP, IP_SADDR, IP_TOS, L4PROTO, NETPROTO, SPORT
from tcemu.packet.build import ethernet
from tcemu.packet.decode import decode
from tcemu.packet.packet import LINK_ETHER, LINK_IP, Packet, TunnelInfo
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6, ETH_P_TEB
from tcemu.packet.rewrite import mark_congestion
from tcemu.packet.tunnel import GENEVE as WIRE_GENEVE
from tcemu.packet.tunnel import GRE as WIRE_GRE
from tcemu.packet.tunnel import VXLAN as WIRE_VXLAN
from tcemu.packet.tunnel import ecn_decapsulate, ecn_encapsulate, inner_protocol, unwrap, wrap

HOPLIMIT: Final = 64  # net.ipv4.ip_default_ttl
PORT_LOW: Final = 32768  # net.ipv4.ip_local_port_range
PORT_HIGH: Final = 60999


def wire_kind(kind: i64) -> i64:
    """The header that a device's kind puts on."""
    if kind == VXLAN:
        return WIRE_VXLAN
    return WIRE_GENEVE if kind == GENEVE else WIRE_GRE


def encapsulate(tables: HostTables, port: Port, p: Packet, ident: i64) -> i64:
    """Make the packet the frame that leaves below the tunnel device; the index of the device below, 0 when it goes nowhere."""
    info = _sent(port, p)
    if info is None:
        p.reason = "the tunnel device has no metadata to send by"
        return 0
    info.tos = ecn_encapsulate(info.tos, p.f[IP_TOS] if (p.groups & (G_IP4 | G_IP6)) != 0 else 0)
    inner_end = p.end
    bare = port.kind == GRE
    start = p.l3 if bare and p.l3 >= 0 else p.start
    proto = p.f[NETPROTO] if bare else ETH_P_TEB
    outer = wrap(p.data[start:inner_end], wire_kind(port.kind), info, _source_port(port, p), ident, proto)
    return lead(tables, p, outer, info.family, info.target_high, info.target)


def lead(tables: HostTables, p: Packet, outer: bytes, family: i64, high: i64, low: i64) -> i64:
    """Make the packet a frame of the IP packet ``outer`` on its way to an address; the device, 0 where there is no way."""
    hop = tables.route(family, high, low)
    if hop is None or hop.kind != 0:
        p.reason = "there is no route to the other end"
        return 0
    if hop.has_via:
        high, low = hop.via_high, hop.via
    out = tables.ports[hop.device]
    mac = tables.neighbour(hop.device, high, low)
    if out is None or mac < 0:
        p.reason = "the neighbour is not known"
        return 0
    p.data = ethernet(mac, out.mac, ETH_P_IP if family == 4 else ETH_P_IPV6) + outer
    p.start = 0
    p.end = p.wire = len(p.data)
    p.link = LINK_ETHER
    decode(p)
    return hop.device


def _sent(port: Port, p: Packet) -> TunnelInfo | None:
    """What to send by: the packet's metadata on an external device, else the device's own parameters."""
    given = p.tunnel
    info = TunnelInfo()
    if port.external:
        if given is None or not given.transmit:
            return None
        info.family, info.key, info.has_key = given.family, given.key, given.has_key
        info.source_high, info.source = given.source_high, given.source
        info.target_high, info.target = given.target_high, given.target
        info.dport = given.dport if given.dport != 0 else port.port
        info.ttl, info.tos, info.csum, info.nofrag = given.ttl, given.tos, given.csum, given.nofrag
        info.options, info.options_kind = given.options, given.options_kind
    else:
        if port.remote == 0 and port.remote_high == 0:
            return None
        info.family, info.key, info.has_key = port.family, port.key, port.key != 0 or port.kind in (VXLAN, GENEVE)
        info.source_high, info.source = port.local_high, port.local
        info.target_high, info.target = port.remote_high, port.remote
        info.dport, info.ttl, info.tos, info.csum = port.port, port.ttl, port.tos, port.udp_csum
    if info.ttl == 0:
        info.ttl = HOPLIMIT
    return info


def _source_port(port: Port, p: Packet) -> i64:
    """udp_flow_src_port: a hash of the flow into the range. The kernel's hash has a random key; ours has none."""
    low = port.sport_low if port.sport_low > 0 else PORT_LOW
    high = port.sport_high if port.sport_high > 0 else PORT_HIGH
    f = p.f
    mixed = ((f[IP_SADDR] & 0x3FFFFFFF) * 31 + f[SPORT] * 17 + f[DPORT] + f[L4PROTO]) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return low + ((mixed * (high - low)) >> 32)


def decapsulate(tables: HostTables, p: Packet) -> i64:
    """Make a packet that was delivered to the machine what a tunnel device receives of it; the device, 0 when it is for none."""
    groups = p.groups
    if (groups & G_UDP) != 0:
        device = _owner(tables, VXLAN, p.f[DPORT])
        kind: i64 = VXLAN
        if device == 0:
            device = _owner(tables, GENEVE, p.f[DPORT])
            kind = GENEVE
    elif (groups & G_GRE) != 0:
        device = _owner(tables, GRETAP, 0)
        kind = GRETAP
        if device == 0:
            device = _owner(tables, GRE, 0)
            kind = GRE
    else:
        return 0
    if device == 0:
        return 0
    info = TunnelInfo()
    at = unwrap(p, wire_kind(kind), info)
    if at < 0:
        return -1
    chosen = tables.tunnel_port(kind, p.f[DPORT], info.key)
    port = tables.ports[chosen] if chosen > 0 else None
    if port is None:
        p.reason = "no tunnel device has that key"
        return -1
    outer_tos = p.f[IP_TOS]
    bare = inner_protocol(p, wire_kind(kind)) != ETH_P_TEB
    cut = p.wire - (p.end - p.start)
    p.start, p.end = at, p.l3_end
    p.wire = p.end - p.start + cut
    p.link = LINK_IP if bare else LINK_ETHER
    p.tunnel = info if port.external else None
    decode(p)
    if (p.groups & (G_IP4 | G_IP6)) != 0:
        congestion = ecn_decapsulate(outer_tos, p.f[IP_TOS])
        if congestion == 2:
            p.reason = "congestion was met outside, and the packet inside cannot say so"
            return -1
        if congestion == 0 and (outer_tos & 3) == 3:
            mark_congestion(p)
    return chosen


def _owner(tables: HostTables, kind: i64, udp_port: i64) -> i64:
    """Some device of the kind that listens there."""
    for port in tables.ports:
        if port is not None and port.kind == kind and port.up and (kind in (GRE, GRETAP) or port.port == udp_port):
            return port.index
    return 0
