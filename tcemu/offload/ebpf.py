"""The flow map as a backend: flow tables in snoop mode mirror their flows into it, and programs at XDP look them up there.

It takes no packet away: what is counted as its hits is what an XDP program of the RFC would have found (and, as its demo does, dropped;
here nothing is dropped). The map's keys have no zone, so of connections that differ in their zone alone only the first is mirrored.
"""

from __future__ import annotations

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.names import raw
from tcemu.offload.backend import Hit, Refusal
from tcemu.offload.flowmap import FlowKey, FlowMap, pack
from tcemu.offload.profile import Profile
from tcemu.offload.table import TableBackend, describe

ENTRIES = 65_536  # of the map, where the profile names no capacity


class FlowMapBackend(TableBackend):
    """See the module's text; ``driver.rfc_exact`` keeps the RFC's slips in its lookup."""

    name = "ebpf"
    snoop = True

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.exact = bool(profile.driver.get("rfc_exact", False))
        self.map = FlowMap(profile.capacity or ENTRIES, rfc_exact=self.exact)
        self.keys: dict[int, tuple[FlowKey, FlowKey]] = {}

    def admit(self, entry: Entry) -> Refusal | None:
        key = flow_key(entry, entry.orig, 0)
        for known in (key, *(one for one in self.map.flows if one._replace(ifindex=0) == key)):
            hit = self.map.flows.get(known)
            if isinstance(hit, Hit) and hit.entry.id != entry.id:
                return Refusal("zone", f"the map's keys have no zone, and {describe(hit.entry)} has the same tuple")
        return super().admit(entry)

    def add(self, entry: Entry, devices: tuple[int, int], now_ns: int) -> None:
        super().add(entry, devices, now_ns)
        keys = (flow_key(entry, entry.orig, devices[0]), flow_key(entry, entry.reply, devices[1]))
        self.keys[entry.id] = keys
        for direction, key in enumerate(keys):
            self.map.snoop(key, Hit(entry, direction))

    def lookup(
        self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int, device: int, length: int, now_ns: int
    ) -> Hit | None:
        size = 4 if family == 4 else 16
        key = FlowKey(family, proto, source.to_bytes(size, "big"), target.to_bytes(size, "big"), sport, dport, device)
        hit = self.map.find(pack(key, self.exact))
        if not isinstance(hit, Hit) or hit.entry.id not in self.flows:
            return None
        return super().lookup(family, proto, source, target, sport, dport, hit.entry.zone, device, length, now_ns)

    def remove(self, entry: Entry) -> None:
        super().remove(entry)
        for key in self.keys.pop(entry.id, ()):
            self.map.forget(key)

    def reset(self) -> None:
        super().reset()
        self.map.flows.clear()
        self.keys.clear()

    def tables(self) -> list[tuple[str, list[str]]]:
        """The map as bpftool would dump it, if the RFC's map could be walked."""
        lines = []
        for key, hit in self.map.flows.items():
            words = " ".join(f"{byte:02x}" for byte in pack(key, self.exact))
            lines += [f"# {describe(hit.entry)}, {('original', 'reply')[hit.direction]}" if isinstance(hit, Hit) else "#", f"key: {words}"]
        return [(f"flow map ({'as the RFC has it' if self.exact else 'mended'}; the value of a key is the key)", lines)]


def flow_key(entry: Entry, end: Tuple, device: int) -> FlowKey:
    """The key of one direction."""
    family = int(entry.family)
    source, target = raw(family, end.src_high, end.src), raw(family, end.dst_high, end.dst)
    return FlowKey(family, int(entry.proto), source, target, int(end.sport), int(end.dport), device)
