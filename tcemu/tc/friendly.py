"""What a friendly session does that a kernel would not: devices and qdiscs that a command names first are made, with a note."""

from __future__ import annotations

from tcemu.host.model import Device
from tcemu.tc import qdisc
from tcemu.tc.command import FilterCommand
from tcemu.tc.places import find_qdisc
from tcemu.tc.work import Work
from tcemu.world import World

NOTE = "tcemu: note: "


def make_device(world: World, name: str, said: list[str]) -> int:
    """A dummy device of that name; its index."""
    last = world.host.devices.last("")
    index = max(last.index if last is not None else 0, 1) + 1
    world.host.devices.put(Device(key=name, rank=index, kind="dummy", mac=0x020000000000 | index))
    said.append(f"{NOTE}device {name} was not there and has been made (dummy)\n")
    return index


def prepare(world: World, command: FilterCommand, said: list[str]) -> None:
    """Make the qdisc that a filter needs: ingress, or clsact for egress."""
    if world.strict or not command.dev or not command.parent or command.parent >> 16 != qdisc.INGRESS_MAJOR:
        return
    work = Work(world)
    if find_qdisc(work, command.dev, qdisc.INGRESS_MAJOR) is not None:
        return
    kind = "clsact" if command.parent & 0xFFFF == 0xFFF3 else "ingress"
    qdisc.add_ingress(work, command.dev, kind, 0, 0)
    work.commit()
    said.append(f"{NOTE}qdisc {kind} of {command.dev} was not there and has been made\n")
