"""The contract of an offload backend, and the registry that finds them.

The engine decides when a connection may be offered (net/sched/act_ct.c tcf_ct_flow_table_process_conn,
net/netfilter/nft_flow_offload.c) and keeps the kernel's own flow table; the backend decides what it takes over from there, and says
why not in words. It changes where packets go by, never what becomes of them. Backends of others come by the entry point
``tcemu.backends``; a broken one is a diagnostic, not a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from tcemu.conntrack.entry import Entry
from tcemu.diagnostics import StateError
from tcemu.ir.ruleset import Object, Rule, Ruleset
from tcemu.ir.step import Do
from tcemu.offload.profile import Profile, built_in_profile


class Refusal(NamedTuple):
    """Why a flow or a rule was not taken: a stable short code and a sentence with its numbers."""

    code: str
    text: str


class Hit(NamedTuple):
    """A flow that the backend knows: the connection and the packet's direction in it (0 original, 1 reply)."""

    entry: Entry
    direction: int


class Capabilities(NamedTuple):
    """What a backend can do at all; 0 capacity is no limit."""

    name: str
    hardware: bool = False  # its packets never reach the host's software
    protocols: tuple[int, ...] = (6, 17, 47)
    nat: bool = True
    ipv6: bool = True
    capacity: int = 0
    rules: bool = False  # it takes tc filters too (in_hw)
    snoop: bool = False  # it mirrors flows and never takes a packet


class FlowStats(NamedTuple):
    """Counters of the offloaded path since the last reset."""

    flows: int = 0
    packets: int = 0
    bytes: int = 0
    refused: int = 0
    added: int = 0
    aged: int = 0


class Backend(Protocol):
    """What the engine calls. No method may raise for a packet's sake; times are capture nanoseconds."""

    def capabilities(self) -> Capabilities:
        """Constant for the life of the backend."""

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        """Take a ruleset, all of it anew; rules (by key) that stay in software, and why."""

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        """Would this rule, with its shared actions in order, be taken? Pure: asks and changes nothing."""

    def admit(self, entry: Entry) -> Refusal | None:
        """Would the flow be taken? Pure: asks and changes nothing."""

    def add(self, entry: Entry, devices: tuple[int, int], now_ns: int) -> None:
        """Take a flow that `admit` let pass, whose packets of each direction come in by these devices (0: by any).

        The engine removes it before the entry dies.
        """

    def lookup(
        self, family: int, proto: int, source: int, target: int, sport: int, dport: int, zone: int, device: int, length: int, now_ns: int
    ) -> Hit | None:
        """The flow that a packet of ``length`` bytes on a device belongs to, if it is here by now; the backend counts the packet."""

    def holds(self, entry: Entry, now_ns: int) -> bool:
        """Is the flow here by now? Pure; the engine lists it as hardware's from then on."""

    def remove(self, entry: Entry) -> None:
        """Forget a flow; one that is not here is no error."""

    def expire(self, now_ns: int) -> Iterable[Entry]:
        """Flows that aged out here up to now, already forgotten; the engine offers them anew with their next packet."""

    def stats(self) -> FlowStats:
        """Counters."""

    def tables(self) -> list[tuple[str, list[str]]]:
        """The backend's tables for people: (name, lines)."""

    def reset(self) -> None:
        """Forget all flows and rules."""


METHODS: Final = tuple(name for name in vars(Backend) if not name.startswith("_"))
OURS: Final = ("software", "mlx5", "switch", "ebpf", "dummy", "none")
NO_PROFILE: Final = Profile()


def kept_back(rule: Rule) -> Refusal | None:
    """What a rule itself says against hardware."""
    return Refusal("skip_hw", "skip_hw keeps it in software") if rule.hardware == "never" else None


def actions_of(ruleset: Ruleset, rule: Rule) -> list[Object]:
    """The shared objects that a rule's steps use, in their order."""
    found = [ruleset.objects.get(step.obj) for step in rule.steps if isinstance(step, Do) and step.obj]
    return [action for action in found if action is not None]


def find(name: str, profile: Profile | None = None) -> Backend:
    """The backend of that name, tcemu's own or an installed one; unknown and broken ones are a StateError.

    A backend of ours is made from the profile: given, or the built-in one of its name, or none at all.
    """
    maker = _own(name)
    if maker is not None:
        return maker(profile if profile is not None else built_in_profile(name) or NO_PROFILE)
    from importlib.metadata import entry_points

    for point in entry_points(group="tcemu.backends"):
        if point.name == name:
            return _strange(name, point.value, point.load)
    raise StateError(f'no offload backend is called "{name}"; there are: {", ".join(names())}')


def _strange(name: str, place: str, load: Callable[[], Callable[[], Backend]]) -> Backend:
    """Somebody else's backend, held to the contract as far as that can be seen without calling it."""
    try:
        backend = load()()
        missing = [method for method in METHODS if not callable(getattr(backend, method, None))]
        if missing:
            raise TypeError(f"it lacks {', '.join(missing)}")
        given = backend.capabilities()
        if not isinstance(given, Capabilities):
            raise TypeError(f"capabilities() gives {type(given).__name__}, and not Capabilities")
    except Exception as slip:  # whatever a stranger's code does
        raise StateError(f'offload backend "{name}" of {place} does not load: {slip}') from slip
    return backend


def _own(name: str) -> Callable[[Profile], Backend] | None:
    """What makes a backend of ours; each is imported only when it is used."""
    if name == "software":
        from tcemu.offload.software import SoftwareBackend

        return SoftwareBackend
    if name == "mlx5":
        from tcemu.offload.mlx5 import Mlx5Backend

        return Mlx5Backend
    if name == "switch":
        from tcemu.offload.switch import SwitchBackend

        return SwitchBackend
    if name == "ebpf":
        from tcemu.offload.ebpf import FlowMapBackend

        return FlowMapBackend
    if name == "none":
        from tcemu.offload.nothing import NoBackend

        return NoBackend
    if name == "dummy":
        from tcemu.offload.dummy import DummyBackend

        return lambda profile: DummyBackend(capacity=profile.capacity)
    return None


def names() -> list[str]:
    """The names of all backends that are installed."""
    from importlib.metadata import entry_points

    return [*OURS, *sorted({point.name for point in entry_points(group="tcemu.backends")} - set(OURS))]
