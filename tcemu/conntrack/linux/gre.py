"""GRE: answered or not, with timeouts that a helper may lengthen (net/netfilter/nf_conntrack_proto_gre.c)."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY, Entry
from tcemu.conntrack.settings import Settings


def packet(s: Settings, ct: Entry) -> i64:
    """nf_conntrack_gre_packet: the timeout. The connection keeps the timeouts it began with."""
    if (ct.status & CONFIRMED) == 0:
        policy = ct.policy
        timeouts = s.timeouts if policy is None else policy
        ct.timeout = timeouts.gre
        ct.stream_timeout = timeouts.gre_stream
    if (ct.status & SEEN_REPLY) == 0:
        return ct.timeout
    ct.status |= ASSURED
    return ct.stream_timeout
