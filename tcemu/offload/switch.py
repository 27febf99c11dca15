"""The packet engine of a home router's switch: flows of nft flow tables with ``flags offload``, and no tc filters.

Source: drivers/net/ethernet/mediatek/mtk_ppe_offload.c mtk_flow_offload_replace: TCP and UDP, IPv4 with translation, IPv6 without.
"""

from __future__ import annotations

from tcemu.conntrack.entry import NAT_MASK, Entry
from tcemu.ir.ruleset import Object, Rule
from tcemu.offload.backend import Refusal
from tcemu.offload.table import TableBackend


class SwitchBackend(TableBackend):
    """Two entries a connection, one for each direction, so that half as many connections as entries fit."""

    name = "switch"
    hardware = True

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        return Refusal("tc", "the driver takes flows of nft flow tables, and no filter of tc")

    def admit(self, entry: Entry) -> Refusal | None:
        if entry.zone:
            return Refusal("zone", f"the packet engine knows no zones, and the connection is in zone {entry.zone}")
        if entry.family == 6 and entry.status & NAT_MASK:
            return Refusal("nat6", "the packet engine translates IPv4 only")
        room = self.profile.capacity // 2
        if room and len(self.flows) >= room and entry.id not in self.flows:
            return Refusal("full", f"the table has {self.profile.capacity:,} entries, two a connection, and is full")
        return super().admit(entry)
