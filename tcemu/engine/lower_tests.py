"""Matches to tests: a table row per kind of test."""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.engine.lower_sets import Sets
from tcemu.engine.lower_values import CT_LOADS, PORT_NAMES, PORTS, Making, chain, signed, values, words
from tcemu.engine.plug import text_words
from tcemu.engine.program import PF_IPV4, PF_IPV6, BitsTest, GroupTest, MaskedTest, NeverTest, RangeTest, Test, WideTest
from tcemu.engine.sets import Space, SpaceTest
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
    CompareTest,
    EitherTest,
    Keys,
    KeysTest,
    NumbersTest,
    OptionsTest,
    SameTest,
    SlotValue,
    Spans,
    SpansTest,
    Value,
    WideRangeTest,
)
from tcemu.fields import BY_NAME, G_IP4, G_IP6, G_META, Field
from tcemu.ir.operand import Key, Load, Operand
from tcemu.ir.step import AnyBit, AnyOf, Compare, Masked, Match, Member, Not, Range, SameAs
from tcemu.ir.step import Test as TestRecord

OPERATORS: Final = {"==": EQ, "!=": NE, "<": LT, "<=": LE, ">": GT, ">=": GE}
OPPOSITE: Final = {EQ: NE, NE: EQ, LT: GE, GE: LT, GT: LE, LE: GT}
ADDRESSES: Final = ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr")
FAMILY_GROUPS: Final = {PF_IPV4: G_IP4, PF_IPV6: G_IP6}
NAME_BITS: Final = 128


def lower_match(match: Match, making: Making, sets: Sets) -> tuple[int, list[Test]]:
    """The header groups a match needs, and its tests."""
    test, negate = match.test, False
    while isinstance(test, Not):
        test, negate = test.test, not negate
    if isinstance(test, AnyOf):
        return 0, [EitherTest([all_of(option, making, sets) for option in test.options], test.negate != negate)]
    left = match.left
    if isinstance(left, Load) and not is_read(left, making):
        field = BY_NAME[left.field]
        need, tests = presence(field, match.zero)
        return need, tests + on_field(field, test, negate, left, making, sets)
    if isinstance(left, Key):
        group = family_group(left, test)
        if group and not negate:
            return group, []
        special = on_key(left, test, negate, making, sets)
        if special is not None:
            return 0, special
    return 0, on_value(left, test, negate, making, sets)


def all_of(matches: tuple[Match, ...], making: Making, sets: Sets) -> list[Test]:
    """The tests of several matches, headers among them."""
    found: list[Test] = []
    for match in matches:
        need, tests = lower_match(match, making, sets)
        found += [GroupTest(need), *tests] if need else tests
    return found


def is_read(left: Load, making: Making) -> bool:
    """Is the field not a slot here, but something that is read from the connection or the bytes?"""
    return making.nft and (left.field in CT_LOADS or (left.field in PORTS and not making.transport))


def presence(field: Field, zero: bool) -> tuple[int, list[Test]]:
    """What has to be there before the field may be read; nothing where an absent header reads zero.

    flower compares the kind of addresses with the addresses (cls_flower.c fl_set_key, control.addr_type), so those must be there.
    """
    if (zero and field.name not in ADDRESSES) or field.group == G_META:
        return 0, []
    if field.group & (field.group - 1):
        return 0, [AnyGroupTest(field.group)]
    return field.group, []


def on_field(field: Field, test: TestRecord, negate: bool, left: Load, making: Making, sets: Sets) -> list[Test]:
    """Tests of one field of the registry."""
    slot, wide = field.slot, field.bits > 64
    if isinstance(test, Masked):
        return [masked(slot, wide, test.value, test.mask, negate)]
    if isinstance(test, Range):
        if wide:
            low, high = words(test.low, 2), words(test.high, 2)
            return [WideRangeTest(slot, low[0] ^ SIGN, low[1] ^ SIGN, high[0] ^ SIGN, high[1] ^ SIGN, negate)]
        return [RangeTest(slot, test.low, test.high, negate)]
    if isinstance(test, AnyBit) and not wide:
        return [BitsTest(slot, test.bits, negate)]
    if isinstance(test, Compare):
        if test.op in ("==", "!="):
            return [masked(slot, wide, test.value, (1 << field.bits) - 1, negate != (test.op == "!="))]
        if wide:
            return [wide_compare(slot, field.bits, test, negate)]
    return on_value(left, test, negate, making, sets)


def masked(slot: int, wide: bool, value: int, mask: int, negate: bool) -> Test:
    """One or two slots under a mask."""
    if not wide:
        return MaskedTest(slot, signed(mask), signed(value), negate)
    masks, parts = words(mask, 2), words(value, 2)
    return WideTest(slot, masks[0], masks[1], parts[0], parts[1], negate)


def wide_compare(slot: int, bits: int, test: Compare, negate: bool) -> Test:
    """An ordering of a 128-bit field as the range it means."""
    low, high = limits(test, bits)
    if low > high:
        return NeverTest()
    (low_high, low_low), (high_high, high_low) = words(low, 2), words(high, 2)
    return WideRangeTest(slot, low_high ^ SIGN, low_low ^ SIGN, high_high ^ SIGN, high_low ^ SIGN, negate)


def limits(test: Compare, bits: int) -> tuple[int, int]:
    """The range that an ordering means."""
    top = (1 << bits) - 1
    return {
        "==": (test.value, test.value),
        "<": (0, test.value - 1),
        "<=": (0, test.value),
        ">": (test.value + 1, top),
        ">=": (test.value, top),
    }[test.op]


# ---------------------------------------------------------------------- keys


def family_group(key: Key, test: TestRecord) -> int:
    """The header group that a comparison with ``meta nfproto`` asks for: inet chains, which alone have it, see IPv4 and IPv6 only."""
    if key.what != "meta" or key.args[0] != "nfproto":
        return 0
    if (isinstance(test, Masked) and test.mask == 0xFF) or (isinstance(test, Compare) and test.op == "=="):
        return FAMILY_GROUPS.get(test.value, 0)
    return 0


def on_key(key: Key, test: TestRecord, negate: bool, making: Making, sets: Sets) -> list[Test] | None:
    """Keys that have a better test than that of their value: tunnel options (flower) and names of devices."""
    if key.what == "geneve_opts" and len(key.args) >= 2:
        return [OptionsTest("geneve", geneve_bytes(key.args[0]), geneve_bytes(key.args[1], True))]
    if key.what == "vxlan_opts" and len(key.args) >= 2:
        return [OptionsTest("vxlan", int(key.args[0]).to_bytes(4, "big"), int(key.args[1]).to_bytes(4, "big"))]
    if key.what == "meta" and key.args[0] in ("iifname", "oifname"):
        numbers = named(test, making, sets)
        if numbers is not None:
            slot = PORT_NAMES[key.args[0]][0]
            if len(numbers) == 1:
                return [MaskedTest(slot, -1, numbers[0], negate)]
            return [NumbersTest(SlotValue(slot, G_META), numbers, negate)]
    return None


def named(test: TestRecord, making: Making, sets: Sets) -> list[int] | None:
    """The indexes of the devices whose names hold; None where that cannot be told beforehand."""
    if isinstance(test, Masked):
        return [index for name, index in making.devices.items() if name_number(name) & test.mask == test.value]
    if isinstance(test, Range):
        return [index for name, index in making.devices.items() if test.low <= name_number(name) <= test.high]
    if isinstance(test, Member) and sets.is_plain(test.set):
        elements = sets.ruleset.elements.children(test.set)
        if any(len(element.low) != 1 for element in elements):
            return None
        return [
            index
            for name, index in making.devices.items()
            if any(element.low[0] <= name_number(name) <= (element.high or element.low)[0] for element in elements)
        ]
    return None


def name_number(name: str) -> int:
    """A name's sixteen bytes as a number."""
    high, low = text_words(name)
    return (high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1


def geneve_bytes(text: str, mask: bool = False) -> bytes:
    """``CLASS:TYPE:DATA,…`` in hexadecimal as on the wire (RFC 8926, 3.5); of a mask the lengths count whole."""
    out = b""
    for option in text.split(","):
        number, kind, data = option.split(":")
        count = len(data) // 8
        out += bytes.fromhex(number + kind) + bytes([0xFF if mask else count]) + bytes.fromhex(data)
    return out


# ---------------------------------------------------------------------- values


def on_value(left: Operand, test: TestRecord, negate: bool, making: Making, sets: Sets) -> list[Test]:
    """Tests of computed values."""
    if isinstance(test, Member):
        return sets.member(left, test.set, negate)
    parts = values(left, making)
    if not parts:
        return [NeverTest()]
    if isinstance(test, SameAs):
        return same(parts, test.operand, negate, making)
    if len(parts) == 1:
        return [single(parts[0], test, negate)]
    if isinstance(test, AnyBit):
        # any of the bits: not all of them nought
        return [exact(parts, words(test.bits, len(parts)), words(0, len(parts)), not negate)]
    if isinstance(test, Masked):
        return [exact(parts, words(test.mask, len(parts)), words(test.value, len(parts)), negate)]
    if isinstance(test, Compare) and test.op in ("==", "!="):
        return [exact(parts, words(-1, len(parts)), words(test.value, len(parts)), negate != (test.op == "!="))]
    assert not isinstance(test, (Not, AnyOf))
    low, high = (test.low, test.high) if isinstance(test, Range) else limits(test, 64 * len(parts))
    if low > high:
        return [NeverTest()]
    return [SpaceTest(chain(parts), Space([len(parts)], words(low, len(parts)), words(high, len(parts))), negate)]


def same(parts: list[Value], operand: Operand, negate: bool, making: Making) -> list[Test]:
    """Two loaded values; of wide ones each word must be the same."""
    right = values(operand, making, len(parts))
    if len(right) != len(parts) or (negate and len(parts) > 1):
        return [NeverTest()]
    return [SameTest(mine, theirs, negate) for mine, theirs in zip(parts, right, strict=True)]


def exact(parts: list[Value], masks: list[int], wanted: list[int], negate: bool) -> Test:
    """Words under masks."""
    keys = Keys(len(parts), 1)
    keys.add(vec[i64](wanted))
    return KeysTest(chain([BitsValue(part, mask, 0, 0, 0) for part, mask in zip(parts, masks, strict=True)]), keys, negate)


def single(value: Value, test: TestRecord, negate: bool) -> Test:
    """A test of one number."""
    if isinstance(test, Masked):
        masked_value = BitsValue(value, signed(test.mask), 0, 0, 0)
        return CompareTest(masked_value, NE if negate else EQ, signed(test.value))
    if isinstance(test, AnyBit):
        return CompareTest(BitsValue(value, signed(test.bits), 0, 0, 0), EQ if negate else NE, 0)
    if isinstance(test, Range):
        if test.high >> 63:
            return SpaceTest(value, Space([1], words(test.low, 1), words(test.high, 1)), negate)
        return SpansTest(value, Spans([test.low], [test.high]), negate)
    if isinstance(test, Compare):
        op = OPERATORS[test.op]
        return CompareTest(value, OPPOSITE[op] if negate else op, signed(test.value))
    return NeverTest()
