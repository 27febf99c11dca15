"""Decoding transport headers: TCP, UDP, UDP-Lite, ICMP, ICMPv6, SCTP, DCCP, GRE, ESP, AH, IGMP, L2TPv3, IPComp.

`transport` is called for whole packets and for first fragments. It returns the groups that it filled:

* ``G_PORTS`` when the two ports are there (flower and nft need no more);
* the protocol's group when its fixed header is there and sane, so that its slots can be read;
* ``G_L4`` when the header is whole, options included. A protocol that is not known has no header to check.

Source: net/core/flow_dissector.c (__skb_flow_dissect_ports, _tcp, skb_flow_get_icmp_tci, _gre, _l2tpv3), whose least lengths these are.
"""

from __future__ import annotations

from librt.strings import read_i64_be
from librt.vecs import vec
from mypy_extensions import i64

from tcemu.fields import (
    DPORT,
    G_AH,
    G_COMP,
    G_DCCP,
    G_ESP,
    G_GRE,
    G_ICMP,
    G_ICMP6,
    G_IGMP,
    G_L2TP,
    G_L4,
    G_PORTS,
    G_SCTP,
    G_TCP,
    G_UDP,
    G_UDPLITE,
    GRE_FLAGS,
    GRE_KEY,
    ICMP_CODE,
    ICMP_ID,
    ICMP_SEQ,
    ICMP_TYPE,
    L2TP_SID,
    SCTP_VTAG,
    SPI,
    SPORT,
    TCP_ACK,
    TCP_CSUM,
    TCP_DOFF,
    TCP_FLAGS,
    TCP_SEQ,
    TCP_URG,
    TCP_WINDOW,
    UDP_CSUM,
    UDP_LEN,
)
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    GRE_ACK,
    GRE_CSUM,
    GRE_KEY_FLAG,
    GRE_SEQ,
    GRE_VERSION,
    IPPROTO_AH,
    IPPROTO_COMP,
    IPPROTO_DCCP,
    IPPROTO_ESP,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_IGMP,
    IPPROTO_L2TP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)


def transport(p: Packet, f: vec[i64], d: bytes, proto: i64, at: i64, end: i64) -> i64:
    """Decode the transport header of ``d[at:end]``; set ``p.payload``; give the groups that are there."""
    room = end - at
    if proto == IPPROTO_TCP:
        if room < 20:
            p.broken = "TCP header cut"
            return _ports(f, d, at, room)
        w = read_i64_be(d, at)
        f[SPORT] = (w >> 48) & 0xFFFF
        f[DPORT] = (w >> 32) & 0xFFFF
        sequence = w & 0xFFFFFFFF
        w = read_i64_be(d, at + 8)
        doff = (w >> 28) & 0xF
        if doff < 5:
            p.broken = "TCP data offset below 5"
            return G_PORTS
        f[TCP_SEQ] = sequence
        f[TCP_ACK] = (w >> 32) & 0xFFFFFFFF
        f[TCP_DOFF] = doff
        f[TCP_FLAGS] = (w >> 16) & 0xFFF
        f[TCP_WINDOW] = w & 0xFFFF
        w = read_i64_be(d, at + 12)
        f[TCP_CSUM] = (w >> 16) & 0xFFFF
        f[TCP_URG] = w & 0xFFFF
        doff *= 4
        if doff > room:
            p.broken = "TCP options cut"
            return G_PORTS | G_TCP
        p.payload = at + doff
        return G_L4 | G_PORTS | G_TCP
    if proto == IPPROTO_UDP:
        return _udp(p, f, d, at, room, G_L4 | G_PORTS | G_UDP)
    if proto == IPPROTO_ICMP:
        return _icmp(p, f, d, at, room, G_L4 | G_ICMP)
    if proto == IPPROTO_ICMPV6:
        return _icmp(p, f, d, at, room, G_L4 | G_ICMP6)
    if proto == IPPROTO_UDPLITE:
        return _udp(p, f, d, at, room, G_L4 | G_PORTS | G_UDPLITE)
    p.payload = at
    whole = _seldom(p, f, d, proto, at, room)
    if (whole & G_L4) == 0:
        p.payload = -1
    return whole


def _udp(p: Packet, f: vec[i64], d: bytes, at: i64, room: i64, whole: i64) -> i64:
    """UDP and UDP-Lite: whether the length field tells the truth is for those who check sums (conntrack)."""
    if room < 8:
        p.broken = "UDP header cut"
        return _ports(f, d, at, room)
    w = read_i64_be(d, at)
    f[SPORT] = (w >> 48) & 0xFFFF
    f[DPORT] = (w >> 32) & 0xFFFF
    f[UDP_LEN] = (w >> 16) & 0xFFFF
    f[UDP_CSUM] = w & 0xFFFF
    p.payload = at + 8
    return whole


def _icmp(p: Packet, f: vec[i64], d: bytes, at: i64, room: i64, whole: i64) -> i64:
    """ICMP and ICMPv6; id and sequence are the second word, whatever the type makes of it."""
    if room < 8:
        p.broken = "ICMP header cut"
        return 0
    w = read_i64_be(d, at)
    f[ICMP_TYPE] = (w >> 56) & 0xFF
    f[ICMP_CODE] = (w >> 48) & 0xFF
    f[ICMP_ID] = (w >> 16) & 0xFFFF
    f[ICMP_SEQ] = w & 0xFFFF
    p.payload = at + 8
    return whole


def _ports(f: vec[i64], d: bytes, at: i64, room: i64) -> i64:
    """The ports alone, of a header that is cut behind them."""
    if room < 4:
        return 0
    f[SPORT] = d[at] << 8 | d[at + 1]
    f[DPORT] = d[at + 2] << 8 | d[at + 3]
    return G_PORTS


def _word(d: bytes, at: i64) -> i64:
    """Four bytes where eight may not be there."""
    return d[at] << 24 | d[at + 1] << 16 | d[at + 2] << 8 | d[at + 3]


def _seldom(p: Packet, f: vec[i64], d: bytes, proto: i64, at: i64, room: i64) -> i64:
    """The rarer protocols; the caller has set ``p.payload`` to the header's start."""
    if proto == IPPROTO_SCTP:
        if room < 12:
            p.broken = "SCTP header cut"
            return _ports(f, d, at, room)
        f[SCTP_VTAG] = _word(d, at + 4)
        p.payload = at + 12
        return G_L4 | G_SCTP | _ports(f, d, at, room)
    if proto == IPPROTO_DCCP:
        return _dccp(p, d, at, room) | _ports(f, d, at, room)
    if proto == IPPROTO_GRE:
        return _gre(p, f, d, at, room)
    if proto == IPPROTO_ESP:
        if room < 8:
            p.broken = "ESP header cut"
            return 0
        f[SPI] = _word(d, at)
        return G_L4 | G_ESP
    if proto == IPPROTO_AH:
        if room < 12:
            p.broken = "AH header cut"
            return 0
        f[SPI] = _word(d, at + 4)
        return G_L4 | G_AH
    if proto == IPPROTO_L2TP:
        if room < 4:
            p.broken = "L2TP header cut"
            return 0
        f[L2TP_SID] = _word(d, at)
        return G_L4 | G_L2TP
    if proto == IPPROTO_IGMP and room < 8:
        p.broken = "IGMP header cut"
        return 0
    if proto == IPPROTO_COMP and room < 4:
        p.broken = "IPComp header cut"
        return 0
    return G_L4 | (G_IGMP if proto == IPPROTO_IGMP else G_COMP if proto == IPPROTO_COMP else 0)


def _dccp(p: Packet, d: bytes, at: i64, room: i64) -> i64:
    """RFC 4340, 5.1: the header's length is a field; at least 12 bytes, 16 with long sequence numbers."""
    least: i64 = 16 if room >= 12 and (d[at + 8] & 1) != 0 else 12
    if room < least:
        p.broken = "DCCP header cut"
        return 0
    length: i64 = d[at + 4] * 4
    if length < least or length > room:
        p.broken = "DCCP data offset lies"
        return G_DCCP
    p.payload = at + length
    return G_L4 | G_DCCP


def _gre(p: Packet, f: vec[i64], d: bytes, at: i64, room: i64) -> i64:
    """RFC 2890: four bytes, then checksum, key and sequence number as the flags say; version 1 (RFC 2637) may add an acknowledgement.

    The key of version 1 holds the payload length in its high half and the call id in its low half.
    """
    if room < 4:
        p.broken = "GRE header cut"
        return 0
    flags: i64 = d[at] << 8 | d[at + 1]
    key: i64 = 0
    length: i64 = 8 if flags & GRE_CSUM else 4
    if flags & GRE_KEY_FLAG:
        if length + 4 <= room:
            key = _word(d, at + length)
        length += 4
    if flags & GRE_SEQ:
        length += 4
    if flags & GRE_VERSION == 1 and flags & GRE_ACK:
        length += 4
    f[GRE_FLAGS] = flags
    f[GRE_KEY] = key
    if length > room:
        p.broken = "GRE header cut"
        return G_GRE
    p.payload = at + length
    return G_L4 | G_GRE
