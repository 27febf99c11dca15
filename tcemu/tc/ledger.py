"""The world as a batch sees it: what its lines read and write again and again is kept here, and goes to the shelves in one go.

A line of a batch reads five records and writes seven, most of them the same ones as the line before. A `LedgerShelf` holds what was
got and what was put; whatever asks for more than one record by name (children, ranges, counts) gets everything written first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from tcemu.host import profile
from tcemu.host.model import Host
from tcemu.ir.ruleset import Ruleset
from tcemu.shelf import HIGHEST, LOWEST, Record, Shelf
from tcemu.world import World

R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=Struct)
MANY: Final = 20_000  # records held back at most


class LedgerShelf(Generic[R]):
    """A shelf that writes later; it keeps the contract of `tcemu.shelf`."""

    __slots__ = ("_dirty", "_known", "_tags", "under")

    def __init__(self, under: Shelf[R]) -> None:
        self.under = under
        self._known: dict[str, R | None] = {}
        self._dirty: dict[str, None] = {}
        self._tags: dict[tuple[str, str], str] = {}

    def get(self, key: str) -> R | None:
        known = self._known
        if key in known:
            found = known[key]
        else:
            found = known[key] = self.under.get(key)
        return None if found is None else copy(found)

    def put(self, record: R) -> None:
        key = record.key
        if key in self._dirty:
            old = self._known[key]
            if old is not None and old.tag != record.tag:
                self._tags.pop((old.parent, old.tag), None)
                del self._dirty[key]  # its turn comes after whoever gave that tag up
        self._known[key] = record
        self._dirty[key] = None
        if record.tag:
            self._tags[record.parent, record.tag] = key
        if len(self._dirty) > MANY:
            self.flush()

    def delete(self, key: str) -> None:
        old = self.get(key)
        if old is not None:
            self._tags.pop((old.parent, old.tag), None)
            self._dirty.pop(key, None)
        self._known[key] = None
        self._dirty[key] = None

    def find(self, parent: str, tag: str) -> R | None:
        key = self._tags.get((parent, tag))
        if key is None:
            found = self.under.find(parent, tag)
            if found is None or found.key not in self._dirty:
                return found
            key = found.key
        known = self.get(key)
        return known if known is not None and (known.parent, known.tag) == (parent, tag) else None

    def flush(self) -> None:
        """Write everything."""
        changed = [(key, self._known[key]) for key in self._dirty]
        for key, record in changed:
            if record is None:
                self.under.delete(key)
        records = [record for _, record in changed if record is not None]
        put_all = getattr(self.under, "put_all", None)
        if put_all is not None:
            put_all(records)
        else:
            for record in records:
                self.under.put(record)
        self._dirty.clear()
        self._known.clear()
        self._tags.clear()

    def _whole(self) -> Shelf[R]:
        self.flush()
        return self.under

    def children(self, parent: str) -> list[R]:
        return self._whole().children(parent)

    def between(self, parent: str, low: int, high: int) -> list[R]:
        return self._whole().between(parent, low, high)

    def read(self, parent: str, kind: type[N], low: int = LOWEST, high: int = HIGHEST) -> Iterator[N]:
        return self._whole().read(parent, kind, low, high)

    def last(self, parent: str) -> R | None:
        return self._whole().last(parent)

    def first(self, parent: str) -> R | None:
        return self._whole().first(parent)

    def count(self, parent: str) -> int:
        return self._whole().count(parent)

    def clear(self, parent: str) -> None:
        self._whole().clear(parent)

    def __iter__(self) -> Iterator[R]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())


class Ledger:
    """A `World` over another one, for the length of a batch."""

    def __init__(self, world: World) -> None:
        rules, host = world.ruleset, world.host
        self.strict = world.strict
        self.profile = profile.of(world)
        self.under = world
        self.kept: list[LedgerShelf[Any]] = [
            LedgerShelf(shelf)
            for shelf in (rules.tables, rules.chains, rules.slots, rules.rules, rules.objects, rules.attachments, host.devices)
        ]
        tables, chains, slots, filters, objects, attachments, devices = self.kept
        self.ruleset = Ruleset(tables, chains, slots, filters, objects, attachments, rules.sets, rules.elements, rules.flowtables)
        self.host = Host(devices, host.addresses, host.routes, host.neighbours, host.sysctls, host.counters)

    def now(self) -> int:
        """The time."""
        return self.under.now()

    def transaction(self) -> AbstractContextManager[None]:
        """The batch's own is open; a line writes nothing unless it succeeds (`tcemu.tc.work`)."""
        return nullcontext()

    def flush(self) -> None:
        """Write everything."""
        for shelf in self.kept:
            shelf.flush()
