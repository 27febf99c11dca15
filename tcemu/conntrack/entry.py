"""A connection: two tuples, status bits, counters, the protocol's own state, and when it expires.

Tuples hold IPv4 addresses in the low half with a zero high half, IPv6 addresses as two signed 64-bit halves.
"Ports" are what the protocol's tuple holds: ports for TCP, UDP, SCTP and DCCP; for ICMP ``sport`` is the echo id
and ``dport`` is ``type << 8 | code``; for GRE the keys; for all others zero.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.timeouts import Timeouts
from tcemu.packet.packet import Conn

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
        self.scale: i64 = 0
        self.flags: i64 = 0  # IP_CT_TCP_FLAG_*


class Extra:
    """What few connections have: a helper's memory, and how far it moved the sequence numbers (struct nf_ct_seqadj).

    adjust: position, offset before and offset after it, for the original and then for the reply direction; empty where no translation
    has made room for it. memory: numbers that belong to the helper. proxied: of a connection that a SYN proxy made the number that the
    client was told, the timestamp that it echoes, and how far the server's are from it (struct nf_conn_synproxy); empty otherwise.
    """

    def __init__(self) -> None:
        self.adjust: list[int] = []
        self.memory: list[int] = []
        self.proxied: list[int] = []


@mypyc_attr(acyclic=True)
class Entry(Conn):
    """A connection; `Conn` holds zone, mark, labels and status. Created and changed only by the tracker."""

    __slots__ = (
        "acct", "expires", "extra", "family", "flow_expires", "flow_flags", "flow_table", "has_labels", "hash_orig", "hash_reply", "helper", "id",
        "index", "last_ack", "last_dir", "last_end", "last_flags", "last_index", "last_seq", "last_win", "last_wscale", "masquerade",
        "master", "orig", "orig_bytes", "orig_packets", "orig_side", "policy", "proto", "reply", "reply_bytes", "reply_packets",
        "reply_side", "retrans", "stamped", "started", "state", "stream_timeout", "timeout", "vtag_orig", "vtag_reply", "zone_dir",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        # what nearly every packet touches comes first, for the processor's cache
        self.family: i64 = 4
        self.proto: i64 = 0
        self.zone_dir: i64 = ZONE_BOTH
        self.orig: Tuple = Tuple()
        self.reply: Tuple = Tuple()
        self.acct: bool = False  # nf_conntrack_acct was on when it began: it counts
        self.stamped: bool = False  # nf_conntrack_timestamp was on when it began
        self.has_labels: bool = False
        self.policy: Timeouts | None = None  # timeouts of its own (nft ct timeout)
        self.expires: i64 = 0  # capture time in ns; while not confirmed: the timeout in ns
        # the protocol's state: TCP state, SCTP state, DCCP state, UDP stream time in ns
        self.state: i64 = 0
        self.orig_side: Side | None = None  # TCP only
        self.reply_side: Side | None = None
        self.retrans: i64 = 0
        self.last_index: i64 = 0
        self.last_dir: i64 = 0
        self.last_seq: i64 = 0
        self.last_ack: i64 = 0
        self.last_end: i64 = 0
        self.last_win: i64 = 0
        self.last_flags: i64 = 0
        self.orig_packets: i64 = 0
        self.orig_bytes: i64 = 0
        self.reply_packets: i64 = 0
        self.reply_bytes: i64 = 0
        self.last_wscale: i64 = 0
        self.id: i64 = 0
        self.started: i64 = 0  # ns
        self.vtag_orig: i64 = 0  # SCTP
        self.vtag_reply: i64 = 0
        self.stream_timeout: i64 = 0  # GRE: ns
        self.timeout: i64 = 0
        self.master: Entry | None = None
        self.helper: str = ""
        self.extra: Extra | None = None
        self.masquerade: i64 = 0  # the device whose address it was given (nf_conn_nat.masq_index)
        self.index: i64 = -1  # its place in the table's list, -1 while it is in no table
        self.hash_orig: i64 = 0  # for the table
        self.hash_reply: i64 = 0
        # offload: which flow table holds it and since when; the flow's own expiry (struct flow_offload)
        self.flow_table: i64 = 0  # 0 none
        self.flow_expires: i64 = 0
        self.flow_flags: i64 = 0
