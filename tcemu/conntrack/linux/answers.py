"""Which ICMP and ICMPv6 messages answer each other (nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c: invmap)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.packet.numbers import numbers

ICMP: Final = 1
ICMPV6: Final = 58
HIGHEST_TYPE: Final = 18  # NR_ICMP_TYPES

# type -> the type that answers it, -1 for none:          0                       8                    13  14  15  16  17  18
ANSWER: Final = numbers([8, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, 14, 13, 16, 15, 18, 17])

ECHO6: Final = 128
ECHO_REPLY6: Final = 129
NODE_QUERY: Final = 139
NODE_REPLY: Final = 140


def answer_of(proto: i64, kind: i64) -> i64:
    """nf_conntrack_invert_icmp_tuple, nf_conntrack_invert_icmpv6_tuple: the type of the other direction, -1 when there is none."""
    if proto == ICMP:
        return ANSWER[kind] if kind <= HIGHEST_TYPE else -1
    if kind == ECHO6:
        return ECHO_REPLY6
    if kind == ECHO_REPLY6:
        return ECHO6
    if kind == NODE_QUERY:
        return NODE_REPLY
    return NODE_QUERY if kind == NODE_REPLY else -1


def answered(proto: i64, kind: i64) -> i64:
    """ICMP's second "port", turned round: the type becomes its answer's; what nothing answers stays."""
    back = answer_of(proto, kind >> 8)
    return kind if back < 0 else back << 8 | (kind & 0xFF)
