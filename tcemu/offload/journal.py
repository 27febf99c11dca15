"""The story of every connection's offload: from which packet on it could be, was, and was no longer, and why not.

::

    seen → refused (each reason once, with how often) → ready → added → taken, or not taken → slow … → left → (added again …) → gone

A packet is told by its number in the replay, a moment by capture time. Connections are told apart by their original tuple and zone, so
that one which no rule commits, and which is therefore new with every packet, is still one story.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tcemu.conntrack.entry import ASSURED, CONFIRMED, Entry
from tcemu.conntrack.names import address, protocol
from tcemu.offload.table import way

LIMIT: Final = 100_000  # connections whose story is kept
TCP_ESTABLISHED: Final = 3

Key = tuple[int, ...]


class Mark(NamedTuple):
    """Something that befell a connection: the packet (0: none, time passed), when, what, in which table, and why."""

    packet: int
    ts: int
    kind: str
    table: str = ""
    text: str = ""


class Reason:
    """Why packets stayed slow, or an offer was refused: how often, from which packet to which."""

    def __init__(self, table: str, text: str, packet: int) -> None:
        self.table, self.text = table, text
        self.count = 0
        self.first = self.last = packet

    def more(self, packet: int) -> None:
        """Once more."""
        if self.last != packet or not self.count:
            self.count += 1
            self.last = packet


class Story:
    """One connection."""

    def __init__(self, entry: Entry) -> None:
        self.proto = protocol(entry)
        self.family = int(entry.family)
        self.zone = int(entry.zone)
        self.original = way(entry, entry.orig)
        self.reply = way(entry, entry.reply)
        self.ends: list[tuple[str, int]] = []
        self.marks: list[Mark] = []
        self.refused: dict[tuple[str, str], Reason] = {}
        self.slow: dict[tuple[str, str], Reason] = {}
        self.fast_packets = self.fast_bytes = self.taken_packets = self.taken_bytes = 0
        self.ready = self.offloaded = self.over = False
        self.renew(entry)

    def renew(self, entry: Entry) -> None:
        """Take the tuples as they are now: translation changes the reply's."""
        self.reply = way(entry, entry.reply)
        self.ends = [
            (address(self.family, high, low), int(port))
            for end in (entry.orig, entry.reply)
            for high, low, port in ((end.src_high, end.src, end.sport), (end.dst_high, end.dst, end.dport))
        ]

    def matches(self, words: list[str]) -> bool:
        """Do all these words hold? A protocol, an address, ADDRESS:PORT, :PORT or zone=N, of either direction."""
        return all(self._matches(word) for word in words if word not in ("->", ">", "-"))

    def _matches(self, word: str) -> bool:
        if word.startswith("zone="):
            return word == f"zone={self.zone}"
        if word == self.proto:
            return True
        host, _, port = word.rpartition(":")
        if (word.startswith("[") or word.count(":") == 1) and port.isdigit():
            host = host.strip("[]")
            return any((not host or host == known) and int(port) == number for known, number in self.ends)
        return any(word.strip("[]") == known for known, _ in self.ends)

    def status(self) -> str:
        """Where it stands: offloaded, left, ready, refused or none."""
        if self.offloaded:
            return "offloaded"
        if any(mark.kind == "added" for mark in self.marks):
            return "left"
        if self.refused:
            return "refused"
        return "ready" if self.ready else "none"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "protocol": self.proto,
            "zone": self.zone,
            "original": self.original,
            "reply": self.reply,
            "status": self.status(),
            "events": [mark._asdict() for mark in self.marks],
            "refused": [_reason(reason) for reason in self.refused.values()],
            "slow": [_reason(reason) for reason in self.slow.values()],
            "fast": {"packets": self.fast_packets, "bytes": self.fast_bytes},
            "backend": {"packets": self.taken_packets, "bytes": self.taken_bytes},
        }


def _reason(reason: Reason) -> dict[str, Any]:
    return {"table": reason.table, "text": reason.text, "packets": reason.count, "first": reason.first, "last": reason.last}


def from_document(document: dict[str, Any]) -> Story:
    """A story that a session kept; only for showing it."""
    story = Story.__new__(Story)
    story.proto, story.zone = document["protocol"], document["zone"]
    story.original, story.reply = document["original"], document["reply"]
    story.marks = [Mark(**mark) for mark in document["events"]]
    for name in ("refused", "slow"):
        found: dict[tuple[str, str], Reason] = {}
        for kept in document[name]:
            reason = found[kept["table"], kept["text"]] = Reason(kept["table"], kept["text"], kept["first"])
            reason.count, reason.last = kept["packets"], kept["last"]
        setattr(story, name, found)
    story.fast_packets, story.fast_bytes = document["fast"]["packets"], document["fast"]["bytes"]
    story.taken_packets, story.taken_bytes = document["backend"]["packets"], document["backend"]["bytes"]
    story.offloaded = document["status"] == "offloaded"
    story.ready = any(mark.kind == "ready" for mark in story.marks)
    story.over = any(mark.kind == "gone" for mark in story.marks)
    story.ends = [_end(text) for one in (story.original, story.reply) for text in one.split(" > ")]
    return story


def _end(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
        return host, int(port or 0)
    host, colon, port = text.partition(":")
    return (host, int(port)) if colon and port.isdigit() and ":" not in port else (text, 0)


class Journal:
    """All stories, in the order in which they began."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.stories: list[Story] = []
        self.missed = 0  # connections beyond the limit
        self._open: dict[Key, Story] = {}

    def story(self, entry: Entry, packet: int, ts: int) -> Story | None:
        """The story of a connection, begun if need be; None beyond the limit."""
        t = entry.orig
        key = (entry.zone, entry.proto, t.src_high, t.src, t.dst_high, t.dst, t.sport, t.dport)
        story = self._open.get(key)
        if story is None or (story.over and packet):
            if len(self.stories) >= self.limit:
                self.missed += 1
                return None
            story = self._open[key] = Story(entry)
            self.stories.append(story)
            story.marks.append(Mark(packet, ts, "seen"))
        return story

    def readied(self, entry: Entry, packet: int, ts: int) -> None:
        """Conntrack changed something of a connection: could a flow table have it from now on?"""
        if not is_ready(entry):
            return
        story = self.story(entry, packet, ts)
        if story is not None and not story.ready:
            story.ready = True
            story.renew(entry)
            story.marks.append(Mark(packet, ts, "ready"))

    def select(self, words: list[str]) -> Iterator[Story]:
        """Those that all words hold for."""
        return (story for story in self.stories if story.matches(words))


def is_ready(entry: Entry) -> bool:
    """What any flow table asks of a connection itself, whether or not a rule offers it."""
    status = entry.status
    if not status & CONFIRMED or entry.helper:
        return False
    if entry.proto == 6:
        return bool(status & ASSURED) and entry.state == TCP_ESTABLISHED
    return entry.proto == 17 or (entry.proto == 47 and bool(status & ASSURED))
