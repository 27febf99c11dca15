"""The hash table behind the connections: open addressing, one 64-bit number per slot.

::

    slot = hash (30 bits) << 32 | (place in the store + 1) << 2 | by its reply tuple << 1 | by its original tuple        0 is empty

A tuple and its inverse have the same hash, so a connection that nobody translates has one slot for both its tuples; one that is
translated, or whose zone counts for one direction only, has two. A lookup compares 30 bits of hash before it touches an entry. Nothing
is marked deleted: a removal pulls later slots of the run forward, so lookups never slow down with age; the hash in the slot says where
a slot wants to be, so neither removal nor growth looks at entries.

Interpreted, dictionaries stand beside the slots, because they find in one step what the slots find in dozens. The slots stay
what decides: who is evicted from a full table, and who is found where two have the same tuple.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.conntrack.entry import ZONE_BOTH, Entry, Tuple
from tcemu.conntrack.tuples import ICMP, hash_entry, hash_of
from tcemu.packet.numbers import COMPILED, numbers

FIRST_SIZE: Final = 1024
M32: Final = 0xFFFFFFFF
BY_ORIG: Final = 1
BY_REPLY: Final = 2
KEY4: Final = Struct(">III").pack
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
                entry = self.store[((slot & M32) >> 2) - 1]
                if entry is not None and entry.proto == proto and entry.family == family:
                    if (slot & BY_ORIG) != 0 and entry.has_orig(t) and zone_of(entry, 0) == zone_orig:
                        self.reply = False
                        return entry
                    if (slot & BY_REPLY) != 0 and entry.has_reply(t) and zone_of(entry, 1) == zone_reply:
                        self.reply = True
                        return entry
            at = (at + 1) & mask

    def has(self, h: i64) -> bool:
        """Is there any entry with that hash?"""
        slots = self.slots
        mask = self.mask
        at = h & mask
        while slots[at] != 0:
            if slots[at] >> 32 == h:
                return True
            at = (at + 1) & mask
        return False

    def insert(self, entry: Entry, only_reply: bool) -> None:
        """Store the entry and make it findable by both tuples, or by the reply tuple alone."""
        if len(self.free) > 0:
            at: int = self.free.pop()
            entry.index = at
            self.store[at] = entry
        else:
            at = len(self.store)
            entry.index = at
            self.store.append(entry)
        if (self.used + 2) * 2 > self.mask:
            self.grow()
        place: i64 = at
        place = (place + 1) << 2
        first = hash_entry(entry, zone_of(entry, 0))
        second = hash_reply(entry, first)
        if only_reply:
            self.put(second << 32 | place | BY_REPLY)
        elif first == second:
            self.put(first << 32 | place | BY_ORIG | BY_REPLY)
        else:
            self.put(first << 32 | place | BY_ORIG)
            self.put(second << 32 | place | BY_REPLY)
        if self.is_exact:
            if not only_reply:
                self.note(entry, 0)
            self.note(entry, 1)

    def note(self, entry: Entry, way: i64) -> None:
        """Make the entry known by its exact key, or give exact keys up where another entry has the same."""
        if not self.is_exact:
            return
        proto: int = entry.proto
        known = self.exact.setdefault(zone_of(entry, way) << 8 | proto, {})
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
        at: int = entry.index
        place: i64 = at
        first = hash_entry(entry, zone_of(entry, 0))
        second = hash_reply(entry, first)
        self.take(first, place + 1)
        if first != second:
            self.take(second, place + 1)
        if self.is_exact:
            proto: int = entry.proto
            for way in (0, 1):
                known = self.exact.get(zone_of(entry, way) << 8 | proto, {})
                key = exact_key(entry, way)
                found = known.get(key)
                if found is not None and found[0] is entry:
                    del known[key]
        self.store[at] = None
        self.free.append(at)
        entry.index = -1

    def take(self, h: i64, place: i64) -> None:
        """Remove one slot, if it is there, and close the gap."""
        slots = self.slots
        mask = self.mask
        wanted = h << 30 | place
        at = h & mask
        while slots[at] >> 2 != wanted:
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


def hash_reply(entry: Entry, first: i64) -> i64:
    """The hash of the reply tuple, where ``first`` is that of the original one."""
    translated = entry.translated
    if translated is None:
        if entry.zone_dir == ZONE_BOTH:
            return first
        return hash_entry(entry, zone_of(entry, 1))
    family: int = entry.family
    proto: int = entry.proto
    return hash_of(translated, family, proto, zone_of(entry, 1))


def exact_key(entry: Entry, way: i64) -> bytes:
    """One of the entry's tuples as it stands in packets: addresses, then ports."""
    ports = entry.ports
    if entry.family == 4 and way == 0:
        return KEY4(entry.src, entry.dst, ports)
    if entry.family == 4 and entry.translated is None and entry.proto != ICMP:
        return KEY4(entry.dst, entry.src, (ports & 0xFFFF) << 16 | ports >> 16)
    t = entry.reply if way != 0 else entry.orig
    if entry.family == 4:
        return KEY4(t.src, t.dst, t.sport << 16 | t.dport)
    return KEY6(t.src_high, t.src, t.dst_high, t.dst, t.sport, t.dport)


def zone_of(entry: Entry, way: i64) -> i64:
    """nf_ct_zone_id: the zone as it counts for a direction."""
    zone_dir: int = entry.zone_dir
    if (zone_dir >> way) & 1 != 0:
        return entry.zone
    return 0
