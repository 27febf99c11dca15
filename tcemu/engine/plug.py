"""The host model plugged into the engine: devices, addresses, routes and neighbours as the tables of `tcemu.engine.ports`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.engine.plug_programs import fingers, policies, sockets
from tcemu.engine.ports import (
    BLACKHOLE,
    BRIDGE,
    BROADCAST,
    GENEVE,
    GRE,
    GRETAP,
    IFB,
    LOCAL,
    LOOPBACK,
    PHYSICAL,
    PROHIBIT,
    UNICAST,
    UNREACHABLE,
    VETH,
    VLAN,
    VXLAN,
    Fib,
    Hop,
    HostTables,
    Own,
    Port,
    halves,
    mask4,
)
from tcemu.host import sysctls

if TYPE_CHECKING:
    from tcemu.host.model import Address, Device, Host, Route

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
RTNL_KINDS: Final = {"tap": "tun", "tun": "tun", "physical": "", "loopback": ""}  # the others are called as `ip` calls them
HARDWARE: Final = {"loopback": 772, "gre": 778, "ip6gre": 823, "sit": 776, "tun": 65534}  # ARPHRD_*; all else is Ethernet, 1
SCOPES: Final = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
ROUTES: Final = {"local": LOCAL, "blackhole": BLACKHOLE, "unreachable": UNREACHABLE, "prohibit": PROHIBIT, "broadcast": BROADCAST}


def plug(host: Host) -> HostTables:
    """The engine's tables of a host."""
    tables = HostTables()
    index_of = {device.key: device.rank for device in host.devices}
    for device in host.devices:
        while len(tables.ports) <= device.rank:
            tables.ports.append(None)
        tables.ports[device.rank] = _port(device, index_of)
        if device.kind == "loopback":
            tables.loopback = device.rank
    for maybe in tables.ports:
        if maybe is not None and maybe.kind == VLAN:
            lower = tables.ports[maybe.lower]
            if lower is not None:
                lower.children[maybe.vlan_tpid << 16 | maybe.vlan] = maybe.index
    for address in host.addresses:
        _own(tables, address, index_of.get(address.parent, 0))
    for route in host.routes:
        _route(tables, route, index_of.get(route.device, 0))
    tables.policies = policies(host.policies, index_of)
    tables.print = repr((list(host.addresses), list(host.routes), list(host.policies)))
    tables.lengths4 = [length for length in range(32, -1, -1) if tables.main4[length]]
    tables.lengths6 = [length for length in range(128, -1, -1) if tables.main6[length]]
    for near in host.neighbours:
        if near.resolved:
            tables.know(index_of.get(near.parent, 0), *halves(near.address), near.mac)
    tables.sockets, tables.fingers = sockets(host.sockets), fingers(host.fingerprints)
    tables.forward4 = sysctls.number_of(host, sysctls.FORWARD4) != 0
    tables.forward6 = sysctls.number_of(host, sysctls.FORWARD6) != 0
    tables.echo4 = sysctls.number_of(host, sysctls.ECHO4) == 0
    tables.echo6 = sysctls.number_of(host, sysctls.ECHO6) == 0
    tables.rate4 = sysctls.number_of(host, sysctls.RATE4) * 1_000_000
    tables.rate6 = sysctls.number_of(host, sysctls.RATE6) * 1_000_000
    return tables


def text_words(text: str) -> tuple[int, int]:
    """The sixteen bytes of a name as two signed words, the first byte highest."""
    raw = text.encode()[:16].ljust(16, b"\0")
    return int.from_bytes(raw[:8], "big", signed=True), int.from_bytes(raw[8:], "big", signed=True)


def _port(device: Device, index_of: dict[str, int]) -> Port:
    port = Port(device.rank, device.key, KINDS.get(device.kind, PHYSICAL))
    port.mac, port.mtu, port.up = device.mac, device.mtu, device.up
    port.lower, port.peer = index_of.get(device.lower, 0), index_of.get(device.peer, 0)
    port.master = index_of.get(device.master, 0)
    port.name_high, port.name_low = text_words(device.key)
    port.kind_high, port.kind_low = text_words(RTNL_KINDS.get(device.kind, device.kind))
    port.noarp = device.noarp
    port.arphrd = HARDWARE.get(device.kind, 1)
    _link(port, device.link)
    return port


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


def _own(tables: HostTables, address: Address, index: int) -> None:
    """An address of the machine: local, with its broadcast address, while its device is up (fib_add_ifaddr)."""
    port = tables.ports[index] if index else None
    if port is None:
        return
    high, low = halves(address.address)
    own = Own(address.family, high, low, address.prefix, SCOPES.get(address.scope, 0))
    own.secondary = address.secondary
    port.addresses.append(own)
    if port.kind != LOOPBACK:
        port.addressed = True
        tables.configured = True
    if not port.up:
        return
    _local(tables, address.family, LOCAL, index, (high, low), 32 if address.family == 4 else 128, (high, low))
    if address.family != 4:
        return
    if port.kind == LOOPBACK:
        _local(tables, 4, LOCAL, index, (0, low & mask4(address.prefix)), 8, (high, low))
    elif address.prefix < 31:
        _local(tables, 4, BROADCAST, index, (0, low | 0xFFFFFFFF & ~mask4(address.prefix)), 32, (high, low))
    if address.broadcast not in (0, 0xFFFFFFFF) and port.kind != LOOPBACK:
        _local(tables, 4, BROADCAST, index, (0, address.broadcast), 32, (high, low))


def _local(tables: HostTables, family: int, kind: int, device: int, target: tuple[int, int], prefix: int, source: tuple[int, int]) -> None:
    hop = Hop()
    hop.kind, hop.device, hop.prefix = kind, device, prefix
    hop.high, hop.low = target
    hop.source_high, hop.source = source
    if family == 4:
        tables.local4[prefix].setdefault(target[1], hop)
    else:
        tables.local6[prefix].setdefault(target, hop)


def _route(tables: HostTables, route: Route, index: int) -> None:
    """A route of the main table; of several to one network the one of least metric."""
    hop = Hop()
    hop.kind = ROUTES.get(route.kind, UNICAST)
    hop.device, hop.prefix, hop.metric = index, route.prefix, route.metric
    hop.high, hop.low = halves(route.address)
    hop.via_high, hop.via = halves(route.via)
    hop.has_via = route.via != 0
    hop.source_high, hop.source = halves(route.source)
    tables.configured = True
    family, _, number = route.parent.partition(" ")
    if number:
        tables.others.setdefault((int(family), int(number)), Fib(int(family))).routes.append(hop)
        return
    if family == "4":
        known = tables.main4[route.prefix].get(hop.low)
        if known is None or hop.metric < known.metric:
            tables.main4[route.prefix][hop.low] = hop
        return
    six = tables.main6[route.prefix].get((hop.high, hop.low))
    if six is None or hop.metric < six.metric:
        tables.main6[route.prefix][hop.high, hop.low] = hop
