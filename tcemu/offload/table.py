"""What most backends are: a table of flows by both their tuples, with room for so many, filled at a rate, aged when unused.

A flow that was added waits until the rate has let it in; until then its packets go by software, as in the seconds that a driver's
workqueue needs. All numbers come from the profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcemu.clock import SECOND
from tcemu.conntrack.entry import NAT_MASK, Entry, Tuple
from tcemu.conntrack.names import address, number, protocol
from tcemu.ir.ruleset import Object, Rule, Ruleset
from tcemu.offload.backend import Capabilities, FlowStats, Hit, Refusal, actions_of, kept_back
from tcemu.offload.profile import Profile

if TYPE_CHECKING:
    Key = tuple[int, ...]

NAMES = {6: "TCP", 17: "UDP", 47: "GRE"}


class Flow:
    """A connection in the table: from when on it is there, when it was last used, and what it carried."""

    def __init__(self, entry: Entry, ready: int) -> None:
        self.entry = entry
        self.ready = self.used = ready
        self.packets = 0
        self.bytes = 0


class TableBackend:
    """See the module's text; subclasses say what they are and what they do not take."""

    name = "table"
    hardware = False
    rules = False
    snoop = False

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.flows: dict[int, Flow] = {}
        self.ways: dict[Key, Hit] = {}
        self.free_at = 0  # when the queue of insertions is empty
        self.refused = self.added = self.aged = self.packets = self.bytes = 0

    # ------------------------------------------------------------ the contract

    def capabilities(self) -> Capabilities:
        profile = self.profile
        return Capabilities(
            self.name, self.hardware, profile.numbers(), profile.nat, profile.ipv6, profile.capacity, self.rules, self.snoop
        )

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        found: dict[str, Refusal] = {}
        for rule in ruleset.rules:
            if rule.key.startswith("tc "):
                refusal = kept_back(rule) or self.judge(rule, actions_of(ruleset, rule))
                if refusal is not None:
                    found[rule.key] = refusal
        return found

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        return Refusal("software", f"{self.name} takes connections, and no filters")

    def admit(self, entry: Entry) -> Refusal | None:
        profile = self.profile
        if entry.proto not in profile.numbers():
            taken = ", ".join(name.upper() for name in profile.protocols)
            return Refusal("protocol", f"protocol {protocol(entry)}: {self.title()} takes {taken}")
        if entry.family == 6 and not profile.ipv6:
            return Refusal("ipv6", f"{self.title()} takes IPv4 only")
        if entry.status & NAT_MASK and not profile.nat:
            return Refusal("nat", f"{self.title()} does not translate addresses")
        if profile.capacity and len(self.flows) >= profile.capacity and entry.id not in self.flows:
            return Refusal("full", f"the table holds {profile.capacity:,} flows and is full")
        return None

    def add(self, entry: Entry, devices: tuple[int, int], now_ns: int) -> None:
        rate = self.profile.insertion_rate
        self.free_at = max(self.free_at, now_ns) + (SECOND // rate if rate else 0)
        self.remove(entry)
        self.flows[entry.id] = Flow(entry, self.free_at if rate else now_ns)
        self.added += 1
        for direction, end in enumerate((entry.orig, entry.reply)):
            self.ways[key_of(entry, end)] = Hit(entry, direction)

    def lookup(
        self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int, device: int, length: int, now_ns: int
    ) -> Hit | None:
        hit = self.ways.get((family, proto, source, target, sport, dport, zone))
        flow = self.flows.get(hit.entry.id) if hit is not None else None
        if flow is None or flow.ready > now_ns:
            return None
        flow.used = now_ns
        flow.packets += 1
        flow.bytes += length
        self.packets += 1
        self.bytes += length
        return hit

    def holds(self, entry: Entry, now_ns: int) -> bool:
        flow = self.flows.get(entry.id)
        return flow is not None and flow.ready <= now_ns

    def remove(self, entry: Entry) -> None:
        flow = self.flows.pop(entry.id, None)
        if flow is not None:
            for end in (flow.entry.orig, flow.entry.reply):
                self.ways.pop(key_of(flow.entry, end), None)

    def expire(self, now_ns: int) -> Iterable[Entry]:
        aging = self.profile.aging * SECOND
        if not aging:
            return []
        old = [flow.entry for flow in self.flows.values() if flow.used + aging <= now_ns]
        for entry in old:
            self.remove(entry)
        self.aged += len(old)
        return old

    def stats(self) -> FlowStats:
        return FlowStats(len(self.flows), self.packets, self.bytes, self.refused, self.added, self.aged)

    def tables(self) -> list[tuple[str, list[str]]]:
        return [(f"{self.name} flows", self.lines())]

    def reset(self) -> None:
        self.flows.clear()
        self.ways.clear()
        self.free_at = self.refused = self.added = self.aged = self.packets = self.bytes = 0

    # ------------------------------------------------------------ for people

    def title(self) -> str:
        """What the backend is called in a sentence."""
        return self.profile.name or self.name

    def lines(self) -> list[str]:
        """A line a flow."""
        return [f"{describe(flow.entry)} packets={flow.packets} bytes={flow.bytes}" for flow in self.flows.values()]


def key_of(entry: Entry, end: Tuple) -> Key:
    """How `Backend.lookup` asks for one direction of an entry."""
    source, target = end.src, end.dst
    if entry.family == 6:
        source, target = number(end.src_high, end.src), number(end.dst_high, end.dst)
    return (entry.family, entry.proto, source, target, end.sport, end.dport, entry.zone)


def way(entry: Entry, end: Tuple) -> str:
    """One direction: ``10.0.0.1:40000 > 10.0.0.2:80``."""
    family = entry.family
    source, target = address(family, end.src_high, end.src), address(family, end.dst_high, end.dst)
    if entry.proto not in (6, 17, 33, 132, 136):
        return f"{source} > {target}"
    if family == 6:
        source, target = f"[{source}]", f"[{target}]"
    return f"{source}:{end.sport} > {target}:{end.dport}"


def describe(entry: Entry) -> str:
    """A connection on one line: protocol, original direction, the reply where it is translated, the zone."""
    back = entry.reply
    text = f"{protocol(entry)} {way(entry, entry.orig)}"
    if entry.status & NAT_MASK:
        text += f" (replies {way(entry, back)})"
    return text + (f" zone {entry.zone}" if entry.zone else "")
