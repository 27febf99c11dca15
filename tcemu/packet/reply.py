"""Answers made from the packet they answer: ICMP and ICMPv6 errors, TCP resets. Each is an IP packet without a link header.

Empty bytes mean that the kernel keeps silent. The route, and with it the source address and the TTL, are the caller's.

    icmp_error4, icmp_error6     icmp_send, icmp6_send: what the stack sends, "reject" in ip hooks included
    unreachable4, unreachable6   nf_reject_skb_v4_unreach, _v6_: what "reject" makes in netdev and bridge hooks
    tcp_reset                    nf_send_reset, nf_send_reset6, nf_reject_skb_v4_tcp_reset, _v6_

Sources: net/ipv4/icmp.c __icmp_send; net/ipv6/icmp.c icmp6_send; net/ipv4/netfilter/nf_reject_ipv4.c; net/ipv6/netfilter/nf_reject_ipv6.c;
include/net/netfilter/nf_reject.h. IP options are not echoed (__ip_options_echo). Source of that: assumed to be rare.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import (
    FRAG_FLAGS,
    G_ICMP,
    G_IP4,
    G_IP6,
    G_TCP,
    ICMP_TYPE,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_SADDR,
    IP_TOS,
    L4PROTO,
    TCP_ACK,
    TCP_DOFF,
    TCP_FLAGS,
    TCP_SEQ,
    UDP_CSUM,
)
from tcemu.packet.build import ip4_header, ip6_header
from tcemu.packet.checksum import checksum, good_sum, is_cut, pseudo4, pseudo6
from tcemu.packet.edit import be16, be32
from tcemu.packet.network import skip_extensions
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    IPPROTO_AH,
    IPPROTO_DCCP,
    IPPROTO_ESP,
    IPPROTO_GRE,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    TCP_ACK_FLAG,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
)

DEST_UNREACH: Final = 3  # ICMP
DEST_UNREACH6: Final = 1  # ICMPv6
PACKET_TOO_BIG6: Final = 2
ICMP4_LIMIT: Final = 576  # bytes of a whole error (RFC 1812, 4.3.2.3)
ICMP6_LIMIT: Final = 1280
REJECT4_QUOTE: Final = 536  # bytes quoted by nf_reject_skb_v4_unreach
REJECT6_QUOTE: Final = 1220
CONTROL: Final = 0xC0  # IPTOS_PREC_INTERNETCONTROL
TTL: Final = 64  # net.ipv4.ip_default_ttl, net.ipv6.conf.all.hop_limit
NOT_ERRORS: Final = (0, 8, 13, 14, 15, 16, 17, 18)  # icmp_pointers[].error is 0, of types up to 18


# ---------------------------------------------------------------- errors of the stack
def icmp_error4(p: Packet, kind: i64, code: i64, rest: i64, source: i64, mtu: i64 = 1500, ident: i64 = 0, ttl: i64 = TTL) -> bytes:
    """The ICMP error for a packet: ``rest`` is its second word (MTU, gateway), ``source`` the address it comes from.

    Silent about later fragments and about ICMP errors. That no error answers a broadcast is the caller's to see.
    """
    f = p.f
    if p.groups & G_IP4 == 0 or f[FRAG_FLAGS] == 1:
        return b""
    if f[L4PROTO] == IPPROTO_ICMP and (p.l4 < 0 or p.l4 >= p.l3_end or p.data[p.l4] not in NOT_ERRORS):
        return b""
    room = (mtu if mtu < ICMP4_LIMIT else ICMP4_LIMIT) - 28
    if room <= 20:
        return b""
    message = _icmp(kind, code, rest, _quote(p, room), 0)
    return ip4_header(source, f[IP_SADDR], IPPROTO_ICMP, len(message), ttl, (f[IP_TOS] & 0x1E) | CONTROL, ident, False) + message


def icmp_error6(p: Packet, kind: i64, code: i64, rest: i64, source_high: i64, source: i64, ttl: i64 = TTL) -> bytes:
    """The ICMPv6 error for a packet; silent about errors, and to and about addresses that are not one host's."""
    f = p.f
    if p.groups & G_IP6 == 0:
        return b""
    high, low = f[IP6_SADDR], f[IP6_SADDR + 1]
    if (high | low) == 0 or _multicast(high) or (_multicast(f[IP6_DADDR]) and kind != PACKET_TOO_BIG6):
        return b""
    found = skip_extensions(p.data, p.l3 + 40, p.l3_end, p.data[p.l3 + 6])
    if found >= 0 and found & 0xFF == IPPROTO_ICMPV6 and (found >> 8 >= p.l3_end or p.data[found >> 8] < 128):
        return b""
    quote = _quote(p, ICMP6_LIMIT - 48)
    message = _icmp(kind, code, rest, quote, pseudo6(source_high, source, high, low, IPPROTO_ICMPV6, len(quote) + 8))
    return ip6_header(source_high, source, high, low, IPPROTO_ICMPV6, len(message), ttl, 0, 0) + message


# ---------------------------------------------------------------- errors of reject, without a stack
def unreachable4(p: Packet, code: i64, ttl: i64 = TTL) -> bytes:
    """Destination unreachable, as if the packet's target said so itself."""
    f = p.f
    if p.groups & G_IP4 == 0 or f[FRAG_FLAGS] == 1 or p.lies or not reject_verifies(p):
        return b""
    if p.groups & G_ICMP and f[ICMP_TYPE] == DEST_UNREACH:
        return b""
    message = _icmp(DEST_UNREACH, code, 0, _quote_all(p, REJECT4_QUOTE), 0)
    return ip4_header(f[IP_DADDR], f[IP_SADDR], IPPROTO_ICMP, len(message), ttl, 0, 0, True) + message


def unreachable6(p: Packet, code: i64, ttl: i64 = TTL) -> bytes:
    """The same for IPv6."""
    f = p.f
    if p.groups & G_IP6 == 0 or p.lies or not reject_verifies(p):
        return b""
    if f[L4PROTO] == IPPROTO_ICMPV6 and f[FRAG_FLAGS] == 0 and p.l4 >= 0 and p.l4 < p.l3_end and p.data[p.l4] == DEST_UNREACH6:
        return b""
    quote = _quote_all(p, REJECT6_QUOTE)
    high, low, to_high, to_low = f[IP6_DADDR], f[IP6_DADDR + 1], f[IP6_SADDR], f[IP6_SADDR + 1]
    message = _icmp(DEST_UNREACH6, code, 0, quote, pseudo6(high, low, to_high, to_low, IPPROTO_ICMPV6, len(quote) + 8))
    return ip6_header(high, low, to_high, to_low, IPPROTO_ICMPV6, len(message), ttl, 0, 0) + message


def reject_verifies(p: Packet) -> bool:
    """Is the packet's checksum right, as reject judges it (nf_reject_verify_csum, nf_ip_checksum)? Bad ones get no answer.

    A protocol that the kernel does not list is taken to have one sum over all its payload, and is judged by that.
    """
    proto = p.f[L4PROTO]
    if proto in (IPPROTO_GRE, IPPROTO_AH, IPPROTO_ESP, IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_DCCP) or is_cut(p):
        return True
    at, end = p.l4, p.l3_end
    if at < 0 or (p.groups & G_IP6 and at >= end):
        return False
    return (proto == IPPROTO_UDP and end - at >= 8 and p.f[UDP_CSUM] == 0) or good_sum(p, proto, at, end)


# ---------------------------------------------------------------- resets
def tcp_reset(p: Packet, ttl: i64 = TTL, padded: bool = False, verify: bool = True, tos: i64 = 0) -> bytes:
    """The reset that answers a TCP segment; silent about resets, fragments and bad checksums, and about multicast in IPv6.

    padded: in bridge and netdev hooks nobody has cut off what stands behind the IP packet, and IPv4 takes it for a part of the
    segment (nf_reject_skb_v4_tcp_reset): padding makes the checksum wrong. verify: False where the kernel takes the checksum as seen to.
    """
    f = p.f
    flags = f[TCP_FLAGS]
    if p.groups & G_TCP == 0 or flags & TCP_RST or f[FRAG_FLAGS] != 0:
        return b""
    end = p.end if padded else p.l3_end
    if verify and not is_cut(p) and not good_sum(p, IPPROTO_TCP, p.l4, end):
        return b""
    if flags & TCP_ACK_FLAG:
        numbers = be32(f[TCP_ACK]) + be32(0)
        answer: i64 = TCP_RST
    else:
        length = end - p.l4 - f[TCP_DOFF] * 4
        syn: i64 = 1 if flags & TCP_SYN else 0
        fin: i64 = 1 if flags & TCP_FIN else 0
        numbers = be32(0) + be32(f[TCP_SEQ] + syn + fin + length)
        answer = TCP_RST | TCP_ACK_FLAG
    segment = p.data[p.l4 + 2 : p.l4 + 4] + p.data[p.l4 : p.l4 + 2] + numbers + be16(5 << 12 | answer) + bytes(6)
    if p.groups & G_IP4:
        check = checksum(segment, 0, 20, pseudo4(f[IP_DADDR], f[IP_SADDR], IPPROTO_TCP, 20)) or 0xFFFF
        return ip4_header(f[IP_DADDR], f[IP_SADDR], IPPROTO_TCP, 20, ttl, tos, 0, True) + _summed(segment, check)
    high, low, to_high, to_low = f[IP6_DADDR], f[IP6_DADDR + 1], f[IP6_SADDR], f[IP6_SADDR + 1]
    if _multicast(high) or _multicast(to_high) or (high | low) == 0 or (to_high | to_low) == 0:
        return b""
    check = checksum(segment, 0, 20, pseudo6(high, low, to_high, to_low, IPPROTO_TCP, 20))
    return ip6_header(high, low, to_high, to_low, IPPROTO_TCP, 20, ttl, tos, 0) + _summed(segment, check)


# ---------------------------------------------------------------- helpers
def _summed(segment: bytes, check: i64) -> bytes:
    return segment[:16] + be16(check) + segment[18:]


def _quote(p: Packet, room: i64) -> bytes:
    """The IP packet from its header on, as much as there is room for."""
    end = p.l3 + room
    return p.data[p.l3 : end if end < p.l3_end else p.l3_end]


def _quote_all(p: Packet, room: i64) -> bytes:
    """The same with what stands behind the IP packet: reject measures before it cuts that off."""
    end = p.l3 + room
    return p.data[p.l3 : end if end < p.end else p.end]


def _icmp(kind: i64, code: i64, rest: i64, quote: bytes, seed: i64) -> bytes:
    bare = be16(kind << 8 | code) + b"\0\0" + be32(rest) + quote
    return bare[:2] + be16(checksum(bare, 0, len(bare), seed)) + bare[4:]


def _multicast(high: i64) -> bool:
    return (high >> 56) & 0xFF == 0xFF
