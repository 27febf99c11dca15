"""Rules in the way of others: shadowed, partly shadowed, redundant, correlated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Span
from tcemu.ir.effect import Assign, Count, Limit, Log, Nothing, Reject, SetCt, SetMeta, Translate, UpdateSet, VerdictMap
from tcemu.ir.verdict import ACCEPT, DROP
from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Claim, Finding, Fix
from tcemu.lint.order import Meeting, Taker, always_of, order_of
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.space import Box, apart, covers, remainder
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

SHADOW: Final = "Al-Shaer and Hamed, Discovery of Policy Anomalies in Distributed Firewalls (INFOCOM 2004)"
HARMLESS: Final = (Nothing, Count, Log)


def name_of(subject: Subject, rule: RuleView) -> str:
    """A rule in a sentence: its text when it is known."""
    span = subject.place(rule.key)
    text = subject.line(span)[span.column - 1 : span.end - 1].strip() if span is not None else ""
    if text and len(text) <= 80:
        return f"`{text}`" + (f" (line {span.line})" if span is not None else "")
    return f"line {span.line}" if span is not None else f"`{words}`" if (words := subject.words(rule.key)) else rule.key


def _same_end(rule: RuleView, takers: Sequence[Taker]) -> bool:
    """Would the packet have met the same end anyhow?"""
    mine = outcome_of(rule)
    return mine != "" and all(outcome_of(taker.rule) == mine for taker in takers)


def outcome_of(rule: RuleView) -> str:
    """What becomes of a packet: accept, drop, or the effect that makes it something of its own."""
    for _number, effect, then in rule.acts:
        if isinstance(effect, (Translate, VerdictMap, Reject, Assign, SetMeta, SetCt, UpdateSet, Limit)):
            return ""
        if then.code:
            return {ACCEPT: "accept", DROP: "drop"}.get(then.code, "")
        if not isinstance(effect, HARMLESS):
            return ""
    return ""


def dead(subject: Subject) -> Iterator[tuple[RuleView, list[Meeting], tuple[Taker, ...]]]:
    """Rules that no packet reaches wherever they are met, with who takes their packets."""
    for meetings in order_of(subject).meetings.values():
        if all(meeting.takers or meeting.nothing for meeting in meetings) and any(meeting.takers for meeting in meetings):
            takers = tuple(dict.fromkeys(taker for meeting in meetings for taker in meeting.takers))
            yield meetings[0].rule, meetings, takers


def _claim(meetings: Sequence[Meeting], takers: Sequence[Taker]) -> Claim:
    first = next(meeting for meeting in meetings if meeting.takers)
    return Claim(first.base, first.where, first.rule.key, tuple(taker.rule.key for taker in takers))


def _spans(subject: Subject, rule: RuleView, takers: Sequence[Taker]) -> tuple[Span | None, ...]:
    return (subject.place(rule.key), *(subject.place(taker.rule.key) for taker in takers[:3]))


def loaded_before(subject: Subject, rule: RuleView) -> bool:
    return rule.table in subject.based


@rule(
    "NF113",
    "warning",
    "shadowed: an earlier rule takes all its packets",
    why="""Every packet that this rule would match has been accepted, dropped or sent elsewhere by rules in front of it, so the rule never matches. Where
        the earlier rules decide otherwise, the ruleset does not do what it says: a drop behind a broader accept drops nothing. Decided over sets of
        packets (intervals, sets, negations, connection states, jumps, several chains of a hook), and shown with a packet that the engine ran.""",
    bad=(
        table_of(chain("input", "ip saddr 10.0.0.0/8 accept", "ip saddr 10.1.2.3 tcp dport 22 drop", policy="drop")),
        table_of(chain("forward", "tcp dport { 80, 443 } accept", "ct state established accept", "tcp dport 443 drop", policy="drop")),
        table_of(chain("input", "tcp dport 1-1000 accept", "tcp dport 1001-65535 accept", "tcp dport 22 drop")),
        "tc qdisc add dev eth0 clsact\ntc filter add dev eth0 ingress prio 1 protocol ip flower dst_ip 10.0.0.0/8 action drop\n"
        "tc filter add dev eth0 ingress prio 2 protocol ip flower dst_ip 10.1.0.0/16 ip_proto tcp dst_port 80 action pass",
    ),
    good=(
        table_of(chain("input", "ip saddr 10.1.2.3 tcp dport 22 drop", "ip saddr 10.0.0.0/8 accept", policy="drop")),
        table_of(chain("input", "ip saddr 10.0.0.0/8 limit rate 5/second accept", "ip saddr 10.1.2.3 drop")),
        table_of(chain("input", "tcp dport != 22 accept", "tcp dport 22 drop")),
        table_of(
            "set ok {\n    type ipv4_addr\n    elements = { 10.0.0.1 }\n  }",
            chain("input", "ip saddr @ok accept", "ip saddr 10.0.0.1 drop"),
        ),
    ),
    fix="put it in front of the broader rule, or remove it",
    source=SHADOW + "; opnDossier#202, firewallfabrik#73, #136",
)
def shadowed(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one, meetings, takers in dead(subject):
        if _same_end(one, takers) or loaded_before(subject, one):
            continue
        by = name_of(subject, takers[0].rule) + (f" and {len(takers) - 1} more" if len(takers) > 1 else "")
        found = rule.at(subject, _spans(subject, one, takers), f"never matches: {by} takes all its packets before", one.key)
        yield found._replace(claim=_claim(meetings, takers))


@rule(
    "NF114",
    "warning",
    "partly shadowed: some of its values never match",
    why="""Some elements of the rule's own set have been decided otherwise by earlier rules: the rule matches, but not for these values, which
        stand in it to no effect.""",
    bad=(
        table_of(chain("input", "tcp dport 23 drop", "tcp dport { 22, 23, 80 } accept", policy="drop")),
        table_of(chain("forward", "ip daddr 10.0.0.0/24 drop", "ip daddr { 10.0.0.7, 10.9.0.1 } accept")),
    ),
    good=(
        table_of(chain("input", "tcp dport 23 ip saddr 10.0.0.1 drop", "tcp dport { 22, 23, 80 } accept", policy="drop")),
        table_of(chain("input", "tcp dport 23 counter", "tcp dport { 22, 23, 80 } accept", policy="drop")),
    ),
    fix="take the values out of the set, or put the rule first",
    source=SHADOW,
)
def partly(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for meetings in order_of(subject).meetings.values():
        first = meetings[0]
        if len(meetings) != 1 or not first.parts or loaded_before(subject, first.rule):
            continue
        parts = [part for part in first.parts if outcome_of(part[2].rule) != outcome_of(first.rule) or not outcome_of(first.rule)]
        if not parts or (outcome_of(first.rule) == "" and not first.rule.ends):
            continue
        shown = ", ".join(_value(dim, text) for dim, text, _, _ in parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
        taker = parts[0][2]
        message = f"never matches for {shown}: {name_of(subject, taker.rule)} takes these packets before"
        found = rule.at(subject, (subject.place(first.rule.key), subject.place(taker.rule.key)), message, first.rule.key)
        yield found._replace(claim=Claim(first.base, (parts[0][3],), first.rule.key, (taker.rule.key,)))


def _value(dim: str, text: str) -> str:
    """A value as people write it."""
    if not dim.endswith(("addr",)):
        return text
    import ipaddress

    made = ipaddress.IPv6Address if dim.startswith("ip6") else ipaddress.IPv4Address
    return "-".join(str(made(int(part))) for part in text.split("-"))


@rule(
    "NF115",
    "warning",
    "redundant: without it nothing would change",
    why="""Another rule decides all packets of this one the same way, so that taking this one out changes nothing but counters. Redundant rules are what is
        left of old changes, and they mislead whoever edits only one of the two.""",
    bad=(
        table_of(chain("input", "tcp dport { 22, 80 } accept", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", "ip saddr 10.0.0.0/8 drop", "ip saddr 10.1.0.0/16 tcp dport 22 drop")),
        table_of(chain("forward", "ip saddr 192.0.2.0/25 accept", "ip saddr 192.0.2.0/24 accept", policy="drop")),
    ),
    good=(
        table_of(chain("input", "tcp dport { 22, 80 } accept", "tcp dport 23 accept", policy="drop")),
        table_of(chain("forward", "ip saddr 192.0.2.0/25 accept", "tcp dport 25 drop", "ip saddr 192.0.2.0/24 accept", policy="drop")),
        table_of(chain("input", "ct state established,related accept", "tcp dport 22 accept", policy="drop")),
    ),
    fix="remove it",
    source=SHADOW + "; opnDossier#202",
)
def redundant(subject: Subject, rule: Rule) -> Iterator[Finding]:
    done = set()
    for one, meetings, takers in dead(subject):
        if not _same_end(one, takers) or loaded_before(subject, one):
            continue
        done.add(one.key)
        by = name_of(subject, takers[0].rule) + (f" and {len(takers) - 1} more" if len(takers) > 1 else "")
        message = f"changes nothing: {by} decides all its packets the same way before"
        found = rule.at(subject, _spans(subject, one, takers), message, one.key)
        yield found._replace(claim=_claim(meetings, takers), fixes=removal(subject, one))
    yield from _followed(subject, rule, done)


def removal(subject: Subject, one: RuleView) -> tuple[Fix, ...]:
    """Take out the line, where the rule has it for itself. Lines of scripts stay: what is around them, only a shell knows."""
    span = subject.place(one.key)
    if one.key not in subject.written or subject.written[one.key][0].origins is not None:
        return ()
    line = subject.line(span).strip() if span is not None else ""
    text = line[: span.end - span.column] if span is not None else ""
    alone = span is not None and line.split("#")[0].strip().rstrip(";") == text.strip().rstrip(";")
    return (Fix(span, "", True),) if alone and span is not None else ()


def _followed(subject: Subject, rule: Rule, done: set[str]) -> Iterator[Finding]:
    """A rule whose packets the very next rules decide alike: narrower in front of broader."""
    view = subject.view
    for base in view.bases:
        always = always_of(base)
        for key in view.below(base.chain):
            rules = view.rules(key)
            for one, other in itertools.pairwise(rules):
                if (
                    one.key in done
                    or other.key in done
                    or not _plain(one)
                    or not outcome_of(one)
                    or outcome_of(one) != outcome_of(other)
                    or not _plain(other)
                ):
                    continue
                if loaded_before(subject, one) or not one.boxes[0].dims or len(one.boxes) > 8:
                    continue
                if other.boxes[0].dims and all(any(big.exact and covers(big, box, always) for big in other.boxes) for box in one.boxes):
                    done.add(one.key)
                    message = f"changes nothing: {name_of(subject, other)} decides all its packets the same way behind it"
                    spans = (subject.place(one.key), subject.place(other.key))
                    found = rule.at(subject, spans, message, one.key, fixes=removal(subject, one))
                    claim = Claim(base, tuple(claims.boxes_at(subject, one, base)), one.key, (other.key,), "followed")
                    yield found._replace(claim=claim)


def _plain(rule: RuleView) -> bool:
    """Does it nothing but decide? A rule that counts or logs says so of its own packets."""
    return all(isinstance(effect, Nothing) for _, effect, _ in rule.acts) and all(box.exact for box in rule.boxes)


@rule(
    "NF116",
    "info",
    "correlated: two rules decide some packets differently, and their order alone says which",
    why="""Each of the two matches packets that the other does not, and for those that both match the decisions differ. Whether the order is the intended one
        only the author knows; swapping the two changes what happens.""",
    bad=(
        table_of(chain("forward", "ip saddr 10.0.0.0/8 tcp dport 25 accept", "ip saddr 10.1.0.0/16 drop", policy="accept")),
        table_of(chain("input", "ip saddr 192.0.2.0/24 drop", "ip daddr 198.51.100.7 accept", policy="drop")),
    ),
    good=(
        table_of(chain("forward", "ip saddr 10.1.0.0/16 tcp dport 25 accept", "ip saddr 10.0.0.0/8 drop", policy="accept")),
        table_of(chain("input", "ip saddr 192.0.2.0/24 drop", "ip saddr 198.51.100.7 accept", policy="drop")),
    ),
    fix="if the order is meant, say so in a comment; else make one of the two narrower",
    source=SHADOW,
)
def correlated(subject: Subject, rule: Rule) -> Iterator[Finding]:
    view = subject.view
    for base in view.bases:
        always = always_of(base)
        for key in view.below(base.chain):
            candidates = [
                one for one in view.rules(key) if outcome_of(one) and len(one.boxes) == 1 and one.boxes[0].exact and _addressed(one)
            ]
            if len(candidates) > 300:
                subject.doubt(f"NF116 in chain {key}", f"{len(candidates)} rules are too many to compare in pairs", subject.place(key))
                continue
            for number, one in enumerate(candidates):
                mine = one.boxes[0]
                for other in candidates[:number]:
                    theirs = other.boxes[0]
                    if outcome_of(one) == outcome_of(other) or apart(mine, theirs):
                        continue
                    if not covers(mine, theirs, always) and not covers(theirs, mine, always) and not loaded_before(subject, one):
                        message = f"{name_of(subject, other)} decides some of its packets differently, and only because it comes first"
                        found = rule.at(subject, (subject.place(one.key), subject.place(other.key)), message, one.key)
                        points = _open_to(subject, base, one, other)
                        yield found._replace(claim=Claim(base, points, one.key, (other.key,), "decided"))
                        break


def _open_to(subject: Subject, base: Base, one: RuleView, other: RuleView) -> tuple[Box, ...]:
    """What two rules share and no other in front of them takes, where that can be told."""
    points = claims.shared(subject, one, other, base)
    earlier = itertools.takewhile(lambda found: found.key != one.key, subject.view.rules(one.chain))
    takes = [box for found in earlier if found.ends and found.key != other.key for box in found.boxes if box.exact]
    return tuple(remainder(points, takes[:200], always_of(base)) or points)[: claims.MAX_POINTS]


def _addressed(one: RuleView) -> bool:
    return any(dim.startswith(("ip.", "ip6.")) for box in one.boxes for dim in box.dims)


RULES: Final = (
    shadowed,
    partly,
    redundant,
    correlated,
)
