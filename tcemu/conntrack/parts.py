"""What connections are made of: tuples, the sides of TCP, counters, and what few have.

Numbers are no wider than they must be; see `tcemu.conntrack.entry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i32, i64, mypyc_attr

from tcemu.conntrack.timeouts import Timeouts

if TYPE_CHECKING:
    from tcemu.conntrack.entry import Entry


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
