"""The hash table behind the connections: two slots each, open addressing, one 64-bit number per slot.

::

    slot = hash (30 bits) << 32 | (place in the store + 1) << 1 | direction        0 is empty

A lookup compares 30 bits of hash before it touches an entry. Nothing is marked deleted: a removal pulls later slots
of the run forward, so lookups never slow down with age; the hash in the slot says where a slot wants to be, so
neither removal nor growth looks at entries.

Interpreted, dictionaries stand beside the slots, because they find in one step what the slots find in dozens. The slots stay
what decides: who is evicted from a full table, and who is found where two have the same tuple.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.packet.numbers import COMPILED, numbers

FIRST_SIZE: Final = 1024
M32: Final = 0xFFFFFFFF
KEY4: Final = Struct(">IIHH").pack
KEY6: Final = Struct(">qqqqHH").pack


class Buckets:
    """Slots and the store that they point into."""

    def __init__(self) -> None:
        self.slots: vec[i64] = numbers([0] * FIRST_SIZE)
        self.mask: i64 = FIRST_SIZE - 1
        self.used: i64 = 0
        self.store: list[Entry | None] = []
        self.free: list[int] = []
        self.reply: bool = False  # of the last hit
        # interpreted, by zone << 8 | protocol: addresses and ports as they stand in packets -> entry and direction
        self.exact: dict[int, dict[bytes, tuple[Entry, int]]] = {}
        self.is_exact: bool = not COMPILED  # no two entries have the same key; else there is nothing in `exact`

    def find(self, h: i64, t: Tuple, family: i64, proto: i64, zone_orig: i64, zone_reply: i64) -> Entry | None:
        """The entry one of whose tuples is ``t`` in that zone; `reply` says which."""
        slots = self.slots
        mask = self.mask
        at = h & mask
        while True:
            slot = slots[at]
            if slot == 0:
                return None
            if slot >> 32 == h:
                entry = self.store[((slot & M32) >> 1) - 1]
                if entry is not None and self.fits(entry, slot & 1, t, family, proto, zone_orig, zone_reply):
                    self.reply = (slot & 1) != 0
                    return entry
            at = (at + 1) & mask

    def fits(self, entry: Entry, way: i64, t: Tuple, family: i64, proto: i64, zone_orig: i64, zone_reply: i64) -> bool:
        """nf_ct_key_equal for the direction ``way`` of the entry."""
        mine = entry.orig
        zone = zone_orig
        if way != 0:
            mine = entry.reply
            zone = zone_reply
        if mine.src != t.src or mine.dst != t.dst or mine.sport != t.sport or mine.dport != t.dport:
            return False
        if entry.proto != proto or entry.family != family:
            return False
        if family == 6 and (mine.src_high != t.src_high or mine.dst_high != t.dst_high):
            return False
        return zone_of(entry, way) == zone

    def insert(self, entry: Entry, only_reply: bool) -> None:
        """Store the entry and make it findable by both tuples, or by the reply tuple alone; its hashes are set."""
        if len(self.free) > 0:
            entry.index = self.free.pop()
            self.store[entry.index] = entry
        else:
            entry.index = len(self.store)
            self.store.append(entry)
        if (self.used + 2) * 2 > self.mask:
            self.grow()
        if not only_reply:
            self.put(entry.hash_orig << 32 | (entry.index + 1) << 1)
        self.put(entry.hash_reply << 32 | (entry.index + 1) << 1 | 1)
        if not only_reply:
            self.note(entry, 0)
        self.note(entry, 1)

    def note(self, entry: Entry, way: i64) -> None:
        """Make the entry known by its exact key, or give exact keys up where another entry has the same."""
        if not self.is_exact:
            return
        known = self.exact.setdefault(zone_of(entry, way) << 8 | entry.proto, {})
        found = known.setdefault(exact_key(entry, way), (entry, way))
        if found[0] is not entry:
            self.exact = {}
            self.is_exact = False

    def put(self, slot: i64) -> None:
        """Place one slot."""
        slots = self.slots
        mask = self.mask
        at = (slot >> 32) & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = slot
        self.used += 1

    def remove(self, entry: Entry) -> None:
        """Take the entry out of slots and store."""
        self.take(entry.hash_orig << 32 | (entry.index + 1) << 1)
        self.take(entry.hash_reply << 32 | (entry.index + 1) << 1 | 1)
        if self.is_exact:
            for way in (0, 1):
                known = self.exact.get(zone_of(entry, way) << 8 | entry.proto, {})
                key = exact_key(entry, way)
                found = known.get(key)
                if found is not None and found[0] is entry:
                    del known[key]
        self.store[entry.index] = None
        self.free.append(entry.index)
        entry.index = -1

    def take(self, slot: i64) -> None:
        """Remove one slot, if it is there, and close the gap."""
        slots = self.slots
        mask = self.mask
        at = (slot >> 32) & mask
        while slots[at] != slot:
            if slots[at] == 0:
                return
            at = (at + 1) & mask
        self.used -= 1
        gap = at
        at = (at + 1) & mask
        while slots[at] != 0:
            home = (slots[at] >> 32) & mask
            if ((at - home) & mask) >= ((at - gap) & mask):
                slots[gap] = slots[at]
                gap = at
            at = (at + 1) & mask
        slots[gap] = 0

    def grow(self) -> None:
        """Twice as many slots."""
        old = self.slots
        size = (self.mask + 1) * 2
        self.slots = numbers([0] * int(size))
        self.mask = size - 1
        self.used = 0
        for slot in old:
            if slot != 0:
                self.put(slot)


def exact_key(entry: Entry, way: i64) -> bytes:
    """One of the entry's tuples as it stands in packets: addresses, then ports."""
    t = entry.reply if way != 0 else entry.orig
    if entry.family == 4:
        return KEY4(t.src, t.dst, t.sport, t.dport)
    return KEY6(t.src_high, t.src, t.dst_high, t.dst, t.sport, t.dport)


def zone_of(entry: Entry, way: i64) -> i64:
    """nf_ct_zone_id: the zone as it counts for a direction."""
    if (entry.zone_dir >> way) & 1 != 0:
        return entry.zone
    return 0
