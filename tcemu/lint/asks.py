"""Questions that several rules ask of the ruleset: who accepts such packets, and what would see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tcemu.ir.effect import Translate
from tcemu.ir.operand import Const, Operand
from tcemu.ir.verdict import DROP
from tcemu.lint.space import Box, Values, apart, meet
from tcemu.lint.view import Base, RuleView, View

NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED = 8, 2, 4, 1, 64
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
IP4, IP6 = 2, 10  # NFPROTO_*


def one(value: int) -> Values:
    """A single value."""
    return ((value, value),)


def accepts(rule: RuleView) -> bool:
    """May the rule accept a packet?"""
    return rule.accepts


def drops(rule: RuleView) -> bool:
    """Does the rule drop (or reject)?"""
    return rule.verdict is not None and rule.verdict.code == DROP


def accepting(view: View, base: Base) -> Iterator[RuleView]:
    """Rules on the path of a base chain that may accept."""
    for rule in view.path_rules(base):
        if accepts(rule):
            yield rule


def may_match(rule: RuleView, box: Box) -> bool:
    """May a packet of the box match the rule?"""
    return any(not mine.empty and not apart(mine, box) for mine in rule.boxes)


def someone_accepts(view: View, base: Base, box: Box) -> RuleView | None:
    """A rule that may accept a packet of the box."""
    return next((rule for rule in accepting(view, base) if may_match(rule, box)), None)


def states(rule: RuleView) -> Values | None:
    """The states of connections that a rule asks for; None where it asks for none."""
    if "ct.state" not in rule.loads:
        return None
    found = [box.dims["ct.state"] for box in rule.boxes if "ct.state" in box.dims]
    from tcemu.lint.space import join

    return join([value for values in found for value in values])


def takes_state(rule: RuleView, state: int) -> bool:
    """Does it ask for that state, among others or alone?"""
    found = states(rule)
    return found is not None and bool(meet(found, one(state)))


def stateless(rule: RuleView) -> bool:
    """Does it look at no state?"""
    return states(rule) is None


def service(rule: RuleView) -> bool:
    """Is it about a port that somebody listens on?"""
    return "th.dport" in rule.loads


def has(rule: RuleView, *names: str) -> bool:
    """Does it look at one of these dimensions (or of those that begin so, with a dot or blank at the end)?"""
    loads = rule.loads
    for name in names:
        if name in loads:
            return True
        if name[-1] in ". ":
            for dim in loads:
                if dim.startswith(name):
                    return True
    return False


IIF: Final = ("meta.iif", "meta iifname", "meta iifgroup", "meta iiftype")
OIF: Final = ("meta.oif", "meta oifname", "meta oifgroup", "meta oiftype")


def looks_at(rule: RuleView, words: tuple[str, ...]) -> bool:
    """Does some match, even one that is told from no other, look at these things?"""
    return any(word in dim or word.replace(" ", "', args=('") in dim for box in rule.boxes for dim in box.dims for word in words)


def constant(operand: Operand | None) -> int | None:
    """A number that stands in the text."""
    return operand.value if isinstance(operand, Const) else None


def translations(view: View, *kinds: str) -> Iterator[tuple[RuleView, int, Translate]]:
    """Rules that translate, with the step."""
    for rule in view.having(Translate):
        for step, effect in rule.effects(Translate):
            if isinstance(effect, Translate) and effect.kind in kinds:
                yield rule, step, effect


def name_value(name: str) -> int:
    """An interface's name as matches have it."""
    return int.from_bytes(name.encode()[:16].ljust(16, b"\0"), "big")
