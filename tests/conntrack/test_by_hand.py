"""Connections made, changed, listed and deleted by hand, against one run of the real tool on Linux 6.1 (by_hand.txt)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tcemu import Session
from tcemu.host.model import Sysctl

CORPUS = Path(__file__).with_name("by_hand.txt")


def runs() -> list[tuple[str, list[str]]]:
    """(command line, lines of its answer)."""
    out: list[tuple[str, list[str]]] = []
    for line in CORPUS.read_text().splitlines():
        if line.startswith("$ "):
            out.append((line[2:], []))
        elif line and not line.startswith("#"):
            out[-1][1].append(line)
    return out


def normal(line: str) -> str:
    line = re.sub(r"\buse=\d+", "use=N", line)
    line = re.sub(r"^((?:ipv[46] +\d+ +)?\w+ +\d+) \d+ ", r"\1 N ", line)
    return re.sub(r"-t \d+", "-t N", line)


def test_a_life_by_hand_is_that_of_the_kernel() -> None:
    with Session() as session:
        session.host.sysctls.put(Sysctl(key="net.netfilter.nf_conntrack_acct", value="1"))
        for line, wanted in runs():
            reply = session.conntrack(shlex.split(line)[1:])
            got = [f"O|{text}" for text in sorted(map(normal, reply.stdout.splitlines()))]
            got += [f"E|{text}" for text in reply.stderr.splitlines()]
            got.append(f"rc={reply.exit_code}")
            if " -U " in line and len(reply.stdout.splitlines()) > 1:
                # of several that it changes the tool shows only some: it misses answers to its own questions
                got = [text for text in got if text in wanted or not text.startswith("O|")]
            assert got == wanted, line
