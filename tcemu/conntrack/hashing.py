"""The hash table behind the connections: lines of eight slots, one 64-bit number per slot, and beside it the connection.

::

    slot = key (60 bits, see `tuples.hash_ends`) << 3 | first slot of its connection << 2 | by its reply tuple << 1 | by its original tuple
           0 is empty

    the low bits of a key say where it wants to be:   line (as many bits as the table needs) | place (3 bits)
    it goes to the first empty place of its line from there on, round in a ring, and when the line is full to the next line

A line of slots is one line of the processor's cache. A search ends at an empty slot, and a line has one nearly always. A tuple
and its inverse have the same key, so a connection that nobody translates has one slot for both its tuples; one that is
translated, or whose zone counts for one direction only, has two. A lookup compares the whole key before it touches an entry, and
where a slot and its connection are is known from the key alone: of the three places that a lookup in a large table reads, and that no
cache holds, the processor fetches two at once. Keys of neighbours are neighbours: up to four hosts that differ in the last two bits of
their address share a line, and two ports that differ in the last bit; who works through a network, or opens port after port, finds
most slots where the last ones were.

Nothing is marked deleted: a removal pulls later slots forward, so lookups never slow down with age; the key in the slot says where a
slot wants to be, so neither removal nor growth looks into entries.

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
PLACES: Final = 8  # a line of the cache has 64 bytes
LAST: Final = PLACES - 1
BY_ORIG: Final = 1
BY_REPLY: Final = 2
FIRST: Final = 4
KEY4: Final = Struct(">III").pack
KEY6: Final = Struct(">qqqqHH").pack


class Slots:
    """Keys, and an object beside each."""

    def __init__(self) -> None:
        self.slots: vec[i64] = numbers([0] * FIRST_SIZE)
        self.beside: list[object] = [None] * FIRST_SIZE  # `object`, so that moving looks into none
        self.mask: i64 = FIRST_SIZE - 1
        self.used: i64 = 0

    def place(self, key: i64) -> i64:
        """The first slot with that key, -1 when there is none."""
        at = key & self.mask
        if self.slots[at] >> 3 == key:
            return at
        return self.search(key, at)

    def search(self, key: i64, at: i64) -> i64:
        """The first slot with that key from the place ``at`` of its search on, -1 when there is none."""
        slots = self.slots
        while True:
            slot = slots[at]
            if slot >> 3 == key:
                return at
            if slot == 0:
                return -1
            at = self.after(key, at)

    def after(self, key: i64, at: i64) -> i64:
        """Where a search for that key goes on."""
        line = at & ~LAST
        if ((at + 1 - key) & LAST) != 0:
            return line | ((at + 1) & LAST)
        return ((line + PLACES) & self.mask) | (key & LAST)

    def put(self, slot: i64, entry: object) -> None:
        """Fill one slot."""
        slots = self.slots
        key = slot >> 3
        at = key & self.mask
        while slots[at] != 0:
            at = self.after(key, at)
        slots[at] = slot
        self.beside[at] = entry
        self.used += 1

    def take(self, key: i64, entry: object) -> None:
        """Empty one slot, if it is there, and close the gap."""
        at = self.place(key)
        while at >= 0 and self.beside[at] is not entry:
            at = self.search(key, self.after(key, at))
        if at < 0:
            return
        self.used -= 1
        while at >= 0:
            full = self.is_full(at)
            self.close(at)
            at = self.pull(at) if full else -1

    def is_full(self, at: i64) -> bool:
        """Has the line of that slot no empty place? Only then can a search have gone on to the next line."""
        slots = self.slots
        at &= ~LAST
        end = at + PLACES
        while at < end:
            if slots[at] == 0:
                return False
            at += 1
        return True

    def close(self, gap: i64) -> None:
        """Empty the slot, and pull those of its line forward that a search would not find behind the gap."""
        slots = self.slots
        beside = self.beside
        line = gap & ~LAST
        at = gap
        for _ in range(PLACES - 1):
            at = line | ((at + 1) & LAST)
            slot = slots[at]
            if slot == 0:
                break
            if ((at - (slot >> 3)) & LAST) >= ((at - gap) & LAST):
                slots[gap] = slot
                beside[gap] = beside[at]
                gap = at
        slots[gap] = 0
        beside[gap] = None

    def pull(self, gap: i64) -> i64:
        """A line that was full has a gap: move a slot here that a search would seek here; the slot that it leaves, -1 when there is none."""
        slots = self.slots
        mask = self.mask
        line = gap & ~LAST
        there = line
        while True:
            there = (there + PLACES) & mask
            at = there
            while at < there + PLACES:
                slot = slots[at]
                if slot != 0 and ((there - (slot >> 3 & ~LAST)) & mask) >= ((there - line) & mask):
                    self.used -= 1
                    self.put(slot, self.beside[at])
                    return at
                at += 1
            if not self.is_full(there):
                return -1

    def make_room(self) -> None:
        """For two slots more; half of them stay empty."""
        if (self.used + 2) * 2 > self.mask:
            self.grow()

    def grow(self) -> None:
        """Twice as many slots. Connections are handed over, not looked at: a million of them are in no cache."""
        old = self.slots
        beside = self.beside
        beside.reverse()  # they are taken from its end
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

    def find(self, key: i64, t: Tuple, family: i64, proto: i64, zone_orig: i64, zone_reply: i64) -> Entry | None:
        """The entry one of whose tuples is ``t`` in that zone; `reply` says which."""
        at = self.place(key)
        while at >= 0:
            slot = self.slots[at]
            entry = self.beside[at]
            if isinstance(entry, Entry) and entry.proto == proto and entry.family == family:
                if (slot & BY_ORIG) != 0 and entry.has_orig(t) and zone_of(entry, 0) == zone_orig:
                    self.reply = False
                    return entry
                if (slot & BY_REPLY) != 0 and entry.has_reply(t) and zone_of(entry, 1) == zone_reply:
                    self.reply = True
                    return entry
            at = self.search(key, self.after(key, at))
        return None

    def flow(
        self, key: i64, family: i64, proto: i64, src_high: i64, src: i64, dst_high: i64, dst: i64, ports: i64, zone: i64
    ) -> Entry | None:
        """`find` for what most packets are: ports, one zone for both directions, and a connection that nobody translates.

        It finds no other, and not every one of those: who finds None asks `find`.
        """
        at = key & self.mask
        if self.slots[at] >> 3 != key:
            at = self.search(key, at)
            if at < 0:
                return None
        entry = self.beside[at]
        if not isinstance(entry, Entry) or entry.proto != proto or entry.family != family or entry.translated is not None:
            return None
        if entry.zone != zone or entry.zone_dir != ZONE_BOTH:
            return None
        if entry.src == src and entry.dst == dst and entry.ports == ports:
            if entry.src_high != src_high or entry.dst_high != dst_high:
                return None
            self.reply = False
            return entry
        if entry.src != dst or entry.dst != src or entry.ports != ((ports & 0xFFFF) << 16 | ports >> 16):
            return None
        if entry.src_high != dst_high or entry.dst_high != src_high:
            return None
        self.reply = True
        return entry

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
