"""Rules that say the same again, or what no packet is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.step import Match, Not
from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Claim, Finding
from tcemu.lint.order import always_of, order_of
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.source import set_literals
from tcemu.lint.space import meet, remainder
from tcemu.lint.view import RuleView
from tcemu.nft.tree import At, Element, Expr, Symbol

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.anomalies import dead, loaded_before, outcome_of, removal


@rule(
    "NF105",
    "warning",
    "matches that exclude each other",
    why="""The rule asks for two things that no packet is at once (`ct state new ct state established`, two different ports or addresses). nft takes it, and
        it never matches. What was meant is mostly a set of the two.""",
    bad=(
        table_of(chain("input", "ct state new ct state established accept")),
        table_of(chain("input", "tcp dport 22 tcp dport 2222 accept")),
        table_of(chain("forward", "ip saddr 10.0.0.1 ip saddr 10.0.0.2 drop")),
    ),
    good=(
        table_of(chain("input", "ct state new,established accept")),
        table_of(chain("input", "tcp dport 22 tcp sport 2222 accept")),
        table_of(chain("forward", "ip saddr 10.0.0.0/8 ip saddr != 10.0.0.2 drop")),
    ),
    fix="write a set, or two rules",
    source="checked with nft 1.0.6 on Linux 6.18",
)
def contradictory(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in [*subject.view.all, *subject.view.tc_all]:
        if one.boxes and all(box.empty for box in one.boxes) and not one.key.startswith("tc "):
            dims = [dim for dim, values in one.boxes[0].dims.items() if not values]
            numbers = [
                number
                for number, step in enumerate(one.rule.steps)
                if isinstance(step, Match) and dims and dims[0].split(" ")[-1].split(".")[-1] in repr(step.left)
            ]
            spans = tuple(dict.fromkeys(subject.step_place(one.key, number) for number in numbers)) or (subject.place(one.key),)
            what = dims[0].replace(".", " ") if dims else "what it matches"
            found = rule.at(subject, spans[::-1], f"no packet has such {what}: this rule never matches", one.key)
            yield found._replace(claim=claims.never(subject, one, numbers[1:] or numbers))
    yield from _let_through_by_none(subject, rule)


def _let_through_by_none(subject: Subject, rule: Rule) -> Iterator[Finding]:
    """Rules of chains whose callers let nothing through that they match."""
    for meetings in order_of(subject).meetings.values():
        one, base = meetings[0].rule, meetings[0].base
        if not all(meeting.nothing for meeting in meetings) or loaded_before(subject, one):
            continue
        callers = subject.view.callers.get(one.chain, ())
        spans = (subject.place(one.key), *(subject.place(caller.key) for caller in callers[:3]))
        found = rule.at(
            subject, spans, "the jumps that lead to this chain let none of its packets through: this rule never matches", one.key
        )
        claim = Claim(base, tuple(meetings[0].boxes), one.key, (), "unled")
        yield found._replace(claim=claim, severity="info")  # generators (Docker's isolation chains) write such rules on purpose


@rule(
    "NF117",
    "info",
    "the same again",
    why="""The same rule stands twice in a chain, or the same element twice in a set: mostly the trace of a script that ran twice, or of a merge.""",
    bad=(
        table_of(chain("input", "tcp dport 22 counter accept", "tcp dport 80 accept", "tcp dport 22 counter accept", policy="drop")),
        table_of(chain("input", "tcp dport { 22, 80, 22 } accept")),
    ),
    good=(
        table_of(chain("input", "tcp dport 22 counter accept", "udp dport 22 counter accept", policy="drop")),
        table_of(chain("input", "tcp dport 22 accept"), chain("forward", "tcp dport 22 accept")),
    ),
    fix="remove one of the two",
    source="vyos#3883",
)
def duplicate(subject: Subject, rule: Rule) -> Iterator[Finding]:
    unreached = {one.key for one, _, _ in dead(subject)}
    for key in subject.view.nft_chains:
        seen: dict[str, RuleView] = {}
        for one in subject.view.rules(key):
            text = rule_text(subject, one)
            if not text or loaded_before(subject, one):
                continue
            other = seen.setdefault(text, one)
            if other is not one:
                message = f"the same rule stands in line {getattr(subject.place(other.key), 'line', '?')} already"
                fixes = removal(subject, one) if one.key in unreached else ()  # a second limit, mark or log does something
                yield rule.at(subject, (subject.place(one.key), subject.place(other.key)), message, one.key, fixes=fixes)
    for read, literal in set_literals(subject):
        known: dict[str, At] = {}
        for item in literal.items:
            name = _plain_key(item)
            if name is None:
                continue
            if name in known:
                yield rule.at(subject, (subject.span(read, item.at), subject.span(read, known[name])), "the same element again")
            known.setdefault(name, item.at)


def rule_text(subject: Subject, one: RuleView) -> str:
    """What the rule says, blanks aside; a rule over several lines by its steps."""
    span = subject.place(one.key)
    if span is None or one.key not in subject.written:
        return ""
    text, _ = subject.written[one.key]
    if text.origins is not None:
        return " ".join(subject.line(span).split())
    return " ".join(subject.line(span)[span.column - 1 : span.end - 1].split())


def _plain_key(item: Expr) -> str | None:
    """An element's key as written, where it is one word."""
    key = item.key if isinstance(item, Element) else item
    return key.text if isinstance(key, Symbol) else None


@rule(
    "NF118",
    "warning",
    "two negations that together are everything",
    why="""`!= a accept` and then `!= b accept` accept everything: a is not b, and b is not a. Meant was `!= { a, b }`.""",
    bad=(
        table_of(chain("input", "ip saddr != 10.0.0.1 drop", "ip saddr != 10.0.0.2 drop")),
        table_of(chain("input", "tcp dport != 22 drop", "tcp dport != 80 drop", "accept")),
    ),
    good=(
        table_of(chain("input", "ip saddr != { 10.0.0.1, 10.0.0.2 } drop")),
        table_of(chain("input", "ip saddr != 10.0.0.1 drop", "ip daddr != 10.0.0.2 drop")),
        table_of(chain("input", "ip saddr != 10.0.0.1 drop", "ip saddr != 10.0.0.2 accept")),
    ),
    fix="write `!= { a, b }` in one rule",
    source="a common mistake; firewallfabrik#136",
)
def negations(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for key in subject.view.nft_chains:
        seen: list[tuple[RuleView, Match, str]] = []
        for one in subject.view.rules(key):
            written = [match for match in one.matches if not match.implied]
            if len(written) != 1 or not isinstance(written[0].test, Not) or not outcome_of(one):
                continue
            for other, match, outcome in seen:
                if match.left == written[0].left and outcome == outcome_of(one) and _disjoint(one, other):
                    message = "with the rule before, this is everything: who is the one is not the other"
                    found = rule.at(subject, (subject.place(one.key), subject.place(other.key)), message, one.key)
                    yield found._replace(claim=_everything(subject, one, other))
                    break
            seen.append((one, written[0], outcome_of(one)))


def _everything(subject: Subject, one: RuleView, other: RuleView) -> Claim:
    """What the first negation leaves, the second takes."""
    base = claims.base_of(subject.view, one)
    make = claims.lost if outcome_of(one) == "drop" else claims.passes
    mine = claims.boxes_at(subject, one, base)
    return make(base, remainder(mine, claims.boxes_at(subject, other, base), always_of(base)) or mine, one)


def _disjoint(one: RuleView, other: RuleView) -> bool:
    """Do the two leave out different values?"""
    mine, theirs = one.matches[-1], other.matches[-1]
    dims = [dim for dim in one.boxes[0].dims if dim in other.boxes[0].dims and not dim.startswith(("meta nfproto", "meta.l4proto", "("))]
    _ = (mine, theirs)
    return (
        bool(dims)
        and one.boxes[0].dims[dims[-1]] != other.boxes[0].dims[dims[-1]]
        and bool(meet(one.boxes[0].dims[dims[-1]], other.boxes[0].dims[dims[-1]]))
        and _covering(one, other, dims[-1])
    )


def _covering(one: RuleView, other: RuleView, dim: str) -> bool:
    from tcemu.fields import BY_NAME
    from tcemu.lint.space import join, whole

    field = BY_NAME.get(dim)
    bits = field.bits if field is not None else 128 if dim.endswith("name") else 0
    return bits > 0 and join([*one.boxes[0].dims[dim], *other.boxes[0].dims[dim]]) == whole(bits)


RULES: Final = (
    contradictory,
    duplicate,
    negations,
)
