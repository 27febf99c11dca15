"""Passive fingerprints of operating systems: what a SYN's window, options, length and time to live tell of who sent it.

Source: net/netfilter/nfnetlink_osf.c nf_osf_match_one, nf_osf_ttl, nf_osf_find. Only IPv4 is looked at.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import IP_FRAG, IP_LEN, IP_TTL, TCP_DOFF, TCP_WINDOW
from tcemu.packet.edit import get16
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IP_DF

PLAIN: Final = 0  # OSF_WSS_*: what a window is measured by
BY_MSS: Final = 1
BY_MTU: Final = 2
MODULO: Final = 3
STRICT: Final = 0  # NF_OSF_TTL_*
LOOSE: Final = 1
SKIP: Final = 2
OPTION_BYTES: Final = 40  # MAX_IPOPTLEN
USUAL: Final = 1460  # SMART_MSS_1, SMART_MSS_2: what modems make of a segment's size
DECREASED: Final = 1448


class Finger:
    """One fingerprint (struct nf_osf_user_finger)."""

    def __init__(self, genre: str, version: str) -> None:
        self.genre: str = genre
        self.version: str = version
        self.window_kind: i64 = PLAIN
        self.window: i64 = 0
        self.ttl: i64 = 0
        self.df: bool = False
        self.length: i64 = 0
        self.kinds: list[int] = []  # of options, in order
        self.sizes: list[int] = []
        self.room: i64 = 0  # sum of the sizes


class Fingers:
    """All fingerprints, in the order in which they were loaded."""

    def __init__(self) -> None:
        self.all: list[Finger] = []

    def find(self, p: Packet, ttl: i64) -> Finger | None:
        """The first that a SYN shows."""
        df = (p.f[IP_FRAG] & IP_DF) != 0
        for one in self.all:
            if one.df == df and p.f[IP_LEN] == one.length and arrives(p.f[IP_TTL], one.ttl, ttl) and shows(p, one):
                return one
        return None


def arrives(seen: i64, began: i64, how: i64) -> bool:
    """nf_osf_ttl: may a packet that began with ``began`` hops to live arrive with ``seen``?"""
    if how == STRICT:
        return seen == began
    return how == SKIP or seen <= began  # what is more is looked at once more, for equality, which it cannot have


def shows(p: Packet, one: Finger) -> bool:
    """Options and window."""
    d = p.data
    at = p.l4 + 20
    room = p.f[TCP_DOFF] * 4 - 20
    if room != one.room or room > OPTION_BYTES or at + room > p.l3_end:
        return False
    mss: i64 = 0
    for place in range(len(one.kinds)):
        kind: i64 = d[at]
        if kind != one.kinds[place]:
            return False
        if kind == 2:
            mss = get16(d, at + 2)
        at += one.sizes[place]
    return fits(p.f[TCP_WINDOW], one, mss)


def fits(window: i64, one: Finger, mss: i64) -> bool:
    """Is the window what the fingerprint says?"""
    wanted = one.window
    kind = one.window_kind
    if kind == PLAIN:
        return wanted in (0, window)
    if kind == MODULO:
        return wanted != 0 and window % wanted == 0
    more: i64 = 40 if kind == BY_MTU else 0
    return window == wanted * (mss + more) or window == wanted * (USUAL + more) or window == wanted * (DECREASED + more)
