"""A place to run what documents show: a folder with examples/ in it, the programs of the tcemu that is under test, a state home of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transcript import commands, run

import tcemu

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"tcemu": "main", "tcemu-tc": "tc", "tcemu-nft": "nft", "tcemu-conntrack": "conntrack"}

Follow = Callable[[str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory that looks like the repository's to a reader who follows the documents."""
    work = tmp_path / "work"
    work.mkdir()
    for name in ("examples", "tests"):
        (work / name).symlink_to(ROOT / name)
    return work


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of commands: our programs first in the path, no session but those made here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, function in PROGRAMS.items():
        program = programs / name
        program.write_text(f"#!{sys.executable}\nfrom tcemu.cli.main import {function}\n{function}()\n", encoding="utf-8")
        program.chmod(0o755)
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TCEMU_") or name == "TCEMU_ENGINE"}
    return kept | {
        "PATH": f"{programs}:{kept['PATH']}",
        "PYTHONPATH": os.path.dirname(os.path.dirname(tcemu.__file__)),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "80",
    }


@pytest.fixture
def follow(folder: Path, environment: dict[str, str]) -> Follow:
    """Runs the commands of a text, one after the other, and holds each to what is shown below it."""

    def through(text: str) -> None:
        for command in commands(text):
            run(command, folder, environment)

    return through
