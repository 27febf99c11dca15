"""The machine that the ruleset thinks it is on: devices, addresses, routes, neighbours and sysctls."""

from __future__ import annotations

from msgspec import Struct, field

from tcemu.shelf import MemoryShelf, Record, Shelf


class Device(Record):
    """A network device: key is its name, rank its index.

    kind is that of ``ip link`` (dummy, veth, vlan, vxlan, geneve, gre, bridge, ifb …) or tap or physical; ``link`` keeps the
    kind's parameters as words, e.g. ``{"external": "", "dstport": "4789"}``; ``lower`` is the device below (VLANs).
    ``was_up``: it has been up since it was made, so it has a queueing discipline (``qdisc noqueue`` and not ``noop``).
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
    promisc: bool = False
    allmulti: bool = False
    multicast: bool = True
    qlen: int = 1000
    was_up: bool = True
    rx_packets: int = 0
    rx_bytes: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0

    @property
    def name(self) -> str:
        return self.key

    @property
    def index(self) -> int:
        return self.rank


class Address(Record):
    """An address of a device (parent), family 4 or 6; rank is its place in the device's list.

    ``peer`` is the other end of a point-to-point address, else the address itself or 0; ``flags`` are words as `ip` prints them.
    """

    family: int = 4
    address: int = 0
    prefix: int = 32
    peer: int = 0
    broadcast: int = 0
    scope: str = "global"
    label: str = ""
    secondary: bool = False
    flags: tuple[str, ...] = ()


class Hop(Struct, frozen=True, omit_defaults=True):
    """A next hop of a route that has several."""

    via: int
    device: str
    weight: int = 1


class Route(Record):
    """A route (parent: ``4`` or ``6``, with a table other than main behind it, as in ``4 100``); ``via`` 0 is a link route; kind unicast, local, blackhole, unreachable or prohibit.

    The kernel's own routes to connected networks are here (proto ``kernel``), those to the host's own addresses are not: they
    follow from the addresses. Of a route with several next hops, ``via`` and ``device`` are the first.
    """

    address: int = 0
    prefix: int = 0
    via: int = 0
    device: str = ""
    metric: int = 0
    kind: str = "unicast"
    source: int = 0
    proto: str = "boot"
    scope: str = "global"
    onlink: bool = False
    hops: tuple[Hop, ...] = ()


class Policy(Record):
    """A rule that says which table routes a packet (parent: ``4`` or ``6``); rank is its preference.

    The kernel's own (local, main, default) are not here. Prefix 0 is any address, a mask of 0 any mark, an empty device any.
    """

    source: int = 0
    source_prefix: int = 0
    target: int = 0
    target_prefix: int = 0
    mark: int = 0
    mask: int = 0
    device: str = ""
    table: int = 254


class Neighbour(Record):
    """A resolved neighbour (parent: its device); state is a word of `ip neigh`: permanent, reachable, stale, noarp, failed …

    Only entries with ``resolved`` have an address that packets are sent to.
    """

    family: int = 4
    address: int = 0
    mac: int = 0
    state: str = "permanent"

    @property
    def resolved(self) -> bool:
        return self.state not in ("none", "incomplete", "failed")


class Sysctl(Record):
    """A setting: key is its dotted name."""

    value: str = ""


class Socket(Record):
    """A local program's socket; key: see `tcemu.host.sockets.key`. An address of 0 is any.

    ``v6only`` counts for IPv6 sockets bound to any address; a ``peer_port`` above 0 makes it a connected one.
    """

    proto: str = "tcp"
    family: int = 4
    address: int = 0
    port: int = 0
    peer: int = 0
    peer_port: int = 0
    transparent: bool = False
    mark: int = 0
    v6only: bool = False


class Fingerprint(Record):
    """A line of a fingerprint file (pf.os); rank is its place."""

    text: str = ""


class Counter(Record):
    """A number that only grows: the last interface index that was given out, and the like."""

    value: int = 0


class Host(Struct):
    """The machine, on its shelves."""

    devices: Shelf[Device]
    addresses: Shelf[Address]
    routes: Shelf[Route]
    neighbours: Shelf[Neighbour]
    sysctls: Shelf[Sysctl]
    counters: Shelf[Counter] = field(default_factory=MemoryShelf)
    sockets: Shelf[Socket] = field(default_factory=MemoryShelf)
    fingerprints: Shelf[Fingerprint] = field(default_factory=MemoryShelf)
    policies: Shelf[Policy] = field(default_factory=MemoryShelf)


def empty() -> Host:
    """A host in memory, with nothing but nothing; `lo` is made by whoever starts a session."""
    return Host(MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf())
