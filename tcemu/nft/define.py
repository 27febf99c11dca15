"""From a block's settings to what is made: base chains, sets and maps, flowtables. Source: nftables evaluate.c (chain_evaluate, set_evaluate)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tcemu.nft import priorities
from tcemu.nft.blocks import Priority
from tcemu.nft.cache import SetInfo
from tcemu.nft.datatypes import INVALID, TYPES
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.forms import form as form_of
from tcemu.nft.notes import ChainNote, SetNote
from tcemu.nft.tree import Body, Command, Concat, Element, Expr, Key, Range, SetLiteral, SetRef, Symbol, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope


# ---------------------------------------------------------------- chains
def chain(command: Command, family: str) -> ChainNote | None:
    """The settings of a chain; None where there are none."""
    body = command.body
    if body is None:
        return None
    values = body.values
    note = ChainNote(comment=values.get("comment"), flags=values.get("flags", []))
    if "hook" in values:
        hook = values["hook"]
        if hook not in priorities.HOOKS[family]:
            raise NftError(f"The {family} family does not support this hook", hook.at)
        note.type, note.hook = values["type"], str(hook)
        note.priority = priority(values["priority"], family, note.hook, " in this context")
        note.devices = devices(values.get("devices", []))
        if not note.devices and (family == "netdev" or hook == "ingress"):
            raise NftError("Missing `device' in this chain definition", body.places.get("chain_hook", hook.at))
    if "policy" in values:
        note.policy = policy(values["policy"], command)
    return note


def priority(written: Priority, family: str, hook: str, where: str = "") -> int:
    """A priority as a number."""
    base: Any = written.base
    if isinstance(base, int):
        return base
    text = str(base)
    while isinstance(base, Variable):
        base = base.value
    if isinstance(base, SetLiteral) and len(base.items) == 1:
        base = _first(base)
    if isinstance(base, Symbol):
        text = base.text
        if text.lstrip("-").isdigit():
            return int(text) + written.offset
    elif isinstance(base, Expr):
        missing = isinstance(base, SetRef)
        reason = "No such file or directory" if missing else f"{base.what} is not a valid priority expression"
        what = "variable" if missing else base.what
        raise NftErrors([NftError(reason, base.at), NftError(f"invalid priority expression {what}{where}.", written.at)])
    name, sign, amount = text, "", ""
    words = text.split()
    if len(words) == 3 and words[1] in ("+", "-") and words[2].isdigit():  # a quoted "filter - 100"
        name, sign, amount = words
    value = priorities.lookup(family, hook, name)
    if value is not None and amount:
        value += int(sign + amount)
    if value is None:
        raise NftError(f"invalid priority expression value{where}.", written.at)
    return value + written.offset


def policy(expr: Expr, command: Command) -> str:
    """accept or drop."""
    while isinstance(expr, Variable):
        expr = expr.value
    if isinstance(expr, SetLiteral) and len(expr.items) == 1:
        expr = _first(expr)
    if isinstance(expr, Symbol) and expr.text in ("accept", "drop"):
        return expr.text
    reason = "No such file or directory" if isinstance(expr, SetRef) else "wrong policy"
    raise NftErrors([NftError(reason, _first(expr).at), NftError("invalid policy expression variable", command.body.at)])


def _first(expr: Expr) -> Expr:
    """What an expression begins with."""
    while True:
        if isinstance(expr, SetLiteral) and expr.items:
            expr = expr.items[0]
        elif isinstance(expr, Element):
            expr = expr.key
        elif isinstance(expr, Range):
            expr = expr.low
        else:
            return expr


def devices(exprs: list[Expr]) -> list[str]:
    """Names of devices; variables may hold several."""
    names: list[str] = []
    for written in exprs:
        expr: Expr = written
        while isinstance(expr, Variable):
            expr = expr.value
        if isinstance(expr, SetLiteral):
            names += devices([item.key if isinstance(item, Element) else item for item in expr.items])
        elif isinstance(expr, Symbol):
            if len(expr.text) > 15:
                raise NftError("String exceeds maximum length of 16", expr.at)
            if not expr.text:
                raise NftError("Empty string is not allowed", expr.at)
            names.append(expr.text)
        else:
            raise NftError(f"{expr.what} is not a valid variable expression", expr.at)
    return names


# ---------------------------------------------------------------- sets
def set_info(scope: Scope, command: Command, key: str) -> SetInfo:
    """A set or map as its block describes it; its members are evaluated too."""
    body: Body = command.body
    values = body.values
    noun = "map" if command.what == "map" else "set"
    if "key" not in values:
        raise NftError("set definition does not specify key", body.at)
    note = SetNote(comment=values.get("comment"))
    how, written = values["key"]
    note.types, note.bits, note.orders, note.typeof = _types(scope, how, written, body, noun)
    _settings(note, values)
    if "data" in values:
        how, written = values["data"]
        if how == "typeof" and isinstance(written, Symbol) and written.text == "verdict":
            how, written = "type", ["verdict"]
        note.data_types, note.data_bits, note.data_orders, note.data_typeof = _types(scope, how, written, body, noun)
        note.data_interval = values.get("interval_data", False)
    note.object = values.get("object", "")
    if noun == "map" and not note.data_types and not note.object:
        raise NftError("map definition does not specify mapping data type", body.at)
    if note.auto_merge and "interval" not in note.flags:
        raise NftError("auto-merge only works with interval sets", body.at)
    info = SetInfo(key, command.spec.name, note)
    info.at = body.at
    info.stmts = values.get("stmts", [])
    note.stmts = [_template(stmt) for stmt in info.stmts]
    info.size = values.get("size", 0)
    return info


def _settings(note: SetNote, values: dict[str, Any]) -> None:
    note.flags = sorted(set(values.get("flags", [])))
    note.timeout = values.get("timeout", 0)
    if note.timeout and "timeout" not in note.flags:
        note.flags.append("timeout")
    note.gc = values.get("gc", 0)
    note.policy = values.get("policy", "")
    note.auto_merge = values.get("auto_merge", False)


def _template(stmt: Any) -> list[Any]:
    from tcemu.nft.statements import KINDS

    form = KINDS[stmt.kind].form(stmt, 0)
    if stmt.kind == "counter":
        return ["text", "counter", "counter"]
    if stmt.kind == "quota":
        from tcemu.nft.statements.quota import effect, words

        return ["text", "quota", f"quota {words(effect(stmt.args), True)}"]
    return form


def _types(scope: Scope, how: str, written: Any, body: Body, noun: str) -> tuple[list[str], list[int], list[str], Any]:
    """Type names, widths, byte orders and the typeof form."""
    if how == "type":
        kinds = [TYPES[name] for name in written]
        for kind in kinds:
            if kind.bits == 0 and kind.name != "verdict":
                raise _unqualified(kind.name, noun, body)
        return [kind.name for kind in kinds], [kind.bits for kind in kinds], [kind.order for kind in kinds], None
    parts = written.parts if isinstance(written, Concat) else [written]
    made = [typeof(scope, part) for part in parts]
    names = [part.dtype.name if part.dtype else INVALID.name for part in made]
    for name, part in zip(names, made, strict=True):
        if part.bits == 0:
            if len(made) > 1:
                raise NftError(f"can not use variable sized data types ({name}) in concat expressions", part.at, written.at)
            raise _unqualified(name, noun, body)
    form = form_of(made[0]) if len(made) == 1 else ["concat", *(form_of(part) for part in made)]
    return names, [part.bits for part in made], [part.order for part in made], form


def _unqualified(name: str, noun: str, body: Body) -> NftError:
    hint = '. Try "typeof expression" instead of "type datatype".'
    return NftError(f"unqualified type {name} specified in {noun} definition{hint}", body.at)


def typeof(scope: Scope, expr: Expr) -> Expr:
    """An expression that only says a type: no dependency is wanted."""
    while isinstance(expr, Variable):
        expr = expr.value
    if isinstance(expr, Symbol):
        made: Symbol = Symbol(expr.at, expr.text)
        return made.typed(INVALID, 0, "")  # type: ignore[no-any-return]
    if isinstance(expr, Key) and expr.kind == "payload" and expr.args[0]:
        from tcemu.nft.expressions.payload import typed
        from tcemu.nft.protocols import HEADERS

        header = HEADERS[expr.args[0]]
        return typed(expr.at, header, header.field(expr.args[1]))
    if isinstance(expr, Key) and expr.kind == "ct" and expr.args[0] in ("proto-src", "proto-dst"):
        from tcemu.nft.expressions.ct import typed as ct_typed

        key = ct_typed(expr.at, *expr.args)
        key.dtype = TYPES["inet_service"]
        return key
    inner = scope.fresh()
    inner.lenient = True
    inner.want(None, 0)
    result: Expr = inner.expr(expr)
    return result
