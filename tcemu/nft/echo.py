"""``nft -e``: what a run added, as ``nft monitor`` would tell it; what it removed or renamed is not told, but for the rule that another replaced.

Source: nftables src/monitor.c (netlink_events_*_cb), src/rule.c (set_print_plain, obj_print_plain); observed with nft 1.0.6.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tcemu.nft.notes import ChainNote, ObjectNote, SetNote, TableNote, unpack

if TYPE_CHECKING:
    from tcemu.nft.kernel import Told
    from tcemu.nft.run import Run


def lines(run: Run) -> str:
    """All that was added, a line each, and the number of the generation."""
    text = "".join(f"{line}\n" for told in run.kernel.told or [] for line in _told(run, told))
    return f"{text}# new generation {run.kernel.generation()} by process {os.getpid()} (nft)\n" if text else ""


def document(run: Run) -> str:
    """The same as JSON, which has no head and no generation here."""
    import json

    found = entries(run)
    return json.dumps({"nftables": found}, ensure_ascii=False) + "\n" if found else ""


def entries(run: Run) -> list[Any]:
    """What was added, in JSON."""
    from tcemu.nft import show_json as shown

    found: list[Any] = []
    for told in run.kernel.told or []:
        record, out = told.record, run.out
        if told.kind == "rule":
            chain = run.ruleset.chains.get(record.parent)
            assert chain is not None
            made = shown.rule_object(record, chain, out)
        elif told.kind == "element":
            owner = run.ruleset.sets.get(record.parent)
            assert owner is not None
            family, _, table = owner.parent.partition(" ")
            value = shown.element(owner, unpack(owner.note, SetNote), record, out)
            made = {"element": {"family": family, "table": table, "name": owner.name, "elem": {"set": [value]}}}
        elif told.kind == "set":
            made = shown.set_object(record, out, [])
        else:
            make: Any = {"table": shown.table_object, "chain": shown.chain_object, "flowtable": shown.flowtable_object}
            made = make.get(told.kind, shown.object_object)(record, out)
        found.append({told.op: made})
    return found


def _told(run: Run, told: Told) -> Iterator[str]:
    record, out = told.record, run.out
    handle = ""
    if told.kind == "table":
        note = unpack(record.note, TableNote)
        flags = f" {{ flags {','.join(note.flags)}; }}" if note.flags else ""
        yield f"add table {record.key}{flags}{_handle(out, note.handle)}"
    elif told.kind == "chain":
        chain = unpack(record.note, ChainNote)
        hook = f" {{ {out.hook(record, chain)} }}" if chain.hook else ""
        yield f"add chain {record.parent} {record.name}{hook}{_handle(out, chain.handle)}"
    elif told.kind == "rule":
        out.steps = record.steps
        table, _, chain_name = record.parent.partition("/")
        place = f"handle {told.place} " if told.place else ""
        if told.replaced:
            yield f"delete rule {table} {chain_name} handle {told.replaced}"
        yield f"{told.op} rule {table} {chain_name} {place}{out.rule(record)}"
    elif told.kind == "set":
        note_of = unpack(record.note, SetNote)
        noun = "map" if note_of.data_types or note_of.object else "set"
        handle = f"# handle {note_of.handle} " if out.handles else ""
        yield f"add {noun} {record.parent} {record.name} {{ {handle}{'; '.join(out.set_lines(record, note_of))}; }} "
    elif told.kind == "element":
        owner = run.ruleset.sets.get(record.parent)
        assert owner is not None
        member = out.element(owner, unpack(owner.note, SetNote), record)
        yield f"add element {owner.parent} {owner.name} {{ {member} }}"
    elif told.kind == "flowtable":
        block = [line.strip() for line in out.flowtable_block(record, "").split("\n")[1:-2]]
        yield f"add flowtable {record.parent} {record.name} {{ {'; '.join(block)}; }}"
    else:
        from tcemu.nft.objects import lines as of_object

        handle = f"# handle {unpack(record.note, ObjectNote).handle} " if out.handles else ""
        config = "; ".join(of_object(record, unpack(record.note, ObjectNote).config, out))
        yield f"add {record.kind} {record.parent} {record.name} {{ {handle}{config} }} "


def _handle(out: Any, handle: int) -> str:
    return f" # handle {handle}" if out.handles else ""
