"""Where filters live: devices, qdiscs, blocks and chains; the lookups that every filter command begins with.

Source: Linux 6.1 net/sched/cls_api.c (__tcf_qdisc_find, __tcf_qdisc_cl_find, __tcf_block_find, tcf_chain_get), net/sched/sch_ingress.c.
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.ir.ruleset import Chain, Table
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import BlockNote, ChainNote, QdiscNote, pack, unpack
from tcemu.tc.work import Work

MAX_RESTARTS: Final = 16  # cls_api.c tcf_classify max_reclassify_loop
INGRESS_MINOR: Final = 0xFFF2
EGRESS_MINOR: Final = 0xFFF3
FFFF: Final = 0xFFFF0000
ROOT: Final = 0xFFFFFFFF
QUEUED: Final = ("tap", "physical")  # kinds of devices that get net.core.default_qdisc; the others have no queue
NO_PARENT: Final = "Parent Qdisc doesn't exists"
CLASSFUL: Final = frozenset(("htb", "prio", "cbq", "hfsc", "drr", "qfq", "ets", "mq", "mqprio", "multiq", "dsmark", "atm", "taprio"))
BLOCKED: Final = frozenset(("fq_codel", "sfq", "sfb", "choke", "fq_pie", "cake"))  # classless, with a block of their own


class Place:
    """A block: the key of its table and its note."""

    __slots__ = ("default_parent", "device", "note", "qdisc", "record", "table")

    def __init__(self, table: str, record: Table | None, device: str, default_parent: int = 0) -> None:
        self.table = table
        self.record = record
        self.device = device
        self.default_parent = default_parent
        self.qdisc = default_parent
        self.note = unpack(BlockNote, record.note) if record is not None else BlockNote()

    def save(self, work: Work) -> None:
        """Write the note."""
        work.put("tables", table_record(self.table, self.note))


def table_record(key: str, note: BlockNote) -> Table:
    """A block's table."""
    return Table(key=key, parent="tc", family="tc", name=key.removeprefix("tc "), max_restarts=MAX_RESTARTS, note=pack(note))


def qdisc_key(device: str, major: int) -> str:
    """The key of a qdisc's record."""
    return f"tc qdisc {device} {major:x}:"


def find_qdisc(work: Work, device: str, major: int) -> QdiscNote | None:
    """A device's qdisc by the upper half of its handle."""
    record = work.table(qdisc_key(device, major))
    return None if record is None else unpack(QdiscNote, record.note)


def find_block(work: Work, command: FilterCommand) -> Place:
    """The block that a command is about, with the kernel's complaints if there is none."""
    if command.block:
        key = f"tc block {command.block}"
        record = work.table(key)
        if record is None:
            raise RefusalError("Block of given index was not found")
        return Place(key, record, "")
    if not command.dev:
        raise RefusalError("", errno.ENODEV)
    return device_block(work, command.dev, command.parent)


def device_block(work: Work, device: str, parent: int) -> Place:
    """The block behind a device's parent."""
    known = work.ledger.ways.get((device, parent))
    if known is None:
        known = _way(work, device, parent)
        if parent:  # what is at the root depends on the device, too
            work.ledger.ways[device, parent] = known
    return Place(known[0], work.table(known[0]), device, known[1])


def _way(work: Work, device: str, parent: int) -> tuple[str, int]:
    """The key of the block behind a device's parent, and its qdisc's handle."""
    qdisc = root_qdisc(work, device) if not parent else find_qdisc(work, device, parent >> 16)
    if qdisc is None and parent:
        raise RefusalError(NO_PARENT)
    if qdisc is None:
        raise RefusalError(NO_PARENT)
    table = block_of(qdisc, parent)
    if not table:
        raise RefusalError()
    if table.startswith("tc block "):
        raise RefusalError("This filter block is shared. Please use the block index to manipulate the filters", errno.EOPNOTSUPP)
    return table, qdisc.handle


def root_qdisc(work: Work, device: str) -> QdiscNote:
    """The qdisc at a device's root, which must take filters."""
    record = work.table(f"tc root {device}")
    qdisc = unpack(QdiscNote, record.note) if record is not None else None
    known = work.world.host.devices.get(device)
    if qdisc is None and known is not None and known.kind in QUEUED and known.up:
        return QdiscNote(device, "fq_codel", 0, ROOT)
    if qdisc is None or (qdisc.kind not in CLASSFUL and qdisc.kind not in BLOCKED):
        raise RefusalError("Qdisc not classful")
    return qdisc


def block_of(qdisc: QdiscNote, parent: int) -> str:
    """The key of the table behind a class of a qdisc, or nothing (the kernel's tcf_block callbacks)."""
    minor = parent & 0xFFFF
    device = qdisc.device
    if qdisc.kind == "ingress":
        return f"tc block {qdisc.ingress_block}" if qdisc.ingress_block else f"tc dev {device} ingress"
    if qdisc.kind == "clsact":
        if minor == INGRESS_MINOR:
            return f"tc block {qdisc.ingress_block}" if qdisc.ingress_block else f"tc dev {device} ingress"
        if minor == EGRESS_MINOR:
            return f"tc block {qdisc.egress_block}" if qdisc.egress_block else f"tc dev {device} egress"
        if minor:
            raise RefusalError("Specified class doesn't exist", errno.ENOENT)
        return ""
    if qdisc.kind in CLASSFUL or qdisc.kind in BLOCKED:
        return f"tc dev {device} {qdisc.handle >> 16:x}:" + (f"{minor:x}" if minor else "")
    raise RefusalError("Qdisc not classful")


def hold_chain(work: Work, place: Place, number: int) -> tuple[Chain, ChainNote]:
    """A chain of a block, made if need be; its note is the caller's to write back."""
    key = f"{place.table}/{number}"
    chain = work.chain(key)
    if chain is not None:
        return chain, unpack(ChainNote, chain.note)
    place.note.made += 1
    chain = Chain(key=key, parent=place.table, rank=place.note.made, name=str(number))
    place.save(work)
    return chain, ChainNote()


def release_chain(work: Work, chain: Chain, note: ChainNote) -> None:
    """Write a chain back, or let it go when nothing holds it (tcf_chain_put)."""
    if note.explicit or note.slots or note.acts:
        chain.note = pack(note)
        work.put("chains", chain)
    else:
        work.delete("chains", chain.key)
