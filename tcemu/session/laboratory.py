"""The scratch machine on which claims are proved: the ruleset's devices, all up, forwarding on, ways for the packet, and its connection.

A run may change the program for itself: rules set aside, guards of one left out, a chain hooked that is not. What is changed is put back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tcemu.conntrack.record import fill_table
from tcemu.conntrack.settings import Settings
from tcemu.engine.lower import Lowering
from tcemu.engine.machine import Machine, Sink
from tcemu.engine.plug import plug
from tcemu.engine.program import PF_NETDEV, Env, Program, Way
from tcemu.engine.program import Rule as Lowered
from tcemu.engine.trace import Tracer
from tcemu.host import addresses, routes, sysctls
from tcemu.host.devices import ensure
from tcemu.host.model import Device, Host, Neighbour, Route
from tcemu.host.model import empty as empty_host
from tcemu.ir.verdict import ACCEPT, DROP, GOTO, QUEUE, REDIRECT, RETURN, STOLEN, TRAP
from tcemu.packet.packet import Packet
from tcemu.session.connections import connection_of
from tcemu.session.thinning import WHOLE, Sieve
from tcemu.session.witness import IN, OUT, NoSampleError, Sample

if TYPE_CHECKING:
    from tcemu.lint.finding import Claim
    from tcemu.lint.subject import Subject

NOW: Final = 1_700_000_000_000_000_000
ENDING: Final = frozenset((ACCEPT, DROP, STOLEN, QUEUE, TRAP, REDIRECT))
LEAVING: Final = frozenset((RETURN, GOTO))
FIRST: Final = -32768  # a priority in front of all
TABLED: Final = ("ip", "ip6", "inet")


class Change(NamedTuple):
    """What is changed for a run: rules set aside, a rule without some of its steps, a chain hooked, chains whose policy lets all pass."""

    aside: frozenset[str] = frozenset()
    loosened: str = ""
    steps: tuple[int, ...] = ()
    hooked: str = ""
    opened: frozenset[str] = frozenset()
    untracked: bool = False  # the packet's connection is not there before it


class Seen(Tracer):
    """What happened to a packet: rules that matched or did not, those that ended its way, chains entered, what base chains decided."""

    def __init__(self) -> None:
        super().__init__()
        self.hit: list[str] = []
        self.failed: set[str] = set()
        self.ending: set[str] = set()
        self.left: set[str] = set()
        self.entered: set[str] = set()
        self.ends: dict[str, int] = {}
        self._asked = False

    def begin(self, env: Env, p: Packet, chain: str) -> bool:
        self._asked = not self._asked
        return self._asked

    def end(self, env: Env, p: Packet, chain: str, code: int) -> None:
        self.ends.setdefault(chain, code)

    def chain(self, name: str) -> None:
        self.entered.add(name)

    def missed(self, rule: str) -> None:
        self.failed.add(rule)

    def matched(self, rule: str) -> None:
        self.hit.append(rule)

    def step(self, rule: str, index: int, what: str, verdict: int) -> None:
        if verdict in ENDING:
            self.ending.add(rule)
        elif verdict in LEAVING:
            self.left.add(rule)


class Laboratory:
    """The machine of a subject; its program is made once."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.members = subject.view.members
        self.devices = {device.key: device for device in subject.host.devices}
        self.loaded: set[str] = set()
        self.hooked = {way.chain for way in subject.ruleset.attachments}
        self.large = len(subject.view.all) + len(subject.view.tc_all) > WHOLE
        self._about: tuple[bytes, str, tuple[str, ...]] | None = None
        self._sieve: Sieve | None = None
        self._lowering: Lowering | None = None
        self._rules: dict[str, Lowered] = {}

    @property
    def names(self) -> dict[int, str]:
        """Devices by index."""
        return {device.index: name for name, device in self.devices.items()}

    def name(self, key: str) -> str:
        """A rule or chain in a sentence."""
        if self.subject.ruleset.chains.get(key) is not None:
            return f"chain {key.rpartition('/')[2]}"
        span = self.subject.place(key)
        words = "" if span is not None else self.subject.words(key)
        return f"line {span.line}" if span is not None else f"`{words}`" if words else key

    def run(self, made: Sample, claim: Claim, change: Change | None = None) -> Seen:
        """Run a packet; what happened. Raises TcemuError for what the engine does not run."""
        change = change or Change()
        if claim.base.chain not in self.hooked and not change.hooked and claim.proof != "unled":
            change = change._replace(hooked=claim.base.chain)
        host = self._host(made, claim)
        program = self._program(host, made, claim)
        machine = Machine(_settings(made), Sink())
        machine.set_tables(plug(host))
        undo = self._changed(program, change, host, claim)
        try:
            machine.load(program)
            seen = Seen()
            machine.observer = seen
            known = None if change.untracked else connection_of(made, NOW)
            if known is not None:
                fill_table(machine.conntrack, [known])
            if claim.base.hook == "output":
                machine.send_local(made.ip, NOW)
            else:
                device = host.devices.get(_way_in(made, claim))
                frame = made.frame
                machine.receive(frame, 0, len(frame), len(frame), NOW, 0, device.index if device is not None else 1)
        finally:
            for put_back in reversed(undo):
                put_back.undo()
        return seen

    def _program(self, host: Host, made: Sample, claim: Claim) -> Program:
        """The ruleset's program; anew where a device is new, and of a large ruleset for each packet."""
        names = {device.key for device in host.devices}
        about = (made.ip, claim.victim, claim.takers) if self.large else None
        if self._lowering is None or not names <= self.loaded or about != self._about:
            self.loaded |= names
            self._about = about
            if self.large and self._sieve is None:
                self._sieve = Sieve(self.subject.view)
            ruleset = self._sieve.about(made, (claim.victim, *claim.takers)) if self._sieve is not None else self.subject.ruleset
            self._lowering = Lowering(ruleset, host)
            self._lowering.run()
            self._rules = {rule.key: rule for rule in self._lowering.program.rules}
        return self._lowering.program

    # ------------------------------------------------------------ changes
    def _changed(self, program: Program, change: Change, host: Host, claim: Claim) -> list[Undo]:
        undo: list[Undo] = []
        for key in change.aside:
            rule = self._rules.get(key)
            if rule is not None:
                undo.append(Undo(rule, ("guard_mask", "guard_value", "guard_fails")))
                rule.guard_mask, rule.guard_value, rule.guard_fails = 0, 0, True
        if change.loosened:
            undo += self._loosen(change.loosened, change.steps)
        for key in change.opened:
            chain = program.chains[key]
            undo.append(Undo(chain, ("end",)))
            chain.end = ACCEPT
        if change.hooked:
            undo += _hook(program, change.hooked, host, claim.base.hook)
        return undo

    def _loosen(self, key: str, steps: Collection[int]) -> list[Undo]:
        """A rule without some of its steps, in the place of the whole one."""
        record = self.subject.ruleset.rules.get(key)
        rule = self._rules.get(key)
        if record is None or rule is None or self._lowering is None:
            return []
        parts = ("need", "guard_slot", "guard_mask", "guard_value", "guard_fails", "tests", "ops")
        undo = Undo(rule, parts)
        kept = [step for number, step in enumerate(record.steps) if number not in steps]
        other = self._lowering.again(msgspec.structs.replace(record, steps=kept))
        for part in parts:
            setattr(rule, part, getattr(other, part))
        return [undo]

    # ------------------------------------------------------------ the machine
    def _host(self, made: Sample, claim: Claim) -> Host:
        host = empty_host()
        for name, device in self.devices.items():
            host.devices.put(Device(key=name, rank=device.rank, kind="loopback" if name == "lo" else "dummy", mac=0x020000000002, up=True))
        for name in (IN, OUT, made.iif, made.oif):
            if name and ensure(host, name):
                new = host.devices.get(name)
                assert new is not None
                new.mac = 0x020000000002
                host.devices.put(new)
                self.devices[name] = new
        for setting in (sysctls.FORWARD4, sysctls.FORWARD6):
            sysctls.put(host, setting, "1")
        _paths(host, made, claim.base.hook)
        return host


class Undo:
    """Attributes of a thing as they were."""

    def __init__(self, thing: object, names: tuple[str, ...]) -> None:
        self.thing = thing
        self.kept = [(name, getattr(thing, name)) for name in names]

    def undo(self) -> None:
        """Put them back."""
        for name, value in self.kept:
            setattr(self.thing, name, value)


def _hook(program: Program, key: str, host: Host, hook: str) -> list[Undo]:
    """Hook a chain that nothing hooks: of nft where the packet comes (or at a device's ingress), of tc in the place of the block's chain 0."""
    chain = program.chains.get(key)
    family = key.split(" ", maxsplit=1)[0]
    if chain is None or family not in (*TABLED, "netdev", "tc"):
        raise NoSampleError(f"chains of family {family} are not hooked for a trial")
    undo = [Undo(program, ("hooks", "ingress", "egress"))]
    if family in TABLED:
        layers = ("ip", "ip6") if family == "inet" else (family,)
        ways = {f"{layer} {hook}": [Way(chain, FIRST, "filter", 0)] for layer in layers}
        program.hooks = {**program.hooks, **{name: [*new, *program.hooks.get(name, ())] for name, new in ways.items()}}
        return undo
    name = key.split(" ")[2] if family == "tc" else IN
    device = host.devices.get(name)
    if device is None or (family == "tc" and key.split(" ")[1] != "dev"):
        raise NoSampleError("its block is not at a device")
    way = Way(chain, FIRST, "tc" if family == "tc" else "filter", device.index)
    way.family = 0 if family == "tc" else PF_NETDEV
    if key.rpartition("/")[0].endswith("egress"):
        program.egress = {**program.egress, device.index: [way]}
    else:
        program.ingress = {**program.ingress, device.index: [way]}
    return undo


def _way_in(made: Sample, claim: Claim) -> str:
    return claim.base.device if claim.base.device and claim.base.hook == "ingress" else made.iif


def _paths(host: Host, made: Sample, hook: str) -> None:
    """Addresses and routes that lead the packet to the hook, and all else out."""
    width = 32 if made.family == 4 else 128
    own = 0xC0000263 if made.family == 4 else (0x20010DB8 << 96) | 0x63
    addresses.add(host, made.iif or IN, made.family, made.target if hook == "input" else own, width)
    if hook == "output":
        if made.source != own:
            addresses.add(host, IN, made.family, made.source, width)
    elif made.source != made.target:
        routes.add(host, Route(key="", parent=str(made.family), address=made.source, prefix=width, device=made.iif or IN, scope="link"))
    routes.add(host, Route(key="", parent=str(made.family), address=0, prefix=0, device=made.oif, scope="link"))
    if hook != "input":
        routes.add(host, Route(key="", parent=str(made.family), address=made.target, prefix=width, device=made.oif, scope="link"))
        host.neighbours.put(
            Neighbour(key=f"{made.oif} {made.target}", parent=made.oif, family=made.family, address=made.target, mac=0x020000000009)
        )


def _settings(made: Sample) -> Settings:
    settings = Settings()
    settings.set("net.netfilter.nf_conntrack_tcp_be_liberal", "1")
    if made.state == 1:
        settings.set("net.netfilter.nf_conntrack_tcp_loose", "0")
    return settings
