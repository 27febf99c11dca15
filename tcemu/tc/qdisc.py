"""Queueing disciplines: ingress, clsact with shared blocks, and others as scaffolding for filters.

Source: iproute2 6.1 tc/tc_qdisc.c, tc/q_ingress.c, tc/q_clsact.c; Linux 6.1 net/sched/sch_api.c (tc_modify_qdisc, tc_get_qdisc).
"""

from __future__ import annotations

from tcemu.ir.ruleset import Attachment, Table
from tcemu.tc import readers
from tcemu.tc.command import QdiscCommand
from tcemu.tc.complaint import Unwilling
from tcemu.tc.notes import BlockNote, QdiscNote, pack, unpack
from tcemu.tc.places import find_qdisc, qdisc_key, table_record
from tcemu.tc.printers import classid_text
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World

INGRESS_MAJOR = 0xFFFF
INGRESS_PARENT = 0xFFFFFFF1


def modify(world: World, command: QdiscCommand) -> None:
    """add, replace, change, link or delete."""
    work = Work(world)
    if command.verb == "delete":
        _delete(work, command)
    else:
        _add(work, command)
    work.commit()


def _add(work: Work, command: QdiscCommand) -> None:
    old = find_qdisc(work, command.dev, INGRESS_MAJOR)
    if old is not None:
        if command.verb == "replace" and old.kind == command.kind:
            return
        raise Unwilling("Exclusivity flag on, cannot modify")
    add_ingress(work, command.dev, command.kind, _block(command, "INGRESS_BLOCK"), _block(command, "EGRESS_BLOCK"))


def _block(command: QdiscCommand, name: str) -> int:
    word = command.words.get(name)
    return readers.unsigned(word, readers.U32, 0) or 0 if word is not None else 0


def add_ingress(work: Work, device: str, kind: str, ingress_block: int, egress_block: int) -> None:
    """An ingress or clsact qdisc with its ways in."""
    note = QdiscNote(device, kind, INGRESS_MAJOR << 16, INGRESS_PARENT, ingress_block, egress_block)
    key = qdisc_key(device, INGRESS_MAJOR)
    work.put("tables", Table(key=key, parent=f"tc qdisc {device}", rank=INGRESS_MAJOR, family="tc qdisc", name=kind, note=pack(note)))
    hooks = (("ingress", ingress_block),) if kind == "ingress" else (("ingress", ingress_block), ("egress", egress_block))
    for hook, block in hooks:
        table = f"tc block {block}" if block else f"tc dev {device} {hook}"
        record = work.table(table)
        own = unpack(BlockNote, record.note) if record is not None else BlockNote(block)
        own.users += 1
        work.put("tables", table_record(table, own))
        work.put(
            "attachments",
            Attachment(key=f"tc dev {device} {hook}", parent=table, hook=hook, device=device, chain=f"{table}/0", kind="tc"),
        )


def _delete(work: Work, command: QdiscCommand) -> None:
    old = find_qdisc(work, command.dev, INGRESS_MAJOR)
    if old is None or command.kind not in ("ingress", "clsact"):
        raise Unwilling("Cannot find specified qdisc on specified device")
    remove(work, old)


def remove(work: Work, qdisc: QdiscNote) -> None:
    """A qdisc goes; with the last user of a block go its chains and filters."""
    from tcemu.tc.apply import drop_slot
    from tcemu.tc.notes import ChainNote
    from tcemu.tc.places import release_chain

    hooks = (
        (("ingress", qdisc.ingress_block),)
        if qdisc.kind == "ingress"
        else (("ingress", qdisc.ingress_block), ("egress", qdisc.egress_block))
    )
    for hook, block in hooks:
        table = f"tc block {block}" if block else f"tc dev {qdisc.device} {hook}"
        work.delete("attachments", f"tc dev {qdisc.device} {hook}")
        record = work.table(table)
        if record is None:
            continue
        note = unpack(BlockNote, record.note)
        note.users -= 1
        if note.users > 0:
            work.put("tables", table_record(table, note))
            continue
        for chain in work.world.ruleset.chains.children(table):
            chain_note = unpack(ChainNote, chain.note)
            for slot in work.world.ruleset.slots.children(chain.key):
                drop_slot(work, chain, chain_note, slot)
            chain_note.explicit = False
            release_chain(work, chain, chain_note)
        for chain in work.world.ruleset.chains.children(table):
            work.delete("chains", chain.key)
        work.delete("tables", table)
    work.delete("tables", qdisc_key(qdisc.device, qdisc.handle >> 16))


def listing(out: Writer, world: World, command: QdiscCommand) -> None:
    """tc qdisc show."""
    out.start()
    for device in sorted(world.host.devices, key=lambda device: device.index):
        if command.dev and device.name != command.dev:
            continue
        for record in world.ruleset.tables.children(f"tc qdisc {device.name}"):
            show(out, unpack(QdiscNote, record.note), command)
    out.finish()


def show(out: Writer, note: QdiscNote, command: QdiscCommand) -> None:
    """One qdisc (print_qdisc)."""
    out.open()
    out.string("kind", "qdisc %s ", note.kind)
    out.string("handle", "%s ", f"{note.handle >> 16:x}:")
    if not command.dev:
        out.string("dev", "dev %s ", note.device)
    out.string("parent", "parent %s ", classid_text(note.parent))
    if note.ingress_block:
        out.number("ingress_block", "ingress_block %u ", note.ingress_block)
    if note.egress_block:
        out.number("egress_block", "egress_block %u ", note.egress_block)
    out.open("options")
    out.text("---------------- ")
    out.close()
    out.newline()
    out.close()
