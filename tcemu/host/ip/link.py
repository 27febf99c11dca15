"""`ip link`: add, set, del, show. Source: iproute2 6.1 ip/iplink.c; what the kernel refuses: recorded with Linux 6.1.192."""

from __future__ import annotations

from typing import Any, Final

from tcemu.host import devices
from tcemu.host.ip import link_show
from tcemu.host.ip.kind_words import read_kind, refuse, warnings
from tcemu.host.ip.out import Options, document, lines
from tcemu.host.ip.words import (
    BUSY,
    FILE_EXISTS,
    NOT_SUPPORTED,
    TOOL,
    USAGE,
    Complaint,
    Machine,
    Words,
    device,
    garbage,
    kernel,
    lladdr,
    matches,
    rtnetlink,
    wrong,
)
from tcemu.host.kinds import KINDS, MASTERS, TUN_MODES
from tcemu.host.model import Device, Host

MTU_OF_TUNNELS: Final = {"vxlan": 50, "vxlan6": 70}  # what a tunnel over a given device takes off its MTU


class _Ask:
    """What an `add` or `set` line asks for; None and empty are not asked."""

    def __init__(self) -> None:
        self.name = ""  # the device
        self.new_name = ""
        self.lower = ""
        self.kind = ""
        self.link: dict[str, str] = {}
        self.peer: _Ask | None = None
        self.index = 0
        self.mac: int | None = None
        self.mac_word = ""
        self.mtu: int | None = None
        self.qlen: int | None = None
        self.up: bool | None = None
        self.master: str | None = None
        self.alias: str | None = None
        self.switches: dict[str, bool] = {}


_SWITCHES: Final = ("arp", "multicast", "allmulticast", "promisc", "trailers", "dynamic", "carrier", "protodown")
_IGNORED: Final = ("numtxqueues", "numrxqueues", "gso_max_size", "gso_max_segs", "gro_max_size", "addrgenmode", "mode", "state", "group")


def _read(words: Words, machine: Machine, adding: bool) -> _Ask:
    """iplink_parse()."""
    ask = _Ask()
    while words:
        word = words.take()
        if word == "up":
            ask.up = True
        elif word == "down":
            ask.up = False
        elif word == "name":
            ask.new_name = words.once("name", words.value())
            _check_name(ask.new_name, "name")
        elif word == "index":
            ask.index = words.number("index", 0x7FFFFFFF)
        elif matches(word, "link"):
            ask.lower = device(machine.host, words.value()).key
        elif matches(word, "address"):
            ask.mac_word = words.value()
        elif matches(word, "broadcast") or word == "brd":
            words.value()
        elif matches(word, "txqueuelen") or word in ("qlen", "txqlen"):
            ask.qlen = words.number("txqueuelen", sentence='Invalid "txqueuelen" value\n')
        elif word == "mtu":
            ask.mtu = _mtu(words)
        elif word in _SWITCHES:
            ask.switches[word] = words.switch(word)
        elif word in ("master", "vrf"):
            ask.master = words.value()
            if machine.host.devices.get(ask.master) is None:
                raise wrong(ask.master, "Device does not exist\n")
        elif word == "nomaster":
            ask.master = ""
        elif word in ("alias", "ifalias"):
            ask.alias = words.value()
        elif word in _IGNORED:
            words.value()
        elif matches(word, "type"):
            ask.kind = words.value()
            _read_kind(words, machine, ask)
        else:
            name = words.value() if word == "dev" else word
            if ask.name:
                raise garbage("dev", name)
            _check_name(name, "dev")
            ask.name = name
    if adding and not ask.name:
        ask.name, ask.new_name = ask.new_name, ""
    return ask


def _check_name(name: str, key: str) -> None:
    if not name or "/" in name or any(char.isspace() for char in name):
        raise wrong(name, f'"{key}" not a valid ifname')


def _mtu(words: Words) -> int:
    word = words.value()
    words.once("mtu", word)
    if not word.isdigit():
        raise wrong(word, 'Invalid "mtu" value\n')
    return int(word)


def _read_kind(words: Words, machine: Machine, ask: _Ask) -> None:
    """The words behind ``type KIND``; those of a veth may hold a whole second device."""
    if ask.kind == "veth":
        if words.skip("peer"):
            ask.peer = _read(words, machine, True)
        elif words:
            raise Complaint(f'veth: unknown command "{words.word}"?\nUsage: ip link <options> type veth [peer <options>]', TOOL)
        return
    ask.link, lower = read_kind(ask.kind, words, machine.host)
    ask.lower = ask.lower or lower


# ---------------------------------------------------------------- add


def add(words: Words, machine: Machine) -> None:
    """`ip link add`."""
    ask = _read(words, machine, True)
    if not ask.kind:
        raise Complaint('Not enough information: "type" argument is required')
    with machine.transaction():
        _create(ask, machine)
    words.notes += warnings(ask.kind, ask.link)


def _create(ask: _Ask, machine: Machine) -> None:
    host = machine.host
    if ask.kind not in KINDS or ask.kind == "loopback" or (machine.strict and ask.kind in ("physical", *TUN_MODES)):
        raise kernel("Unknown device type.")
    other = ask.peer or _Ask()
    far = _free_name(host, other.name or "veth%d") if ask.kind == "veth" else ""
    name = _free_name(host, ask.name or f"{ask.kind}%d", far)
    refuse(host, ask.kind, ask.link, ask.lower)
    if ask.index and any(True for _ in host.devices.between("", ask.index, ask.index)):
        raise rtnetlink(FILE_EXISTS)
    peer = _put(other, "veth", far, machine) if far else None
    made = _put(ask, ask.kind, name, machine, peer)
    if peer is not None:
        peer.peer = made.key
        host.devices.put(peer)
    _apply(ask, made.key, machine, adding=True)
    if peer is not None and ask.peer is not None:
        _apply(ask.peer, peer.key, machine, adding=True)


def _free_name(host: Host, name: str, taken: str = "") -> str:
    """The name, its ``%d`` filled with the first free number; the kernel's refusal of a name that is not or no more to be had."""
    if "%d" in name:
        number = 0
        while host.devices.get(name.replace("%d", str(number), 1)) is not None or name.replace("%d", str(number), 1) == taken:
            number += 1
        name = name.replace("%d", str(number), 1)
    if len(name.encode()) > devices.NAME_MAX:
        raise kernel("Attribute failed policy validation.")
    if not devices.valid_name(name):
        raise rtnetlink("Invalid argument")
    if host.devices.get(name) is not None or name == taken:
        raise rtnetlink(FILE_EXISTS)
    return name


def _put(ask: _Ask, kind: str, name: str, machine: Machine, peer: Device | None = None) -> Device:
    look = KINDS[kind]
    record = Device(
        key=name,
        kind=kind,
        up=False,
        was_up=False,
        mac=lladdr(ask.mac_word) if ask.mac_word else 0,
        mtu=_default_mtu(ask, kind, machine.host) if ask.mtu is None else ask.mtu,
        qlen=look.qlen if ask.qlen is None else ask.qlen,
        lower=ask.lower,
        peer=peer.key if peer else "",
        link=ask.link,
        multicast=look.multicast,
    )
    return devices.add(machine.host, record, ask.index)


def _default_mtu(ask: _Ask, kind: str, host: Host) -> int:
    look = KINDS[kind]
    lower = host.devices.get(ask.lower) if ask.lower else None
    if kind == "vlan" and lower is not None:
        return lower.mtu
    if kind == "vxlan" and lower is not None:
        return lower.mtu - (
            MTU_OF_TUNNELS["vxlan6"] if ":" in ask.link.get("remote", ask.link.get("local", "")) else MTU_OF_TUNNELS["vxlan"]
        )
    if kind == "geneve" and "external" in ask.link:
        return 65465
    if look.tunnel and "external" not in ask.link:
        return look.mtu - 4 * sum(word in ask.link for word in ("key", "okey", "csum", "ocsum", "seq", "oseq"))
    return look.mtu


# ---------------------------------------------------------------- set


def set_(words: Words, machine: Machine) -> None:
    """`ip link set`."""
    if words.skip("group"):
        _set_group(words, machine)
        return
    ask = _read(words, machine, False)
    if not ask.name:
        raise Complaint('Not enough information: "dev" argument is required.', USAGE)
    device(machine.host, ask.name)
    with machine.transaction():
        _apply(ask, ask.name, machine, adding=False)


def _set_group(words: Words, machine: Machine) -> None:
    """``group NAME``: every device is of the group ``default`` here."""
    group = words.value()
    ask = _read(words, machine, False)
    with machine.transaction():
        for target in machine.host.devices.children("") if group in ("default", "0") else []:
            _apply(ask, target.key, machine, adding=False)


def _apply(ask: _Ask, name: str, machine: Machine, *, adding: bool) -> None:
    host = machine.host
    target = device(host, name)
    if ask.kind and not adding:
        if ask.kind != target.kind:
            raise rtnetlink(NOT_SUPPORTED)
        target.link = target.link | ask.link
    if not adding:
        _change(ask, target, host)
    for switch, value in ask.switches.items():
        _switch(target, switch, value)
    if ask.alias is not None:
        target.alias = ask.alias
    host.devices.put(target)
    if ask.master is not None:
        _enslave(host, target, ask.master)
    if ask.new_name and ask.new_name != name:
        name = _rename(ask.new_name, target, machine)
    if ask.up is not None:
        _up_or_down(host, name, ask.up)


def _change(ask: _Ask, target: Device, host: Host) -> None:
    if ask.mac_word:
        devices.set_mac(host, target, lladdr(ask.mac_word))
    if ask.mtu is not None:
        look = KINDS.get(target.kind, KINDS["physical"])
        if ask.mtu < look.min_mtu:
            raise kernel("mtu less than device minimum.")
        if look.max_mtu and ask.mtu > look.max_mtu:
            raise kernel("mtu greater than device maximum.")
        target.mtu = ask.mtu
        for other in list(host.devices):
            if other.kind == "vlan" and other.lower == target.key and other.mtu > ask.mtu:
                other.mtu = ask.mtu
                host.devices.put(other)
    if ask.qlen is not None:
        target.qlen = ask.qlen


def _switch(target: Device, switch: str, value: bool) -> None:
    if switch == "arp":
        target.noarp = not value
    elif switch == "multicast":
        target.multicast = value
    elif switch == "allmulticast":
        target.allmulti = value
    elif switch == "promisc":
        target.promisc = value


def _enslave(host: Host, target: Device, master: str) -> None:
    """Put a port under a bridge or bond, or take it away; a bridge has the lowest MAC address of its ports."""
    old = target.master
    if master:
        owner = device(host, master)
        if owner.kind not in MASTERS or owner.key == target.key:
            raise rtnetlink(NOT_SUPPORTED)
        if target.kind == "loopback":
            raise rtnetlink("Invalid argument")
        if target.kind == "bridge" and owner.kind == "bridge":
            raise kernel("Can not enslave a bridge to a bridge.")
    target.master = master
    host.devices.put(target)
    for name in {old, master} - {""}:
        devices.settle_bridge(host, name)


def _rename(new: str, target: Device, machine: Machine) -> str:
    if target.up:
        raise rtnetlink(BUSY)
    name = _free_name(machine.host, new)
    old = target.key
    devices.rename(machine.host, old, name)
    machine.rename_device(old, name)
    return name


def _up_or_down(host: Host, name: str, up: bool) -> None:
    target = device(host, name)
    if not up:
        devices.set_down(host, name)
        return
    lower = host.devices.get(target.lower) if target.kind == "vlan" else None
    if lower is not None and not lower.up and target.link.get("loose_binding") != "on":
        raise rtnetlink("Network is down")
    devices.set_up(host, name)


# ---------------------------------------------------------------- delete and show


def delete(words: Words, machine: Machine) -> None:
    """`ip link delete`."""
    ask = _read(words, machine, False)
    if not ask.name:
        raise Complaint('Not enough information: "dev" argument is required.', USAGE)
    target = device(machine.host, ask.name)
    if target.kind in ("loopback", "physical") or (ask.kind and ask.kind != target.kind):
        raise rtnetlink(NOT_SUPPORTED)
    with machine.transaction():
        for name in devices.remove(machine.host, ask.name):
            machine.forget_device(name)


def show(words: Words, machine: Machine, options: Options) -> str:
    """`ip link show`."""
    name, wanted = read_filter(words, machine)
    found = select(machine.host, name, wanted)
    if options.json:
        return document(options, [_record(machine.host, one, options) for one in found])
    if options.brief:
        return "".join(link_show.brief_text(machine.host, one, options) + link_show.brief_link(machine.host, one) for one in found)
    return "".join(lines(options, link_show.as_text(machine.host, one, options, mode=True)) for one in found)


def _record(host: Host, one: Device, options: Options) -> dict[str, Any]:
    return link_show.brief_record(host, one) if options.brief else link_show.as_record(host, one, options, mode=True)


def read_filter(words: Words, machine: Machine) -> tuple[str, dict[str, str]]:
    """The words behind `show`: a device's name and what else its devices must be."""
    name, wanted = "", {}
    while words:
        word = words.take()
        if word in ("up", "nomaster"):
            wanted[word] = ""
        elif word in ("master", "vrf"):
            wanted["master"] = words.value()
            if machine.host.devices.get(wanted["master"]) is None:
                raise wrong(wanted["master"], "Device does not exist\n")
        elif word in ("type", "group"):
            wanted[word] = words.value()
        else:
            value = words.value() if word == "dev" else word
            if name:
                raise garbage("dev", value)
            name = value
    return name, wanted


def select(host: Host, name: str, wanted: dict[str, str]) -> list[Device]:
    """The devices that a filter leaves, by index."""
    if name:
        one = host.devices.get(name)
        if one is None:
            raise Complaint(f'Device "{name}" does not exist.', TOOL)
        found = [one]
    else:
        found = host.devices.children("")
    if "up" in wanted:
        found = [one for one in found if one.up]
    if "nomaster" in wanted:
        found = [one for one in found if not one.master]
    if "master" in wanted:
        found = [one for one in found if one.master == wanted["master"]]
    if "type" in wanted:
        found = [one for one in found if ("tun" if one.kind in TUN_MODES else one.kind) == wanted["type"]]
    return found
