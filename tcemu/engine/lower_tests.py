"""Matches to tests: a table row per kind of test, and the value classes behind operands that are no plain slot."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.engine.program import BitsTest, MaskedTest, NeverTest, RangeTest, Test, WideTest
from tcemu.engine.values import (
    EQ,
    GE,
    GT,
    LE,
    LT,
    NE,
    SIGN,
    AnyGroupTest,
    BitsValue,
    BoxesTest,
    CompareTest,
    Keys,
    KeysTest,
    NumbersTest,
    OptionsTest,
    RawValue,
    SameTest,
    SlotValue,
    Spans,
    SpansTest,
    Value,
    WideRangeTest,
)
from tcemu.fields import BY_NAME, G_META, Field
from tcemu.ir.operand import Bits, Concat, Const, Key, Load, Operand, Raw
from tcemu.ir.ruleset import Element, Ruleset
from tcemu.ir.step import AnyBit, Compare, Masked, Match, Member, Not, Range, SameAs
from tcemu.ir.step import Test as TestRecord

HALF: Final = (1 << 64) - 1
OPERATORS: Final = {"==": EQ, "!=": NE, "<": LT, "<=": LE, ">": GT, ">=": GE}
ADDRESSES: Final = ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr")
BASES: Final = {"ll": 0, "nh": 1, "th": 2}


def signed(value: int) -> int:
    """Sixty-four bits as i64 holds them."""
    value &= HALF
    return value - (1 << 64) if value >> 63 else value


def lower_match(match: Match, ruleset: Ruleset) -> tuple[int, list[Test]]:
    """The header groups a match needs, and its tests."""
    test, negate = match.test, False
    while isinstance(test, Not):
        test, negate = test.test, not negate
    left = match.left
    if isinstance(left, Load):
        field = BY_NAME[left.field]
        need, tests = presence(field, match.zero)
        return need, tests + on_field(field, test, negate, ruleset, left)
    if isinstance(left, Key):
        return 0, on_key(left, test)
    return 0, on_value(left, test, negate, ruleset)


def presence(field: Field, zero: bool) -> tuple[int, list[Test]]:
    """What has to be there before the field may be read; nothing where an absent header reads zero.

    flower compares the kind of addresses with the addresses (cls_flower.c fl_set_key, control.addr_type), so those must be there.
    """
    if (zero and field.name not in ADDRESSES) or field.group == G_META:
        return 0, []
    if field.group & (field.group - 1):
        return 0, [AnyGroupTest(field.group)]
    return field.group, []


def on_field(field: Field, test: TestRecord, negate: bool, ruleset: Ruleset, left: Load) -> list[Test]:
    """Tests of one field of the registry."""
    slot, wide = field.slot, field.bits > 64
    if isinstance(test, Masked):
        return [masked(slot, wide, test.value, test.mask, negate)]
    if isinstance(test, Range):
        if wide:
            low, high = halves(test.low), halves(test.high)
            return [WideRangeTest(slot, low[0] ^ SIGN, low[1] ^ SIGN, high[0] ^ SIGN, high[1] ^ SIGN, negate)]
        return [RangeTest(slot, test.low, test.high, negate)]
    if isinstance(test, AnyBit) and not wide:
        return [BitsTest(slot, test.bits, negate)]
    if isinstance(test, Compare):
        if test.op in ("==", "!="):
            return [masked(slot, wide, test.value, (1 << field.bits) - 1, negate != (test.op == "!="))]
        if wide:
            return [wide_compare(slot, field.bits, test, negate)]
    return on_value(left, test, negate, ruleset)


def halves(value: int) -> tuple[int, int]:
    """High and low 64 bits, signed."""
    return signed(value >> 64), signed(value)


def masked(slot: int, wide: bool, value: int, mask: int, negate: bool) -> Test:
    """One or two slots under a mask."""
    if not wide:
        return MaskedTest(slot, signed(mask), signed(value), negate)
    return WideTest(slot, *halves(mask), *halves(value), negate)


def wide_compare(slot: int, bits: int, test: Compare, negate: bool) -> Test:
    """An ordering of a 128-bit field as the range it means."""
    top = (1 << bits) - 1
    low, high = {
        "<": (0, test.value - 1),
        "<=": (0, test.value),
        ">": (test.value + 1, top),
        ">=": (test.value, top),
    }[test.op]
    if low > high:
        return NeverTest()
    (low_high, low_low), (high_high, high_low) = halves(low), halves(high)
    return WideRangeTest(slot, low_high ^ SIGN, low_low ^ SIGN, high_high ^ SIGN, high_low ^ SIGN, negate)


def on_key(key: Key, test: TestRecord) -> list[Test]:
    """Keys that are no slot: tunnel options (flower), and those whose evaluation is not written yet never match."""
    if key.what == "geneve_opts" and len(key.args) >= 2:
        return [OptionsTest("geneve", geneve_bytes(key.args[0]), geneve_bytes(key.args[1], True))]
    if key.what == "vxlan_opts" and len(key.args) >= 2:
        return [OptionsTest("vxlan", int(key.args[0]).to_bytes(4, "big"), int(key.args[1]).to_bytes(4, "big"))]
    return [NeverTest()]


def geneve_bytes(text: str, mask: bool = False) -> bytes:
    """``CLASS:TYPE:DATA,…`` in hexadecimal as on the wire (RFC 8926, 3.5); of a mask the lengths count whole."""
    out = b""
    for option in text.split(","):
        number, kind, data = option.split(":")
        words = len(data) // 8
        out += bytes.fromhex(number + kind) + bytes([0xFF if mask else words]) + bytes.fromhex(data)
    return out


def values(operand: Operand) -> list[Value]:
    """The numbers, each at most 64 bits, that an operand is made of; empty when it cannot be computed yet."""
    if isinstance(operand, Load):
        field = BY_NAME[operand.field]
        return [SlotValue(field.slot + part, field.group) for part in range(2 if field.bits > 64 else 1)]
    if isinstance(operand, Raw) and operand.base in BASES:
        parts: list[Value] = []
        at, left = operand.offset, operand.bits
        while left > 0:
            take = left % 64 or 64
            parts.append(RawValue(BASES[operand.base], at, take))
            at, left = at + take, left - take
        return parts
    if isinstance(operand, Bits):
        inner = values(operand.of)
        if len(inner) == 1:
            return [BitsValue(inner[0], signed(operand.mask), signed(operand.xor), operand.left, operand.right)]
        if len(inner) == 2 and not operand.left and not operand.right:
            masks, xors = halves(operand.mask), halves(operand.xor)
            return [BitsValue(part, masks[at], xors[at], 0, 0) for at, part in enumerate(inner)]
    if isinstance(operand, Concat):
        joined = [values(part) for part in operand.parts]
        return [part for parts in joined for part in parts] if all(joined) else []
    return []


def on_value(left: Operand, test: TestRecord, negate: bool, ruleset: Ruleset) -> list[Test]:
    """Tests of computed values."""
    parts = values(left)
    if not parts or isinstance(left, Const):
        return [NeverTest()]
    if isinstance(test, Member):
        return [member(parts, left, test.set, negate, ruleset)]
    if isinstance(test, SameAs):
        right = values(test.operand)
        return [SameTest(mine, theirs, negate) for mine, theirs in zip(parts, right, strict=False)] if right else [NeverTest()]
    if len(parts) == 1:
        return [single(parts[0], test, negate)]
    if len(parts) == 2 and isinstance(test, (Masked, Compare)) and (isinstance(test, Masked) or test.op in ("==", "!=")):
        value, mask = (test.value, test.mask) if isinstance(test, Masked) else (test.value, (1 << 128) - 1)
        opposite = negate != (isinstance(test, Compare) and test.op == "!=")
        key = [signed((value >> 64) & HALF), signed(value)]
        masks = halves(mask)
        keys = Keys(2, 1)
        keys.add(_vector(key))
        return [KeysTest(chain([BitsValue(part, masks[at], 0, 0, 0) for at, part in enumerate(parts)]), keys, opposite)]
    return [NeverTest()]


def single(value: Value, test: TestRecord, negate: bool) -> Test:
    """A test of one number."""
    if isinstance(test, Masked):
        masked_value = BitsValue(value, signed(test.mask), 0, 0, 0)
        return CompareTest(masked_value, NE if negate else EQ, signed(test.value))
    if isinstance(test, AnyBit):
        return CompareTest(BitsValue(value, signed(test.bits), 0, 0, 0), EQ if negate else NE, 0)
    if isinstance(test, Range):
        return SpansTest(value, Spans([test.low], [test.high]), negate)
    if isinstance(test, Compare):
        op = OPERATORS[test.op]
        return CompareTest(value, {EQ: NE, NE: EQ, LT: GE, GE: LT, GT: LE, LE: GT}[op] if negate else op, signed(test.value))
    return NeverTest()


def chain(parts: list[Value]) -> Value:
    """Values linked in order; the first."""
    for here, behind in pairwise(parts):
        here.next = behind
    return parts[0]


def part_widths(operand: Operand) -> list[int]:
    """How many numbers each part of a key takes."""
    if isinstance(operand, Concat):
        return [len(values(part)) for part in operand.parts]
    return [len(values(operand))]


def flat(numbers: tuple[int, ...], widths: list[int]) -> list[int]:
    """Parts of a key as numbers of 64 bits."""
    out: list[int] = []
    for number, width in zip(numbers, widths, strict=True):
        out += [signed(number)] if width == 1 else [signed(number >> 64), signed(number)]
    return out


def member(parts: list[Value], left: Operand, set_key: str, negate: bool, ruleset: Ruleset) -> Test:
    """Membership: exact keys by hash, ranges of one number by bisection, boxes of several by looking through them."""
    widths = part_widths(left)
    elements: list[Element] = [element for element in ruleset.elements.children(set_key) if len(element.low) == len(widths)]
    ranged = any(element.high and element.high != element.low for element in elements)
    if not ranged and widths == [1]:
        return NumbersTest(parts[0], [signed(element.low[0]) for element in elements], negate)
    if not ranged:
        keys = Keys(sum(widths), max(len(elements), 1))
        for element in elements:
            keys.add(_vector(flat(element.low, widths)))
        return KeysTest(chain(parts), keys, negate)
    if widths == [1] and all((element.high or element.low)[0] < 1 << 63 for element in elements):
        spans = sorted((element.low[0], (element.high or element.low)[0]) for element in elements)
        return SpansTest(parts[0], Spans([low for low, _ in spans], [high for _, high in spans]), negate)
    lows = [number for element in elements for number in flat(element.low, widths)]
    highs = [number for element in elements for number in flat(element.high or element.low, widths)]
    return BoxesTest(chain(parts), sum(widths), lows, highs, negate)


def _vector(numbers: list[int]) -> vec[i64]:
    return vec[i64](numbers)
