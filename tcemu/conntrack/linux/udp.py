"""UDP and UDP-Lite: no states, only whether it was answered (net/netfilter/nf_conntrack_proto_udp.c).

``Entry.state`` holds the time from which an answered connection counts as a stream: two seconds after its first packet.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, NAT_CLASH, SEEN_REPLY, Entry
from tcemu.conntrack.linux import INVALID
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.timeouts import SECOND
from tcemu.fields import G_UDP, G_UDPLITE, UDP_CSUM, UDP_LEN
from tcemu.packet.packet import Packet

STREAM_AFTER: Final = 2 * SECOND


def packet(s: Settings, ct: Entry, p: Packet, length: i64, verify: bool, now: i64) -> i64:
    """nf_conntrack_udp_packet: judge one datagram; a timeout or INVALID."""
    f = p.f
    size = length - (p.l4 - p.l3)
    if (p.groups & G_UDP) == 0 or size < 8:
        p.reason = f"udp: short packet ({size} bytes)"
        return INVALID
    told = f[UDP_LEN]
    if told > size or told < 8:
        p.reason = f"udp: truncated/malformed packet (length field {told}, {size} bytes there)"
        return INVALID
    if verify and f[UDP_CSUM] != 0 and not is_intact(p):
        p.reason = "udp: bad checksum"
        return INVALID
    status = ct.status
    timeouts = s.timeouts
    if ct.extra is not None:
        policy = ct.policy
        if policy is not None:
            timeouts = policy
    if (status & CONFIRMED) == 0:
        ct.state = now + STREAM_AFTER
    if (status & SEEN_REPLY) == 0 or now <= ct.state:
        return timeouts.udp
    if (status & NAT_CLASH) == 0:
        ct.status = status | ASSURED
    return timeouts.udp_stream


def lite_packet(s: Settings, ct: Entry, p: Packet, length: i64, verify: bool) -> i64:
    """nf_conntrack_udplite_packet: the checksum must be there, and covers what the length field says (RFC 3828)."""
    f = p.f
    size = length - (p.l4 - p.l3)
    if (p.groups & G_UDPLITE) == 0 or size < 8:
        p.reason = f"udplite: short packet ({size} bytes)"
        return INVALID
    cover = f[UDP_LEN]
    if cover != 0 and (cover < 8 or cover > size):
        p.reason = f"udplite: invalid checksum coverage ({cover} of {size} bytes)"
        return INVALID
    if f[UDP_CSUM] == 0:
        p.reason = "udplite: checksum missing"
        return INVALID
    if verify and not is_intact(p):
        p.reason = "udplite: bad checksum"
        return INVALID
    policy = ct.policy
    timeouts = s.timeouts if policy is None else policy
    if (ct.status & SEEN_REPLY) == 0:
        return timeouts.udp
    if (ct.status & NAT_CLASH) == 0:
        ct.status |= ASSURED
    return timeouts.udp_stream
