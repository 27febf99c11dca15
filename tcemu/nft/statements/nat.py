"""snat, dnat, masquerade, redirect. Args: what, family, address, port (evaluated or None), form (prefix, interval, concat), flags.

Source: nftables evaluate.c (stmt_evaluate_nat), statement.c (nat_stmt_print).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Translate
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import ACCEPT, Verdict
from tcemu.nft import lower
from tcemu.nft.datatypes import TYPES, Datatype, concat_of
from tcemu.nft.errors import NftError
from tcemu.nft.forms import form as form_of
from tcemu.nft.protocols import NH, TH
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import NOWHERE, At, Concat, Expr, Key, MapOf, Prefix, Range, SetLiteral, SetRef, Stmt, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "nat"
ADDRESS: Final = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
FLAGS: Final = ("random", "fully-random", "persistent")


# ---------------------------------------------------------------- actions
def begin(what: str) -> Any:
    def act(p: Parser) -> Stmt:
        return Stmt(p.at, NAME, what=what, family="", address=None, port=None, form="", flags=[])

    return act


def nat(_p: Parser, stmt: Stmt, to: dict[str, Any]) -> Stmt:
    stmt.args.update(to)
    return stmt


def nat_plain(_p: Parser, stmt: Stmt, flags: list[str] | None = None) -> Stmt:
    stmt.args["flags"] = flags or []
    return stmt


def nat_port(_p: Parser, stmt: Stmt, port: Expr, flags: list[str] | None = None) -> Stmt:
    stmt.args.update(port=port, flags=flags or [])
    return stmt


def nat_of_family(_p: Parser, family: str, target: dict[str, Any], flags: list[str] | None = None) -> dict[str, Any]:
    return {"family": family, "flags": flags or [], **target}


def nat_of_form(_p: Parser, family: str, form: str, target: dict[str, Any], flags: list[str] | None = None) -> dict[str, Any]:
    return {"family": family, "form": form, "flags": flags or [], **target}


def nat_joined(p: Parser, family: str, target: dict[str, Any], flags: list[str] | None = None) -> dict[str, Any]:
    return nat_of_form(p, family, "concat", target, flags)


def nat_in_form(p: Parser, form: str, target: dict[str, Any], flags: list[str] | None = None) -> dict[str, Any]:
    return nat_of_form(p, "", form, target, flags)


def nat_bare(_p: Parser, target: dict[str, Any], flags: list[str] | None = None) -> dict[str, Any]:
    return {"flags": flags or [], **target}


def target(p: Parser, address: Expr) -> dict[str, Any]:
    return {"address": address}


def target_port(p: Parser, address: Expr, port: Expr) -> dict[str, Any]:
    return {"address": address, "port": port}


def only_port(p: Parser, port: Expr) -> dict[str, Any]:
    return {"port": port}


def nat_flags(_p: Parser, *words: str) -> list[str]:
    return list(words)


# ---------------------------------------------------------------- evaluation
def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    args = dict(stmt.args)
    args["family"] = _family(scope, stmt)
    made = Stmt(stmt.at, NAME, **args)
    address = args["address"]
    while isinstance(address, Variable):
        address = address.value
    if address is not None:
        check_network(scope, stmt, args["family"], args["what"])
        if args["form"] == "concat" or _joined(scope, address):
            return _joined_map(scope, made, address)
        made.args["address"] = address_of(scope, made, address)
        if isinstance(made.args["address"], Prefix) or args["form"] == "prefix":
            made.args["form"] = "prefix"
        if _is_range(made.args["address"]) and isinstance(address, MapOf):
            made.args["form"] = made.args["form"] or "interval"
    if args["port"] is not None:
        made.args["port"] = transport(scope, made, args["port"])
    return made


def _family(scope: Scope, stmt: Stmt) -> str:
    given = str(stmt.args["family"])
    if scope.family in ADDRESS:
        return given or scope.family
    if scope.family != "inet":
        raise NftError("NAT is only supported for IPv4/IPv6", stmt.at)
    if stmt.args["address"] is None:
        return "inet"
    network = scope.protocols.layers.get(NH, "")
    return given or (network if network in ADDRESS else "")


def check_network(scope: Scope, stmt: Stmt, family: str, what: str) -> None:
    """The rule's network protocol must be the one of the address."""
    network = scope.protocols.layers.get(NH, "")
    if network in ADDRESS and family != network:
        shown = family or "unknown"
        raise NftError(
            f"conflicting protocols specified: {network} vs. {shown}. You must specify ip or ip6 family in {what} statement",
            stmt.at,
            scope.protocols.at.get(NH, NOWHERE),
        )


def _infer(expr: Expr) -> str:
    """The family that a map's key gives away."""
    if isinstance(expr, MapOf):
        for part in expr.key.parts if isinstance(expr.key, Concat) else [expr.key]:
            if isinstance(part, Key) and part.kind == "payload" and part.args[0] in ADDRESS:
                return str(part.args[0])
    return ""


def address_of(scope: Scope, stmt: Stmt, expr: Expr) -> Any:
    """The address in the family's type."""
    family = stmt.args["family"]
    if scope.family == "inet" and family not in ADDRESS:
        family = stmt.args["family"] = _infer(expr)
        if not family:
            raise NftError("ip or ip6 must be specified with address for inet tables.", stmt.at)
    dtype = TYPES[ADDRESS[scope.family if scope.family in ADDRESS else family]]
    return scope.argument(stmt, expr, dtype, dtype.bits, "big")


def transport(scope: Scope, stmt: Stmt, expr: Expr) -> Any:
    """A port; the rule must have settled on a transport protocol."""
    settled = TH in scope.protocols.layers  # what the port itself is read from counts since nft 1.0.7
    made = scope.argument(stmt, expr, TYPES["inet_service"], 16, "big")
    if not settled and not (scope.newest and TH in scope.protocols.layers) and not _has_transport(stmt.args.get("address")):
        raise NftError("transport protocol mapping is only valid after transport protocol match", made.at, stmt.at)
    return made


def _has_transport(address: Any) -> bool:
    """A map whose key reads the transport header says which protocol it is."""
    if not isinstance(address, MapOf) or not isinstance(address.key, Concat):
        return False
    for part in address.key.parts:
        if isinstance(part, Key) and part.kind == "payload":
            if part.args[2] == TH and part.args[0] not in ("", "th"):
                return True
            if part.args[:2] in (("ip", "protocol"), ("ip6", "nexthdr")):
                return True
        if isinstance(part, Key) and part.kind == "meta" and part.args[0] == "l4proto":
            return True
    return False


def _joined(scope: Scope, address: Expr) -> bool:
    """Does the map hold address and port together?"""
    if not isinstance(address, MapOf):
        return False
    mappings = address.mappings
    while isinstance(mappings, Variable):
        mappings = mappings.value
    if isinstance(mappings, SetLiteral):
        return any(isinstance(getattr(item, "data", None), Concat) for item in mappings.items)
    if isinstance(mappings, SetRef):
        info = scope.cache.set(scope, mappings.name, mappings.at)
        if not info.note.data_types:
            raise NftError("Expression is not a map", mappings.at)
        return len(info.note.data_types) > 1
    return False


def _joined_map(scope: Scope, stmt: Stmt, expr: Expr) -> Stmt:
    if stmt.args["port"] is not None:
        raise NftError("nat map and protocol are mutually exclusive", stmt.at, stmt.args["port"].at)
    if stmt.args["family"] not in ADDRESS:
        stmt.args["family"] = _infer(expr)
    family = stmt.args["family"]
    if family not in ADDRESS:
        raise NftError("specify `dnat ip' or 'dnat ip6' in inet table to disambiguate".replace("dnat", stmt.args["what"]), stmt.at)
    dtype: Datatype = concat_of((TYPES[ADDRESS[family]], TYPES["inet_service"]))
    scope.want(dtype, dtype.bits)
    made = scope.expr(expr)
    stmt.args["address"] = made
    stmt.args["form"] = "concat"
    if TH not in scope.protocols.layers and not _has_transport(made):
        raise NftError("transport protocol mapping is only valid after transport protocol match", made.at, stmt.at)
    if isinstance(made, MapOf) and isinstance(made.mappings, SetRef) and made.mappings.info.note.data_interval:
        stmt.args["form"] = "concat interval"
    return stmt


def _is_range(expr: Any) -> bool:
    return isinstance(expr, MapOf) and isinstance(expr.mappings, SetRef) and bool(expr.mappings.info.note.data_interval)


# ---------------------------------------------------------------- what runs
def ends(expr: Any) -> tuple[Any, Any]:
    """The operands of the lowest and highest value."""
    if expr is None:
        return None, None
    if isinstance(expr, Range | Prefix):
        from tcemu.ir.operand import Const
        from tcemu.nft.sets import bounds

        low, high = bounds(expr)
        return Const(low), Const(high)
    return lower.operand(expr), None


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    args = stmt.args
    address, address_high = ends(args["address"])
    port, port_high = ends(args["port"])
    number = {"ip": 4, "ip6": 6}.get(args["family"], 0)
    flags = tuple(flag for flag in FLAGS if flag in args["flags"])
    if args["form"] in ("prefix", "interval"):
        flags += ("netmap",) if args["form"] == "prefix" else ("interval",)
    joined = args["form"].startswith("concat")
    effect = Translate(args["what"], number, address, address_high, port, port_high, joined, flags)
    return [Do(effect, Verdict(ACCEPT))]


def form(stmt: Stmt, _place: int) -> Form:
    args = stmt.args
    flags = [flag for flag in FLAGS if flag in args["flags"]]
    parts = [None if args[name] is None else form_of(args[name]) for name in ("address", "port")]
    parts[0] = args.get("address_form", parts[0])
    return [NAME, args["what"], args.get("shown", ""), args["form"], *parts, flags]


def text(form: Form, out: Any) -> str:
    _kind, what, family, how, address, port, flags = form
    text = str(what)
    if address is not None or port is not None:
        if family:
            text += f" {family}"
        if how == "prefix":
            text += " prefix"
        elif how == "interval":
            text += " interval" if out.show_interval else ""
        text += " to"
        text += f" {endpoint(address, port, out)}"
    return text + (f" {','.join(flags)}" if flags else "")


def endpoint(address: Form | None, port: Form | None, out: Any) -> str:
    """Address and port; IPv6 addresses with a port in brackets."""
    text = ""
    if address is not None:
        text = bracketed(address, out) if port is not None else out.text(address)
    return text + (f":{out.text(port)}" if port is not None else "")


def bracketed(address: Form, out: Any) -> str:
    """IPv6 addresses in brackets."""
    if address[0] == "range":
        return f"{bracketed(address[1], out)}-{bracketed(address[2], out)}"
    if address[0] == "prefix":
        return f"{bracketed(address[1], out)}/{address[2]}"
    shown: str = out.text(address)
    return f"[{shown}]" if address[0] == "v" and address[1] == "ipv6_addr" else shown


def json(form: Form, out: Any) -> Any:
    _kind, what, family, how, address, port, flags = form
    body: dict[str, Any] = {}
    if family:
        body["family"] = family
    if address is not None:
        body["addr"] = out.json(address)
    if port is not None:
        body["port"] = out.json(port)
    if how == "prefix":
        flags = [*flags, "netmap"]
    if flags:
        body["flags"] = flags[0] if len(flags) == 1 else flags
    if how == "prefix":
        body["type_flags"] = "prefix"
    return {what: body or None}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json, lambda _stmt: True),)
ACTIONS: Final[dict[str, Any]] = {
    "snat_begin": begin("snat"),
    "dnat_begin": begin("dnat"),
    "masq_begin": begin("masquerade"),
    "redir_begin": begin("redirect"),
    "nat": nat,
    "nat_plain": nat_plain,
    "nat_port": nat_port,
    "redirect_to": nat_port,
    "nat_bare": nat_bare,
    "nat_of_family": nat_of_family,
    "nat_of_form": nat_of_form,
    "nat_joined": nat_joined,
    "nat_in_form": nat_in_form,
    "nat_target": target,
    "nat_target_port": target_port,
    "nat_only_port": only_port,
    "nat_flags": nat_flags,
}
_: At = NOWHERE
