"""Configuration: ``[tool.tcemu.lint]`` of pyproject.toml, or the whole of ``.tcemu.toml`` under ``[lint]``, nearest first, upwards from the first file.

[tool.tcemu.lint]
select = ["NF", "CT001"]        ignore = ["OP004"]        fail-on = "warning"
profile = "linux-5.15"          baseline = "lint.baseline.json"        hosts = ["host.json"]
severity = { NF116 = "warning", OP = "off" }
"""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from tcemu.diagnostics import TcemuError, near

KNOWN: Final = ("select", "ignore", "severity", "fail-on", "profile", "baseline", "hosts", "base", "assert", "format")


class Config(NamedTuple):
    """What a configuration file says; ``path`` is empty when there is none."""

    path: str = ""
    values: dict[str, Any] = {}

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of words (or words with commas)."""
        value = self.values.get(name, ())
        found = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        if not all(isinstance(word, str) for word in found):
            raise TcemuError(f"{self.path}: {name} wants a list of words", exit_code=2)
        return tuple(found)

    def word(self, name: str, default: str = "") -> str:
        """A word."""
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise TcemuError(f"{self.path}: {name} wants a word", exit_code=2)
        return value

    def beside(self, name: str) -> str:
        """A path, from the configuration's own folder."""
        path = self.word(name)
        return os.path.join(os.path.dirname(self.path), path) if path else ""


def find(start: str) -> Config:
    """The nearest configuration at a file's folder or above it."""
    folder = os.path.abspath(os.path.dirname(start) if start not in ("", "-") else ".")
    while True:
        for name in (".tcemu.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                found = read(path)
                if found is not None:
                    return found
        above = os.path.dirname(folder)
        if above == folder:
            return Config()
        folder = above


def read(path: str) -> Config | None:
    """One file; None when it says nothing of lint. Raises TcemuError (2)."""
    import tomllib

    try:
        with open(path, "rb") as file:
            if b"tcemu" not in file.read() and path.endswith("pyproject.toml"):
                return None
            file.seek(0)
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as slip:
        raise TcemuError(f"{path} cannot be read: {slip}", exit_code=2) from slip
    table = document.get("tool", {}).get("tcemu", {}).get("lint") if path.endswith("pyproject.toml") else document.get("lint", document)
    if not isinstance(table, dict):
        return None
    for name in table:
        if name not in KNOWN:
            guess = near(name, KNOWN)
            raise TcemuError(f"{path}: lint knows no setting {name!r}" + (f"; did you mean {guess}?" if guess else ""), exit_code=2)
    return Config(path, table)
