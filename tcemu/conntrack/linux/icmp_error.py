"""ICMP and ICMPv6 before their tuples count: what is broken, what is never tracked, and which errors are about connections.

Sources: nf_conntrack_icmpv4_error and nf_conntrack_inet_error (nf_conntrack_proto_icmp.c), nf_conntrack_icmpv6_error
and nf_conntrack_icmpv6_redirect (nf_conntrack_proto_icmpv6.c).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import Tuple
from tcemu.conntrack.linux import icmp, icmpv6
from tcemu.conntrack.linux.answers import HIGHEST_TYPE
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.tuples import inner, invert
from tcemu.fields import G_ICMP, G_ICMP6, ICMP_CODE, ICMP_TYPE, IP6_SADDR, IP_TTL
from tcemu.packet.packet import Packet

BROKEN: Final = -1
PLAIN: Final = 0  # no error message: it has a tuple of its own
NEVER: Final = 1  # not tracked at all
ABOUT: Final = 256  # and more: this plus the protocol of the packet inside, whose answer's tuple was stored

ND_OPT_REDIRECT_HDR: Final = 4
LINK_LOCAL: Final = -0x0180  # fe80::/10 as the ten highest bits of a signed half, sixteen bits wide


def judge(p: Packet, family: i64, verify: bool, answer: Tuple, scratch: Tuple) -> i64:
    """BROKEN, PLAIN, NEVER, or ABOUT + protocol with ``answer`` the tuple to look for."""
    if family == 4:
        if (p.groups & G_ICMP) == 0:
            p.reason = f"icmp: short packet ({p.l3_end - p.l4} bytes)"
            return BROKEN
        if verify and not is_intact(p):
            p.reason = "icmp: bad hw icmp checksum"
            return BROKEN
        kind = p.f[ICMP_TYPE]
        if kind > HIGHEST_TYPE:
            p.reason = f"icmp: invalid icmp type {kind}"
            return BROKEN
        if not icmp.is_error(kind):
            return PLAIN
        return about(p, p.l4 + 8, family, answer, scratch)
    if (p.groups & G_ICMP6) == 0:
        p.reason = f"icmpv6: short packet ({p.l3_end - p.l4} bytes)"
        return BROKEN
    if verify and not is_intact(p):
        p.reason = "icmpv6: ICMPv6 checksum failed"
        return BROKEN
    kind = p.f[ICMP_TYPE]
    if icmpv6.is_untracked(kind):
        return NEVER
    if kind == icmpv6.REDIRECT:
        return redirect(p, answer, scratch)
    if kind >= icmpv6.INFORMATIONAL:
        return PLAIN
    return about(p, p.l4 + 8, family, answer, scratch)


def redirect(p: Packet, answer: Tuple, scratch: Tuple) -> i64:
    """An ICMPv6 redirect is about the packet in its redirected header option, when that option comes first (RFC 4861 4.5)."""
    at = p.l4 + 40
    if p.l3_end < at:
        p.reason = f"icmpv6: short redirect ({p.l3_end - p.l4} bytes)"
        return BROKEN
    if p.f[ICMP_CODE] != 0:
        return PLAIN
    if p.f[IP_TTL] != 255 or (p.f[IP6_SADDR] >> 54) != (LINK_LOCAL >> 6):
        p.reason = f"icmpv6: invalid saddr or hoplimit for redirect (hop limit {p.f[IP_TTL]})"
        return BROKEN
    if p.l3_end < at + 2 or p.data[at + 1] == 0:
        p.reason = "icmpv6: redirect without options"
        return BROKEN
    if p.data[at] != ND_OPT_REDIRECT_HDR:
        return PLAIN
    return about(p, at + 8, 6, answer, scratch)


def about(p: Packet, at: i64, family: i64, answer: Tuple, scratch: Tuple) -> i64:
    """The first half of nf_conntrack_inet_error: whom does the packet inside belong to?"""
    proto = inner(p, at, family, scratch)
    if proto < 0:
        p.reason = "icmp: the packet inside the error is cut or a fragment"
        return BROKEN
    if not invert(proto, scratch, answer):
        p.reason = "icmp: nothing answers the packet inside the error"
        return BROKEN
    return ABOUT + proto
