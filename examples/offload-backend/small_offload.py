"""A backend of one's own: a card with room for few connections, and only for those to web servers.

    pip install ./examples/offload-backend
    tcemu offload why --in eth0=examples/captures/office.pcap --rules examples/cover-letter.tc --offload small

It is all of the contract (man 7 tcemu-offload), written out without tcemu's own `TableBackend`, which would do most of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcemu.offload.backend import Capabilities, FlowStats, Hit, Refusal
from tcemu.offload.table import key_of

if TYPE_CHECKING:
    from tcemu.conntrack.entry import Entry
    from tcemu.ir.ruleset import Object, Rule, Ruleset

ROOM = 2
PORTS = (80, 443, 8080)
TCP = 6
IDLE = 20_000_000_000  # ns after which the card forgets a connection


class SmallBackend:
    """The engine asks `admit`, then calls `add`; from then on `lookup` is asked for each packet of the connection."""

    def __init__(self) -> None:
        self.ways: dict[tuple[int, ...], Hit] = {}
        self.used: dict[int, int] = {}  # connection → when it was last used
        self.packets = self.bytes = self.added = self.aged = 0

    def capabilities(self) -> Capabilities:
        return Capabilities("small", hardware=True, protocols=(TCP,), capacity=ROOM)

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        return {rule.key: self.judge(rule, []) for rule in ruleset.rules if rule.key.startswith("tc ")}

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal:
        return Refusal("rules", "the card has no table of filters")

    def admit(self, entry: Entry) -> Refusal | None:
        if entry.proto != TCP or entry.orig.dport not in PORTS:
            return Refusal("port", f"the firmware takes TCP to ports {', '.join(map(str, PORTS))}")
        if len(self.used) >= ROOM and entry.id not in self.used:
            return Refusal("full", f"all {ROOM} places are taken")
        return None

    def add(self, entry: Entry, devices: tuple[int, int], now_ns: int) -> None:
        self.added += 1
        self.used[entry.id] = now_ns
        for direction, end in enumerate((entry.orig, entry.reply)):
            self.ways[key_of(entry, end)] = Hit(entry, direction)

    def lookup(
        self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int, device: int, length: int, now_ns: int
    ) -> Hit | None:
        hit = self.ways.get((family, proto, source, target, sport, dport, zone))
        if hit is not None:
            self.used[hit.entry.id] = now_ns
            self.packets += 1
            self.bytes += length
        return hit

    def holds(self, entry: Entry, now_ns: int) -> bool:
        return entry.id in self.used

    def remove(self, entry: Entry) -> None:
        if self.used.pop(entry.id, None) is not None:
            for end in (entry.orig, entry.reply):
                self.ways.pop(key_of(entry, end), None)

    def expire(self, now_ns: int) -> Iterable[Entry]:
        old = [hit.entry for hit in self.ways.values() if not hit.direction and self.used[hit.entry.id] + IDLE <= now_ns]
        for entry in old:
            self.remove(entry)
        self.aged += len(old)
        return old

    def stats(self) -> FlowStats:
        return FlowStats(len(self.used), self.packets, self.bytes, added=self.added, aged=self.aged)

    def tables(self) -> list[tuple[str, list[str]]]:
        return [("places", [f"connection {number}, used at {when / 1e9:.6f} s" for number, when in self.used.items()])]

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]
