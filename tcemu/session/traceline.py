"""Between `tcemu nft monitor trace`, which waits, and replays of the same session in other shells, which have something to tell.

The monitor listens at a socket beside the session's file; a replay that finds one there sends what nft's trace says of its packets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import StateError
from tcemu.session.store import IN_MEMORY

if TYPE_CHECKING:
    from socket import socket

    from tcemu.session.session import Session

SUFFIX: Final = ".trace"
CHUNK: Final = 65536


def place(session: Session) -> str:
    """The socket's path, empty for a session in memory."""
    path = session.store.path
    return "" if path == IN_MEMORY else path + SUFFIX


def is_heard(session: Session) -> bool:
    """Is there a monitor? What one left behind that was killed is cleared away."""
    from socket import AF_UNIX, socket

    path = place(session)
    if not path or not os.path.exists(path):
        return False
    with socket(AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            return False
    return True


def send(session: Session, text: str) -> None:
    """Tell the monitor; one that has gone is not waited for."""
    from socket import AF_UNIX, socket

    path = place(session)
    if not path or not text:
        return
    with socket(AF_UNIX) as line, suppress(OSError):
        line.connect(path)
        line.sendall(text.encode())


def listen(session: Session, tell: Callable[[str], None]) -> None:
    """Tell what replays send, until interrupted. Raises StateError where nothing can be heard."""
    from socket import AF_UNIX, socket

    path = place(session)
    if not path:
        raise StateError("a session in memory has no other shells to hear of")
    with socket(AF_UNIX) as line:
        early = f"{path}{os.getpid()}"
        try:
            line.bind(early)
            line.listen()
            os.rename(early, path)  # there only when somebody listens
        except OSError as slip:
            raise StateError(f"{path} cannot be listened at: {slip.strerror or slip}") from slip
        try:
            while True:
                caller, _ = line.accept()
                with caller:
                    said = _all(caller)
                if said:
                    tell(said)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)


def _all(caller: socket) -> str:
    parts = []
    while part := caller.recv(CHUNK):
        parts.append(part)
    return b"".join(parts).decode()
