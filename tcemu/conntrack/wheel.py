"""A wheel of 64 seconds that comes round to every connection at least once a minute.

Packets move deadlines all the time, so an entry is not moved in the wheel when its deadline is; it is looked at when
its second comes and put where it now belongs, at most a minute ahead. So a table holds what is alive plus what died
in the last minute of capture time (compare net/netfilter/nf_conntrack_core.c gc_worker). What has come by waits in ``pending`` and is
looked at a few at a time, so that no packet has to wait while a million connections expire.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.timeouts import SECOND

SPOKES: Final = 64
FURTHEST: Final = 60


class Wheel:
    """`due` and `low` bound the times at which there is nothing to do: ``low <= now < due``."""

    def __init__(self) -> None:
        self.spokes: list[list[Entry]] = [[] for _ in range(SPOKES)]
        self.pending: list[list[Entry]] = []
        self.tick: i64 = -1
        self.due: i64 = 0
        self.low: i64 = 0

    def place(self, entry: Entry) -> None:
        """Put the entry where its deadline, or the next look at it, falls."""
        ahead = entry.expires // SECOND + 1 - self.tick
        if ahead > FURTHEST:
            ahead = FURTHEST
        elif ahead < 1:
            ahead = 1
        self.spokes[(self.tick + ahead) % SPOKES].append(entry)

    def turn(self, now: i64) -> None:
        """Move to ``now``: the entries to be looked at go to ``pending``."""
        second = now // SECOND
        if self.tick >= 0 and second > self.tick:
            first = self.tick + 1
            if second - self.tick > SPOKES:
                first = second - SPOKES + 1
            while first <= second:
                spoke = self.spokes[first % SPOKES]
                if len(spoke) > 0:
                    self.pending.append(spoke)
                    self.spokes[first % SPOKES] = []
                first += 1
        # a capture that begins anew, earlier than the last one, moves the wheel back: every spoke still comes by
        if second > self.tick or second < self.tick - 2:
            self.tick = second
        self.due = (self.tick + 1) * SECOND
        self.low = (self.tick - 2) * SECOND

    def next(self) -> Entry | None:
        """The next entry to look at, which the caller places again or lets go; None when all are done."""
        while len(self.pending) > 0:
            spoke = self.pending[-1]
            if len(spoke) > 0:
                return spoke.pop()
            self.pending.pop()
        return None

    def hurry(self) -> None:
        """Be due again with the next packet, when some are left."""
        if len(self.pending) > 0:
            self.due = 0
