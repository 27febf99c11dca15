"""What the flow tables tell whoever wants to know: offers, hits, what stays slow and why, and the end.

A watch is set only while somebody asks (`tcemu.offload.desk.Desk`); without one a flow table tests one attribute for None.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.entry import Entry
from tcemu.packet.packet import Packet

# why a flow left its table
BY_TIME: Final = "no packet for the flow table's timeout"
BY_END: Final = "a FIN or RST ends the connection"
BY_CONNTRACK: Final = "conntrack forgot the connection"
BY_ROUTE: Final = "the routes changed, and its own is stale"
BY_TABLE: Final = "the flow table was deleted"
BY_DEVICE: Final = "a device of it went down"


@mypyc_attr(allow_interpreted_subclasses=True)
class Watch:
    """Told by the flow tables; the base class does nothing. ``table`` is ``ct zone N`` or the key of nft's flow table."""

    def __init__(self) -> None:
        self.told: i64 = 0

    def refused(self, table: str, entry: Entry, why: str, p: Packet, now: i64) -> None:
        """A packet offered its connection, and it was not to be had."""

    def added(self, table: str, entry: Entry, hardware: bool, there: i64, back: i64, p: Packet, now: i64) -> None:
        """The connection is in the flow table; ``there`` and ``back``: the devices that its packets come in by (0: any).

        ``hardware``: the table hands its flows on to hardware (nft: only with flags offload).
        """

    def hit(self, table: str, entry: Entry, reply: bool, hardware: bool, p: Packet, now: i64) -> bool:
        """A packet found its flow. Did it find it in a backend that is hardware, so that no software saw the packet?"""
        return False

    def passed(self, table: str, entry: Entry, why: str, p: Packet, now: i64) -> None:
        """A packet of a connection that is in the flow table takes the slow path all the same."""

    def torn(self, table: str, entry: Entry, why: str, now: i64) -> None:
        """The flow left the table; conntrack has the connection back."""

    def tick(self, now: i64) -> None:
        """Time passed: a tenth of a second or more."""
