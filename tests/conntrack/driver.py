"""Drives the tracker through recorded kernel scenarios without the engine: each packet is tracked, and confirmed or not.

The packets and what the kernel's table looked like after each come from a scenario's ``expected/steps.jsonl``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tcemu.conntrack.defrag import Defrag
from tcemu.conntrack.dump import dump_all
from tcemu.conntrack.entry import Entry
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.offload.flows import ActCtTable
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, NEW, Packet

SHARED = Path(os.environ.get("TCEMU_SHARED", Path(__file__).resolve().parents[3] / "shared"))
SCENARIOS = SHARED / "oracle" / "scenarios"
START = 1_700_000_000_000_000_000  # ns; recordings count from 0
SLACK = 2  # seconds that a recorded timeout may be off (oracle/compare.py)

Handle = Callable[[Conntrack, Packet, str], None]


def scenario(name: str) -> dict[str, Any]:
    """scenario.json of one recording."""
    found: dict[str, Any] = json.loads((SCENARIOS / name / "scenario.json").read_text())
    return found


def steps(name: str) -> Iterator[dict[str, Any]]:
    """The recorded packets of a scenario, in order."""
    for line in (SCENARIOS / name / "expected" / "steps.jsonl").read_text().splitlines():
        step = json.loads(line)
        if "n" in step:
            yield step


def table_for(name: str) -> Conntrack:
    """A table with the scenario's sysctls; the oracle always switches accounting on."""
    settings = Settings()
    assert settings.set("net.netfilter.nf_conntrack_acct", 1)
    for key, value in scenario(name).get("sysctl", {}).items():
        if "conntrack" in key or "flowtable" in key:
            assert settings.set(key, value), key
    return Conntrack(settings)


def fill(p: Packet, frame: bytes, ts: int) -> None:
    """Load an Ethernet frame."""
    load(p, frame, 0, len(frame), len(frame), ts, LINK_ETHER, 1)


def differences(name: str, make: Callable[[Conntrack], Handle]) -> list[str]:
    """Replay a scenario; a line for each packet after which the tables differ."""
    table = table_for(name)
    handle = make(table)
    p = Packet()
    found = []
    for step in steps(name):
        now = START + round(step["ts"] * 1e9)
        fill(p, bytes.fromhex(step["in"]), now)
        handle(table, p, step["dev"])
        table.expire(now)
        got = [comparable(entry) for entry in dump_all(table.entries(now), now)]
        want = [comparable(entry) for entry in step.get("ct", [])]
        if not same(got, want):
            found.append(f"packet {step['n']}: want {want}\n    got {got}\n    reason {p.reason}")
    return found


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    """Without what no recording fixes."""
    return {key: value for key, value in entry.items() if key not in ("id", "use")}


def same(got: list[dict[str, Any]], want: list[dict[str, Any]]) -> bool:
    """Equal but for a little time."""
    if len(got) != len(want):
        return False
    for mine, theirs in zip(got, want, strict=True):
        if mine | {"timeout": 0} != theirs | {"timeout": 0} or ("timeout" in mine) != ("timeout" in theirs):
            return False
        if abs(mine.get("timeout", 0) - theirs.get("timeout", 0)) > SLACK:
            return False
    return True


class Forward:
    """A host that forwards all but what is invalid (the nft-tcp-* scenarios): track before, confirm behind."""

    def __init__(self, table: Conntrack) -> None:
        self.table = table

    def __call__(self, table: Conntrack, p: Packet, dev: str) -> None:
        if table.track(p, 0, 3, True) and p.ct is not None:
            table.confirm(p)


class TcRules:
    """The rules that most tc-ct-* scenarios share: track, commit what is new on d0, let the flow table see it (act_ct.c)."""

    def __init__(self, table: Conntrack) -> None:
        settings = table.settings
        self.defrag = Defrag(settings)
        self.flows = ActCtTable(0)
        self.flows.tcp_timeout = settings.flow_tcp
        self.flows.udp_timeout = settings.flow_udp

    def __call__(self, table: Conntrack, p: Packet, dev: str) -> None:
        if self.defrag.add(p, 0) != 0:
            return
        skip = self.flows.lookup(table, p, p.ts)
        if not skip and table.track(p, 0, 3, True) != 1:
            return
        self.offer(p, skip)
        if p.ct is not None and p.ctinfo == NEW and dev == "d0" and table.confirm(p) == 1:
            self.offer(p, skip)
        self.flows.collect(table, p.ts)

    def offer(self, p: Packet, skip: bool) -> None:
        if not skip and isinstance(p.ct, Entry):
            self.flows.offer(p.ct, p, p.ts)
