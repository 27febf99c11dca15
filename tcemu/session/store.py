"""The file that a session lives in: SQLite, one table a shelf, a command a transaction.

    shelf "rules"  =  table "rules"   (key UNIQUE | parent, rank | parent, tag | body: the record as JSON)

What is opened is paid by use: opening reads the file's header and schema, a `get` one row. The rollback journal is
SQLite's plain one and not WAL: a session is then one file that can be copied, read from a read-only directory and kept
on a network share, and opening one costs the same CPU (measured: 28 ms with Python either way). Reading and writing
commands of two processes take turns, by SQLite's own locks.

A foreign, newer, broken, locked, read-only or full file is one `StateError`, and the session stays as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from tcemu.diagnostics import StateError

IN_MEMORY: Final = ":memory:"
APPLICATION_ID: Final = 0x74636D75  # "tcmu", so that file(1) and tcemu know the file
MAPPED: Final = 1 << 30  # bytes of the file that are read where they lie in memory, which spares copying them page by page
PAGE: Final = 8192  # bytes: of SQLite's usual 4096 a third would stay empty, for two filters fit and no third
PATIENCE: Final = 30.0  # seconds that a command waits for another process's transaction
FIRST: Final = (
    "tables",
    "chains",
    "slots",
    "rules",
    "objects",
    "attachments",
    "sets",
    "elements",
    "flowtables",
    "devices",
    "addresses",
    "routes",
    "neighbours",
    "sysctls",
    "counters",
    "connections",
    "expectations",
)
SECOND: Final = ("sockets", "fingerprints", "policies")  # came with layout 2
SHELVES: Final = FIRST + SECOND

_SHELF_LAYOUT: Final = """
CREATE TABLE {0} (key TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, rank INTEGER NOT NULL, tag TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX {0}_order ON {0} (parent, rank, key);
CREATE UNIQUE INDEX {0}_tag ON {0} (parent, tag) WHERE tag <> '';
"""
# LAYOUTS[n] brings a file of layout n to layout n + 1; a file's layout is its user_version
LAYOUTS: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;" + "".join(_SHELF_LAYOUT.format(name) for name in FIRST),
    "".join(_SHELF_LAYOUT.format(name) for name in SECOND),
)

Value = int | str | bytes | bytearray | None


class Store:
    """An open session file. Not for use by several threads; any number of processes may have the file open."""

    def __init__(self, path: str = IN_MEMORY, patience: float = PATIENCE) -> None:
        """Open or create; ``patience`` is in seconds. Raises StateError."""
        self.path = path
        self._depth = 0
        self._reading = False
        self._lost: StateError | None = None
        try:
            self._db = sqlite3.connect(path, timeout=patience, isolation_level=None, cached_statements=512)
            self._db.execute(f"PRAGMA mmap_size = {MAPPED}")
            self._db.execute("PRAGMA temp_store = MEMORY")  # what a statement of many rows would take back, else written to a file
        except sqlite3.Error as slip:
            raise explain(slip, path) from slip
        try:
            self.fresh = self._prepare()
        except StateError:
            self._db.close()
            raise

    # ------------------------------------------------------------ rows

    def rows(self, sql: str, values: Sequence[Value] = ()) -> sqlite3.Cursor:
        """Run one statement; a failure of the file is a StateError, a second use of a tag stays an IntegrityError."""
        try:
            if self._lost is None:
                return self._db.execute(sql, values)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as slip:
            raise self._failed(slip) from slip
        raise self._lost

    def many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        """Run one statement for many rows."""
        try:
            if self._lost is None:
                self._db.executemany(sql, values)
                return
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as slip:
            raise self._failed(slip) from slip
        raise self._lost

    def _failed(self, slip: sqlite3.Error) -> StateError:
        """A full disk makes SQLite roll back the whole transaction by itself: nothing may be written until it has been left."""
        failure = explain(slip, self.path)
        if self._depth and not self._db.in_transaction:
            self._lost = failure
        return failure

    def meta(self, name: str) -> Value:
        """A named value of the whole session: what made it, the next number of something; None when never set."""
        row = self.rows("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: Value) -> None:
        """Set a named value; None forgets it."""
        if value is None:
            self.rows("DELETE FROM meta WHERE name = ?", (name,))
        else:
            self.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # ------------------------------------------------------------ transactions

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; an inner one is a savepoint. The write lock is taken at the start, so nothing fails half-way for it."""
        return _Transaction(self)

    def reading(self) -> AbstractContextManager[None]:
        """What is read inside is of one moment, whatever other processes commit meanwhile."""
        return _Reading(self)

    def enter(self) -> None:
        """Start a transaction or a savepoint (used by `transaction`)."""
        if self._depth:
            self.rows(f"SAVEPOINT s{self._depth}")
        else:
            self._rest()
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as slip:
                if not (slip.sqlite_errorname or "").startswith("SQLITE_READONLY"):
                    raise self._failed(slip) from slip
                self.rows("BEGIN")  # whoever only reads shall be able to; a write fails where it is tried
        self._depth += 1

    def leave(self, keep: bool) -> None:
        """End what `enter` started. A commit that fails (disk full) leaves the session as it was."""
        self._depth -= 1
        if self._depth:
            if self._lost is None:
                if not keep:
                    self.rows(f"ROLLBACK TO s{self._depth}")
                self.rows(f"RELEASE s{self._depth}")
            elif keep:
                raise self._lost
            return
        lost, self._lost = self._lost, None
        try:
            if keep and lost is not None:
                raise lost
            if self._db.in_transaction:
                self.rows("COMMIT" if keep else "ROLLBACK")
        except StateError:
            self._db.rollback()
            raise
        finally:
            if self._reading:
                self.rows("BEGIN")

    def begin_reading(self) -> bool:
        """Start a snapshot; False inside a transaction or another snapshot, which already are one."""
        if self._depth or self._reading:
            return False
        self.rows("BEGIN")
        self._reading = True
        return True

    def end_reading(self) -> None:
        """End the snapshot that `begin_reading` started."""
        self._rest()
        self._reading = False

    def _rest(self) -> None:
        if self._db.in_transaction:
            self.rows("COMMIT")

    # ------------------------------------------------------------ opening and closing

    def _prepare(self) -> bool:
        """Check or lay out the file; True when it was made now."""
        layout = self._layout()
        if layout == len(LAYOUTS):
            return False
        if not layout:
            self.rows(f"PRAGMA page_size = {PAGE}")
        with self.transaction():
            layout = self._layout()  # another process may have been faster
            for number in range(layout, len(LAYOUTS)):
                for statement in LAYOUTS[number].split(";"):
                    if statement.strip():
                        self.rows(statement)
            self.rows(f"PRAGMA application_id = {APPLICATION_ID}")
            self.rows(f"PRAGMA user_version = {len(LAYOUTS)}")
        return layout == 0

    def _layout(self) -> int:
        """The file's layout number; 0 for an empty file."""
        mine = self.rows("PRAGMA application_id").fetchone()[0]
        layout = int(self.rows("PRAGMA user_version").fetchone()[0])
        if mine != APPLICATION_ID:
            if mine or layout or self.rows("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StateError(f"{self.path} is a database of something else, not a session of tcemu")
            return 0
        if layout > len(LAYOUTS):
            raise StateError(f"session {self.path} was made by a newer tcemu (layout {layout}, this one knows {len(LAYOUTS)})")
        return layout

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        self._db.close()


class _Transaction:
    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.enter()

    def __exit__(self, kind: type[BaseException] | None, slip: BaseException | None, trace: TracebackType | None) -> None:
        self._store.leave(kind is None)


class _Reading:
    __slots__ = ("_begun", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun = False

    def __enter__(self) -> None:
        self._begun = self._store.begin_reading()

    def __exit__(self, kind: type[BaseException] | None, slip: BaseException | None, trace: TracebackType | None) -> None:
        if self._begun:
            self._store.end_reading()


# what SQLite says (https://www.sqlite.org/rescode.html) and what it means for a session
_SENTENCES: Final = {
    "SQLITE_BUSY": "session {path} is in use by another process",
    "SQLITE_LOCKED": "session {path} is in use by another process",
    "SQLITE_READONLY": "session {path} cannot be changed: it is read-only",
    "SQLITE_FULL": "session {path} cannot be changed: the disk is full",
    "SQLITE_NOTADB": "{path} is not a session of tcemu",
    "SQLITE_CORRUPT": "session {path} is damaged ({why})",
    "SQLITE_CANTOPEN": "session {path} cannot be opened: {why}",
    "SQLITE_IOERR": "session {path}: error when reading or writing it ({why})",
    "SQLITE_PERM": "session {path} may not be used: permission denied",
    "SQLITE_AUTH": "session {path} may not be used: permission denied",
}


def explain(slip: sqlite3.Error, path: str) -> StateError:
    """A failure of SQLite in a user's words."""
    name = getattr(slip, "sqlite_errorname", "") or ""
    for prefix, sentence in _SENTENCES.items():
        if name.startswith(prefix):
            return StateError(sentence.format(path=path, why=_reason(path) if prefix == "SQLITE_CANTOPEN" else slip))
    return StateError(f"session {path}: {slip}")


def _reason(path: str) -> str:
    """Why a file cannot be opened, which SQLite does not tell."""
    import os

    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.isdir(folder):
        return f"there is no directory {folder}"
    target = path if os.path.exists(path) else folder
    return "permission denied" if not os.access(target, os.R_OK | os.W_OK) else "no such file, or its journal cannot be made"
