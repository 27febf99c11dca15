"""What every connection has: its fields, and its two tuples. The base of `tcemu.conntrack.entry.Entry`, which says how they are kept."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64, mypyc_attr, u8

from tcemu.conntrack.linux.answers import ICMP, ICMPV6, answered
from tcemu.conntrack.parts import Counts, Extra, Side, Tuple
from tcemu.packet.packet import Conn

ZONE_ORIGINAL: Final = 1  # which directions a zone id counts for
ZONE_REPLY: Final = 2
ZONE_BOTH: Final = 3


@mypyc_attr(acyclic=True)
class Core(Conn):
    """The fields and the tuples of an entry."""

    __slots__ = (
        "counts", "dst", "dst_high", "expires", "extra", "family", "id", "index", "last_dir", "last_flags", "last_index", "last_reach",
        "last_segment", "last_wscale", "masquerade", "orig_side", "ports", "proto", "reply_side", "retrans", "src", "src_high", "state",
        "translated", "zone_dir",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        # what nearly every packet touches comes first, for the processor's cache; 192 bytes in all
        self.family: u8 = 4
        self.proto: u8 = 0
        self.zone_dir: u8 = ZONE_BOTH
        self.retrans: u8 = 0
        self.src: i64 = 0
        self.dst: i64 = 0
        self.ports: i64 = 0
        self.expires: i64 = 0  # capture time in ns; while not confirmed: the timeout in ns
        self.src_high: i64 = 0  # IPv6 only
        self.dst_high: i64 = 0
        self.translated: Tuple | None = None  # the reply tuple, when it is not the original one turned round
        # the protocol's state: TCP state, SCTP state, DCCP state, UDP stream time in ns
        self.state: i64 = 0
        self.extra: Extra | None = None
        self.counts: Counts | None = None  # nf_conntrack_acct was on when it began: it counts
        self.orig_side: Side | None = None  # TCP only
        self.reply_side: Side | None = None
        # the last segment: seq << 32 | ack and end << 16 | window (DCCP: the handshake's number)
        self.last_segment: i64 = 0
        self.last_reach: i64 = 0
        self.masquerade: i32 = 0  # the device whose address it was given (nf_conn_nat.masq_index)
        self.id: i32 = 0
        self.index: i32 = -1  # 0 while it is in a table, else -1
        self.last_index: u8 = 0
        self.last_dir: u8 = 0
        self.last_flags: u8 = 0
        self.last_wscale: u8 = 0

    # ------------------------------------------------------------------ tuples

    @property
    def orig(self) -> Tuple:
        """The original tuple, as a copy."""
        t = Tuple()
        t.src = self.src
        t.dst = self.dst
        t.sport = self.ports >> 16
        t.dport = self.ports & 0xFFFF
        t.src_high = self.src_high
        t.dst_high = self.dst_high
        return t

    @orig.setter
    def orig(self, t: Tuple) -> None:
        reply = self.translated
        self.src = t.src
        self.dst = t.dst
        self.ports = t.sport << 16 | t.dport
        self.src_high = t.src_high
        self.dst_high = t.dst_high
        if reply is not None:
            self.reply = reply

    @property
    def reply(self) -> Tuple:
        """The reply tuple, as a copy; ICMP that nothing answers has itself there."""
        translated = self.translated
        t = Tuple()
        if translated is not None:
            t.src = translated.src
            t.dst = translated.dst
            t.sport = translated.sport
            t.dport = translated.dport
            t.src_high = translated.src_high
            t.dst_high = translated.dst_high
            return t
        t.src = self.dst
        t.dst = self.src
        t.sport = self.ports & 0xFFFF
        t.dport = self.ports >> 16
        if self.proto in (ICMP, ICMPV6):
            proto: int = self.proto
            t.sport = self.ports >> 16
            t.dport = answered(proto, self.ports & 0xFFFF)
        t.src_high = self.dst_high
        t.dst_high = self.src_high
        return t

    @reply.setter
    def reply(self, t: Tuple) -> None:
        self.translated = None
        if not self.has_reply(t):
            mine = Tuple()
            mine.src = t.src
            mine.dst = t.dst
            mine.sport = t.sport
            mine.dport = t.dport
            mine.src_high = t.src_high
            mine.dst_high = t.dst_high
            self.translated = mine

    def has_orig(self, t: Tuple) -> bool:
        """Is it the original tuple?"""
        if self.src != t.src or self.dst != t.dst or self.ports != (t.sport << 16 | t.dport):
            return False
        return self.src_high == t.src_high and self.dst_high == t.dst_high

    def has_reply(self, t: Tuple) -> bool:
        """Is it the reply tuple?"""
        mine = self.translated
        if mine is not None:
            return (
                mine.src == t.src
                and mine.dst == t.dst
                and mine.sport == t.sport
                and mine.dport == t.dport
                and mine.src_high == t.src_high
                and mine.dst_high == t.dst_high
            )
        if self.src != t.dst or self.dst != t.src:
            return False
        if self.ports != (t.dport << 16 | t.sport) or self.proto in (ICMP, ICMPV6):
            proto: int = self.proto
            if proto not in (ICMP, ICMPV6) or self.ports >> 16 != t.sport or answered(proto, self.ports & 0xFFFF) != t.dport:
                return False
        return self.src_high == t.dst_high and self.dst_high == t.src_high
