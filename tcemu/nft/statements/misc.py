"""Small statements: notrack, ``reset tcp option``, a chain in place (``jump { … }``), xt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Nothing, StripOption, Untrack
from tcemu.ir.step import Do, Step, Unsupported
from tcemu.ir.verdict import GOTO, JUMP, Verdict
from tcemu.nft.blocks import closed
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.exthdr import tcp_kind
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Body, Stmt, Symbol

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser


def same(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


# ---------------------------------------------------------------- notrack
def notrack(p: Parser) -> Stmt:
    return Stmt(p.at, "notrack")


# ---------------------------------------------------------------- reset tcp option
def reset(p: Parser, word: Any) -> Stmt:
    name, number = tcp_kind(word)
    return Stmt(p.at, "reset", name=name, number=number)


# ---------------------------------------------------------------- chains in place
def chain_jump(p: Parser, word: str, body: Body, *_: Any) -> Stmt:
    return Stmt(p.at, "chain", word=word, body=closed(p, body))


def evaluate_chain(scope: Scope, stmt: Stmt) -> Stmt:
    name = f"__chain{scope.cache.next_anonymous(scope)}"
    scope.chains.append((name, stmt.args["body"], stmt.at))
    return Stmt(stmt.at, "chain", word=stmt.args["word"], name=name)


def chain_steps(stmt: Stmt, lowering: Any) -> list[Step]:
    code = JUMP if stmt.args["word"] == "jump" else GOTO
    return [Do(Nothing(), Verdict(code, f"{lowering.table}/{stmt.args['name']}"))]


def chain_text(form: Form, out: Any) -> str:
    return f"{form[1]} {{\n{out.rules_in_place(form[2])}\t\t}}"


def chain_json(form: Form, out: Any) -> Any:
    return chain_text(form, out)  # nft 1.0.6 has no JSON for it and gives the text


# ---------------------------------------------------------------- xt
def xt(p: Parser, kind: str, word: Symbol) -> Stmt:
    return Stmt(p.at, "xt", type=kind, name=word.text)


def evaluate_xt(_scope: Scope, stmt: Stmt) -> Stmt:
    raise NftError("unsupported xtables compat expression, use iptables-nft with this ruleset", stmt.at)


KINDS: Final = (
    Kind(
        "notrack",
        same,
        lambda _s, _l: [Do(Untrack())],
        lambda _s, _p: ["notrack"],
        lambda _f, _o: "notrack",
        lambda _f, _o: {"notrack": None},
    ),
    Kind(
        "reset",
        same,
        lambda stmt, _l: [Do(StripOption(stmt.args["number"]))],
        lambda stmt, _p: ["reset", stmt.args["name"], stmt.args["number"]],
        lambda form, _o: f"reset tcp option {form[1] or form[2]}",
        lambda form, _o: {"reset": {"tcp option": {"name": form[1]} if form[1] else {"base": form[2], "offset": 0, "len": 0}}},
    ),
    Kind(
        "chain",
        evaluate_chain,
        chain_steps,
        lambda stmt, _p: ["chain", stmt.args["word"], stmt.args["name"]],
        chain_text,
        chain_json,
        lambda _stmt: True,
    ),
    Kind(
        "xt",
        evaluate_xt,
        lambda stmt, _l: [Unsupported(f"xt {stmt.args['type']} {stmt.args['name']}")],
        lambda stmt, _p: ["xt", stmt.args["type"], stmt.args["name"]],
        lambda form, _o: f'xt {form[1]} "{form[2]}"',
        lambda form, _o: {"xt": {"type": form[1], "name": form[2]}},
    ),
)
ACTIONS: Final[dict[str, Any]] = {"notrack": notrack, "reset_tcp_option": reset, "chain_jump": chain_jump, "xt": xt}
