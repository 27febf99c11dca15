"""Sets and maps: add, delete, flush. Source: nftables src/evaluate.c (set_evaluate); Linux nf_tables_api.c (nf_tables_newset)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.ruleset import Set, Table
from tcemu.nft.cache import SetInfo, set_key
from tcemu.nft.define import set_info
from tcemu.nft.errors import NftError
from tcemu.nft.kernel import Kernel, check_name, missing
from tcemu.nft.members import effects_of
from tcemu.nft.notes import SetNote, pack, unpack
from tcemu.nft.nouns import element
from tcemu.nft.refusal import E2BIG, EBUSY, EEXIST, ENOENT, EOPNOTSUPP, KernelError
from tcemu.nft.tree import At, Command

if TYPE_CHECKING:
    from tcemu.nft.run import Run

MAX_STATEMENTS = 2  # of a set (linux/netfilter/nf_tables.h NFT_SET_EXPR_MAX)


def add(run: Run, command: Command) -> None:
    """Add a set or map with its members, or only members where it is there."""
    spec = command.spec
    run.cache.need_table(spec.family, spec.table, spec.table_at)
    scope = run.scope(spec)
    key = set_key(spec.family, spec.table, spec.name)
    known = run.ruleset.sets.get(key)
    if "key" not in command.body.values and known is None:
        run.cache.undefined.add(key)
    info = set_info(scope, command, key)
    if known is None:
        run.cache.know(info)  # whatever becomes of its members
    members = element.evaluate(scope, info, command.body.values.get("elements"), check=True)
    table = run.kernel.table(spec.outer())
    check_name(spec.name, spec.name_at)
    if known is not None:
        if command.op == "create":
            raise KernelError(EEXIST, spec.name_at)
        _same(command, info, unpack(known.note, SetNote))
        existing = run.cache.info(key)
        assert existing is not None
        element.store(run, table, existing, members, command)
        return
    if "dynamic" in info.note.flags and ("interval" in info.note.flags or "constant" in info.note.flags):
        raise KernelError(EOPNOTSUPP, command.at)
    if len(info.note.stmts) > MAX_STATEMENTS:
        raise KernelError(E2BIG, spec.name_at)
    make(run.kernel, table, info, spec.name_at, info.size)
    run.fresh[key] = command.at
    run.cache.forget(key)
    element.store(run, table, info, members, command)


def _same(command: Command, info: SetInfo, note: SetNote) -> None:
    """What is there must be of the same types and flags."""
    mine = info.note
    described = (mine.types, mine.data_types, mine.object, set(mine.flags) - {"dynamic"})
    if described != (note.types, note.data_types, note.object, set(note.flags) - {"dynamic"}):
        raise KernelError(EEXIST, command.spec.name_at)


def make(kernel: Kernel, table: Table, info: SetInfo, at: At, size: int) -> Set:
    """Make a set."""
    check_name(info.name, at)
    note = info.note
    note.handle = kernel.next_handle(table)
    made = Set(
        key=info.key,
        parent=table.key,
        rank=note.handle,
        name=info.name,
        bits=tuple(note.bits),
        interval="interval" in note.flags,
        data_bits=sum(note.data_bits),
        verdicts=info.verdicts,
        size=size,
        timeout=note.timeout * element.MS,
        dynamic="dynamic" in note.flags,
        anonymous=info.anonymous,
        effects=effects_of(info.stmts),
        note=pack(note),
    )
    kernel.ruleset.sets.put(made)
    if not info.anonymous:
        kernel.tell("set", made)
    return made


def delete(run: Run, command: Command) -> None:
    """Delete a set that no rule uses."""
    spec = command.spec
    table = run.kernel.table_with(run.ruleset.sets, spec)
    record = run.named(table, run.ruleset.sets, spec, SetNote, f"{table.key}/set {spec.name}")
    if record is None:
        if command.op == "destroy":
            return
        raise missing(run.cache.set_not_found(spec.name, spec.name_at)) if spec.name else KernelError(ENOENT, spec.name_at)
    if unpack(record.note, SetNote).uses:
        raise KernelError(EBUSY, spec.name_at)
    _empty(run.kernel, record)
    run.ruleset.sets.delete(record.key)
    run.cache.forget(record.key)


def flush(run: Run, command: Command) -> None:
    """Remove a set's members; the noun must be right: set, map or meter."""
    from tcemu.nft.listing import kind_of_set

    _scope, info, _table = element.owner(run, command)
    if info.anonymous or kind_of_set(info.note) != command.what:
        raise NftError("No such file or directory", command.spec.name_at)
    record = run.ruleset.sets.get(info.key)
    assert record is not None
    _empty(run.kernel, record)


def _empty(kernel: Kernel, record: Set) -> None:
    info = kernel.cache.info(record.key)
    assert info is not None
    for member in kernel.ruleset.elements.children(record.key):
        element.drop(kernel, record.parent, info, member)
