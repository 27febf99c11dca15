"""The kernel's side of a run: what is there, handles, and who points to what. Changes themselves are made in `tcemu.nft.nouns`.

Keys are those of `tcemu.ir.ruleset`: table "<family> <name>", chain "<table>/<chain>", rule "<chain>/<handle>", set
"<table>/set <name>". Handles are given out as the kernel does: tables from one counter, all else from the table's.
Source: Linux net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tcemu.ir.ruleset import Chain, Object, Rule, Ruleset, Table
from tcemu.nft.cache import Cache, set_key
from tcemu.nft.errors import NftError
from tcemu.nft.notes import ChainNote, FlowtableNote, RuleNote, SetNote, TableNote, pack, unpack
from tcemu.nft.reach import Reach
from tcemu.nft.refusal import ENOENT, EOPNOTSUPP, ERANGE, KernelError, Missing
from tcemu.nft.tree import At, Spec

STATE: Final = "nft state"  # the record that counts what outlives tables
NAME_MAX: Final = 255  # NFT_NAME_MAXLEN - 1


def check_name(name: str, at: At) -> None:
    """Names are no longer than the kernel takes."""
    if len(name) > NAME_MAX:
        raise KernelError(ERANGE, at)


class Told(NamedTuple):
    """Something that a run added: kind, record, the word of the command, of a rule the one that it stands behind and the one that it replaced."""

    kind: str
    record: Any
    op: str = "add"
    place: int = 0
    replaced: int = 0


class Kernel:
    """One ruleset, as a run changes it."""

    def __init__(self, ruleset: Ruleset, cache: Cache) -> None:
        self.ruleset = ruleset
        self.cache = cache
        self._reach: dict[str, Reach] = {}
        self._given: dict[str, tuple[int, int]] = {}  # tables, with the last handle that they gave
        self._tables = 0
        self.added = False
        self.told: list[Told] | None = None  # what a run adds, where it is asked for

    def tell(self, kind: str, record: Any, op: str = "add", place: int = 0, replaced: int = 0) -> None:
        """Something was added."""
        self.added = True
        if self.told is not None:
            self.told.append(Told(kind, record, op, place, replaced))

    def generation(self, more: int = 0) -> int:
        """The number of the ruleset's generation; ``more`` came now (nf_tables_commit counts them, from 1)."""
        state = self.ruleset.objects.get(STATE) or Object(key=STATE, parent=STATE, kind=STATE)
        if more:
            state.stats.extra["generation"] = state.stats.extra.get("generation", 1) + more
            self.ruleset.objects.put(state)
        return state.stats.extra.get("generation", 1)

    # ------------------------------------------------------------ lookups
    def table(self, spec: Spec) -> Table:
        """The table that a command names, or ENOENT at its name."""
        if spec.handle is not None and not spec.table:
            for record in self.ruleset.tables.children(spec.family):
                if unpack(record.note, TableNote).handle == spec.handle:
                    return record
            raise KernelError(ENOENT, spec.handle_at)
        found = self.ruleset.tables.get(f"{spec.family} {spec.table}")
        if found is None:
            raise missing(self.cache.table_not_found(spec.table, spec.table_at))
        return found

    def table_with(self, shelf: Any, spec: Spec) -> Table:
        """The table of something on a shelf that a command names."""
        if self.ruleset.tables.get(f"{spec.family} {spec.table}") is None:
            raise missing(self.cache.table_of_not_found(shelf, spec.name, spec.table_at))
        return self.table(spec.outer())

    def chain_of_rule(self, spec: Spec, placed: bool = False) -> Chain:
        """The chain of a rule; where it is not there, nft has its own guesses at what was meant.

        placed: the rule has a place among others, so that nft itself looks for the chain.
        """
        table = self.ruleset.tables.get(f"{spec.family} {spec.table}")
        if table is None and placed:
            raise self.cache.table_not_found(spec.table, spec.table_at)
        if table is None:
            raise missing(self.cache.table_of_not_found(self.ruleset.chains, spec.name, spec.table_at))
        found = self.ruleset.chains.get(f"{table.key}/{spec.name}")
        if found is None:
            hint = self.cache.chain_not_found(spec.name, spec.name_at, table.key)
            raise hint if placed else missing(hint)
        return found

    def chain(self, spec: Spec) -> Chain:
        """The chain that a command names."""
        table = self.table_with(self.ruleset.chains, spec)
        if spec.handle is not None and not spec.name:
            for record in self.ruleset.chains.children(table.key):
                if unpack(record.note, ChainNote).handle == spec.handle:
                    return record
            raise KernelError(ENOENT, spec.handle_at)
        found = self.ruleset.chains.get(f"{table.key}/{spec.name}")
        if found is None:
            raise missing(self.cache.chain_not_found(spec.name, spec.name_at))
        return found

    def exists(self, key: str) -> bool:
        """Is there a chain, set, object or flowtable of that key?"""
        shelves = self.ruleset
        return any(shelf.get(key) is not None for shelf in (shelves.chains, shelves.sets, shelves.objects, shelves.flowtables))

    def check_jump(self, key: str, at: At) -> None:
        """Jumps to base chains are not possible."""
        chain = self.ruleset.chains.get(key)
        if chain is not None and unpack(chain.note, ChainNote).hook:
            raise KernelError(EOPNOTSUPP, at)

    # ------------------------------------------------------------ handles
    def next_table_handle(self) -> int:
        """The next handle of a table; the counter outlives tables."""
        state = self.ruleset.objects.get(STATE) or Object(key=STATE, parent=STATE, kind=STATE)
        state.bound += 1
        self.ruleset.objects.put(state)
        self._tables = state.bound
        return state.bound

    def next_registration(self) -> int:
        """The rank of a hook that is registered now; it grows over all tables (nf_hook_entries_grow puts the newest first)."""
        state = self.ruleset.objects.get(STATE) or Object(key=STATE, parent=STATE, kind=STATE)
        state.rank += 1
        self.ruleset.objects.put(state)
        return state.rank

    def next_handle(self, table: Table) -> int:
        """The next handle inside a table."""
        note = unpack(table.note, TableNote)
        note.next += 1
        table.note = pack(note)
        self.ruleset.tables.put(table)
        self._given[table.key] = (note.handle, note.next)
        return note.next

    def next_name(self, table: Table, stem: str) -> str:
        """The first name of a stem and a number that no set of the table has (nf_tables_set_alloc_name)."""
        note = unpack(table.note, TableNote)
        number = note.taken.get(stem, 0)
        while self.ruleset.sets.get(set_key(table.family, table.name, f"{stem}{number}")) is not None:
            number += 1
        note.taken[stem] = number + 1
        table.note = pack(note)
        self.ruleset.tables.put(table)
        return f"{stem}{number}"

    def _free_name(self, key: str) -> None:
        """The name of an anonymous set may be given again."""
        parent, _slash, name = key.rpartition("/set ")
        table = self.ruleset.tables.get(parent)
        if table is None:
            return
        stem = name.rstrip("0123456789")
        note = unpack(table.note, TableNote)
        note.taken[stem] = min(note.taken.get(stem, 0), int(name[len(stem) :]))
        table.note = pack(note)
        self.ruleset.tables.put(table)

    def keep_handles(self) -> None:
        """After a run that was undone: handles that were given are not given again (nf_tables_alloc_handle)."""
        for key, (handle, last) in self._given.items():
            table = self.ruleset.tables.get(key)
            note = unpack(table.note, TableNote) if table is not None else None
            if table is not None and note is not None and note.handle == handle and note.next < last:
                note.next = last
                table.note = pack(note)
                self.ruleset.tables.put(table)
        if self._tables:
            state = self.ruleset.objects.get(STATE) or Object(key=STATE, parent=STATE, kind=STATE)
            state.bound = max(state.bound, self._tables)
            self.ruleset.objects.put(state)

    # ------------------------------------------------------------ ways through chains
    def reach(self, table: str) -> Reach:
        """The graph of a table's chains."""
        found = self._reach.get(table)
        if found is None:
            found = self._reach[table] = Reach(self.ruleset, table)
        return found

    def forget(self, table: str) -> None:
        """The graph of a table is no longer right."""
        found = self._reach.pop(table, None)
        if found is not None:
            found.save()

    def save(self) -> None:
        """Keep what the graphs counted."""
        for reach in self._reach.values():
            reach.save()

    # ------------------------------------------------------------ uses
    def use(self, key: str, count: int) -> None:
        """A rule or element begins or ends to point to a chain, set, object or flowtable."""
        chain = self.ruleset.chains.get(key)
        if chain is not None:
            self._use_chain(chain, count)
            return
        record = self.ruleset.sets.get(key)
        if record is not None:
            note = unpack(record.note, SetNote)
            note.uses += count
            record.note = pack(note)
            self.ruleset.sets.put(record)
            self.cache.forget(key)
            return
        thing = self.ruleset.objects.get(key)
        if thing is not None:
            thing.bound += count
            self.ruleset.objects.put(thing)
            return
        flowtable = self.ruleset.flowtables.get(key)
        if flowtable is not None:
            own = unpack(flowtable.note, FlowtableNote)
            own.uses += count
            flowtable.note = pack(own)
            self.ruleset.flowtables.put(flowtable)

    def _use_chain(self, chain: Chain, count: int) -> None:
        note = unpack(chain.note, ChainNote)
        note.uses += count
        if note.binding and note.uses <= 0:  # a chain written in place goes with its rule
            self.flush(chain)
            self.ruleset.chains.delete(chain.key)
            return
        chain.note = pack(note)
        self.ruleset.chains.put(chain)

    # ------------------------------------------------------------ rules
    def flush(self, chain: Chain) -> None:
        """Remove a chain's rules."""
        for rule in self.ruleset.rules.children(chain.key):
            self.drop_rule(rule)

    def drop_rule(self, rule: Rule) -> None:
        """Remove a rule, its anonymous sets, and what it held."""
        note = unpack(rule.note, RuleNote)
        self.ruleset.rules.delete(rule.key)
        chain = self.ruleset.chains.get(rule.parent)
        if chain is not None:
            self.reach(chain.parent).count(chain.key, note.needs, note.uses, -1)
        for key in note.uses:
            self.use(key, -1)
        for key in note.sets:
            self.ruleset.elements.clear(key)
            self.ruleset.sets.delete(key)
            self.cache.forget(key)
            self._free_name(key)


def unhinted(error: NftError) -> NftError:
    """ENOENT of commands for which nft makes no guesses."""
    return KernelError(ENOENT, *error.places) if "did you mean" in error.message else error


def missing(hint: NftError) -> NftError:
    """ENOENT, with nft's guess at what was meant if it has one."""
    if "did you mean" in hint.message:
        return Missing(hint.message, *hint.places)
    return KernelError(ENOENT, *hint.places)
