"""Tunnels: VXLAN, Geneve and GRE put around packets and taken off, with their metadata.

`wrap` gives the outer IP packet; the route and the link header are the caller's. `unwrap` finds the inner packet and tells what the
outer headers said. Neither changes a packet: what comes out is for `load`.

    outer IP | UDP | VXLAN 8 bytes       | inner frame              RFC 7348
    outer IP | UDP | Geneve 8 + options  | inner frame              RFC 8926
    outer IP | GRE 4 to 16 bytes         | inner frame or IP packet RFC 2784, RFC 2890

Sources: drivers/net/vxlan/vxlan_core.c vxlan_build_skb, vxlan_rcv; drivers/net/geneve.c geneve_build_header, geneve_udp_encap_recv,
geneve_rx; net/ipv4/gre_demux.c gre_parse_header; include/net/gre.h gre_build_header; net/ipv4/udp_tunnel_core.c udp_tunnel_xmit_skb,
udp_tun_rx_dst; net/ipv4/ip_tunnel_core.c iptunnel_xmit; include/net/inet_ecn.h.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import DPORT, G_GRE, G_IP4, G_IP6, G_L4, G_UDP, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, IP_TOS, IP_TTL, SPORT, UDP_CSUM
from tcemu.packet.build import ip4_header, ip6_header, udp4, udp6
from tcemu.packet.checksum import checksum, is_cut, sum_bytes
from tcemu.packet.edit import be16, be32, get16, get32
from tcemu.packet.packet import Packet, TunnelInfo
from tcemu.packet.protocols import (
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_TEB,
    GRE_CSUM,
    GRE_KEY_FLAG,
    GRE_ROUTING,
    GRE_SEQ,
    GRE_VERSION,
    IPPROTO_GRE,
    IPPROTO_UDP,
)

VXLAN: Final = 1
GENEVE: Final = 2
GRE: Final = 3

VXLAN_VNI_FLAG: Final = 0x08000000
VXLAN_GBP_FLAG: Final = 0x80000000
VXLAN_DONT_LEARN: Final = 0x00400000  # VXLAN_GBP_DONT_LEARN of the metadata, and its bit of the header
VXLAN_APPLIED: Final = 0x00080000
GENEVE_OAM: Final = 0x0080
GENEVE_CRITICAL: Final = 0x0040


# ---------------------------------------------------------------- putting on
def wrap(inner: bytes, kind: i64, info: TunnelInfo, sport: i64, ident: i64, proto: i64 = ETH_P_TEB, gbp: bool = False) -> bytes:
    """The outer IP packet around ``inner``; info tells addresses, key, ports, ttl, tos, DF and whether to sum up.

    sport: UDP source port (the kernel hashes the flow); ident: IPv4 identification; proto: ethertype of ``inner`` (Geneve, GRE);
    gbp: a VXLAN device with group policy; its options are the four bytes of struct vxlan_metadata, high byte first.
    """
    if kind == GRE:
        return _outer(_gre(inner, info, proto), IPPROTO_GRE, info, ident)
    payload = (_vxlan_header(info, gbp) if kind == VXLAN else _geneve_header(info, proto)) + inner
    if info.family == 4:
        datagram = udp4(info.source, info.target, sport, info.dport, payload, info.csum)
    else:
        datagram = udp6(info.source_high, info.source, info.target_high, info.target, sport, info.dport, payload, info.csum)
    return _outer(datagram, IPPROTO_UDP, info, ident)


def _outer(payload: bytes, proto: i64, info: TunnelInfo, ident: i64) -> bytes:
    size: i64 = len(payload)
    if info.family == 4:
        return ip4_header(info.source, info.target, proto, size, info.ttl, info.tos, ident, info.nofrag) + payload
    return ip6_header(info.source_high, info.source, info.target_high, info.target, proto, size, info.ttl, info.tos, 0) + payload


def _vxlan_header(info: TunnelInfo, gbp: bool) -> bytes:
    flags: i64 = VXLAN_VNI_FLAG
    if gbp and info.options_kind == "vxlan" and len(info.options) >= 4:
        policy = get32(info.options, 0)
        if policy != 0:
            flags |= VXLAN_GBP_FLAG | (policy & (VXLAN_DONT_LEARN | VXLAN_APPLIED | 0xFFFF))
    return be32(flags) + be32(info.key << 8)


def _geneve_header(info: TunnelInfo, proto: i64) -> bytes:
    options = info.options if info.options_kind == "geneve" else b""
    first: i64 = len(options) // 4 << 8
    first |= (GENEVE_OAM if info.oam else 0) | (GENEVE_CRITICAL if info.critical else 0)
    return be16(first) + be16(proto) + be32(info.key << 8) + options


def _gre(inner: bytes, info: TunnelInfo, proto: i64) -> bytes:
    flags: i64 = (GRE_CSUM if info.csum else 0) | (GRE_KEY_FLAG if info.has_key else 0)
    head = be16(flags) + be16(proto)
    key = be32(info.key) if info.has_key else b""
    if not info.csum:
        return head + key + inner
    whole = head + b"\0\0\0\0" + key + inner
    return whole[:4] + be16(checksum(whole, 0, len(whole), 0) or 0xFFFF) + whole[6:]


# ---------------------------------------------------------------- taking off
def unwrap(p: Packet, kind: i64, info: TunnelInfo, gbp: bool = False) -> i64:
    """Offset of the inner packet in ``p.data`` (its end is ``p.l3_end``), with ``info`` filled; -1, and why in ``p.reason``, for what the device drops.

    What is inside is an Ethernet frame, unless `inner_protocol` says otherwise. Ports and VNI are not compared with any device's.
    """
    f = p.f
    if p.groups & G_L4 == 0 or p.groups & (G_UDP if kind != GRE else G_GRE) == 0:
        p.reason = "tunnel: no such header"
        return -1
    if p.groups & G_IP4:
        info.family = 4
        info.source_high = info.target_high = 0
        info.source, info.target = f[IP_SADDR], f[IP_DADDR]
    elif p.groups & G_IP6:
        info.family = 6
        info.source_high, info.source = f[IP6_SADDR], f[IP6_SADDR + 1]
        info.target_high, info.target = f[IP6_DADDR], f[IP6_DADDR + 1]
    info.tos, info.ttl = f[IP_TOS], f[IP_TTL]
    info.transmit = info.nofrag = info.oam = info.critical = False
    info.options, info.options_kind = b"", ""
    info.sport, info.dport = f[SPORT], f[DPORT]
    info.csum = p.groups & G_UDP != 0 and f[UDP_CSUM] != 0
    if kind == GRE:
        return _unwrap_gre(p, info)
    info.has_key = True
    if p.l3_end - p.payload < 8:
        p.reason = "tunnel: header cut"
        return -1
    return _unwrap_vxlan(p, info, gbp) if kind == VXLAN else _unwrap_geneve(p, info)


def inner_protocol(p: Packet, kind: i64) -> i64:
    """Ethertype of what `unwrap` found: ETH_P_TEB for a frame."""
    if kind == VXLAN:
        return ETH_P_TEB
    return get16(p.data, p.payload + 2) if kind == GENEVE else get16(p.data, p.l4 + 2)


def _unwrap_vxlan(p: Packet, info: TunnelInfo, gbp: bool) -> i64:
    at = p.payload
    flags, vni = get32(p.data, at), get32(p.data, at + 4)
    if flags & VXLAN_VNI_FLAG == 0:
        p.reason = "vxlan: the VNI flag is not set"
        return -1
    info.key = vni >> 8
    if gbp and flags & VXLAN_GBP_FLAG:
        info.options = be32(flags & (VXLAN_DONT_LEARN | VXLAN_APPLIED | 0xFFFF))
        info.options_kind = "vxlan"
    if gbp:
        flags &= ~(VXLAN_GBP_FLAG | VXLAN_DONT_LEARN | VXLAN_APPLIED | 0xFFFF)
    if flags & ~VXLAN_VNI_FLAG != 0 or vni & 0xFF != 0:
        p.reason = "vxlan: reserved bits are set"
        return -1
    return at + 8


def _unwrap_geneve(p: Packet, info: TunnelInfo) -> i64:
    at = p.payload
    first = get16(p.data, at)
    size = (first >> 8 & 0x3F) * 4
    if first >> 14 != 0:
        p.reason = "geneve: version is not 0"
        return -1
    if get16(p.data, at + 2) not in (ETH_P_TEB, ETH_P_IP, ETH_P_IPV6):
        p.reason = "geneve: what it carries is not known"
        return -1
    if p.l3_end - at < 8 + size:
        p.reason = "geneve: options cut"
        return -1
    info.key = get32(p.data, at + 4) >> 8
    info.oam, info.critical = first & GENEVE_OAM != 0, first & GENEVE_CRITICAL != 0
    if size > 0:
        info.options, info.options_kind = p.data[at + 8 : at + 8 + size], "geneve"
    return at + 8 + size


def _unwrap_gre(p: Packet, info: TunnelInfo) -> i64:
    flags = get16(p.data, p.l4)
    if flags & (GRE_VERSION | GRE_ROUTING) != 0:
        p.reason = "gre: version is not 0, or routing is set"
        return -1
    if flags & GRE_CSUM and not is_cut(p) and sum_bytes(p.data, p.l4, p.l3_end) != 0xFFFF:
        p.reason = "gre: bad checksum"
        return -1
    at = p.l4 + (8 if flags & GRE_CSUM else 4)
    info.csum = flags & GRE_CSUM != 0
    info.has_key = flags & GRE_KEY_FLAG != 0
    info.key = get32(p.data, at) if info.has_key else 0
    info.sport = info.dport = 0
    return at + (4 if info.has_key else 0) + (4 if flags & GRE_SEQ else 0)


# ---------------------------------------------------------------- congestion marks (RFC 6040)
def ecn_encapsulate(outer: i64, inner: i64) -> i64:
    """The outer type of service with the inner's mark (INET_ECN_encapsulate); a congested inner makes ECT(0)."""
    return (outer & 0xFC) | (2 if inner & 3 == 3 else inner & 3)


def ecn_decapsulate(outer: i64, inner: i64) -> i64:
    """0 all well, 1 odd but taken, 2 the packet is dropped: congested outside, not capable inside (__INET_ECN_decapsulate).

    With 0 and an outer mark of 3 the inner packet is to be marked (`mark_congestion`).
    """
    if inner & 3 != 0 or outer & 3 == 0:
        return 0
    return 2 if outer & 3 == 3 else 1
