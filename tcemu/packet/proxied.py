"""What a SYN proxy reads and writes: TCP's options, and segments of its own.

Source: net/netfilter/nf_synproxy_core.c synproxy_parse_options, synproxy_build_options, synproxy_build_ip, synproxy_tstamp_adjust.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, TCP_DOFF
from tcemu.packet.build import ip4_header, ip6_header
from tcemu.packet.checksum import checksum, pseudo4, pseudo6, update
from tcemu.packet.edit import be16, be32, begin, finish, get16, get32, put16, put32
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_TCP

MSS: Final = 1  # NF_SYNPROXY_OPT_*
WSCALE: Final = 2
SACK: Final = 4
TIMESTAMP: Final = 8
MAX_SCALE: Final = 14  # TCP_MAX_WSCALE
TTL: Final = 64  # net.ipv4.ip_default_ttl, net.ipv6.conf.all.hop_limit
M32: Final = 0xFFFFFFFF


class Options:
    """The options of a segment, as bits and values (struct synproxy_options)."""

    def __init__(self) -> None:
        self.bits: i64 = 0
        self.mss: i64 = 0
        self.scale: i64 = 0
        self.value: i64 = 0  # the timestamp's
        self.echo: i64 = 0

    def read(self, p: Packet) -> bool:
        """Read those of a packet; False where they are not all there. What lies about its length ends the list."""
        self.bits = self.mss = self.scale = self.value = self.echo = 0
        d = p.data
        at = p.l4 + 20
        end = p.l4 + p.f[TCP_DOFF] * 4
        if end > p.l3_end:
            return False
        while at < end:
            kind: i64 = d[at]
            if kind == 0:
                return True
            if kind == 1:
                at += 1
                continue
            if at + 1 >= end:
                return True
            size: i64 = d[at + 1]
            if size < 2 or at + size > end:
                return True
            self.take(d, at, kind, size)
            at += size
        return True

    def take(self, d: bytes, at: i64, kind: i64, size: i64) -> None:
        """One option."""
        if kind == 2 and size == 4:
            self.mss = get16(d, at + 2)
            self.bits |= MSS
        elif kind == 3 and size == 3:
            scale: i64 = d[at + 2]
            self.scale = scale if scale < MAX_SCALE else MAX_SCALE
            self.bits |= WSCALE
        elif kind == 8 and size == 10:
            self.value = get32(d, at + 2)
            self.echo = get32(d, at + 6)
            self.bits |= TIMESTAMP
        elif kind == 4 and size == 2:
            self.bits |= SACK

    def swap(self) -> None:
        """Value and echo the other way round, as an answer has them."""
        self.value, self.echo = self.echo, self.value

    def written(self) -> bytes:
        """As they stand in a header."""
        bits = self.bits
        out = b""
        if (bits & MSS) != 0:
            out += be32(0x02040000 | self.mss)
        if (bits & TIMESTAMP) != 0:
            out += be32(0x0402080A if (bits & SACK) != 0 else 0x0101080A) + be32(self.value) + be32(self.echo)
        elif (bits & SACK) != 0:
            out += be32(0x01010402)
        if (bits & WSCALE) != 0:
            out += be32(0x01030300 | self.scale)
        return out


def segment(p: Packet, four: bool, back: bool, seq: i64, ack: i64, flags: i64, window: i64, options: bytes) -> bytes:
    """An IP packet with a segment between the ends of ``p``, or (``back``) the other way."""
    f = p.f
    ports = p.data[p.l4 + 2 : p.l4 + 4] + p.data[p.l4 : p.l4 + 2] if back else p.data[p.l4 : p.l4 + 4]
    size: i64 = 20 + len(options)
    bare = ports + be32(seq) + be32(ack) + be16((size // 4) << 12 | flags) + be16(window) + bytes(4) + options
    if four:
        source, target = f[IP_SADDR], f[IP_DADDR]
        if back:
            source, target = target, source
        check = checksum(bare, 0, size, pseudo4(source, target, IPPROTO_TCP, size)) or 0xFFFF
        return ip4_header(source, target, IPPROTO_TCP, size, TTL, 0, 0, True) + bare[:16] + be16(check) + bare[18:]
    high, low, to_high, to_low = f[IP6_SADDR], f[IP6_SADDR + 1], f[IP6_DADDR], f[IP6_DADDR + 1]
    if back:
        high, low, to_high, to_low = to_high, to_low, high, low
    check = checksum(bare, 0, size, pseudo6(high, low, to_high, to_low, IPPROTO_TCP, size)) or 0xFFFF
    return ip6_header(high, low, to_high, to_low, IPPROTO_TCP, size, TTL, 0, 0) + bare[:16] + be16(check) + bare[18:]


def move_timestamp(p: Packet, echoed: bool, by: i64) -> None:
    """Add to the timestamp, or (``echoed``) to the one that is echoed, with the checksum; nothing where there is none."""
    d = p.data
    at = p.l4 + 20
    end = p.l4 + p.f[TCP_DOFF] * 4
    while at + 1 < end <= p.l3_end and d[at] != 0:
        if d[at] == 1:
            at += 1
            continue
        size: i64 = d[at + 1]
        if size < 2 or at + size > end:
            return
        if d[at] == 8 and size == 10:
            at += 6 if echoed else 2
            old = get32(d, at)
            new = (old + by) & M32
            w = begin(p)
            put32(w, at - p.start, new)
            put16(w, p.l4 + 16 - p.start, update(get16(d, p.l4 + 16), old, new))
            finish(p, w)
            return
        at += size
