"""The world as commands see it: what they read and write is kept here, and goes to the shelves in one go.

A line of a batch reads five records and writes seven, most of them the same ones as the line before. A `LedgerShelf` holds what was
got and what was put; whatever asks for more than one record by name (children, ranges, counts) gets everything written first. A batch
has one ledger; a command alone has its own (`tcemu.tc.work`). Notes in its records may be live (`tcemu.tc.notes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from tcemu.host import profile
from tcemu.host.model import Device, Host
from tcemu.ir.ruleset import Attachment, Chain, Object, Rule, Ruleset, Slot, Table
from tcemu.shelf import HIGHEST, LOWEST, Record, Shelf
from tcemu.tc.notes import IndexNote, look, pack, packed
from tcemu.world import Hardware, World, hardware_of

R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=Struct)
MANY: Final = 20_000  # records held back at most
TAGS: Final = 200_000  # tags remembered at most
MAX_INDEX: Final = 0xFFFFFFFF


class LedgerShelf(Generic[R]):
    """A shelf that writes later; it keeps the contract of `tcemu.shelf`."""

    __slots__ = ("_asked", "_dirty", "_known", "_tags", "_whole", "under")

    def __init__(self, under: Shelf[R]) -> None:
        self.under = under
        self._known: dict[str, R | None] = {}
        self._dirty: dict[str, None] = {}
        self._tags: dict[tuple[str, str], str] = {}
        self._asked: set[str] = set()  # parents that somebody looked for a tag under
        self._whole: set[str] = set()  # parents of which all tags are in _tags

    def look(self, key: str) -> R | None:
        """The record of that key, to look at only."""
        if key in self._known:
            return self._known[key]
        found = self._known[key] = self.under.get(key)
        return found

    def get(self, key: str) -> R | None:
        found: Any = self.look(key)
        return None if found is None else found.__copy__()

    def put(self, record: R) -> None:
        key = record.key
        tag = record.tag
        if key in self._dirty:
            self._give_up(key, tag)
        if tag:
            self._tags[record.parent, tag] = key
        self._known[key] = record
        self._dirty[key] = None
        if len(self._dirty) > MANY:
            self.flush()

    def _give_up(self, key: str, tag: str) -> None:
        """Forget the tag of what a record takes the place of; its turn comes after whoever gave up the tag that it has now."""
        old = self._known[key]
        if old is not None and old.tag != tag:
            self._tags.pop((old.parent, old.tag), None)
            del self._dirty[key]

    def delete(self, key: str) -> None:
        old = self.look(key)
        if old is not None:
            self._tags.pop((old.parent, old.tag), None)
            self._dirty.pop(key, None)
        self._known[key] = None
        self._dirty[key] = None

    def find(self, parent: str, tag: str) -> R | None:
        key = self._tags.get((parent, tag))
        if key is None:
            if parent in self._whole or self._nothing_under(parent):
                return None
            found = self.under.find(parent, tag)
            if found is None or found.key not in self._dirty:
                return found
            key = found.key
        known = self.get(key)
        return known if known is not None and known.parent == parent and known.tag == tag else None

    def _nothing_under(self, parent: str) -> bool:
        """Is all of a parent here? Looked into when a second tag is asked for."""
        if parent not in self._asked:
            self._asked.add(parent)
            return False
        if self.under.first(parent) is not None:
            return False
        self._whole.add(parent)
        return True

    def flush(self) -> None:
        """Write everything."""
        records: list[R] = []
        for key in self._dirty:
            record = self._known[key]
            if record is None:
                self.under.delete(key)
            else:
                records.append(record)
        put_all = getattr(self.under, "put_all", None) if len(records) > 1 else None
        if put_all is not None:
            put_all(records)
        else:
            self._put_each(records)
        self._dirty = {}
        self._known = {}
        if len(self._tags) > TAGS:
            self._tags, self._whole = {}, set()

    def _put_each(self, records: list[R]) -> None:
        for record in records:
            note = getattr(record, "note", None)
            if note is not None:
                record.note = packed(note)  # type: ignore[attr-defined]
            self.under.put(record)

    def _written(self) -> Shelf[R]:
        self.flush()
        return self.under

    def children(self, parent: str) -> list[R]:
        return self._written().children(parent)

    def between(self, parent: str, low: int, high: int) -> list[R]:
        return self._written().between(parent, low, high)

    def read(self, parent: str, kind: type[N], low: int = LOWEST, high: int = HIGHEST) -> Iterator[N]:
        return self._written().read(parent, kind, low, high)

    def scan(self, kind: type[N]) -> Iterator[N]:
        return self._written().scan(kind)

    def last(self, parent: str) -> R | None:
        return self._written().last(parent)

    def first(self, parent: str) -> R | None:
        return self._written().first(parent)

    def count(self, parent: str) -> int:
        return self._written().count(parent)

    def clear(self, parent: str) -> None:
        self._written().clear(parent)
        self._tags = {}
        self._whole = set()

    def __iter__(self) -> Iterator[R]:
        return iter(self._written())

    def __len__(self) -> int:
        return len(self._written())


class Ledger:
    """A `World` over another one, for the length of a command or of a batch."""

    def __init__(self, world: World) -> None:
        rules, host = world.ruleset, world.host
        self.strict: bool = world.strict
        self.profile = profile.of(world)
        self.under = world
        self.tables: LedgerShelf[Table] = LedgerShelf(rules.tables)
        self.chains: LedgerShelf[Chain] = LedgerShelf(rules.chains)
        self.slots: LedgerShelf[Slot] = LedgerShelf(rules.slots)
        self.rules: LedgerShelf[Rule] = LedgerShelf(rules.rules)
        self.objects: LedgerShelf[Object] = LedgerShelf(rules.objects)
        self.attachments: LedgerShelf[Attachment] = LedgerShelf(rules.attachments)
        self.devices: LedgerShelf[Device] = LedgerShelf(host.devices)
        self.shelves: dict[str, LedgerShelf[Any]] = {
            "tables": self.tables,
            "chains": self.chains,
            "slots": self.slots,
            "rules": self.rules,
            "objects": self.objects,
            "attachments": self.attachments,
        }
        self._indexes: dict[str, IndexNote] = {}
        self._changed: set[str] = set()  # kinds of actions of which indexes were taken or given back
        self._moment = -1
        self.ways: dict[tuple[str, int], tuple[str, int]] = {}  # device and parent -> block and qdisc, see tcemu.tc.places
        self.ruleset = Ruleset(
            self.tables,
            self.chains,
            self.slots,
            self.rules,
            self.objects,
            self.attachments,
            rules.sets,
            rules.elements,
            rules.flowtables,
        )
        self.host = Host(self.devices, host.addresses, host.routes, host.neighbours, host.sysctls, host.counters)

    @property
    def hardware(self) -> Hardware | None:
        """The offload backend of the world below."""
        return hardware_of(self.under)

    def now(self) -> int:
        """The time; all lines of a batch have the same."""
        if self._moment < 0:
            self._moment = self.under.now()
        return self._moment

    def transaction(self) -> AbstractContextManager[None]:
        """The batch's own is open; a line writes nothing unless it succeeds (`tcemu.tc.work`)."""
        return nullcontext()

    def write(self, shelf: str, key: str, record: Record | None) -> None:
        """Put a record, or remove that of the key."""
        drawer = self.shelves[shelf]
        if record is None:
            drawer.delete(key)
        else:
            drawer.put(record)
        if shelf == "tables" and self.ways and (record is None or record.parent.startswith(("tc qdisc", "tc root"))):
            self.ways = {}

    def indexes(self, kind: str) -> IndexNote:
        """The free indexes of a kind of action, to look at only."""
        note = self._indexes.get(kind)
        if note is None:
            record = self.tables.look(f"tc index {kind}")
            note = self._indexes[kind] = look(IndexNote, record.note) if record is not None else IndexNote([(1, MAX_INDEX)])
        return note

    def keep_indexes(self, kind: str, note: IndexNote) -> None:
        """The free indexes of a kind of action after a command."""
        self._indexes[kind] = note
        self._changed.add(kind)

    def flush(self) -> None:
        """Write everything."""
        for kind in self._changed:
            note = pack(self._indexes[kind])
            self.tables.put(Table(key=f"tc index {kind}", parent="tc index", family="tc index", name=kind, note=note))
        self._changed = set()
        for shelf in self.shelves.values():
            shelf.flush()
        self.devices.flush()


def ledger_of(world: World) -> Ledger:
    """The world's ledger, if it is one; else a new one."""
    return world if isinstance(world, Ledger) else Ledger(world)
