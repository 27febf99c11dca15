"""Q.931 with H.225 in it: a call is set up, and its messages name where H.245 will listen, or the media themselves (fast start).

Source: net/netfilter/nf_conntrack_h323_main.c (q931_help, process_q931 and its process_*, expect_h245, expect_callforwarding),
nf_conntrack_h323_asn1.c DecodeQ931.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, TCP, is_talking, payload, source_of, target_of
from tcemu.conntrack.helpers.h323 import nat
from tcemu.conntrack.helpers.h323.channels import control, opens
from tcemu.conntrack.helpers.h323.h225 import USER_INFORMATION
from tcemu.conntrack.helpers.h323.per import PerError, decode, dig
from tcemu.conntrack.helpers.h323.signal import CHANNELS, Message, frame, memory_of
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

DISCRIMINATOR: Final = 8
USER_USER: Final = 0x7E
NAME: Final = "Q.931"
CALLING: Final = ("setup", "callProceeding", "connect", "alerting", "facility", "progress")


class Q931(Helper):
    """memory of a connection: see `tcemu.conntrack.helpers.h323.signal`."""

    def __init__(self) -> None:
        super().__init__()
        self.limits, self.times = [CHANNELS * 4 + 4], [240]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        if not is_talking(p):
            return NF_ACCEPT
        found = frame(payload(p), memory_of(ct), way, None)
        while found is not None:
            try:
                value = user_information(payload(p)[found[0] : found[1]])
            except PerError:
                return NF_ACCEPT
            m = Message(self, table, p, ct, way, found[0])
            if not call(m, dig(value, "h323-uu-pdu")):
                return m.verdict(False)
            found = frame(payload(p), memory_of(ct), way, found)
        return NF_ACCEPT


def user_information(text: bytes) -> Any:
    """The user information of a Q.931 message; its places count from where that begins."""
    if len(text) < 2 or text[0] != DISCRIMINATOR or len(text) < text[1] + 4:
        raise PerError
    at = text[1] + 3  # behind the call's reference and the type of message
    if text[at] & 0x80:
        at += 1
    while at < len(text):
        if text[at] == USER_USER:
            size = int.from_bytes(text[at + 1 : at + 3], "big")
            if at + 3 + size > len(text) or size < 2:
                break
            return decode(text, USER_INFORMATION, at + 4, at + 3 + size)
        if at + 1 >= len(text):
            break
        at += 2 + text[at + 1]
    raise PerError


def call(m: Message, pdu: Any) -> bool:
    """process_q931."""
    body = dig(pdu, "h323-message-body")
    name = next((name for name in CALLING if dig(body, name) is not None), "")
    value = dig(body, name)
    if name == "facility" and dig(value, "reason", "callForwarded") is not None:
        good = forwarded(m, dig(value, "alternativeAddress"))
    else:
        good = not name or begins(m, name, value)
    return good and all(control(m, one) for one in dig(pdu, "h245Control") or ())


def begins(m: Message, name: str, value: Any) -> bool:
    """A message of a call that may name H.245's address and channels; the first one names both ends, too."""
    if not listens(m, dig(value, "h245Address")) or (name == "setup" and m.translated and not write_ends(m, value)):
        return False
    return all(opens(m, one) for one in dig(value, "fastStart") or ())


def listens(m: Message, address: Any) -> bool:
    """expect_h245."""
    place = m.own(m.h225(address))
    if place is None:
        return True
    new = m.expectation(TCP, target_of(m.back), place.port)
    new.helper = "H.245"
    return nat.expect_signal(m, place, new) if m.moved else m.relate(new)


def write_ends(m: Message, value: Any) -> bool:
    """Called and calling address of a SETUP, as the far end knows them."""
    for name, address, port in (
        ("destCallSignalAddress", source_of(m.back), int(m.back.sport)),
        ("sourceCallSignalAddress", target_of(m.back), int(m.back.dport)),
    ):
        place = m.h225(dig(value, name))
        if place is not None and place.address != address and not m.replace(place, address, port):
            return False
    return True


def forwarded(m: Message, address: Any) -> bool:
    """expect_callforwarding: the other end will call somebody else, unless it can do so without passing here."""
    place = m.h225(address)
    if place is None or not place.port:
        return True
    routes, there = m.table.routes, source_of(m.back)
    if routes is not None and routes.same_way(int(m.ct.family), *place.address, *there):
        return True
    new = m.expectation(TCP, place.address, place.port)
    new.helper = NAME
    return nat.expect_forwarded(m, place, new) if m.moved else m.relate(new)
