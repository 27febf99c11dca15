"""The connection that a witness packet belongs to, as it stands in the table before the packet comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY
from tcemu.conntrack.record import EntryRecord
from tcemu.session.witness import EST, REL, halves

if TYPE_CHECKING:
    from tcemu.session.witness import Sample

TCP: Final = 6
ESTABLISHED: Final = 3  # TCP's state


def connection_of(made: Sample, now: int) -> EntryRecord | None:
    """The connection of an established packet, answered already, or that which an ICMP error speaks of; None for other packets."""
    if made.state == EST:
        return _entry(made, made.proto, (made.source, made.sport), (made.target, made.dport), now)
    if made.state == REL:
        return _entry(made, TCP, (made.target, made.dport), (made.source, made.sport), now)
    return None


def _entry(made: Sample, proto: int, here: tuple[int, int], there: tuple[int, int], now: int) -> EntryRecord:
    source = (0, here[0]) if made.family == 4 else halves(here[0])
    target = (0, there[0]) if made.family == 4 else halves(there[0])
    return EntryRecord(
        key="1",
        rank=1,
        family=made.family,
        proto=proto,
        orig=(source[1], target[1], here[1], there[1], source[0], target[0]),
        reply=(target[1], source[1], there[1], here[1], target[0], source[0]),
        status=CONFIRMED | SEEN_REPLY | ASSURED,
        expires=now + 10**12,
        started=now - 10**9,
        state=ESTABLISHED if proto == TCP else 0,
        sides=((1000, 70000, 60000, 1000, 0, 0), (1, 70000, 60000, 1, 0, 0)) if proto == TCP else None,
    )
