"""What a recorder sees of the machine: frames that leave, frames that reach the stack, packets for local sockets, connections.

The recorder polls one descriptor a device and reads one frame of each in turn, so frames come in rounds over the devices, not in the
order in which they were sent (oracle agent.py collect()).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.conntrack.dump import dump_all, dump_expectations
from tcemu.conntrack.show import proc_line
from tcemu.engine.machine import Sink
from tcemu.host.text import show_address

if TYPE_CHECKING:
    from tcemu.conntrack.entry import Entry
    from tcemu.conntrack.table import Conntrack
    from tcemu.host.model import Host

STACK_TYPES: Final = (0x0800, 0x86DD, 0x0806, 0x8847, 0x8848, 0x8100, 0x88A8, 0x88B5)  # of the recorder's packet sockets
LOCAL: Final = {4: (1, 6, 17, 47, 132), 6: (58, 6, 17, 132)}  # of its raw sockets
ICMP: Final = 1
ICMP6: Final = 58
EXTENSIONS: Final = (0, 43, 44, 60)  # IPv6 extension headers that are taken off before a raw socket sees the payload


class Observed(Sink):
    """Collects frames between two looks."""

    def __init__(self, stack: bool, local: bool) -> None:
        super().__init__()
        self.wants_frames = True
        self._wants_stack, self._wants_local = stack, local
        self._names: dict[int, str] = {}
        self._taps: dict[str, int] = {}
        self._out: list[tuple[int, bytes]] = []
        self._stack: list[tuple[int, bytes]] = []
        self._local: list[bytes] = []

    def name_devices(self, host: Host, taps: list[str]) -> None:
        """Learn the devices' names, and which of them the recorder holds."""
        self._names = {device.index: device.name for device in host.devices}
        self._taps = {name: place for place, name in enumerate(taps)}

    def transmit(self, device: int, data: bytes) -> None:
        self._out.append((device, data))

    def stack(self, device: int, data: bytes) -> None:
        if self._wants_stack:
            self._stack.append((device, data))

    def local(self, device: int, data: bytes) -> None:
        if self._wants_local:
            self._local.append(data)

    # ------------------------------------------------------------ looking

    def take_out(self) -> list[dict[str, str]]:
        """The frames that left by the recorder's devices since the last look."""
        seen = [(self._taps[name], name, data) for index, data in self._out if (name := self._names.get(index, "")) in self._taps]
        self._out = []
        return [{"dev": name, "hex": data.hex()} for name, data in _rounds(seen) if not is_housekeeping(data)]

    def take_stack(self) -> list[dict[str, str]]:
        """The frames that went on to the protocol stack."""
        seen = []
        for index, data in self._stack:
            ethertype = int.from_bytes(data[12:14], "big")
            if ethertype in STACK_TYPES and self._names.get(index, "lo") != "lo":
                seen.append((STACK_TYPES.index(ethertype), self._names[index], data))
        self._stack = []
        return [{"dev": name, "hex": data.hex()} for name, data in _rounds(seen)]

    def take_local(self) -> list[dict[str, Any]]:
        """The packets that local raw sockets got."""
        seen: list[tuple[int, dict[str, Any]]] = []
        order = [(family, proto) for family, protos in LOCAL.items() for proto in protos]
        for data in self._local:
            entry = _raw(data)
            if entry is not None and entry[0] in order:
                seen.append((order.index(entry[0]), entry[1]))
        self._local = []
        return [entry for _, entry in _rounds([(place, "", entry) for place, entry in seen])]

    def connections(self, tracker: Conntrack, now: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """All connections that have not expired, and the expectations."""
        return dump_all(_living(tracker, now), now), dump_expectations(tracker.expectations, now)

    def proc_lines(self, tracker: Conntrack, now: int) -> list[str]:
        """/proc/net/nf_conntrack."""
        return [proc_line(entry, now) for entry in _living(tracker, now)]


def is_housekeeping(data: bytes) -> bool:
    """IPv6 frames that a recorder leaves out, since kernels send them of their own accord: reports of listeners, router solicitations, and
    neighbour solicitations without a source (agent.py noise)."""
    if data[12:14] != b"\x86\xdd" or len(data) < 63:
        return False
    if data[20] == 0 and data[54] == 58:
        return data[62] in (131, 143)
    return data[20] == 58 and (data[54] == 133 or (data[54] == 135 and not any(data[22:38])))


def _living(tracker: Conntrack, now: int) -> list[Entry]:
    return [entry for entry in tracker.entries() if not tracker.is_over(entry, now)]


def _rounds(seen: list[tuple[int, str, Any]]) -> list[tuple[str, Any]]:
    """One of each place in turn, places in order."""
    counts: dict[int, int] = {}
    keyed = []
    for place, name, data in seen:
        round_ = counts.get(place, 0)
        counts[place] = round_ + 1
        keyed.append((round_, place, name, data))
    return [(name, data) for _, _, name, data in sorted(keyed, key=lambda item: item[:2])]


def _raw(data: bytes) -> tuple[tuple[int, int], dict[str, Any]] | None:
    """(family, protocol) and what a raw socket of it reads: IPv4 with its header, IPv6 the payload and the source.

    One for ICMP reads nothing that is shorter than ICMP's header (icmp_filter, icmpv6_filter).
    """
    if data[0] >> 4 == 4:
        if data[9] == ICMP and len(data) < (data[0] & 15) * 4 + 8:
            return None
        return (4, data[9]), {"proto": data[9], "hex": data.hex()}
    proto, at = data[6], 40
    while proto in EXTENSIONS and at + 8 <= len(data):
        proto, at = data[at], at + (8 if proto == 44 else (data[at + 1] + 1) * 8)
    if proto == ICMP6 and len(data) < at + 4:
        return None
    source = show_address(6, int.from_bytes(data[8:24], "big"))
    return (6, proto), {"proto": proto, "hex": data[at:].hex(), "src": source}
