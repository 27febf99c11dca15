"""Addresses of H.323 as the far end of a translated connection has to see them, and where it is led when it comes to them.

A port that is taken already gives way to another; when there is none the message goes on as it is, and nothing is expected.

Source: net/ipv4/netfilter/nf_nat_h323.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.expect import ADDED, CLASH, FOLLOW_FORWARDED, Expectation
from tcemu.conntrack.helpers.common import find_port, follow, side, source_of, target_of, try_relate
from tcemu.conntrack.helpers.h323.signal import CHANNELS, LOOPBACK, MEDIA, SIGNAL, Message, Place
from tcemu.conntrack.nat import DST, SRC, NatRange, setup

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

PORTS: Final = 0x10000


def expect_media(m: Message, place: Place, rtp: Expectation, rtcp: Expectation) -> bool:
    """nat_rtp_rtcp: the same two ports if they are free, else the next two that are."""
    first = place.port & ~1
    for new in (rtp, rtcp):
        follow(new, 1 - m.way, int(new.tuple.dport))
    slots = [MEDIA + 2 * channel for channel in range(CHANNELS)]
    slot = next((at for at in slots if m.memory[at + m.way] in (first, 0)), None)
    if slot is None:
        return True
    port = _pair_of_ports(m, first, rtp, rtcp)
    if not port:
        return True
    if not m.replace(place, target_of(m.back), port + (place.port & 1)):
        m.table.expectations.remove(rtp)
        m.table.expectations.remove(rtcp)
        return False
    m.memory[slot + m.way], m.memory[slot + 1 - m.way] = first, port
    return True


def _pair_of_ports(m: Message, first: int, rtp: Expectation, rtcp: Expectation) -> int:
    """The even one; 0 when there is no pair."""
    for port in range(first, PORTS if first else 0, 2):
        rtp.tuple.dport, rtcp.tuple.dport = port, port + 1
        code = try_relate(m.helper, m.table, m.p, rtp)
        if code == ADDED:
            code = try_relate(m.helper, m.table, m.p, rtcp)
            if code == ADDED:
                return port
            m.table.expectations.remove(rtp)
        if code != CLASH:
            return 0
    return 0


def expect_stream(m: Message, place: Place, new: Expectation, port: int) -> int | None:
    """A TCP port: the wanted one or another; 0 when none can be had, None when it cannot be written."""
    follow(new, 1 - m.way, int(new.tuple.dport))
    return _take(m, place, new, port)


def _take(m: Message, place: Place, new: Expectation, port: int) -> int | None:
    _, found = find_port(m.helper, m.table, m.p, new, port)
    if found and not m.replace(place, target_of(m.back), found):
        m.table.expectations.remove(new)
        return None
    return found


def expect_signal(m: Message, place: Place, new: Expectation) -> bool:
    """nat_h245, nat_q931: the port that this one was given before, if it was."""
    port, here, there = place.port, SIGNAL + m.way, SIGNAL + 1 - m.way
    found = expect_stream(m, place, new, m.memory[there] if m.memory[here] == port else port)
    if found:
        m.memory[here], m.memory[there] = port, found
    return found is not None


def expect_call(m: Message, places: list[Any], chosen: int, new: Expectation) -> bool:
    """nat_q931. Some programs name the loopback address first, which is written too then."""
    place = m.h225(places[chosen])
    assert place is not None
    before = m.memory[SIGNAL + m.way], m.memory[SIGNAL + 1 - m.way]
    if not expect_signal(m, place, new):
        return False
    first = m.h225(places[0])
    if new not in m.table.expectations.all or not chosen or first is None or first.address[1] >> 24 != LOOPBACK:
        return True
    if m.replace(first, target_of(m.back), m.memory[SIGNAL + 1 - m.way]):
        return True
    m.memory[SIGNAL + m.way], m.memory[SIGNAL + 1 - m.way] = before
    m.table.expectations.remove(new)
    return False


def expect_forwarded(m: Message, place: Place, new: Expectation) -> bool:
    """nat_callforwarding: the call comes to the address that the far end knows, and goes where it was forwarded to."""
    new.follow, new.saved_way = FOLLOW_FORWARDED, 1 - m.way
    new.saved_high, new.saved, new.saved_port = new.tuple.dst_high, new.tuple.dst, new.tuple.dport
    new.tuple.dst_high, new.tuple.dst = target_of(m.back)
    return _take(m, place, new, place.port) is not None


def write_signal(m: Message, values: list[Any]) -> bool:
    """set_sig_addr: the signalling address, of whichever end it is."""
    for value in values:
        place = m.h225(value)
        if place is None or place.port != m.memory[SIGNAL + m.way]:
            continue
        if place.address == source_of(m.mine):
            first = m.h225(values[0])
            place = first if first is not None and first.address[1] >> 24 == LOOPBACK else place
            return m.replace(place, target_of(m.back), m.memory[SIGNAL + 1 - m.way])
        if place.address == target_of(m.mine):
            return m.replace(place, source_of(m.back), m.memory[SIGNAL + 1 - m.way])
    return True


def write_ras(m: Message, values: list[Any]) -> bool:
    """set_ras_addr: the address that RAS itself is spoken from."""
    for value in values:
        place = m.h225(value)
        if place is not None and place.address == source_of(m.mine) and place.port == m.mine.sport:
            return m.replace(place, target_of(m.back), int(m.back.dport))
    return True


def follow_forwarded(table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
    """ip_nat_callforwarding_expect."""
    came = side(entry, 1 - int(expected.saved_way))
    source, target = NatRange(), NatRange()
    source.family = target.family = int(entry.family)
    source.low_high = source.high_high = came.src_high
    source.low = source.high = came.src
    target.source = False
    target.low_high = target.high_high = expected.saved_high
    target.low = target.high = expected.saved
    target.port_low = target.port_high = expected.saved_port
    setup(table, entry, source, SRC, now)
    setup(table, entry, target, DST, now)
