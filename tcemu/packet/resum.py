"""Checksums computed anew, as tc's csum action does.

Source: net/sched/act_csum.c tcf_csum_act, tcf_csum_ipv4, tcf_csum_ipv6 and what they call. IPv4 counts the first fragment as a packet
and leaves later ones alone, IPv6 leaves all fragments alone; a UDP checksum of zero stays in IPv4, and not in IPv6.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from tcemu.fields import G_IP4, G_IP6, G_PPPOE
from tcemu.packet.checksum import checksum, is_cut, pseudo, sctp_checksum
from tcemu.packet.edit import begin, finish, get16, get32, put16, put32
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    IP_OFFSET,
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_IGMP,
    IPPROTO_ROUTING,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)

# TCA_CSUM_UPDATE_FLAG_* (include/uapi/linux/tc_act/tc_csum.h)
CSUM_IPV4HDR: Final = 1
CSUM_ICMP: Final = 2
CSUM_IGMP: Final = 4
CSUM_TCP: Final = 8
CSUM_UDP: Final = 16
CSUM_UDPLITE: Final = 32
CSUM_SCTP: Final = 64

OPTION_PAD1: Final = 0
OPTION_JUMBO: Final = 194


def update_checksums(p: Packet, flags: i64) -> bool:
    """Compute the checksums that ``flags`` (CSUM_*) name; False where the action drops: a header cut, or lengths that lie.

    A packet that is not IP is left alone, and so is the transport checksum of one that the capture cut.
    """
    if p.groups & G_PPPOE or p.groups & (G_IP4 | G_IP6) == 0:
        return True
    w = begin(p)
    if not (_ipv4(p, w, flags) if p.groups & G_IP4 else _ipv6(p, w, flags)):
        return False
    finish(p, w)
    return True


def _ipv4(p: Packet, w: BytesWriter, flags: i64) -> bool:
    d = p.data
    at = p.l3
    ihl: i64 = (d[at] & 0xF) * 4
    total = get16(d, at + 2)
    if get16(d, at + 6) & IP_OFFSET == 0 and not is_cut(p) and not _transport(p, w, at, ihl, total, d[at + 9], flags):
        return False
    if flags & CSUM_IPV4HDR and at + ihl <= p.end:
        here = at - p.start
        put16(w, here + 10, 0)
        put16(w, here + 10, checksum(w.getvalue(), here, here + ihl, 0))
    return True


def _ipv6(p: Packet, w: BytesWriter, flags: i64) -> bool:
    d = p.data
    at = p.l3
    length = get16(d, at + 4)
    proto: i64 = d[at + 6]
    size: i64 = 40
    while proto in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS):
        here = at + size
        if here + 2 > p.end:
            return False
        step: i64 = (d[here + 1] + 1) * 8
        if here + step > p.end:
            return False
        if proto == IPPROTO_HOPOPTS:
            length = _jumbo(d, here, step, length)
            if length < 0:
                return False
        proto = d[here]
        size += step
    return is_cut(p) or _transport(p, w, at, size, length + 40, proto, flags)


def _jumbo(d: bytes, at: i64, size: i64, length: i64) -> i64:
    """The payload length that a jumbo option tells, else the one known; -1 when the option is wrong (tcf_csum_ipv6_hopopts)."""
    off: i64 = 2
    left = size - 2
    while left > 1:
        kind: i64 = d[at + off]
        step: i64 = 1 if kind == OPTION_PAD1 else d[at + off + 1] + 2
        if kind == OPTION_JUMBO:
            if step != 6 or left < 6 or off & 3 != 2:
                return -1
            return get32(d, at + off + 2)
        if step > left:
            break
        off += step
        left -= step
    return length


def _transport(p: Packet, w: BytesWriter, l3: i64, header: i64, total: i64, proto: i64, flags: i64) -> bool:
    """One transport checksum; ``header`` are the bytes before it, ``total`` those of the whole IP packet."""
    wide = p.groups & G_IP6 != 0
    place: i64 = 2
    least: i64 = 8
    wanted: i64 = 0
    if proto == IPPROTO_TCP:
        place, least, wanted = 16, 20, CSUM_TCP
    elif proto == IPPROTO_UDP:
        place, wanted = 6, CSUM_UDP
    elif proto == IPPROTO_UDPLITE:
        place, wanted = 6, CSUM_UDPLITE
    elif proto == IPPROTO_SCTP:
        place, least, wanted = 8, 12, CSUM_SCTP
    elif proto == (IPPROTO_ICMPV6 if wide else IPPROTO_ICMP):
        wanted = CSUM_ICMP
    elif proto == IPPROTO_IGMP and not wide:
        wanted = CSUM_IGMP
    if flags & wanted == 0:
        return True
    if l3 + total > p.end or total < header + least:
        return False
    at = l3 + header - p.start
    end = l3 + total - p.start
    if proto == IPPROTO_SCTP:
        put32(w, at + 8, sctp_checksum(w.getvalue(), at, p.end - p.start))
        return True
    length = end - at
    if proto in (IPPROTO_UDP, IPPROTO_UDPLITE):
        if proto == IPPROTO_UDP and not wide and get16(p.data, l3 + header + 6) == 0:
            return True
        length = get16(p.data, l3 + header + 4)
        if not _udp_length(w, at, length, end - at, proto):
            return True
        if length != 0:
            end = at + length
    put16(w, at + place, 0)
    seed: i64 = 0 if proto in (IPPROTO_ICMP, IPPROTO_IGMP) else pseudo(p, proto, length)
    value = checksum(w.getvalue(), at, end, seed)
    if value == 0 and proto in (IPPROTO_UDP, IPPROTO_UDPLITE):
        value = 0xFFFF
    put16(w, at + place, value)
    return True


def _udp_length(w: BytesWriter, at: i64, told: i64, room: i64, proto: i64) -> bool:
    """May the checksum be computed? A length that does not fit leaves it at zero, as the kernel has cleared it by then."""
    good = told == room if proto == IPPROTO_UDP else told == 0 or 8 <= told <= room
    if not good:
        put16(w, at + 6, 0)
    return good
