"""Who is translated to what: connections by their original source, so that a source keeps its translation (nf_nat_bysource).

Only confirmed connections are here. Those that are not live no longer than their packet.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.hashing import Slots, zone_of
from tcemu.conntrack.tuples import hash_ends


class Sources:
    """Beside a slot stands the connection, or the list of them where several have the same source."""

    def __init__(self) -> None:
        self.slots: Slots = Slots()

    def of(self, t: Tuple, family: i64, proto: i64, zone: i64) -> list[Entry]:
        """Connections whose original source has the same hash (hash_by_src), oldest first."""
        out: list[Entry] = []
        at = self.slots.place(hash_ends(t.src_high, t.src, t.sport, 0, 0, 0, family, proto, zone))
        if at >= 0:
            found = self.slots.beside[at]
            if isinstance(found, Entry):
                out.append(found)
            elif isinstance(found, list):
                return found
        return out

    def add(self, entry: Entry) -> None:
        """A connection whose source translation is settled."""
        slots = self.slots
        h = hash_mine(entry)
        at = slots.place(h)
        if at < 0:
            slots.make_room()
            slots.put(h << 3 | 1, entry)
            return
        found = slots.beside[at]
        if isinstance(found, list):
            found.append(entry)
        else:
            slots.beside[at] = [found, entry]

    def remove(self, entry: Entry) -> None:
        """A connection ends."""
        slots = self.slots
        h = hash_mine(entry)
        at = slots.place(h)
        if at < 0:
            return
        found = slots.beside[at]
        if isinstance(found, list):
            left = [other for other in found if other is not entry]
            slots.beside[at] = left[0] if len(left) == 1 else left
        else:
            slots.take(h, entry)


def hash_mine(entry: Entry) -> i64:
    """The hash of an entry's original source."""
    family: int = entry.family
    proto: int = entry.proto
    return hash_ends(entry.src_high, entry.src, entry.ports >> 16, 0, 0, 0, family, proto, zone_of(entry, 0))
