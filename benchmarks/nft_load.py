"""How long ``nft -f`` takes on a large file, beside the real nft's check of the same file: an interval set and many rules.

    python benchmarks/nft_load.py [--elements 100000] [--rules 10000]

Prints CPU seconds (user and system) and peak memory of both; the real one (``nft -c -f`` in a network namespace of its own) is left
out where there is no nft or no right to one. Also small commands: CPU of the whole process.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SMALL = ("add table inet small", "add chain inet small c", "add rule inet small c tcp dport 22 counter accept", "list ruleset")


def quad(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def element(number: int) -> str:
    """Addresses, prefixes and ranges that do not meet, in turn."""
    base = 0x0B000000 + number * 64
    return (quad(base), f"{quad(base)}/28", f"{quad(base + 1)}-{quad(base + 20)}")[number % 3]


def rule(number: int) -> str:
    """Five kinds of rules in turn."""
    address = f"10.{number >> 8 & 255}.{number & 255}.{number % 250 + 1}"
    port = number % 60000 + 1
    return (
        f"ip saddr {address} tcp dport {port} counter accept",
        f'iifname "eth{number % 8}" ip daddr {address} udp dport {{ {port}, {number % 1000 + 61000} }} accept',
        f"ip saddr {address} ct state new tcp flags syn limit rate {number % 100 + 1}/second accept",
        f'ip6 saddr 2001:db8::{number:x} tcp dport {number % 1000 + 1}-{number % 1000 + 3000} counter log prefix "r{number} " drop',
        f"meta l4proto {{ tcp, udp }} th dport {port} ip saddr {address} counter drop",
    )[number % 5]


def ruleset(elements: int, rules: int) -> str:
    """The file."""
    members = [element(number) for number in range(elements)]
    random.Random(1).shuffle(members)
    rows = [", ".join(members[place : place + 4]) for place in range(0, elements, 4)]
    lines = ["table inet big {", "\tset blocked {", "\t\ttype ipv4_addr", "\t\tflags interval"]
    lines += ["\t\telements = { " + ",\n\t\t\t     ".join(rows) + " }", "\t}", "\tchain input {"]
    lines += ["\t\ttype filter hook input priority filter; policy drop;", "\t\tip saddr @blocked drop"]
    lines += [f"\t\t{rule(number)}" for number in range(rules)]
    return "\n".join([*lines, "\t}", "}", ""])


def measured(argv: list[str], env: dict[str, str] | None = None) -> tuple[float, int]:
    """CPU seconds and peak kilobytes of a process; it must succeed."""
    done = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _pid, status, usage = os.wait4(done.pid, 0)
    if status:
        sys.exit(f"{argv[0]}: {done.stderr.read().decode() if done.stderr else status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--elements", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.nft"
        path.write_text(ruleset(asked.elements, asked.rules))
        env = {**os.environ, "TCEMU_SESSION": f"{folder}/session.db"}
        ours, memory = measured([sys.executable, "-m", "tcemu", "nft", "-f", str(path)], env)
        print(f"tcemu nft -f: {ours:.2f} s of CPU, {memory // 1024} MB")
        if shutil.which("nft") and os.geteuid() == 0:
            real, memory = measured(["unshare", "-n", "nft", "-c", "-f", str(path)])
            print(f"nft -c -f:    {real:.2f} s of CPU, {memory // 1024} MB; tcemu takes {ours / real:.1f} times as long")
        env["TCEMU_SESSION"] = f"{folder}/small.db"
        for command in SMALL:
            cpu, _memory = measured([sys.executable, "-m", "tcemu", "nft", command], env)
            print(f"tcemu nft {command}: {cpu * 1000:.0f} ms of CPU")


if __name__ == "__main__":
    main()
