"""Who is translated to what: connections by their original source, so that a source keeps its translation (nf_nat_bysource).

Only confirmed connections are here. Those that are not live no longer than their packet.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.hashing import zone_of
from tcemu.conntrack.tuples import hash_ends


class Sources:
    """Newest first, as the kernel's list is."""

    def __init__(self) -> None:
        self.lists: dict[int, list[Entry]] = {}

    def hash(self, t: Tuple, family: i64, proto: i64, zone: i64) -> i64:
        """hash_by_src: of the source half only."""
        return hash_ends(t.src_high, t.src, t.sport, 0, 0, 0, family, proto, zone)

    def hash_mine(self, entry: Entry) -> i64:
        """That of an entry's original source."""
        family: int = entry.family
        proto: int = entry.proto
        high = entry.high
        return hash_ends(0 if high is None else high.src, entry.src, entry.ports >> 16, 0, 0, 0, family, proto, zone_of(entry, 0))

    def of(self, t: Tuple, family: i64, proto: i64, zone: i64) -> list[Entry]:
        """Connections whose original source has the same hash, oldest first."""
        found = self.lists.get(self.hash(t, family, proto, zone))
        return [] if found is None else found

    def add(self, entry: Entry) -> None:
        """A connection whose source translation is settled."""
        self.lists.setdefault(self.hash_mine(entry), []).append(entry)

    def remove(self, entry: Entry) -> None:
        """A connection ends."""
        h: int = self.hash_mine(entry)
        found = self.lists.get(h)
        if found is None:
            return
        left = [other for other in found if other is not entry]
        if len(left) > 0:
            self.lists[h] = left
        else:
            del self.lists[h]
