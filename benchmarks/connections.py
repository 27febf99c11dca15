#!/usr/bin/env python3
"""A million live connections: memory of each, how fast they come, are found, and go.

    python benchmarks/connections.py [--count 1000000] [--proto udp tcp]

Each protocol runs in a process of its own: ``count`` connections begin (a UDP datagram or a SYN each, decoded, tracked, confirmed); then
200,000 of them are looked up, in the order in which they began and in random order; then time goes on, one packet every 50 ms, until
all have expired, and the slowest packet counts. Memory is what the process grew by. The time of decoding is taken off lookups. They are
called from a Python loop; "less the call" takes off what a compiled method of the same shape that does nothing costs there, which is what
the compiled engine saves.

Connections that follow each other here are of neighbours, and those have neighbouring slots (`tcemu.conntrack.hashing`), so that in order most
slots are in the cache already. A random lookup waits for memory: for a slot (and, beside it, the place of the connection), and then for the connection. What one such wait
costs on the machine at hand is measured too: reads of which each says where the next one is, in as many bytes as the slots have (16 a
connection) and as the connections have (192 each), less the time that they take in few bytes.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import struct
import subprocess
import sys
import time
from array import array
from itertools import pairwise

CHUNK = 10_000
LOOKUPS = 200_000
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def frame(proto: str, number: int) -> bytes:
    """The first packet of a connection."""
    source, port = 0x0A000000 + (number >> 4), 1024 + (number & 15) * 100
    if proto == "udp":
        body = struct.pack("!HHHH", port, 53, 8, 0)
    else:
        body = struct.pack("!HHIIBBHHH", port, 80, number, 0, 0x50, 2, 8192, 0, 0)
    return struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0, 64, 17 if proto == "udp" else 6, 0, source, 0xC0A80001) + body


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def wait_for_memory(nodes: int, stride: int, steps: int = 300_000) -> float:
    """Nanoseconds for a read, ``stride`` numbers from its like, whose address another read has just given."""
    order = list(range(nodes))
    random.Random(2).shuffle(order)
    memory = array("q", bytes(8 * stride * nodes))
    for here, there in pairwise([*order, order[0]]):
        memory[here * stride] = there * stride
    at = 0
    begin = time.process_time()
    for _ in range(steps):
        at = memory[at]
    return (time.process_time() - begin) / steps * 1e9


def worker(proto: str, count: int) -> dict[str, float | str]:
    """One protocol's figures."""
    from tcemu.conntrack.settings import Settings
    from tcemu.conntrack.stats import Watcher
    from tcemu.conntrack.table import Conntrack
    from tcemu.packet.decode import load
    from tcemu.packet.numbers import COMPILED
    from tcemu.packet.packet import LINK_IP, Packet

    gc.disable()
    settings = Settings()
    settings.max, settings.checksum = 0, 0
    table, p = Conntrack(settings), Packet()
    before = resident()
    spent = 0.0
    for base in range(0, count, CHUNK):
        frames = [frame(proto, number) for number in range(base, min(base + CHUNK, count))]
        begin = time.process_time()
        for data in frames:
            load(p, data, 0, len(data), len(data), START, LINK_IP, 1)
            table.track(p, 0, 3, True)
            table.confirm(p)
        spent += time.process_time() - begin
    out: dict[str, float | str] = {"form": "compiled" if COMPILED else "interpreted", "proto": proto, "connections": int(table.count)}
    out["bytes each"] = (resident() - before) / count
    out["created a second"] = count / spent
    numbers = list(range(count))
    nothing = Watcher()
    begin = time.process_time()
    for _ in range(LOOKUPS):
        pass
    middle = time.process_time()
    for _ in range(LOOKUPS):
        nothing.judged(p, True)
    call = max(time.process_time() - middle - (middle - begin), 0.0)
    out["a call that does nothing, ns"] = call / LOOKUPS * 1e9
    for name in ("in order", "at random"):
        frames = [frame(proto, number) for number in numbers[:LOOKUPS]]
        begin = time.process_time()
        for data in frames:
            load(p, data, 0, len(data), len(data), START, LINK_IP, 1)
        middle = time.process_time()
        for data in frames:
            load(p, data, 0, len(data), len(data), START, LINK_IP, 1)
            table.lookup(p, 0)
        took = time.process_time() - middle - (middle - begin)
        out[f"found a second, {name}"] = len(frames) / max(took, 1e-9)
        out[f"found a second, {name}, less the call"] = len(frames) / max(took - call, 1e-9)
        random.Random(1).shuffle(numbers)
    few = wait_for_memory(64, 1)
    out["waiting for a slot, ns"] = wait_for_memory(2 * count, 1) - few
    out["waiting for a connection, ns"] = wait_for_memory(count, 24) - few
    slowest, data, now = 0.0, frame(proto, count + 1), START
    while table.count > 1 and now < START + 400 * SECOND:
        now += SECOND // 20
        load(p, data, 0, len(data), len(data), now, LINK_IP, 1)
        begin = time.process_time()
        table.track(p, 0, 3, True)
        slowest = max(slowest, time.process_time() - begin)
    out["slowest packet while they expire, ms"] = slowest * 1000
    out["left"] = int(table.count)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--proto", nargs="+", default=["udp", "tcp"], choices=("udp", "tcp"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(worker(args.worker, args.count)))
        return
    for proto in args.proto:
        done = subprocess.run(
            [sys.executable, __file__, "--count", str(args.count), "--worker", proto], capture_output=True, text=True, check=True
        )
        for name, value in json.loads(done.stdout).items():
            print(f"{name:48} {value:>14,.1f}" if isinstance(value, float) else f"{name:48} {value:>14}")
        print()


if __name__ == "__main__":
    main()
