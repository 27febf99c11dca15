"""Routing tables, of which main is nearly all: connected routes that come and go with addresses, static ones, and the lookup.

Source: net/ipv4/fib_frontend.c fib_add_ifaddr(), fib_semantics.c fib_sync_down_dev(), net/ipv6/route.c; order of the
dump as fib_table_dump() has it: by prefix, then metric, for IPv6 longer prefixes first where one covers the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tcemu.host.model import Address, Device, Host, Route
from tcemu.host.text import WIDTH, netmask, show_address

KERNEL_METRIC_6 = 256
USER_METRIC_6 = 1024  # net/ipv6: IP6_RT_PRIO_USER


class Answer(NamedTuple):
    """What a lookup found: the route (None: the address is the host's own), the device and the source address."""

    route: Route | None
    device: str
    source: int


def family_of(route: Route) -> int:
    """4 or 6."""
    return int(route.parent[:1])


def key_of(parent: str, address: int, prefix: int, metric: int, number: int = 0) -> str:
    """A route's key: family and table, network, metric, and a number among routes that are alike in these."""
    return f"{parent} {show_address(int(parent[:1]), address)}/{prefix} {metric}" + (f" {number}" if number else "")


def alike(host: Host, family: int, address: int, prefix: int, metric: int, parent: str = "") -> list[Route]:
    """The routes to that network with that metric, in order; of the main table unless ``parent`` says another."""
    rank = rank_of(family, address, prefix, metric)
    found = host.routes.between(parent or str(family), rank, rank)
    return [route for route in found if (route.address, route.prefix, route.metric) == (address, prefix, metric)]


def rank_of(family: int, address: int, prefix: int, metric: int) -> int:
    """The place in a dump: IPv4 by network, longest prefix, metric; IPv6 by the network's high half, the default route last."""
    if family == 4:
        return address << 31 | (32 - prefix) << 25 | min(metric, (1 << 25) - 1)
    return (1 << 63) - 1 if prefix == 0 else address >> 65


def add(host: Host, route: Route) -> None:
    """Put a route behind those that are like it."""
    route.rank = rank_of(family_of(route), route.address, route.prefix, route.metric)
    number = 0
    while host.routes.get(key_of(route.parent, route.address, route.prefix, route.metric, number)) is not None:
        number += 1
    route.key = key_of(route.parent, route.address, route.prefix, route.metric, number)
    host.routes.put(route)


def connect(host: Host, device: Device) -> None:
    """The device went up: routes to the networks of its addresses."""
    for address in host.addresses.children(device.key):
        if not address.secondary:
            connect_address(host, device, address)


def connect_address(host: Host, device: Device, address: Address) -> None:
    """The route to the network of an address, unless the address is alone in it."""
    width = WIDTH[address.family]
    network = (address.peer or address.address) & netmask(address.family, address.prefix)
    alone = address.prefix == width and (address.peer or address.address) == address.address
    if alone or device.kind == "loopback":
        return
    metric = KERNEL_METRIC_6 if address.family == 6 else 0
    if any(route.device == device.key for route in alike(host, address.family, network, address.prefix, metric)):
        return
    add(
        host,
        Route(
            key="",
            parent=str(address.family),
            address=network,
            prefix=address.prefix,
            device=device.key,
            metric=metric,
            source=address.address if address.family == 4 else 0,
            proto="kernel",
            scope="link",
        ),
    )


def disconnect_address(host: Host, address: Address) -> None:
    """The address went: its connected route goes if no other address needs it, and routes that prefer it as a source."""
    mask = netmask(address.family, address.prefix)
    network = (address.peer or address.address) & mask
    needed = any(
        other.family == address.family and other.prefix == address.prefix and (other.peer or other.address) & mask == network
        for other in host.addresses.children(address.parent)
    )
    for route in host.routes.children(str(address.family)):
        connected = (
            route.proto == "kernel" and route.device == address.parent and (route.address, route.prefix) == (network, address.prefix)
        )
        if (connected and not needed) or (route.source == address.address and route.source and not connected):
            host.routes.delete(route.key)


def drop_device(host: Host, device: str) -> None:
    """The device went down: every route through it goes; of several next hops all go with the first that is lost here."""
    for route in list(host.routes):
        if route.device == device or any(hop.device == device for hop in route.hops):
            host.routes.delete(route.key)


def rename_device(host: Host, device: str, new: str) -> None:
    """The device has another name."""
    for route in list(host.routes):
        if route.device == device:
            route.device = new
            host.routes.put(route)


def matching(host: Host, family: int, address: int) -> Iterator[Route]:
    """The routes whose network holds the address, best first: longest prefix, lowest metric."""
    found = [route for route in host.routes.children(str(family)) if address & netmask(family, route.prefix) == route.address]
    yield from sorted(found, key=lambda route: (-route.prefix, route.metric))


def lookup(host: Host, family: int, address: int) -> Answer | None:
    """Where a packet to an address goes; None when nowhere. The local table comes before the main one."""
    for record in host.addresses:
        if record.family == family and record.address == address:
            return Answer(None, "lo", address)
    loopback = family == 4 and address >> 24 == 127
    if loopback:
        return Answer(None, "lo", address)
    for route in matching(host, family, address):
        return Answer(route, route.device, route.source or source_for(host, family, route))
    return None


def source_for(host: Host, family: int, route: Route) -> int:
    """The source address of packets over a route: on the next hop's network if there is one, else the device's first."""
    fallback = 0
    for address in host.addresses.children(route.device):
        if address.family != family or address.scope == "host":
            continue
        mask = netmask(family, address.prefix)
        if route.via and (route.via & mask) == (address.address & mask):
            return address.address
        fallback = fallback or address.address
    return fallback


def reachable(host: Host, family: int, address: int) -> str:
    """The device on whose network a next hop is; empty when there is none (fib_check_nh)."""
    for route in matching(host, family, address):
        if not route.via and route.kind == "unicast":
            return route.device
        return ""
    return ""
