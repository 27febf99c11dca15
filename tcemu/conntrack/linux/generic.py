"""Everything else: addresses only, one timeout (net/netfilter/nf_conntrack_core.c generic_packet)."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.settings import Settings


def packet(s: Settings, ct: Entry) -> i64:
    """The timeout; nothing of such a protocol can be invalid."""
    policy = ct.policy
    return (s.timeouts if policy is None else policy).generic
