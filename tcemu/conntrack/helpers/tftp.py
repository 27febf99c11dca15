"""TFTP: a request to read or to write is answered from another port (RFC 1350).

Sources: net/netfilter/nf_conntrack_tftp.c, nf_nat_tftp.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, NF_DROP, UDP, announce, follow, is_translated, payload, relate, source_of, target_of
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

READ: Final = 1
WRITE: Final = 2


class Tftp(Helper):
    """The server's answer comes from a port of its choice to the port that asked."""

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if len(text) < 2 or int.from_bytes(text[:2], "big") not in (READ, WRITE):
            return NF_ACCEPT
        back = ct.reply
        new = announce(ct, UDP, source_of(back), target_of(back), back.dport)
        if is_translated(ct):
            follow(new, 1, ct.orig.sport)
        return NF_ACCEPT if relate(self, table, p, new) else NF_DROP
