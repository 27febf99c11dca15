"""Evaluated expressions to the operands and tests that the engine runs (`tcemu.ir`)."""

from __future__ import annotations

from typing import Any

from tcemu.ir import operand as ir
from tcemu.ir.operand import Bits, Const, Load, Lookup, Operand
from tcemu.ir.operand import Concat as Side
from tcemu.ir.step import AnyBit, Compare, Masked, Match, Member, Not, SameAs, Test
from tcemu.ir.step import Range as Between
from tcemu.nft.expressions import KINDS
from tcemu.nft.protocols import LL
from tcemu.nft.sets import bounds, number
from tcemu.nft.tree import Binop, Concat, Expr, Key, MapOf, Prefix, Range, SetRef, Value


def operand(expr: Expr) -> Operand:
    """Where the value of an expression comes from."""
    if isinstance(expr, Value):
        return Const(number(expr.value, expr.bits))
    if isinstance(expr, Key):
        return KINDS[expr.kind].operand(expr)
    if isinstance(expr, Concat):
        return Side(tuple(operand(part) for part in expr.parts))
    if isinstance(expr, MapOf):
        assert isinstance(expr.mappings, SetRef)
        return Lookup(operand(expr.key), expr.mappings.info.key)
    assert isinstance(expr, Binop), expr.what
    return _bits(expr)


def _bits(expr: Binop) -> Operand:
    of = operand(expr.left)
    if not isinstance(expr.right, Value):  # two values that are read (kernels from 6.13 on): kept, and refused when a packet meets it
        return ir.Key("bitwise", (expr.op,))
    full = (1 << max(expr.bits, expr.left.bits, 1)) - 1
    amount = expr.right.value if isinstance(expr.right, Value) and isinstance(expr.right.value, int) else 0
    if expr.op == "&":
        return Bits(of, amount)
    if expr.op == "|":
        return Bits(of, full & ~amount, xor=amount)
    if expr.op == "^":
        return Bits(of, full, xor=amount)
    return Bits(of, full, left=amount) if expr.op == "<<" else Bits(of, full, right=amount)


def match(left: Expr, op: str, right: Expr, implied: bool = False) -> Match:
    """A relation as a guard."""
    return Match(operand(left), test(op, right), implied=implied)


def differs(pairs: list[tuple[Key, Value]]) -> Match:
    """Fields side by side against one number: nft 1.0.6 makes neighbouring ``!=`` one comparison (payload_do_merge)."""
    value = bits = 0
    for field, given in pairs:
        value, bits = value << field.bits | number(given.value, field.bits), bits + field.bits
    first = pairs[0][0]
    raw = ir.Raw(("ll", "nh", "th", "ih")[first.args[2] - LL], first.args[3], bits)
    return Match(raw, Not(Masked(value, (1 << bits) - 1)))


def test(op: str, right: Expr) -> Test:
    """What the left side is held against."""
    if op in ("<", ">", "<=", ">="):
        return Compare(op, bounds(right)[0])
    if op == "!":
        return Not(AnyBit(bounds(right)[0]))
    if op == "" and isinstance(right, Value) and right.dtype is not None and right.dtype.root == "bitmask":
        return AnyBit(number(right.value, right.bits))
    made = _equal(right)
    return Not(made) if op == "!=" else made


def _equal(right: Any) -> Test:
    if isinstance(right, SetRef):
        return Member(right.info.key)
    if isinstance(right, Range):
        low, high = bounds(right)
        return Between(low, high)
    if isinstance(right, Prefix):
        low, high = bounds(right)
        full = (1 << right.bits) - 1
        return Masked(low, full & ~(low ^ high))
    if isinstance(right, Value):
        return Masked(number(right.value, right.bits), (1 << max(right.bits, 1)) - 1)
    return SameAs(operand(right))


__all__ = ["Load", "differs", "match", "operand", "test"]
