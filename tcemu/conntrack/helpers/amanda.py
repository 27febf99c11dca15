"""Amanda: a backup client's CONNECT line names the ports of its data, message, index and state streams.

Sources: net/netfilter/nf_conntrack_amanda.c amanda_help, nf_nat_amanda.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import (
    NF_ACCEPT,
    NF_DROP,
    TCP,
    announce,
    follow,
    give_up,
    is_translated,
    payload,
    relate,
    relate_somewhere,
    rewrite,
    source_of,
    target_of,
)
from tcemu.conntrack.timeouts import SECOND
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

MASTER_TIMEOUT: Final = 300  # seconds: answers to the server may be long in coming
STREAMS: Final = (b"DATA ", b"MESG ", b"INDEX ", b"STATE ")


class Amanda(Helper):
    """Four streams of one connection at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [4]
        self.times = [180]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        if not way:
            return NF_ACCEPT
        table.set_timeout(ct, MASTER_TIMEOUT * SECOND, p.ts)
        text = payload(p)
        begin = text.find(b"CONNECT ")
        end = text.find(b"\n", begin + 8) if begin >= 0 else -1
        if end < 0:
            return NF_ACCEPT
        for word in STREAMS:
            at = payload(p).find(word, begin + 8, end)
            if at >= 0 and self.expect(table, p, ct, way, at + len(word)) == NF_DROP:
                return NF_DROP
        return NF_ACCEPT

    def expect(self, table: Conntrack, p: Packet, ct: Entry, way: int, at: int) -> int:
        """The server will come to that port."""
        text = payload(p)
        length = 0
        while at + length < len(text) and length < 6 and 48 <= text[at + length] <= 57:
            length += 1
        port = int(text[at : at + length] or b"0") & 0xFFFF
        if port == 0 or length > 5:
            return NF_ACCEPT
        new = announce(ct, TCP, source_of(ct.orig), target_of(ct.orig), port)
        if not is_translated(ct):
            return NF_ACCEPT if relate(self, table, p, new) else NF_DROP
        follow(new, 0, port)
        chosen = relate_somewhere(self, table, p, new, port)
        if not chosen:
            return NF_DROP
        return NF_ACCEPT if rewrite(p, ct, way, at, length, str(chosen).encode()) else give_up(table, new)
