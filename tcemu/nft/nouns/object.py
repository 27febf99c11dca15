"""Named objects: add, delete. What they are is in `tcemu.nft.objects`. Source: Linux nf_tables_api.c (nf_tables_newobj, nf_tables_delobj)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.ruleset import Object
from tcemu.nft.kernel import check_name, missing
from tcemu.nft.notes import ObjectNote, pack
from tcemu.nft.objects import evaluate, place_of
from tcemu.nft.refusal import EBUSY, EEXIST, ENOENT, KernelError
from tcemu.nft.tree import Command

if TYPE_CHECKING:
    from tcemu.nft.run import Run


def add(run: Run, command: Command) -> None:
    """Add an object; one that is there stays."""
    spec = command.spec
    run.cache.need_table(spec.family, spec.table, spec.table_at)
    config, effect = evaluate(command, spec.family)
    table = run.kernel.table(spec.outer())
    check_name(spec.name, spec.name_at)
    key = f"{table.key}/{command.what} {spec.name}"
    if run.ruleset.objects.get(key) is not None:
        if command.op == "create":
            raise KernelError(EEXIST, spec.name_at)
        return
    handle = run.kernel.next_handle(table)
    if command.what == "secmark" and run.world.strict:
        _no_security(command)
    comment = command.body.values.get("comment") if command.body is not None else None
    made = Object(key=key, parent=table.key, rank=handle, kind=command.what, name=spec.name, effect=effect)
    made.note = pack(ObjectNote(handle, comment, config))
    run.ruleset.objects.put(made)
    run.kernel.tell("object", made)


def _no_security(command: Command) -> None:
    """Contexts are SELinux's, which the machine does not have: ENOENT (nft_meta.c nft_secmark_compute_secid)."""
    raise KernelError(ENOENT, place_of(command))


def delete(run: Run, command: Command) -> None:
    """Delete an object that nothing uses."""
    spec = command.spec
    table = run.kernel.table_with(run.ruleset.objects, spec)
    record = run.named(table, run.ruleset.objects, spec, ObjectNote, f"{table.key}/{command.what} {spec.name}")
    if record is None or record.kind != command.what:
        if command.op == "destroy":
            return
        raise missing(run.cache.object_not_found(spec.name, spec.name_at)) if spec.name else KernelError(ENOENT, spec.name_at)
    if record.bound:
        raise KernelError(EBUSY, spec.name_at)
    run.ruleset.objects.delete(record.key)
