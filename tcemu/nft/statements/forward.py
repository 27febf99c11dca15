"""``dup to …`` and ``fwd to …``. Args: address, device (evaluated or None), family. Source: nftables evaluate.c (stmt_evaluate_dup, _fwd)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Forward
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import STOLEN, Verdict
from tcemu.nft import lower
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.statements.nat import ADDRESS
from tcemu.nft.tree import Expr, Range, Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser


def dup(p: Parser, to: Expr, device: Expr | None = None) -> Stmt:
    return Stmt(p.at, "dup", to=to, device=device)


def fwd(p: Parser, to: Expr) -> Stmt:
    return Stmt(p.at, "fwd", address=None, device=to, family="")


def fwd_device(p: Parser, family: str, to: Expr, device: Expr) -> Stmt:
    return Stmt(p.at, "fwd", address=to, device=device, family=family)


def _device(scope: Scope, stmt: Stmt, expr: Expr) -> Any:
    return _single(stmt, scope.argument(stmt, expr, TYPES["iface_index"], 32, "host"))


def _single(stmt: Stmt, made: Any) -> Any:
    if isinstance(made, Range):
        raise NftError(f"{stmt.kind}: range argument not supported", made.at)
    return made


def evaluate_dup(scope: Scope, stmt: Stmt) -> Stmt:
    made = Stmt(stmt.at, "dup", **stmt.args)
    if scope.family in ADDRESS:
        dtype = TYPES[ADDRESS[scope.family]]
        made.args["to"] = _single(stmt, scope.argument(stmt, stmt.args["to"], dtype, dtype.bits, "big"))
        if stmt.args["device"] is not None:
            made.args["device"] = _device(scope, stmt, stmt.args["device"])
    elif scope.family == "netdev":
        if stmt.args["device"] is not None:
            raise NftError("cannot specify device", stmt.at)
        made.args["to"] = _device(scope, stmt, stmt.args["to"])
    else:
        raise NftError("unsupported family", stmt.at)
    made.args["netdev"] = scope.family == "netdev"
    return made


def evaluate_fwd(scope: Scope, stmt: Stmt) -> Stmt:
    if scope.family != "netdev":
        raise NftError("unsupported family", stmt.at)
    made = Stmt(stmt.at, "fwd", **stmt.args)
    made.args["device"] = _device(scope, stmt, stmt.args["device"])
    if stmt.args["address"] is not None:
        dtype = TYPES[ADDRESS[stmt.args["family"]]]
        made.args["address"] = _single(stmt, scope.argument(stmt, stmt.args["address"], dtype, dtype.bits, "big"))
    return made


def steps_dup(stmt: Stmt, _lowering: Any) -> list[Step]:
    to = lower.operand(stmt.args["to"])
    if stmt.args["netdev"]:
        return [Do(Forward(True, to))]
    device = None if stmt.args["device"] is None else lower.operand(stmt.args["device"])
    family = 4 if stmt.args["to"].bits == 32 else 6
    return [Do(Forward(True, device, family, to))]


def steps_fwd(stmt: Stmt, _lowering: Any) -> list[Step]:
    address = stmt.args["address"]
    family = {"ip": 4, "ip6": 6}.get(stmt.args["family"], 0)
    effect = Forward(False, lower.operand(stmt.args["device"]), family, None if address is None else lower.operand(address))
    return [Do(effect, Verdict(STOLEN))]


def form_dup(stmt: Stmt, _place: int) -> Form:
    return ["dup", form_of(stmt.args["to"]), None if stmt.args["device"] is None else form_of(stmt.args["device"])]


def form_fwd(stmt: Stmt, _place: int) -> Form:
    address = stmt.args["address"]
    return ["fwd", stmt.args["family"], None if address is None else form_of(address), form_of(stmt.args["device"])]


def text_dup(form: Form, out: Any) -> str:
    return f"dup to {out.text(form[1])}" + (f" device {out.text(form[2])}" if form[2] is not None else "")


def text_fwd(form: Form, out: Any) -> str:
    _kind, family, address, device = form
    if address is None:
        return f"fwd to {out.text(device)}"
    return f"fwd {family} to {out.text(address)} device {out.text(device)}"


def json_dup(form: Form, out: Any) -> Any:
    return {"dup": {"addr": out.json(form[1]), **({"dev": out.json(form[2])} if form[2] is not None else {})}}


def json_fwd(form: Form, out: Any) -> Any:
    _kind, family, address, device = form
    body = {"dev": out.json(device)}
    if address is not None:
        body.update(addr=out.json(address), family=family)
    return {"fwd": body}


KINDS: Final = (
    Kind("dup", evaluate_dup, steps_dup, form_dup, text_dup, json_dup),
    Kind("fwd", evaluate_fwd, steps_fwd, form_fwd, text_fwd, json_fwd, lambda _stmt: True),
)
ACTIONS: Final[dict[str, Any]] = {"dup": dup, "dup_device": dup, "fwd": fwd, "fwd_device": fwd_device}
