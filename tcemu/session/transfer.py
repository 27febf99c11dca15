"""Whole sessions from one to another: the machine alone for a replay on a copy, everything as JSON lines for export and import; what tc
holds as commands of tc."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from tcemu.diagnostics import StateError
from tcemu.session.store import LAYOUTS, SHELVES

if TYPE_CHECKING:
    from tcemu.session.session import Session

HOST: Final = ("devices", "addresses", "routes", "neighbours", "sysctls", "counters", "sockets", "fingerprints", "policies")
FORMAT: Final = "tcemu session"


def copy_host(source: Session, target: Session) -> None:
    """The other session gets devices, addresses, routes, neighbours and settings as this one has them."""
    with source.store.reading(), target.transaction():
        for name in HOST:
            target.store.rows(f"DELETE FROM {name}")
            target.store.many(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)", source.store.rows(f"SELECT * FROM {name}"))


class _Head(msgspec.Struct):
    format: str
    layout: int
    meta: dict[str, int | str]


class _Row(msgspec.Struct):
    shelf: str
    key: str
    record: msgspec.Raw
    parent: str = ""
    rank: int = 0
    tag: str = ""


def export(session: Session) -> Iterator[bytes]:
    """The session as JSON lines: a head, then a line a record, always in the same order."""
    store = session.store
    with store.reading():
        meta = dict(store.rows("SELECT name, value FROM meta ORDER BY name").fetchall())
        yield msgspec.json.encode(_Head(FORMAT, len(LAYOUTS), meta))
        for shelf in SHELVES:
            for key, parent, rank, tag, body in store.rows(f"SELECT * FROM {shelf} ORDER BY parent, rank, key"):
                yield msgspec.json.encode(_Row(shelf, key, msgspec.Raw(body), parent, rank, tag))


def tc_commands(session: Session, script: bool) -> Iterator[bytes]:
    """What tc holds as the commands that make it again: lines of ``tc -batch``, or of a shell script. Raises TcemuError, see `saved.batch_line`."""
    from shlex import join

    from tcemu.tc.saved import batch_line, commands

    with session.store.reading():
        for words in commands(session):
            yield (f"tc {join(words)}" if script else batch_line(words)).encode(errors="surrogateescape")


def take_over(session: Session, lines: Iterable[bytes]) -> str:
    """Put exported lines in place of everything the session holds; a sentence. Raises StateError and changes nothing on a bad line."""
    decode = msgspec.json.Decoder(_Row).decode
    count = 0
    source = iter(lines)
    with session.transaction():
        head = _head(next(source, b""))
        for shelf in SHELVES:
            session.store.rows(f"DELETE FROM {shelf}")
        session.store.rows("DELETE FROM meta")
        for name, value in head.meta.items():
            session.store.set_meta(name, value)
        for count, line in enumerate(source, 1):
            try:
                row = decode(line)
            except msgspec.MsgspecError as slip:
                raise StateError(f"line {count + 1} is no record of a session: {slip}") from slip
            if row.shelf not in SHELVES:
                raise StateError(f"line {count + 1}: a session has no {row.shelf!r}")
            session.store.rows(
                f"INSERT INTO {row.shelf} VALUES (?, ?, ?, ?, ?)", (row.key, row.parent, row.rank, row.tag, bytes(row.record))
            )
    session.forget_clock()
    return f"{count} records\n"


def _head(line: bytes) -> _Head:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except msgspec.MsgspecError as slip:
        raise StateError("this is no exported session") from slip
    if head.format != FORMAT:
        raise StateError("this is no exported session")
    if head.layout > len(LAYOUTS):
        raise StateError(f"this session was exported by a newer tcemu (layout {head.layout}, this one knows {len(LAYOUTS)})")
    return head
