"""The contract of an offload backend, and the registry that finds them.

The engine decides when a connection may be offered (net/sched/act_ct.c tcf_ct_flow_table_process_conn,
net/netfilter/nft_flow_offload.c); the backend decides whether it takes it, and says why not in words.
Backends of others come by the entry point ``tcemu.backends``; a broken one is a diagnostic, not a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from tcemu.conntrack.entry import Entry
from tcemu.diagnostics import StateError
from tcemu.ir.ruleset import Ruleset


class Refusal(NamedTuple):
    """Why a flow was not taken: a stable short code and a sentence with its numbers."""

    code: str
    text: str


class Hit(NamedTuple):
    """A flow that the backend knows: the connection and the packet's direction in it (0 original, 1 reply)."""

    entry: Entry
    direction: int


class Capabilities(NamedTuple):
    """What a backend can do at all; 0 capacity is no limit."""

    name: str
    hardware: bool = False
    protocols: tuple[int, ...] = (6, 17, 47)
    nat: bool = True
    ipv6: bool = True
    capacity: int = 0


class FlowStats(NamedTuple):
    """Counters of the offloaded path since the last reset."""

    flows: int = 0
    packets: int = 0
    bytes: int = 0
    refused: int = 0


class Backend(Protocol):
    """What the engine calls. No method may raise for a packet's sake; times are capture nanoseconds."""

    def capabilities(self) -> Capabilities:
        """Constant for the life of the backend."""

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        """Take a ruleset, all of it anew; rules (by key) that stay in software, and why."""

    def admit(self, entry: Entry) -> Refusal | None:
        """Would the flow be taken? Pure: asks and changes nothing."""

    def add(self, entry: Entry, now_ns: int) -> None:
        """Take a flow that `admit` let pass; the engine removes it before the entry dies."""

    def lookup(self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int) -> Hit | None:
        """The flow that a packet belongs to, if it is here."""

    def remove(self, entry: Entry) -> None:
        """Forget a flow; one that is not here is no error."""

    def expire(self, now_ns: int) -> Iterable[Entry]:
        """Flows that aged out up to now, already forgotten; the engine tears their connections' offload down."""

    def stats(self) -> FlowStats:
        """Counters."""

    def tables(self) -> list[tuple[str, list[str]]]:
        """The backend's tables for people: (name, lines)."""

    def reset(self) -> None:
        """Forget all flows and rules."""


def find(name: str) -> Backend:
    """The backend of that name, tcemu's own or an installed one; unknown and broken ones are a StateError."""
    if name == "dummy":
        from tcemu.offload.dummy import DummyBackend

        return DummyBackend()
    from importlib.metadata import entry_points

    for point in entry_points(group="tcemu.backends"):
        if point.name == name:
            try:
                backend = point.load()()
                backend.capabilities()
            except Exception as slip:  # whatever a stranger's code does
                raise StateError(f'offload backend "{name}" of {point.value} does not load: {slip}') from slip
            return backend  # type: ignore[no-any-return]
    raise StateError(f'no offload backend is called "{name}"; there are: {", ".join(names())}')


def names() -> list[str]:
    """The names of all backends that are installed."""
    from importlib.metadata import entry_points

    return ["dummy", *sorted(point.name for point in entry_points(group="tcemu.backends"))]
