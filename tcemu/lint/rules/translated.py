"""What translation does to the rules around it, and to connections that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Quota
from tcemu.ir.step import Match
from tcemu.lint import claims
from tcemu.lint.asks import (
    NEW,
    RELATED,
    UNTRACKED,
    constant,
    one,
    states,
    translations,
)
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import table_of
from tcemu.lint.space import meet
from tcemu.lint.view import RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.nat import post, pre

DYNAMIC: Final = ("ppp", "wwan", "pppoe", "usb", "lte", "rmnet")


@rule(
    "NAT05",
    "warning",
    "a nat chain sees the first packet only",
    why="""Chains of type nat are run for the first packet of a connection; the others are translated without them. A match on established packets there never
        matches, a quota counts connections and not bytes.""",
    bad=(
        table_of(post("ct state established counter masquerade"), head="table ip n"),
        table_of(pre("ct state established,invalid drop", "tcp dport 80 redirect to :8080"), head="table ip n"),
        table_of(post('oifname "wan" quota over 100 mbytes drop', "masquerade"), head="table ip n"),
    ),
    good=(
        table_of(post("ct state new masquerade"), head="table ip n"),
        table_of(post("ct state new,related,established masquerade"), head="table ip n"),
        table_of(post('oifname "wan" limit rate 10/second counter masquerade'), head="table ip n"),
    ),
    fix="move it to a chain of type filter",
    source="man nft, CHAINS: type nat; Linux nf_nat_core.c (nf_nat_inet_fn)",
)
def first_only(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in subject.view.bases:
        if base.kind != "nat":
            continue
        for other in subject.view.rules(base.chain):
            asked = states(other)
            quota = next((step for step, _ in other.effects(Quota)), None)
            if asked is not None and not meet(asked, (*one(RELATED), *one(NEW), *one(UNTRACKED))):
                number = next(
                    (place for place, step in enumerate(other.rule.steps) if isinstance(step, Match) and "ct.state" in repr(step.left)), 0
                )
                message = "a nat chain never sees such packets: only the first of a connection"
                found = rule.at(subject, subject.step_place(other.key, number), message, other.key)
                yield found._replace(claim=claims.never(subject, other, (number,), other.boxes))
            elif quota is not None:
                yield rule.at(
                    subject, subject.step_place(other.key, quota), "in a nat chain the quota counts first packets only", other.key
                )


@rule(
    "NAT06",
    "warning",
    "snat and masquerade the wrong way round",
    why="""masquerade asks the interface for its address at every connection, and forgets the connections when it goes down: right for addresses that change
        (PPP, mobile). snat has the address in the rule: right for those that stay, and wrong by tomorrow for those that change.""",
    bad=(
        table_of(post('oifname "ppp0" snat to 192.0.2.1'), head="table ip n"),
        "ip addr add 192.0.2.1/24 dev wan\nnft -f - <<EOF\n" + table_of(post('oifname "wan" masquerade'), head="table ip n") + "\nEOF",
    ),
    good=(
        table_of(post('oifname "ppp0" masquerade'), head="table ip n"),
        table_of(post('oifname "wan" snat to 192.0.2.1'), head="table ip n"),
    ),
    fix="masquerade on dynamic interfaces, snat to the address on those where it stays",
    source="man nft, NAT STATEMENTS: masquerade; Linux nf_nat_masquerade.c (masq_device_event)",
)
def wrong_kind(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, effect in translations(subject.view, "snat", "masquerade"):
        for name in _outward(subject, found):
            dynamic = name.startswith(DYNAMIC)
            if effect.kind == "snat" and dynamic and constant(effect.address) is not None:
                message = f"{name} gets another address one day, and this goes on to translate to the old one: masquerade"
                yield rule.at(subject, subject.step_place(found.key, step), message, found.key)
            elif effect.kind == "masquerade" and not dynamic and _fixed(subject, name):
                message = f"the address of {name} is set by this script and stays: snat to it spares a lookup, and keeps connections when the link flaps"
                yield rule.at(subject, subject.step_place(found.key, step), message, found.key)


def _outward(subject: Subject, rule: RuleView) -> list[str]:
    names = []
    for box in rule.boxes:
        for low, high in box.dims.get("meta oifname", ()):
            if low == high:
                names.append(low.to_bytes(16, "big").rstrip(b"\0").decode("ascii", "replace"))
        for low, high in box.dims.get("meta.oif", ()):
            names += [device.key for device in subject.host.devices if low == high == device.rank]
    return names


def _fixed(subject: Subject, name: str) -> bool:
    set_here = any(
        call.tool == "ip" and call.words[:1] in (("addr",), ("address",), ("a",)) and name in call.words and "add" in call.words
        for call in subject.calls
    )
    return set_here and sum(address.family == 4 for address in subject.host.addresses.children(name)) == 1


@rule(
    "NAT07",
    "warning",
    "connections go on to a target that was taken away",
    why="""A translation is decided once for a connection. A UDP client that goes on sending keeps its entry alive for ever, so that taking the target out of the
        rules changes nothing for it, until the entry is deleted.""",
    bad=(
        "#!/bin/sh\nnft -f - <<EOF\n"
        + table_of("chain dns {\n    udp dport 53 dnat to 10.0.0.2\n  }", pre("jump dns"), head="table ip n")
        + "\nEOF\nnft flush chain ip n dns\nnft add rule ip n dns udp dport 53 dnat to 10.0.0.3",
        "#!/bin/sh\nnft -f - <<EOF\n"
        + table_of(
            "map to {\n    type inet_service : ipv4_addr\n    elements = { 53 : 10.0.0.2 }\n  }",
            pre("dnat to udp dport map @to"),
            head="table ip n",
        )
        + "\nEOF\nnft delete element ip n to '{ 53 }'\nnft add element ip n to '{ 53 : 10.0.0.3 }'",
    ),
    good=(
        "#!/bin/sh\nnft -f - <<EOF\n"
        + table_of("chain dns {\n    udp dport 53 dnat to 10.0.0.2\n  }", pre("jump dns"), head="table ip n")
        + "\nEOF\nnft flush chain ip n dns\nnft add rule ip n dns udp dport 53 dnat to 10.0.0.3\nconntrack -D -p udp --dport 53",
        "#!/bin/sh\nnft -f - <<EOF\n"
        + table_of("chain web {\n    tcp dport 80 dnat to 10.0.0.2\n  }", pre("jump web"), head="table ip n")
        + "\nEOF\nnft flush chain ip n web\nnft add rule ip n web tcp dport 80 dnat to 10.0.0.3",
    ),
    fix="delete the entries too: `conntrack -D -p udp --dport PORT`",
    source="kubernetes#126130; Linux nf_conntrack_proto_udp.c",
)
def stuck(subject: Subject, rule: Rule) -> Iterator[Finding]:
    if any(call.tool == "conntrack" and any(word in ("-D", "-F", "--delete", "--flush") for word in call.words) for call in subject.calls):
        return
    udp = [
        found
        for found, _, _ in translations(subject.view, "dnat", "redirect")
        if any(
            meet(box.dims.get("meta.l4proto", one(17)), one(17)) and ("meta.l4proto" in box.dims or "th.dport" in box.dims)
            for box in found.boxes
        )
    ]
    for call in subject.calls:
        words = call.words
        if call.tool != "nft" or len(words) < 4 or (words[0], words[1]) not in TAKEN:
            continue
        name = words[4] if words[2] in ("ip", "ip6", "inet") and len(words) > 4 else words[3]
        if any(found.chain.endswith(f"/{name}") or f"/set {name}" in repr(found.rule.steps) for found in udp):
            yield rule.at(
                subject, call.span, "UDP connections that were translated by it go on to the old target: delete their entries, too"
            )


TAKEN: Final = (("flush", "chain"), ("flush", "map"), ("delete", "element"), ("delete", "rule"), ("delete", "chain"))


RULES: Final = (
    first_only,
    wrong_kind,
    stuck,
)
