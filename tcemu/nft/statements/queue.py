"""``queue num 1-3 bypass,fanout``, ``queue to numgen inc mod 2``. Args: value (evaluated or None), flags.

Source: nftables evaluate.c (stmt_evaluate_queue), statement.c (queue_stmt_print).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import ToUser
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import QUEUE, Verdict
from tcemu.nft import lower
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.sets import bounds
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Expr, Range, Stmt, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "queue"
FLAGS: Final = ("bypass", "fanout")


def begin(p: Parser) -> Stmt:
    return Stmt(p.at, NAME, value=None, flags=[])


def queue_args(_p: Parser, stmt: Stmt, *args: tuple[str, Any]) -> Stmt:
    for name, value in args:
        if name == "flags":
            stmt.args["flags"] += value
        else:
            stmt.args["value"] = value
    return stmt


def num(p: Parser, value: Expr) -> tuple[str, Expr]:
    value.at = p.at
    return "value", value


def queue_flags(_p: Parser, *words: str) -> list[str]:
    return list(words)


def to(p: Parser, stmt: Stmt, value: Expr) -> Stmt:
    stmt.args["value"] = value
    stmt.at = p.at
    return stmt


def flags_to(p: Parser, stmt: Stmt, flags: list[str], value: Expr) -> Stmt:
    stmt.args.update(value=value, flags=flags)
    stmt.at = p.at
    return stmt


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    made = Stmt(stmt.at, NAME, **stmt.args)
    if made.args["value"] is None:
        return made
    value = scope.argument(made, made.args["value"], TYPES["integer"], 16, "host")
    made.args["value"] = value
    if "fanout" in made.args["flags"] and not isinstance(value, Range):
        raise NftError("fanout requires a range to be specified", value.at)
    if scope.maximum > 0xFFFF:
        raise NftError("queue expression max value exceeds 65535", value.at)
    return made


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    value, flags = stmt.args["value"], tuple(stmt.args["flags"])
    if value is None or isinstance(value, Value | Range):
        low, high = bounds(value) if value is not None else (0, 0)
        return [Do(ToUser(low, high, None, flags), Verdict(QUEUE, number=low))]
    return [Do(ToUser(0, 0, lower.operand(value), flags), Verdict(QUEUE))]


def form(stmt: Stmt, _place: int) -> Form:
    value = stmt.args["value"]
    return [NAME, None if value is None else form_of(value), [flag for flag in FLAGS if flag in stmt.args["flags"]]]


def text(form: Form, out: Any) -> str:
    _kind, value, flags = form
    text = "queue" + (f" flags {','.join(flags)}" if flags else "")
    return text + f" to {out.text(value) if value is not None else 0}"


def json(form: Form, out: Any) -> Any:
    _kind, value, flags = form
    body: dict[str, Any] = {"num": out.json(value) if value is not None else 0}
    if flags:
        body["flags"] = flags[0] if len(flags) == 1 else flags
    return {"queue": body}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json, lambda _stmt: True),)
ACTIONS: Final[dict[str, Any]] = {
    "queue_begin": begin,
    "queue_args": queue_args,
    "queue_num": num,
    "queue_arg_flags": lambda _p, words: ("flags", words),
    "queue_flags": queue_flags,
    "queue_to": to,
    "queue_flags_to": flags_to,
    "queue_flags_num": flags_to,
}
