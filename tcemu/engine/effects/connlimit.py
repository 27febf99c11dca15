"""nft ct count: how many connections there are (net/netfilter/nft_connlimit.c, nf_conncount.c)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import DYING, Entry, Tuple
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.tuples import TCP, from_packet
from tcemu.engine.program import Env, Memory, Op
from tcemu.fields import G_IP4
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.packet import Packet

TIME_WAIT: Final = 7  # enum tcp_conntrack
CLOSE: Final = 8
MAX_COLLECTED: Final = 8  # CONNCOUNT_GC_MAX_NODES


class Connections(Memory):
    """The connections that were counted, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def adopt(self, old: Memory) -> None:
        if isinstance(old, Connections):
            self.entries = old.entries

    def add(self, table: Conntrack, entry: Entry, now: i64) -> None:
        """__nf_conncount_add: drop what ended, then count the connection unless it is counted already."""
        kept: list[Entry] = []
        collected: i64 = 0
        known = False
        t = entry.orig
        for other in self.entries:
            if known or collected > MAX_COLLECTED:
                kept.append(other)
                continue
            if other is entry or (other.has_orig(t) and other.zone == entry.zone and other.proto == entry.proto):
                known = True
                if other is not entry and other.index < 0:
                    other = entry  # noqa: PLW2901  the same connection begins once more
                kept.append(other)
            elif other.index < 0 or (other.status & DYING) != 0 or table.is_over(other, now) or has_closed(other):
                collected += 1
            else:
                kept.append(other)
        if not known:
            kept.append(entry)
        self.entries = kept


def has_closed(entry: Entry) -> bool:
    """already_closed."""
    return entry.proto == TCP and entry.state in (TIME_WAIT, CLOSE)


class ConnLimitOp(Op):
    """nft_connlimit_do_eval: goes on while there are at most so many, or with ``over`` while there are more."""

    def __init__(self, connections: Connections, limit: i64, over: bool) -> None:
        super().__init__(PIPE, None, 0, None)
        self.connections: Connections = connections
        self.limit: i64 = limit
        self.over: bool = over

    def fresh(self) -> Op:
        return ConnLimitOp(Connections(), self.limit, self.over)

    def run(self, env: Env, p: Packet) -> i64:
        entry = p.ct
        if not isinstance(entry, Entry):
            entry = Entry()
            key = Tuple()
            if not from_packet(p, key):
                p.reason = "ct count: the packet has no tuple"
                return DROP
            entry.family = 4 if (p.groups & G_IP4) != 0 else 6
            entry.orig = key
        self.connections.add(env.conntrack, entry, env.now)
        exceeded = len(self.connections.entries) > self.limit
        return PIPE if exceeded == self.over else MISS
