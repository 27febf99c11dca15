"""Proof of what lint claims: a packet of the claim is run by the engine, and what happened must be what was claimed.

The machine is a scratch one: the ruleset's devices, all up, forwarding on, an address or a route as the hook wants, and the connection that the
packet shall belong to. A claim that no packet confirms is no finding: it becomes a doubt.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY
from tcemu.conntrack.record import EntryRecord, fill_table
from tcemu.conntrack.settings import Settings
from tcemu.diagnostics import TcemuError
from tcemu.engine.lower import lower
from tcemu.engine.machine import Machine, Sink
from tcemu.engine.plug import plug
from tcemu.engine.trace import Event, Tracer
from tcemu.host import addresses, routes, sysctls
from tcemu.host.devices import ensure
from tcemu.host.model import Device, Host, Neighbour, Route
from tcemu.host.model import empty as empty_host
from tcemu.lint.finding import Claim, Finding, Witness
from tcemu.session.witness import IN, OUT, NoSampleError, Sample, halves, sample

if TYPE_CHECKING:
    from tcemu.engine.program import Program
    from tcemu.lint.subject import Subject

NOW: Final = 1_700_000_000_000_000_000
TRIES: Final = 8
ESTABLISHED: Final = 3  # TCP's state


def prove(subject: Subject, findings: list[Finding]) -> list[Finding]:
    """Findings with their witnesses; those whose claim no packet confirms become doubts."""
    if not any(finding.claim is not None for finding in findings):
        return findings
    laboratory = Laboratory(subject)
    kept = []
    for finding in findings:
        if finding.claim is None:
            kept.append(finding)
            continue
        witness = laboratory.confirm(finding.claim)
        if isinstance(witness, Witness):
            kept.append(finding._replace(witness=witness))
        else:
            subject.doubt(f"{finding.rule}: {finding.message}", witness, finding.spans[0] if finding.spans else None)
    return kept


class Laboratory:
    """The scratch machine."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.members = subject.view.members
        self.devices = {device.key: device for device in subject.host.devices}
        self.program: Program | None = None
        self.loaded: set[str] = set()

    def confirm(self, claim: Claim) -> Witness | str:
        """A witness, or why there is none."""
        why = "no packet could be made for it"
        for box in claim.where[:TRIES]:
            try:
                made = sample(box, self.members, claim.base.hook, {device.index: name for name, device in self.devices.items()})
                events = self.run(made, claim)
            except NoSampleError as slip:
                why = str(slip)
                continue
            except TcemuError as slip:
                return f"the engine does not run it: {slip}"
            if confirms(events, claim):
                return Witness(made.frame, made.iif or "", _describe(made), _says(events, claim))
            why = "the packet that was tried met other rules"
        return why

    def run(self, made: Sample, claim: Claim) -> list[Event]:
        """Run a packet; what happened."""
        host = self._host(made, claim)
        machine = Machine(_settings(made), Sink())
        machine.set_tables(plug(host))
        machine.load(self._program(host))
        tracer = Tracer()
        machine.observer = tracer
        if made.state == 2:
            fill_table(machine.conntrack, [_connection(made)])
        if claim.base.hook == "output":
            machine.send_local(made.ip, NOW)
        else:
            device = host.devices.get(claim.base.device if claim.base.family == "tc" else made.iif)
            frame = made.frame
            machine.receive(frame, 0, len(frame), len(frame), NOW, 0, device.index if device is not None else 1)
        return tracer.events

    def _program(self, host: Host) -> Program:
        """The ruleset's program; anew where a device is new."""
        names = {device.key for device in host.devices}
        if self.program is None or not names <= self.loaded:
            self.loaded |= names
            self.program = lower(self.subject.ruleset, host)
        return self.program

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
        self._paths(host, made, claim.base.hook)
        return host

    def _paths(self, host: Host, made: Sample, hook: str) -> None:
        """Addresses and routes that lead the packet to the hook."""
        width = 32 if made.family == 4 else 128
        own = 0xC0000263 if made.family == 4 else (0x20010DB8 << 96) | 0x63
        addresses.add(host, made.iif or IN, made.family, made.target if hook == "input" else own, width)
        if hook == "output":
            if made.source != own:
                addresses.add(host, IN, made.family, made.source, width)
        elif made.source != made.target:
            routes.add(host, Route(key="", parent=str(made.family), address=made.source, prefix=width, device=made.iif or IN, scope="link"))
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


def _connection(made: Sample) -> EntryRecord:
    """The connection that the packet belongs to, answered already."""
    if made.family == 4:
        here, there = (0, made.source), (0, made.target)
    else:
        here, there = halves(made.source), halves(made.target)
    orig = (here[1], there[1], made.sport, made.dport, here[0], there[0])
    reply = (there[1], here[1], made.dport, made.sport, there[0], here[0])
    return EntryRecord(
        key="1",
        rank=1,
        family=made.family,
        proto=made.proto,
        orig=orig,
        reply=reply,
        status=CONFIRMED | SEEN_REPLY | ASSURED,
        expires=NOW + 10**12,
        started=NOW - 10**9,
        state=ESTABLISHED if made.proto == 6 else 0,
        sides=((1000, 70000, 60000, 1000, 0, 0), (1, 70000, 60000, 1, 0, 0)) if made.proto == 6 else None,
    )


def confirms(events: list[Event], claim: Claim) -> bool:
    """Did the packet meet what was claimed: a taker, and never the victim?"""
    matched = [event.key for event in events if event.kind == "matched"]
    if claim.victim in matched:
        return False
    return not claim.takers or any(taker in matched for taker in claim.takers)


def _describe(made: Sample) -> str:
    """A packet in a few words."""
    import ipaddress

    kind = {6: "TCP", 17: "UDP", 1: "ICMP", 58: "ICMPv6", 132: "SCTP"}.get(made.proto, f"protocol {made.proto}")
    address = ipaddress.IPv4Address if made.family == 4 else ipaddress.IPv6Address
    ports = made.proto in (6, 17, 132)
    source, target = str(address(made.source)), str(address(made.target))
    if ports:
        wrap = "{}:{}" if made.family == 4 else "[{}]:{}"
        source, target = wrap.format(source, made.sport), wrap.format(target, made.dport)
    state = {1: ", invalid", 2: ", of an established connection", 8: ", new"}.get(made.state, "")
    where = f" on {made.iif}" if made.iif else ""
    return f"{kind} {source} → {target}{where}{state}"


def _says(events: list[Event], claim: Claim) -> str:
    matched = next((event.key for event in events if event.kind == "matched" and event.key in claim.takers), "")
    return f"matched {matched}" if matched else "did not match"


def write_capture(path: str, frame: bytes) -> None:
    """One frame as a pcap file of Ethernet."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    record = struct.pack("<IIII", NOW // 10**9, 0, len(frame), len(frame))
    try:
        with open(path, "wb") as file:
            file.write(head + record + frame)
    except OSError as slip:
        raise TcemuError(f"{path} cannot be written: {slip.strerror}", exit_code=2) from slip
