"""Between the flow tables and a backend: what the tables tell is written down, offered, looked up, and taken back.

The kernel's own flow tables stay what decides; a backend gets their flows, and a packet that it knows goes by it. Where it does not
know one (no room, not inserted yet, aged out), the kernel's table has the packet, as a driver's miss has it. So frames, verdicts and the
connections' state are those of a machine without the backend, but for the bit that says that hardware has a flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import HW_OFFLOADED, OFFLOADED
from tcemu.conntrack.stats import EVENT_DESTROY, Watcher
from tcemu.conntrack.tuples import l3_length
from tcemu.fields import IIF
from tcemu.offload.journal import Journal, Mark, Reason, Story
from tcemu.offload.table import key_of
from tcemu.offload.watch import BY_END, BY_ROUTE, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.conntrack.entry import Entry
    from tcemu.offload.backend import Backend
    from tcemu.packet.packet import Packet

BY_PACKET: Final = (BY_END, BY_ROUTE)  # ends that a packet brings about; the others come by time or by command
NOT_HANDED_ON: Final = 'the nft flow table has no "flags offload", and stays in software'


class Seen(Watcher):
    """Conntrack's events, for the journal: from when on a connection could be offloaded, and when it ended."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk, self.journal = desk, desk.journal
        self.also: Watcher | None = None  # who else wants to hear

    def passed(self, entry: Entry, now: int) -> None:
        self.journal.readied(entry, self.desk.number(), now)
        if self.also is not None:
            self.also.passed(entry, now)

    def judged(self, p: Packet, valid: bool) -> None:
        if self.also is not None:
            self.also.judged(p, valid)

    def event(self, kind: int, entry: Entry, now: int) -> None:
        if self.also is not None:
            self.also.event(kind, entry, now)
        if kind != EVENT_DESTROY:
            self.journal.readied(entry, self.desk.number(), now)
            return
        self.desk.forget(entry)
        now = now if now >= 0 else self.desk.moment()
        story = self.journal.story(entry, 0, now)
        if story is not None and not story.over:
            story.over, story.offloaded = True, False
            story.marks.append(Mark(0, now, "gone", "", "conntrack forgot the connection"))


class Desk(Watch):
    """See the module's text. ``number`` gives the number of the packet in hand, ``moment`` the time (ns) at which the machine stands."""

    def __init__(self, backend: Backend, journal: Journal, number: Callable[[], int], moment: Callable[[], int]) -> None:
        super().__init__()
        self.backend, self.journal, self.number, self.moment = backend, journal, number, moment
        given = backend.capabilities()
        self.name = given.name
        self.hardware, self.snoop = given.hardware, given.snoop
        self.waiting: list[Entry] = []  # not yet listed as hardware's
        self.here: set[int] = set()  # ids of connections that the backend has
        self.devices: dict[int, tuple[int, int]] = {}  # of connections in flow tables
        self.turned_away = 0
        self.hits = self.hit_bytes = 0

    # ------------------------------------------------------------ what the tables tell

    def refused(self, table: str, entry: Entry, why: str, p: Packet, now: int) -> None:
        story = self.journal.story(entry, p.number, now)
        if story is not None:
            note(story.refused, table, why, p.number)

    def added(self, table: str, entry: Entry, hardware: bool, there: int, back: int, p: Packet, now: int) -> None:
        story = self.journal.story(entry, p.number, now)
        if story is not None:
            self.journal.readied(entry, p.number, now)
            story.renew(entry)
            story.offloaded = True
            story.marks.append(Mark(p.number, now, "added", table))
        self.devices[entry.id] = (there, back)
        self.offer(table, entry, hardware, story, p.number, now)

    def offer(self, table: str, entry: Entry, hardware: bool, story: Story | None, number: int, now: int) -> None:
        """Would the backend have the flow? Then it gets it."""
        why = self.unwilling(entry, hardware)
        if why:
            self.turned_away += 1
            if story is not None:
                note(story.slow, self.name, f"not taken: {why}", number)
            return
        if self.hardware:
            self.waiting.append(entry)
        self.backend.add(entry, self.devices.get(entry.id, (0, 0)), now)
        self.here.add(entry.id)
        if story is not None:
            story.marks.append(Mark(number, now, "taken", self.name))

    def unwilling(self, entry: Entry, hardware: bool) -> str:
        """Why the backend does not get a flow; nothing if it does."""
        if self.hardware and not hardware:
            return NOT_HANDED_ON
        refusal = self.backend.admit(entry)
        return refusal.text if refusal is not None else ""

    def hit(self, table: str, entry: Entry, reply: bool, hardware: bool, p: Packet, now: int) -> bool:
        length = l3_length(p)
        story = self.journal.story(entry, p.number, now)
        if story is not None:
            story.fast_packets += 1
            story.fast_bytes += length
        if entry.id not in self.here:
            if not (self.hardware and not hardware):
                self.offer(table, entry, hardware, story, p.number, now)
            return False
        family, proto, source, target, sport, dport, zone = key_of(entry, entry.reply if reply else entry.orig)
        if self.backend.lookup(family, proto, source, target, sport, dport, zone, p.f[IIF], length, now) is None:
            return False
        self.hits += 1
        self.hit_bytes += length
        if story is not None:
            story.taken_packets += 1
            story.taken_bytes += length
        return self.hardware

    def passed(self, table: str, entry: Entry, why: str, p: Packet, now: int) -> None:
        story = self.journal.story(entry, p.number, now)
        if story is not None:
            note(story.slow, table, why, p.number)

    def torn(self, table: str, entry: Entry, why: str, now: int) -> None:
        self.forget(entry)
        self.devices.pop(entry.id, None)
        number = self.number() if why in BY_PACKET else 0
        story = self.journal.story(entry, number, now)
        if story is not None:
            story.offloaded = False
            story.marks.append(Mark(number, now, "left", table, why))

    def forget(self, entry: Entry) -> None:
        """The backend no longer has the flow."""
        if entry.id in self.here:
            self.here.discard(entry.id)
            self.backend.remove(entry)
        entry.status &= ~HW_OFFLOADED

    def tick(self, now: int) -> None:
        self.waiting = [entry for entry in self.waiting if not self.settled(entry, now)]
        for entry in self.backend.expire(now):
            self.here.discard(entry.id)
            entry.status &= ~HW_OFFLOADED
            story = self.journal.story(entry, 0, now)
            if story is not None:
                story.marks.append(Mark(0, now, "aged", self.name, "the backend forgot a flow that was not used"))

    def settled(self, entry: Entry, now: int) -> bool:
        """A connection that waited for hardware is there now, and listed so (flow_offload_work_add), or need not wait any more."""
        if entry.id not in self.here or not entry.status & OFFLOADED:
            return True
        if not self.backend.holds(entry, now):
            return False
        entry.status |= HW_OFFLOADED
        return True


def note(reasons: dict[tuple[str, str], Reason], table: str, text: str, packet: int) -> None:
    """One packet more for a reason."""
    reason = reasons.get((table, text))
    if reason is None:
        reason = reasons[table, text] = Reason(table, text, packet)
    reason.more(packet)
