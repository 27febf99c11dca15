"""A connection: two tuples, status bits, counters, the protocol's own state, and when it expires.

A million connections shall not need more than 400 bytes each. So an `Entry` holds what every connection has, in numbers that are no
wider than they must be; what few have stands in objects of their own (`Extra`, `Counts`, `Labels`), which properties read
and make. A reply tuple is kept only where a translation made it differ from the original one turned round. Numbers of 8 and 32 bits
are no i64: where one meets an i64, ``x: int = entry.proto`` costs nothing, compiled or interpreted.

Tuples hold IPv4 addresses in the low half with a zero high half, IPv6 addresses as two signed 64-bit halves.
"Ports" are what the protocol's tuple holds: ports for TCP, UDP, SCTP and DCCP; for ICMP ``sport`` is the echo id
and ``dport`` is ``type << 8 | code``; for GRE the keys; for all others zero.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i32, i64, mypyc_attr, u8

from tcemu.conntrack.linux.answers import ICMP, ICMPV6, answer_of
from tcemu.conntrack.timeouts import Timeouts
from tcemu.packet.packet import Conn, Labels

# enum ip_conntrack_status (include/uapi/linux/netfilter/nf_conntrack_common.h), by bit
EXPECTED: Final = 1 << 0
SEEN_REPLY: Final = 1 << 1
ASSURED: Final = 1 << 2
CONFIRMED: Final = 1 << 3
SRC_NAT: Final = 1 << 4
DST_NAT: Final = 1 << 5
SEQ_ADJUST: Final = 1 << 6
SRC_NAT_DONE: Final = 1 << 7
DST_NAT_DONE: Final = 1 << 8
DYING: Final = 1 << 9
FIXED_TIMEOUT: Final = 1 << 10
TEMPLATE: Final = 1 << 11
UNTRACKED_ENTRY: Final = 1 << 12
NAT_CLASH: Final = 1 << 12
HELPER: Final = 1 << 13
OFFLOADED: Final = 1 << 14
HW_OFFLOADED: Final = 1 << 15
NAT_MASK: Final = SRC_NAT | DST_NAT
NAT_DONE_MASK: Final = SRC_NAT_DONE | DST_NAT_DONE

STATUS_NAMES: Final = (
    "expected",
    "seen_reply",
    "assured",
    "confirmed",
    "snat",
    "dnat",
    "seq_adjust",
    "snat_done",
    "dnat_done",
    "dying",
    "fixed_timeout",
    "template",
    "untracked",
    "helper",
    "offload",
    "hw_offload",
)

M32: Final = 0xFFFFFFFF
ORIGINAL: Final = 0
REPLY: Final = 1

ZONE_ORIGINAL: Final = 1  # which directions a zone id counts for
ZONE_REPLY: Final = 2
ZONE_BOTH: Final = 3


@mypyc_attr(acyclic=True)  # no garbage collector's header: a packet touches fewer cache lines
class Tuple:
    """One direction: who to whom, as conntrack sees it (struct nf_conntrack_tuple)."""

    __slots__ = ("dport", "dst", "dst_high", "sport", "src", "src_high")

    def __init__(self) -> None:
        self.src: i64 = 0
        self.dst: i64 = 0
        self.sport: i64 = 0
        self.dport: i64 = 0
        self.src_high: i64 = 0
        self.dst_high: i64 = 0


@mypyc_attr(acyclic=True)
class Side:
    """One direction's share of the TCP window tracking (struct ip_ct_tcp_state)."""

    __slots__ = ("end", "flags", "max_ack", "max_end", "max_window", "scale")

    def __init__(self) -> None:
        self.end: i64 = 0  # max of seq + len
        self.max_end: i64 = 0  # max of ack + max(win, 1)
        self.max_window: i64 = 0
        self.max_ack: i64 = 0
        self.scale: i32 = 0
        self.flags: i32 = 0  # IP_CT_TCP_FLAG_*


@mypyc_attr(acyclic=True)
class Counts:
    """Packets and bytes of both directions (struct nf_conn_acct)."""

    __slots__ = ("orig_bytes", "orig_packets", "reply_bytes", "reply_packets")

    def __init__(self) -> None:
        self.orig_packets: i64 = 0
        self.orig_bytes: i64 = 0
        self.reply_packets: i64 = 0
        self.reply_bytes: i64 = 0


@mypyc_attr(acyclic=True)
class Extra:
    """What few connections have: a helper's memory, how far it moved the sequence numbers (struct nf_ct_seqadj), a policy, a master …

    adjust: position, offset before and offset after it, for the original and then for the reply direction; empty where no translation
    has made room for it. memory: numbers that belong to the helper. proxied: of a connection that a SYN proxy made the number that the
    client was told, the timestamp that it echoes, and how far the server's are from it (struct nf_conn_synproxy); empty otherwise.
    """

    __slots__ = (
        "adjust", "flow_expires", "flow_flags", "flow_table", "helper", "master", "memory", "policy", "proxied", "stamped", "started", "stream_timeout",
        "timeout", "vtag_orig", "vtag_reply",
    )  # fmt: skip

    def __init__(self) -> None:
        self.adjust: list[int] = []
        self.memory: list[int] = []
        self.proxied: list[int] = []
        self.policy: Timeouts | None = None  # timeouts of its own (nft ct timeout)
        self.helper: str = ""
        self.master: Entry | None = None
        self.stamped: bool = False  # nf_conntrack_timestamp was on when it began
        self.started: i64 = 0  # ns, when it is stamped
        self.vtag_orig: i64 = 0  # SCTP
        self.vtag_reply: i64 = 0
        self.timeout: i64 = 0  # GRE: ns
        self.stream_timeout: i64 = 0
        # offload: which flow table holds it and since when; the flow's own expiry (struct flow_offload)
        self.flow_table: i64 = 0  # 0 none
        self.flow_expires: i64 = 0
        self.flow_flags: i64 = 0


@mypyc_attr(acyclic=True)
class Entry(Conn):
    """A connection; `Conn` holds zone, mark, labels and status. Created and changed only by the tracker.

    The original tuple is ``src``, ``dst``, ``ports`` (source << 16 | destination) and the upper halves of IPv6; `orig` and `reply` are copies of the
    tuples, and setting them is how they change. A fast reader takes the fields.
    """

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

    # ------------------------------------------------------------------ what few have

    def rare(self) -> Extra:
        """The object for what few have, made when it is not there."""
        extra = self.extra
        if extra is None:
            extra = self.extra = Extra()
        return extra

    @property
    def acct(self) -> bool:
        """Does it count packets (nf_conntrack_acct was on when it began)?"""
        return self.counts is not None

    @acct.setter
    def acct(self, value: bool) -> None:
        self.counts = Counts() if value else None

    @property
    def has_labels(self) -> bool:
        """Is there room for labels?"""
        return self.labels is not None

    @has_labels.setter
    def has_labels(self, value: bool) -> None:
        if not value:
            self.labels = None
        elif self.labels is None:
            self.labels = Labels()

    @property
    def policy(self) -> Timeouts | None:
        """Timeouts of its own (nft ct timeout)."""
        extra = self.extra
        return None if extra is None else extra.policy

    @policy.setter
    def policy(self, value: Timeouts | None) -> None:
        if value is not None or self.extra is not None:
            self.rare().policy = value

    @property
    def helper(self) -> str:
        """The helper that looks at its packets."""
        extra = self.extra
        return "" if extra is None else extra.helper

    @helper.setter
    def helper(self, value: str) -> None:
        if value != "" or self.extra is not None:
            self.rare().helper = value

    @property
    def master(self) -> Entry | None:
        """The connection that expected it."""
        extra = self.extra
        return None if extra is None else extra.master

    @master.setter
    def master(self, value: Entry | None) -> None:
        if value is not None or self.extra is not None:
            self.rare().master = value

    @property
    def stamped(self) -> bool:
        """Was nf_conntrack_timestamp on when it began?"""
        extra = self.extra
        return False if extra is None else extra.stamped

    @stamped.setter
    def stamped(self, value: bool) -> None:
        if value or self.extra is not None:
            self.rare().stamped = value

    @property
    def started(self) -> i64:
        """When it was confirmed, ns; known of what is stamped."""
        extra = self.extra
        return 0 if extra is None else extra.started

    @started.setter
    def started(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().started = value

    @property
    def vtag_orig(self) -> i64:
        """SCTP: the verification tag of the original direction."""
        extra = self.extra
        return 0 if extra is None else extra.vtag_orig

    @vtag_orig.setter
    def vtag_orig(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().vtag_orig = value

    @property
    def vtag_reply(self) -> i64:
        """SCTP: that of the reply direction."""
        extra = self.extra
        return 0 if extra is None else extra.vtag_reply

    @vtag_reply.setter
    def vtag_reply(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().vtag_reply = value

    @property
    def timeout(self) -> i64:
        """GRE: ns."""
        extra = self.extra
        return 0 if extra is None else extra.timeout

    @timeout.setter
    def timeout(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().timeout = value

    @property
    def stream_timeout(self) -> i64:
        """GRE: ns once it was answered."""
        extra = self.extra
        return 0 if extra is None else extra.stream_timeout

    @stream_timeout.setter
    def stream_timeout(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().stream_timeout = value

    @property
    def flow_table(self) -> i64:
        """The number of the flow table that holds it, 0 when none does."""
        extra = self.extra
        return 0 if extra is None else extra.flow_table

    @flow_table.setter
    def flow_table(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().flow_table = value

    @property
    def flow_expires(self) -> i64:
        """When that flow ends, ns."""
        extra = self.extra
        return 0 if extra is None else extra.flow_expires

    @flow_expires.setter
    def flow_expires(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().flow_expires = value

    @property
    def flow_flags(self) -> i64:
        """Flags of that flow."""
        extra = self.extra
        return 0 if extra is None else extra.flow_flags

    @flow_flags.setter
    def flow_flags(self, value: i64) -> None:
        if value != 0 or self.extra is not None:
            self.rare().flow_flags = value

    # ------------------------------------------------------------------ counters, the last segment

    @property
    def orig_packets(self) -> i64:
        """Counted, 0 when it does not count."""
        counts = self.counts
        return 0 if counts is None else counts.orig_packets

    @orig_packets.setter
    def orig_packets(self, value: i64) -> None:
        if self.counts is not None:
            self.counts.orig_packets = value

    @property
    def orig_bytes(self) -> i64:
        """Counted, 0 when it does not count."""
        counts = self.counts
        return 0 if counts is None else counts.orig_bytes

    @orig_bytes.setter
    def orig_bytes(self, value: i64) -> None:
        if self.counts is not None:
            self.counts.orig_bytes = value

    @property
    def reply_packets(self) -> i64:
        """Counted, 0 when it does not count."""
        counts = self.counts
        return 0 if counts is None else counts.reply_packets

    @reply_packets.setter
    def reply_packets(self, value: i64) -> None:
        if self.counts is not None:
            self.counts.reply_packets = value

    @property
    def reply_bytes(self) -> i64:
        """Counted, 0 when it does not count."""
        counts = self.counts
        return 0 if counts is None else counts.reply_bytes

    @reply_bytes.setter
    def reply_bytes(self, value: i64) -> None:
        if self.counts is not None:
            self.counts.reply_bytes = value

    @property
    def last_seq(self) -> i64:
        """The last segment's sequence number."""
        return (self.last_segment >> 32) & M32

    @last_seq.setter
    def last_seq(self, value: i64) -> None:
        self.last_segment = value << 32 | (self.last_segment & M32)

    @property
    def last_ack(self) -> i64:
        """What it acknowledged."""
        return self.last_segment & M32

    @last_ack.setter
    def last_ack(self, value: i64) -> None:
        self.last_segment = (self.last_segment >> 32) << 32 | value

    @property
    def last_end(self) -> i64:
        """Its sequence number and length."""
        return self.last_reach >> 16

    @last_end.setter
    def last_end(self, value: i64) -> None:
        self.last_reach = value << 16 | (self.last_reach & 0xFFFF)

    @property
    def last_win(self) -> i64:
        """Its window, not scaled."""
        return self.last_reach & 0xFFFF

    @last_win.setter
    def last_win(self, value: i64) -> None:
        self.last_reach = (self.last_reach >> 16) << 16 | value


def answered(proto: i64, kind: i64) -> i64:
    """ICMP's second "port", turned round: the type becomes its answer's; what nothing answers stays."""
    back = answer_of(proto, kind >> 8)
    return kind if back < 0 else back << 8 | (kind & 0xFF)
