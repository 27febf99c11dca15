"""Computed values and sets: what matches need beyond one masked slot."""

from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from tcemu.engine.program import Env, Test
from tcemu.packet.packet import Packet

SIGN: Final = -(1 << 63)
COMPILED: Final = not __file__.endswith(".py")

EQ: Final = 0
NE: Final = 1
LT: Final = 2
LE: Final = 3
GT: Final = 4
GE: Final = 5


class Value:
    """A number made from the packet, at most 64 bits. `ok` tells whether it was there at the last `get`."""

    def __init__(self) -> None:
        self.ok: bool = True
        self.next: Value | None = None  # the next part of a concatenation

    def get(self, env: Env, p: Packet) -> i64:
        """The number; sets `ok`."""
        return 0


class ConstValue(Value):
    """A number that is always the same."""

    def __init__(self, number: i64) -> None:
        super().__init__()
        self.number: i64 = number

    def get(self, env: Env, p: Packet) -> i64:
        return self.number


class PackedValue(Value):
    """Two numbers of 32 bits side by side."""

    def __init__(self, high: Value, low: Value) -> None:
        super().__init__()
        self.high: Value = high
        self.low: Value = low

    def get(self, env: Env, p: Packet) -> i64:
        high = self.high.get(env, p) & 0xFFFFFFFF
        low = self.low.get(env, p) & 0xFFFFFFFF
        self.ok = self.high.ok and self.low.ok
        return (high - 0x100000000 if high >= 0x80000000 else high) << 32 | low


class SlotValue(Value):
    """A slot; ``groups`` are any of the headers that give it."""

    def __init__(self, slot: i64, groups: i64) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.groups: i64 = groups

    def get(self, env: Env, p: Packet) -> i64:
        self.ok = (p.groups & self.groups) != 0
        return p.f[self.slot]


class BitsValue(Value):
    """``(((of >> right) << left) & mask) ^ xor``."""

    def __init__(self, of: Value, mask: i64, xor: i64, left: i64, right: i64) -> None:
        super().__init__()
        self.of: Value = of
        self.mask: i64 = mask
        self.xor: i64 = xor
        self.left: i64 = left
        self.right: i64 = right

    def get(self, env: Env, p: Packet) -> i64:
        value = self.of.get(env, p)
        self.ok = self.of.ok
        return (((value >> self.right) << self.left) & self.mask) ^ self.xor


class CompareTest(Test):
    """``value op constant``, unsigned."""

    def __init__(self, value: Value, op: i64, constant: i64) -> None:
        super().__init__()
        self.value: Value = value
        self.op: i64 = op
        self.constant: i64 = constant ^ SIGN

    def test(self, env: Env, p: Packet) -> bool:
        value = self.value.get(env, p)
        if not self.value.ok:
            return False
        value ^= SIGN
        op = self.op
        if op == EQ:
            return value == self.constant
        if op == NE:
            return value != self.constant
        if op == LT:
            return value < self.constant
        if op == LE:
            return value <= self.constant
        if op == GT:
            return value > self.constant
        return value >= self.constant


class SameTest(Test):
    """``left == right`` of two values."""

    def __init__(self, left: Value, right: Value, negate: bool) -> None:
        super().__init__()
        self.left: Value = left
        self.right: Value = right
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        left = self.left.get(env, p)
        right = self.right.get(env, p)
        return self.left.ok and self.right.ok and (left == right) != self.negate


class AnyGroupTest(Test):
    """At least one of these headers is there."""

    def __init__(self, groups: i64) -> None:
        super().__init__()
        self.groups: i64 = groups

    def test(self, env: Env, p: Packet) -> bool:
        return (p.groups & self.groups) != 0


class EitherTest(Test):
    """One of the options holds, each a list of tests that must all hold; or, negated, none does."""

    def __init__(self, options: list[list[Test]], negate: bool) -> None:
        super().__init__()
        self.options: list[list[Test]] = options
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        for option in self.options:
            holds = True
            for one in option:
                if not one.test(env, p):
                    holds = False
                    break
            if holds:
                return not self.negate
        return self.negate


class WideRangeTest(Test):
    """``low <= two slots <= high``, unsigned 128 bits; halves are given with their sign bit flipped."""

    def __init__(self, slot: i64, low_high: i64, low_low: i64, high_high: i64, high_low: i64, negate: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.low_high: i64 = low_high
        self.low_low: i64 = low_low
        self.high_high: i64 = high_high
        self.high_low: i64 = high_low
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        high = p.f[self.slot] ^ SIGN
        low = p.f[self.slot + 1] ^ SIGN
        above = high > self.low_high or (high == self.low_high and low >= self.low_low)
        below = high < self.high_high or (high == self.high_high and low <= self.high_low)
        return (above and below) != self.negate


class Keys:
    """A set of exact keys of ``width`` numbers each: open addressing over one vector. `at` gives an element's number."""

    def __init__(self, width: i64, room: i64) -> None:
        self.width: i64 = width
        self.count: i64 = 0
        size: i64 = 8
        while size < room * 2:
            size *= 2
        self.size: i64 = size
        self.table: vec[i64] = vec[i64]([-1] * size)  # element number or -1
        self.keys: vec[i64] = vec[i64]()

    def hash(self, key: vec[i64]) -> i64:
        """A slot of the table for a key."""
        value: i64 = 0
        at: i64 = 0
        while at < self.width:
            part = key[at]
            part = (part ^ (part >> 29)) & 0x1FFFFFFF
            value = ((value ^ part) * 0x2C1B3C6D + ((key[at] >> 29) & 0x7FFFFFFF)) & 0x3FFFFFFFFF
            at += 1
        value = (value ^ (value >> 15)) & 0x3FFFFFFF
        value = (value * 0x297A2D39) & 0x3FFFFFFFFFFFFFF
        return (value ^ (value >> 21)) & (self.size - 1)

    def add(self, key: vec[i64]) -> i64:
        """Add a key; its number, new or old."""
        old = self.at(key)
        if old >= 0:
            return old
        if (self.count + 1) * 2 > self.size:
            self.grow()
        place = self.hash(key)
        while self.table[place] >= 0:
            place = (place + 1) & (self.size - 1)
        self.table[place] = self.count
        at: i64 = 0
        while at < self.width:
            self.keys = append(self.keys, key[at])
            at += 1
        self.count += 1
        return self.count - 1

    def at(self, key: vec[i64]) -> i64:
        """The number of the element with that key, or -1."""
        place = self.hash(key)
        width = self.width
        while True:
            number = self.table[place]
            if number < 0:
                return -1
            base = number * width
            at: i64 = 0
            while at < width and self.keys[base + at] == key[at]:
                at += 1
            if at == width:
                return number
            place = (place + 1) & (self.size - 1)

    def grow(self) -> None:
        """Twice the table."""
        self.size *= 2
        self.table = vec[i64]([-1] * self.size)
        key: vec[i64] = vec[i64]([0] * self.width)
        number: i64 = 0
        while number < self.count:
            at: i64 = 0
            while at < self.width:
                key[at] = self.keys[number * self.width + at]
                at += 1
            place = self.hash(key)
            while self.table[place] >= 0:
                place = (place + 1) & (self.size - 1)
            self.table[place] = number
            number += 1


class Spans:
    """Disjoint ranges of one number below 2^63, sorted; `at` gives the range's number."""

    def __init__(self, low: list[int], high: list[int]) -> None:
        self.low: vec[i64] = vec[i64](low)
        self.high: vec[i64] = vec[i64](high)

    def at(self, value: i64) -> i64:
        """The number of the range that holds the value, or -1."""
        left: i64 = 0
        right: i64 = len(self.low)
        while left < right:
            middle = (left + right) >> 1
            if self.low[middle] <= value:
                left = middle + 1
            else:
                right = middle
        if left == 0 or self.high[left - 1] < value:
            return -1
        return left - 1


class KeysTest(Test):
    """The values, side by side, are one of the exact keys."""

    def __init__(self, first: Value, keys: Keys, negate: bool) -> None:
        super().__init__()
        self.first: Value = first
        self.keys: Keys = keys
        self.negate: bool = negate
        self.key: vec[i64] = vec[i64]([0] * keys.width)

    def test(self, env: Env, p: Packet) -> bool:
        value: Value | None = self.first
        at: i64 = 0
        key = self.key
        while value is not None:
            key[at] = value.get(env, p)
            if not value.ok:
                return False
            at += 1
            value = value.next
        return (self.keys.at(key) >= 0) != self.negate


class NumbersTest(Test):
    """The value is one of the numbers: open addressing when compiled, a frozenset when not, as each is the faster there."""

    def __init__(self, value: Value, numbers: list[int], negate: bool) -> None:
        super().__init__()
        self.value: Value = value
        self.slot: i64 = value.slot if isinstance(value, SlotValue) else -1  # spares the commonest value a call
        self.groups: i64 = value.groups if isinstance(value, SlotValue) else 0
        self.negate: bool = negate
        self.numbers: frozenset[int] = frozenset(numbers)
        size: i64 = 8
        while size < 2 * len(self.numbers):
            size *= 2
        self.mask: i64 = size - 1
        self.table: vec[i64] = vec[i64]([0] * size)
        self.zero: bool = 0 in self.numbers  # an empty place holds zero
        for number in self.numbers:
            place = spread(number) & self.mask
            while self.table[place] != 0:
                place = (place + 1) & self.mask
            self.table[place] = number

    def test(self, env: Env, p: Packet) -> bool:
        if self.slot >= 0:
            if (p.groups & self.groups) == 0:
                return False
            value = p.f[self.slot]
        else:
            value = self.value.get(env, p)
            if not self.value.ok:
                return False
        if not COMPILED:
            return (value in self.numbers) != self.negate
        if value == 0:
            return self.zero != self.negate
        table = self.table
        place = spread(value) & self.mask
        while True:
            there = table[place]
            if there == value:
                return not self.negate
            if there == 0:
                return self.negate
            place = (place + 1) & self.mask


def spread(value: i64) -> i64:
    """A hash below 2^31 of a number; all factors stay below 2^62, so that both forms of the engine agree."""
    mixed = ((value ^ (value >> 32)) & 0x7FFFFFFF) * 0x2C1B3C6D
    return (mixed ^ (mixed >> 29)) & 0x7FFFFFFF


class SpansTest(Test):
    """The value is in one of the ranges."""

    def __init__(self, value: Value, spans: Spans, negate: bool) -> None:
        super().__init__()
        self.value: Value = value
        self.spans: Spans = spans
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        value = self.value.get(env, p)
        return self.value.ok and (self.spans.at(value) >= 0) != self.negate


class OptionsTest(Test):
    """Tunnel options compare under a mask (flower geneve_opts, vxlan_opts, erspan_opts)."""

    def __init__(self, kind: str, value: bytes, mask: bytes) -> None:
        super().__init__()
        self.kind: str = kind
        self.value: bytes = value
        self.mask: bytes = mask

    def test(self, env: Env, p: Packet) -> bool:
        info = p.tunnel
        if info is None or info.options_kind != self.kind:
            return False
        at: i64 = 0
        end: i64 = len(self.value)
        length: i64 = len(info.options)
        # cls_flower.c compares the lengths under the filter's own length as a mask
        if (length & end) != end:
            return False
        while at < end:
            if (info.options[at] & self.mask[at]) != self.value[at]:
                return False
            at += 1
        return True
