"""What a friendly session does that tc and a kernel would not, always with a note.

Devices and qdiscs that a command names first are made. Lines may stand as mails and manuals print them: numbered, with ``tc`` in front,
tunnel addresses left for the reader to fill in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tcemu.host.model import Device
from tcemu.tc import qdisc
from tcemu.tc.command import FilterCommand
from tcemu.tc.places import find_qdisc
from tcemu.tc.work import Work
from tcemu.world import World

NOTE: Final = "tcemu: note: "
MADE: Final = "was not there and has been made"
PROMPTS: Final = ("#", "$", "%", ">")
ADDRESSES: Final = ("src_ip", "dst_ip")
BEHIND_ADDRESSES: Final = frozenset(("src_ip", "dst_ip", "id", "dst_port", "tos", "ttl", "csum", "nocsum", "geneve_opts", "action", "pipe"))


def relaxed(words: Sequence[str], said: list[str]) -> list[str]:
    """A printed line as tc takes it."""
    found = list(words)
    while len(found) > 1 and (re.fullmatch(r"\d+[.)]", found[0]) or found[0] in PROMPTS):
        del found[0]
    if found[0] == "tc" or found[0].endswith("/tc"):
        del found[0]
    if "tunnel_key" not in found:
        return found
    inside = False
    place = 0
    while place < len(found):
        word = found[place]
        inside = word == "tunnel_key" or (inside and word != "action")
        if inside and word in ADDRESSES:
            place += 1
            if place == len(found) or found[place] in BEHIND_ADDRESSES:
                found.insert(place, "0.0.0.0")
                said.append(f"{NOTE}{word} has no address; 0.0.0.0 is taken\n")
        place += 1
    return found


def valid_name(name: str) -> bool:
    """Can a device be called so (net/core/dev.c dev_valid_name)?"""
    length = len(name.encode("utf-8", "surrogateescape"))
    return 0 < length <= 15 and name not in (".", "..") and not any(char in "/:\0" or char.isspace() for char in name)


def make_device(world: World, name: str, said: list[str]) -> int:
    """A dummy device of that name; its index."""
    name = str(name)  # not the word of a command line, which a session does not keep
    last = world.host.devices.last("")
    index = max(last.index if last is not None else 0, 1) + 1
    world.host.devices.put(Device(key=name, rank=index, kind="dummy", mac=0x020000000000 | index))
    said.append(f"{NOTE}device {name} {MADE} (dummy)\n")
    return index


def undone(said: list[str]) -> str:
    """What is said of a command that failed: what was made for it is gone again."""
    return "".join(line for line in said if MADE not in line or not line.startswith(NOTE))


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
    said.append(f"{NOTE}qdisc {kind} of {command.dev} {MADE}\n")
