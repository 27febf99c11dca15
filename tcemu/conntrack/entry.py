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

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.core import ZONE_BOTH, ZONE_ORIGINAL, ZONE_REPLY, Core
from tcemu.conntrack.parts import Counts, Extra, Side, Tuple
from tcemu.conntrack.status import (
    ASSURED,
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    DYING,
    EXPECTED,
    FIXED_TIMEOUT,
    HELPER,
    HW_OFFLOADED,
    NAT_CLASH,
    NAT_DONE_MASK,
    NAT_MASK,
    OFFLOADED,
    SEEN_REPLY,
    SEQ_ADJUST,
    SRC_NAT,
    SRC_NAT_DONE,
    STATUS_NAMES,
    TEMPLATE,
    UNTRACKED_ENTRY,
)
from tcemu.conntrack.timeouts import Timeouts
from tcemu.packet.packet import Labels

__all__ = [
    "ASSURED", "CONFIRMED", "DST_NAT", "DST_NAT_DONE", "DYING", "EXPECTED", "FIXED_TIMEOUT", "HELPER", "HW_OFFLOADED", "M32",
    "NAT_CLASH", "NAT_DONE_MASK", "NAT_MASK", "OFFLOADED", "ORIGINAL", "REPLY", "SEEN_REPLY", "SEQ_ADJUST", "SRC_NAT", "SRC_NAT_DONE",
    "STATUS_NAMES", "TEMPLATE", "UNTRACKED_ENTRY", "ZONE_BOTH", "ZONE_ORIGINAL", "ZONE_REPLY", "Counts", "Entry", "Extra", "Side",
    "Tuple",
]  # fmt: skip

M32: Final = 0xFFFFFFFF
ORIGINAL: Final = 0
REPLY: Final = 1


@mypyc_attr(acyclic=True)
class Entry(Core):
    """A connection; `Conn` holds zone, mark, labels and status. Created and changed only by the tracker.

    The original tuple is ``src``, ``dst``, ``ports`` (source << 16 | destination) and the upper halves of IPv6; `orig` and `reply` are copies of the
    tuples, and setting them is how they change. A fast reader takes the fields.
    """

    __slots__ = ()

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
