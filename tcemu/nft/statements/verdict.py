"""Verdicts: accept, drop, continue, return, jump, goto; ``expr vmap { … }``.

Args: verdict (an evaluated Verdict) or map (an evaluated MapOf). The target of a verdict in the IR is a chain key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import verdict as codes
from tcemu.ir.effect import Nothing
from tcemu.ir.operand import Lookup
from tcemu.ir.step import Do, Match, Step
from tcemu.nft.datatypes import TYPES
from tcemu.nft.forms import form as form_of
from tcemu.nft.frame import Name
from tcemu.nft.lower import operand
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Expr, MapOf, Stmt, Symbol, Value, Variable, Verdict

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "verdict"
CODES: Final = {
    "accept": codes.ACCEPT,
    "drop": codes.DROP,
    "continue": codes.PIPE,
    "return": codes.RETURN,
    "jump": codes.JUMP,
    "goto": codes.GOTO,
}


def verdict_expr(p: Parser, word: str) -> Verdict:
    return Verdict(p.at, word)


def to_chain(word: str) -> Any:
    def act(p: Parser, chain: Expr) -> Verdict:
        return verdict_chain(p, word, chain)

    return act


def verdict_chain(p: Parser, word: str, chain: Expr) -> Verdict:
    return Verdict(p.at, word, chain)


def chain_target(p: Parser, named: Name) -> Symbol:
    return Symbol(p.at, str(named))


def statement(p: Parser, verdict: Verdict) -> Stmt:
    return Stmt(p.at, NAME, verdict=verdict)


def vmap(p: Parser, key: Expr, mappings: Expr) -> Stmt:
    return Stmt(p.at, "vmap", map=MapOf(p.at, key, mappings))


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    scope.want(TYPES["verdict"], 0)
    return Stmt(stmt.at, NAME, verdict=scope.expr(stmt.args["verdict"]))


def evaluate_vmap(scope: Scope, stmt: Stmt) -> Stmt:
    scope.want(TYPES["verdict"], 0)
    return Stmt(stmt.at, "vmap", map=scope.expr(stmt.args["map"]))


def ir_verdict(verdict: Verdict, table: str) -> codes.Verdict:
    """A verdict with its chain as a key."""
    chain = verdict.chain.value if isinstance(verdict.chain, Value) else ""
    return codes.Verdict(CODES[verdict.word], f"{table}/{chain}" if chain else "")


def steps(stmt: Stmt, lowering: Any) -> list[Step]:
    return [Do(Nothing(), ir_verdict(stmt.args["verdict"], lowering.table))]


def steps_vmap(stmt: Stmt, _lowering: Any) -> list[Step]:
    from tcemu.ir.effect import VerdictMap

    made = stmt.args["map"]
    return [Do(VerdictMap(operand(made.key), made.mappings.info.key))]


def form(stmt: Stmt, _place: int) -> Form:
    _kind, word, chain = form_of(stmt.args["verdict"])
    return [NAME, word, chain]


def form_vmap(stmt: Stmt, _place: int) -> Form:
    made = stmt.args["map"]
    return ["vmap", form_of(made.key), form_of(made.mappings)]


def text(form: Form, _out: Any) -> str:
    return f"{form[1]} {form[2]}" if form[2] else str(form[1])


def json(form: Form, _out: Any) -> Any:
    return {form[1]: {"target": form[2]} if form[2] else None}


def text_vmap(form: Form, out: Any) -> str:
    return f"{out.text(form[1], 9)} vmap {out.text(form[2])}"


def json_vmap(form: Form, out: Any) -> Any:
    return {"vmap": {"key": out.json(form[1]), "data": out.json(form[2])}}


KINDS: Final = (
    Kind(NAME, evaluate, steps, form, text, json, lambda stmt: stmt.args["verdict"].word != "continue"),
    Kind("vmap", evaluate_vmap, steps_vmap, form_vmap, text_vmap, json_vmap),
)
ACTIONS: Final[dict[str, Any]] = {
    "plain_verdict": verdict_expr,
    "verdict_jump": to_chain("jump"),
    "verdict_goto": to_chain("goto"),
    "chain_target": chain_target,
    "verdict_stmt": statement,
    "vmap": vmap,
}
_ = (Lookup, Match, Variable)
