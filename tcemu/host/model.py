"""The machine that the ruleset thinks it is on: devices, addresses, routes, neighbours and sysctls."""

from __future__ import annotations

from msgspec import Struct

from tcemu.shelf import MemoryShelf, Record, Shelf


class Device(Record):
    """A network device: key is its name, rank its index.

    kind is that of ``ip link`` (dummy, veth, vlan, vxlan, geneve, gre, bridge, ifb …) or tap or physical; ``link`` keeps the
    kind's parameters as words, e.g. ``{"external": "", "dstport": "4789"}``; ``lower`` is the device below (VLANs).
    """

    kind: str = "physical"
    mac: int = 0
    mtu: int = 1500
    up: bool = True
    master: str = ""
    lower: str = ""
    peer: str = ""
    link: dict[str, str] = {}
    alias: str = ""
    noarp: bool = False

    @property
    def name(self) -> str:
        return self.key

    @property
    def index(self) -> int:
        return self.rank


class Address(Record):
    """An address of a device (parent), family 4 or 6."""

    family: int = 4
    address: int = 0
    prefix: int = 32


class Route(Record):
    """A route (parent: ``4`` or ``6``); ``via`` 0 is a link route; kind unicast, local, blackhole, unreachable or prohibit."""

    address: int = 0
    prefix: int = 0
    via: int = 0
    device: str = ""
    metric: int = 0
    kind: str = "unicast"
    source: int = 0


class Neighbour(Record):
    """A resolved neighbour (parent: its device)."""

    family: int = 4
    address: int = 0
    mac: int = 0


class Sysctl(Record):
    """A setting: key is its dotted name."""

    value: str = ""


class Host(Struct):
    """The machine, on its shelves."""

    devices: Shelf[Device]
    addresses: Shelf[Address]
    routes: Shelf[Route]
    neighbours: Shelf[Neighbour]
    sysctls: Shelf[Sysctl]


def empty() -> Host:
    """A host in memory, with nothing but nothing; `lo` is made by whoever starts a session."""
    return Host(MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf())
