"""A backend beside a running session: it gets the flow tables' flows and the ruleset, and its counters go back to the shelves.

A session keeps which backend it uses (`use`), and the stories of the last replay that had one (`keep`, `kept`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.offload.backend import Backend, FlowStats, Refusal, actions_of, find
from tcemu.offload.desk import Desk, Seen
from tcemu.offload.journal import Journal, Story, from_document
from tcemu.offload.profile import Profile, read
from tcemu.session.session import OFFLOAD

if TYPE_CHECKING:
    from tcemu.engine.machine import Machine
    from tcemu.ir.ruleset import Object, Rule, Ruleset
    from tcemu.session.session import Session

REPORT: Final = "offload_report"  # meta: what the last replay with a backend found, as JSON
HW_PACKETS: Final = "hw_packets"  # of Stats.extra
HW_BYTES: Final = "hw_bytes"


class Share(NamedTuple):
    """Packets and bytes that went by one path."""

    path: str
    packets: int
    bytes: int


class Offloading:
    """The backend of a machine, with its desk and journal."""

    def __init__(self, profile: Profile, machine: Machine) -> None:
        self.profile, self.machine = profile, machine
        self.backend: Backend = find(profile.backend or profile.name, profile)
        self.desk = Desk(self.backend, Journal(), lambda: int(machine.packet.number), lambda: int(machine.now))
        self.given = self.backend.capabilities()
        self.refusals: dict[str, Refusal] = {}
        self.met: dict[str, tuple[int, int]] = {}  # rule → packets that met it in hardware, and that came so and went on in software
        machine.watch = self.desk
        self.seen = Seen(self.desk)
        machine.conntrack.watcher = self.seen

    def install(self, ruleset: Ruleset) -> None:
        """Give the backend the rules, and mark in the program those that it took, and its devices."""
        self.refusals = self.backend.install(ruleset)
        hardware = self.given.hardware and self.given.rules
        for rule in self.machine.program.rules:
            rule.hardware = hardware and rule.key.startswith("tc ") and rule.key not in self.refusals
        for port in self.machine.tables.ports:
            if port is not None:
                port.hardware = hardware and (not self.profile.devices or port.name in self.profile.devices)

    def gather(self) -> dict[str, tuple[int, int]]:
        """Packets and bytes of the program's rules since the last time, taken off them and added to what is told.

        Hardware is taken to count the bytes that software would (a card may count whole frames). Source: assumed.
        """
        moved: dict[str, tuple[int, int]] = {}
        for rule in self.machine.program.rules:
            packets, left = int(rule.hw_packets), int(rule.hw_left)
            if packets or left:
                seen = self.met.get(rule.key, (0, 0))
                self.met[rule.key] = (seen[0] + packets, seen[1] + left)
                moved[rule.key] = (packets, int(rule.hw_bytes))
                rule.hw_packets = rule.hw_bytes = rule.hw_left = 0
        return moved

    def sync(self, ruleset: Ruleset) -> None:
        """Write what hardware counted to its rules' actions: each action of a filter has the filter's counter (tcf_exts_hw_stats_update)."""
        for key, (packets, octets) in self.gather().items():
            record = ruleset.rules.get(key) if packets else None
            for action in actions_of(ruleset, record) if record is not None else ():
                extra = action.stats.extra
                new = {HW_PACKETS: extra.get(HW_PACKETS, 0) + packets, HW_BYTES: extra.get(HW_BYTES, 0) + octets}
                action.stats.extra = extra | new
                ruleset.objects.put(action)

    def stats(self) -> FlowStats:
        """The backend's counters, with how often it was not willing."""
        return self.backend.stats()._replace(refused=self.desk.turned_away)

    def document(self, total: int, octets: int) -> dict[str, Any]:
        """What `tcemu offload` shows of a replay of so many packets and bytes."""
        return {
            "backend": self.given.name,
            "profile": self.profile.document(),
            "packets": total,
            "bytes": octets,
            "shares": [share._asdict() for share in shares(self.machine, self)],
            "stats": self.stats()._asdict(),
            "costs": costs(self.profile, total, self.taken()),
            "met": [{"rule": key, "packets": packets, "left": left} for key, (packets, left) in self.met.items()],
            "tables": [[name, lines] for name, lines in self.backend.tables()],
            "rules": {key: refusal._asdict() for key, refusal in self.refusals.items()},
            "flows": [story.document() for story in self.desk.journal.stories],
            "flows_not_kept": self.desk.journal.missed,
        }

    def taken(self) -> int:
        """Packets that the host's software did not see."""
        if not self.given.hardware:
            return int(self.desk.hits)
        return int(self.machine.hw_packets) if self.given.rules else int(self.desk.hits)


def costs(profile: Profile, packets: int, taken: int) -> dict[str, int]:
    """The host's time by the profile's two numbers: an estimate, no measurement, in ns."""
    with_it = taken * profile.hit_cost + (packets - taken) * profile.miss_cost
    return {"without_ns": packets * profile.miss_cost, "with_ns": with_it}


def shares(machine: Machine, offloading: Offloading | None) -> list[Share]:
    """What went by the kernel's flow tables, and of that by the backend; first the flow tables that saw anything."""
    found = []
    tables: list[tuple[str, int, int]] = []
    tables += [(flows.name, int(flows.hits), int(flows.bytes)) for flows in machine.program.flow_tables.values()]
    tables += [(key, int(flows.hits), int(flows.bytes)) for key, flows in machine.program.nft_flows.items()]
    for name, packets, octets in tables:
        found.append(Share(f"flow table {name}", packets, octets))
    if offloading is not None:
        desk = offloading.desk
        found.append(Share(offloading.given.name, int(desk.hits), int(desk.hit_bytes)))
        if offloading.given.hardware and offloading.given.rules:
            found.append(Share(f"{offloading.given.name}, from wire to wire", int(machine.hw_packets), int(machine.hw_bytes)))
    return found


# ---------------------------------------------------------------- what a session keeps


def use(session: Session, profile: Profile | None) -> None:
    """Make a backend the session's own, or give it up; a backend that does not load is a StateError."""
    if profile is not None:
        find(profile.backend or profile.name, profile)
    with session.transaction():
        session.store.set_meta(OFFLOAD, None if profile is None else json.dumps(profile.document()))


def used(session: Session) -> Profile | None:
    """The profile of the session's backend."""
    kept = session.store.meta(OFFLOAD)
    return read(json.loads(kept), "the session's profile") if isinstance(kept, str) else None


def keep(session: Session, report: dict[str, Any]) -> None:
    """Keep what a replay found."""
    with session.transaction():
        session.store.set_meta(REPORT, json.dumps(report))


def kept(session: Session) -> dict[str, Any] | None:
    """What the last replay with a backend found; None before any."""
    found = session.store.meta(REPORT)
    return json.loads(found) if isinstance(found, str) else None


def stories(report: dict[str, Any]) -> list[Story]:
    """The connections of a report."""
    return [from_document(one) for one in report["flows"]]


class RuleJudge:
    """Says for tc which filters hardware has, for nft which devices it has (`tcemu.world.Hardware`)."""

    def __init__(self, profile: Profile) -> None:
        self.backend = find(profile.backend or profile.name, profile)
        given = self.backend.capabilities()
        self.able = given.hardware
        self.devices = profile.devices

    def takes(self, device: str) -> bool:
        """Does hardware take flows of nft's flow tables on the device?"""
        return self.able and self.backend.capabilities().name != "none" and (not self.devices or device in self.devices)

    def refusal(self, rule: Rule, actions: list[Object]) -> str | None:
        """Why a filter stays in software; None where hardware takes it."""
        if not self.able:
            return f"{self.backend.capabilities().name} is no hardware"
        table = rule.key.split("/", 1)[0].split()
        if self.devices and table[1:2] == ["dev"] and table[2] not in self.devices:
            return f"{table[2]} is no device of the backend"
        refusal = self.backend.judge(rule, actions)
        return None if refusal is None else refusal.text


def judge(session: Session) -> RuleJudge | None:
    """The judge of the session's backend; None without one."""
    profile = used(session)
    return None if profile is None else RuleJudge(profile)
