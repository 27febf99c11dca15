"""A backend that takes all it is told to take and nothing else: for tests of the layer above."""

from __future__ import annotations

from collections.abc import Iterable

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.ir.ruleset import Ruleset
from tcemu.offload.backend import Capabilities, FlowStats, Hit, Refusal


class DummyBackend:
    """Flows in a dictionary. ``refuse`` names a reason to turn every flow away; ``capacity`` limits how many fit."""

    def __init__(self, refuse: str = "", capacity: int = 0, timeout_ns: int = 30_000_000_000) -> None:
        self.refuse = refuse
        self.capacity = capacity
        self.timeout_ns = timeout_ns
        self.flows: dict[tuple[int, ...], Hit] = {}
        self.seen: dict[int, int] = {}
        self.refused = 0

    def capabilities(self) -> Capabilities:
        return Capabilities("dummy", capacity=self.capacity)

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        return {rule.key: Refusal("told", self.refuse) for rule in ruleset.rules} if self.refuse else {}

    def admit(self, entry: Entry) -> Refusal | None:
        if self.refuse:
            return Refusal("told", self.refuse)
        if self.capacity and len(self.seen) >= self.capacity:
            return Refusal("full", f"the table holds {self.capacity} flows and is full")
        return None

    def add(self, entry: Entry, now_ns: int) -> None:
        self.seen[entry.id] = now_ns
        for direction, end in enumerate((entry.orig, entry.reply)):
            self.flows[_key(entry, end)] = Hit(entry, direction)

    def lookup(self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int) -> Hit | None:
        return self.flows.get((family, proto, source, target, sport, dport, zone))

    def remove(self, entry: Entry) -> None:
        if self.seen.pop(entry.id, None) is not None:
            for end in (entry.orig, entry.reply):
                self.flows.pop(_key(entry, end), None)

    def expire(self, now_ns: int) -> Iterable[Entry]:
        old = [hit.entry for hit in self.flows.values() if not hit.direction and self.seen[hit.entry.id] + self.timeout_ns <= now_ns]
        for entry in old:
            self.remove(entry)
        return old

    def stats(self) -> FlowStats:
        return FlowStats(flows=len(self.seen), refused=self.refused)

    def tables(self) -> list[tuple[str, list[str]]]:
        return [("flows", [" ".join(map(str, key)) for key in self.flows])]

    def reset(self) -> None:
        self.flows.clear()
        self.seen.clear()
        self.refused = 0


def _key(entry: Entry, end: Tuple) -> tuple[int, ...]:
    family, low = entry.family, (1 << 64) - 1
    source, target = end.src, end.dst
    if family == 6:
        source, target = (end.src_high & low) << 64 | end.src & low, (end.dst_high & low) << 64 | end.dst & low
    return (family, entry.proto, source, target, end.sport, end.dport, entry.zone)
