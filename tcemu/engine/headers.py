"""Values read from headers bit by bit: raw payload, IPv6 extension headers, TCP and IPv4 options, SCTP chunks.

Sources: net/netfilter/nft_payload.c nft_payload_eval; nft_exthdr.c nft_exthdr_ipv6_eval, _ipv4_eval, _tcp_eval, _sctp_eval;
net/ipv6/exthdrs_core.c ipv6_find_hdr.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import NF_EGRESS, NF_INGRESS, Env
from tcemu.engine.values import Value
from tcemu.fields import FRAG_FLAGS, G_IP4, G_IP6, L4PROTO
from tcemu.packet.edit import get16
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_NONE,
    IPPROTO_ROUTING,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
)

LL: Final = 0  # what an offset counts from
NH: Final = 1
TH: Final = 2
IH: Final = 3  # the inner header, behind the transport's

PRESENT: Final = -1  # bits of a value that tells whether the header is there
SIGN: Final = -(1 << 63)


def bits_at(data: bytes, at: i64, offset: i64, bits: i64) -> i64:
    """Up to 64 bits of ``data``, ``offset`` bits behind byte ``at``; all of them are there."""
    at += offset >> 3
    offset &= 7
    value: i64 = 0
    left = bits
    take = 8 - offset
    if take > left:
        return (data[at] >> (take - left)) & ((1 << left) - 1)
    value = data[at] & ((1 << take) - 1)
    left -= take
    at += 1
    while left >= 8:
        if left == 8 and bits == 64:
            # the last byte of a whole word: the highest bit is the sign
            return signed_word(value, data[at])
        value = (value << 8) | data[at]
        left -= 8
        at += 1
    if left > 0:
        last: i64 = data[at] >> (8 - left)
        if bits == 64:
            high = value >> (63 - left)
            value = ((value & ((1 << (63 - left)) - 1)) << left) | last
            return value | SIGN if high != 0 else value
        value = (value << left) | last
    return value


def signed_word(high: i64, last: i64) -> i64:
    """Fifty-six bits and eight more as a signed word."""
    value = ((high & 0x7FFFFFFFFFFFFF) << 8) | last
    return value | SIGN if (high >> 55) & 1 != 0 else value


def end_of(env: Env, p: Packet) -> i64:
    """Where skb->data ends: the IP layer has cut off what stands behind the packet, lower layers have not."""
    return p.end if env.nf_hook in (NF_INGRESS, NF_EGRESS) or p.l3_end < 0 else p.l3_end


class PayloadValue(Value):
    """Bits counted from a header's start, at most 64."""

    def __init__(self, base: i64, offset: i64, bits: i64) -> None:
        super().__init__()
        self.base: i64 = base
        self.offset: i64 = offset
        self.bits: i64 = bits

    def get(self, env: Env, p: Packet) -> i64:
        start = start_of(p, self.base)
        last = start + ((self.offset + self.bits + 7) >> 3)
        self.ok = start >= 0 and last <= end_of(env, p)
        return bits_at(p.data, start, self.offset, self.bits) if self.ok else 0


def start_of(p: Packet, base: i64) -> i64:
    """Where a header begins, -1 where there is none."""
    if base == LL:
        return p.start
    if base == NH:
        return p.l3
    if p.f[FRAG_FLAGS] == 1:
        return -1
    return p.l4 if base == TH else inner_start(p)


def inner_start(p: Packet) -> i64:
    """nft_payload_inner_offset: behind a TCP or UDP header."""
    if p.l4 < 0:
        return -1
    proto = p.f[L4PROTO]
    if proto == IPPROTO_UDP:
        return p.l4 + 8
    if proto == IPPROTO_TCP and p.l4 + 20 <= p.end:
        length: i64 = p.data[p.l4 + 12] >> 4
        return p.l4 + length * 4
    return -1


class OptionValue(Value):
    """A field of a header or option that a packet may have, or whether it is there; a kind says where it begins."""

    def __init__(self, kind: i64, offset: i64, bits: i64) -> None:
        super().__init__()
        self.kind: i64 = kind
        self.offset: i64 = offset
        self.bits: i64 = bits

    def place(self, p: Packet) -> i64:
        """The offset of its first byte in the packet, -1 where there is none."""
        return -1

    def get(self, env: Env, p: Packet) -> i64:
        at = self.place(p)
        if self.bits == PRESENT:
            self.ok = True
            return 1 if at >= 0 else 0
        self.ok = at >= 0 and at + ((self.offset + self.bits + 7) >> 3) <= p.l3_end
        return bits_at(p.data, at, self.offset, self.bits) if self.ok else 0


class ExtensionValue(OptionValue):
    """Of an IPv6 extension header."""

    def place(self, p: Packet) -> i64:
        return find_extension(p, self.kind) if (p.groups & G_IP6) != 0 else -1


def find_extension(p: Packet, header: i64) -> i64:
    """ipv6_find_hdr: the offset of a header of that number, -1 when the chain has none."""
    d = p.data
    at = p.l3 + 40
    kind: i64 = d[p.l3 + 6]
    while kind != header:
        if kind not in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_NONE, IPPROTO_DSTOPTS):
            return -1
        if kind == IPPROTO_NONE or at + 8 > p.l3_end:
            return -1
        size: i64 = (d[at + 1] + 1) * 8
        if kind == IPPROTO_FRAGMENT:
            if get16(d, at + 2) & 0xFFF8 != 0:
                return -1
            size = 8
        elif kind == IPPROTO_AH:
            size = (d[at + 1] + 2) * 4
        kind = d[at]
        at += size
    return at if at <= p.l3_end else -1


class TcpOptionValue(OptionValue):
    """Of a TCP option, which must be long enough to hold the field."""

    def place(self, p: Packet) -> i64:
        return find_tcp_option(p, self.kind, 1 if self.bits == PRESENT else (self.offset + self.bits + 7) >> 3)


def find_tcp_option(p: Packet, kind: i64, octets: i64) -> i64:
    """The offset of the first option of a kind, which must have so many bytes; -1 where there is none."""
    if p.l4 < 0 or p.f[FRAG_FLAGS] == 1 or p.f[L4PROTO] != IPPROTO_TCP or p.l4 + 20 > p.l3_end:
        return -1
    d = p.data
    length: i64 = d[p.l4 + 12] >> 4
    end = p.l4 + length * 4
    if length < 5 or end > p.l3_end:
        return -1
    at = p.l4 + 20
    while at < end - 1:
        size = option_size(d, at)
        if d[at] == kind:
            return at if at + size <= end and octets <= size else -1
        at += size
    return -1


def option_size(d: bytes, at: i64) -> i64:
    """optlen: end and no-operation are one byte, and so is what lies about its length."""
    return 1 if d[at] <= 1 or d[at + 1] == 0 else i64(d[at + 1])


class IpOptionValue(OptionValue):
    """Of an IPv4 option."""

    def place(self, p: Packet) -> i64:
        return find_ip_option(p, self.kind) if (p.groups & G_IP4) != 0 else -1


def find_ip_option(p: Packet, kind: i64) -> i64:
    """The offset of an IPv4 option, -1 where there is none or the options are broken."""
    d = p.data
    length: i64 = d[p.l3] & 0xF
    end = p.l3 + length * 4
    if end > p.l3_end:
        return -1
    at = p.l3 + 20
    while at < end and d[at] != 0:
        if d[at] == 1:
            at += 1
            continue
        size: i64 = d[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            return -1
        if d[at] == kind:
            return at
        at += size
    return -1


class ChunkValue(Value):
    """A field of an SCTP chunk, or whether it is there."""

    def __init__(self, kind: i64, offset: i64, bits: i64) -> None:
        super().__init__()
        self.kind: i64 = kind
        self.offset: i64 = offset
        self.bits: i64 = bits

    def get(self, env: Env, p: Packet) -> i64:
        at = self.find(p)
        if self.bits == PRESENT:
            self.ok = True
            return 1 if at >= 0 else 0
        self.ok = at >= 0 and self.fits(p, at)
        return bits_at(p.data, at, self.offset, self.bits) if self.ok else 0

    def find(self, p: Packet) -> i64:
        """The first chunk of the kind."""
        if p.l4 < 0 or p.f[FRAG_FLAGS] == 1 or p.f[L4PROTO] != IPPROTO_SCTP:
            return -1
        at = p.l4 + 12
        while at + 4 <= p.l3_end:
            size = get16(p.data, at + 2)
            if size == 0:
                return -1
            if p.data[at] == self.kind:
                return at
            at += (size + 3) & ~3
        return -1

    def fits(self, p: Packet, at: i64) -> bool:
        """Is the field in the chunk, and the chunk in the packet?"""
        size = get16(p.data, at + 2)
        return (self.offset + self.bits + 7) >> 3 <= size and at + size <= p.l3_end
