"""Tuples: read from packets and from the packets inside ICMP errors, turned round, compared.

Sources: net/netfilter/nf_conntrack_core.c (nf_ct_get_tuple, ipv4_get_l4proto, ipv6_get_l4proto, nf_ct_invert_tuple),
net/ipv6/exthdrs_core.c ipv6_skip_exthdr, nf_conntrack_proto_gre.c gre_pkt_to_tuple.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i32_be, read_i64_be
from mypy_extensions import i64

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.linux.answers import answer_of
from tcemu.fields import (
    DPORT,
    FRAG_FLAGS,
    G_FRAG,
    G_GRE,
    G_ICMP,
    G_ICMP6,
    G_IP4,
    G_PORTS,
    ICMP_CODE,
    ICMP_ID,
    ICMP_TYPE,
    IP6_DADDR,
    IP6_PLEN,
    IP6_SADDR,
    IP_DADDR,
    IP_LEN,
    IP_SADDR,
    L4PROTO,
    SPORT,
)
from tcemu.packet.packet import Packet

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
DCCP: Final = 33
GRE: Final = 47
ICMPV6: Final = 58
SCTP: Final = 132
UDPLITE: Final = 136

M32: Final = 0xFFFFFFFF

# IPv6 extension headers that are skipped
HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
AUTH: Final = 51
NO_NEXT: Final = 59
DESTINATION: Final = 60

GRE_VERSION: Final = 0x0007
GRE_PPTP: Final = 1
GRE_PPP: Final = 0x880B


def has_ports(proto: i64) -> bool:
    """Does the protocol's tuple hold two ports that stand first in its header?"""
    return proto in (TCP, UDP, SCTP, DCCP, UDPLITE)


def l3_length(p: Packet) -> i64:
    """skb->len from the network header on; for a packet that the capture cut, what its own length field says."""
    if p.wire <= p.end - p.start:
        return p.l3_end - p.l3
    length = p.f[IP_LEN] if (p.groups & G_IP4) != 0 else 40 + p.f[IP6_PLEN]
    whole = p.wire - (p.l3 - p.start)
    return length if length < whole else whole


def from_packet(p: Packet, t: Tuple) -> bool:
    """nf_ct_get_tuple on a decoded packet; False, with the reason in the packet, when it has none."""
    f = p.f
    groups = p.groups
    if p.l4 < 0 or ((groups & G_FRAG) != 0 and f[FRAG_FLAGS] == 1):
        p.reason = p.broken or "conntrack: no transport header (a later fragment, or the packet ends before it)"
        return False
    if f[L4PROTO] == NO_NEXT and (groups & G_IP4) == 0:
        p.reason = "conntrack: no transport header (IPv6 next header 59)"
        return False
    if (groups & G_IP4) != 0:
        t.src_high = t.dst_high = 0
        t.src = f[IP_SADDR]
        t.dst = f[IP_DADDR]
    else:
        t.src_high = f[IP6_SADDR]
        t.src = f[IP6_SADDR + 1]
        t.dst_high = f[IP6_DADDR]
        t.dst = f[IP6_DADDR + 1]
    if (groups & G_PORTS) != 0:
        t.sport = f[SPORT]
        t.dport = f[DPORT]
        return True
    t.sport = t.dport = 0
    if (groups & (G_ICMP | G_ICMP6)) != 0:
        t.sport = f[ICMP_ID]
        t.dport = f[ICMP_TYPE] << 8 | f[ICMP_CODE]
    elif (groups & G_GRE) != 0:
        return gre_keys(p, p.l4, p.l3_end, t)
    elif has_ports(f[L4PROTO]) or f[L4PROTO] == ICMP or f[L4PROTO] == ICMPV6:
        p.reason = p.broken or "conntrack: the transport header is cut"
        return False
    return True


def gre_keys(p: Packet, at: i64, end: i64, t: Tuple) -> bool:
    """gre_pkt_to_tuple: PPTP has call ids, all other GRE nothing."""
    data = p.data
    if end - at < 8 or (i64(read_i16_be(data, at)) & GRE_VERSION) != GRE_PPTP:
        return True
    kind = i64(read_i16_be(data, at + 2)) & 0xFFFF
    if kind != GRE_PPP:
        p.reason = f"gre: version 1 carries protocol 0x{int(kind):04x}, not PPP"
        return False
    t.dport = i64(read_i16_be(data, at + 6)) & 0xFFFF
    return True


def inner(p: Packet, at: i64, family: i64, t: Tuple) -> i64:
    """nf_ct_get_tuplepr: the tuple of the packet that begins at ``at`` inside another; its protocol, or -1."""
    proto: i64 = -1
    end = p.l3_end
    data = p.data
    if family == 4:
        if end - at < 20 or (i64(read_i16_be(data, at + 6)) & 0x1FFF) != 0:
            return -1
        first: i64 = data[at]
        proto = data[at + 9]
        t.src_high = t.dst_high = 0
        t.src = i64(read_i32_be(data, at + 12)) & 0xFFFFFFFF
        t.dst = i64(read_i32_be(data, at + 16)) & 0xFFFFFFFF
        at += (first & 15) * 4
    else:
        if end - at < 40:
            return -1
        proto = data[at + 6]
        t.src_high = read_i64_be(data, at + 8)
        t.src = read_i64_be(data, at + 16)
        t.dst_high = read_i64_be(data, at + 24)
        t.dst = read_i64_be(data, at + 32)
        at += 40
        while proto in (HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, DESTINATION):
            if end - at < 8:
                return -1
            if proto == FRAGMENT and (i64(read_i16_be(data, at + 2)) & 0xFFF8) != 0:
                return -1
            units: i64 = data[at + 1]
            size = 8 if proto == FRAGMENT else ((units + 2) * 4 if proto == AUTH else (units + 1) * 8)
            proto = data[at]
            at += size
        if proto == NO_NEXT:
            return -1
    if at > end:
        return -1
    return proto if inner_ports(p, at, end, proto, t) else -1


def inner_ports(p: Packet, at: i64, end: i64, proto: i64, t: Tuple) -> bool:
    """The transport half of `inner`."""
    data = p.data
    t.sport = t.dport = 0
    if has_ports(proto):
        if end - at < 4:
            return False
        t.sport = i64(read_i16_be(data, at)) & 0xFFFF
        t.dport = i64(read_i16_be(data, at + 2)) & 0xFFFF
    elif proto in (ICMP, ICMPV6):
        if end - at < 8:
            return False
        t.dport = i64(read_i16_be(data, at)) & 0xFFFF
        t.sport = i64(read_i16_be(data, at + 4)) & 0xFFFF
    elif proto == GRE:
        return gre_keys(p, at, end, t)
    return True


def invert(proto: i64, t: Tuple, out: Tuple) -> bool:
    """nf_ct_invert_tuple: the tuple of the answer; False when there can be none (an ICMP type that nothing answers)."""
    out.src_high = t.dst_high
    out.src = t.dst
    out.dst_high = t.src_high
    out.dst = t.src
    if proto in (ICMP, ICMPV6):
        kind = t.dport >> 8
        back = answer_of(proto, kind)
        if back < 0:
            return False
        out.sport = t.sport
        out.dport = back << 8 | (t.dport & 0xFF)
        return True
    out.sport = t.dport
    out.dport = t.sport
    return True


def copy(t: Tuple, out: Tuple) -> None:
    """Make ``out`` the same as ``t``."""
    out.src_high = t.src_high
    out.src = t.src
    out.dst_high = t.dst_high
    out.dst = t.dst
    out.sport = t.sport
    out.dport = t.dport


def equal(a: Tuple, b: Tuple) -> bool:
    """nf_ct_tuple_equal, for tuples of one protocol and family."""
    return (
        a.src == b.src
        and a.dst == b.dst
        and a.sport == b.sport
        and a.dport == b.dport
        and a.src_high == b.src_high
        and a.dst_high == b.dst_high
    )


def hash_of(t: Tuple, family: i64, proto: i64, zone: i64) -> i64:
    """60 bits, the same for a tuple and its inverse. See `hash_ends`."""
    if proto in (ICMP, ICMPV6):  # the id, not the type: that differs between request and answer
        return hash_ends(t.src_high, t.src, t.sport, t.dst_high, t.dst, t.sport, family, proto, zone)
    return hash_ends(t.src_high, t.src, t.sport, t.dst_high, t.dst, t.dport, family, proto, zone)


def hash_entry(entry: Entry, zone: i64) -> i64:
    """`hash_of` of the original tuple, and of the reply tuple where it is that one turned round."""
    family: int = entry.family
    proto: int = entry.proto
    sport = entry.ports >> 16
    dport = sport if proto in (ICMP, ICMPV6) else entry.ports & 0xFFFF
    return hash_ends(entry.src_high, entry.src, sport, entry.dst_high, entry.dst, dport, family, proto, zone)


def hash_ends(src_high: i64, src: i64, sport: i64, dst_high: i64, dst: i64, dport: i64, family: i64, proto: i64, zone: i64) -> i64:
    """A key out of two ends in either order: 30 bits that tell ends apart, the highest of them always set, then 30 that say where.

    What neighbours differ in (the last two bits of addresses, the last bit of ports) is in the last three bits of "where" alone. All
    factors stay below 2**62, so that compiled and interpreted code agree.
    """
    x = (src >> 2) ^ (src >> 32) ^ ((sport >> 1) * 0x9E3779B1)
    y = (dst >> 2) ^ (dst >> 32) ^ ((dport >> 1) * 0x9E3779B1)
    if family == 6:
        x ^= src_high ^ (src_high >> 29)
        y ^= dst_high ^ (dst_high >> 29)
    x = (x & M32) * 0x2545F491
    y = (y & M32) * 0x2545F491
    h = (x ^ (x >> 31)) + (y ^ (y >> 31))
    h = ((h ^ (h >> 32) ^ (proto << 24) ^ (zone << 8)) & M32) * 0x27D4EB2F
    h ^= h >> 32
    near = ((src ^ dst) & 3) ^ (((sport ^ dport) & 1) << 2)
    where = ((h ^ (h >> 15)) & 0x3FFFFFFF) ^ near
    ends = ((src ^ (sport << 16)) & M32) * 0x2C1B3C6D + ((dst ^ (dport << 16)) & M32) * 0x2C1B3C6D
    return ((ends >> 24) & 0x1FFFFFFF | 0x20000000) << 30 | where
