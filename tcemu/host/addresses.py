"""Addresses of devices, primary and secondary, and the connected routes that come with them.

Source: net/ipv4/devinet.c __inet_insert_ifa() and __inet_del_ifa(), net/ipv6/addrconf.c.
"""

from __future__ import annotations

from typing import Final

from tcemu.host import routes
from tcemu.host.model import Address, Host
from tcemu.host.text import netmask, show_address

SCOPES: Final = ("global", "site", "link", "host", "nowhere")  # the farther, the earlier


class AddressExistsError(Exception):
    """The device has this address already."""


class ScopeError(Exception):
    """Addresses of one network must have one scope."""


def key_of(device: str, family: int, address: int, prefix: int) -> str:
    """An address's key: its device, the address and its prefix length."""
    return f"{device} {show_address(family, address)}/{prefix}"


def add(
    host: Host,
    device: str,
    family: int,
    address: int,
    prefix: int,
    *,
    peer: int = 0,
    broadcast: int = 0,
    scope: str = "global",
    label: str = "",
    flags: tuple[str, ...] = (),
) -> None:
    """Give a device an address, and the route to its network while it is up. Raises AddressExistsError."""
    mask = netmask(family, prefix)
    net = (peer or address) & mask
    siblings = host.addresses.children(device)
    secondary = False
    place = len(siblings)
    for number, other in enumerate(siblings):
        if other.family != family:
            continue
        if other.address == address and (family == 6 or (other.prefix == prefix and (other.peer or other.address) & mask == net)):
            raise AddressExistsError
        if family == 4 and other.prefix == prefix and (other.peer or other.address) & mask == net and not other.secondary:
            if other.scope != scope:
                raise ScopeError
            secondary = True
        elif family == 4 and not secondary and other.secondary and place == len(siblings):
            place = number  # a primary address goes before the secondary ones
    record = Address(
        key=key_of(device, family, address, prefix),
        parent=device,
        family=family,
        address=address,
        prefix=prefix,
        peer=peer,
        broadcast=broadcast,
        scope=scope,
        label=label,
        secondary=secondary,
        flags=flags,
    )
    siblings.insert(len(siblings) if secondary else place, record)
    for rank, sibling in enumerate(siblings):
        if sibling.rank != rank or sibling is record:
            sibling.rank = rank
            host.addresses.put(sibling)
    owner = host.devices.get(device)
    if owner is not None and owner.up and not secondary:
        routes.connect_address(host, owner, record)


def find(host: Host, device: str, family: int, address: int, prefix: int | None) -> Address | None:
    """The device's address; without a prefix length the first with that number."""
    for record in host.addresses.children(device):
        if record.family == family and record.address == address and prefix in (None, record.prefix):
            return record
    return None


def remove(host: Host, record: Address) -> None:
    """Take an address away; of a primary IPv4 one the secondary ones of its network go too (promote_secondaries is off)."""
    host.addresses.delete(record.key)
    if record.family == 4 and not record.secondary:
        mask = netmask(4, record.prefix)
        net = (record.peer or record.address) & mask
        for other in host.addresses.children(record.parent):
            if other.secondary and other.prefix == record.prefix and (other.peer or other.address) & mask == net:
                host.addresses.delete(other.key)
    routes.disconnect_address(host, record)


def local(host: Host, family: int, address: int) -> Address | None:
    """The address if it is one of the host's own."""
    for record in host.addresses:
        if record.family == family and record.address == address:
            return record
    return None
