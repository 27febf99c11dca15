"""Helpers: protocols that announce other connections in what they say (net/netfilter/nf_conntrack_helper.c).

A connection has the helper that a rule gave it, or that the connection that announced it wanted for it; none is guessed from ports
(nf_conntrack_helper=0, which is all there is since Linux 6.0). The protocols are in `tcemu.conntrack.helpers`, one file each, and
loaded when the first connection needs one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.expect import Expectation
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

NF_DROP: Final = 0
NF_ACCEPT: Final = 1


@mypyc_attr(allow_interpreted_subclasses=True)
class Helper:
    """One protocol. ``limits`` and ``times``: how many expectations of each class a connection may have, and for how many seconds."""

    def __init__(self) -> None:
        self.limits: list[int] = [1]
        self.times: list[int] = [300]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        """Look at a packet of the connection; NF_ACCEPT or NF_DROP (``p.reason`` says why)."""
        return NF_ACCEPT


@mypyc_attr(allow_interpreted_subclasses=True)
class Helping:
    """What the table asks of the protocols; the table holds one that knows them from the first connection with a helper on."""

    def helper(self, name: str, proto: int) -> Helper | None:
        """The helper of that name for a transport protocol; None when there is none."""
        return None

    def follow(self, table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
        """expectfn: give a connection that was expected the translation that its master has."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Routes:
    """What helpers ask of the host's routes."""

    def same_way(self, family: i64, high: i64, low: i64, other_high: i64, other: i64) -> bool:
        """Do packets to both addresses (halves) leave through the same device to the same next hop?"""
        return False


def load() -> Helping:
    """The real one."""
    from tcemu.conntrack.helpers import Protocols

    return Protocols()
