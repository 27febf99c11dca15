"""A world in memory, and how the tests talk to tc in it."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tcemu.host import model
from tcemu.ir import ruleset
from tcemu.tc.commands import run
from tcemu.world import Reply

HERE = Path(__file__).parent
SECOND = 1_000_000_000


class Memory:
    """A `tcemu.world.World` that no file keeps."""

    def __init__(self, *devices: str, strict: bool = True) -> None:
        self.ruleset = ruleset.empty()
        self.host = model.empty()
        self.strict = strict
        self.time = 0
        self.device("lo", "loopback")
        for name in devices:
            self.device(name)

    def device(self, name: str, kind: str = "dummy") -> None:
        """A device of that name."""
        if self.host.devices.get(name) is None:
            self.host.devices.put(model.Device(key=name, rank=len(self.host.devices) + 1, kind=kind))

    def now(self) -> int:
        """The time in ns."""
        return self.time

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing is undone here."""
        yield

    def tc(self, line: str | list[str], stdin: str = "") -> Reply:
        """One command."""
        words = shlex.split(line) if isinstance(line, str) else line
        return run(words[1:] if words[:1] == ["tc"] else words, stdin, self)

    def ok(self, line: str) -> str:
        """One command that must succeed; what it prints."""
        reply = self.tc(line)
        assert reply.exit_code == 0, f"{line}: {reply.stderr}"
        return reply.stdout


def ingress(*more: str, strict: bool = True) -> Memory:
    """A world with eth0 and eth1 and a qdisc for filters on eth0."""
    world = Memory("eth0", "eth1", *more, strict=strict)
    world.ok("qdisc add dev eth0 clsact")
    return world


def named(*lines: str) -> set[str]:
    """The devices that lines name."""
    return set(re.findall(r"\b(?:in)?dev (\S+)", " ".join(lines)))
