"""The world that lint loads rulesets into: shelves in memory that remember what the last command put on them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from tcemu.host import devices
from tcemu.host.model import Host
from tcemu.ir.ruleset import Rule, Ruleset, empty
from tcemu.shelf import MemoryShelf


class WatchedShelf(MemoryShelf[Rule]):
    """A shelf of rules that keeps the keys of the new ones until they are taken."""

    __slots__ = ("fresh",)

    def __init__(self) -> None:
        super().__init__()
        self.fresh: list[str] = []

    def put(self, record: Rule) -> None:
        if record.key not in self._records:
            self.fresh.append(record.key)
        super().put(record)

    def take(self) -> list[str]:
        """The keys of rules that came since the last time."""
        found, self.fresh = self.fresh, []
        return found


class LintWorld:
    """A `tcemu.world.World` without a file and without time. ``strict`` only where the host is known."""

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.watched = WatchedShelf()
        self._ruleset = empty()
        self._ruleset.rules = self.watched
        self._host = Host(MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf(), MemoryShelf())
        devices.loopback(self._host)

    @property
    def ruleset(self) -> Ruleset:
        """What the files have made so far."""
        return self._ruleset

    @property
    def host(self) -> Host:
        """The machine, as far as it is known."""
        return self._host

    def now(self) -> int:
        """No time passes."""
        return 0

    def transaction(self) -> AbstractContextManager[None]:
        """Nothing is taken back: what failed is told, what worked is looked at."""
        return nullcontext()

    def forget_device(self, name: str) -> None:
        """A script deletes a device: rules that name it stay, to be looked at."""

    def rename_device(self, name: str, new: str) -> None:
        """A script renames a device."""
