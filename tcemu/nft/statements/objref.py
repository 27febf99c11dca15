"""Named objects: ``counter name "x"``, ``limit name``, ``quota name``, ``synproxy name``, ``ct helper set "x"``, also by map.

Args: object (the kind), expr (an evaluated name or map). Source: nftables evaluate.c (stmt_evaluate_objref).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import ObjectMap
from tcemu.ir.step import Do, Step
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.lower import operand
from tcemu.nft.sets import finish, new_info, reference
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Expr, MapOf, SetLiteral, SetRef, Stmt, Value, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "objref"
NAME_BITS: Final = 128 * 8  # nftables NFT_OBJ_MAXNAMELEN of 1.0.6


def objref(kind: str) -> Any:
    def act(p: Parser, expr: Expr) -> Stmt:
        return Stmt(p.at, NAME, object=kind, expr=expr)

    return act


def ct_object_set(p: Parser, kind: str, expr: Expr) -> Stmt:
    return Stmt(p.at, NAME, object=f"ct {kind}", expr=expr)


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    expr = stmt.args["expr"]
    if isinstance(expr, MapOf):
        return Stmt(stmt.at, NAME, object=stmt.args["object"], expr=_map(scope, stmt, expr))
    made = scope.argument(stmt, expr, TYPES["string"], NAME_BITS, "host")
    if not isinstance(made, Value):
        raise NftError("Counter expression must be constant", made.at)
    return Stmt(stmt.at, NAME, object=stmt.args["object"], expr=made)


def _map(scope: Scope, stmt: Stmt, expr: MapOf) -> MapOf:
    scope.want(None, 0)
    key = scope.expr(expr.key)
    if key.constant():
        raise NftError("Map expression can not be constant", key.at)
    mappings = expr.mappings
    while isinstance(mappings, Variable):
        mappings = mappings.value
    if isinstance(mappings, SetLiteral):
        info = new_info(key, None, False)
        info.note.object = stmt.args["object"]
        info.at = mappings.at
        if info.dtype is not None and info.bits == 0:
            scope.complain(
                f'unqualified type {info.dtype.name} specified in map definition. Try "typeof expression" instead of "type datatype".',
                expr.at,
            )
        outer, scope.set = scope.set, info
        scope.want(info.dtype, info.bits, info.order, key=info.concat)
        literal = scope.expr(mappings)
        scope.set = outer
        finish(scope, info, literal)
        ref = reference(scope, literal, info)
    elif isinstance(mappings, SetRef):
        ref = scope.expr(mappings)
        if not ref.info.note.object:
            raise NftError("Expression is not a map with objects", mappings.at)
    else:
        raise NftError(f"invalid mapping expression {mappings.what}", mappings.at, key.at)
    made: MapOf = MapOf(expr.at, key, ref)
    return made


def steps(stmt: Stmt, lowering: Any) -> list[Step]:
    expr = stmt.args["expr"]
    if isinstance(expr, MapOf):
        assert isinstance(expr.mappings, SetRef)
        return [Do(ObjectMap(operand(expr.key), expr.mappings.info.key))]
    return [Do(obj=f"{lowering.table}/{stmt.args['object']} {expr.value}")]


def form(stmt: Stmt, _place: int) -> Form:
    return [NAME, stmt.args["object"], form_of(stmt.args["expr"])]


def _lead(kind: str) -> str:
    return f"{kind} set" if kind.startswith("ct ") else f"{kind} name"


def text(form: Form, out: Any) -> str:
    return f"{_lead(form[1])} {out.text(form[2])}"


def json(form: Form, out: Any) -> Any:
    body = form[2][2] if form[2][0] == "v" else out.json(form[2])
    return {form[1]: body}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "counter_name": objref("counter"),
    "limit_name": objref("limit"),
    "quota_name": objref("quota"),
    "synproxy_name": objref("synproxy"),
    "ct_object_set": ct_object_set,
}
