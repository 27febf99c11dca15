#!/usr/bin/env python3
"""tc lines at random against the front end: no line may end in a traceback, and what a listing shows makes the same filter again.

    python benchmarks/fuzz_tc.py [--lines 100000] [--seed 1] [--show 20]

Lines come from tests/tc/fuzzing.py: walks through the parser's table and lines of tests/tc/filters.txt with words changed. Each runs in a
session in memory, strict or friendly; every accepted filter is listed as text and as JSON, with options at random, and made again in
new sessions: from the commands that the session saves (``tcemu session export --tc``), where every record must be the same, and from its
listing, where that is input of tc's, whose listing and whose matches must be the same. The exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.tc.fuzzing import Lines
from tests.tc.relisted import shown
from tests.tc.roundtrip import FaultError, World, round_trip, run_line
from tests.tc.test_tc_corpus import LINES

LIFE = 40  # lines that a session sees


def main() -> int:
    """Run; a table of what became of the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=20, help="how many faults to print")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    lines = Lines(chance, [line.command for line in LINES])
    count: Counter[str] = Counter()
    faults = 0
    begun = time.process_time()
    world = World(strict=True)
    for number in range(options.lines):
        if number % LIFE == 0:
            world.close()
            world = World(strict=bool(chance.randrange(2)))
        words = lines.line()
        try:
            reply = run_line(world, words, lines.options())
            count[f"exit {reply.exit_code}"] += 1
            if reply.exit_code == 0 and words[:2] == ["filter", "add"]:
                count[f"made again: {round_trip(words, world.strict)}"] += 1
        except FaultError as fault:
            faults += 1
            if faults <= options.show:
                print(f"{shown(words)}\n  {fault}")
        except Exception:
            faults += 1
            if faults <= options.show:
                print(f"{shown(words)}\n  {traceback.format_exc()}")
    world.close()
    for name in sorted(count):
        print(f"{name}: {count[name]}")
    print(f"{options.lines} lines, {faults} faults, {time.process_time() - begun:.0f} s CPU")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
