"""Decoding network headers: IPv4 with options and fragments, IPv6 with its chain of extension headers.

Both give the groups that they filled and set ``p.l3_end``, ``p.l4`` and ``p.payload``. What is behind the length
that the header names does not belong to the packet (it is padding, or a lie) and is not decoded.

``p.l4`` is -1 when there is no transport header to look at: in a later fragment, or behind a broken header.

Sources: RFC 791, RFC 8200; net/core/flow_dissector.c (which ethertype, protocol and fragment flags flower sees);
include/net/netfilter/nf_tables_ipv4.h and net/ipv6/exthdrs_core.c ipv6_find_hdr (checks, and the way through the chain).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from librt.vecs import vec
from mypy_extensions import i64

from tcemu.fields import (
    FRAG_FLAGS,
    G_FRAG,
    G_IP4,
    G_IP6,
    IP6_DADDR,
    IP6_FLOW,
    IP6_NEXTHDR,
    IP6_PLEN,
    IP6_SADDR,
    IP_CSUM,
    IP_DADDR,
    IP_FRAG,
    IP_ID,
    IP_IHL,
    IP_LEN,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    L4PROTO,
)
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_AH, IPPROTO_DSTOPTS, IPPROTO_FRAGMENT, IPPROTO_HOPOPTS, IPPROTO_NONE, IPPROTO_ROUTING
from tcemu.packet.transport import transport

MAX_EXTENSIONS: Final = 15  # net/core/flow_dissector.c MAX_FLOW_DISSECT_HDRS


def ipv4(p: Packet, f: vec[i64], d: bytes, at: i64, end: i64) -> i64:
    """Decode the IPv4 packet at ``d[at:end]``; ``end`` is the window's."""
    if end - at < 20:
        p.broken = "IPv4 header cut"
        p.lies = True
        return 0
    w = read_i64_be(d, at)
    first = (w >> 56) & 0xFF
    ihl: i64 = 20
    if first != 0x45:
        ihl = (first & 0xF) * 4
        if ihl < 20:
            p.broken = "IPv4 header length below 20"
            p.lies = True
            return 0
        if first >> 4 != 4:
            p.broken = "IPv4 version is not 4"  # ip_rcv drops it, but neither flower nor tc ct looks at the version
            p.lies = True
    total = (w >> 32) & 0xFFFF
    fragment = w & 0xFFFF
    f[IP_TOS] = (w >> 48) & 0xFF
    f[IP_LEN] = total
    f[IP_ID] = (w >> 16) & 0xFFFF
    f[IP_FRAG] = fragment
    f[IP_IHL] = ihl >> 2
    w = read_i64_be(d, at + 8)
    proto = (w >> 48) & 0xFF
    f[IP_TTL] = (w >> 56) & 0xFF
    f[L4PROTO] = proto
    f[IP_CSUM] = (w >> 32) & 0xFFFF
    f[IP_SADDR] = w & 0xFFFFFFFF
    f[IP_DADDR] = read_i64_be(d, at + 12) & 0xFFFFFFFF
    flags: i64 = 0
    groups: i64 = G_IP4
    if fragment & 0x3FFF:
        flags = 1 if fragment & 0x1FFF else 3
        groups = G_IP4 | G_FRAG
    f[FRAG_FLAGS] = flags
    l3_end = at + total
    if l3_end > end:
        if total > p.wire - (at - p.start):
            p.broken = "IPv4 total length past the end"
            p.lies = True
        l3_end = end
    l4 = at + ihl
    if l4 > l3_end:
        p.broken = "IPv4 total length below the header's" if total < ihl else "IPv4 options cut"
        p.lies = True
        p.l3_end = l4 if l4 < end else end
        return groups
    p.l3_end = l3_end
    if flags == 1:
        p.payload = l4
        return groups
    p.l4 = l4
    return groups | transport(p, f, d, proto, l4, l3_end)


def ipv6(p: Packet, f: vec[i64], d: bytes, at: i64, end: i64) -> i64:
    """Decode the IPv6 packet at ``d[at:end]``; ``end`` is the window's."""
    if end - at < 40:
        p.broken = "IPv6 header cut"
        p.lies = True
        return 0
    w = read_i64_be(d, at)
    if (w >> 60) & 0xF != 6:
        p.broken = "IPv6 version is not 6"
        p.lies = True
    length = (w >> 16) & 0xFFFF
    proto = (w >> 8) & 0xFF
    f[IP_TOS] = (w >> 52) & 0xFF
    f[IP6_FLOW] = (w >> 32) & 0xFFFFF
    f[IP6_PLEN] = length
    f[IP6_NEXTHDR] = proto
    f[IP_TTL] = w & 0xFF
    f[IP6_SADDR] = read_i64_be(d, at + 8)
    f[IP6_SADDR + 1] = read_i64_be(d, at + 16)
    f[IP6_DADDR] = read_i64_be(d, at + 24)
    f[IP6_DADDR + 1] = read_i64_be(d, at + 32)
    l4 = at + 40
    l3_end = l4 + length
    if l3_end > end:
        if length + 40 > p.wire - (at - p.start):
            p.broken = "IPv6 payload length past the end"
            p.lies = True
        l3_end = end
    elif length == 0 and proto == IPPROTO_HOPOPTS:
        l3_end = end  # a jumbogram (RFC 2675) has its length in an option
    p.l3_end = l3_end
    if proto in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS, IPPROTO_NONE):
        return G_IP6 | _extensions(p, f, d, proto, l4, l3_end)
    f[FRAG_FLAGS] = 0
    f[L4PROTO] = proto
    p.l4 = l4
    return G_IP6 | transport(p, f, d, proto, l4, l3_end)


def _extensions(p: Packet, f: vec[i64], d: bytes, proto: i64, at: i64, end: i64) -> i64:
    """Walk the chain to the transport header. The authentication header ends it, for flower and nft (IP6_FH_F_AUTH) alike."""
    groups: i64 = 0
    flags: i64 = 0
    count: i64 = 0
    while True:
        if proto == IPPROTO_FRAGMENT:
            if end - at < 8:
                p.broken = "IPv6 fragment header cut"
                break
            groups = G_FRAG
            proto = d[at]
            flags = 1 if (d[at + 2] << 8 | d[at + 3]) & 0xFFF8 else 3
            at += 8
            if flags == 1:
                p.payload = at
                break
        elif proto in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS):
            length: i64 = (d[at + 1] + 1) * 8 if end - at >= 2 else 8
            if end - at < length:
                p.broken = "IPv6 extension header cut"
                break
            proto = d[at]
            at += length
        else:
            p.l4 = at
            if proto == IPPROTO_NONE:
                p.payload = at
            else:
                groups |= transport(p, f, d, proto, at, end)
            break
        count += 1
        if count > MAX_EXTENSIONS:
            p.broken = "IPv6 extension headers without end"
            break
    f[FRAG_FLAGS] = flags
    f[L4PROTO] = proto
    return groups


def skip_extensions(d: bytes, at: i64, end: i64, proto: i64) -> i64:
    """ipv6_skip_exthdr: offset of the transport header << 8 | its protocol; behind AH too. -1 when there is none.

    In a later fragment that is -1 as well: what its first header is stands in another packet.
    """
    while proto in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_DSTOPTS):
        if end - at < (8 if proto == IPPROTO_FRAGMENT else 2):
            return -1
        size: i64 = (d[at + 1] + 1) * 8
        if proto == IPPROTO_FRAGMENT:
            if (d[at + 2] << 8 | d[at + 3]) & 0xFFF8:
                return -1
            size = 8
        elif proto == IPPROTO_AH:
            size = (d[at + 1] + 2) * 4
        proto = d[at]
        at += size
    return at << 8 | proto if proto != IPPROTO_NONE else -1
