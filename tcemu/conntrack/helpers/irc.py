"""IRC: a DCC offer in a private message names an address, as a number, and a port.

Sources: net/netfilter/nf_conntrack_irc.c help and parse_dcc, nf_nat_irc.c.
"""

from __future__ import annotations

import re
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
    is_talking,
    is_translated,
    payload,
    relate,
    relate_somewhere,
    rewrite,
    target_of,
)
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

MOST_SEARCHED: Final = 4095  # MAX_SEARCH_SIZE
M32: Final = 0xFFFFFFFF
MESSAGE: Final = re.compile(rb"[ \r\n]*PRIVMSG ", re.IGNORECASE)
OFFER: Final = re.compile(rb"\x01DCC (?:SEND|CHAT|MOVE|TSEND|SCHAT) [^ ]* (\d*) *(\d*)[^\n]*\n")


class Irc(Helper):
    """Up to eight offers of one connection at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [8]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        if way or not is_talking(p):
            return NF_ACCEPT
        text = payload(p)[:MOST_SEARCHED]
        message = MESSAGE.match(text)
        if message is None:
            return NF_ACCEPT
        begin = text.find(b" :", message.end())
        offer = OFFER.match(text, begin + 2) if begin >= 0 else None
        if offer is None:
            return NF_ACCEPT
        address, port = int(offer[1] or 0) & M32, int(offer[2] or 0) & 0xFFFF
        if address not in (ct.orig.src, ct.reply.dst) or port == 0:
            return NF_ACCEPT  # "Forged DCC command"
        new = announce(ct, TCP, None, target_of(ct.reply), port)
        if not is_translated(ct):
            return NF_ACCEPT if relate(self, table, p, new) else NF_DROP
        follow(new, 1, port)
        chosen = relate_somewhere(self, table, p, new, port)
        if not chosen:
            return NF_DROP
        begin, end = offer.start(1), offer.end(2)
        good = rewrite(p, ct, way, begin, end - begin, f"{ct.reply.dst} {chosen}".encode())
        return NF_ACCEPT if good else give_up(table, new)
