"""Sets written by packets: ``add @s { ip saddr timeout 1m counter }``, ``update @m { ip saddr : tcp dport }``, meters.

Args: op, set (an evaluated reference), key, data, timeout (ms), stmts. Source: nftables evaluate.c (stmt_evaluate_set, _map, _meter).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import UpdateSet
from tcemu.ir.step import Do, Step
from tcemu.nft import lower
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.frame import Name
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Element, Expr, SetRef, Stmt, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "set"
MS: Final = 1_000_000  # ns
METER_SIZE: Final = 0xFFFF  # where none is written


def _stmt(p: Parser, op: str, target: Expr, key: Any, data: Expr | None, stmts: list[Stmt]) -> Stmt:
    element = key if isinstance(key, Element) else Element(key.at, key)
    at, named = target.at, target
    while isinstance(named, Variable):
        named = named.value
    if not isinstance(named, SetRef):
        raise p.error("Expression does not refer to a set", at)
    return Stmt(p.at, NAME, op=op, set=SetRef(at, named.name), element=element, data=data, stmts=stmts)


def update_set(p: Parser, op: str, named: Expr, key: Any) -> Stmt:
    return _stmt(p, op, named, key, None, [])


def update_state(p: Parser, op: str, named: Expr, key: Any, stmts: list[Stmt]) -> Stmt:
    return _stmt(p, op, named, key, None, stmts)


def update_map(p: Parser, op: str, named: Expr, key: Any, data: Expr) -> Stmt:
    return _stmt(p, op, named, key, data, [])


def update_map_state(p: Parser, op: str, named: Expr, key: Any, stmts: list[Stmt], data: Expr) -> Stmt:
    return _stmt(p, op, named, key, data, stmts)


def update_old(p: Parser, op: str, key: Expr, named: Name) -> Stmt:
    return _stmt(p, op, SetRef((named.at[0] - 1, named.at[1]), str(named)), key, None, [])


def meter(p: Parser, named: Name, key: Any, stmt: Stmt) -> Stmt:
    return meter_sized(p, named, METER_SIZE, key, stmt)


def meter_sized(p: Parser, named: Name, size: int, key: Any, stmt: Stmt) -> Stmt:
    element = key if isinstance(key, Element) else Element(key.at, key)
    return Stmt(p.at, "meter", name=str(named), size=size, element=element, stmt=stmt)


def update_stmts(_p: Parser, stmt: Stmt) -> list[Stmt]:
    return [stmt]


# ---------------------------------------------------------------- evaluation
def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    scope.want(None, 0)
    ref = scope.expr(stmt.args["set"])
    info, element = ref.info, stmt.args["element"]
    if stmt.args["data"] is not None and not info.is_map:
        raise NftError(f"{info.name} is not a map", stmt.args["set"].at)
    key = _key(scope, stmt, element, info)
    data = stmt.args["data"]
    if data is not None:
        data = scope.argument(stmt, data, info.data, info.data_bits, info.note.data_orders[0] if info.note.data_orders else "")
    _check_states(stmt.args["stmts"])
    made = Stmt(stmt.at, NAME, op=stmt.args["op"], set=ref, key=key, data=data, timeout=element.timeout, stmts=stmt.args["stmts"])
    scope.dynamic.append((info.key, stmt.at, data is None, element.timeout is not None))
    return made


def _key(scope: Scope, stmt: Stmt, element: Element, info: Any) -> Any:
    scope.want(info.dtype, info.bits, info.order, key=info.concat)
    key = scope.expr(element.key)
    key = scope.check_argument(stmt, key, info.dtype, info.bits)
    if key.constant():
        raise NftError("Key expression can not be constant", element.at)
    if element.comment is not None:
        raise NftError("Key expression comments are not supported", element.at)
    return key


def _check_states(stmts: list[Stmt]) -> None:
    for stmt in stmts:
        if stmt.kind not in ("counter", "limit", "quota", "ct count", "last"):
            raise NftError("set statement must be stateful", stmt.at)


def evaluate_meter(scope: Scope, stmt: Stmt) -> Stmt:
    element = stmt.args["element"]
    scope.want(None, 0)
    key = scope.expr(element.key)
    if key.constant():
        raise NftError("Meter key expression can not be constant", element.at)
    if element.comment is not None:
        raise NftError("Meter key expression can not contain comments", element.at)
    if stmt.args["stmt"].kind not in ("counter", "limit", "quota", "ct count", "last"):
        raise NftError("meter statement must be stateful", stmt.args["stmt"].at)
    from tcemu.nft.sets import new_info

    info = new_info(key, None, False)
    info.anonymous = False
    info.name = stmt.args["name"]
    info.note.flags = ["dynamic", *(["timeout"] if element.timeout else [])]
    info.note.meter = True
    info.size = stmt.args["size"]
    info.at = element.at
    scope.sets.append(info)
    ref: SetRef = SetRef(element.at, info.name)
    ref.info = info
    return Stmt(
        stmt.at, "meter", op="update", set=ref, key=key, data=None, timeout=element.timeout, stmts=[stmt.args["stmt"]], size=info.size
    )


# ---------------------------------------------------------------- what runs
def steps(stmt: Stmt, lowering: Any) -> list[Step]:
    from tcemu.nft import statements

    effects = []
    for inner in stmt.args["stmts"]:
        step = statements.KINDS[inner.kind].steps(inner, lowering)[0]
        assert isinstance(step, Do) and step.effect is not None
        effects.append(step.effect)
    data = stmt.args["data"]
    return [
        Do(
            UpdateSet(
                stmt.args["op"],
                stmt.args["set"].info.key,
                lower.operand(stmt.args["key"]),
                None if data is None else lower.operand(data),
                (stmt.args["timeout"] or 0) * MS,
                tuple(effects),
            )
        )
    ]


def form(stmt: Stmt, place: int) -> Form:
    from tcemu.nft import statements

    data = stmt.args["data"]
    stmts = stmt.args["stmts"]  # Linux 6.1 repeats them where the set has its own too (nft_dynset.c nft_dynset_dump, override_exprs)
    states = [statements.KINDS[inner.kind].form(inner, [place, number]) for number, inner in enumerate(stmts)]  # type: ignore[arg-type]
    ref = stmt.args["set"]
    head: Form = [stmt.kind, stmt.args["op"], ref.info.key, ref.name, form_of(stmt.args["key"])]
    return [*head, None if data is None else form_of(data), stmt.args["timeout"], states, stmt.args.get("size", 0)]


def text(form: Form, out: Any) -> str:
    _kind, op, _key_of_set, name, key, data, timeout, states, _size = form
    return f"{op} @{name} {{ {_inside(key, timeout, states, out)}{f' : {out.text(data)}' if data is not None else ''} }}"


def _inside(key: Form, timeout: int | None, states: list[Form], out: Any) -> str:
    text = str(out.text(key))
    if timeout:
        text += f" timeout {out.time(timeout)}"
    kept, out.stateless = out.stateless, True
    text += "".join(f" {out.stmt(state)}" for state in states)
    out.stateless = kept
    return text


def text_meter(form: Form, out: Any) -> str:
    _kind, _op, _key_of_set, name, key, _data, timeout, states, size = form
    return f"meter {name} size {size} {{ {_inside(key, timeout, states, out)} }}"


def json(form: Form, out: Any) -> Any:
    _kind, op, _key_of_set, name, key, data, timeout, states, _size = form
    if data is not None:
        return text(form, out)  # nft 1.0.6 has no JSON for it and gives the text
    body: dict[str, Any] = {"op": op, "elem": _elem(key, timeout, out), "set": f"@{name}"}
    if states:
        kept, out.stateless = out.stateless, True
        body["stmt"] = [out.stmt_json(state) for state in states]
        out.stateless = kept
    return {"set": body}


def _elem(key: Form, timeout: int | None, out: Any) -> Any:
    value = out.json(key)
    return {"elem": {"val": value, "timeout": timeout // 1000}} if timeout else value


def json_meter(form: Form, out: Any) -> Any:
    _kind, _op, _key_of_set, name, key, _data, timeout, states, size = form
    kept, out.stateless = out.stateless, True
    body = {"key": _elem(key, timeout, out), "stmt": out.stmt_json(states[0]), "size": size, "name": name}
    out.stateless = kept
    return {"meter": body}


KINDS: Final = (
    Kind(NAME, evaluate, steps, form, text, json),
    Kind("meter", evaluate_meter, steps, form, text_meter, json_meter),
)
ACTIONS: Final[dict[str, Any]] = {
    "update_set": update_set,
    "update_set_state": update_state,
    "update_map": update_map,
    "update_map_state": update_map_state,
    "update_old": update_old,
    "update_stmts": update_stmts,
    "meter": meter,
    "meter_sized": meter_sized,
}
