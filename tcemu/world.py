"""What a command works on: a ruleset, a host, a clock and a transaction. Sessions are one; tests make smaller ones."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from tcemu.host.model import Host
from tcemu.ir.ruleset import Object, Rule, Ruleset


class Reply(NamedTuple):
    """What a tool gives back: exit code, standard output, standard error."""

    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


class Hardware(Protocol):
    """What tc and nft ask of an offload backend, where the world has one as its ``hardware``."""

    def refusal(self, rule: Rule, actions: list[Object]) -> str | None:
        """Why a filter stays in software; None where hardware has it."""

    def takes(self, device: str) -> bool:
        """Does hardware take flows of nft's flow tables on the device?"""


def hardware_of(world: World) -> Hardware | None:
    """The world's backend; most worlds have none."""
    found: Hardware | None = getattr(world, "hardware", None)
    return found


class World(Protocol):
    """Handed to every front end.

    strict: exact to the kernel; else a device named first is made, with a note on stderr, and a missing qdisc too.
    """

    strict: bool

    @property
    def ruleset(self) -> Ruleset:
        """What the command edits or lists."""

    @property
    def host(self) -> Host:
        """The machine around it."""

    def now(self) -> int:
        """The session's time in ns: the wall clock, or a capture's."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing: an exception inside leaves the world as it was. May be nested."""
