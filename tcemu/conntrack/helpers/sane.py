"""SANE: the answer to a scanner's START names the port that the picture comes through.

Source: net/netfilter/nf_conntrack_sane.c. There is no translation of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import Entry, Extra
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, NF_DROP, TCP, announce, is_talking, payload, relate, source_of, target_of
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

START: Final = 7  # SANE_NET_START
SHORTEST: Final = 8  # of a request and of an answer


class Sane(Helper):
    """memory of a connection: 1 while an answer to START is awaited."""

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if not is_talking(p) or not text:
            return NF_ACCEPT
        if ct.extra is None:
            ct.extra = Extra()
        extra = ct.extra
        if not way:
            if len(text) >= SHORTEST:
                extra.memory = [int(int.from_bytes(text[:4], "big") == START)]
            return NF_ACCEPT
        if extra.memory != [1]:
            return NF_ACCEPT
        extra.memory = [0]
        if len(text) < SHORTEST or text[:6] != bytes(6):  # status and two bytes that are zero
            return NF_ACCEPT
        new = announce(ct, TCP, source_of(ct.orig), target_of(ct.orig), int.from_bytes(text[6:8], "big"))
        return NF_ACCEPT if relate(self, table, p, new) else NF_DROP
