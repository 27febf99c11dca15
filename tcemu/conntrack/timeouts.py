"""How long connections are remembered: one number per protocol and state, in nanoseconds.

The same set exists once for all (the sysctls) and once per timeout policy (nft ct timeout). Defaults are the
``*_timeouts`` arrays of net/netfilter/nf_conntrack_proto_*.c as Linux 6.1 has them.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.packet.numbers import numbers

SECOND: Final = 1_000_000_000

# enum tcp_conntrack goes on behind the states with two timeouts that are no states
TCP_RETRANS: Final = 12
TCP_UNACK: Final = 13

# place in the vector -> seconds; the state numbers are those of enum tcp_conntrack and its like
TCP_DEFAULTS: Final = (120, 120, 60, 432_000, 120, 60, 30, 120, 10, 120, 0, 0, 300, 300)
SCTP_DEFAULTS: Final = (10, 10, 3, 3, 210, 3, 3, 3, 30)
DCCP_DEFAULTS: Final = (240, 240, 480, 480, 43_200, 64, 64, 240, 0, 0)


class Timeouts:
    """All timeouts, ns. ``tcp``, ``sctp`` and ``dccp`` are indexed by state."""

    def __init__(self) -> None:
        self.tcp: vec[i64] = numbers([value * SECOND for value in TCP_DEFAULTS])
        self.sctp: vec[i64] = numbers([value * SECOND for value in SCTP_DEFAULTS])
        self.dccp: vec[i64] = numbers([value * SECOND for value in DCCP_DEFAULTS])
        self.udp: i64 = 30 * SECOND
        self.udp_stream: i64 = 120 * SECOND
        self.icmp: i64 = 30 * SECOND
        self.icmpv6: i64 = 30 * SECOND
        self.gre: i64 = 30 * SECOND
        self.gre_stream: i64 = 180 * SECOND
        self.generic: i64 = 600 * SECOND
