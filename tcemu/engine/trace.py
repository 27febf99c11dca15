"""A packet's way as a list of typed events, for `tcemu trace`, ``replay --explain`` and whoever draws trees."""

from __future__ import annotations

from typing import NamedTuple

from tcemu.engine.program import Observer
from tcemu.ir.verdict import NAMES


class Event(NamedTuple):
    """One thing that happened: kind is chain, missed, matched, step or what `Env.observer.say` was told."""

    kind: str
    key: str
    text: str = ""
    place: int = 0


def event_data(event: Event) -> dict[str, object]:
    """An event as data. ``reason``: what conntrack found wrong, by name and with its numbers (`tcemu.conntrack.reasons`)."""
    from tcemu.conntrack.reasons import typed

    out: dict[str, object] = event._asdict()
    text = event.text.removeprefix("invalid: ")
    found = typed(text) or typed(text.partition(" (")[2].removesuffix(")"))
    if event.kind in ("ct", "drop") and found is not None:
        out["reason"] = {"name": found.name, **found.numbers}
    return out


class Tracer(Observer):
    """Collects events; ``misses`` keeps the rules that did not match too."""

    def __init__(self, misses: bool = True) -> None:
        super().__init__()
        self.misses = misses
        self.events: list[Event] = []

    def chain(self, name: str) -> None:
        self.events.append(Event("chain", name))

    def missed(self, rule: str) -> None:
        if self.misses:
            self.events.append(Event("missed", rule))

    def matched(self, rule: str) -> None:
        self.events.append(Event("matched", rule))

    def step(self, rule: str, index: int, what: str, verdict: int) -> None:
        self.events.append(Event("step", rule, f"{what} → {NAMES[verdict]}", index))

    def say(self, kind: str, text: str) -> None:
        self.events.append(Event(kind, "", text))


INDENT = {"in": 0, "out": 0, "chain": 1, "missed": 2, "matched": 2, "step": 3, "ct": 4, "drop": 1, "verdict": 0}


def render(events: list[Event], names: dict[str, str] | None = None) -> str:
    """The way as indented lines; ``names`` gives a rule's own text for its key."""
    lines = []
    for event in events:
        text = {
            "in": f"in   {event.text}",
            "out": f"out  {event.text}",
            "chain": f"chain {event.key}",
            "missed": f"-    {(names or {}).get(event.key, event.key)}",
            "matched": f"+    {(names or {}).get(event.key, event.key)}",
            "step": f"{event.place + 1}. {event.text}",
            "ct": f"conntrack: {event.text}",
        }.get(event.kind, f"{event.kind}: {event.text}")
        lines.append("  " * INDENT.get(event.kind, 2) + text)
    return "\n".join(lines) + "\n"
