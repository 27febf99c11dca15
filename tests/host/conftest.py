"""A machine in memory for the tests of `ip`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import pytest

from tcemu.host import devices, model
from tcemu.host.ip.commands import run


class Box:
    """What `ip` works on, without a session around it."""

    def __init__(self) -> None:
        self.host = model.empty()
        devices.loopback(self.host)
        self.strict = True
        self.forgotten: list[str] = []
        self.renamed: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def forget_device(self, name: str) -> None:
        self.forgotten.append(name)

    def rename_device(self, name: str, new: str) -> None:
        self.renamed.append((name, new))

    def ip(self, line: str, stdin: str = "") -> tuple[int, str, str]:
        return run(shlex.split(line), stdin, self)

    def ok(self, *lines: str) -> str:
        """Run lines that must work; the last one's output."""
        out = ""
        for line in lines:
            code, out, err = self.ip(line)
            assert (code, err) == (0, ""), (line, err)
        return out


@pytest.fixture
def box() -> Box:
    """A new machine with nothing but lo."""
    return Box()
