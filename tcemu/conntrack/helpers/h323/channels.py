"""H.245: who opens a logical channel tells where its media go (RTP on the even port, RTCP behind it), or where its T.120 listens.

The same messages stand in Q.931, tunnelled (h245Control) or as a fast start, so that protocol asks here too.

Source: net/netfilter/nf_conntrack_h323_main.c (h245_help, process_h245, process_olc, process_olca, expect_rtp_rtcp, expect_t120).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.expect import PERMANENT
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, TCP, UDP, is_talking, payload, target_of
from tcemu.conntrack.helpers.h323 import nat
from tcemu.conntrack.helpers.h323.h245 import CONTROL
from tcemu.conntrack.helpers.h323.per import PerError, decode, dig
from tcemu.conntrack.helpers.h323.signal import CHANNELS, Message, frame, memory_of
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

H2250 = "h2250LogicalChannelParameters"


class H245(Helper):
    """A connection that Q.931 announced; no rule names it."""

    def __init__(self) -> None:
        super().__init__()
        self.limits, self.times = [CHANNELS * 4 + 2], [240]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        if not is_talking(p):
            return NF_ACCEPT
        found = frame(payload(p), memory_of(ct), way, None)
        while found is not None:
            try:
                value = decode(payload(p)[found[0] : found[1]], CONTROL)
            except PerError:
                return NF_ACCEPT
            m = Message(self, table, p, ct, way, found[0])
            if not control(m, value):
                return m.verdict(False)
            found = frame(payload(p), memory_of(ct), way, found)
        return NF_ACCEPT


def control(m: Message, value: Any) -> bool:
    """One message of H.245; False when it cannot be acted on."""
    opened = dig(value, "request", "openLogicalChannel")
    if opened is not None:
        return opens(m, opened)
    agreed = dig(value, "response", "openLogicalChannelAck")
    return agreed is None or agrees(m, agreed)


def opens(m: Message, value: Any) -> bool:
    """openLogicalChannel: media of either direction, or T.120 over a connection of its own."""
    forward = dig(value, "forwardLogicalChannelParameters")
    for one in (forward, dig(value, "reverseLogicalChannelParameters")):
        if not media(m, dig(one, "multiplexParameters", H2250)):
            return False
    if dig(forward, "dataType", "data", "application", "t120", "separateLANStack") is None:
        return True
    return conference(m, value)


def agrees(m: Message, value: Any) -> bool:
    """openLogicalChannelAck."""
    for one in (
        dig(value, "reverseLogicalChannelParameters", "multiplexParameters", H2250),
        dig(value, "forwardMultiplexAckParameters", "h2250LogicalChannelAckParameters"),
    ):
        if not media(m, one):
            return False
    return conference(m, value)


def media(m: Message, value: Any) -> bool:
    """RTP and RTCP of the other end come to the speaker: to the place that it names for either."""
    return all(_pair(m, dig(value, name)) for name in ("mediaChannel", "mediaControlChannel"))


def _pair(m: Message, address: Any) -> bool:
    place = m.own(m.h245(address))
    if place is None:
        return True
    rtp, rtcp = (m.expectation(UDP, target_of(m.back), port) for port in (place.port & ~1, place.port | 1))
    if m.moved:
        return nat.expect_media(m, place, rtp, rtcp)
    if not m.relate(rtp):
        return False
    if m.relate(rtcp):
        return True
    m.table.expectations.remove(rtp)
    return False


def conference(m: Message, value: Any) -> bool:
    """T.120: several connections may come."""
    place = m.own(m.h245(dig(value, "separateStack", "networkAddress", "localAreaAddress")))
    if place is None:
        return True
    new = m.expectation(TCP, target_of(m.back), place.port)
    new.flags = PERMANENT
    return nat.expect_stream(m, place, new, place.port) is not None if m.moved else m.relate(new)
