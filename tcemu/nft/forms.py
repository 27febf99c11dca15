"""Forms: evaluated expressions as nested lists, the shape in which they are stored and from which they are listed.

["v", type, value]            a value of a type            ["list", type, bits]     bits with commas
["flags", type, bits]         bits with bars               ["prefix", form, length]
["range", form, form]         ["concat", form, …]          ["op", op, form, form]
["@", key, name]              a set by its key on the shelf; an anonymous one is listed in place
["map", form, form]           ["verdict", word, chain]     ["*"]
[kind, …]                     something that is read, as the file of its kind has it (`tcemu.nft.expressions`)
"""

from __future__ import annotations

from typing import Any

from tcemu.nft.tree import Binop, CatchAll, Concat, Expr, Key, MapOf, Prefix, Range, SetRef, Value, Verdict

Form = list[Any]


def form(expr: Expr) -> Form:
    """The form of an evaluated expression."""
    if isinstance(expr, Value):
        return value_form(expr)
    if isinstance(expr, Key):
        return key_form(expr)
    if isinstance(expr, Prefix):
        if isinstance(expr.base, Value) and isinstance(expr.base.value, str):
            return ["v", _name(expr), f"{expr.base.value}*"]
        return ["prefix", form(expr.base), expr.length]
    if isinstance(expr, Range):
        return ["range", form(expr.low), form(expr.high)]
    if isinstance(expr, Concat):
        return ["concat", *(form(part) for part in expr.parts)]
    if isinstance(expr, Binop):
        return ["op", expr.op, form(expr.left), form(expr.right)]
    if isinstance(expr, SetRef):
        return ["@", expr.info.key if expr.info is not None else "", expr.name]
    if isinstance(expr, MapOf):
        return ["map", form(expr.key), form(expr.mappings)]
    if isinstance(expr, Verdict):
        chain = expr.chain.value if isinstance(expr.chain, Value) else ""
        return ["verdict", expr.word, chain]
    assert isinstance(expr, CatchAll), expr.what
    return ["*"]


def value_form(expr: Value) -> Form:
    """A value; several bits of a bitmask as bits with bars."""
    dtype = expr.dtype
    if dtype is not None and dtype.root == "bitmask" and dtype.worded and isinstance(expr.value, int) and expr.value & (expr.value - 1):
        return ["flags", dtype.name, expr.value]
    return ["v", _name(expr), expr.value]


def plain_value(expr: Value) -> Form:
    """A value as a number or word, never as bits with bars."""
    return ["v", _name(expr), expr.value]


def key_form(expr: Key) -> Form:
    """Something that is read."""
    if expr.kind == "payload":
        return ["payload", *expr.args, expr.bits]
    args: list[Any] = [list(arg) if isinstance(arg, tuple) else key_form(arg) if isinstance(arg, Key) else arg for arg in expr.args]
    return [expr.kind, *args, *(form(inner) for inner in expr.inner)]


def _name(expr: Expr) -> str:
    return expr.dtype.name if expr.dtype is not None else "integer"
