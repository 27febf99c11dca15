"""Rules of a chain on their way: which comparison stands in front, which runs get an index, where misses and returns lead.

What a rule does was settled in `tcemu.engine.lower`; here rules are put together so that few of them are asked.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Final

from tcemu.engine.effects.basics import CountedVerdictOp, CountOp, LastOp, LimitOp, QuotaOp, RandomOp, VerdictOp
from tcemu.engine.effects.divert import LogOp
from tcemu.engine.program import BitsTest, Index, MaskedTest, Op, Rule, Test
from tcemu.engine.sets import VerdictMapOp
from tcemu.engine.values import COMPILED, NumbersTest
from tcemu.fields import BY_NAME
from tcemu.ir.verdict import STEP

NARROW: Final = frozenset(field.slot for field in BY_NAME.values() if field.bits < 63)  # slots that are never negative
PURE: Final = (CountOp, VerdictOp, LimitOp, QuotaOp, RandomOp, LastOp, LogOp, VerdictMapOp)  # ops that change nothing which a guard can see
RUN: Final = 16 if COMPILED else 4  # so many rules alike are worth an index


class Draft:
    """A rule on its way: its leading tests, not yet linked, and whether its body leaves all slots as they are."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.tests: list[Test] = []
        self.pure = True


def choose_guards(drafts: list[Draft]) -> None:
    """Put into each rule, as its guard, the masked comparison that tells most rules of the chain apart; link the other tests."""
    values: dict[tuple[int, int], set[int]] = {}
    for draft in drafts:
        for test in draft.tests:
            if type(test) is MaskedTest and not test.negate:
                values.setdefault((test.slot, test.mask), set()).add(test.value)
    for draft in drafts:
        masked = [test for test in draft.tests if type(test) is MaskedTest and not test.negate]
        guard = max(masked, key=lambda test: len(values[test.slot, test.mask]), default=None)
        rule = draft.rule
        chosen: Test | None = guard or next((test for test in draft.tests if type(test) in (MaskedTest, BitsTest)), None)
        if type(chosen) is MaskedTest:
            rule.guard_slot, rule.guard_mask, rule.guard_value, rule.guard_fails = chosen.slot, chosen.mask, chosen.value, chosen.negate
        elif type(chosen) is BitsTest:
            rule.guard_slot, rule.guard_mask, rule.guard_fails = chosen.slot, chosen.bits, not chosen.negate
        others = [test for test in draft.tests if test is not chosen]
        for here, behind in pairwise([*others, None]):
            assert here is not None
            here.next = behind
        rule.tests = others[0] if others else None


def index_runs(drafts: list[Draft]) -> None:
    """Give runs of rules whose guards look at the same bits an index, and let a rule's miss lead to the next that can match."""
    for _, group in groupby(drafts, key=lambda draft: (draft.rule.guard_slot, draft.rule.guard_mask, draft.rule.guard_fails)):
        run = list(group)
        if len(run) < RUN or not run[0].rule.guard_mask or run[0].rule.guard_fails:
            continue
        index = Index(run[-1].rule.next)
        for draft in reversed(run):
            rule = draft.rule
            rule.miss = index.rules.get(rule.guard_value, index.after)
            if draft.pure:
                rule.over = rule.miss
            index.rules[rule.guard_value] = rule
        if len(index.rules) > 1:
            run[0].rule.index = index


def shortened(first: Op | None) -> Op | None:
    """A body of a counter and a plain verdict as one op; any other as it is."""
    if type(first) is not CountOp or first.counter is None:
        return first
    last = first.next
    if type(last) is not VerdictOp or last.counter is not None or last.to is not None or last.next is not None or last.then == STEP:
        return first
    return CountedVerdictOp(last.then, None, 0, first.counter)


def index_sets(drafts: list[Draft]) -> None:
    """Ask for a member of a set by the rule's index, where that spares CPython the call of a test.

    While somebody watches, no index is used, and the guard stands for nothing: it asks for what no field can be.
    """
    if COMPILED:
        return
    for draft in drafts:
        rule = draft.rule
        for test in draft.tests:
            if type(test) is NumbersTest and not test.negate and test.slot in NARROW and rule.index is None and rule.guard_mask == 0:
                rule.index = Index(rule.next)
                rule.index.rules = dict.fromkeys(test.numbers, rule)
                rule.guard_slot, rule.guard_mask, rule.guard_value, rule.guard_fails = test.slot, -1, -1, True


def settle_returns(drafts: dict[str, list[Draft]]) -> None:
    """Let returns from chains that change nothing lead to the next rule of the run that can match."""
    still: dict[str, bool] = {}

    def is_still(key: str) -> bool:
        known = still.get(key)
        if known is None:
            still[key] = False  # of a chain that leads back to itself
            known = still[key] = all(draft.pure and all(map(is_still, targets(draft.rule))) for draft in drafts.get(key, []))
        return known

    for made in drafts.values():
        for draft in made:
            rule = draft.rule
            if rule.over is not rule.next and all(map(is_still, targets(rule))):
                rule.back = rule.over


def targets(rule: Rule) -> list[str]:
    """The chains that a rule leads to."""
    found = []
    op = rule.ops
    while op is not None:
        if op.to is not None:
            found.append(op.to.key)
        if isinstance(op, VerdictMapOp):
            found += [item.to.key for item in op.search.table.items if item.to is not None]
            rest = op.search.table.rest
            found += [rest.to.key] if rest is not None and rest.to is not None else []
        op = op.next
    return found
