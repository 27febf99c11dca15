"""The hash table behind the connections: open addressing, one 64-bit number per slot, and beside it the connection.

::

    slot = hash (30 bits) << 3 | first slot of its connection << 2 | by its reply tuple << 1 | by its original tuple        0 is empty

A tuple and its inverse have the same hash, so a connection that nobody translates has one slot for both its tuples; one that is
translated, or whose zone counts for one direction only, has two. A lookup compares 30 bits of hash before it touches an entry, and
where a slot and its connection are is known from the hash alone: of the three places that a lookup in a large table reads, and that no
cache holds, the processor fetches two at once. Nothing is marked deleted: a removal pulls later slots of the run forward, so lookups
never slow down with age; the hash in the slot says where a slot wants to be, so neither removal nor growth looks into entries.

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
FIRST: Final = 4
KEY4: Final = Struct(">III").pack
KEY6: Final = Struct(">qqqqHH").pack


class Slots:
    """Hashes, and an object beside each."""

    def __init__(self) -> None:
        self.slots: vec[i64] = numbers([0] * FIRST_SIZE)
        self.beside: list[object] = [None] * FIRST_SIZE  # `object`, so that moving looks into none
        self.mask: i64 = FIRST_SIZE - 1
        self.used: i64 = 0

    def place(self, h: i64) -> i64:
        """The first slot with that hash, -1 when there is none."""
        slots = self.slots
        mask = self.mask
        at = h & mask
        while slots[at] != 0:
            if slots[at] >> 3 == h:
                return at
            at = (at + 1) & mask
        return -1

    def put(self, slot: i64, entry: object) -> None:
        """Fill one slot."""
        slots = self.slots
        mask = self.mask
        at = (slot >> 3) & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = slot
        self.beside[at] = entry
        self.used += 1

    def take(self, h: i64, entry: object) -> None:
        """Empty one slot, if it is there, and close the gap."""
        slots = self.slots
        beside = self.beside
        mask = self.mask
        at = h & mask
        while slots[at] >> 3 != h or beside[at] is not entry:
            if slots[at] == 0:
                return
            at = (at + 1) & mask
        self.used -= 1
        gap = at
        at = (at + 1) & mask
        while slots[at] != 0:
            home = (slots[at] >> 3) & mask
            if ((at - home) & mask) >= ((at - gap) & mask):
                slots[gap] = slots[at]
                beside[gap] = beside[at]
                gap = at
            at = (at + 1) & mask
        slots[gap] = 0
        beside[gap] = None

    def make_room(self) -> None:
        """For two slots more; half of them stay empty."""
        if (self.used + 2) * 2 > self.mask:
            self.grow()

    def grow(self) -> None:
        """Twice as many slots. Connections are handed over, not looked at: a million of them are in no cache."""
        old = self.slots
        beside = self.beside
        beside.reverse()  # they are taken from its end, and those with the same hash keep their order
        at: i64 = 0
        size = (self.mask + 1) * 2
        self.slots = numbers([0] * int(size))
        self.beside = [None] * int(size)
        self.mask = size - 1
        self.used = 0
        while at < size // 2:
            entry = beside.pop()
            slot = old[at]
            if slot != 0:
                self.put(slot, entry)
            at += 1


class Buckets(Slots):
    """Connections by their tuples."""

    def __init__(self) -> None:
        super().__init__()
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
            if slot >> 3 == h:
                entry = self.beside[at]
                if isinstance(entry, Entry) and entry.proto == proto and entry.family == family:
                    if (slot & BY_ORIG) != 0 and entry.has_orig(t) and zone_of(entry, 0) == zone_orig:
                        self.reply = False
                        return entry
                    if (slot & BY_REPLY) != 0 and entry.has_reply(t) and zone_of(entry, 1) == zone_reply:
                        self.reply = True
                        return entry
            at = (at + 1) & mask

    def all(self) -> list[Entry]:
        """All connections, in the order in which they began."""
        out: list[Entry] = []
        at: i64 = 0
        while at <= self.mask:
            if (self.slots[at] & FIRST) != 0:
                entry = self.beside[at]
                if isinstance(entry, Entry):
                    out.append(entry)
            at += 1
        out.sort(key=_id_of)
        return out

    def insert(self, entry: Entry, only_reply: bool) -> None:
        """Make the entry findable by both tuples, or by the reply tuple alone."""
        entry.index = 0
        self.make_room()
        first = hash_entry(entry, zone_of(entry, 0))
        second = hash_reply(entry, first)
        if only_reply:
            self.put(second << 3 | FIRST | BY_REPLY, entry)
        elif first == second:
            self.put(first << 3 | FIRST | BY_ORIG | BY_REPLY, entry)
        else:
            self.put(first << 3 | FIRST | BY_ORIG, entry)
            self.put(second << 3 | BY_REPLY, entry)
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

    def remove(self, entry: Entry) -> None:
        """Take the entry out of its slots."""
        first = hash_entry(entry, zone_of(entry, 0))
        second = hash_reply(entry, first)
        self.take(first, entry)
        if first != second:
            self.take(second, entry)
        if self.is_exact:
            proto: int = entry.proto
            for way in (0, 1):
                known = self.exact.get(zone_of(entry, way) << 8 | proto, {})
                key = exact_key(entry, way)
                found = known.get(key)
                if found is not None and found[0] is entry:
                    del known[key]
        entry.index = -1


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


def _id_of(entry: Entry) -> int:
    return entry.id
