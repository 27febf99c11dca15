"""A shelf as a table of the session's file; keeps the contract of `tcemu.shelf` row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

from tcemu.diagnostics import StateError
from tcemu.session.store import Store, Value
from tcemu.shelf import HIGHEST, LOWEST, Record, TagError, narrow

R = TypeVar("R", bound=Record)
N = TypeVar("N", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode
ROW: Final = "(?, ?, ?, ?, ?)"
COLUMNS: Final = 5
TOGETHER: Final = 25  # rows in a statement; their bodies are bytearrays, which Python's sqlite3 passes on without asking for an adapter


class TableShelf(Generic[R]):
    """Records of one kind in one table; a record that is got is a fresh copy, decoded when it is got."""

    __slots__ = ("_between", "_children", "_decoder", "_delete", "_find", "_get", "_kind", "_put", "_store", "_table")

    def __init__(self, store: Store, table: str, kind: type[R]) -> None:
        self._store = store
        self._table = table
        self._kind = kind
        self._decoder: msgspec.json.Decoder[R] | None = None
        self._get = f"SELECT body FROM {table} WHERE key = ?"
        self._find = f"SELECT body FROM {table} WHERE parent = ? AND tag = ? AND tag <> ''"
        self._put = (
            f"INSERT INTO {table} VALUES {ROW} ON CONFLICT (key) DO UPDATE"
            " SET parent = excluded.parent, rank = excluded.rank, tag = excluded.tag, body = excluded.body"
        )
        self._delete = f"DELETE FROM {table} WHERE key = ?"
        self._children = f"SELECT body FROM {table} WHERE parent = ? ORDER BY rank, key"
        self._between = f"SELECT body FROM {table} WHERE parent = ? AND rank BETWEEN ? AND ? ORDER BY rank, key"

    def decode(self, body: bytes) -> R:
        """A row's body as a record."""
        if self._decoder is None:  # building one takes a millisecond for a rule: only for shelves that are read
            self._decoder = msgspec.json.Decoder(self._kind)
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as slip:
            raise self._damaged(slip) from slip

    def _damaged(self, slip: msgspec.MsgspecError) -> StateError:
        return StateError(f"session {self._store.path} is damaged: a row of {self._table} does not read ({slip})")

    def _one(self, row: tuple[bytes] | None) -> R | None:
        return self.decode(row[0]) if row else None

    def get(self, key: str) -> R | None:
        return self._one(self._store.rows(self._get, (key,)).fetchone())

    def put(self, record: R) -> None:
        try:
            self._store.rows(self._put, (record.key, record.parent, record.rank, record.tag, _encode(record)))
        except sqlite3.IntegrityError as slip:
            raise TagError(record.parent, record.tag) from slip

    def put_all(self, records: Iterable[R]) -> None:
        """Many `put` at once: most in statements of several rows, which are half the work of as many statements."""
        rows = ", ".join([ROW] * TOGETHER)
        fresh = f"INSERT OR FAIL INTO {self._table} VALUES {rows}"  # needs no way back within the statement
        values: list[Value] = []
        for record in records:
            values += (record.key, record.parent, record.rank, record.tag, bytearray(_encode(record)))
            if len(values) == TOGETHER * COLUMNS:
                try:
                    self._store.rows(fresh, values)
                except sqlite3.IntegrityError:  # some are there already; those before them are, now
                    self._store.rows(self._put.replace(ROW, rows), values)
                values = []
        self._store.many(self._put, [values[place : place + COLUMNS] for place in range(0, len(values), COLUMNS)])

    def delete(self, key: str) -> None:
        self._store.rows(self._delete, (key,))

    def find(self, parent: str, tag: str) -> R | None:
        return self._one(self._store.rows(self._find, (parent, tag)).fetchone())

    def children(self, parent: str) -> list[R]:
        decode = self.decode
        return [decode(body) for (body,) in self._store.rows(self._children, (parent,)).fetchall()]

    def read(self, parent: str, kind: type[N], low: int = LOWEST, high: int = HIGHEST) -> Iterator[N]:
        return self._decoded(kind, self._store.rows(self._between, (parent, low, high)))

    def scan(self, kind: type[N]) -> Iterator[N]:
        return self._decoded(kind, self._store.rows(f"SELECT body FROM {self._table}"))

    def _decoded(self, kind: type[N], rows: Iterable[tuple[bytes]]) -> Iterator[N]:
        decode = narrow(kind).decode
        try:
            for (body,) in rows:
                yield decode(body)
        except msgspec.MsgspecError as slip:
            raise self._damaged(slip) from slip

    def between(self, parent: str, low: int, high: int) -> list[R]:
        decode = self.decode
        return [decode(body) for (body,) in self._store.rows(self._between, (parent, low, high)).fetchall()]

    def last(self, parent: str) -> R | None:
        sql = f"SELECT body FROM {self._table} WHERE parent = ? ORDER BY rank DESC, key DESC LIMIT 1"
        return self._one(self._store.rows(sql, (parent,)).fetchone())

    def first(self, parent: str) -> R | None:
        return self._one(self._store.rows(self._children + " LIMIT 1", (parent,)).fetchone())

    def count(self, parent: str) -> int:
        return int(self._store.rows(f"SELECT count(*) FROM {self._table} WHERE parent = ?", (parent,)).fetchone()[0])

    def clear(self, parent: str) -> None:
        self._store.rows(f"DELETE FROM {self._table} WHERE parent = ?", (parent,))

    def parents(self) -> list[str]:
        """All parents that have children, sorted."""
        return [parent for (parent,) in self._store.rows(f"SELECT DISTINCT parent FROM {self._table} ORDER BY parent").fetchall()]

    def all(self) -> Iterator[R]:
        """All records in no order, which is the fastest."""
        decode = self.decode
        for (body,) in self._store.rows(f"SELECT body FROM {self._table}"):
            yield decode(body)

    def empty(self) -> None:
        """Remove all records."""
        self._store.rows(f"DELETE FROM {self._table}")

    def __iter__(self) -> Iterator[R]:
        decode = self.decode
        for (body,) in self._store.rows(f"SELECT body FROM {self._table} ORDER BY parent, rank, key"):
            yield decode(body)

    def __len__(self) -> int:
        return int(self._store.rows(f"SELECT count(*) FROM {self._table}").fetchone()[0])
