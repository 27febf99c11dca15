"""A backend that takes all it is told to take and nothing else: for tests of the layer above."""

from __future__ import annotations

from tcemu.clock import SECOND
from tcemu.conntrack.entry import Entry
from tcemu.ir.ruleset import Object, Rule
from tcemu.offload.backend import Refusal
from tcemu.offload.profile import Profile
from tcemu.offload.table import TableBackend


class DummyBackend(TableBackend):
    """``refuse`` names a reason to turn every flow and rule away; ``capacity`` limits how many flows fit."""

    name = "dummy"
    rules = True

    def __init__(self, refuse: str = "", capacity: int = 0, timeout_ns: int = 30 * SECOND) -> None:
        super().__init__(Profile(name="dummy", backend="dummy", capacity=capacity, aging=timeout_ns // SECOND))
        self.refuse = refuse

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        return Refusal("told", self.refuse) if self.refuse else None

    def admit(self, entry: Entry) -> Refusal | None:
        if self.refuse:
            return Refusal("told", self.refuse)
        room = self.profile.capacity
        if room and len(self.flows) >= room and entry.id not in self.flows:
            return Refusal("full", f"the table holds {room} flows and is full")
        return None
