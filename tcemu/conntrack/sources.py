"""Who is translated to what: connections by their original source, so that a source keeps its translation (nf_nat_bysource).

Only confirmed connections are here. Those that are not live no longer than their packet.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.hashing import zone_of
from tcemu.conntrack.tuples import hash_of


class Sources:
    """Newest first, as the kernel's list is."""

    def __init__(self) -> None:
        self.lists: dict[int, list[Entry]] = {}
        self.key: Tuple = Tuple()

    def hash(self, t: Tuple, family: i64, proto: i64, zone: i64) -> i64:
        """hash_by_src: of the source half only."""
        key = self.key
        key.src_high = t.src_high
        key.src = t.src
        key.sport = t.sport
        return hash_of(key, family, proto, zone)

    def of(self, t: Tuple, family: i64, proto: i64, zone: i64) -> list[Entry]:
        """Connections whose original source has the same hash, oldest first."""
        found = self.lists.get(self.hash(t, family, proto, zone))
        return [] if found is None else found

    def add(self, entry: Entry) -> None:
        """A connection whose source translation is settled."""
        self.lists.setdefault(self.hash(entry.orig, entry.family, entry.proto, zone_of(entry, 0)), []).append(entry)

    def remove(self, entry: Entry) -> None:
        """A connection ends."""
        h: int = self.hash(entry.orig, entry.family, entry.proto, zone_of(entry, 0))
        found = self.lists.get(h)
        if found is None:
            return
        left = [other for other in found if other is not entry]
        if len(left) > 0:
            self.lists[h] = left
        else:
            del self.lists[h]
