"""Questions that a broadcast asks, answered by whoever it concerns: NetBIOS names, SNMP.

Only what the machine itself sends to a broadcast address counts. The answers come from any host of that network, from the port
that was asked, for some seconds.

Sources: net/netfilter/nf_conntrack_broadcast.c, nf_conntrack_netbios_ns.c, nf_conntrack_snmp.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.expect import PERMANENT
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, UDP, announce, relate, source_of, target_of
from tcemu.conntrack.timeouts import SECOND
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack


class Broadcast(Helper):
    """What the two have in common."""

    port = 0

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        mask = table.broadcast_mask
        if way or mask == 0 or ct.family != 4:
            return NF_ACCEPT
        new = announce(ct, UDP, source_of(ct.reply), target_of(ct.reply), ct.reply.dport, self.port)
        new.source_mask, new.flags = mask, PERMANENT
        if not relate(self, table, p, new):
            p.reason = ""
        table.set_timeout(ct, self.times[0] * SECOND, p.ts)
        return NF_ACCEPT


class NetbiosNames(Broadcast):
    """Port 137, three seconds."""

    port = 137

    def __init__(self) -> None:
        super().__init__()
        self.times = [3]


class Snmp(Broadcast):
    """Port 161, thirty seconds."""

    port = 161

    def __init__(self) -> None:
        super().__init__()
        self.times = [30]
