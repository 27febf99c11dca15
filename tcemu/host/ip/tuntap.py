"""`ip tuntap`: add and del of tap and tun devices. Source: iproute2 6.1 ip/iptuntap.c."""

from __future__ import annotations

from tcemu.host import devices
from tcemu.host.ip.words import TOOL, USAGE, Complaint, Machine, Words, garbage, matches
from tcemu.host.kinds import KINDS, TUN_MODES
from tcemu.host.model import Device

_FLAGS = ("one_queue", "pi", "vnet_hdr", "multi_queue")


def _read(words: Words) -> tuple[str, str]:
    """(device, mode)."""
    name = mode = ""
    while words:
        word = words.take()
        if matches(word, "mode"):
            mode = words.value()
            if mode not in TUN_MODES:
                raise Complaint(f'Unknown tunnel mode "{mode}"', USAGE)
        elif word in ("user", "group"):
            words.value()
        elif word not in _FLAGS:
            value = words.value() if word == "dev" else word
            if name:
                raise garbage("name", value)
            name = value
    if not mode:
        raise Complaint("You failed to specify a tunnel mode", USAGE)
    return name, mode


def add(words: Words, machine: Machine) -> None:
    """`ip tuntap add`."""
    name, mode = _read(words)
    with machine.transaction():
        number = 0
        while not name or ("%d" in name and machine.host.devices.get(name.replace("%d", str(number)))):
            name = name or f"{mode}%d"
            number += 1
        name = name.replace("%d", str(number))
        if machine.host.devices.get(name) is not None or not devices.valid_name(name):
            reason = "Device or resource busy" if devices.valid_name(name) else "Invalid argument"
            raise Complaint(f"ioctl(TUNSETIFF): {reason}", TOOL)
        look = KINDS[mode]
        devices.add(machine.host, Device(key=name, kind=mode, up=False, was_up=False, mtu=look.mtu, qlen=look.qlen))


def delete(words: Words, machine: Machine) -> None:
    """`ip tuntap del`; as the tool does, no complaint of a device that is not there."""
    name, mode = _read(words)
    found = machine.host.devices.get(name)
    if found is not None and found.kind != mode:
        raise Complaint("ioctl(TUNSETIFF): Invalid argument", TOOL)
    with machine.transaction():
        for gone in devices.remove(machine.host, name):
            machine.forget_device(gone)


def show(words: Words, machine: Machine) -> str:
    """`ip tuntap show`."""
    lines = [f"{one.key}: {one.kind} persist\n" for one in machine.host.devices.children("") if one.kind in TUN_MODES]
    return "".join(lines)
