"""``tproxy to 1.2.3.4:5``. Args: family, address, port. Source: nftables evaluate.c (stmt_evaluate_tproxy)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import TransparentProxy
from tcemu.ir.step import Do, Step
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.protocols import TH
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.statements.nat import address_of, bracketed, check_network, ends, transport
from tcemu.nft.tree import Expr, Range, Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "tproxy"


def tproxy(with_family: bool, has_address: bool, has_port: bool) -> Any:
    def act(p: Parser, _begin: Any, *parts: Any) -> Stmt:
        values = list(parts)
        family = str(values.pop(0)) if with_family else ""
        address: Expr | None = values.pop(0) if has_address else None
        port: Expr | None = values.pop(0) if has_port else None
        return Stmt(p.at, NAME, family=family, address=address, port=port, what=NAME)

    return act


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    made = Stmt(stmt.at, NAME, **stmt.args)
    if scope.family in ("ip", "ip6"):
        made.args["family"] = made.args["family"] or scope.family
    elif scope.family != "inet":
        raise NftError("tproxy is only supported for IPv4/IPv6/INET", stmt.at)
    if TH not in scope.protocols.layers:
        raise NftError("Transparent proxy support requires transport protocol match", stmt.at)
    check_network(scope, stmt, made.args["family"], NAME)
    if made.args["address"] is not None:
        made.args["address"] = address_of(scope, made, made.args["address"])
        if isinstance(made.args["address"], Range):
            raise NftError("Address ranges are not supported for tproxy.", stmt.at)
    if made.args["port"] is not None:
        made.args["port"] = transport(scope, made, made.args["port"])
        if isinstance(made.args["port"], Range):
            raise NftError("Port ranges are not supported for tproxy.", stmt.at)
    return made


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    args = stmt.args
    number = {"ip": 4, "ip6": 6}.get(args["family"], 0)
    return [Do(TransparentProxy(number, ends(args["address"])[0], ends(args["port"])[0]))]


def form(stmt: Stmt, _place: int) -> Form:
    parts = [None if stmt.args[name] is None else form_of(stmt.args[name]) for name in ("address", "port")]
    return [NAME, stmt.args.get("shown", ""), *parts]


def text(form: Form, out: Any) -> str:
    _kind, family, address, port = form
    to = bracketed(address, out) if address is not None else ""
    return f"tproxy{f' {family}' if family else ''} to {to}{f':{out.text(port)}' if port is not None else ''}"


def json(form: Form, out: Any) -> Any:
    _kind, family, address, port = form
    body: dict[str, Any] = {}
    if family:
        body["family"] = family
    if address is not None:
        body["addr"] = out.json(address)
    if port is not None:
        body["port"] = out.json(port)
    return {"tproxy": body}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "tproxy_begin": lambda _p: None,
    "tproxy_to": tproxy(False, True, False),
    "tproxy_port": tproxy(False, False, True),
    "tproxy_both": tproxy(False, True, True),
    "tproxy_fam_to": tproxy(True, True, False),
    "tproxy_fam_port": tproxy(True, False, True),
    "tproxy_fam_both": tproxy(True, True, True),
}
