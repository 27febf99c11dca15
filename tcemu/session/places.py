"""Where session files lie.

A session is named by ``--session FILE`` or ``$TCEMU_SESSION``; else it is ``$XDG_STATE_HOME/tcemu/session.db``. A namespace NAME is a
session of its own: ``NAME.db`` there, or ``FILE@NAME`` beside a named file.
"""

from __future__ import annotations

import os
from typing import Final

from tcemu.diagnostics import StateError

DEFAULT: Final = "session"
SUFFIX: Final = ".db"


def folder() -> str:
    """The directory of sessions that are not named by file (XDG base directory specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "tcemu")


def valid_namespace(name: str) -> bool:
    """May a namespace have this name? It becomes a file's."""
    return bool(name) and name not in (".", "..") and "/" not in name and "\0" not in name and not name.startswith("-")


def locate(path: str = "", namespace: str = "") -> str:
    """The file of a session. Raises StateError for a name that can be none, or a directory that cannot be made."""
    if namespace and not valid_namespace(namespace):
        raise StateError(f"{namespace!r} cannot be the name of a namespace")
    if path:
        return beside(path, namespace) if namespace else path
    home = folder()
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
    except OSError as slip:
        raise StateError(f"the directory of sessions {home} cannot be made: {slip.strerror}") from slip
    return os.path.join(home, (namespace or DEFAULT) + SUFFIX)


def beside(path: str, namespace: str) -> str:
    """The file of a namespace of a session that is named by file: ``lab.db`` and ``blue`` give ``lab@blue.db``."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}@{namespace}{suffix}"


def sessions() -> list[tuple[str, str]]:
    """(name, file) of the sessions that are not named by file."""
    home = folder()
    try:
        names = sorted(os.listdir(home))
    except OSError:
        return []
    return [(name.removesuffix(SUFFIX), os.path.join(home, name)) for name in names if name.endswith(SUFFIX)]
