"""A real machine's `ip -j` output becomes the session's host.

Each file holds what one of ``ip -j [-d] link``, ``addr``, ``route``, ``-6 route`` or ``neigh`` printed; which one is seen from
its members. Order does not matter: links come first, then addresses, routes and neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct, field

from tcemu.diagnostics import StateError
from tcemu.host import addresses, devices, routes, text
from tcemu.host.ip.neigh import key_of
from tcemu.host.kinds import KINDS
from tcemu.host.model import Device, Hop, Host, Neighbour, Route


class _Range(Struct):
    low: int
    high: int


class _Data(Struct):
    """linkinfo.info_data, as far as it matters here; numbers and words alike."""

    id: int | str | None = None
    remote: str = ""
    remote6: str = ""
    local: str = ""
    local6: str = ""
    ttl: int | str | None = None
    protocol: str = ""
    ikey: str = ""
    okey: str = ""
    type: str = ""
    external: bool = False
    port: int | None = None
    port_range: _Range | None = None
    udp_csum: bool | None = None
    learning: bool = True


class _Info(Struct):
    info_kind: str = ""
    info_data: _Data = field(default_factory=_Data)


class _Address(Struct):
    """A member of addr_info; `ip` pads with empty ones."""

    family: str = ""
    local: str = ""
    prefixlen: int = 0
    address: str = ""
    broadcast: str = ""
    scope: str = "global"
    label: str = ""


class _Link(Struct):
    ifname: str
    ifindex: int = 0
    link: str | None = None
    link_type: str = "ether"
    address: str = ""
    mtu: int = 1500
    qdisc: str = "noop"
    master: str = ""
    ifalias: str = ""
    txqlen: int = 1000
    flags: list[str] = field(default_factory=list)
    linkinfo: _Info = field(default_factory=_Info)
    addr_info: list[_Address] = field(default_factory=list)


class _Nexthop(Struct):
    dev: str
    gateway: str = ""
    weight: int = 1


class _Route(Struct):
    dst: str
    type: str = "unicast"
    gateway: str = ""
    dev: str = ""
    metric: int = 0
    prefsrc: str = ""
    protocol: str = "boot"
    scope: str = "global"
    pref: str = ""
    flags: list[str] = field(default_factory=list)
    nexthops: list[_Nexthop] = field(default_factory=list)


class _Neighbour(Struct):
    dst: str
    dev: str
    state: list[str]
    lladdr: str = ""


_PARAMETRIC: Final = ("vlan", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "erspan", "sit")


def load(host: Host, documents: Sequence[tuple[str, str]]) -> str:
    """Put the (name, text) documents onto the host; a sentence that says what came. Raises StateError."""
    links: list[_Link] = []
    paths: list[_Route] = []
    nears: list[_Neighbour] = []
    for name, content in documents:
        for row in _rows(name, content):
            try:
                if "ifname" in row:
                    links.append(msgspec.convert(row, _Link))
                elif "dst" in row and "state" in row:
                    nears.append(msgspec.convert(row, _Neighbour))
                elif "dst" in row:
                    paths.append(msgspec.convert(row, _Route))
                else:
                    raise StateError(f"{name}: neither a link, an address, a route nor a neighbour as `ip -j` prints them: {row}")
            except msgspec.ValidationError as slip:
                raise StateError(f"{name}: not as `ip -j` prints it: {slip}") from slip
    for link in links:
        devices.add(host, _device(link, host), link.ifindex)
    count = sum(_addresses(host, link) for link in links)
    for path in paths:
        _route(host, path)
    for near in nears:
        _neighbour(host, near)
    return f"{len(links)} links, {count} addresses, {len(paths)} routes, {len(nears)} neighbours\n"


def _rows(name: str, content: str) -> list[dict[str, object]]:
    try:
        rows = msgspec.json.decode(content, type=list[dict[str, object]])
    except msgspec.DecodeError as slip:
        raise StateError(f"{name}: not JSON as `ip -j` prints it: {slip}") from slip
    return [row for row in rows if row]  # `ip -j addr show dev X` pads with {}


def _number(word: str, name: str) -> int:
    """The number of an address that a dump holds; an empty word is 0."""
    if not word:
        return 0
    found = text.address(word)
    if found is None:
        raise StateError(f"{name}: {word!r} is no address")
    return found[1]


def _device(link: _Link, host: Host) -> Device:
    kind = link.linkinfo.info_kind or ("loopback" if link.link_type == "loopback" else "physical")
    if kind == "tun":
        kind = link.linkinfo.info_data.type or "tap"
    if kind not in KINDS:
        kind = "physical"
    old = host.devices.get(link.ifname)
    link.ifindex = link.ifindex or (old.rank if old else 0)
    return Device(
        key=link.ifname,
        kind=kind,
        mac=text.mac(link.address) or 0,
        mtu=link.mtu,
        up="UP" in link.flags,
        was_up=link.qdisc != "noop",
        master=link.master,
        lower=(link.link or "") if kind != "veth" else "",
        peer=(link.link or "") if kind == "veth" else "",
        link=_parameters(link.linkinfo.info_data) if kind in _PARAMETRIC else {},
        alias=link.ifalias,
        noarp="NOARP" in link.flags,
        promisc="PROMISC" in link.flags,
        allmulti="ALLMULTI" in link.flags,
        multicast="MULTICAST" in link.flags,
        qlen=link.txqlen,
    )


def _parameters(data: _Data) -> dict[str, str]:
    """A kind's info_data as the words that make it."""
    named = {"id": data.id, "remote": data.remote or data.remote6, "local": data.local or data.local6, "ttl": data.ttl}
    named |= {"protocol": data.protocol, "ikey": data.ikey, "okey": data.okey}
    words = {name: str(value) for name, value in named.items() if value not in (None, "", "any", 0)}
    if data.external:
        words["external"] = ""
    if data.port is not None:
        words["dstport"] = str(data.port)
    if data.port_range is not None:
        words["srcport"] = f"{data.port_range.low} {data.port_range.high}"
    if data.udp_csum is not None:
        words["udpcsum" if data.udp_csum else "noudpcsum"] = ""
    if not data.learning:
        words["nolearning"] = ""
    return words


def _addresses(host: Host, link: _Link) -> int:
    known = [info for info in link.addr_info if info.local]
    for info in known:
        family = 6 if info.family == "inet6" else 4
        number = _number(info.local, link.ifname)
        if addresses.find(host, link.ifname, family, number, info.prefixlen) is None:
            addresses.add(
                host,
                link.ifname,
                family,
                number,
                info.prefixlen,
                peer=_number(info.address, link.ifname),
                broadcast=_number(info.broadcast, link.ifname),
                scope=info.scope,
                label=info.label if info.label != link.ifname else "",
            )
    return len(known)


def _network(row: _Route) -> tuple[int, int, int]:
    if row.dst == "default":
        return (6 if ":" in row.gateway or row.pref else 4), 0, 0
    head, slash, tail = row.dst.partition("/")
    found = text.address(head)
    if found is None or (slash and not tail.isdigit()):
        raise StateError(f"{row.dst!r} is no network")
    return found[0], found[1], int(tail) if slash else text.WIDTH[found[0]]


def _route(host: Host, row: _Route) -> None:
    family, number, length = _network(row)
    hops = tuple(Hop(_number(hop.gateway, row.dst), hop.dev, hop.weight) for hop in row.nexthops)
    record = Route(
        key="",
        parent=str(family),
        address=number,
        prefix=length,
        via=hops[0].via if hops else _number(row.gateway, row.dst),
        device=hops[0].device if hops else row.dev,
        metric=row.metric,
        kind=row.type,
        source=_number(row.prefsrc, row.dst),
        proto=row.protocol,
        scope=row.scope,
        onlink="onlink" in row.flags,
        hops=hops,
    )
    if not any((one.via, one.device) == (record.via, record.device) for one in routes.alike(host, family, number, length, record.metric)):
        routes.add(host, record)


def _neighbour(host: Host, row: _Neighbour) -> None:
    found = text.address(row.dst)
    if found is None:
        raise StateError(f"{row.dst!r} is no address")
    host.neighbours.put(
        Neighbour(
            key=key_of(row.dev, *found),
            parent=row.dev,
            rank=host.neighbours.count(row.dev),
            family=found[0],
            address=found[1],
            mac=text.mac(row.lladdr) or 0,
            state=row.state[0].lower() if row.state else "none",
        )
    )
