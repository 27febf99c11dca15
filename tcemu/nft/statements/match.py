"""Matches: ``left right``, ``left op right``, ``left value / mask``.

Evaluated: args left, op, right, implied; op "" is the implicit one (equal, member, or any of the bits). Listed by
`tcemu.nft.canon`, which knows what nft's listing makes of a relation. Source: nftables evaluate.c (expr_evaluate_relational).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft import dependencies, lower
from tcemu.nft.binops import transfer
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.frame import Name
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Binop, CatchAll, Concat, Element, Expr, Key, Prefix, Range, SetLiteral, SetRef, Stmt, Value, Variable

if TYPE_CHECKING:
    from tcemu.ir.step import Step
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "match"


def match(p: Parser, left: Expr, right: Expr) -> Stmt:
    return Stmt(p.at, NAME, left=left, op="", right=right)


def match_op(p: Parser, left: Expr, op: Name, right: Expr) -> Stmt:
    return Stmt(p.at, NAME, left=left, op=str(op), right=right, relation=op.at)


def _masked(p: Parser, left: Expr, op: str, value: Expr, mask: Expr) -> Stmt:
    """``left value / mask`` is ``left & mask == value``."""
    return Stmt(p.at, NAME, left=Binop((left.at[0], mask.at[1]), "&", left, mask), op=op, right=value, flags=True)


def match_flags(p: Parser, left: Expr, value: Expr, mask: Expr) -> Stmt:
    return _masked(p, left, "==", value, mask)


def match_op_flags(p: Parser, left: Expr, op: Name, value: Expr, mask: Expr) -> Stmt:
    return _masked(p, left, str(op), value, mask)


def relation(op: str) -> Any:
    def act(p: Parser) -> Name:
        return Name(op, p.at)

    return act


# ---------------------------------------------------------------- evaluation
def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    left_parsed, op, right_parsed = stmt.args["left"], stmt.args["op"], stmt.args["right"]
    scope.want(None, 0)
    while isinstance(right_parsed, Variable):
        right_parsed = right_parsed.value
    right: Any = scope.expr(right_parsed) if isinstance(right_parsed, SetRef) else None
    scope.want(None, 0)
    scope.other = right_parsed
    left = scope.expr(left_parsed)
    scope.other = None
    if right is None:
        op, right = _right(scope, left, op, right_parsed)
    _check(stmt, left, op, right)
    if isinstance(right, SetLiteral) and not isinstance(left, Concat) and op in ("", "==", "!="):
        op, right = _single(op, right)
    if op in ("", "=="):
        dependencies.learn(scope, left, right, stmt.at)
    left, right = transfer(left, right)
    if isinstance(right, SetLiteral):
        right = scope.declare(right, left, None, False)
    return Stmt(stmt.at, NAME, left=left, op=op, right=right, implied=False)


def _instant(expr: Expr) -> int:
    return expr.value if isinstance(expr, Value) and isinstance(expr.value, int) else 0


def _right(scope: Scope, left: Expr, op: str, parsed: Expr) -> tuple[str, Any]:
    if isinstance(left, Key) and left.kind == "meta" and left.args[0] in ("hour", "day") and isinstance(parsed, Range):
        right = scope.range(parsed, False)
        if _instant(right.low) > _instant(right.high) and op in ("", "==", "!="):  # a stretch of time over midnight
            swapped: Range = Range(right.at, right.high, right.low).typed(right.dtype, right.bits, right.order)
            return ("" if op == "!=" else "!="), swapped
        return op, right
    return op, scope.expr(parsed)


def _check(stmt: Stmt, left: Expr, op: str, right: Any) -> None:
    shown = op or "=="
    relation = stmt.args.get("relation", stmt.at)
    if not right.constant():
        raise NftError(f"Right hand side of relational expression ({shown}) must be constant", right.at, relation)
    if left.constant():
        raise NftError(f"Relational expression ({shown}) has constant value", left.at, right.at)
    if left.dtype is not None and not _same(left, right):
        kind = right.dtype.desc if right.dtype else "invalid"
        raise NftError(f"datatype mismatch, expected {left.dtype.desc}, expression has type {kind}", _only(right).at, left.at)
    if op == "!":
        if isinstance(left, Binop) or (isinstance(left, Key) and left.bits % 8):
            raise NftError("cannot combine negation with binary expression", left.at, right.at)
        if not isinstance(right, Value) or right.dtype is None or right.dtype.root != "bitmask":
            raise NftError("negation can only be used with singleton bitmask values", left.at, right.at)
    if op in ("<", ">", "<=", ">="):
        if isinstance(left, Concat):
            raise NftError(f"Relational expression ({op}) is undefined for {left.what} expressions", left.at, relation)
        if not right.singleton():
            raise NftError(f"Relational expression ({op}) is undefined for {right.what} expressions", right.at, relation)
    elif isinstance(right, Concat):
        raise NftError("Use concatenations with sets and maps, not singleton values", left.at, right.at)


def _only(right: Any) -> Any:
    """Of a literal with one plain member, that."""
    item = right.items[0] if isinstance(right, SetLiteral) and len(right.items) == 1 else None
    return item.key if isinstance(item, Element) else right


def _same(left: Expr, right: Any) -> bool:
    assert left.dtype is not None
    if isinstance(right, CatchAll):
        return True
    given = right.dtype
    if given is None:
        return False
    return bool(left.dtype.same(given)) or {left.dtype.name, given.name} <= {"integer", "xinteger"}


def _single(op: str, right: SetLiteral) -> tuple[str, Any]:
    """A literal with one plain member is that member; of bits it is then equality (but for ct state)."""
    item = right.items[0] if len(right.items) == 1 else None
    if isinstance(item, Element) and isinstance(item.key, Value | Range | Prefix):
        dtype = item.key.dtype
        if op == "" and dtype is not None and dtype.root == "bitmask" and dtype.name != "ct_state":
            op = "=="
        return op, item.key
    return op, right


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [lower.match(stmt.args["left"], stmt.args["op"], stmt.args["right"], stmt.args["implied"])]


def form(stmt: Stmt, _place: int) -> Form:
    return [NAME, stmt.args["op"], form_of(stmt.args["left"]), form_of(stmt.args["right"])]


# ---------------------------------------------------------------- printing
def text(form: Form, out: Any) -> str:
    """``[match, op, left, right]`` or ``[match, op, left, value, mask]``."""
    _kind, op, left, right, *mask = form
    lead = out.text(left, 9)
    if out.later and left[:3] == ["payload", "ip", "frag-off"]:
        right = hexadecimal(right)
    if out.later and left[0] == "op" and left[2][:3] == ["payload", "ip", "frag-off"]:
        lead, right = out.text(hexadecimal(left), 9), hexadecimal(right)
    if mask and out.later:  # nft 1.1 lists what the kernel does
        bits, value = (out.text(["flags", *part[1:]]) for part in (mask[0], right))
        return f"{lead} & {f'({bits})' if ' ' in bits else bits} {op or '=='} {value}"
    if mask:
        return f"{lead} {'!= ' if op == '!=' else ''}{out.text(right)} / {out.text(mask[0])}"
    if op in ("", "=="):
        shown = "== " if op == "==" and (left[0] == "op" or (right[0] == "v" and TYPES[right[1]].root == "bitmask")) else ""
        return f"{lead} {shown}{out.text(right, 9)}"
    return f"{lead} {op} {out.text(right, 9)}"


def hexadecimal(form: Form) -> Form:
    """An expression with its plain numbers in hexadecimal."""
    if form[0] == "v":
        return ["v", "xinteger", *form[2:]] if form[1] == "integer" else form
    return [hexadecimal(part) if isinstance(part, list) else part for part in form]


def json(form: Form, out: Any) -> Any:
    _kind, op, left, right, *mask = form
    if mask:
        return {"match": {"op": op or "==", "left": {"&": [out.json(left), out.json(mask[0])]}, "right": out.json(right)}}
    shown = op or ("in" if right[0] == "list" or (right[0] == "v" and TYPES[right[1]].root == "bitmask") else "==")
    return {"match": {"op": shown, "left": out.json(left), "right": out.json(right)}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "match": match,
    "match_op": match_op,
    "match_flags": match_flags,
    "match_op_flags": match_op_flags,
    "op_eq": relation("=="),
    "op_ne": relation("!="),
    "op_lt": relation("<"),
    "op_gt": relation(">"),
    "op_le": relation("<="),
    "op_ge": relation(">="),
    "op_not": relation("!"),
}
