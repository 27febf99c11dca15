"""A host under random traffic, whose connection table must stay whole whatever comes.

`Traffic` has one method per kind of event: datagrams, TCP segments, echoes, ICMP errors about what is there, translation, zones,
expectations, packets confirmed late, deletions, flushes, time. Hypothesis draws their arguments one by one (test_machine.py); `burst` draws
many from a seed, so that a million are a matter of minutes::

    TCEMU_OPERATIONS=1000000 pytest -q -p no:cacheprovider tests/conntrack/test_machine.py
"""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from tcemu.conntrack.entry import CONFIRMED, DYING, NAT_CLASH, Entry, Tuple
from tcemu.conntrack.expect import PERMANENT, Expectation
from tcemu.conntrack.hashing import zone_of
from tcemu.conntrack.nat import DST, SRC, NatRange, null_binding, setup, translate, translate_error
from tcemu.conntrack.record import fill_table, to_record
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.tuples import hash_of
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import A6, B6, SECOND, A, Tracker, icmp, inside, ip4, tcp, udp

HOSTS = (A, A + 1, A + 2, A + 3)
HOSTS6 = (A6, B6)
ZONES = ((0, 3), (0, 3), (1, 3), (2, 1), (2, 2), (1, 1))
FLAGS = ("S", "SA", "A", "PA", "FA", "R", "RA", "F", "", "SF")
MOST = 60  # connections that the table has room for
A_MINUTE = 64 * SECOND  # within which the wheel comes round to everybody


class Traffic:
    """A table and what is done to it. Numbers choose: each method takes them modulo what there is."""

    def __init__(self) -> None:
        self.t = Tracker(udp_timeout=7, udp_timeout_stream=20, tcp_timeout_established=90, max=MOST, checksum=0)
        self.late: list[Packet] = []  # tracked, not confirmed yet
        self.gone: set[int] = set()  # ids that were and are no more
        self.seen: set[int] = set()

    @property
    def table(self) -> Conntrack:
        return self.t.table

    # ------------------------------------------------------------------ packets

    def datagram(self, ends: int, ports: int, zone: int, fate: int) -> None:
        source, target = _ends(ends)
        self.packet(udp(source, target, sport=1000 + ports % 3, dport=1000 + ports // 3 % 3), zone, fate)

    def segment(self, ends: int, ports: int, what: int, numbers: int, zone: int, fate: int) -> None:
        source, target = _ends(ends)
        frame = tcp(
            source,
            target,
            FLAGS[what % len(FLAGS)],
            sport=1000 + ports % 3,
            dport=1000 + ports // 3 % 3,
            seq=numbers % 7,
            ack=numbers // 7 % 7,
        )
        self.packet(frame, zone, fate)

    def echo(self, ends: int, ident: int, what: int, zone: int, fate: int) -> None:
        source, target = _ends(ends)
        kinds = (8, 0, 13, 14) if source < 1 << 32 else (128, 129, 139, 140)
        self.packet(icmp(source, target, kinds[what % 4], ident=ident % 4), zone, fate)

    def other(self, ends: int, proto: int, zone: int, fate: int) -> None:
        """A protocol without ports."""
        self.packet(ip4(HOSTS[ends % 4], HOSTS[ends // 4 % 4], (47, 50, 89)[proto % 3], bytes(8)), zone, fate)

    def error(self, which: int, way: int) -> None:
        """Somebody cannot deliver a packet of a connection that is there."""
        entry = self.choose(which)
        if entry is None or entry.family != 4:
            return
        t = entry.reply if way % 2 else entry.orig
        make = {
            6: lambda: tcp(t.src, t.dst, "A", sport=t.sport, dport=t.dport),
            17: lambda: udp(t.src, t.dst, sport=t.sport, dport=t.dport),
        }
        about = make.get(int(entry.proto))
        if about is not None:
            self.packet(icmp(t.dst, t.src, 3, 1, data=inside(about())), 0, 0, (int(entry.zone), int(entry.zone_dir)))

    def packet(self, frame: bytes, zone: int, fate: int, where: tuple[int, int] | None = None) -> None:
        """Track a frame, translate it perhaps, then confirm it at once, later, or never."""
        t = self.t
        p = Packet() if fate % 11 == 10 else t.packet
        zone_id, zone_dir = where or ZONES[zone % len(ZONES)]
        p.reason = ""
        load(p, frame, 0, len(frame), len(frame), t.now, LINK_ETHER, 1)
        if t.table.track(p, zone_id, zone_dir, True) != 1:
            assert p.reason
            return
        entry = p.ct
        if not isinstance(entry, Entry):
            assert p.reason
            return
        self.translation(p, entry, fate)
        if fate % 11 == 10:
            self.late = [*self.late[-3:], p]
        elif fate % 11 != 9:
            self.confirm(p)

    def translation(self, p: Packet, entry: Entry, fate: int) -> None:
        """New connections are sometimes translated, and then all their packets are."""
        now = self.t.now
        if not entry.status & CONFIRMED and p.ctinfo == 2 and entry.family == 4:
            wanted = NatRange()
            wanted.source, wanted.family = fate % 3 == 1, 4
            wanted.low = wanted.high = A + 100 + fate // 33 % 2
            wanted.port_low, wanted.port_high = 1000, 1003
            if fate % 3 == 0:
                return
            manip = SRC if wanted.source else DST
            assert setup(self.table, entry, wanted, manip, now) and null_binding(self.table, entry, DST if wanted.source else SRC, now)
        for manip in (DST, SRC):
            if p.ctinfo in (1, 4):
                translate_error(p, entry, p.ctinfo, manip)
            else:
                translate(p, entry, p.ctinfo, manip)

    def confirm(self, p: Packet) -> None:
        if self.table.confirm(p) != 1:
            assert p.reason
        elif isinstance(p.ct, Entry) and not p.ct.status & DYING and p.ctinfo < 3:
            assert p.ct.status & CONFIRMED and p.ct.index >= 0

    def catch_up(self) -> None:
        """The packet that has waited longest is confirmed: another may have been faster."""
        if self.late:
            p = self.late.pop(0)
            p.ts = self.t.now
            self.confirm(p)

    # ------------------------------------------------------------------ everything else

    def choose(self, which: int) -> Entry | None:
        entries = self.table.entries(self.t.now)
        return entries[which % len(entries)] if entries else None

    def expect(self, which: int, target: int, port: int, flags: int) -> None:
        """A connection announces another."""
        master = self.choose(which)
        if master is None or master.family != 4:
            return
        one = Expectation(master, 4, (6, 17)[flags % 2])
        one.any_source = flags // 2 % 2 == 0
        one.tuple.src, one.tuple.dst, one.tuple.dport = HOSTS[which % 4], HOSTS[target % 4], 1000 + port % 3
        one.flags = PERMANENT if flags // 4 % 4 == 0 else 0
        one.expires = self.t.now + 30 * SECOND
        self.table.expectations.relate(one, 4, 16)

    def wait(self, tenths: int) -> None:
        """Time goes on; nobody's life is prolonged by that."""
        before = {entry.id: entry.expires for entry in self.table.buckets.all()}
        self.t.now += tenths * SECOND // 10
        self.table.expire(self.t.now)
        after = {entry.id: entry.expires for entry in self.table.buckets.all()}
        assert all(before[one] == expires for one, expires in after.items())
        assert all(expires <= self.t.now for one, expires in before.items() if one not in after)
        assert all(expires > self.t.now - A_MINUTE for expires in after.values())

    def kill(self, which: int) -> None:
        entry = self.choose(which)
        if entry is not None:
            self.table.kill(entry)
            assert entry.index < 0

    def sweep(self) -> None:
        self.table.sweep(self.t.now)
        assert all(entry.expires > self.t.now for entry in self.table.buckets.all())

    def flush(self) -> None:
        """After it nothing is left but what the wheel has still to come by."""
        table = self.table
        table.flush()
        buckets = table.buckets
        assert table.count == buckets.used == 0
        assert not any(buckets.slots)
        assert all(entry is None for entry in buckets.beside)
        assert table.sources.slots.used == 0 and not any(table.sources.slots.beside)
        assert not table.expectations.all
        assert not any(buckets.exact.values())

    def drain(self) -> None:
        """A flush, and more than a minute later nobody holds any entry."""
        self.flush()
        for _ in range(3):
            self.t.now += A_MINUTE
            for _ in range(8):
                self.table.expire(self.t.now)
        assert not any(self.table.wheel.spokes) and not any(self.table.wheel.pending)

    def keep(self) -> None:
        """A session ends and another goes on with its table."""
        rows = [to_record(entry) for entry in self.table.buckets.all()]
        again = Conntrack(self.t.settings)
        again.serial = self.table.serial
        fill_table(again, rows)
        there = {row.rank for row in rows}
        kept = [replace(row, master=row.master if row.master in there else 0) for row in rows]
        assert [to_record(entry) for entry in again.buckets.all()] == kept
        self.t.table, self.late = again, []

    # ------------------------------------------------------------------ many at once, and what must hold

    def burst(self, seed: int, count: int) -> None:
        """Events drawn from a seed."""
        below = Random(seed).randrange
        for _ in range(count):
            kind = below(100)
            if kind < 40:
                self.segment(below(64), below(9), below(10), below(49), below(6), below(330))
            elif kind < 62:
                self.datagram(below(64), below(9), below(6), below(330))
            elif kind < 72:
                self.echo(below(64), below(4), below(4), below(6), below(330))
            elif kind < 75:
                self.other(below(16), below(3), below(6), below(330))
            elif kind < 80:
                self.error(below(64), below(2))
            elif kind < 84:
                self.expect(below(64), below(4), below(3), below(16))
            elif kind < 88:
                self.catch_up()
            elif kind < 94:
                self.wait(below(30))
            elif kind < 98:
                self.kill(below(64))
            elif kind < 99:
                self.sweep()
            else:
                (self.flush, self.drain, self.keep, lambda: self.wait(900))[below(4)]()
            if below(20) == 0:
                self.check()
        self.check()

    def check(self) -> None:
        """Two tuples per entry, each found; nobody lost, nobody kept, nobody back from the dead."""
        table = self.table
        check_table(table)
        now = {int(entry.id) for entry in table.buckets.all()}
        assert not now & self.gone
        self.gone |= self.seen - now
        self.seen = now
        assert table.count <= MOST + 5  # room is looked for when a connection begins; four may be waiting for their confirmation
        assert len(table.expectations.all) <= 16
        assert all(not one.master.status & DYING for one in table.expectations.all)


def check_table(table: Conntrack) -> None:
    """The table's own promises."""
    buckets = table.buckets
    held = buckets.all()
    assert table.count == len(held)
    assert buckets.used == sum(1 for slot in buckets.slots if slot)
    assert [slot == 0 for slot in buckets.slots] == [entry is None for entry in buckets.beside]
    assert buckets.used <= (buckets.mask + 1) // 2 + 2
    slots = 0
    for entry in held:
        assert not entry.status & DYING
        assert entry.status & CONFIRMED
        assert entry.index >= 0
        places = set()
        for way, t in ((0, entry.orig), (1, entry.reply)):
            if way == 0 and entry.status & NAT_CLASH:
                continue
            places.add(place_of(table, entry, way, t))
            family, proto = int(entry.family), int(entry.proto)
            found = buckets.find(hash_of(t, family, proto, zone_of(entry, way)), t, family, proto, zone_of(entry, 0), zone_of(entry, 1))
            assert found is not None and (found is entry or found.has_orig(t) or found.has_reply(t))
        slots += len(places)
    assert slots == buckets.used
    in_wheel = [entry for spoke in (*table.wheel.spokes, *table.wheel.pending) for entry in spoke if entry.index >= 0]
    assert len(in_wheel) == len(held)
    assert {id(entry) for entry in in_wheel} == {id(entry) for entry in held}


def place_of(table: Conntrack, entry: Entry, way: int, t: Tuple) -> int:
    """The slot by which that tuple leads to the entry."""
    buckets = table.buckets
    key = hash_of(t, int(entry.family), int(entry.proto), zone_of(entry, way))
    at = buckets.place(key)
    while at >= 0 and buckets.beside[at] is not entry:
        at = buckets.search(key, buckets.after(key, at))
    assert at >= 0, "a tuple leads nowhere"
    assert (buckets.slots[at] >> way) & 1
    return int(at)


def _ends(number: int) -> tuple[int, int]:
    """Two hosts of one family."""
    if number % 64 >= 60:
        return HOSTS6[number % 2], HOSTS6[1 - number % 2]
    return HOSTS[number % 4], HOSTS[number // 4 % 4]
