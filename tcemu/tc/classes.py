"""Classes of classful qdiscs, as far as filters lead to them: added, listed, and not deleted while a filter points there.

Source: iproute2 6.1 tc/tc_class.c; Linux 6.1 net/sched/sch_api.c tc_ctl_tclass, sch_drr.c.
"""

from __future__ import annotations

import errno

from tcemu.ir.ruleset import Table
from tcemu.tc.command import ClassCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import QdiscNote, RuleNote, pack, unpack
from tcemu.tc.places import CLASSFUL, ROOT, find_qdisc
from tcemu.tc.printers import classid_text
from tcemu.tc.qdisc import root_of
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World


def modify(world: World, command: ClassCommand) -> None:
    """add, change, replace or delete."""
    work = Work(world)
    major = command.classid >> 16
    if not major:
        major = command.parent >> 16 if command.parent not in (0, ROOT) else 0
        root = root_of(work, command.dev)
        major = major or (root.handle >> 16 if root is not None else 0)
    qdisc = find_qdisc(work, command.dev, major)
    if qdisc is None:
        raise RefusalError("", errno.ENOENT)
    if qdisc.kind not in CLASSFUL:
        raise RefusalError()
    classid = major << 16 | command.classid & 0xFFFF
    key = f"tc class {command.dev} {classid:x}"
    record = work.table(key)
    if command.verb == "delete":
        if record is None:
            raise RefusalError("", errno.ENOENT)
        if in_use(world, command.dev, classid):
            raise RefusalError("", errno.EBUSY)
        work.delete("tables", key)
    else:
        if record is None and command.verb == "change":
            raise RefusalError("", errno.ENOENT)
        if record is not None and command.verb == "add":
            raise RefusalError("", errno.EEXIST)
        note = QdiscNote(command.dev, qdisc.kind, classid, command.parent or ROOT, 0, 0, {"options": command.options})
        work.put("tables", Table(key=key, parent=f"tc class {command.dev}", rank=classid, family="tc class", note=pack(note)))
    work.commit()


def in_use(world: World, device: str, classid: int) -> bool:
    """Whether a filter of the qdisc leads to the class."""
    for chain in world.ruleset.chains.children(f"tc dev {device} {classid >> 16:x}:"):
        for rule in world.ruleset.rules.children(chain.key):
            if unpack(RuleNote, rule.note).classid == classid:
                return True
    return False


def listing(out: Writer, world: World, command: ClassCommand) -> None:
    """tc class show; of tc 6.1.0 as text with -j, too."""
    for record in world.ruleset.tables.children(f"tc class {command.dev}"):
        note = unpack(QdiscNote, record.note)
        out.bare(f"class {note.kind} {classid_text(note.handle)} ")
        out.bare("root " if note.parent == ROOT or note.parent & 0xFFFF == 0 else f"parent {classid_text(note.parent)} ")
        out.bare("quantum 1514b " if note.kind == "drr" else " ".join(note.extra.get("options", [])) + " ")
        out.bare("\\" if out.oneline else "\n")
