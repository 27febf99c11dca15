"""Connection tracking: what a stateful filter needs, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import VerdictMap
from tcemu.lint import claims
from tcemu.lint.asks import (
    ESTABLISHED,
    INVALID,
    TCP,
    accepts,
    drops,
    has,
    looks_at,
    name_value,
    one,
    service,
    stateless,
    takes_state,
)
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.space import Box, both
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

EST: Final = "ct state established,related accept"


def guarded(subject: Subject, *hooks: str) -> Iterator[Base]:
    """Base chains of filters that drop what no rule accepts, and have rules."""
    for base in subject.view.bases:
        if (
            base.kind == "filter"
            and base.hook in hooks
            and base.drops
            and base.table not in subject.based
            and subject.view.rules(base.chain)
        ):
            yield base


def _mentions_state(subject: Subject, base: Base) -> bool:
    """Does a rule on the path look at the connection, by a guard or by a map? Boxes of all rules must have been made."""
    view = subject.view
    words = ("ct.state", "ct status", "ct.status", "ct direction", "ct.mark", "meta.mark", "ct mark", "socket")
    chains = set(view.below(base.chain))
    if any(rule.chain in chains for rule in view.looking(*words)):
        return True
    if any(rule.chain in chains and maps_field(rule, "ct.state") for rule in view.having(VerdictMap)):
        return True
    return bool(view.members.opaque) and any(looks_at(rule, words) for rule in view.path_rules(base))


def maps_field(rule: RuleView, field: str) -> bool:
    """Does a map of the rule look at that field?"""
    return any(isinstance(effect, VerdictMap) and field in repr(effect.key) for _, effect, _ in rule.acts)


@rule(
    "CT001",
    "warning",
    "answers are dropped",
    why="""The chain drops what it does not accept, accepts services, and nowhere asks for the state of the connection: the answers to what the machine or the
        network itself begins are dropped.""",
    bad=(
        table_of(chain("input", "iif lo accept", "tcp dport { 22, 80 } accept", policy="drop")),
        table_of(chain("forward", 'iifname "lan" oifname "wan" tcp dport { 80, 443 } accept', policy="drop")),
    ),
    good=(
        table_of(chain("input", "iif lo accept", EST, "tcp dport { 22, 80 } accept", policy="drop")),
        table_of(
            chain("input", "ct state vmap { established : accept, related : accept, invalid : drop }", "tcp dport 22 accept", policy="drop")
        ),
        table_of(
            chain(
                "forward",
                'iifname "lan" oifname "wan" tcp dport 80 accept',
                'iifname "wan" oifname "lan" tcp sport 80 accept',
                policy="drop",
            )
        ),
    ),
    fix="put `ct state established,related accept` first",
    source="man nft, CT EXPRESSION; nftables wiki, Simple ruleset for a workstation",
)
def no_answers(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input", "forward"):
        rules = [other for other in subject.view.path_rules(base) if accepts(other)]
        first = next((other for other in rules if service(other)), None)
        if first is None or any(has(other, "th.sport") or not _narrow(other) for other in rules) or _mentions_state(subject, base):
            continue
        spans = (subject.place(base.chain), subject.place(first.key))
        found = rule.at(subject, spans, "policy drop, and no rule lets answers in (ct state established,related accept)", base.chain)
        yield found._replace(claim=claims.lost(base, (ANSWER,)))


def _narrow(rule: RuleView) -> bool:
    """Is it about a protocol, a port or the loopback device?"""
    if has(rule, "meta.l4proto", "th.", "icmp.", "tcp.", "udp."):
        return True
    return any(box.dims.get("meta.iif") == one(1) or box.dims.get("meta iifname") == one(name_value("lo")) for box in rule.boxes)


@rule(
    "CT002",
    "warning",
    "invalid packets reach the services",
    why="""Packets that belong to no connection and cannot begin one are in state invalid. A rule that accepts a port whatever the state lets them in, unless they are
        dropped before it; a drop of invalid packets behind it comes too late.""",
    bad=(
        table_of(chain("input", EST, "tcp dport 22 accept", "ct state invalid drop", policy="drop")),
        table_of(
            chain("input", EST, "iif lo accept", "tcp dport { 80, 443 } accept", "ct state invalid counter drop", policy="drop"),
            head="table ip f",
        ),
    ),
    good=(
        table_of(chain("input", EST, "ct state invalid drop", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", EST, "ct state new tcp dport 22 accept", "ct state invalid drop", policy="drop")),
    ),
    fix="put `ct state invalid drop` right behind the rule that accepts established",
    source="fastfox.pro; Linux nf_conntrack_core.c (nf_conntrack_in)",
)
def late_invalid(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input", "forward"):
        open_rule: RuleView | None = None
        for other in subject.view.rules(base.chain):
            if takes_state(other, INVALID) and drops(other):
                if open_rule is not None:
                    spans = (subject.place(other.key), subject.place(open_rule.key))
                    found = rule.at(subject, spans, "invalid packets are dropped behind a rule that has accepted them", other.key)
                    boxes = [both(box, Box({"ct.state": one(INVALID)})) for box in claims.boxes_at(subject, open_rule, base)]
                    yield found._replace(claim=claims.passes(base, boxes, open_rule))
                break
            if open_rule is None and accepts(other) and service(other) and stateless(other) and other.verdict is not None:
                open_rule = other


# what a server outside answers
ANSWER: Final = Box({"meta.l4proto": one(TCP), "th.sport": one(443), "th.dport": one(40001), "ct.state": one(ESTABLISHED)})


MULTIPATH: Final = "ip route add default nexthop via 192.0.2.1 dev wan1 nexthop via 198.51.100.1 dev wan2\n"


@rule(
    "CT005",
    "warning",
    "invalid packets are dropped on a router with several ways",
    why="""Where packets of one connection may come by one way and go by another, the tracker sees only half of it and calls the rest invalid. Dropping what is
        invalid then drops good connections. Several ways are seen from default routes of the script or of --host.""",
    bad=(
        MULTIPATH
        + "nft add table inet f\nnft 'add chain inet f fwd0 { type filter hook forward priority 0; }'\nnft add rule inet f fwd0 ct state invalid drop",
        "ip route add default via 192.0.2.1 dev wan1\nip route add default via 198.51.100.1 dev wan2 metric 100\nnft -f - <<EOF\n"
        + table_of(chain("forward", "ct state invalid counter drop"))
        + "\nEOF",
    ),
    good=(
        MULTIPATH + "nft -f - <<EOF\n" + table_of(chain("input", "ct state invalid drop")) + "\nEOF",
        "ip route add default via 192.0.2.1 dev wan1\nnft -f - <<EOF\n" + table_of(chain("forward", "ct state invalid drop")) + "\nEOF",
    ),
    fix="do not drop invalid packets in forward, or set net.netfilter.nf_conntrack_tcp_be_liberal and keep connections on one way",
    source="openwrt#19359, firehol#358, firewalld#1061; Linux nf_conntrack_proto_tcp.c",
)
def several_ways(subject: Subject, rule: Rule) -> Iterator[Finding]:
    defaults = [route for route in subject.host.routes if route.prefix == 0 and route.kind == "unicast"]
    ways = {(route.parent, route.device) for route in defaults} | {(route.parent, hop.device) for route in defaults for hop in route.hops}
    if max((sum(family == wanted for family, _ in ways) for wanted in ("4", "6")), default=0) < 2:
        return
    for base in subject.view.hooked("forward", "filter"):
        for other in subject.view.path_rules(base):
            if takes_state(other, INVALID) and drops(other):
                devices = ", ".join(sorted({device for _, device in ways if device}))
                yield rule.at(
                    subject, subject.place(other.key), f"default routes lead over {devices}: half of a connection looks invalid", other.key
                )


RULES: Final = (
    no_answers,
    late_invalid,
    several_ways,
)
