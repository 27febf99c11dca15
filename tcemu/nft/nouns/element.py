"""Elements: add, delete, get. Source: nftables src/evaluate.c (setelem_evaluate), intervals.c; Linux nf_tables_api.c (nft_add_set_elem)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.ruleset import Element, Table
from tcemu.nft.cache import SetInfo, set_key
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.kernel import Kernel
from tcemu.nft.members import record
from tcemu.nft.notes import ElementNote, pack, unpack
from tcemu.nft.refusal import EEXIST, EINVAL, ENFILE, ENOENT, KernelError
from tcemu.nft.sets import check_overlap, merge
from tcemu.nft.tree import At, Command, SetLiteral, Value, Variable, Verdict
from tcemu.nft.tree import Element as Member

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.run import Run

MS: Final = 1_000_000  # ns


def owner(run: Run, command: Command) -> tuple[Scope, SetInfo, Table]:
    """The set that a command names."""
    spec = command.spec
    table = run.ruleset.tables.get(f"{spec.family} {spec.table}")
    if table is None:
        raise run.cache.table_not_found(spec.table, spec.table_at)
    key = set_key(spec.family, spec.table, spec.name)
    if key in run.cache.undefined:
        raise NftErrors([])  # has been told where the set is
    info = run.cache.info(key)
    if info is None:
        raise run.cache.set_not_found(spec.name, spec.name_at)
    return run.scope(spec), info, table


def evaluate(scope: Scope, info: SetInfo, written: Any, check: bool = False) -> list[Member]:
    """Evaluate a literal's members in a set's type; new members (``check``) of an interval set are held against each other."""
    while isinstance(written, Variable):
        written = written.value
    if written is None:
        return []
    if not isinstance(written, SetLiteral):
        raise NftError(f"Set {info.name}: Unexpected initial type {written.what}, missing {{ }}?", written.at)
    scope.set = info
    scope.want(info.dtype, info.bits, info.order, key=info.concat)
    literal = scope.expr(written)
    scope.set = None
    members = [item for item in literal.items if isinstance(item, Member)]
    if check and info.interval and info.concat is None:
        if info.note.auto_merge and not info.is_map:
            return merge(members)
        check_overlap(members)
    return members


def add(run: Run, command: Command) -> None:
    """Add members."""
    scope, info, table = owner(run, command)
    store(run, table, info, evaluate(scope, info, command.body, check=True), command)


def store(run: Run, table: Table, info: SetInfo, members: list[Member], command: Command) -> None:
    """Put members into a set; intervals meet those that are there."""
    from tcemu.nft.intervals import join

    if not members:
        return
    if info.interval:
        members = join(run.kernel, info, members, command)
    put(run.kernel, table, info, members, command, now=run.world.now())
    if info.verdicts:
        leads = [key for key, _at in targets(members, table.key)]
        run.reached(table.key, info.key, [], leads, command.at)


def put(kernel: Kernel, table: Table, info: SetInfo, members: list[Member], command: Command, new: bool = False, now: int = 0) -> None:
    """Add members; those that are there already stay as they are, but for another value."""
    shelf = kernel.ruleset.elements
    count = 0 if new else shelf.count(info.key)
    own = kernel.ruleset.sets.get(info.key)
    limit = own.size if own is not None and not info.anonymous else 0
    last = None if new else shelf.last(info.key)
    rank = last.rank if last is not None else 0
    for member in members:
        if member.timeout is not None and "timeout" not in info.note.flags and not info.note.meter:
            raise KernelError(EINVAL, member.key.at)
        if info.is_map and (member.data is None or (info.note.data_interval and isinstance(member.data, Value))):
            raise KernelError(EINVAL, member.key.at)
        made = record(info, member, table.key, now)
        _points_to(kernel, table, info, made, member)
        known = None if new and info.anonymous else shelf.get(made.key)
        if known is not None:
            if command.op == "create" or _differs(known, made):
                raise KernelError(EEXIST, member.at)
            continue
        count += 1
        if limit and count > limit:
            raise KernelError(ENFILE, member.at)
        rank += 1
        made.rank = rank
        shelf.put(made)
        if not info.anonymous:
            kernel.tell("element", made)


def _points_to(kernel: Kernel, table: Table, info: SetInfo, made: Element, member: Member) -> None:
    """Chains and objects that a member's value names must be there."""
    if info.verdicts:
        for key, at in targets([member], table.key):
            if not kernel.exists(key):
                raise KernelError(ENOENT, member.key.at)
            kernel.check_jump(key, at)
            if not info.anonymous:
                kernel.use(key, 1)
    if info.note.object:
        note = unpack(made.note, ElementNote)
        note.target = f"{table.key}/{info.note.object} {note.target}"
        if kernel.ruleset.objects.get(note.target) is None:
            raise KernelError(ENOENT, member.key.at)
        made.note = pack(note)
        made.object = note.target
        if not info.anonymous:
            kernel.use(note.target, 1)


def targets(members: list[Any], table: str) -> list[tuple[str, At]]:
    """Chains to which the verdicts of members lead."""
    found = []
    for member in members:
        data = member.data
        if isinstance(data, Verdict) and data.chain is not None:
            found.append((f"{table}/{data.chain.value}", data.chain.at))  # type: ignore[attr-defined]
    return found


def _differs(known: Element, made: Element) -> bool:
    if known.data != made.data or known.verdict != made.verdict:
        return True
    return unpack(known.note, ElementNote).data != unpack(made.note, ElementNote).data


def drop(kernel: Kernel, table: str, info: SetInfo, member: Element) -> None:
    """Remove a member and what it held."""
    if member.verdict is not None and member.verdict.to:
        kernel.use(member.verdict.to, -1)
        kernel.reach(table).count(info.key, [], [member.verdict.to], -1)
    if info.note.object:
        kernel.use(unpack(member.note, ElementNote).target, -1)
    kernel.ruleset.elements.delete(member.key)


def delete(run: Run, command: Command) -> None:
    """Delete members."""
    from tcemu.nft.intervals import remove

    scope, info, table = owner(run, command)
    remove(run.kernel, info, evaluate(scope, info, command.body), command, table.key)


def get(run: Run, command: Command) -> None:
    """Show the members that hold what is asked for."""
    from tcemu.nft.intervals import find

    scope, info, table = owner(run, command)
    if info.key in run.fresh:  # the kernel is asked at once, and does not have it yet
        raise KernelError(ENOENT, command.at)
    found = find(run.kernel, info, evaluate(scope, info, command.body), command)
    shown = run.ruleset.sets.get(info.key)
    assert shown is not None
    run.text.append(f"table {table.family} {table.name} {{\n{run.out.set_block(shown, members=found)}}}\n")
