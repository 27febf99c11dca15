"""Queueing disciplines: ingress and clsact with shared blocks; others as scaffolding for filters, with their options as words.

A qdisc is a Table ``tc qdisc <device> <major>:``; what stands at a device's root is named by the Table ``tc root <device>``. ingress and clsact own
Attachments, one per hook, and share of blocks.
Source: iproute2 6.1 tc/tc_qdisc.c, tc/q_ingress.c, tc/q_clsact.c; Linux 6.1 net/sched/sch_api.c (tc_modify_qdisc, tc_get_qdisc, qdisc_create).
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.ir.ruleset import Attachment, Table
from tcemu.tc import readers
from tcemu.tc.command import QdiscCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import BlockNote, ChainNote, QdiscNote, pack, unpack
from tcemu.tc.places import QUEUED, ROOT, find_qdisc, qdisc_key, release_chain, table_record
from tcemu.tc.printers import classid_text, device_colour
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World

INGRESS_MAJOR: Final = 0xFFFF
INGRESS_PARENT: Final = 0xFFFFFFF1
NO_QDISC: Final = "Cannot find specified qdisc on specified device"
FQ_CODEL: Final = "limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64 "
PRIO: Final = "bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1"

# what the kernel of the recordings has (Debian's 6.1: no cbq, dsmark, atm)
KNOWN: Final = frozenset(
    [
        "bfifo",
        "cake",
        "cbs",
        "choke",
        "codel",
        "drr",
        "etf",
        "ets",
        "fq",
        "fq_codel",
        "fq_pie",
        "gred",
        "hfsc",
        "hhf",
        "htb",
        "mq",
        "mqprio",
        "multiq",
        "netem",
        "noqueue",
        "pfifo",
        "pfifo_fast",
        "pie",
        "plug",
        "prio",
        "qfq",
        "red",
        "sfb",
        "sfq",
        "skbprio",
        "taprio",
        "tbf",
        "teql0",
        "ingress",
        "clsact",
    ]
)


def modify(world: World, command: QdiscCommand) -> None:
    """add, replace, change, link or delete."""
    work = Work(world)
    if not command.dev:
        raise RefusalError("", errno.ENODEV)
    if command.verb == "delete":
        _delete(work, command)
    else:
        _add(work, command)
    work.commit()


def root_of(work: Work, device: str) -> QdiscNote | None:
    """The qdisc that somebody put at a device's root."""
    record = work.table(f"tc root {device}")
    return unpack(QdiscNote, record.note) if record is not None else None


def _at(work: Work, command: QdiscCommand) -> QdiscNote | None:
    """The qdisc at the command's parent."""
    if command.parent == ROOT:
        return root_of(work, command.dev)
    if command.parent == INGRESS_PARENT or command.parent >> 16 == INGRESS_MAJOR:
        return find_qdisc(work, command.dev, INGRESS_MAJOR)
    if find_qdisc(work, command.dev, command.parent >> 16) is None:
        text = "Failed to find qdisc with specified classid" if command.verb == "delete" else "Failed to find specified qdisc"
        raise RefusalError(text, errno.ENOENT)
    return _child(work, command.dev, command.parent)


def _child(work: Work, device: str, parent: int) -> QdiscNote | None:
    """The qdisc under a class."""
    for record in work.world.ruleset.tables.children(f"tc qdisc {device}"):
        note = unpack(QdiscNote, record.note)
        if note.parent == parent:
            return note
    return None


def _add(work: Work, command: QdiscCommand) -> None:
    """tc_modify_qdisc."""
    exclusive, replace = command.verb == "add", command.verb == "replace"
    handle = command.handle
    if command.parent:
        old = _at(work, command)
        if old is None or not handle or old.handle != handle:
            if handle:
                if old is not None and not replace:
                    raise RefusalError("NLM_F_REPLACE needed to override", errno.EEXIST)
                if handle & 0xFFFF:
                    raise RefusalError("Invalid minor handle")
                other = find_qdisc(work, command.dev, handle >> 16)
                if other is not None and exclusive:
                    raise RefusalError("Exclusivity flag on, cannot override", errno.EEXIST)
                old = None if old is None else old
                return _create(work, command, old)
            if old is None or (replace and command.kind and command.kind != old.kind):
                return _create(work, command, old)
    else:
        if not handle:
            raise RefusalError("Handle cannot be zero")
        old = find_qdisc(work, command.dev, handle >> 16)
    if old is None:
        raise RefusalError("Specified qdisc not found", errno.ENOENT)
    if exclusive:
        raise RefusalError("Exclusivity flag on, cannot modify", errno.EEXIST)
    if command.kind and command.kind != old.kind:
        raise RefusalError("Invalid qdisc name")
    old.extra = {"options": command.options} if command.options else old.extra
    _put(work, old)
    return None


def _create(work: Work, command: QdiscCommand, old: QdiscNote | None) -> None:
    """create_n_graft."""
    if command.verb not in ("add", "replace"):
        raise RefusalError("Qdisc not found. To create specify NLM_F_CREATE flag", errno.ENOENT)
    if command.kind not in KNOWN:
        raise RefusalError("Specified qdisc kind is unknown", errno.ENOENT)
    if old is not None:
        remove(work, old)
    if command.kind in ("ingress", "clsact"):
        add_ingress(work, command.dev, command.kind, command.ingress_block, command.egress_block)
        return
    handle = command.handle or _free_handle(work, command.dev) << 16
    note = QdiscNote(command.dev, command.kind, handle, command.parent, 0, 0, {"options": command.options} if command.options else {})
    _put(work, note)


def _put(work: Work, note: QdiscNote) -> None:
    major = note.handle >> 16
    work.put(
        "tables", Table(key=qdisc_key(note.device, major), parent=f"tc qdisc {note.device}", rank=major, family="tc qdisc", note=pack(note))
    )
    if note.parent == ROOT:
        work.put("tables", Table(key=f"tc root {note.device}", parent="tc root", family="tc qdisc", note=pack(note)))


def _free_handle(work: Work, device: str) -> int:
    """qdisc_alloc_handle: from 8001: on."""
    return next(major for major in range(0x8001, 0xFFFF) if find_qdisc(work, device, major) is None)


def add_ingress(work: Work, device: str, kind: str, ingress_block: int, egress_block: int) -> None:
    """An ingress or clsact qdisc with its ways in."""
    _put(work, QdiscNote(device, kind, INGRESS_MAJOR << 16, INGRESS_PARENT, ingress_block, egress_block))
    for hook, block in _hooks(kind, ingress_block, egress_block):
        table = f"tc block {block}" if block else f"tc dev {device} {hook}"
        record = work.table(table)
        own = unpack(BlockNote, record.note) if record is not None else BlockNote(block)
        own.users += 1
        work.put("tables", table_record(table, own))
        work.put(
            "attachments", Attachment(key=f"tc dev {device} {hook}", parent=table, hook=hook, device=device, chain=f"{table}/0", kind="tc")
        )


def _hooks(kind: str, ingress_block: int, egress_block: int) -> tuple[tuple[str, int], ...]:
    return (("ingress", ingress_block),) if kind == "ingress" else (("ingress", ingress_block), ("egress", egress_block))


def _delete(work: Work, command: QdiscCommand) -> None:
    """tc_get_qdisc with RTM_DELQDISC."""
    if command.parent:
        old = _at(work, command)
        if old is None and command.parent == ROOT:
            raise RefusalError("Cannot delete qdisc with handle of zero", errno.ENOENT)
        if old is None:
            raise RefusalError(NO_QDISC, errno.ENOENT)
        if command.handle and old.handle != command.handle:
            raise RefusalError("Invalid handle")
    else:
        old = find_qdisc(work, command.dev, command.handle >> 16)
        if old is None:
            raise RefusalError("Failed to find qdisc with specified handle", errno.ENOENT)
    if command.kind and command.kind != old.kind:
        raise RefusalError("Invalid qdisc name")
    if not command.parent:
        raise RefusalError("Classid cannot be zero")
    remove(work, old)


def remove(work: Work, qdisc: QdiscNote) -> None:
    """A qdisc goes; with the last user of a block go its chains and filters."""
    major = qdisc.handle >> 16
    if qdisc.kind in ("ingress", "clsact"):
        for hook, block in _hooks(qdisc.kind, qdisc.ingress_block, qdisc.egress_block):
            work.delete("attachments", f"tc dev {qdisc.device} {hook}")
            _leave(work, f"tc block {block}" if block else f"tc dev {qdisc.device} {hook}")
    else:
        for table in work.world.ruleset.tables.children("tc"):
            if table.key.startswith(f"tc dev {qdisc.device} {major:x}:"):
                _empty(work, table.key)
        for child in work.world.ruleset.tables.children(f"tc class {qdisc.device}"):
            if child.rank >> 16 == major:
                work.delete("tables", child.key)
        if qdisc.parent == ROOT:
            work.delete("tables", f"tc root {qdisc.device}")
    work.delete("tables", qdisc_key(qdisc.device, major))


def _leave(work: Work, table: str) -> None:
    """One user of a block less."""
    record = work.table(table)
    if record is None:
        return
    note = unpack(BlockNote, record.note)
    note.users -= 1
    if note.users > 0:
        work.put("tables", table_record(table, note))
    else:
        _empty(work, table)


def _empty(work: Work, table: str) -> None:
    """A block goes with all that is in it."""
    from tcemu.tc.apply import drop_slot

    chains = work.world.ruleset.chains.children(table)
    for chain in chains:
        note = unpack(ChainNote, chain.note)
        for slot in work.world.ruleset.slots.children(chain.key):
            drop_slot(work, chain, note, slot)
        note.explicit = False
        release_chain(work, chain, note)
    for chain in chains:
        work.delete("chains", chain.key)
    work.delete("tables", table)


# ---------------------------------------------------------------- listing
COUNTERS: Final = ("bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen")


def listing(out: Writer, world: World, command: QdiscCommand) -> None:
    """tc qdisc show: per device what is at its root, what is below, and ingress last."""
    work = Work(world)
    out.start()
    for device in sorted(world.host.devices, key=lambda device: device.index):
        if command.dev and device.name != command.dev:
            continue
        if root_of(work, device.name) is None:
            _show_default(out, device.kind, device.name, device.up, command)
        notes = [unpack(QdiscNote, record.note) for record in world.ruleset.tables.children(f"tc qdisc {device.name}")]
        for note in sorted(notes, key=lambda note: (note.parent == INGRESS_PARENT, note.parent != ROOT, note.handle)):
            if _wanted(note, command):
                _show(out, note, command)
    out.finish()


def _wanted(note: QdiscNote, command: QdiscCommand) -> bool:
    if command.parent == INGRESS_PARENT and "PARENT" not in command.words:
        return note.kind in ("ingress", "clsact")
    if command.parent and note.parent != command.parent:
        return False
    return not command.handle or note.handle == command.handle


def _show_default(out: Writer, kind: str, device: str, up: bool, command: QdiscCommand) -> None:
    """What a device has at its root when nobody put anything there."""
    if command.handle or command.parent not in (0, ROOT):
        return
    if not up:
        return  # noop, which the kernel keeps to itself (tc_qdisc_dump_ignore)
    queued = kind in QUEUED
    _show(out, QdiscNote(device, "fq_codel" if queued else "noqueue", 0, ROOT, 0, 0, {"text": FQ_CODEL if queued else ""}), command)


def _show(out: Writer, note: QdiscNote, command: QdiscCommand) -> None:
    """One qdisc (print_qdisc)."""
    out.open()
    out.string("kind", "qdisc %s ", note.kind)
    out.string("handle", f"%s[{note.handle:08x}] " if out.raw else "%s ", f"{note.handle >> 16:x}:")
    if not command.dev:
        out.text("dev ")
        out.string("dev", f"{device_colour()}%s \033[0m" if out.colour else "%s ", note.device)
    if note.parent == ROOT:
        out.flag("root", "root ")
        out.number("refcnt", "refcnt %d ", 2)
    else:
        out.string("parent", "parent %s ", classid_text(note.parent))
    if note.ingress_block:
        out.number("ingress_block", "ingress_block %u ", note.ingress_block)
    if note.egress_block:
        out.number("egress_block", "egress_block %u ", note.egress_block)
    out.open("options")
    out.text(_options(note))
    out.close()
    out.newline()
    if out.stats:
        for text in (" Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) ", " backlog 0b 0p requeues 0"):
            out.text(text)
            out.newline()
        for name in COUNTERS if out.json else ():
            out.number(name, "", 0)
    out.close()


def show_event(out: Writer, note: QdiscNote) -> None:
    """One qdisc by itself, as ``tc monitor`` tells it."""
    _show(out, note, QdiscCommand("list", "", "", {}, 0, 0))


def _options(note: QdiscNote) -> str:
    if note.kind == "ingress":
        return "---------------- "
    if note.kind == "clsact":
        return ""
    if "text" in note.extra:
        return str(note.extra["text"])
    given = " ".join(note.extra.get("options", []))
    return given + " " if given else PRIO if note.kind == "prio" else FQ_CODEL if note.kind == "fq_codel" else ""


def handle_of(text: str) -> int | None:
    """``1:`` or ``none`` (get_qdisc_handle)."""
    if text == "none":
        return 0
    found = readers.strtoul(text, 16)
    if found is None or found[0] > 0xFFFF or (found[1] and not found[1].startswith(":")):
        return None
    return found[0] << 16
