"""The status bits of a connection (enum ip_conntrack_status, include/uapi/linux/netfilter/nf_conntrack_common.h)."""

from __future__ import annotations

from typing import Final

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
