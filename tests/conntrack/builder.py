"""Frames for tests, with right checksums unless asked otherwise, and a tracker to send them through."""

from __future__ import annotations

import struct

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.names import signed
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.packet.checksum import checksum, pseudo4, pseudo6
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

A, B, C = 0x0A000001, 0x0A000002, 0x0A000003
A6, B6 = (0x20010DB8 << 96) + 1, (0x20010DB8 << 96) + 2
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000

FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}


def ip4(src: int, dst: int, proto: int, payload: bytes, *, ident: int = 1, frag: int = 0, tos: int = 0, ttl: int = 64) -> bytes:
    """An Ethernet frame with an IPv4 packet."""
    head = struct.pack("!BBHHHBBHII", 0x45, tos, 20 + len(payload), ident, frag, ttl, proto, 0, src, dst)
    return ethernet(0x0800, head[:10] + struct.pack("!H", checksum(head, 0, 20, 0)) + head[12:] + payload)


def ip6(src: int, dst: int, proto: int, payload: bytes, *, hop: int = 64) -> bytes:
    """An Ethernet frame with an IPv6 packet."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), proto, hop) + src.to_bytes(16, "big") + dst.to_bytes(16, "big")
    return ethernet(0x86DD, head + payload)


def ethernet(kind: int, payload: bytes) -> bytes:
    return bytes.fromhex("02000000000b02000000000a") + struct.pack("!H", kind) + payload


def _sum(src: int, dst: int, proto: int, data: bytes) -> int:
    if src < 1 << 32:
        return checksum(data, 0, len(data), pseudo4(src, dst, proto, len(data)))
    return checksum(data, 0, len(data), pseudo6(signed(src >> 64), signed(src), signed(dst >> 64), signed(dst), proto, len(data)))


def _wrap(src: int, dst: int, proto: int, data: bytes) -> bytes:
    return ip4(src, dst, proto, data) if src < 1 << 32 else ip6(src, dst, proto, data)


def tcp(
    src: int,
    dst: int,
    flags: str,
    *,
    sport: int = 40000,
    dport: int = 80,
    seq: int = 0,
    ack: int = 0,
    window: int = 8192,
    options: bytes = b"",
    data: bytes = b"",
    bad_sum: bool = False,
) -> bytes:
    """A TCP segment; flags are letters as tcpdump has them (FSRPAUEC)."""
    bits = sum(FLAG_BITS[letter] for letter in flags)
    options += b"\0" * (-len(options) % 4)
    doff = (20 + len(options)) // 4
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, doff << 4, bits, window, 0, 0) + options + data
    total = _sum(src, dst, 6, head) ^ (1 if bad_sum else 0)
    return _wrap(src, dst, 6, head[:16] + struct.pack("!H", total) + head[18:])


def udp(
    src: int, dst: int, *, sport: int = 1000, dport: int = 53, data: bytes = b"data", bad_sum: bool = False, no_sum: bool = False
) -> bytes:
    """A UDP datagram."""
    head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    total = 0 if no_sum else (_sum(src, dst, 17, head) or 0xFFFF) ^ (1 if bad_sum else 0)
    return _wrap(src, dst, 17, head[:6] + struct.pack("!H", total) + data)


def icmp(src: int, dst: int, kind: int, code: int = 0, *, ident: int = 7, seq: int = 1, data: bytes = b"", bad_sum: bool = False) -> bytes:
    """An ICMP or ICMPv6 message, by the addresses."""
    body = struct.pack("!BBHHH", kind, code, 0, ident, seq) + data
    if src < 1 << 32:
        total = checksum(body, 0, len(body), 0)
    else:
        total = _sum(src, dst, 58, body)
    body = body[:2] + struct.pack("!H", total ^ (1 if bad_sum else 0)) + body[4:]
    return _wrap(src, dst, 1 if src < 1 << 32 else 58, body)


def inside(frame: bytes, keep: int = 28) -> bytes:
    """What an ICMP error quotes of a packet."""
    return frame[14 : 14 + keep]


class Tracker:
    """A table, a clock and one packet that is used again and again."""

    def __init__(self, **sysctls: int) -> None:
        self.settings = Settings()
        self.settings.set("net.netfilter.nf_conntrack_acct", 1)
        for name, value in sysctls.items():
            assert self.settings.set(f"net.netfilter.nf_conntrack_{name}", value), name
        self.table = Conntrack(self.settings)
        self.packet = Packet()
        self.now = START

    def send(self, frame: bytes, *, confirm: bool = True, zone: int = 0, zone_dir: int = 3, after: float = 0.0) -> str:
        """Track a frame, confirm its connection; what it is: new, est, rel, with ``-reply``, or inv, untracked, drop."""
        self.now += round(after * SECOND)
        p = self.packet
        load(p, frame, 0, len(frame), len(frame), self.now, LINK_ETHER, 1)
        if self.table.track(p, zone, zone_dir, True) != 1:
            return "drop"
        if p.ct is None:
            return "untracked" if p.ctinfo == 7 else "inv"
        if confirm and self.table.confirm(p) != 1:
            return "drop"
        return ("est", "rel", "new", "est-reply", "rel-reply")[p.ctinfo]

    @property
    def entry(self) -> Entry:
        """The last packet's connection."""
        assert isinstance(self.packet.ct, Entry)
        return self.packet.ct

    def left(self) -> float:
        """Seconds that the last packet's connection has left."""
        return (self.entry.expires - self.now) / SECOND

    def handshake(self, window: int = 8192, options: bytes = b"") -> None:
        """A connects to B: 1000 and 5000 are the first sequence numbers."""
        assert self.send(tcp(A, B, "S", seq=1000, window=window, options=options)) == "new"
        assert self.send(tcp(B, A, "SA", sport=80, dport=40000, seq=5000, ack=1001, window=window, options=options)) == "est-reply"
        assert self.send(tcp(A, B, "A", seq=1001, ack=5001, window=window)) == "est"
