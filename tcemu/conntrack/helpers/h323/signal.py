"""A message of H.323 in its packet: the addresses that stand in it, and the frames (TPKT, RFC 1006) that a stream is cut into.

An address is an IP address with a port right behind it, at a place counted from where the message begins. What NAT writes in its place
is as long, so places stay.

Source: net/netfilter/nf_conntrack_h323_main.c (get_tpkt_data, get_h225_addr, get_h245_addr), include/linux/netfilter/nf_conntrack_h323.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.conntrack.entry import Entry, Extra
from tcemu.conntrack.expect import ADDED, REASONS, Expectation
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import (
    NF_ACCEPT,
    NF_DROP,
    announce,
    is_translated,
    payload,
    rewrite,
    side,
    source_of,
    target_of,
    try_relate,
)
from tcemu.conntrack.helpers.h323.per import dig
from tcemu.conntrack.names import signed
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

MOST_BYTES: Final = 65535
CHANNELS: Final = 4  # pairs of media ports that are remembered (H323_RTP_CHANNEL_MAX)
# places in a connection's memory; the first three hold a number a direction: signalling port, media port of each channel, bytes that a
# frame's header has announced; then the time that a registration is for
SIGNAL, MEDIA, FRAME, TIMEOUT = 0, 2, 2 + 2 * CHANNELS, 4 + 2 * CHANNELS
LOOPBACK: Final = 127


class Place(NamedTuple):
    """An address of the connection's family, its port, and where they stand."""

    address: tuple[int, int]
    port: int
    at: int


class Message:
    """One message: ``at`` is where it begins in the payload; ``way`` the direction it goes."""

    def __init__(self, helper: Helper, table: Conntrack, p: Packet, ct: Entry, way: int, at: int) -> None:
        self.helper, self.table, self.p, self.ct, self.way, self.at = helper, table, p, ct, way, at
        self.memory = memory_of(ct)
        self.mine, self.back = side(ct, way), side(ct, 1 - way)
        self.why = ""  # why it cannot be acted on

    @property
    def translated(self) -> bool:
        """Is there anything to write anew? Of IPv6 never."""
        return is_translated(self.ct) and self.ct.family == 4

    @property
    def moved(self) -> bool:
        """The same, and the address of who speaks is one that is translated."""
        return self.translated and source_of(self.mine) != target_of(self.back)

    def h225(self, value: Any) -> Place | None:
        """A TransportAddress of H.225."""
        return self._place(dig(value, "ipAddress" if self.ct.family == 4 else "ip6Address", "ip"))

    def h245(self, value: Any) -> Place | None:
        """A TransportAddress of H.245, to one host."""
        return self._place(dig(value, "unicastAddress", "iPAddress" if self.ct.family == 4 else "iP6Address", "network"))

    def own(self, place: Place | None) -> Place | None:
        """The same, when it is the speaker's own and has a port."""
        return place if place is not None and place.address == source_of(self.mine) and place.port else None

    def _place(self, at: int | None) -> Place | None:
        if at is None:
            return None
        size = 4 if self.ct.family == 4 else 16
        text = payload(self.p)[self.at + at : self.at + at + size + 2]
        raw = int.from_bytes(text[:size], "big")
        address = (0, raw) if size == 4 else (signed(raw >> 64), signed(raw))
        return Place(address, int.from_bytes(text[size:], "big"), at)

    def replace(self, place: Place, address: tuple[int, int], port: int) -> bool:
        """Write another IPv4 address and port there."""
        text = (address[1] << 16 | port & 0xFFFF).to_bytes(6, "big")
        reason = self.p.reason
        if rewrite(self.p, self.ct, self.way, self.at + place.at, len(text), text):
            return True
        self.p.reason, self.why = reason, "cannot mangle packet"
        return False

    def expectation(self, proto: int, target: tuple[int, int], port: int) -> Expectation:
        """A connection from the other end."""
        return announce(self.ct, proto, source_of(self.back), target, port)

    def relate(self, new: Expectation) -> bool:
        """Expect it; False when it may not be."""
        code = try_relate(self.helper, self.table, self.p, new)
        self.why = REASONS[code]
        return code == ADDED

    def verdict(self, done: bool) -> int:
        """What becomes of the packet."""
        if done:
            return NF_ACCEPT
        name = self.ct.helper
        self.p.reason = f"{name} helper: cannot process {name} message: {self.why}"
        return NF_DROP


def memory_of(ct: Entry) -> list[int]:
    """The connection's memory."""
    if ct.extra is None:
        ct.extra = Extra()
    if len(ct.extra.memory) <= TIMEOUT:
        ct.extra.memory = [0] * (TIMEOUT + 1)
    return ct.extra.memory


def frame(text: bytes, memory: list[int], way: int, last: tuple[int, int] | None) -> tuple[int, int] | None:
    """The next frame's content: where it begins in a segment's data, and where it ends. None when there is no other.

    Only whole frames are read, and a header that comes alone announces the data of the next segment (NetMeeting sends them so).
    """
    at = last[1] if last is not None else 0
    left = min(len(text), MOST_BYTES) - at
    announced, memory[FRAME + way] = memory[FRAME + way], 0
    if last is None and (left < 4 or text[:2] != b"\3\0"):
        if left > 0 and 0 < announced <= left:
            return 0, announced
        return None
    if left < 4 or (last is not None and left == 4) or text[at : at + 2] != b"\3\0":
        return None
    size = int.from_bytes(text[at + 2 : at + 4], "big")
    if size < 4:
        return None
    if size > left:
        if left == 4:
            memory[FRAME + way] = size - 4
        return None
    return at + 4, at + size
