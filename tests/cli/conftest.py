"""Running the program in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tcemu.cli import main


class Ended(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions lie in a directory of the test's own."""
    for name in ("TCEMU_SESSION", "TCEMU_STRICT", "TCEMU_PROFILE", "TCEMU_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def tcemu(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """``tcemu`` with these words, in this process."""

    def run(*words: str) -> Ended:
        code = main.guarded(lambda: main.dispatch(list(words)))
        caught = capfd.readouterr()
        return Ended(code, caught.out, caught.err)

    return run


@pytest.fixture
def process(home: Path) -> Run:
    """A process of its own, started under a name."""

    def run(name: str, *words: str, stdin: str = "", **env: str) -> Ended:
        code = f"import sys; sys.argv[0] = {name!r}; from tcemu.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *words], input=stdin, capture_output=True, text=True, env=os.environ | env, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run
