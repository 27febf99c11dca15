"""ICMPv6: requests with their answers; neighbour and group messages are not tracked (nf_conntrack_proto_icmpv6.c).

Its tuple's ports are the echo id and ``type << 8 | code``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, Entry
from tcemu.conntrack.linux import INVALID
from tcemu.conntrack.settings import Settings
from tcemu.packet.packet import Packet

ECHO: Final = 128
ECHO_REPLY: Final = 129
REDIRECT: Final = 137
NODE_QUERY: Final = 139
NODE_REPLY: Final = 140
INFORMATIONAL: Final = 128  # types below are errors

# group queries, reports and done; router and neighbour solicitation and advertisement; version 2 reports
UNTRACKED_TYPES: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 13  # from 130 on


def is_untracked(kind: i64) -> bool:
    """Is it of the link's own housekeeping?"""
    return 130 <= kind <= 143 and (UNTRACKED_TYPES >> (kind - 130)) & 1 != 0


def packet(s: Settings, ct: Entry, p: Packet) -> i64:
    """nf_conntrack_icmpv6_packet: a timeout or INVALID."""
    kind = (ct.ports & 0xFFFF) >> 8
    if ct.family != 6 or (ct.status & CONFIRMED == 0 and kind not in (ECHO, NODE_QUERY)):
        p.reason = f"icmpv6: no connection begins with type {kind}"
        return INVALID
    policy = ct.policy
    return (s.timeouts if policy is None else policy).icmpv6
