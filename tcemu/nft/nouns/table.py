"""Tables: add, delete, flush; and flush ruleset. Source: Linux net/netfilter/nf_tables_api.c (nf_tables_newtable, nf_tables_deltable)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.ruleset import Table
from tcemu.nft.errors import NftError
from tcemu.nft.kernel import Kernel, check_name, unhinted
from tcemu.nft.notes import TableNote, pack, unpack
from tcemu.nft.refusal import EEXIST, KernelError
from tcemu.nft.tree import Command

if TYPE_CHECKING:
    from tcemu.nft.run import Run

FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")


def add(run: Run, command: Command) -> None:
    """Add a table, and what stands in its block: chains first, then objects, sets and flowtables, the rules last."""
    from tcemu.nft.nouns import chain
    from tcemu.nft.objects import NOUNS

    make(run.kernel, command)
    body = command.body
    if body is None:
        return
    for member in body.members:
        member.spec.family, member.spec.table, member.spec.table_at = command.spec.family, command.spec.table, command.spec.table_at
    chains = [member for member in body.members if member.what == "chain"]
    for member in chains:
        run.attempt(chain.make_alone, member)
    for kinds in (NOUNS, ("set", "map"), ("flowtable",)):
        for member in body.members:
            if member.what in kinds:
                run.one(member)
    for member in chains:
        chain.rules(run, member)


def make(kernel: Kernel, command: Command) -> None:
    """Make the table, or change the flags of one that is there."""
    spec, body = command.spec, command.body
    key = f"{spec.family} {spec.table}"
    check_name(spec.table, spec.table_at)
    record = kernel.ruleset.tables.get(key)
    flags = sorted(set(body.values.get("flags", []))) if body is not None else []
    if record is not None:
        if command.op == "create":
            raise KernelError(EEXIST, spec.table_at)
        note = unpack(record.note, TableNote)
        if note.flags != flags:  # a table without flags wakes one that is dormant (nf_tables_updtable)
            note.flags = flags
            record.note, record.dormant = pack(note), "dormant" in flags
            kernel.ruleset.tables.put(record)
            kernel.tell("table", record)
        return
    comment = body.values.get("comment") if body is not None else None
    note = TableNote(kernel.next_table_handle(), 0, flags, comment)
    made = Table(key=key, parent=spec.family, rank=note.handle, family=spec.family, name=spec.table, note=pack(note))
    made.dormant = "dormant" in flags
    kernel.ruleset.tables.put(made)
    kernel.tell("table", made)


def delete(run: Run, command: Command) -> None:
    """Delete a table with all that is in it."""
    try:
        record = run.kernel.table(command.spec)
    except NftError:
        if command.op == "destroy":
            return
        raise
    drop(run.kernel, record)


def drop(kernel: Kernel, table: Table) -> None:
    """Remove a table with all that is in it."""
    shelves = kernel.ruleset
    for chain in shelves.chains.children(table.key):
        shelves.rules.clear(chain.key)
    for record in shelves.sets.children(table.key):
        shelves.elements.clear(record.key)
        kernel.cache.forget(record.key)
    for shelf in (shelves.chains, shelves.sets, shelves.flowtables, shelves.objects, shelves.attachments):
        shelf.clear(table.key)
    shelves.tables.delete(table.key)
    kernel.forget(table.key)


def flush(run: Run, command: Command) -> None:
    """Remove all rules of a table."""
    try:
        table = run.kernel.table(command.spec)
    except NftError as error:
        raise unhinted(error) from None
    for chain in run.ruleset.chains.children(table.key):
        run.kernel.flush(chain)


def flush_ruleset(run: Run, command: Command) -> None:
    """Remove all tables, or those of one family."""
    for family in [command.spec.family] if command.spec.family else FAMILIES:
        for table in run.ruleset.tables.children(family):
            drop(run.kernel, table)
