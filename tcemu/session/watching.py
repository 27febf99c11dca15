"""Waiting for what other processes change in a session: what `tc monitor` and `nft monitor` follow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcemu.session.session import Session

PAUSE: Final = 0.1  # seconds between looks at the file's version


def changes(session: Session) -> Iterator[None]:
    """For ever: one item each time that another process has changed the session's file."""
    known = _version(session)
    while True:
        time.sleep(PAUSE)
        now = _version(session)
        if now != known:
            known = now
            yield


def _version(session: Session) -> int:
    return int(session.store.rows("PRAGMA data_version").fetchone()[0])
