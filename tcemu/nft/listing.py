"""The list and reset commands: which tables and parts of tables are shown. Source: nftables src/rule.c (do_command_list)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Count, Quota
from tcemu.ir.ruleset import Object, Table
from tcemu.nft.errors import NftError
from tcemu.nft.notes import SetNote, unpack
from tcemu.nft.objects import NOUNS
from tcemu.nft.refusal import ENOENT, KernelError
from tcemu.nft.show import in_place
from tcemu.nft.tree import Command, Spec

if TYPE_CHECKING:
    from tcemu.nft.run import Run

FAMILIES: Final = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
ALONE: Final = ("table", "chain", "set", "map")  # listed one by one


def tables(run: Run, family: str = "") -> list[Table]:
    """Tables in the order of their handles."""
    found = [table for name in ([family] if family else FAMILIES) for table in run.ruleset.tables.children(name)]
    return sorted(found, key=lambda table: table.rank)


def show(run: Run, command: Command, resets: bool = False) -> None:
    """Do a list command, or show what a reset command found: that is silent about tables without any."""
    what = command.what
    if run.as_json:
        from tcemu.nft.show_json import listing

        check(run, command)
        run.listed = True
        run.json += listing(run, command)
        return
    check(run, command)
    spec = command.spec
    if what == "ruleset":
        run.text += [run.out.table_block(table) for table in tables(run, spec.family)]
    elif what == "tables":
        run.text += [f"table {table.family} {table.name}\n" for table in tables(run, spec.family)]
    elif what == "table":
        run.text.append(run.out.table_block(table_of(run, spec)))
    elif what == "hooks":
        return
    else:
        _parts(run, what, spec, resets)


def table_of(run: Run, spec: Spec) -> Table:
    """The table of a listing."""
    table = run.ruleset.tables.get(f"{spec.family} {spec.table}")
    if table is None:
        raise run.cache.table_not_found(spec.table, spec.table_at)
    return table


def check(run: Run, command: Command) -> None:
    """What is listed must be there."""
    spec, what = command.spec, command.what
    if not spec.table:
        return
    if what in ALONE and run.alone:  # nothing else was asked of the kernel, so that nothing else can have been meant
        try:
            _check(run, what, spec)
        except NftError as error:
            raise NftError("No such file or directory", *error.places) from None
    else:
        _check(run, what, spec)


def _check(run: Run, what: str, spec: Spec) -> None:
    table = table_of(run, spec)
    if not spec.name:
        return
    if what == "chain":
        chain = run.ruleset.chains.get(f"{table.key}/{spec.name}")
        if chain is not None and not in_place(chain):
            return
        raise run.cache.chain_not_found(spec.name, spec.name_at)
    if what in ("set", "map", "meter"):
        record = run.ruleset.sets.get(f"{table.key}/set {spec.name}")
        if record is None or record.anonymous:
            raise run.cache.set_not_found(spec.name, spec.name_at)
        if kind_of_set(unpack(record.note, SetNote)) != what:
            raise NftError("No such file or directory", spec.name_at)
    if what == "flowtable" and run.ruleset.flowtables.get(f"{table.key}/flowtable {spec.name}") is None:
        raise run.cache.flowtable_not_found(spec.name, spec.name_at)
    if what in NOUNS and run.ruleset.objects.get(f"{table.key}/{what} {spec.name}") is None:
        raise run.cache.object_not_found(spec.name, spec.name_at)


def kind_of_set(note: SetNote) -> str:
    """set, map or meter."""
    return "meter" if note.meter else "map" if note.data_types or note.object else "set"


def _parts(run: Run, what: str, spec: Spec, resets: bool) -> None:
    """Listings of one kind of thing, table by table."""
    many = what.endswith("s") and what not in NOUNS
    singular = what[:-1] if many else what
    everywhere = what == "sets"  # nft 1.0.6 lists the sets of all tables of the family even where it is told a table
    chosen = [table_of(run, spec)] if spec.table and not everywhere else tables(run, spec.family)
    for table in chosen:
        blocks = _blocks(run, table, singular, spec.name)
        if singular in NOUNS and (not run.ruleset.objects.children(table.key) or (resets and not blocks)):
            continue
        run.text.append(f"table {table.family} {table.name} {{\n{''.join(blocks)}}}\n")


def _blocks(run: Run, table: Table, what: str, name: str) -> list[str]:
    out = run.out
    if what == "chain":
        chains = [chain for chain in run.ruleset.chains.children(table.key) if not in_place(chain)]
        return [out.chain_block(chain, rules=bool(name)) for chain in chains if not name or chain.name == name]
    if what in ("set", "map", "meter"):
        records = [record for record in run.ruleset.sets.children(table.key) if not record.anonymous]
        records = [record for record in records if kind_of_set(unpack(record.note, SetNote)) == what]
        return [out.set_block(record) for record in records if not name or record.name == name]
    if what == "flowtable":
        records_ft = run.ruleset.flowtables.children(table.key)
        return [out.flowtable_block(record) for record in records_ft if not name or record.name == name]
    return [out.object_block(record) for record in out.objects(table.key) if record.kind == what and (not name or record.name == name)]


# ---------------------------------------------------------------- reset
def reset(run: Run, command: Command) -> None:
    """List counters or quotas and set them to nought."""
    spec = command.spec
    if spec.name and run.ruleset.objects.get(f"{table_of(run, spec).key}/{command.what} {spec.name}") is None:
        raise KernelError(ENOENT, command.at)
    show(run, command, resets=True)
    what = command.what.rstrip("s") if command.what not in NOUNS else command.what
    chosen = [table_of(run, command.spec)] if command.spec.table else tables(run, command.spec.family)
    for table in chosen:
        for record in run.ruleset.objects.children(table.key):
            if record.kind == what and command.spec.name in ("", record.name):
                _clear(record)
                run.ruleset.objects.put(record)


def _clear(record: Object) -> None:
    effect: Any = record.effect
    if isinstance(effect, Count):
        effect.stats.packets = effect.stats.bytes = 0
    elif isinstance(effect, Quota) and effect.stats is not None:
        effect.stats.extra.clear()
