"""Checksums: the Internet checksum, its incremental update, pseudo headers, CRC32c, and whether a packet's own is right.

A *sum* here is a ones-complement sum of big-endian 16-bit words, folded to 16 bits unless said otherwise; a checksum is its
complement. A sum of bytes that are not all zero is never 0 (zero shows as 0xFFFF), as in the kernel's csum_partial.

Sources: RFC 1071, RFC 1624, RFC 3309; include/net/checksum.h, net/core/utils.c inet_proto_csum_replace4;
net/netfilter/utils.c nf_ip_checksum, nf_ip6_checksum and their _partial; nf_conntrack_proto_{udp,sctp,dccp}.c (which one is used for what).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcemu.fields import (
    G_FRAG,
    G_IP4,
    G_IP6,
    IP6_DADDR,
    IP6_PLEN,
    IP6_SADDR,
    IP_DADDR,
    IP_LEN,
    IP_SADDR,
    L4PROTO,
    UDP_CSUM,
    UDP_LEN,
)
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    IPPROTO_DCCP,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)

# one loop over machine words is best when compiled, one big number when not; both give the same sums
COMPILED: Final = not __file__.endswith(".py")
M32: Final = 0xFFFFFFFF
CRC32C_POLYNOMIAL: Final = 0x82F63B78  # of RFC 3309, bits reversed
_crc_table: list[int] = []


def fold(total: i64) -> i64:
    """A sum of any size (not negative) as 16 bits."""
    total = (total >> 32) + (total & M32)
    total = (total >> 16) + (total & 0xFFFF)
    total = (total >> 16) + (total & 0xFFFF)
    return (total >> 16) + (total & 0xFFFF)


def sum_bytes(data: bytes, at: i64, end: i64) -> i64:
    """The folded sum over ``data[at:end]``; an odd last byte counts as if a zero followed."""
    if not COMPILED:
        number = int.from_bytes(data[at:end], "big")
        if (end - at) & 1:
            number <<= 8
        return number % 0xFFFF or (0xFFFF if number else 0)
    total: i64 = 0
    while at + 8 <= end:
        word = read_i64_be(data, at)
        total += ((word >> 32) & M32) + (word & M32)
        at += 8
    while at + 2 <= end:
        total += data[at] << 8 | data[at + 1]
        at += 2
    if at < end:
        total += data[at] << 8
    return fold(total)


def checksum(data: bytes, at: i64, end: i64, seed: i64) -> i64:
    """The Internet checksum of ``data[at:end]`` with a sum to begin with (a pseudo header's, or 0)."""
    return fold(sum_bytes(data, at, end) + seed) ^ 0xFFFF


def update(check: i64, old: i64, new: i64) -> i64:
    """The checksum after a word (16 or 32 bits) in its reach went from ``old`` to ``new`` (inet_proto_csum_replace4; RFC 1624, 3).

    0xFFFF more keeps the sum from being nought, as the kernel's 32-bit words do: the result is never 0xFFFF.
    """
    return fold((check ^ 0xFFFF) + 0xFFFF + (old ^ M32) + new) ^ 0xFFFF


def update_wide(check: i64, old_high: i64, old: i64, new_high: i64, new: i64) -> i64:
    """`update` for an IPv6 address, given as signed halves (inet_proto_csum_replace16)."""
    total = ((~old_high >> 32) & M32) + (~old_high & M32) + ((~old >> 32) & M32) + (~old & M32)
    total += ((new_high >> 32) & M32) + (new_high & M32) + ((new >> 32) & M32) + (new & M32)
    return fold((check ^ 0xFFFF) + 0xFFFF + total) ^ 0xFFFF


def pseudo4(source: i64, target: i64, proto: i64, length: i64) -> i64:
    """Sum of the IPv4 pseudo header (RFC 793), not folded."""
    return source + target + proto + length


def pseudo6(source_high: i64, source: i64, target_high: i64, target: i64, proto: i64, length: i64) -> i64:
    """Sum of the IPv6 pseudo header (RFC 8200, 8.1), not folded; addresses are signed halves."""
    total = ((source_high >> 32) & M32) + (source_high & M32) + ((source >> 32) & M32) + (source & M32)
    total += ((target_high >> 32) & M32) + (target_high & M32) + ((target >> 32) & M32) + (target & M32)
    return total + proto + length


def pseudo(p: Packet, proto: i64, length: i64) -> i64:
    """The pseudo header's sum for a decoded packet; 0 when it is not IP."""
    f = p.f
    if p.groups & G_IP4:
        return pseudo4(f[IP_SADDR], f[IP_DADDR], proto, length)
    if p.groups & G_IP6:
        return pseudo6(f[IP6_SADDR], f[IP6_SADDR + 1], f[IP6_DADDR], f[IP6_DADDR + 1], proto, length)
    return 0


def crc32c(data: bytes, at: i64, end: i64, crc: i64) -> i64:
    """CRC32c over ``data[at:end]``, going on from ``crc`` (0xFFFFFFFF to begin with, not complemented at the end)."""
    if not _crc_table:
        _fill_crc_table()
    table = _crc_table
    while at < end:
        index = (crc ^ data[at]) & 0xFF
        crc = (crc >> 8) ^ table[index]
        at += 1
    return crc


def sctp_checksum(data: bytes, at: i64, end: i64) -> i64:
    """The checksum of an SCTP packet as it stands on the wire, read as a big-endian word (RFC 4960, appendix B: sent low byte first)."""
    crc = crc32c(data, at, at + 8, M32)
    crc = crc32c(b"\0\0\0\0", 0, 4, crc)
    crc = crc32c(data, at + 12, end, crc) ^ M32
    return (crc & 0xFF) << 24 | (crc & 0xFF00) << 8 | (crc >> 8) & 0xFF00 | crc >> 24


def is_cut(p: Packet) -> bool:
    """Did the capture leave out a part of the IP packet? Then nothing can be said of checksums over all of it."""
    if p.wire <= p.end - p.start:
        return False
    f = p.f
    length = f[IP_LEN] if p.groups & G_IP4 else 40 + f[IP6_PLEN]
    return p.l3 + length > p.end


def verify_header(p: Packet) -> bool:
    """Is the IPv4 header checksum right? IPv6 has none. (net/ipv4/ip_input.c ip_rcv_core)."""
    if (p.groups & G_IP4) == 0:
        return True
    ihl: i64 = (p.data[p.l3] & 0xF) * 4
    return p.l3 + ihl <= p.end and sum_bytes(p.data, p.l3, p.l3 + ihl) == 0xFFFF


def verify_l4(p: Packet) -> bool:
    """Is the transport checksum right, as conntrack judges it?

    True where there is nothing to check: fragments, protocols that conntrack does not look into, UDP without a checksum, and
    packets that the capture has cut. UDP-Lite is checked with UDP's protocol number in the pseudo header, as
    nf_conntrack_proto_udp.c udplite_error does; both oddities of this function were seen on a running kernel.
    """
    at = p.l4
    if at < 0 or p.groups & G_FRAG or (p.wire > p.end - p.start and is_cut(p)):
        return True
    end = p.l3_end
    proto = p.f[L4PROTO]
    if proto == IPPROTO_TCP:
        return good_sum(p, proto, at, end)
    if proto == IPPROTO_UDP:
        return p.f[UDP_CSUM] == 0 or good_sum(p, proto, at, end)
    if proto == (IPPROTO_ICMP if p.groups & G_IP4 else IPPROTO_ICMPV6):
        return good_sum(p, proto, at, end)
    if proto == IPPROTO_SCTP:
        if end - at < 12:
            return False
        return sctp_checksum(p.data, at, end) == read_i64_be(p.data, at + 4) & M32
    if proto in (IPPROTO_UDPLITE, IPPROTO_DCCP):
        return _verify_part(p, proto, at, end)
    return True


def good_sum(p: Packet, proto: i64, at: i64, end: i64) -> bool:
    """nf_ip_checksum, nf_ip6_checksum: does the transport part ``data[at:end]`` sum up, with the pseudo header (in IPv4 of TCP and UDP only)?

    The pseudo header's length is that of what is there, not UDP's field. In IPv4 the sum runs from the IP header on
    (__skb_checksum_complete begins at skb->data), so that a wrong header checksum makes this one wrong as well.
    """
    if p.groups & G_IP4:
        seed = pseudo(p, proto, end - at) if proto in (IPPROTO_TCP, IPPROTO_UDP) else 0
        return fold(seed + sum_bytes(p.data, p.l3, end)) == 0xFFFF
    return fold(pseudo(p, proto, end - at) + sum_bytes(p.data, at, end)) == 0xFFFF


def _verify_part(p: Packet, proto: i64, at: i64, end: i64) -> bool:
    """Checksums with a coverage: UDP-Lite's is a length in bytes, DCCP's four bits (RFC 4340, 9.2)."""
    reach: i64 = end - at
    if reach < (8 if proto == IPPROTO_UDPLITE else 12):
        return False
    if proto == IPPROTO_UDPLITE:
        told = p.f[UDP_LEN]
        if told != 0:
            if told < 8 or told > reach:
                return False
            reach = told
        if p.f[UDP_CSUM] == 0:
            return False
        proto = IPPROTO_UDP
    elif p.data[at + 5] & 0xF:
        told = (p.data[at + 5] & 0xF) - 1
        told = told * 4
        if told > reach:
            return False
        reach = told
    first = p.l3 if p.groups & G_IP4 else at
    return fold(pseudo(p, proto, end - at) + sum_bytes(p.data, first, at + reach)) == 0xFFFF


def udplite_verifies(p: Packet) -> bool:
    """udplite_checksum_init and udp_lib_checksum_complete: the coverage is possible, and what it covers sums up (RFC 3828)."""
    room = p.l3_end - p.l4
    if room < 8 or p.f[UDP_CSUM] == 0:
        return False
    reach = p.f[UDP_LEN]
    if reach == 0:
        reach = room
    elif reach < 8 or reach > room:
        return False
    return fold(pseudo(p, IPPROTO_UDPLITE, room) + sum_bytes(p.data, p.l4, p.l4 + reach)) == 0xFFFF


def _fill_crc_table() -> None:
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ CRC32C_POLYNOMIAL if crc & 1 else crc >> 1
        _crc_table.append(crc)
