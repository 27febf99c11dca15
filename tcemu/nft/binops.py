"""Operators on bits: & | ^ << >>. Constants are folded; what can move to the other side of a comparison moves.

Source: nftables src/evaluate.c (expr_evaluate_binop, expr_evaluate_shift, binop_transfer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.tree import Binop, Element, Expr, Key, Range, SetLiteral, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope


SHIFTS: Final = 0xFFFFFFFF


def evaluate(scope: Scope, expr: Binop) -> Expr:
    """Both sides must be numbers; the right one constant."""
    widest = scope.bits
    left = scope.expr(expr.left)
    if expr.op in ("<<", ">>"):
        scope.want(TYPES["integer"], max(left.bits, widest), left.order, SHIFTS)
    right = scope.expr(expr.right)
    if _root(left) not in ("integer", "bitmask", "string"):
        kind = left.dtype.desc if left.dtype else "invalid"
        raise NftError(f"Binary operation ({expr.op}) is undefined for {kind} types", left.at, expr.at)
    if left.constant() and not left.singleton():
        raise NftError(f"Binary operation ({expr.op}) is undefined for {left.what} expressions", left.at, expr.at)
    if not right.constant() and not (scope.newest and expr.op in "&|^" and _readable(right)):
        raise NftError(f"Right hand side of binary operation ({expr.op}) must be constant", right.at, expr.at)
    if right.constant() and not right.singleton():
        raise NftError(f"Binary operation ({expr.op}) is undefined for {right.what} expressions", left.at, expr.at)
    if (_root(left) == "string") != (_root(right) == "string"):
        names = " vs ".join("string" if _root(side) == "string" else "integer" for side in (left, right))
        raise NftError(f"Binary operation ({expr.op}) with different base types ({names}) is not supported", left.at, expr.at)
    return _shift(scope, expr, left, right) if expr.op in ("<<", ">>") else _bitwise(scope, expr, left, right)


def _readable(expr: Expr) -> bool:
    """A value that is read: newer versions than nft 1.0.6 combine two of them."""
    while isinstance(expr, Binop):
        expr = expr.left
    return isinstance(expr, Key)


def _root(expr: Any) -> str:
    return expr.dtype.root if expr.dtype is not None else "invalid"


def _shift(scope: Scope, expr: Binop, left: Expr, right: Any) -> Expr:
    width = max(scope.width, left.bits)
    if right.value >= width:
        side = "Left" if expr.op == "<<" else "Right"
        raise NftError(f"{side} shift of {right.value} bits is undefined for type of {width} bits width", right.at, left.at)
    dtype = TYPES["integer"] if scope.newest else left.dtype  # nft 1.0.6 keeps the type, and takes no number beside it
    made: Binop = Binop(expr.at, expr.op, left, right).typed(dtype, width, "host")
    return _fold(scope, made) if isinstance(left, Value) else made


def _bitwise(scope: Scope, expr: Binop, left: Expr, right: Expr) -> Expr:
    width = max(scope.width, left.bits)
    dtype = TYPES["integer"] if scope.width > left.bits else left.dtype
    made: Binop = Binop(expr.at, expr.op, left, right).typed(dtype, width, left.order)
    return _fold(scope, made) if isinstance(left, Value) else made


def apply(op: str, left: int, right: int, bits: int) -> int:
    """The value of an operation on numbers of that width."""
    mask = (1 << bits) - 1
    if op == "&":
        return left & right & mask
    if op == "|":
        return (left | right) & mask
    if op == "^":
        return (left ^ right) & mask
    return left << right & mask if op == "<<" else (left & mask) >> right


def _fold(scope: Scope, expr: Binop) -> Expr:
    left, right = expr.left, expr.right
    assert isinstance(left, Value) and isinstance(right, Value)
    if isinstance(left.value, str) or isinstance(right.value, str):
        raise NftError(f"Binary operation ({expr.op}) is undefined for string types", left.at, expr.at)
    made: Value = Value(expr.at, apply(expr.op, left.value, right.value, expr.bits)).typed(expr.dtype, expr.bits, expr.order)
    bits = scope.bits
    scope.bits = max(bits, expr.bits)
    result = scope.value(made)
    scope.bits = bits
    return result


def transfer(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """``x ^ 1 == 3`` is ``x == 2``; a right shift becomes a mask; a left shift is undone on the other side."""
    if not isinstance(left, Binop) or left.op not in ("^", "<<", ">>") or not isinstance(left.right, Value):
        return left, right
    amount = left.right.value
    if isinstance(amount, str) or not _movable(left.op, amount, right, left):
        return left, right
    moved = _move(left.op, amount, right, left.bits)
    inner = left.left
    if left.op == ">>":
        mask: Value = Value(left.right.at, (1 << inner.bits) - 1 >> amount << amount).typed(TYPES["integer"], inner.bits, "host")
        return Binop(left.at, "&", inner, mask).typed(inner.dtype, inner.bits, inner.order), moved
    return inner, moved


def _movable(op: str, amount: int, right: Expr, left: Expr) -> bool:
    if isinstance(right, Value) and isinstance(right.value, int):
        if op == "<<" and right.value and (right.value & -right.value).bit_length() - 1 < amount:
            raise NftError("Comparison is always false", right.at, left.at)
        return True
    if isinstance(right, Range):
        return _movable(op, amount, right.low, left) and _movable(op, amount, right.high, left)
    if isinstance(right, Element):
        return _movable(op, amount, right.key, left)
    if isinstance(right, SetLiteral):
        return all(_movable(op, amount, item, left) for item in right.items)
    return False


def _move(op: str, amount: int, right: Any, bits: int) -> Any:
    if isinstance(right, Value):
        back = {"^": "^", "<<": ">>", ">>": "<<"}[op]
        number = right.value if isinstance(right.value, int) else 0
        return Value(right.at, apply(back, number, amount, max(bits, right.bits))).typed(right.dtype, right.bits, right.order)
    if isinstance(right, Range):
        return Range(right.at, _move(op, amount, right.low, bits), _move(op, amount, right.high, bits)).typed(
            right.dtype, right.bits, right.order
        )
    if isinstance(right, SetLiteral):
        for item in right.items:
            _move(op, amount, item, bits)
        return right
    if isinstance(right, Element):
        right.key = _move(op, amount, right.key, bits)
    return right


# ---------------------------------------------------------------- listing
def listed(expr: Expr) -> Expr:
    """Operators as they come back from the kernel, which has ``x & mask ^ value``: bits only set are an or, and comes first.

    Source: nftables src/netlink_delinearize.c (netlink_parse_bitwise_bool).
    """
    if not isinstance(expr, Binop):
        return expr
    ops: list[Binop] = []
    inner: Expr = expr
    while isinstance(inner, Binop) and inner.op in "&|^" and isinstance(inner.right, Value) and isinstance(inner.right.value, int):
        ops.append(inner)
        inner = inner.left
    if not ops:
        made: Binop = Binop(expr.at, expr.op, listed(expr.left), expr.right)
        return made.typed(made.left.dtype, expr.bits, expr.order)  # type: ignore[no-any-return]
    return _rebuilt(ops, listed(inner))


def _rebuilt(ops: list[Binop], result: Expr) -> Expr:
    bits = ops[0].bits
    ones = (1 << bits) - 1
    mask, value = ones, 0
    for op in reversed(ops):
        assert isinstance(op.right, Value) and isinstance(op.right.value, int)
        number = op.right.value
        if op.op == "&":
            mask, value = mask & number, value & number
        elif op.op == "|":
            mask, value = mask & ~number, value | number
        else:
            value ^= number
    only_set = value & ~mask
    for sign, number, neutral in (("&", mask | only_set, ones), ("^", value & mask, 0), ("|", only_set, 0)):
        if number != neutral:
            constant: Value = Value(ops[0].at, number).typed(result.dtype, bits, result.order)
            made: Binop = Binop(ops[0].at, sign, result, constant)
            result = made.typed(result.dtype, bits, result.order)
    return result
