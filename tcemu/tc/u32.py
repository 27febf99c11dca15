"""u32: compare words of the packet.

A slot has a root hash table (800:) of one bucket; ``divisor`` makes more tables, ``link`` leads into them. Tables and nodes are both Rules:
a table has no node number.
Source: iproute2 6.1 tc/f_u32.c, man tc-u32(8); net/sched/cls_u32.c (u32_change, u32_classify, u32_walk).
"""

from __future__ import annotations

import errno
from typing import Any, Final

from tcemu.ir.effect import Count, Descend
from tcemu.ir.operand import Load, Raw
from tcemu.ir.ruleset import Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Masked, Match, Step
from tcemu.ir.verdict import MISS, Verdict
from tcemu.tc import readers
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.flower_keys import SKIP_SW
from tcemu.tc.notes import RuleNote, SlotNote, give, pack, take, unpack
from tcemu.tc.u32_read import Options, U32Reader
from tcemu.tc.u32_show import show, show_indev
from tcemu.tc.work import Filter, Work

ROOT: Final = 0xFFF00000
TERMINAL: Final = 1
BUCKET: Final = 0xFFFFF000  # of a handle: table and bucket, within which nodes are numbered
NODES: Final = ((0x800, 0xFFF), (1, 0x7FF))  # where node numbers are taken from, in this order (gen_new_kid)

READER = U32Reader

__all__ = ["READER", "configure", "listed", "opened", "released", "show", "show_indev"]


def opened(work: Work, slot: SlotNote) -> None:
    """A new slot: its root table (u32_init). The first of a block is 800:."""
    tables = work.block.note.u32
    number = 0x800 if not tables else _new_table(tables)
    slot.extra["root"] = number << 20
    _add_table(work, number << 20, 1)


def _new_table(tables: dict[str, str]) -> int:
    taken = {int(text, 16) for text in tables}
    return next(number for number in range(0x801, 0x1000) if number not in taken)


def _add_table(work: Work, handle: int, divisor: int) -> None:
    key = f"{work.slot_key}/{handle:08x}"
    work.block.note.u32[f"{handle >> 20:x}"] = work.slot_key
    work.block.save(work)
    prio = int(work.slot_key.rpartition("/")[2])
    note = RuleNote(handle, extra={"divisor": divisor, "order": len(work.block.note.u32)})
    work.put("rules", Rule(key=key, parent=f"{work.chain_key}/u32", rank=prio << 47 | handle, slot=prio, note=pack(note)))


def find_table(work: Work, handle: int) -> Rule | None:
    """A hash table of the block."""
    slot = work.block.note.u32.get(f"{handle >> 20:x}")
    return work.rule(f"{slot}/{handle & ROOT:08x}") if slot is not None else None


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's u32_change."""
    options = command.options
    if options is None or options.given["empty"]:
        if command.handle:
            raise RefusalError("cls_u32: Filter handle requires options")
        return NOTHING
    given = options.given
    if given["flags"] & SKIP_SW:
        raise RefusalError("", errno.EOPNOTSUPP)
    if old is not None:
        return _node(work, slot, options, old.handle, _parent(work, slot, old.handle))
    if "divisor" in given:
        return _table(work, command, given["divisor"])
    root = slot.extra["root"]
    htid = given["htid"] or root
    if htid & ROOT == ROOT:
        htid = root | htid & 0xFFFFF
    table = find_table(work, htid)
    if table is None:
        raise RefusalError("cls_u32: Specified hash table not found")
    if unpack(RuleNote, table.note).extra["divisor"] - 1 < htid >> 12 & 0xFF:
        raise RefusalError("cls_u32: Specified hash table buckets exceed configured value")
    handle = _new_handle(work, command.handle, htid, slot)
    if not options.keys and "match" not in given and "mark" not in given:
        raise RefusalError("cls_u32: Selector not specified")
    return _node(work, slot, options, handle, _parent(work, slot, handle))


NOTHING: Final = Filter([], RuleNote(), nothing=True)


def _parent(work: Work, slot: SlotNote, handle: int) -> str:
    """Nodes of the root table stand among the chain's rules; the others apart."""
    return work.chain_key if handle & ROOT == slot.extra["root"] else f"{work.chain_key}/u32"


def _table(work: Work, command: FilterCommand, divisor: int) -> Filter:
    """``divisor``: a hash table."""
    handle = command.handle
    if handle & 0xFFFFF:
        raise RefusalError("cls_u32: Divisor can only be used on a hash table")
    tables = work.block.note.u32
    if not handle:
        handle = _new_table(tables) << 20
    elif f"{handle >> 20:x}" in tables:
        raise RefusalError("", errno.ENOSPC)
    _add_table(work, handle, divisor)
    return NOTHING


def _new_handle(work: Work, wanted: int, htid: int, slot: SlotNote) -> int:
    """A node's handle: the wanted one in its bucket, or the first free from 800 on (gen_new_kid)."""
    if wanted and wanted & ROOT and (wanted ^ htid) & ROOT:
        raise RefusalError("cls_u32: Handle specified hash table address mismatch")
    free = slot.extra.setdefault("free", {}).setdefault(f"{htid & BUCKET:x}", [[1, 0xFFF]])
    stretches = [(low, high) for low, high in free]
    node = wanted & 0xFFF
    if node:
        if take(stretches, node) < 0:
            raise RefusalError("", errno.ENOSPC)
    else:
        for low, high in NODES:
            node = next((max(low, start) for start, end in stretches if max(low, start) <= min(high, end)), 0)
            if node:
                break
        take(stretches, node)
    slot.extra["free"][f"{htid & BUCKET:x}"] = [list(stretch) for stretch in stretches]
    return htid | node


def _node(work: Work, slot: SlotNote, options: Options, handle: int, parent: str) -> Filter:
    """A node: what it compares, and the books of what tc lists."""
    given = options.given
    steps: list[Step] = [Do(Count(Stats()), implied=True)]
    if given.get("mark"):
        value, mask = given["mark"]
        steps += [Match(Load("meta.mark"), Masked(value, mask)), Do(Count(Stats()), implied=True)]
    root = parent == work.chain_key
    for offset, behind, value, mask in options.keys:
        base = "u32+" if behind else "nh" if root else "u32"
        steps += [Match(Raw(base, 8 * offset, 32), Masked(value, mask), ends=True), Do(Count(Stats()), implied=True)]
    if given.get("link"):
        steps.append(Do(_descend(work, slot, given), implied=True))
    if not given.get("terminal"):
        steps.append(Do(None, Verdict(MISS), implied=True))
    if given.get("indev"):
        steps.append(Match(Load("meta.iif"), Masked(work.device_index(given["indev"]), readers.U32)))
    steps.append(Do(Count(Stats()), implied=True))
    extra = {name: given[name] for name in ("mark", "link", "terminal", "offset", "hash") if given.get(name)}
    extra["keys"] = [list(key) for key in options.keys]
    extra["protocol"] = work.protocol
    note = RuleNote(handle, given["classid"], given["flags"], given.get("indev", ""), "", extra)
    return Filter(steps, note, whole=True, parent=parent)


def _is_root(work: Work, slot: SlotNote, handle: int) -> bool:
    """Is it the hash table that a slot of the block began with?"""
    owner = work.block.note.u32[f"{handle >> 20:x}"]
    other = work.slot(owner) if owner != work.slot_key else None
    note = unpack(SlotNote, other.note) if other is not None else slot
    return bool(note.extra["root"] == handle & ROOT)


def _descend(work: Work, slot: SlotNote, given: dict[str, Any]) -> Descend:
    """Where a link leads, and how what lies there counts its offsets (parse_offset, parse_hashkey)."""
    table = find_table(work, given["link"])
    if table is None:
        raise RefusalError("cls_u32: Link hash table not found")
    if _is_root(work, slot, given["link"]):
        raise RefusalError("cls_u32: Not linking to root node")
    buckets: int = unpack(RuleNote, table.note).extra["divisor"]
    moved, hashed = given.get("offset", {}), given.get("hash", {})
    varies = not moved.keys().isdisjoint(("at", "mask", "shift"))
    return Descend(
        table.key,
        buckets,
        hashed.get("at", 0),
        hashed.get("mask", 0),
        moved.get("plus"),
        moved.get("at", 0) if varies else None,
        moved.get("mask", 0),
        moved.get("shift", 0),
        moved.get("eat", False),
    )


def released(slot: SlotNote, note: RuleNote) -> None:
    """A node went: its number is free."""
    free = slot.extra.get("free", {}).get(f"{note.handle & BUCKET:x}")
    if free is not None and note.handle & 0xFFF:
        stretches = [(low, high) for low, high in free]
        give(stretches, note.handle & 0xFFF)
        slot.extra["free"][f"{note.handle & BUCKET:x}"] = [list(stretch) for stretch in stretches]


def listed(rules: list[Rule]) -> list[Rule]:
    """Tables, the newest first, each with its nodes by bucket and number (u32_walk)."""
    handles = [(rule, int(rule.key.rpartition("/")[2], 16)) for rule in rules]
    tables = [(rule, handle) for rule, handle in handles if not handle & 0xFFFFF]
    tables.sort(key=lambda pair: -unpack(RuleNote, pair[0].note).extra["order"])
    nodes = sorted(((handle, rule) for rule, handle in handles if handle & 0xFFF), key=lambda pair: pair[0])
    found = []
    for rule, table in tables:
        found.append(rule)
        found += [node for handle, node in nodes if handle & ROOT == table & ROOT]
    return found
