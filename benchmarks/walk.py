#!/usr/bin/env python3
"""A million random operations on a connection table, which must stay whole.

    python benchmarks/walk.py [--operations 1000000] [--seed 1] [--every 2000]

Operations: packets of TCP, UDP and ICMP between a few hosts, new ones translated at random, with and without confirming; deletions,
expectations, waiting, and sweeps. Looked at every so many operations and at the end: each entry is found by both its tuples (or by its
reply alone, after a clash), nobody else is in the slots, in the wheel or among the sources, counts agree, and no deadline lies before
the last look unless it has passed. Runs in whichever form the engine has; prints which, and operations a second.
"""

from __future__ import annotations

import argparse
import random
import struct
import time

from tcemu.conntrack.entry import DYING, NAT_CLASH, SRC_NAT_DONE, Entry
from tcemu.conntrack.expect import Expectation
from tcemu.conntrack.hashing import zone_of
from tcemu.conntrack.nat import DST, SRC, NatRange, null_binding, setup, translate
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.tuples import hash_of
from tcemu.packet.decode import load
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import LINK_IP, NEW, Packet

SECOND = 1_000_000_000
HOSTS = [0x0A000001 + number for number in range(6)]
PUBLIC = [0xC0000201, 0xC0000202]
FLAGS = [2, 18, 16, 24, 17, 4, 20, 0, 3]


def frame(rng: random.Random) -> bytes:
    """An IPv4 packet; checksums are not looked at."""
    source, target = rng.sample(HOSTS + PUBLIC, 2)
    proto = rng.choice((6, 6, 6, 17, 17, 1))
    ports = rng.choice(((1000 + rng.randrange(400), 80), (80, 1000 + rng.randrange(400))))
    if proto == 6:
        body = struct.pack("!HHIIBBHHH", *ports, rng.randrange(3000), rng.randrange(3000), 0x50, rng.choice(FLAGS), 8000, 0, 0)
    elif proto == 17:
        body = struct.pack("!HHHH", *ports, 8, 0)
    else:
        body = struct.pack("!BBHHH", rng.choice((8, 0, 13, 14, 99)), 0, 0, ports[0], 1)
    return struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, source, target) + body


class Walk:
    """The table, its clock, and what is done to it."""

    def __init__(self, seed: int) -> None:
        settings = Settings()
        settings.checksum, settings.max = 0, 700
        self.rng = random.Random(seed)
        self.table = Conntrack(settings)
        self.packet = Packet()
        self.now = 1_700_000_000 * SECOND

    def step(self) -> None:
        """One operation."""
        pick = self.rng.random()
        if pick < 0.93:
            self.send()
        elif pick < 0.96:
            self.now += self.rng.randrange(5 * SECOND)
            self.table.expire(self.now)
        elif pick < 0.985:
            entry = self.any_entry()
            if entry is not None:
                self.table.kill(entry)
        elif pick < 0.998:
            self.expect()
        elif pick < 0.9995:
            self.now += self.rng.randrange(200 * SECOND)
        else:
            self.table.sweep(self.now)

    def send(self) -> None:
        """A packet, as a router with nat chains handles it."""
        p, table, rng = self.packet, self.table, self.rng
        self.now += rng.randrange(SECOND // 100)
        data = frame(rng)
        load(p, data, 0, len(data), len(data), self.now, LINK_IP, 1)
        table.track(p, rng.randrange(2), 3, True)
        entry = p.ct
        if not isinstance(entry, Entry):
            return
        if p.ctinfo == NEW and not entry.status & SRC_NAT_DONE:
            if rng.random() < 0.4:
                wanted = NatRange()
                wanted.family, wanted.low, wanted.high = 4, PUBLIC[0], PUBLIC[1]
                setup(table, entry, wanted, SRC, self.now)
            elif rng.random() < 0.5:
                null_binding(table, entry, DST, self.now)
                null_binding(table, entry, SRC, self.now)
        for manip in (DST, SRC):
            translate(p, entry, p.ctinfo, manip)
        if rng.random() < 0.8:
            table.finish(p)

    def any_entry(self) -> Entry | None:
        """Some connection."""
        store = self.table.buckets.store
        for _ in range(8):
            entry = store[self.rng.randrange(len(store))] if len(store) else None
            if entry is not None:
                return entry
        return None

    def expect(self) -> None:
        """Some connection expects another."""
        master = self.any_entry()
        if master is None or master.family != 4:
            return
        new = Expectation(master, 4, 17)
        t = new.tuple
        t.src, t.dst, t.dport = self.rng.choice(HOSTS), self.rng.choice(HOSTS), 80
        new.expires = self.now + self.rng.randrange(60) * SECOND
        self.table.expectations.relate(new, 3, 50)

    def check(self) -> None:
        """See the module's text."""
        table = self.table
        buckets = table.buckets
        held = [entry for entry in buckets.store if entry is not None]
        assert table.count == len(held) == len(buckets.store) - len(buckets.free)
        hidden = sum(1 for entry in held if entry.status & NAT_CLASH)
        assert sum(1 for slot in buckets.slots if slot) == buckets.used == 2 * len(held) - hidden
        for entry in held:
            assert not entry.status & DYING
            assert buckets.store[entry.index] is entry
            for way, t in ((0, entry.orig), (1, entry.reply)):
                h = hash_of(t, entry.family, entry.proto, zone_of(entry, way))
                found = buckets.find(h, t, entry.family, entry.proto, zone_of(entry, 0), zone_of(entry, 1))
                assert found is entry or (found is not None and hidden), (way, int(entry.id))
        in_wheel = [id(entry) for spoke in (*table.wheel.spokes, *table.wheel.pending) for entry in spoke if entry.index >= 0]
        assert sorted(in_wheel) == sorted(id(entry) for entry in held), "the wheel has each entry once"
        sources = {id(entry) for found in table.sources.lists.values() for entry in found}
        assert sources == {id(entry) for entry in held if entry.status & SRC_NAT_DONE}
        masters = {id(one.master) for one in table.expectations.all}
        assert masters <= {id(entry) for entry in held}, "nobody dead expects anything"
        assert len(table.expectations.all) <= 50
        shown = {id(entry) for entry in table.entries(self.now)}
        assert all(entry.expires > self.now for entry in held if id(entry) in shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=2000)
    args = parser.parse_args()
    walk = Walk(args.seed)
    spent = 0.0
    done = most = 0
    while done < args.operations:
        begin = time.process_time()
        for _ in range(min(args.every, args.operations - done)):
            walk.step()
        spent += time.process_time() - begin
        done += args.every
        most = max(most, int(walk.table.count))
        walk.check()
    stats = walk.table.stats
    form = "compiled" if COMPILED else "interpreted"
    print(f"{form}: {args.operations} operations, {args.operations / spent:,.0f} a second, at most {most} connections; all whole")
    print(f"inserted {stats.insert}, invalid {stats.invalid}, clashes resolved {stats.clash_resolve}, dropped early {stats.early_drop}")


if __name__ == "__main__":
    main()
