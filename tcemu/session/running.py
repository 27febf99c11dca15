"""A session in flight: its ruleset lowered, its host plugged in, its connections in the tracker, and the way back to the shelves.

::

    shelves --Running()--> machine --packets--> machine --save()--> shelves
                              ^                    |
                              +---- refresh() <----+  a command between packets: sync(), run it, refresh()
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

from tcemu.conntrack.record import expectation_of, expectation_record, fill_table, to_record
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.stats import Stats, Watcher
from tcemu.engine.lower import lower, sync
from tcemu.engine.machine import Machine, Sink
from tcemu.engine.plug import plug

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tcemu.conntrack.entry import Entry
    from tcemu.offload.profile import Profile
    from tcemu.session.offloading import Offloading
    from tcemu.session.session import Result, Session

Print = tuple[int, ...]
T = TypeVar("T")
STATS: Final = "conntrack"  # meta: the tracker's counters as JSON
EXPECT_NAMES: Final = ("expect_new", "expect_create", "expect_delete")
STAT_NAMES: Final = ("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "clash_resolve", *EXPECT_NAMES)


def numbers(stats: Stats) -> dict[str, int]:
    """The tracker's counters by name."""
    return {name: int(getattr(stats, name)) for name in STAT_NAMES}


def kept_stats(session: Session) -> Stats:
    """The tracker's counters as the session keeps them."""
    stats = Stats()
    kept = session.store.meta(STATS)
    for name, value in json.loads(kept).items() if isinstance(kept, str) else ():
        if name in STAT_NAMES and isinstance(value, int):
            setattr(stats, name, value)
    return stats


class _Undo(Exception):
    """Leaves a transaction without keeping it."""


def undone(session: Session, work: Callable[[], T]) -> T:
    """Do something to a session and take it back, keeping only what was found out."""
    found: list[T] = []
    try:
        with session.transaction():
            found.append(work())
            raise _Undo
    except _Undo:
        session.forget_clock()
    return found[0]


class Running:
    """A machine that runs a session's ruleset. Nothing is written to the session until `sync` or `save`."""

    def __init__(self, session: Session, sink: Sink | None = None, seed: int = 1, offload: Profile | None = None) -> None:
        """``offload``: the profile of a backend that gets the flow tables' flows."""
        self.session = session
        self.machine = Machine(self.settings(), sink)
        self.machine.friendly = not session.strict
        self.machine.random = seed & 0x7FFFFFFF or 1
        self.machine.secret = seed & 0x7FFFFFFF
        self.machine.conntrack.chance.sow(seed)
        self.names: dict[int, str] = {}  # of devices by index
        self.kinds: dict[int, str] = {}
        self._kept: dict[int, Print] = {}
        self.machine.conntrack.stats = self.machine.conntrack.expectations.stats = kept_stats(session)
        self.stats_before = numbers(self.machine.conntrack.stats)
        self.offloading: Offloading | None = None
        if offload is not None:
            from tcemu.session.offloading import Offloading

            self.offloading = Offloading(offload, self.machine)
        self._load_connections()
        self.refresh()
        self.machine.restore_flows(self.machine.conntrack.entries(), session.now())

    def watch(self, watcher: Watcher) -> None:
        """Let somebody hear of what happens to connections, beside the backend."""
        if self.offloading is not None:
            self.offloading.seen.also = watcher
        else:
            self.machine.conntrack.watcher = watcher

    def settings(self) -> Settings:
        """The tracker's settings as the session's sysctls have them."""
        settings = Settings()
        for sysctl in self.session.host.sysctls:
            settings.set(sysctl.key, sysctl.value)
        return settings

    def refresh(self) -> None:
        """Take over what the session's ruleset and host are now."""
        devices = list(self.session.host.devices)
        self.names = {device.index: device.name for device in devices}
        self.kinds = {device.index: device.kind for device in devices}
        self.machine.set_tables(plug(self.session.host))
        self.machine.load(lower(self.session.ruleset, self.session.host))
        if self.offloading is not None:
            self.offloading.install(self.session.ruleset)

    def sync(self) -> None:
        """Write counters back to the ruleset."""
        with self.session.transaction():
            self._sync()

    def _sync(self) -> None:
        sync(self.machine.program, self.session.ruleset, self.machine.now)
        if self.offloading is not None:
            self.offloading.sync(self.session.ruleset)

    def save(self, now: int | None = None) -> None:
        """Write counters, connections and devices' counters back; the session's clock stands at ``now`` (ns) from then on."""
        with self.session.transaction():
            self._sync()
            self.save_connections()
            self._save_devices()
            self.session.store.set_meta(STATS, json.dumps(numbers(self.machine.conntrack.stats)))
            if now is not None:
                self.session.set_now(now)

    def command(self, tool: str, argv: Sequence[str], stdin: str = "") -> Result:
        """Run a tool's command between two packets."""
        self.save()
        result: Result = getattr(self.session, tool)(argv, stdin=stdin)
        if tool == "conntrack":
            self._reload_connections()
        self.refresh()
        return result

    # ------------------------------------------------------------ connections

    def _load_connections(self) -> None:
        tracker = self.machine.conntrack
        fill_table(tracker, self.session.connections.all(), self.session.expectations.all())
        self._kept = {entry.id: _print(entry) for entry in tracker.entries()}

    def _reload_connections(self) -> None:
        """A conntrack command may have changed any row: entries whose row is gone go, rows without an entry come."""
        rows = {record.rank: record for record in self.session.connections.all()}
        tracker = self.machine.conntrack
        for entry in tracker.entries():
            record = rows.get(entry.id)
            if record is None:
                tracker.kill(entry)
            elif record != to_record(entry):
                tracker.kill(entry)
                continue
            rows.pop(entry.id, None)
        fill_table(tracker, rows.values())
        self.machine.restore_flows(
            [entry for entry in tracker.entries() if str(entry.id) in {row.key for row in rows.values()}], self.machine.now
        )
        entries = {entry.id: entry for entry in tracker.entries()}
        waited = [row for row in self.session.expectations.all() if row.master in entries]
        tracker.expectations.all = [expectation_of(row, entries[row.master]) for row in waited]
        self._kept = {number: _print(entry) for number, entry in entries.items()}

    def save_connections(self) -> None:
        """Write the rows of connections that changed, and delete those of connections that ended."""
        shelf = self.session.connections
        tracker = self.machine.conntrack
        self.machine.note_flows()
        entries = tracker.entries()
        prints = {entry.id: _print(entry) for entry in entries}
        for number in self._kept.keys() - prints.keys():
            shelf.delete(str(number))
        shelf.put_all(to_record(entry) for entry in entries if self._kept.get(entry.id) != prints[entry.id])
        self._kept = prints
        self._save_expectations()

    def _save_expectations(self) -> None:
        shelf = self.session.expectations
        kept = {one.key: one for one in shelf.all()}
        now = [expectation_record(one, rank) for rank, one in enumerate(self.machine.conntrack.expectations.all, 1)]
        for key in kept.keys() - {one.key for one in now}:
            shelf.delete(key)
        shelf.put_all(one for one in now if kept.get(one.key) != one)

    def _save_devices(self) -> None:
        devices = self.session.host.devices
        for port in self.machine.tables.ports:
            if port is None or not (port.rx_packets or port.tx_packets):
                continue
            device = devices.get(port.name)
            if device is not None:
                device.rx_packets += port.rx_packets
                device.tx_packets += port.tx_packets
                devices.put(device)
                port.rx_packets = port.tx_packets = 0


def _print(entry: Entry) -> Print:
    """What changes whenever anything of a connection does."""
    return (
        entry.expires,
        entry.status,
        entry.orig_packets,
        entry.reply_packets,
        entry.mark,
        entry.label_high,
        entry.label_low,
        entry.state,
        entry.flow_table,
        entry.flow_expires,
        entry.last_index,
        entry.last_seq,
    )
