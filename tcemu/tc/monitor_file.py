"""``tc monitor file FILE``: netlink messages out of a file, one behind the other, as sockets give them.

Heads of qdiscs, chains and filters are told as tc tells them. The options behind a kind are not read: a line with some ends where they would
begin, and a note says so once. Source: iproute2 6.1 tc/tc_monitor.c (accept_tcmsg), lib/libnetlink.c (rtnl_from_file); observed with tc 6.1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from tcemu.ir.ruleset import Chain, Slot
from tcemu.tc.complaint import USAGE, ComplaintError
from tcemu.tc.monitor import stamp
from tcemu.tc.notes import BlockNote, ChainNote
from tcemu.tc.places import ROOT, Place
from tcemu.tc.printers import classid_text
from tcemu.tc.show import View, show_chain, show_head
from tcemu.tc.writer import Writer
from tcemu.world import World

HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
TCMSG: Final = struct.Struct("=BxxxiIII")  # struct tcmsg: family, device, handle, parent, info
LONGEST: Final = 16384  # rtnl_from_file's buffer
SILENT: Final = (1, 2, 3)  # NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE
NEW_QDISC, DEL_QDISC, NEW_FILTER, DEL_FILTER, NEW_CHAIN, DEL_CHAIN = 36, 37, 44, 45, 100, 101
UNREAD: Final = (40, 41, 48, 49)  # classes and actions
CREATE, EXCLUSIVE = 0x400, 0x200  # NLM_F_CREATE, NLM_F_EXCL
BLOCK: Final = -1  # TCM_IFINDEX_MAGIC_BLOCK
KIND, OPTIONS, CHAIN, INGRESS_BLOCK, EGRESS_BLOCK = 1, 2, 11, 13, 14  # TCA_*
BARE: Final = {"ingress": "---------------- ", "clsact": ""}  # kinds of qdiscs that have no options
NOTE: Final = "tcemu: note: options, classes and actions of recorded messages are not read\n"


class Message(NamedTuple):
    """A message about an object of tc."""

    type: int
    flags: int
    device: int
    handle: int
    parent: int
    info: int
    attributes: dict[int, bytes]

    def text(self, number: int) -> str:
        """An attribute that is a name."""
        return self.attributes.get(number, b"").split(b"\0")[0].decode(errors="replace")

    def number(self, number: int) -> int:
        """An attribute of 32 bits, 0 where it is not there."""
        return int.from_bytes(self.attributes.get(number, b"")[:4], "little")


def tell(path: str, world: World, out: Writer, said: list[str]) -> None:
    """All messages of a file. Raises ComplaintError with what tc says of one that cannot be read, behind what was told."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as slip:
        raise ComplaintError(f"Cannot fopen: {slip.strerror}\n", USAGE) from None
    names = {device.index: device.key for device in world.host.devices.children("")}
    unread = False
    for kind, flags, length, body in messages(data):
        if kind in SILENT:
            continue
        out.text(stamp(out.options))
        message = read(kind, flags, body)
        if message is None:
            unread |= kind in UNREAD
            if kind not in UNREAD:
                said.append(f"Unknown message: length {length:08d} type {kind:08x} flags {flags:08x} \n")
            continue
        device = names.get(message.device, f"if{message.device}")
        if kind in (NEW_QDISC, DEL_QDISC):
            _qdisc(out, message, device)
            unread |= message.text(KIND) not in BARE
        else:
            unread |= OPTIONS in message.attributes
            (_chain if kind in (NEW_CHAIN, DEL_CHAIN) else _filter)(out, message, device)
    if unread:
        said.append(NOTE)


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, length and body of each message."""
    at = 0
    while at < len(data):
        head = data[at : at + HEADER.size].ljust(HEADER.size, b"\0")
        length, kind, flags, _, _ = HEADER.unpack(head)
        at += HEADER.size
        if length < HEADER.size or length > LONGEST:
            raise ComplaintError(f"!!!malformed message: len={length} @{min(at, len(data))}\n", USAGE)
        body = data[at : at + length - HEADER.size]
        if len(body) < length - HEADER.size:
            raise ComplaintError("rtnl-from_file: truncated message\n", USAGE)
        at += length - HEADER.size + 3 & ~3
        yield kind, flags, length, body


def read(kind: int, flags: int, body: bytes) -> Message | None:
    """A message of tc's, or nothing."""
    if kind not in (NEW_QDISC, DEL_QDISC, NEW_FILTER, DEL_FILTER, NEW_CHAIN, DEL_CHAIN) or len(body) < TCMSG.size:
        return None
    _, device, handle, parent, info = TCMSG.unpack_from(body)
    attributes: dict[int, bytes] = {}
    at = TCMSG.size
    while at + 4 <= len(body):
        length, number = struct.unpack_from("=HH", body, at)
        if length < 4:
            break
        attributes[number & 0x3FFF] = body[at + 4 : at + length]
        at += length + 3 & ~3
    return Message(kind, flags, device, handle, parent, info, attributes)


def _qdisc(out: Writer, message: Message, device: str) -> None:
    kind = message.text(KIND)
    out.text("deleted " if message.type == DEL_QDISC else "")
    out.text(f"qdisc {kind} {message.handle >> 16:x}: dev {device} ")
    out.text("root " if message.parent == ROOT else f"parent {classid_text(message.parent)} " if message.parent else "")
    out.text(f"refcnt {message.info} " if message.info != 1 else "")
    for number, name in ((INGRESS_BLOCK, "ingress_block"), (EGRESS_BLOCK, "egress_block")):
        out.text(f"{name} {message.number(number)} " if message.number(number) else "")
    out.text(BARE.get(kind, ""))
    out.newline()


def _place(message: Message, device: str) -> tuple[Place, Chain]:
    shared = message.device == BLOCK
    place = Place("", None, "" if shared else device)
    place.note = BlockNote(index=message.parent if shared else 0, parent=0 if shared else message.parent)
    return place, Chain(key="", name=str(message.number(CHAIN)))


def _chain(out: Writer, message: Message, device: str) -> None:
    place, chain = _place(message, device)
    out.text("deleted " if message.type == DEL_CHAIN else "added ")
    show_chain(out, place, View(), chain, ChainNote())


def _filter(out: Writer, message: Message, device: str) -> None:
    place, chain = _place(message, device)
    made = "added " if message.flags & EXCLUSIVE else "replaced "
    out.text("deleted " if message.type == DEL_FILTER else made if message.flags & CREATE else "")
    protocol = (message.info & 0xFF) << 8 | message.info >> 8 & 0xFF
    show_head(out, place, View(), chain, Slot(key="", rank=message.info >> 16, protocol=protocol, kind=message.text(KIND)))
    out.newline()
