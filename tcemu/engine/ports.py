"""The host as the engine sees it: ports by index, routes by prefix, neighbours by address."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.host.model import Host

PHYSICAL: Final = 0  # frames leave the machine here (taps, NICs, and what tests make of dummies)
SINK: Final = 1  # dummy: counts and forgets
VETH: Final = 2
VLAN: Final = 3
VXLAN: Final = 4
GENEVE: Final = 5
GRE: Final = 6
GRETAP: Final = 7
BRIDGE: Final = 8
IFB: Final = 9
LOOPBACK: Final = 10

KINDS: Final = {
    "veth": VETH,
    "vlan": VLAN,
    "vxlan": VXLAN,
    "geneve": GENEVE,
    "gre": GRE,
    "ip6gre": GRE,
    "gretap": GRETAP,
    "ip6gretap": GRETAP,
    "bridge": BRIDGE,
    "ifb": IFB,
    "loopback": LOOPBACK,
}


class Port:
    """A device."""

    def __init__(self, index: i64, name: str, kind: i64) -> None:
        self.index: i64 = index
        self.name: str = name
        self.kind: i64 = kind
        self.mac: i64 = 0
        self.mtu: i64 = 1500
        self.up: bool = True
        self.lower: i64 = 0  # the device below a VLAN or tunnel device
        self.peer: i64 = 0
        self.master: i64 = 0
        self.vlan: i64 = 0
        self.vlan_tpid: i64 = 0x8100
        self.children: dict[int, int] = {}  # tpid << 16 | vlan id -> index of the VLAN device
        # tunnels
        self.external: bool = False  # metadata mode
        self.key: i64 = 0
        self.port: i64 = 0  # UDP port that it listens on
        self.sport_low: i64 = 0
        self.sport_high: i64 = 0
        self.local_high: i64 = 0
        self.local: i64 = 0
        self.remote_high: i64 = 0
        self.remote: i64 = 0
        self.family: i64 = 4
        self.udp_csum: bool = False
        self.ttl: i64 = 0
        self.tos: i64 = 0
        # counters
        self.rx_packets: i64 = 0
        self.tx_packets: i64 = 0
        self.addressed: bool = False  # has an address of its own


class Hop:
    """A route, or the answer of a lookup. kind: 0 unicast, 1 local, 2 blackhole, 3 unreachable, 4 prohibit."""

    def __init__(self) -> None:
        self.kind: i64 = 0
        self.high: i64 = 0
        self.low: i64 = 0
        self.prefix: i64 = 0
        self.via_high: i64 = 0
        self.via: i64 = 0
        self.has_via: bool = False
        self.device: i64 = 0
        self.metric: i64 = 0
        self.source_high: i64 = 0
        self.source: i64 = 0


class Mac:
    """A neighbour."""

    def __init__(self, device: i64, high: i64, low: i64, mac: i64) -> None:
        self.device: i64 = device
        self.high: i64 = high
        self.low: i64 = low
        self.mac: i64 = mac


class HostTables:
    """All of it. `route` and `neighbour` look through short lists, longest prefix first."""

    def __init__(self) -> None:
        self.ports: list[Port | None] = [None]
        self.routes4: list[Hop] = []
        self.routes6: list[Hop] = []
        self.macs: list[Mac] = []
        self.forward4: bool = False
        self.forward6: bool = False
        self.configured: bool = False  # any address or route at all beyond loopback

    def route(self, family: i64, high: i64, low: i64) -> Hop | None:
        """The best route to an address (fib_lookup over local, then main)."""
        for hop in self.routes4 if family == 4 else self.routes6:
            bits = hop.prefix
            if family == 4:
                if bits == 0 or (low >> (32 - bits)) == (hop.low >> (32 - bits)):
                    return hop
                continue
            if bits <= 64:
                if bits == 0 or ((high ^ hop.high) >> (64 - bits)) == 0:
                    return hop
            elif high == hop.high and ((low ^ hop.low) >> (128 - bits)) == 0:
                return hop
        return None

    def neighbour(self, device: i64, high: i64, low: i64) -> i64:
        """The MAC address of a neighbour, -1 when it is not known."""
        for mac in self.macs:
            if mac.low == low and mac.device == device and mac.high == high:
                return mac.mac
        return -1

    def tunnel_port(self, kind: i64, udp_port: i64, key: i64) -> i64:
        """The tunnel device that takes packets of a UDP port (or all GRE): metadata mode, or the key's own; 0 for none."""
        fallback: i64 = 0
        for port in self.ports:
            if port is not None and port.kind == kind and port.up and (kind in (GRE, GRETAP) or port.port == udp_port):
                if not port.external and port.key == key:
                    return port.index
                if port.external:
                    fallback = port.index
        return fallback


def halves(value: int) -> tuple[int, int]:
    """A 128-bit address as two signed halves."""
    high, low = (value >> 64) & ((1 << 64) - 1), value & ((1 << 64) - 1)
    return high - (1 << 64) if high >> 63 else high, low - (1 << 64) if low >> 63 else low


def plug(host: Host) -> HostTables:
    """The engine's tables of a host."""
    tables = HostTables()
    index_of = {device.key: device.rank for device in host.devices}
    for device in host.devices:
        port = Port(device.rank, device.key, KINDS.get(device.kind, PHYSICAL))
        port.mac, port.mtu, port.up = device.mac, device.mtu, device.up
        port.lower, port.peer = index_of.get(device.lower, 0), index_of.get(device.peer, 0)
        port.master = index_of.get(device.master, 0)
        _link(port, device.link)
        while len(tables.ports) <= device.rank:
            tables.ports.append(None)
        tables.ports[device.rank] = port
    for maybe in tables.ports:
        if maybe is not None and maybe.kind == VLAN:
            lower = tables.ports[maybe.lower]
            if lower is not None:
                lower.children[maybe.vlan_tpid << 16 | maybe.vlan] = maybe.index
    _routes(tables, host, index_of)
    for near in host.neighbours:
        high, low = halves(near.address)
        tables.macs.append(Mac(index_of.get(near.parent, 0), high, low, near.mac))
    settings = {setting.key: setting.value for setting in host.sysctls}
    tables.forward4 = settings.get("net.ipv4.ip_forward", settings.get("net.ipv4.conf.all.forwarding", "0")) not in ("0", "")
    tables.forward6 = settings.get("net.ipv6.conf.all.forwarding", "0") not in ("0", "")
    return tables


def _number(text: str, default: int = 0) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return default


def _link(port: Port, link: dict[str, str]) -> None:
    """A tunnel's or VLAN's parameters."""
    port.external = "external" in link or "collect_metadata" in link
    port.vlan = _number(link.get("id", "0")) if port.kind == VLAN else 0
    port.vlan_tpid = 0x88A8 if link.get("protocol", "").lower() == "802.1ad" else 0x8100
    if port.kind in (VXLAN, GENEVE):
        port.key = _number(link.get("id", link.get("vni", "0")))
        port.port = _number(link.get("dstport", ""), 8472 if port.kind == VXLAN else 6081)
    if "srcport" in link:
        words = link["srcport"].split()
        port.sport_low = _number(words[0])
        port.sport_high = _number(words[-1])
    port.udp_csum = "noudpcsum" not in link
    port.ttl = _number(link.get("ttl", "0"))
    if "remote" in link:
        port.family, port.remote_high, port.remote = _address(link["remote"])
    if "local" in link:
        port.family, port.local_high, port.local = _address(link["local"])


def _address(text: str) -> tuple[int, int, int]:
    """Family and halves of an address; 0 for what is none."""
    import socket

    for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        try:
            return (number, *halves(int.from_bytes(socket.inet_pton(family, text), "big")))
        except OSError:
            continue
    return 4, 0, 0


def _routes(tables: HostTables, host: Host, index_of: dict[str, int]) -> None:
    """Local and connected routes of the addresses, then the others, by prefix length and metric."""
    for address in host.addresses:
        index = index_of.get(address.parent, 0)
        port = tables.ports[index] if index else None
        width = 32 if address.family == 4 else 128
        for kind, prefix in ((1, width), (0, address.prefix)):
            if kind == 0 and prefix == width:
                continue
            hop = Hop()
            hop.kind, hop.device, hop.prefix = kind, index, prefix
            hop.high, hop.low = halves(address.address >> (width - prefix) << (width - prefix))
            hop.source_high, hop.source = halves(address.address)
            (tables.routes4 if address.family == 4 else tables.routes6).append(hop)
        if port is not None and port.kind != LOOPBACK:
            port.addressed = True
            tables.configured = True
    for route in host.routes:
        hop = Hop()
        hop.kind = {"local": 1, "blackhole": 2, "unreachable": 3, "prohibit": 4}.get(route.kind, 0)
        hop.device, hop.prefix, hop.metric = index_of.get(route.device, 0), route.prefix, route.metric
        hop.high, hop.low = halves(route.address)
        hop.via_high, hop.via = halves(route.via)
        hop.has_via = route.via != 0
        hop.source_high, hop.source = halves(route.source)
        (tables.routes4 if route.parent == "4" else tables.routes6).append(hop)
        tables.configured = True
    for routes in (tables.routes4, tables.routes6):
        routes.sort(key=lambda hop: (hop.kind != 1, -hop.prefix, hop.metric))
