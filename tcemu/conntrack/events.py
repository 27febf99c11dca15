"""`conntrack -E`: what happens to connections while packets run, one line each.

Text and XML are those of conntrack-tools 1.4.7 (runs of it on Linux 6.18 and 6.1; libnetfilter_conntrack src/conntrack/snprintf_default.c,
snprintf_xml.c; what a message holds: net/netfilter/nf_conntrack_netlink.c ctnetlink_conntrack_event). An update is told when a packet is
through: its state, an answer, being assured, marks, labels and a helper are one message. In tc, where connections are confirmed by
``commit`` alone, that is also when updates are told.

With ``reasons`` there are lines that the tool does not have: packets that belong to no connection, and those that are let by
without effect, with what was wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tcemu.conntrack import expected, formats, show
from tcemu.conntrack.entry import ASSURED, SEEN_REPLY, Entry
from tcemu.conntrack.expect import Expectation, ExpectWatcher
from tcemu.conntrack.names import address
from tcemu.conntrack.record import expectation_record
from tcemu.conntrack.request import NAME, Request
from tcemu.conntrack.select import matches
from tcemu.conntrack.stats import EVENT_DESTROY, EVENT_NEW, EVENT_UPDATE, Watcher
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import has_ports
from tcemu.fields import DPORT, G_IP4, G_IP6, G_PORTS, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, L4PROTO, SPORT
from tcemu.packet.packet import Packet

WORDS: Final = {EVENT_NEW: "NEW", EVENT_UPDATE: "UPDATE", EVENT_DESTROY: "DESTROY"}
SAVED: Final = {EVENT_NEW: "-A", EVENT_UPDATE: "-U", EVENT_DESTROY: "-D"}


class Known(NamedTuple):
    """What was told of a connection last."""

    state: int
    status: int
    mark: int
    labels: tuple[int, int]
    helper: str


class EventLog(Watcher):
    """Writes the events that a request selects."""

    def __init__(self, request: Request, emit: Callable[[str], None], reasons: bool = False) -> None:
        super().__init__()
        self.request, self.emit, self.reasons = request, emit, reasons
        self.kinds = request.events or set(WORDS.values())
        self.known: dict[int, Known] = {}
        self.now = 0
        self.xml = "xml" in request.output
        self.labels = request.label_map
        if self.xml:
            emit(formats.XML_HEAD)

    def event(self, kind: int, entry: Entry, now: int) -> None:
        self.now = now = now if now >= 0 else self.now
        if kind == EVENT_DESTROY:
            self.known.pop(entry.id, None)
        else:
            self.known[entry.id] = _known(entry)
        self._tell(kind, entry, now, True, kind != EVENT_DESTROY)

    def passed(self, entry: Entry, now: int) -> None:
        fresh = _known(entry)
        told = self.known.get(entry.id)
        if fresh != told:
            self.known[entry.id] = fresh
            self.now = now
            self._tell(EVENT_UPDATE, entry, now, told is None or fresh.state != told.state, told is None or fresh.labels != told.labels)

    def judged(self, p: Packet, valid: bool) -> None:
        if self.reasons:
            word = "[IGNORED]" if valid else "[INVALID]"
            self.emit(
                f"{self._stamp(p.ts)}{word} packet {p.number} {_flow(p)} {p.reason or ('once more, and nothing changes' if valid else 'it belongs to no connection')}\n"
            )

    def finish(self) -> str:
        """The end of the output, and what the tool says on standard error."""
        if self.xml:
            self.emit(formats.XML_TAIL)
        return f"{NAME}: {self.seen} flow events have been shown.\n"

    def _tell(self, kind: int, entry: Entry, now: int, protocol: bool, labelled: bool) -> None:
        """labelled: the message has the connection's labels, which without them has none to select by."""
        request = self.request
        if self.muted or WORDS[kind] not in self.kinds or not matches(request, entry, now) or ("label" in request.labels and not labelled):
            return
        self.seen += 1
        labels = self.labels if labelled else None
        if self.xml:
            when = _when(now) if "timestamp" in request.output else ""
            self.emit(formats.xml_event(entry, now, WORDS[kind].lower(), protocol, when, labels) + "\n")
        elif "save" in request.output:
            self.emit(f"{self._stamp(now)}{formats.save(entry, now, SAVED[kind], protocol)}\n")
        else:
            output = show.Output("extended" in request.output, "id" in request.output, "ktimestamp" in request.output, labels)
            text = show.event_line(entry, now, output, kind == EVENT_DESTROY, protocol)
            self.emit(f"{self._stamp(now)}{f'[{WORDS[kind]}]':>9} {text}\n")

    def _stamp(self, now: int) -> str:
        if "timestamp" not in self.request.output or self.xml:
            return ""
        return show.stamp(now)


class ExpectLog(ExpectWatcher):
    """The same of expectations: `conntrack -E expect`. There are only new ones and those that go."""

    def __init__(self, request: Request, emit: Callable[[str], None], noun: str = "") -> None:
        """noun: what lines say before the expectation, where they stand among others."""
        super().__init__()
        self.request, self.emit, self.noun = request, emit, noun
        self.xml = "xml" in request.output
        if self.xml:
            emit(expected.XML_HEAD)

    def expected(self, kind: int, one: Expectation, now: int) -> None:
        if self.muted:
            return
        self.seen += 1
        record, master = expectation_record(one, 1), one.master
        if self.xml:
            self.emit(expected.xml(record, master, now, WORDS[kind].lower()) + "\n")
            return
        stamp = show.stamp(now) if "timestamp" in self.request.output else ""
        self.emit(f"{stamp}{f'[{WORDS[kind]}]':>9} {self.noun}{expected.line(record, master, now)}\n")

    def finish(self) -> str:
        """The end of the output, and what the tool says on standard error."""
        if self.xml:
            self.emit(expected.XML_TAIL)
        return f"{NAME}: {self.seen} expectation events have been shown.\n"


def _known(entry: Entry) -> Known:
    state = int(entry.state) if not has_ports(int(entry.proto)) or entry.proto not in (17, 136) else 0
    labels = (int(entry.label_high), int(entry.label_low))
    return Known(state, entry.status & (SEEN_REPLY | ASSURED), int(entry.mark), labels, entry.helper)


def _when(now: int) -> str:
    """<when>, in UTC."""
    from time import gmtime

    t = gmtime(now // SECOND)
    clock = f"<hour>{t.tm_hour}</hour><min>{t.tm_min:02}</min><sec>{t.tm_sec:02}</sec>"
    return (
        f"<when>{clock}<wday>{(t.tm_wday + 1) % 7 + 1}</wday><day>{t.tm_mday}</day><month>{t.tm_mon}</month><year>{t.tm_year}</year></when>"
    )


def _flow(p: Packet) -> str:
    """Who to whom."""
    f = p.f
    if p.groups & G_IP4:
        ends = address(4, 0, f[IP_SADDR]), address(4, 0, f[IP_DADDR])
    elif p.groups & G_IP6:
        ends = address(6, f[IP6_SADDR], f[IP6_SADDR + 1]), address(6, f[IP6_DADDR], f[IP6_DADDR + 1])
    else:
        return ""
    ports = f" sport={f[SPORT]} dport={f[DPORT]}" if p.groups & G_PORTS else ""
    return f"src={ends[0]} dst={ends[1]} proto={f[L4PROTO]}{ports}"
