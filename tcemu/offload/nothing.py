"""No hardware at all: what a kernel says whose devices offload nothing."""

from __future__ import annotations

from tcemu.conntrack.entry import Entry
from tcemu.ir.ruleset import Object, Rule
from tcemu.offload.backend import Refusal
from tcemu.offload.table import TableBackend


class NoBackend(TableBackend):
    """Refuses everything, so that ``offload why`` and the estimate of costs speak of the software path alone."""

    name = "none"
    hardware = True

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        return Refusal("none", "no device here offloads filters (hw-tc-offload is off, or fixed)")

    def admit(self, entry: Entry) -> Refusal | None:
        return Refusal("none", "no device here offloads connections")
