"""What the tracker counts about itself (struct ip_conntrack_stat, conntrack -S), and who wants to hear of changes."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.entry import Entry
from tcemu.packet.packet import Packet

# kinds of events, as `conntrack -E` names them
EVENT_NEW: Final = 0
EVENT_UPDATE: Final = 1
EVENT_DESTROY: Final = 2


class Stats:
    """Counters since the table was made."""

    def __init__(self) -> None:
        self.found: i64 = 0
        self.invalid: i64 = 0
        self.insert: i64 = 0
        self.insert_failed: i64 = 0
        self.drop: i64 = 0
        self.early_drop: i64 = 0
        self.error: i64 = 0
        self.clash_resolve: i64 = 0
        self.expect_new: i64 = 0  # expectations that were fulfilled, made, and gone
        self.expect_create: i64 = 0
        self.expect_delete: i64 = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher:
    """Told of every connection that begins, of its packets and of its end; the base class does nothing with it."""

    def __init__(self) -> None:
        self.seen: i64 = 0
        self.muted: bool = False  # nf_conntrack_events is 0: nothing is told but what was wrong with packets

    def event(self, kind: i64, entry: Entry, now: i64) -> None:
        """It began (EVENT_NEW) or ended (EVENT_DESTROY); now: ns, -1 where nobody knows."""

    def passed(self, entry: Entry, now: i64) -> None:
        """A packet of a confirmed connection is through: what it changed can be told (nf_ct_deliver_cached_events)."""

    def judged(self, p: Packet, valid: bool) -> None:
        """A packet belongs to no connection, or to one that it leaves as it is; ``p.reason`` says why."""
