"""Flowtables: add, delete, and their devices. Source: Linux net/netfilter/nf_tables_api.c (nf_tables_newflowtable, nf_tables_delflowtable)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.ruleset import Flowtable
from tcemu.nft.define import devices, priority
from tcemu.nft.errors import NftError
from tcemu.nft.kernel import check_name, missing
from tcemu.nft.notes import FlowtableNote, pack, unpack
from tcemu.nft.refusal import EBUSY, EEXIST, ENOENT, EOPNOTSUPP, KernelError
from tcemu.nft.tree import Command
from tcemu.world import hardware_of

if TYPE_CHECKING:
    from tcemu.nft.run import Run


def add(run: Run, command: Command) -> None:
    """Add a flowtable, or devices to one that is there."""
    spec, values = command.spec, command.body.values
    run.cache.need_table(spec.family, spec.table, spec.table_at)
    hook = values.get("hook", "ingress")
    if hook != "ingress":
        raise NftError(f"invalid hook {hook}", command.body.at)
    rank = priority(values["priority"], "netdev", "ingress") if "priority" in values else 0
    names = devices(values.get("devices", []))
    table = run.kernel.table(spec.outer())
    check_name(spec.name, spec.name_at)
    if "nf_flow_table" in run.missing:
        raise KernelError(ENOENT, spec.name_at)
    key = f"{table.key}/flowtable {spec.name}"
    known = run.ruleset.flowtables.get(key)
    for name in names:
        run.need_device(name, command.at)
    if known is not None:
        if command.op == "create":
            raise KernelError(EEXIST, spec.name_at)
        known.devices = tuple(dict.fromkeys([*known.devices, *names]))
        run.ruleset.flowtables.put(known)
        return
    flags = ["offload"] if values.get("offload") else []
    if flags and run.world.strict and not bound(run, names):
        raise KernelError(EOPNOTSUPP, spec.name_at)
    handle = run.kernel.next_handle(table)
    made = Flowtable(key=key, parent=table.key, rank=handle, name=spec.name, devices=tuple(names), priority=rank)
    made.counter, made.hardware = bool(values.get("counter")), bool(flags)
    made.note = pack(FlowtableNote(handle, "ingress", flags))
    run.ruleset.flowtables.put(made)
    run.kernel.tell("flowtable", made)


def bound(run: Run, names: list[str]) -> bool:
    """Do all devices belong to hardware that takes flows (nf_flow_table_offload_setup)? Recorded: a tap does not."""
    hardware = hardware_of(run.world)
    return not names or (hardware is not None and all(hardware.takes(name) for name in names))


def delete(run: Run, command: Command) -> None:
    """Delete a flowtable that no rule uses, or take devices from it."""
    spec = command.spec
    table = run.kernel.table_with(run.ruleset.flowtables, spec)
    record = run.named(table, run.ruleset.flowtables, spec, FlowtableNote, f"{table.key}/flowtable {spec.name}")
    if record is None:
        if command.op == "destroy":
            return
        raise missing(run.cache.flowtable_not_found(spec.name, spec.name_at))
    if command.body is not None:
        gone = devices(command.body.values.get("devices", []))
        if not set(gone) <= set(record.devices):
            raise KernelError(ENOENT, command.at)
        record.devices = tuple(name for name in record.devices if name not in gone)
        run.ruleset.flowtables.put(record)
        return
    if unpack(record.note, FlowtableNote).uses:
        raise KernelError(EBUSY, spec.name_at)
    run.ruleset.flowtables.delete(record.key)
