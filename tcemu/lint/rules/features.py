"""What the kernel of a profile has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Span
from tcemu.ir.effect import Last, Reject, Translate
from tcemu.ir.operand import Key
from tcemu.ir.step import Match
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.profile import show
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.source import commands

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject


@rule(
    "OP007",
    "warning",
    "the kernel of the profile does not have this",
    why="""Features come with kernels: nat in inet tables with 5.2, flowtable counters with 5.13, reject in prerouting with 5.9, and so on. With --profile linux-X the ruleset is held against what
        that kernel has; an older one refuses the whole file.""",
    bad=(
        table_of(chain("postrouting", 'oifname "wan" masquerade', kind="nat", priority="srcnat")),
        table_of("flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n    counter\n  }"),
        table_of(
            "set s {\n    type ipv4_addr . inet_service; flags interval\n    elements = { 10.0.0.0/8 . 80-90 }\n  }", head="table ip f"
        ),
    ),
    good=(
        table_of(chain("postrouting", 'oifname "wan" masquerade', kind="nat", priority="srcnat"), head="table ip n"),
        table_of("flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n  }"),
    ),
    fix="use a newer kernel, or leave it out",
    source="kernel and nftables release notes; man nft; Linux net/netfilter/ history",
    options=("--profile", "linux-5.0"),
)
def too_old(subject: Subject, rule: Rule) -> Iterator[Finding]:
    if "linux" not in subject.profile.said:
        return
    for since, what, test in FEATURES:
        if subject.profile.linux >= since:
            continue
        for span in test(subject):
            yield rule.at(subject, span, f"{what}: since Linux {show(since)}, and the profile has {show(subject.profile.linux)}")


def _inet_nat(subject: Subject) -> Iterator[Span | None]:
    for base in subject.view.bases:
        if base.family == "inet" and base.kind == "nat":
            yield subject.place(base.chain)


def _inet_ingress(subject: Subject) -> Iterator[Span | None]:
    for base in subject.view.bases:
        if base.family == "inet" and base.hook == "ingress":
            yield subject.place(base.chain)


def _egress(subject: Subject) -> Iterator[Span | None]:
    for base in subject.view.bases:
        if base.hook == "egress":
            yield subject.place(base.chain)


def _flowtable_counter(subject: Subject) -> Iterator[Span | None]:
    for record in subject.ruleset.flowtables:
        if record.counter:
            yield subject.place(record.key)


def _flowtables(subject: Subject) -> Iterator[Span | None]:
    for record in subject.ruleset.flowtables:
        yield subject.place(record.key)


def _hardware(subject: Subject) -> Iterator[Span | None]:
    for record in subject.ruleset.flowtables:
        if record.hardware:
            yield subject.place(record.key)


def _concat_intervals(subject: Subject) -> Iterator[Span | None]:
    for record in subject.ruleset.sets:
        if record.interval and len(record.bits) > 1 and not record.anonymous:
            yield subject.place(record.key)


def _early_reject(subject: Subject) -> Iterator[Span | None]:
    for other in subject.view.having(Reject):
        for step, _effect in other.effects(Reject):
            if any(base.hook == "prerouting" for base in subject.view.bases_of(other)):
                yield subject.step_place(other.key, step)


def _last(subject: Subject) -> Iterator[Span | None]:
    for other in subject.view.having(Last):
        for step, _effect in other.effects(Last):
            yield subject.step_place(other.key, step)


def _destroy(subject: Subject) -> Iterator[Span | None]:
    for text, command, _outer in commands(subject):
        if command.op == "destroy":
            yield subject.span(text, command.at)


def _cgroup2(subject: Subject) -> Iterator[Span | None]:
    for other in subject.view.all:
        for number, step in enumerate(other.rule.steps):
            if isinstance(step, Match) and isinstance(step.left, Key) and "cgroupv2" in step.left.args:
                yield subject.step_place(other.key, number)


def _catch_all(subject: Subject) -> Iterator[Span | None]:
    for record in subject.ruleset.sets:
        if any(not low for low, _ in subject.view.members.of(record.key)):
            yield subject.place(record.key)


def _random_fully(subject: Subject) -> Iterator[Span | None]:
    for other in subject.view.having(Translate):
        for step, effect in other.effects(Translate):
            if isinstance(effect, Translate) and "netmap" in effect.flags:
                yield subject.step_place(other.key, step)


Where = Callable[["Subject"], Iterator["Span | None"]]


FEATURES: Final[tuple[tuple[tuple[int, ...], str, Where], ...]] = (
    ((4, 16), "flowtables", _flowtables),
    ((5, 2), "nat in tables of family inet", _inet_nat),
    ((5, 5), "flags offload of flowtables", _hardware),
    ((5, 6), "intervals in concatenations", _concat_intervals),
    ((5, 8), "netmap (prefix to prefix)", _random_fully),
    ((5, 9), "reject in prerouting", _early_reject),
    ((5, 10), "ingress in tables of family inet", _inet_ingress),
    ((5, 13), "counters of flowtables", _flowtable_counter),
    ((5, 13), "socket cgroupv2", _cgroup2),
    ((5, 13), "catch-all elements", _catch_all),
    ((5, 14), "the statement last", _last),
    ((5, 16), "the egress hook", _egress),
    ((6, 3), "destroy", _destroy),
)


RULES: Final = (too_old,)
