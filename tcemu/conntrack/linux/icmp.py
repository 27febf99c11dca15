"""ICMP: requests with their answers (net/netfilter/nf_conntrack_proto_icmp.c).

Its tuple's ports are the echo id and ``type << 8 | code``; the reply's type is the answer's.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.linux import INVALID
from tcemu.conntrack.settings import Settings
from tcemu.packet.packet import Packet

ECHO_REPLY: Final = 0
DEST_UNREACH: Final = 3
SOURCE_QUENCH: Final = 4
REDIRECT: Final = 5
ECHO: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
TIMESTAMP: Final = 13
INFO_REQUEST: Final = 15
ADDRESS: Final = 17


def is_request(kind: i64) -> bool:
    """May a connection begin with it?"""
    return kind in (ECHO, TIMESTAMP, INFO_REQUEST, ADDRESS)


def is_error(kind: i64) -> bool:
    """icmp_is_err: does it carry the packet that it speaks of?"""
    if DEST_UNREACH <= kind <= REDIRECT:
        return True
    return kind in (TIME_EXCEEDED, PARAMETER_PROBLEM)


def packet(s: Settings, ct: Entry, p: Packet) -> i64:
    """nf_conntrack_icmp_packet: a timeout or INVALID."""
    kind = (ct.ports & 0xFFFF) >> 8
    if ct.family != 4 or not is_request(kind):
        p.reason = f"icmp: no connection begins with type {kind}"
        return INVALID
    policy = ct.policy
    return (s.timeouts if policy is None else policy).icmp
