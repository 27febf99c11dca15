"""What a run knows of the ruleset: sets with their types, looked up by name, and what nft says of names that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tcemu.ir.effect import Effect
from tcemu.ir.ruleset import Ruleset, Table
from tcemu.nft.datatypes import TYPES, Datatype, concat_of, padded
from tcemu.nft.errors import NftError, closest
from tcemu.nft.notes import SetNote, pack, unpack
from tcemu.nft.tree import KERNEL, NOWHERE, At, Concat, Element, Expr, Stmt, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope


class SetInfo:
    """A set or map: its record's note, decoded, with types instead of names.

    ``concat``: for concatenations, typed stand-ins of the parts; ``elements``: evaluated members that are to be added.
    """

    def __init__(self, key: str, name: str, note: SetNote, anonymous: bool = False) -> None:
        self.key = key
        self.name = name
        self.note = note
        self.anonymous = anonymous
        self.at: At = NOWHERE
        self.size = 0
        self.elements: list[Element] = []
        self.stmts: list[Stmt] = []
        self.effects: list[Effect] = []  # of the statements of a set that was there before
        self.dtype, self.bits, self.concat = types_of(note.types, note.bits, note.orders)
        self.data: Datatype | None
        self.data, self.data_bits, self.data_concat = types_of(note.data_types, note.data_bits, note.data_orders)

    @property
    def interval(self) -> bool:
        return "interval" in self.note.flags

    @property
    def verdicts(self) -> bool:
        return self.note.data_types == ["verdict"]

    @property
    def is_map(self) -> bool:
        return bool(self.note.data_types) or bool(self.note.object)

    @property
    def noun(self) -> str:
        return "map" if self.is_map else "set"

    @property
    def order(self) -> str:
        return self.note.orders[0] if len(self.note.orders) == 1 else ""


def types_of(names: list[str], bits: list[int], orders: list[str]) -> tuple[Any, int, Concat | None]:
    """The type of a key or of data, its width, and the stand-ins of a concatenation's parts."""
    if not names:
        return None, 0, None
    parts = [TYPES[name] for name in names]
    if len(parts) == 1:
        return parts[0], bits[0], None
    stand_ins: list[Expr] = [Value(NOWHERE, 0).typed(part, width, order) for part, width, order in zip(parts, bits, orders, strict=True)]
    dtype = concat_of(tuple(parts))
    concat: Concat = Concat(NOWHERE, stand_ins).typed(dtype, sum(padded(width) for width in bits), "")
    return dtype, concat.bits, concat


class Cache:
    """Lookups in a ruleset for one run."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self._sets: dict[str, SetInfo] = {}
        self.undefined: set[str] = set()  # sets whose definition says no type

    def forget(self, key: str = "") -> None:
        """A set changed, or all did."""
        if key:
            self._sets.pop(key, None)
        else:
            self._sets.clear()

    def know(self, info: SetInfo) -> None:
        """A set whose definition has been read."""
        self._sets[info.key] = info

    def info(self, key: str) -> SetInfo | None:
        """A set by its key."""
        known = self._sets.get(key)
        if known is None:
            record = self.ruleset.sets.get(key)
            if record is None:
                return None
            known = self._sets[key] = SetInfo(key, record.name, unpack(record.note, SetNote), record.anonymous)
            known.at = KERNEL
            known.effects = record.effects
        return known

    def set(self, scope: Scope, name: str, at: At) -> SetInfo:
        """The set of that name in the scope's table."""
        self.need_table(scope.family, scope.table, scope.table_at)
        key = set_key(scope.family, scope.table, name)
        found = self.info(key)
        if (
            found is None and key in self.undefined and len(name) > 1
        ):  # nft looks for the nearest one among those too whose definition was wrong
            raise _hint(f"set ‘{name}’ in table {scope.family} ‘{scope.table}’", at)
        if found is None:
            raise self.set_not_found(name, at)
        return found

    def next_anonymous(self, scope: Scope) -> int:
        """A number for a chain written in place that the table does not have yet."""
        table = f"{scope.family} {scope.table}"
        number = len(scope.chains)
        while self.ruleset.chains.get(f"{table}/__chain{number}") is not None:
            number += 1
        return number

    def need_table(self, family: str, table: str, at: At) -> None:
        """The table must be there."""
        if self.ruleset.tables.get(f"{family} {table}") is None:
            raise self.table_not_found(table, at)

    # ------------------------------------------------------------ what was meant
    def _tables(self) -> list[Table]:
        """All tables, oldest first."""
        return sorted((record for record in self.ruleset.tables if record.family in FAMILIES), key=lambda record: record.rank)

    def table_not_found(self, name: str, at: At) -> NftError:
        tables = self._tables()
        near = closest(name, [record.name for record in tables])
        found = next((record for record in tables if record.name == near), None)
        return _hint(f"table ‘{near}’ in family {found.family}" if found is not None else "", at)

    def table_of_not_found(self, shelf: Any, name: str, at: At) -> NftError:
        """The table of something is not there: it may be the one that has a thing of that name (nftables src/cmd.c nft_cmd_enoent)."""
        records = [record for table in self._tables() for record in shelf.children(table.key)]
        near = closest(name, [record.name for record in records])
        family, _, table = next((record.parent for record in records if record.name == near), "").partition(" ")
        return _hint(f"table ‘{table}’ in family {family}" if near else "", at)

    def chain_not_found(self, name: str, at: At, within: str = "") -> NftError:
        """A chain is not there; ``within``: only those of this table are meant."""
        tables = [within] if within else [table.key for table in self._tables()]
        return self._near("chain", [record for key in tables for record in self.ruleset.chains.children(key)], name, at)

    def set_not_found(self, name: str, at: At) -> NftError:
        sets = [record for table in self._tables() for record in self.ruleset.sets.children(table.key) if not record.anonymous]
        near = closest(name, [record.name for record in sets])
        found = next((record for record in sets if record.name == near), None)
        noun = "map" if found is not None and unpack(found.note, SetNote).data_types else "set"
        return self._near(noun, sets, name, at)

    def flowtable_not_found(self, name: str, at: At) -> NftError:
        flowtables = [record for table in self._tables() for record in self.ruleset.flowtables.children(table.key)]
        return self._near("flowtable", flowtables, name, at)

    def object_not_found(self, name: str, at: At) -> NftError:
        objects = [record for table in self._tables() for record in self.ruleset.objects.children(table.key)]
        return self._near("obj", objects, name, at)

    def _near(self, noun: str, records: Sequence[Any], name: str, at: At) -> NftError:
        """The record whose name is nearest, in words."""
        near = closest(name, [record.name for record in records])
        if not near:
            return _hint("", at)
        family, _, table = next(record.parent for record in records if record.name == near).partition(" ")
        return _hint(f"{noun} ‘{near}’ in table {family} ‘{table}’", at)


def _hint(meant: str, at: At) -> NftError:
    return NftError(f"No such file or directory; did you mean {meant}?" if meant else "No such file or directory", at)


FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")


def set_key(family: str, table: str, name: str) -> str:
    """The key of a set on its shelf."""
    return f"{family} {table}/set {name}"


__all__ = ["FAMILIES", "Cache", "SetInfo", "pack", "set_key", "types_of"]
