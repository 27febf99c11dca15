"""Listing, describing and removing sessions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from tcemu.diagnostics import StateError
from tcemu.session.places import locate, sessions

if TYPE_CHECKING:
    from tcemu.cli.main import Choice
    from tcemu.session.session import Session


def listing() -> str:
    """A line for each session that is not named by file."""
    from tabulate import tabulate

    rows = [(name, _size(path), path) for name, path in sessions()]
    return (
        tabulate(rows, ("session", "size", "file"), tablefmt="simple", colalign=("left", "right", "left")) + "\n"
        if rows
        else "no sessions\n"
    )


def _size(path: str) -> str:
    size = float(os.path.getsize(path))
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def contents(session: Session) -> str:
    """What a session holds, counted."""
    from tabulate import tabulate

    from tcemu.session.store import SHELVES

    counts = [(name, session.store.rows(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in SHELVES]
    rows: list[tuple[str, object]] = [("file", session.path), ("clock", _clock(session))]
    rows += [(name, count) for name, count in counts if count and name != "counters"]
    return tabulate(rows, tablefmt="plain") + "\n"


def _clock(session: Session) -> str:
    from datetime import datetime

    from tcemu.session.session import CLOCK

    now = session.now()
    shown = datetime.fromtimestamp(now / 1e9, UTC).isoformat(timespec="milliseconds")
    return f"{shown} (where the last capture ended)" if session.store.meta(CLOCK) is not None else "the wall clock"


def remove(choice: Choice, names: Sequence[str]) -> str:
    """Delete session files; what was deleted."""
    paths = [locate("", name) for name in names] or [choice.file()]
    for path in paths:
        if not os.path.exists(path):
            raise StateError(f"there is no session {path}")
    for path in paths:
        # opening checks that the file is a session, taking its lock that nobody is at work in it
        from tcemu.session.store import Store

        store = Store(path, patience=1.0)
        with store.transaction():
            os.unlink(path)
        store.close()
    return "".join(f"removed {path}\n" for path in paths)
