"""tc u32 lowered: keys that end their slot where the packet ends, and slots that link hash tables."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from tcemu.engine.effects.u32 import DescendOp, Place, TableOp, WordOp
from tcemu.engine.program import Op, Rule
from tcemu.ir.effect import Descend
from tcemu.ir.operand import Raw
from tcemu.ir.ruleset import Rule as RuleRecord
from tcemu.ir.ruleset import Ruleset
from tcemu.ir.step import Do, Masked, Match

NODE: Final = 0xFFF  # of a handle: 12 bits of table, 8 of bucket, 12 of node
BUCKET_SHIFT: Final = 12
TABLE_DIGITS: Final = 3  # of the 8 hexadecimal digits that end a rule's key


def links(record: RuleRecord) -> bool:
    """Is it a node that leads into another table?"""
    return any(isinstance(step, Do) and isinstance(step.effect, Descend) for step in record.steps)


def word(step: Match, rule: Rule, place: Place) -> Op:
    """A key."""
    assert isinstance(step.left, Raw) and isinstance(step.test, Masked)
    return WordOp(rule, place, step.left.offset // 8, step.left.base == "u32+", step.test.value, step.test.mask)


class Tables:
    """The hash tables of one slot's way; ``make`` lowers a node. A table that links to itself is met once."""

    def __init__(self, ruleset: Ruleset, make: Callable[[RuleRecord], Rule]) -> None:
        self.ruleset = ruleset
        self.make = make
        self.place = Place()
        self.found: dict[str, list[Rule | None]] = {}

    def root(self, records: list[RuleRecord]) -> Op:
        """The nodes of the root table, in order."""
        return TableOp(self.place, self._linked(records))

    def descend(self, effect: Descend) -> Op:
        """A link."""
        op = DescendOp(self.place, self._table(effect), effect.hash_at, effect.hash_mask)
        op.hash_shift = (effect.hash_mask & -effect.hash_mask).bit_length() - 1 if effect.hash_mask else 0
        op.varies = effect.at is not None
        op.moves = op.varies or effect.plus is not None
        op.plus = effect.plus or 0
        op.at, op.mask, op.shift = effect.at or 0, effect.mask, effect.shift
        op.eat = effect.eat
        op.name = "descend"
        return op

    def _table(self, effect: Descend) -> list[Rule | None]:
        """The first node of each bucket of a table."""
        buckets = self.found.get(effect.table)
        if buckets is None:
            buckets = self.found[effect.table] = [None] * effect.buckets
            slot, _, handle = effect.table.rpartition("/")
            nodes: dict[int, list[RuleRecord]] = {}
            for record in self.ruleset.rules.children(f"{slot.rpartition('/')[0]}/u32"):
                own, _, number = record.key.rpartition("/")
                if own == slot and number[:TABLE_DIGITS] == handle[:TABLE_DIGITS] and int(number, 16) & NODE:
                    nodes.setdefault(int(number, 16) >> BUCKET_SHIFT & 0xFF, []).append(record)
            for bucket, records in nodes.items():
                if bucket < effect.buckets:
                    buckets[bucket] = self._linked(sorted(records, key=lambda record: record.key))
        return buckets

    def _linked(self, records: list[RuleRecord]) -> Rule | None:
        """Nodes in a row."""
        rules = [self.make(record) for record in records]
        for here, behind in pairwise([*rules, None]):
            assert here is not None
            here.next = behind
        return rules[0] if rules else None
