"""Sets and maps of the ruleset to their run-time form, and what packets did to them back to the shelves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from librt.vecs import vec
from mypy_extensions import i64

from tcemu.engine.lower_values import Making, chain, signed, values, words
from tcemu.engine.program import MaskedTest, NeverTest, Test
from tcemu.engine.sets import Item, SetTable, SetTest, Space, SpaceTest
from tcemu.engine.states import stats_of, written
from tcemu.engine.values import Keys, KeysTest, NumbersTest, SlotValue, Spans, SpansTest, Value
from tcemu.ir.effect import Effect
from tcemu.ir.operand import Concat, Operand
from tcemu.ir.ruleset import Element, Ruleset
from tcemu.ir.ruleset import Set as SetRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.engine.program import Chain, Op


def word_counts(bits: tuple[int, ...]) -> list[int]:
    """How many words each part of a key takes."""
    return [max((width + 63) // 64, 1) for width in bits]


def is_plain(record: SetRecord, elements: list[Element], updated: set[str]) -> bool:
    """Does the set never change while packets run, and hold nothing but keys?"""
    if record.key in updated or record.dynamic or record.verdicts or record.data_bits or record.effects:
        return False
    return not any(element.effects or element.expires or element.object or not element.low for element in elements)


class Sets:
    """The sets of a program, each made on first use."""

    def __init__(self, ruleset: Ruleset, making: Making, chains: dict[str, Chain], updated: set[str]) -> None:
        self.ruleset = ruleset
        self.making = making
        self.chains = chains
        self.updated = updated
        self.tables: dict[str, SetTable] = {}
        self.effect_op: Callable[[Effect], Op | None] = lambda _effect: None

    def table(self, key: str) -> SetTable | None:
        """The run-time form of a set; None when there is no such set."""
        known = self.tables.get(key)
        if known is not None:
            return known
        record = self.ruleset.sets.get(key)
        if record is None:
            return None
        table = self.tables[key] = SetTable(key, word_counts(record.bits))
        table.size, table.timeout, table.dynamic = record.size, record.timeout, record.dynamic or key in self.updated
        table.template = self.ops(record.effects)
        table.forms = [tuple(record.effects)]
        elements = self.ruleset.elements.children(key)
        table.data_words = data_words(record, elements)
        table.spans = any(element.data_high is not None for element in elements)
        self.fill(table, [element for element in elements if element.low])
        for element in elements:
            if not element.low:
                table.rest = self.item(element, 0, table)
        return table

    def fill(self, table: SetTable, elements: list[Element]) -> None:
        """Put the elements in."""
        if any(element.high and element.high != element.low for element in elements):
            table.items = [self.item(element, number, table) for number, element in enumerate(elements)]
            table.space = space(table.words, elements)
            table.live = len(elements)
            return
        for element in elements:
            place = table.place(vec[i64](flat(element.low, table.words)))
            table.items[place.number] = self.item(element, place.number, table)

    def item(self, element: Element, number: int, table: SetTable) -> Item:
        """An element."""
        item = Item(number)
        item.place = element.key
        item.timeout, item.expires = element.timeout, element.expires
        if element.data is not None:
            item.data = words(element.data, table.data_words)
            if element.data_high is not None:
                item.data = item.data + words(element.data_high, table.data_words)
        if element.verdict is not None:
            item.code = element.verdict.code
            item.to = self.chains.get(element.verdict.to) if element.verdict.to else None
        if element.object:
            item.acts = self.making.object_op(element.object)
        item.ops = self.ops(element.effects)
        return item

    def ops(self, effects: list[Effect]) -> Op | None:
        """Statements of an element, linked, each with its own state."""
        first: Op | None = None
        last: Op | None = None
        for effect in effects:
            op = self.effect_op(effect)
            if op is None:
                continue
            if last is None:
                first = op
            else:
                last.next = op
            last = op
        return first

    def is_still(self, key: str) -> bool:
        """Does looking into the set change nothing?"""
        record = self.ruleset.sets.get(key)
        if record is None or self.is_plain(key):
            return True
        if key in self.updated or record.effects:
            return False
        return not any(element.effects for element in self.ruleset.elements.children(key))

    # ------------------------------------------------------------ tests

    def is_plain(self, key: str) -> bool:
        """Does the set never change while packets run, and hold nothing but keys?"""
        record = self.ruleset.sets.get(key)
        return record is not None and is_plain(record, self.ruleset.elements.children(key), self.updated)

    def member(self, left: Operand, key: str, negate: bool) -> list[Test]:
        """Membership in a set."""
        record = self.ruleset.sets.get(key)
        if record is None:
            return [NeverTest()]
        elements = self.ruleset.elements.children(key)
        widths = word_counts(record.bits)
        parts: list[Value] = []
        for place, part in enumerate(left.parts if isinstance(left, Concat) else (left,)):
            made = values(part, self.making, widths[place] if place < len(widths) else 1)
            if place >= len(widths) or len(made) != widths[place]:
                return [NeverTest()]
            parts += made
        if not is_plain(record, elements, self.updated):
            table = self.table(key)
            assert table is not None
            return [SetTest(chain(parts), table, negate)]
        return [plain(parts, widths, elements, negate)]


def plain(parts: list[Value], widths: list[int], elements: list[Element], negate: bool) -> Test:
    """A set that never changes: exact keys by hash, ranges of one number by bisection, boxes of several by the best part."""
    ranged = any(element.high and element.high != element.low for element in elements)
    if not ranged and widths == [1]:
        if len(elements) == 1 and isinstance(parts[0], SlotValue) and parts[0].groups & 1:
            return MaskedTest(parts[0].slot, -1, signed(elements[0].low[0]), negate)
        return NumbersTest(parts[0], [signed(element.low[0]) for element in elements], negate)
    if not ranged:
        keys = Keys(sum(widths), max(len(elements), 1))
        for element in elements:
            keys.add(vec[i64](flat(element.low, widths)))
        return KeysTest(chain(parts), keys, negate)
    if widths == [1] and all((element.high or element.low)[0] < 1 << 63 for element in elements):
        spans = sorted((element.low[0], (element.high or element.low)[0]) for element in elements)
        return SpansTest(parts[0], Spans([low for low, _ in spans], [high for _, high in spans]), negate)
    return SpaceTest(chain(parts), space(widths, elements), negate)


def space(widths: list[int], elements: list[Element]) -> Space:
    """Ranges as a searchable space."""
    lows = [number for element in elements for number in flat(element.low, widths)]
    highs = [number for element in elements for number in flat(element.high or element.low, widths)]
    return Space(widths, lows, highs)


def flat(numbers: tuple[int, ...], widths: list[int]) -> list[int]:
    """Parts of a key as words."""
    return [word for number, width in zip(numbers, widths, strict=True) for word in words(number, width)]


def data_words(record: SetRecord, elements: list[Element]) -> int:
    """How many words a map's data takes: parts of a concatenation are filled up, so the numbers themselves tell."""
    if not record.data_bits:
        return 0
    longest = max((element.data.bit_length() for element in elements if element.data is not None), default=0)
    return max((max(longest, record.data_bits) + 63) // 64, 1)


# ---------------------------------------------------------------------- back to the shelves


def sync_sets(tables: list[object], ruleset: Ruleset, now: int) -> None:
    """Write what packets did to sets: elements that came, went, or counted."""
    for table in tables:
        assert isinstance(table, SetTable)
        record = ruleset.sets.get(table.key)
        if record is None:
            continue
        for item in [*table.items, *([table.rest] if table.rest is not None else [])]:
            _sync_item(table, item, record, ruleset, now)


def _sync_item(table: SetTable, item: Item, record: SetRecord, ruleset: Ruleset, now: int) -> None:
    if item.dead(now):
        if item.place:
            ruleset.elements.delete(item.place)
            item.place = ""
        return
    if not item.place:
        _new_element(table, item, record, ruleset)
        return
    if item.ops is None and not table.dynamic:
        return
    element = ruleset.elements.get(item.place)
    if element is None:
        return
    moved = _sync_ops(item, element)
    if moved or element.expires != item.expires:
        element.expires = item.expires
        ruleset.elements.put(element)


def _sync_ops(item: Item, element: Element) -> bool:
    moved = False
    op = item.ops
    for effect in element.effects:
        if op is None:
            break
        stats = stats_of(effect)
        if stats is not None and op.counter is not None and written(op.counter, stats, effect):
            moved = True
        op = op.next
    return moved


def _new_element(table: SetTable, item: Item, record: SetRecord, ruleset: Ruleset) -> None:
    """An element that a packet made; it has no note."""
    low = tuple(parts_of(table.words_of(item), table.words))
    key = f"{table.key}/{'.'.join(f'{number:x}' for number in low)}"
    last = ruleset.elements.last(table.key)
    element = Element(key=key, parent=table.key, rank=last.rank + 1 if last is not None else 1, low=low, high=low)
    element.timeout, element.expires = item.timeout, item.expires
    if record.data_bits and item.data:
        element.data = parts_of(item.data, [len(item.data)])[0]
    form = table.forms[item.form]
    assert isinstance(form, tuple)
    element.effects = [fresh_effect(effect) for effect in form]
    _sync_ops(item, element)
    ruleset.elements.put(element)
    item.place = key


def fresh_effect(effect: Effect) -> Effect:
    """A copy whose counters stand at nought."""
    stats = stats_of(effect)
    return effect if stats is None else msgspec.structs.replace(effect, stats=type(stats)())


def parts_of(numbers: list[int], widths: list[int]) -> list[int]:
    """Words as the parts of a key."""
    out, at = [], 0
    for width in widths:
        value = 0
        for word in numbers[at : at + width]:
            value = value << 64 | (int(word) & (1 << 64) - 1)
        out.append(value)
        at += width
    return out
