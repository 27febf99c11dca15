"""Shelves: ordered, keyed collections of records, so that a command touches only what it names.

A ruleset, the host model and the conntrack table are each a few shelves. In memory a shelf is three
dictionaries; in a session it is one SQLite table (`tcemu.session.store`). Both keep this contract:

* every record has ``key`` (unique in its shelf), ``parent`` (what it is listed under), ``rank`` (its place
  among its siblings, a 63-bit number; equal ranks keep key order) and ``tag`` (a second name, unique among
  siblings, or empty);
* a record that was got is a value: change it with `msgspec.structs.replace` or in place, and `put` it back;
* nothing iterates over a shelf while it puts into it, unless over a list it took first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.json import Decoder, encode


class Record(Struct, omit_defaults=True, kw_only=True):
    """What a shelf can hold."""

    key: str
    parent: str = ""
    rank: int = 0
    tag: str = ""


R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=Struct)
LOWEST: Final = -(1 << 63)  # ranks
HIGHEST: Final = (1 << 63) - 1


class Shelf(Protocol[R]):
    """The contract of every shelf."""

    def get(self, key: str) -> R | None:
        """The record of that key."""

    def put(self, record: R) -> None:
        """Add the record, or put it in place of the one with its key."""

    def delete(self, key: str) -> None:
        """Remove the record of that key, if there is one."""

    def find(self, parent: str, tag: str) -> R | None:
        """The child with that tag."""

    def children(self, parent: str) -> list[R]:
        """All children in rank order."""

    def between(self, parent: str, low: int, high: int) -> list[R]:
        """The children with ``low <= rank <= high``, in rank order."""

    def read(self, parent: str, kind: type[N], low: int = LOWEST, high: int = HIGHEST) -> Iterator[N]:
        """`between`, one after the other, with no more of each than a narrower Struct asks for, which has some of a record's fields."""

    def last(self, parent: str) -> R | None:
        """The child of highest rank."""

    def first(self, parent: str) -> R | None:
        """The child of lowest rank."""

    def count(self, parent: str) -> int:
        """How many children there are."""

    def clear(self, parent: str) -> None:
        """Remove all children."""

    def __iter__(self) -> Iterator[R]:
        """All records, by parent, rank and key."""

    def __len__(self) -> int: ...


@cache
def narrow(kind: type[N]) -> Decoder[N]:
    """What decodes records as a narrower Struct."""
    return Decoder(kind)


class TagError(AssertionError):
    """Two siblings were given the same tag: a slip of a front end, never of a user."""

    def __init__(self, parent: str, tag: str) -> None:
        super().__init__(f"two records under {parent!r} have the tag {tag!r}")


class MemoryShelf(Generic[R]):
    """A shelf in dictionaries, for rulesets that no session keeps."""

    __slots__ = ("_lasts", "_places", "_records", "_tags", "_under")

    def __init__(self) -> None:
        self._lasts: dict[str, R] = {}  # the last child of a parent, where it is known
        self._records: dict[str, R] = {}
        self._under: dict[str, dict[str, R]] = {}
        self._tags: dict[tuple[str, str], str] = {}
        # parent and tag as they were put: a record may have been changed in place since
        self._places: dict[str, tuple[str, str]] = {}

    def get(self, key: str) -> R | None:
        return self._records.get(key)

    def put(self, record: R) -> None:
        if record.tag and self._tags.get((record.parent, record.tag), record.key) != record.key:
            raise TagError(record.parent, record.tag)
        self.delete(record.key)
        self._records[record.key] = record
        siblings = self._under.setdefault(record.parent, {})
        siblings[record.key] = record
        last = self._lasts.get(record.parent)
        if len(siblings) == 1 if last is None else (record.rank, record.key) > (last.rank, last.key):
            self._lasts[record.parent] = record
        self._places[record.key] = (record.parent, record.tag)
        if record.tag:
            self._tags[record.parent, record.tag] = record.key

    def delete(self, key: str) -> None:
        if self._records.pop(key, None) is not None:
            parent, tag = self._places.pop(key)
            siblings = self._under[parent]
            del siblings[key]
            last = self._lasts.get(parent)
            if last is not None and last.key == key:
                del self._lasts[parent]
            if not siblings:
                del self._under[parent]
            if tag:
                del self._tags[parent, tag]

    def find(self, parent: str, tag: str) -> R | None:
        key = self._tags.get((parent, tag))
        return self._records.get(key) if key is not None else None

    def children(self, parent: str) -> list[R]:
        return sorted(self._under.get(parent, {}).values(), key=lambda record: (record.rank, record.key))

    def between(self, parent: str, low: int, high: int) -> list[R]:
        return [record for record in self.children(parent) if low <= record.rank <= high]

    def read(self, parent: str, kind: type[N], low: int = LOWEST, high: int = HIGHEST) -> Iterator[N]:
        decode = narrow(kind).decode
        return (decode(encode(record)) for record in self.between(parent, low, high))

    def last(self, parent: str) -> R | None:
        found = self._lasts.get(parent)
        if found is None:
            found = max(self._under.get(parent, {}).values(), key=lambda record: (record.rank, record.key), default=None)
            if found is not None:
                self._lasts[parent] = found
        return found

    def first(self, parent: str) -> R | None:
        return min(self._under.get(parent, {}).values(), key=lambda record: (record.rank, record.key), default=None)

    def count(self, parent: str) -> int:
        return len(self._under.get(parent, {}))

    def clear(self, parent: str) -> None:
        for key in list(self._under.get(parent, {})):
            self.delete(key)

    def __iter__(self) -> Iterator[R]:
        for parent in sorted(self._under):
            yield from self.children(parent)

    def __len__(self) -> int:
        return len(self._records)
