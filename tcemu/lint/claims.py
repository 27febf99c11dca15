"""Claims: what checks say of packets, put so that a packet can prove it (`tcemu.lint.finding.PROOFS`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tcemu.lint.boxes import boxes_of
from tcemu.lint.finding import Claim
from tcemu.lint.order import order_of
from tcemu.lint.space import Box, both
from tcemu.lint.view import Base, RuleView, View

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

MAX_POINTS = 16  # boxes that a claim names


def base_of(view: View, rule: RuleView) -> Base:
    """The base chain at which packets meet a rule: the first that leads to it, or one that a trial will hook."""
    if rule.key.startswith("tc "):
        return tc_base(rule.chain)
    return next(iter(view.bases_of(rule)), None) or unhooked(rule.chain)


def unhooked(chain: str) -> Base:
    """A place for a chain that nothing hooks: a trial puts it into forward (in netdev tables into ingress)."""
    if chain.startswith("tc "):
        return tc_base(chain)
    table = chain.partition("/")[0]
    family = table.partition(" ")[0]
    return Base(chain, table, family, "ingress" if family == "netdev" else "forward", 0, "filter", False)


def tc_base(chain: str) -> Base:
    """The place of a chain of tc filters."""
    block = chain.rpartition("/")[0]
    words = block.split(" ")
    device = words[2] if words[1] == "dev" else ""
    return Base(chain, block, "tc", "egress" if block.endswith("egress") else "ingress", 0, "tc", False, device)


def boxes_at(subject: Subject, rule: RuleView, base: Base) -> list[Box]:
    """A rule's boxes as packets of a base chain meet it: with what the jumps that lead to it let through."""
    for meeting in order_of(subject).meetings.get(rule.key, ()):
        if meeting.base.chain == base.chain and not meeting.nothing:
            return list(meeting.boxes)
    return rule.boxes


def shared(subject: Subject, one: RuleView, other: RuleView, base: Base) -> tuple[Box, ...]:
    """Packets that two rules match."""
    found = [both(mine, theirs) for mine in boxes_at(subject, one, base)[:8] for theirs in boxes_at(subject, other, base)[:8]]
    return tuple(box for box in found if not box.empty)[:MAX_POINTS]


def loosened(subject: Subject, rule: RuleView, steps: Collection[int], extra: Sequence[Box] = ()) -> tuple[Box, ...]:
    """A rule's boxes without some of its guards, narrowed to one of the others given."""
    kept = [step for number, step in enumerate(rule.rule.steps) if number not in steps]
    boxes = [box for box in boxes_of(kept, subject.view.members) if not box.empty]
    if extra:
        boxes = [made for box in boxes for other in extra if not (made := both(box, other)).empty]
    return tuple(boxes[:MAX_POINTS])


def never(subject: Subject, rule: RuleView, steps: Sequence[int], where: Sequence[Box] = ()) -> Claim:
    """No packet matches, and the guards at these steps are why."""
    boxes = tuple(box for box in where if not box.empty) or loosened(subject, rule, steps)
    return Claim(base_of(subject.view, rule), boxes, rule.key, (), "never", tuple(steps))


def unled(subject: Subject, chain: str, rules: Sequence[RuleView]) -> Claim:
    """Nothing leads to a chain. A packet of one of its rules shows it, or any."""
    boxes = [box for rule in rules[:4] for box in rule.boxes[:2] if not box.empty]
    return Claim(unhooked(chain), (*boxes[:6], Box({})), chain, (), "unled")


def lost(base: Base, boxes: Sequence[Box], *takers: RuleView) -> Claim:
    """These packets are dropped by a base chain."""
    return Claim(base, tuple(box for box in boxes if not box.empty)[:MAX_POINTS], "", tuple(rule.key for rule in takers), "lost")


def passes(base: Base, boxes: Sequence[Box], rule: RuleView) -> Claim:
    """A rule lets these packets pass."""
    return Claim(base, tuple(box for box in boxes if not box.empty)[:MAX_POINTS], rule.key, (), "passes")
