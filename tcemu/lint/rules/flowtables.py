"""Flowtables: what may stand where, and what a flow that is offloaded passes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Count, Offload
from tcemu.ir.step import Do
from tcemu.lint.asks import ESTABLISHED, UNTRACKED, drops, one, states
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding, Fix
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.source import rules as written_rules
from tcemu.lint.space import Box, meet
from tcemu.lint.view import RuleView

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Flowtable
    from tcemu.lint.subject import Subject

FT: Final = "flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n    counter\n  }"
ADD: Final = "ct state established meta l4proto { tcp, udp } flow add @ft"


def offloads(subject: Subject) -> Iterator[tuple[RuleView, int, Offload]]:
    """Rules that offer flows, with the step."""
    for found in subject.view.having(Offload):
        for step, effect in found.effects(Offload):
            assert isinstance(effect, Offload)
            yield found, step, effect


def table_key(found: RuleView, effect: Offload) -> str:
    """The key of the flowtable that an effect names."""
    return effect.flowtable if " flowtable " in f" {effect.flowtable.replace('/', ' ')}" else f"{found.table}/flowtable {effect.flowtable}"


def flowtables(subject: Subject) -> Iterator[Flowtable]:
    """The flowtables that the texts define."""
    for record in subject.ruleset.flowtables:
        if record.parent not in subject.based:
            yield record


@rule(
    "FT001",
    "error",
    "flow add outside the forward hook",
    why="""Only forwarded connections can be offloaded: the kernel takes `flow add` in chains that hook forward, and refuses it elsewhere (Operation not
        supported); nft -c says nothing.""",
    bad=(
        table_of(FT, chain("prerouting", "ct state established flow add @ft")),
        table_of(FT, chain("postrouting", "ip protocol tcp flow add @ft"), head="table ip f"),
    ),
    good=(
        table_of(FT, chain("forward", "ct state established meta l4proto { tcp, udp } flow add @ft")),
        table_of(FT, "chain off {\n    flow add @ft\n  }", chain("forward", "ct state established meta l4proto tcp jump off")),
    ),
    fix="move the rule to a chain of type filter that hooks forward",
    source="Linux net/netfilter/nft_flow_offload.c (nft_flow_offload_validate); man nft, FLOWTABLES",
)
def offload_hook(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, _effect in offloads(subject):
        wrong = [base for base in subject.view.bases_of(found) if base.hook != "forward"]
        if wrong or found.family in ("bridge", "arp", "netdev"):
            where = f"hook {wrong[0].hook}" if wrong else f"family {found.family}"
            spans = (subject.step_place(found.key, step), subject.place(wrong[0].chain) if wrong else None)
            yield rule.at(subject, spans, f"flow add in {where}: the kernel takes it in forward only", found.key)


@rule(
    "FT002",
    "warning",
    "what stands behind flow add is mostly skipped",
    why="""`flow add` ends the rule (as a match that fails does) for every packet whose flow cannot be offloaded now: the first packets of a connection, ICMP,
        packets with helpers. A counter or an accept behind it in the same rule is not run for them.""",
    bad=(
        table_of(FT, chain("forward", "ct state established meta l4proto tcp flow add @ft counter accept")),
        table_of(FT, chain("forward", "meta l4proto { tcp, udp } flow add @ft counter")),
    ),
    good=(
        table_of(FT, chain("forward", "ct state established meta l4proto tcp counter flow add @ft")),
        table_of(FT, chain("forward", ADD, "ct state established counter accept")),
    ),
    fix="put counters in front of it, and accept in a rule of its own",
    source="Linux net/netfilter/nft_flow_offload.c (nft_flow_offload_eval: NFT_BREAK)",
)
def behind_offload(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, _effect in offloads(subject):
        behind = [number for number, other in enumerate(found.rule.steps) if number > step and isinstance(other, Do)]
        if behind:
            message = "this is not run for packets whose flow is not offloaded"
            yield rule.at(subject, (subject.step_place(found.key, behind[0]), subject.step_place(found.key, step)), message, found.key)


@rule(
    "FT003",
    "warning",
    "flows are offloaded before they are filtered",
    why="""A connection that is offloaded passes by all rules of forward. Where flow add stands in front of rules that drop, and takes packets of every state, a connection is
        in the flowtable before those rules have seen its answers.""",
    bad=(
        table_of(FT, chain("forward", "meta l4proto { tcp, udp } flow add @ft", "tcp dport 25 drop", "ct state established accept")),
        table_of(FT, chain("forward", "ip protocol tcp flow add @ft", "ip saddr 10.0.0.66 drop"), head="table ip f"),
    ),
    good=(
        table_of(FT, chain("forward", "tcp dport 25 drop", "meta l4proto { tcp, udp } ct state established flow add @ft")),
        table_of(
            FT, chain("forward", "ct state established meta l4proto tcp flow add @ft", "tcp dport 25 ct state new drop", policy="accept")
        ),
    ),
    fix="put it behind the rules that drop, or add `ct state established`",
    source="Linux nf_flow_table_ip.c; man nft, FLOWTABLES",
)
def before_filters(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, _effect in offloads(subject):
        if states(found) is not None:
            continue
        rules = subject.view.rules(found.chain)
        at = next(number for number, other in enumerate(rules) if other.key == found.key)
        later = [other for other in rules[at + 1 :] if drops(other) and not _only_new(other)]
        if later:
            spans = (subject.step_place(found.key, step), subject.place(later[0].key))
            yield rule.at(subject, spans, "connections are offloaded here before this drop sees all their packets", found.key)


def _only_new(rule: RuleView) -> bool:
    asked = states(rule)
    return asked is not None and not meet(asked, one(ESTABLISHED))


@rule(
    "FT004",
    "info",
    "flow add is tried for every packet",
    why="""Without a match on the state and on TCP and UDP, flow add is tried for packets that can never be offloaded: the first of a connection, ICMP, multicast.""",
    bad=(
        table_of(FT, chain("forward", "flow add @ft", "accept")),
        table_of(FT, chain("forward", "ip protocol { icmp, tcp } flow add @ft")),
    ),
    good=(
        table_of(FT, chain("forward", ADD)),
        table_of(FT, chain("forward", "meta l4proto { tcp, udp } flow add @ft")),
    ),
    fix="match `ct state established meta l4proto { tcp, udp }` first",
    source="Linux nft_flow_offload.c (nft_flow_offload_eval)",
)
def unguarded(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, _effect in offloads(subject):
        asked = states(found)
        plain = all(_flows_only(box) for box in found.boxes)
        if not plain and not (asked is not None and not meet(asked, (*one(8), *one(UNTRACKED)))) and not _called_guarded(subject, found):
            yield rule.at(subject, subject.step_place(found.key, step), "this is tried for packets that are never offloaded", found.key)


def _flows_only(box: Box) -> bool:
    protocols = box.dims.get("meta.l4proto")
    return protocols is not None and all(low == high and low in (6, 17) for low, high in protocols)


def _called_guarded(subject: Subject, found: RuleView) -> bool:
    callers = subject.view.callers.get(found.chain, [])
    return bool(callers) and all(states(other) is not None or all(_flows_only(box) for box in other.boxes) for other in callers)


@rule(
    "FT005",
    "warning",
    "flows are not counted",
    why="""Without `counter` the packets of offloaded connections are counted nowhere: counters of rules and of connections stand still (Linux 5.13 counts them when it
        is said).""",
    bad=(
        table_of(
            "flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n  }",
            chain("forward", "ct state established counter flow add @ft"),
        ),
        table_of(
            "flowtable ft {\n    hook ingress priority 0; devices = { lan, wan };\n  }",
            chain("forward", ADD, "counter accept"),
            head="table ip f",
        ),
    ),
    good=(
        table_of(FT, chain("forward", ADD)),
        table_of("flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n  }", chain("forward", ADD)),
    ),
    fix="add `counter` to the flowtable",
    source="calico#13496, metal-stack#15; Linux nf_flow_table_core.c (NF_FLOWTABLE_COUNTER)",
)
def uncounted(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for record in flowtables(subject):
        if record.counter:
            continue
        counting = [
            other
            for other in subject.view.all
            for base in subject.view.bases_of(other)
            if base.hook == "forward"
            for _ in other.effects(Count)
        ]
        if counting:
            spans = (subject.place(record.key), subject.place(counting[0].key))
            yield rule.at(
                subject, spans, f"flowtable {record.name} has no counter: counters of forward stand still for what is offloaded", record.key
            )


@rule(
    "FT006",
    "warning",
    "devices of the flowtable lack one side, or are both upper and lower",
    why="""A connection takes the fast path only where both its interfaces are in the flowtable: one alone does nothing. And a device that lies on another one (VLAN,
        PPPoE, bridge) must not be there together with that one: the lower device alone is enough.""",
    bad=(
        table_of("flowtable ft {\n    hook ingress priority 0\n    devices = { wan }\n    counter\n  }", chain("forward", ADD)),
        table_of(
            "flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan, pppoe-wan }\n    counter\n  }", chain("forward", ADD)
        ),
        table_of(
            "flowtable ft {\n    hook ingress priority 0\n    devices = { eth0, eth0.10, eth1 }\n    counter\n  }", chain("forward", ADD)
        ),
    ),
    good=(
        table_of(FT, chain("forward", ADD)),
        table_of(
            "flowtable ft {\n    hook ingress priority 0\n    devices = { eth0.10, eth0.20 }\n    counter\n  }", chain("forward", ADD)
        ),
    ),
    fix="list the lower device of each side",
    source="openwrt#10224; Linux nf_flow_table_ip.c, nft_flow_offload.c (nft_dev_path_info)",
)
def devices(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for record in flowtables(subject):
        names = record.devices
        if len(names) == 1 and any(
            table_key(found, effect) == record.key and any(base.hook == "forward" for base in subject.view.bases_of(found))
            for found, _, effect in offloads(subject)
        ):
            yield rule.at(
                subject,
                subject.place(record.key),
                f"only {names[0]} is in it: connections that leave by another device are not offloaded",
                record.key,
            )
        for name in names:
            lower = _lower(subject, name)
            if lower in names:
                message = f"{name} lies on {lower}, and both are in it: flows are found on neither"
                yield rule.at(subject, subject.place(record.key), message, record.key)


def _lower(subject: Subject, name: str) -> str:
    device = subject.host.devices.get(name)
    if device is not None and device.lower:
        return device.lower
    for prefix in ("pppoe-", "br-"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name.rpartition(".")[0]


@rule(
    "FT011",
    "info",
    "`flow offload` is the old spelling",
    why="""`flow offload @ft` is what the statement was called first; nft lists it as `flow add @ft`.""",
    bad=(
        table_of(FT, chain("forward", "ct state established meta l4proto tcp flow offload @ft")),
        table_of(FT, chain("forward", "ip protocol { tcp, udp } flow offload @ft"), head="table ip f"),
    ),
    good=(
        table_of(FT, chain("forward", "ct state established meta l4proto tcp flow add @ft")),
        table_of(chain("forward", 'counter comment "flow offload @ft"')),
    ),
    fix="write `flow add`",
    source="man nft, FLOWTABLES; nftables src/parser_bison.y",
)
def old_words(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for text, written, _command in written_rules(subject):
        for stmt in written.stmts:
            if stmt.kind != "flow":
                continue
            span = subject.span(text, stmt.at)
            line = subject.line(span) if span is not None else ""
            at = line.find("flow offload", span.column - 1) if span is not None else -1
            if span is not None and 0 <= at < span.end:
                place = span._replace(column=at + 1, end=at + 1 + len("flow offload"))
                yield rule.at(subject, place, "it is called `flow add` now", fixes=(Fix(place, "flow add"),))


RULES: Final = (
    offload_hook,
    behind_offload,
    before_filters,
    unguarded,
    uncounted,
    devices,
    old_words,
)
