"""Links as `ip link show` and `ip addr show` print them. Source: iproute2 6.1 ip/ipaddress.c print_linkinfo()."""

from __future__ import annotations

from typing import Any

from tcemu.host.devices import running
from tcemu.host.ip.details import describe
from tcemu.host.ip.out import Options
from tcemu.host.kinds import KINDS, MASTERS, PLAIN, LinkKind
from tcemu.host.model import Device, Host
from tcemu.host.text import show_mac

_FOLLOWS = ("veth", "vlan", "macvlan")  # kinds whose carrier is another device's


def flags(host: Host, device: Device) -> list[str]:
    """The words between < and >."""
    kind = KINDS.get(device.kind, PLAIN)
    alive = running(host, device)
    names = (
        ("NO-CARRIER", device.up and not alive),
        ("LOOPBACK", device.kind == "loopback"),
        ("BROADCAST", kind.broadcast),
        ("POINTOPOINT", kind.pointopoint or (kind.tunnel and kind.layer != "ether" and "remote" in device.link)),
        ("MULTICAST", device.multicast),
        ("NOARP", device.noarp),
        ("ALLMULTI", device.allmulti),
        ("PROMISC", device.promisc),
        ("MASTER", device.kind == "bond"),
        ("SLAVE", _master_kind(host, device) == "bond"),
        ("UP", device.up),
        ("LOWER_UP", device.up and alive),
        ("M-DOWN", _lower_down(host, device)),
    )
    return [name for name, is_set in names if is_set]


def _master_kind(host: Host, device: Device) -> str:
    master = host.devices.get(device.master) if device.master else None
    return master.kind if master else ""


def _lower_down(host: Host, device: Device) -> bool:
    name = below(device)
    lower = host.devices.get(name) if name else None
    return lower is not None and not lower.up


def below(device: Device) -> str:
    """The device that is named behind the @."""
    if device.kind == "veth":
        return device.peer
    return device.lower if device.kind in ("vlan", "macvlan", "ipvlan", "macvtap") else ""


def state(host: Host, device: Device) -> str:
    """The operational state (RFC 2863)."""
    if not device.up:
        return "DOWN"
    if not running(host, device):
        return "LOWERLAYERDOWN" if device.kind in _FOLLOWS else "DOWN"
    if device.kind in ("physical", *_FOLLOWS) or (device.kind in MASTERS and any(port.master == device.key for port in host.devices)):
        return "UP"
    return "UNKNOWN"


def qdisc(device: Device) -> str:
    """The root queueing discipline: none at all before a device was up the first time."""
    if device.kind == "loopback" and not device.was_up:
        return "noop"
    return KINDS.get(device.kind, PLAIN).qdisc if device.was_up else "noop"


def layer_addresses(device: Device) -> tuple[str, str, bool]:
    """Link layer address and broadcast (or the peer of a point-to-point tunnel, then the last is true)."""
    kind = KINDS.get(device.kind, PLAIN)
    if kind.layer == "ether":
        return show_mac(device.mac), "ff:ff:ff:ff:ff:ff", False
    if kind.layer == "loopback":
        return show_mac(0), show_mac(0), False
    if kind.tunnel:
        if "external" in device.link:
            return "00:00:00:00", "00:00:00:00", False
        any_address = "::" if kind.layer == "gre6" else "0.0.0.0"
        peer = device.link.get("remote", "")
        return device.link.get("local", any_address), peer or any_address, bool(peer)
    return "", "", False


def link_type(device: Device) -> str:
    """The word behind ``link/``."""
    kind = KINDS.get(device.kind, PLAIN)
    return "none" if kind.tunnel and kind.layer != "ether" and "external" in device.link else kind.layer


def as_text(host: Host, device: Device, options: Options, mode: bool) -> str:
    """The lines of a device, each ended by a newline; ``mode`` is what `ip link` prints and `ip addr` does not."""
    kind = KINDS.get(device.kind, PLAIN)
    lower = below(device)
    name = f"{device.key}@{lower}" if lower else f"{device.key}@NONE" if kind.tunnel else device.key
    head = f"{device.rank}: {name}: <{','.join(flags(host, device))}> mtu {device.mtu} "
    if options.family == 6:
        return f"{head}state {state(host, device)} qlen {device.qlen}\n"
    head += f"qdisc {qdisc(device)} "
    if device.master:
        head += f"master {device.master} "
    head += f"state {state(host, device)} " + ("mode DEFAULT " if mode else "") + f"group default qlen {device.qlen}"
    if options.family == 4 and not mode:
        return head + "\n"
    address, other, peer = layer_addresses(device)
    middle = f"\n    link/{link_type(device)} {address}" + (f" {'peer' if peer else 'brd'} {other}" if address else "")
    if options.details:
        middle += f" promiscuity {int(device.promisc)}  allmulti {int(device.allmulti)} minmtu {kind.min_mtu} maxmtu {kind.max_mtu} "
        middle += describe(device)[0] + _queues(device, kind)
    if device.alias:
        middle += f"\n    alias {device.alias}"
    return head + middle + (_stats(device) if options.stats else "") + "\n"


def _queues(device: Device, kind: LinkKind) -> str:
    most = 524280 if device.kind in ("veth", "loopback") else 65536
    return (
        f"{'' if kind.layer == 'none' else 'addrgenmode none '}numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535"
        f" tso_max_size {most} tso_max_segs 65535 gro_max_size 65536 "
    )


def _stats(device: Device) -> str:
    def row(title: str, third: str, size: int, packets: int) -> str:
        width = max(8, len(str(size)) + 1, len(title) + 1)
        wide = max(7, len(str(packets)))
        return (
            f"\n    {title}: {'bytes':>{width - 2}} {'packets':>{wide}} errors dropped {third}           "
            f"\n    {size:>{width + len(title) - 0}} {packets:>{wide}}      0       0       0       0 "
        )

    return row("RX", " missed   mcast", device.rx_bytes, device.rx_packets) + row(
        "TX", "carrier collsns", device.tx_bytes, device.tx_packets
    )


def as_record(host: Host, device: Device, options: Options, mode: bool) -> dict[str, Any]:
    """The device as `ip -json` has it."""
    kind = KINDS.get(device.kind, PLAIN)
    lower = below(device)
    record: dict[str, Any] = {"ifindex": device.rank}
    if lower or kind.tunnel:
        record["link"] = lower or None
    record |= {"ifname": device.key, "flags": flags(host, device), "mtu": device.mtu}
    if options.family == 6:
        return record | {"operstate": state(host, device), "txqlen": device.qlen}
    record["qdisc"] = qdisc(device)
    if device.master:
        record["master"] = device.master
    record["operstate"] = state(host, device)
    if mode:
        record["linkmode"] = "DEFAULT"
    record |= {"group": "default", "txqlen": device.qlen}
    if options.family == 4 and not mode:
        return record
    record["link_type"] = link_type(device)
    address, other, peer = layer_addresses(device)
    if address:
        record["address"] = address
        if peer:
            record["link_pointtopoint"] = True
        record["broadcast"] = other
    if options.details:
        record |= {"promiscuity": int(device.promisc), "allmulti": int(device.allmulti), "min_mtu": kind.min_mtu, "max_mtu": kind.max_mtu}
        data = describe(device)[1]
        if device.kind not in ("physical", "loopback"):
            record["linkinfo"] = {"info_kind": "tun" if device.kind == "tap" else device.kind} | ({"info_data": data} if data else {})
        most = 524280 if device.kind in ("veth", "loopback") else 65536
        record |= {"inet6_addr_gen_mode": "none", "num_tx_queues": 1, "num_rx_queues": 1, "gso_max_size": 65536, "gso_max_segs": 65535}
        record |= {"tso_max_size": most, "tso_max_segs": 65535, "gro_max_size": 65536}
    if device.alias:
        record["ifalias"] = device.alias
    if options.stats:
        record["stats64"] = {
            "rx": {"bytes": device.rx_bytes, "packets": device.rx_packets, "errors": 0, "dropped": 0, "over_errors": 0, "multicast": 0},
            "tx": {"bytes": device.tx_bytes, "packets": device.tx_packets, "errors": 0, "dropped": 0, "carrier_errors": 0, "collisions": 0},
        }
    return record


def brief_text(host: Host, device: Device, options: Options) -> str:
    """A device in one line (``-brief``), without its end."""
    kind = KINDS.get(device.kind, PLAIN)
    lower = below(device)
    name = f"{device.key}@{lower}" if lower else f"{device.key}@NONE" if kind.tunnel else device.key
    return f"{name:<16} {state(host, device):<14} "


def brief_link(host: Host, device: Device) -> str:
    """What ``-brief link`` prints behind name and state."""
    return f"{layer_addresses(device)[0]} <{','.join(flags(host, device))}> \n"


def brief_record(host: Host, device: Device) -> dict[str, Any]:
    """``-brief -json link``."""
    record: dict[str, Any] = {"ifname": device.key, "operstate": state(host, device)}
    if below(device):
        record = {"link": below(device)} | record
    return record | {"address": layer_addresses(device)[0], "flags": flags(host, device)}
