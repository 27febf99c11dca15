"""``meta mark set …``, ``ct mark set …``, ``ip dscp set …``, ``tcp option maxseg size set …``.

Args: target (an evaluated key), value (evaluated). Source: nftables evaluate.c (stmt_evaluate_meta, _ct, _payload, _exthdr).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Assign
from tcemu.ir.step import Do, Step
from tcemu.nft import lower
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions import KINDS as EXPRESSIONS
from tcemu.nft.expressions import ct as ct_keys
from tcemu.nft.expressions import meta as meta_keys
from tcemu.nft.forms import form as form_of
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Binop, Expr, Key, Range, Stmt, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser


def payload_set(p: Parser, target: Key, value: Expr) -> Stmt:
    return Stmt(p.at, "payload set" if target.kind == "payload" else "exthdr set", target=target, value=value)


def meta_set(p: Parser, *parts: Any) -> Stmt:
    words, value = parts[:-1], parts[-1]
    word = words[0] if isinstance(words[0], str) else words[0][0]
    return Stmt(p.at, "meta set", target=Key(p.at, "meta", (meta_keys.OLD_NAMES.get(word, word),)), value=value)


def meta_set_word(p: Parser, word: str, value: Expr) -> Stmt:
    if word in meta_keys.SET_ONLY:
        p.newer(f"meta {word}")
    else:
        word = meta_keys.key_of(word, p.at)
    return Stmt(p.at, "meta set", target=Key(p.at, "meta", (word,)), value=value)


def ct_set(p: Parser, word: Any, value: Expr) -> Stmt:
    if word == "helper":
        return Stmt(p.at, "objref", object="ct helper", expr=value)
    return Stmt(p.at, "ct set", target=Key(p.at, "ct", (str(word), "")), value=value)


def ct_dir_set(p: Parser, direction: str, word: Any, value: Expr) -> Stmt:
    return Stmt(p.at, "ct set", target=Key(p.at, "ct", (str(word), direction)), value=value)


def evaluate_meta(scope: Scope, stmt: Stmt) -> Stmt:
    parsed = stmt.args["target"]
    target = meta_keys.typed(parsed.at, parsed.args[0])
    return _finish(scope, stmt, target, "meta")


def evaluate_ct(scope: Scope, stmt: Stmt) -> Stmt:
    parsed = stmt.args["target"]
    target = ct_keys.typed(parsed.at, *parsed.args)
    made = _finish(scope, stmt, target, "ct")
    if target.args[0] == "secmark" and isinstance(made.args["value"], Value):
        raise NftError("ct secmark must not be set to constant value", stmt.at)
    return made


def _finish(scope: Scope, stmt: Stmt, target: Key, name: str) -> Stmt:
    scope.width = target.bits
    value = scope.argument(stmt, stmt.args["value"], target.dtype or TYPES["integer"], target.bits, target.order)
    scope.width = 0
    value = scope.constant_range(value)
    if isinstance(value, Range):
        raise NftError(f"{name}: range argument not supported", value.at)
    return Stmt(stmt.at, stmt.kind, target=target, value=value)


def evaluate_payload(scope: Scope, stmt: Stmt) -> Stmt:
    target: Any = EXPRESSIONS[stmt.args["target"].kind].evaluate(scope, stmt.args["target"])
    value = scope.argument(stmt, stmt.args["value"], target.dtype, target.bits, target.order)
    value = scope.constant_range(value)
    if isinstance(value, Range):
        raise NftError(f"{target.kind}: range argument not supported", value.at)
    odd = target.kind == "payload" and (target.bits % 8 or target.args[3] % 8)
    if odd and not isinstance(value, Value) and not (scope.newest and _of_itself(value, target)):
        raise NftError("payload statement for this expression is not supported", value.at)
    return Stmt(stmt.at, stmt.kind, target=target, value=value)


def _of_itself(value: Expr, target: Key) -> bool:
    """``ip dscp set ip dscp | 1``: bits of the same place, which newer versions than nft 1.0.6 take."""
    while isinstance(value, Binop) and value.op in "&|^":
        value = value.left
    return isinstance(value, Key) and value.kind == target.kind and value.args == target.args


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    target = stmt.args["target"]
    header = target.args[0] if target.kind == "payload" else ""
    return [Do(Assign(lower.operand(target), lower.operand(stmt.args["value"]), header))]


def form(stmt: Stmt, _place: int) -> Form:
    value = stmt.args["value"]
    shown = form_of(value)
    if isinstance(value, Value) and value.dtype is not None and value.dtype.name == "ct_event":
        shown = ["list", "ct_event", value.value]
    return [stmt.kind, form_of(stmt.args["target"]), shown]


def text(form: Form, out: Any) -> str:
    lead = out.text(form[1])
    if form[0] == "meta set" and form[1][1] in meta_keys.PLAIN:
        lead = f"meta {form[1][1]}"
    return f"{lead} set {out.text(form[2])}"


def json(form: Form, out: Any) -> Any:
    return {"mangle": {"key": out.json(form[1]), "value": out.json(form[2])}}


KINDS: Final = (
    Kind("meta set", evaluate_meta, steps, form, text, json),
    Kind("ct set", evaluate_ct, steps, form, text, json),
    Kind("payload set", evaluate_payload, steps, form, text, json),
    Kind("exthdr set", evaluate_payload, steps, form, text, json),
)
ACTIONS: Final[dict[str, Any]] = {
    "payload_set": payload_set,
    "meta_set": meta_set,
    "meta_set_word": meta_set_word,
    "ct_set": ct_set,
    "ct_dir_set": ct_dir_set,
}
