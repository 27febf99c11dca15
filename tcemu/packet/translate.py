"""Addresses and ports written, with the checksums that cover them: what NAT does to a packet, or to the one inside an ICMP error.

`translate` changes the packet's own header, `translate_inner` a header at an offset (of the packet that an ICMP error
quotes); then `renew_icmp` puts the error's own checksum right, which the kernel computes anew.

Sources: net/netfilter/nf_nat_proto.c nf_nat_ipv4_manip_pkt, nf_nat_ipv6_manip_pkt, l4proto_manip_pkt and what these call,
nf_nat_icmp_reply_translation.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_be
from mypy_extensions import i64

from tcemu.fields import G_IP4, G_IP6, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR
from tcemu.packet.checksum import checksum, pseudo, sctp_checksum, update, update_wide
from tcemu.packet.edit import begin, finish, get16, get32, put16, put32, put64
from tcemu.packet.network import skip_extensions
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    GRE_VERSION,
    IP_OFFSET,
    IPPROTO_DCCP,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)

KEEP: Final = -1  # a port that stays


def translate(p: Packet, source: bool, high: i64, low: i64, port: i64) -> bool:
    """Set source or destination: address (``high`` is 0 for IPv4) and port, ICMP id or PPTP call id; port -1 stays.

    False where the kernel finds the header cut, and drops.
    """
    if p.groups & (G_IP4 | G_IP6) == 0:
        return False
    w = begin(p)
    if not _header(p, w, p.l3, p.groups & G_IP6 != 0, source, high, low, port):
        return False
    finish(p, w)
    return True


def translate_inner(p: Packet, at: i64, source: bool, high: i64, low: i64, port: i64) -> bool:
    """`translate` for the IP header at ``data[at]``, of the packet's own version."""
    wide = p.groups & G_IP6 != 0
    if p.groups & (G_IP4 | G_IP6) == 0 or p.l3_end - at < (40 if wide else 20):
        return False
    w = begin(p)
    if not _header(p, w, at, wide, source, high, low, port):
        return False
    finish(p, w)
    return True


def renew_icmp(p: Packet) -> bool:
    """Compute the checksum of an ICMP or ICMPv6 message anew."""
    at = p.l4
    if at < 0 or p.l3_end - at < 4:
        return False
    w = begin(p)
    put16(w, at + 2 - p.start, 0)
    data = w.getvalue()
    size = p.l3_end - at
    seed: i64 = pseudo(p, IPPROTO_ICMPV6, size) if p.groups & G_IP6 else 0
    put16(w, at + 2 - p.start, checksum(data, at - p.start, at - p.start + size, seed))
    finish(p, w)
    return True


def set_address(p: Packet, source: bool, high: i64, low: i64) -> bool:
    """Set source or destination address alone."""
    return translate(p, source, high, low, KEEP)


def set_port(p: Packet, source: bool, port: i64) -> bool:
    """Set source or destination port (or ICMP id) alone."""
    f = p.f
    if p.groups & G_IP4:
        return translate(p, source, 0, f[IP_SADDR] if source else f[IP_DADDR], port)
    at = IP6_SADDR if source else IP6_DADDR
    return translate(p, source, f[at], f[at + 1], port)


def _header(p: Packet, w: BytesWriter, at: i64, wide: bool, source: bool, high: i64, low: i64, port: i64) -> bool:
    """One IP header at ``data[at]`` with the transport header behind it."""
    data = p.data
    if wide:
        field = at + 8 if source else at + 24
        l4 = skip_extensions(data, at + 40, p.l3_end, data[at + 6])
        if l4 >= 0 and not _transport(p, w, at, l4 >> 8, l4 & 0xFF, source, high, low, port):
            return False
        put64(w, field - p.start, high)
        put64(w, field + 8 - p.start, low)
        return True
    field = at + 12 if source else at + 16
    if get16(data, at + 6) & IP_OFFSET == 0:
        ihl: i64 = (data[at] & 0xF) * 4
        if not _transport(p, w, at, at + ihl, data[at + 9], source, 0, low, port):
            return False
    put16(w, at + 10 - p.start, update(get16(data, at + 10), get32(data, field), low))
    put32(w, field - p.start, low)
    return True


def _transport(p: Packet, w: BytesWriter, l3: i64, at: i64, proto: i64, source: bool, high: i64, low: i64, port: i64) -> bool:
    """l4proto_manip_pkt. Of a quoted packet only eight bytes need be there: then a checksum further behind stays wrong."""
    room = p.l3_end - at
    if proto in (IPPROTO_TCP, IPPROTO_DCCP, IPPROTO_SCTP):
        if room < 8:
            return False
        if port != KEEP:
            put16(w, (at if source else at + 2) - p.start, port)
        if proto == IPPROTO_SCTP:
            if room >= 12:
                put32(w, at + 8 - p.start, sctp_checksum(w.getvalue(), at - p.start, p.l3_end - p.start))
        elif proto == IPPROTO_TCP:
            if room >= 20:
                put16(w, at + 16 - p.start, _both(p, l3, at, get16(p.data, at + 16), source, high, low, port))
        elif room >= 12:
            put16(w, at + 6 - p.start, _both(p, l3, at, get16(p.data, at + 6), source, high, low, port))
        return True
    if proto in (IPPROTO_UDP, IPPROTO_UDPLITE):
        if room < 8:
            return False
        check = get16(p.data, at + 6)
        if check != 0 or proto == IPPROTO_UDPLITE:
            put16(w, at + 6 - p.start, _both(p, l3, at, check, source, high, low, port) or 0xFFFF)
        if port != KEEP:
            put16(w, (at if source else at + 2) - p.start, port)
        return True
    if proto == IPPROTO_ICMP:
        return _icmp(p, w, at, room, port)
    if proto == IPPROTO_ICMPV6:
        return _icmpv6(p, w, l3, at, room, source, high, low, port)
    if proto == IPPROTO_GRE:
        if room < 8:
            return False
        version = get16(p.data, at) & GRE_VERSION
        if not source and port != KEEP and version == 1:
            put16(w, at + 6 - p.start, port)
        return source or version <= 1
    return True


def _both(p: Packet, l3: i64, at: i64, check: i64, source: bool, high: i64, low: i64, port: i64) -> i64:
    """A checksum over pseudo header and ports, after both changed."""
    check = _address(p, l3, check, source, high, low)
    if port != KEEP:
        check = update(check, get16(p.data, at if source else at + 2), port)
    return check


def _address(p: Packet, l3: i64, check: i64, source: bool, high: i64, low: i64) -> i64:
    """nf_csum_update: the address in the pseudo header."""
    if p.groups & G_IP6:
        field = l3 + 8 if source else l3 + 24
        return update_wide(check, read_i64_be(p.data, field), read_i64_be(p.data, field + 8), high, low)
    return update(check, get32(p.data, l3 + 12 if source else l3 + 16), low)


def _icmp(p: Packet, w: BytesWriter, at: i64, room: i64, port: i64) -> bool:
    """icmp_manip_pkt: echo, timestamp, information and address mask have an id."""
    if room < 8:
        return False
    kind: i64 = p.data[at]
    if port != KEEP and kind in (0, 8, 13, 14, 15, 16, 17, 18):
        put16(w, at + 2 - p.start, update(get16(p.data, at + 2), get16(p.data, at + 4), port))
        put16(w, at + 4 - p.start, port)
    return True


def _icmpv6(p: Packet, w: BytesWriter, l3: i64, at: i64, room: i64, source: bool, high: i64, low: i64, port: i64) -> bool:
    """icmpv6_manip_pkt: the pseudo header always, the id of echo."""
    if room < 8:
        return False
    check = _address(p, l3, get16(p.data, at + 2), source, high, low)
    kind: i64 = p.data[at]
    if port != KEEP and kind in (128, 129):
        check = update(check, get16(p.data, at + 4), port)
        put16(w, at + 4 - p.start, port)
    put16(w, at + 2 - p.start, check)
    return True
