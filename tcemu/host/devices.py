"""Devices come, change and go, and what hangs on them with them.

What the kernel does by itself when a device goes up, down or away happens here: connected routes, VLAN devices that follow
their lower device, veth pairs that live and die together (net/core/dev.c, net/ipv4/fib_frontend.c, net/8021q/vlan.c).
"""

from __future__ import annotations

from typing import Final

from tcemu.host import routes
from tcemu.host.kinds import KINDS, PLAIN
from tcemu.host.model import Counter, Device, Host

LOOPBACK: Final = "lo"
MAC_BASE: Final = 0x027463_000000  # locally administered, "tc"; the kernel draws at random, we count
NAME_MAX: Final = 15  # IFNAMSIZ - 1
LAST_INDEX: Final = "ifindex"


def valid_name(name: str) -> bool:
    """May a device have this name? Source: net/core/dev.c dev_valid_name()."""
    if not name or name in (".", "..") or len(name.encode()) > NAME_MAX:
        return False
    return not any(char in "/:" or char.isspace() for char in name)


def next_index(host: Host) -> int:
    """The index that the next device gets; indexes are never given out twice. Source: net/core/dev.c dev_new_index()."""
    last = host.counters.get(LAST_INDEX)
    index = last.value if last else 0
    used = {device.rank for device in host.devices.between("", index + 1, 1 << 31)}
    index += 1
    while index in used:
        index += 1
    host.counters.put(Counter(key=LAST_INDEX, value=index))
    return index


def add(host: Host, device: Device, index: int = 0) -> Device:
    """Put a new device on the host with an index, a MAC address and its kind's defaults where it has none yet."""
    kind = KINDS.get(device.kind, PLAIN)
    device.rank = index or next_index(host)
    lower = host.devices.get(device.lower) if device.lower else None
    device.noarp = device.noarp or kind.noarp or bool(lower and kind.inherits and lower.noarp)
    if lower and kind.inherits:
        device.multicast = lower.multicast
    if not device.mac and kind.layer == "ether":
        device.mac = lower.mac if lower and kind.inherits else MAC_BASE + device.rank
    host.devices.put(device)
    return device


def loopback(host: Host) -> None:
    """What every network namespace is born with; up, as a machine's is, with its addresses."""
    from tcemu.host import addresses

    host.devices.put(Device(key=LOOPBACK, rank=next_index(host), kind="loopback", mtu=65536, up=True, multicast=False))
    addresses.add(host, LOOPBACK, 4, 0x7F000001, 8, scope="host")
    addresses.add(host, LOOPBACK, 6, 1, 128, scope="host")


def ensure(host: Host, name: str) -> bool:
    """Make a device that a command names first, as a NIC that is up; True when it was made (friendly sessions only)."""
    if host.devices.get(name) is not None or not valid_name(name):
        return False
    add(host, Device(key=name, up=True))
    return True


def remove(host: Host, name: str) -> list[str]:
    """Take a device off, with its peer and the devices upon it; the names of all that are gone."""
    device = host.devices.get(name)
    if device is None:
        return []
    gone = [name]
    _down(host, device)
    host.devices.delete(name)
    host.addresses.clear(name)
    for other in list(host.devices):
        if other.lower == name or (other.peer == name and other.kind == "veth"):
            gone += remove(host, other.key)
        elif other.master == name:
            other.master = ""
            host.devices.put(other)
    if device.master:
        settle_bridge(host, device.master)
    return gone


def settle_bridge(host: Host, name: str) -> None:
    """A bridge has the lowest MAC address of its ports unless it was given one (br_stp_recalculate_bridge_id)."""
    bridge = host.devices.get(name)
    if bridge is not None and bridge.kind == "bridge" and "address" not in bridge.link:
        bridge.mac = min((port.mac for port in host.devices if port.master == name), default=0)
        host.devices.put(bridge)


def set_mac(host: Host, device: Device, mac: int) -> None:
    """Give a device another MAC address; VLAN devices that had its old one follow (vlan_sync_address), its bridge too."""
    for other in list(host.devices):
        if other.kind == "vlan" and other.lower == device.key and other.mac == device.mac:
            other.mac = mac
            host.devices.put(other)
    device.mac = mac
    if device.kind == "bridge":
        device.link = device.link | {"address": ""}
    host.devices.put(device)
    if device.master:
        settle_bridge(host, device.master)


def rename(host: Host, name: str, new: str) -> None:
    """Give a device another name, and tell everything that names it."""
    device = host.devices.get(name)
    assert device is not None
    host.devices.delete(name)
    device.key = new
    host.devices.put(device)
    for other in list(host.devices):
        if name in (other.lower, other.peer, other.master):
            other.lower, other.peer, other.master = (new if link == name else link for link in (other.lower, other.peer, other.master))
            host.devices.put(other)
    for address in host.addresses.children(name):
        host.addresses.delete(address.key)
        address.parent, address.key = new, new + address.key[len(name) :]
        host.addresses.put(address)
    for neighbour in host.neighbours.children(name):
        host.neighbours.delete(neighbour.key)
        neighbour.parent, neighbour.key = new, new + neighbour.key[len(name) :]
        host.neighbours.put(neighbour)
    routes.rename_device(host, name, new)


def set_up(host: Host, name: str) -> None:
    """Bring a device up: its connected routes come, VLAN devices on it go up too (vlan_device_event NETDEV_UP)."""
    device = host.devices.get(name)
    if device is None or device.up:
        return
    device.up = device.was_up = True
    host.devices.put(device)
    routes.connect(host, device)
    for other in list(host.devices):
        if other.kind == "vlan" and other.lower == name:
            set_up(host, other.key)


def set_down(host: Host, name: str) -> None:
    """Take a device down: its routes and neighbours go, permanent ones too (neigh_ifdown), and IPv6 addresses (addrconf_ifdown)."""
    device = host.devices.get(name)
    if device is None or not device.up:
        return
    _down(host, device)
    device.up = False
    host.devices.put(device)
    for address in host.addresses.children(name):
        if address.family == 6:
            host.addresses.delete(address.key)
    for other in list(host.devices):
        if other.kind == "vlan" and other.lower == name:
            set_down(host, other.key)


def _down(host: Host, device: Device) -> None:
    routes.drop_device(host, device.key)
    host.neighbours.clear(device.key)


def running(host: Host, device: Device) -> bool:
    """Is there a carrier: the device is up, and so is what it hangs on."""
    if not device.up:
        return False
    if device.kind == "veth":
        peer = host.devices.get(device.peer)
        return peer is not None and peer.up
    if device.kind == "bridge":
        ports = [port for port in host.devices if port.master == device.key]
        return not ports or any(port.up for port in ports)
    if device.kind in ("vlan", "macvlan"):
        lower = host.devices.get(device.lower)
        return lower is not None and lower.up
    return True
