"""Proof of what lint claims: a packet of the claim is run by the engine, and what happened must be what was claimed.

What a packet must do is said in `tcemu.session.proofs`, where it is run in `tcemu.session.laboratory`. A claim that no packet confirms is no
finding: it becomes a doubt.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import TcemuError
from tcemu.lint.finding import Claim, Finding, Witness
from tcemu.lint.space import Box
from tcemu.session.laboratory import NOW, Laboratory
from tcemu.session.proofs import PROVE
from tcemu.session.witness import NoSampleError, Sample, sample

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

BOXES: Final = 8  # of a claim that are tried
TURNS: Final = 7  # packets of a box that are tried


def prove(subject: Subject, findings: list[Finding]) -> list[Finding]:
    """Findings with their witnesses; those whose claim no packet confirms become doubts."""
    laboratory = Laboratory(subject)
    kept = []
    for finding in findings:
        if finding.claim is None:
            kept.append(finding)
            continue
        witness = confirm(laboratory, finding.claim)
        if isinstance(witness, Witness):
            kept.append(finding._replace(witness=witness))
        else:
            subject.doubt(f"{finding.rule}: {finding.message}", witness, finding.spans[0] if finding.spans else None)
    return kept


def confirm(laboratory: Laboratory, claim: Claim) -> Witness | str:
    """A witness, or why there is none."""
    why = "no packet could be made for it"
    tried: set[tuple[bytes, str, str]] = set()
    for turn in range(TURNS):
        for box in claim.where[:BOXES]:
            try:
                made = sample(_of_family(box, claim.base.family), laboratory.members, claim.base.hook, laboratory.names, turn)
                if claim.base.device:
                    made = made._replace(oif=claim.base.device) if claim.base.hook == "egress" else made._replace(iif=claim.base.device)
                if (made.frame, made.iif, made.oif) in tried:
                    continue
                tried.add((made.frame, made.iif, made.oif))
                says = PROVE[claim.proof](laboratory, made, claim)
            except NoSampleError as slip:
                why = str(slip)
                continue
            except TcemuError as slip:
                return f"the engine does not run it: {slip}"
            if says:
                return Witness(made.frame, made.iif or "", _describe(made), says)
            why = "the packet that was tried met other rules"
    return why


def _of_family(box: Box, family: str) -> Box:
    """A box of packets that a table of that family sees."""
    number = {"ip": 2, "ip6": 10}.get(family)
    return box if number is None or "meta nfproto" in box.dims else Box({**box.dims, "meta nfproto": ((number, number),)}, box.exact)


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
    state = {1: ", invalid", 2: ", of an established connection", 4: ", of a related connection", 8: ", new"}.get(made.state, "")
    where = f" on {made.iif}" if made.iif else ""
    return f"{kind} {source} → {target}{where}{state}"


def write_capture(path: str, frame: bytes) -> None:
    """One frame as a pcap file of Ethernet."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    record = struct.pack("<IIII", NOW // 10**9, 0, len(frame), len(frame))
    try:
        with open(path, "wb") as file:
            file.write(head + record + frame)
    except OSError as slip:
        raise TcemuError(f"{path} cannot be written: {slip.strerror}", exit_code=2) from slip
