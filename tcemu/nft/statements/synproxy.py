"""``synproxy mss 1460 wscale 7 timestamp sack-perm``. Args: mss, wscale, timestamp, sack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import SynProxy
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import At, Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "synproxy"


def begin(p: Parser) -> At:
    return p.at


def synproxy(_p: Parser, at: At, *args: tuple[str, Any]) -> Stmt:
    return Stmt(at, NAME, **{"mss": None, "wscale": None, "timestamp": False, "sack": False, **dict(args)})


def arg(name: str) -> Any:
    def act(_p: Parser, value: Any = True) -> tuple[str, Any]:
        return name, value

    return act


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def effect(args: dict[str, Any]) -> SynProxy:
    """The proxy as the engine runs it."""
    flags = tuple(
        name
        for name, given in (
            ("mss", args["mss"] is not None),
            ("wscale", args["wscale"] is not None),
            ("timestamp", args["timestamp"]),
            ("sack-perm", args["sack"]),
        )
        if given
    )
    return SynProxy(args["mss"] or 0, args["wscale"] or 0, flags)


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(effect(stmt.args))]


def form(stmt: Stmt, _place: int) -> Form:
    args = stmt.args
    return [NAME, args["mss"], args["wscale"], args["timestamp"], args["sack"]]


def text(form: Form, _out: Any) -> str:
    _kind, mss, wscale, timestamp, sack = form
    text = "synproxy"
    if mss is not None:
        text += f" mss {mss}"
    if wscale is not None:
        text += f" wscale {wscale}"
    return text + (" timestamp" if timestamp else "") + (" sack-perm" if sack else "")


def json(form: Form, _out: Any) -> Any:
    _kind, mss, wscale, timestamp, sack = form
    body: dict[str, Any] = {}
    if mss is not None:
        body["mss"] = mss
    if wscale is not None:
        body["wscale"] = wscale
    flags = (["timestamp"] if timestamp else []) + (["sack-perm"] if sack else [])
    if flags:
        body["flags"] = flags
    return {"synproxy": body or None}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json, lambda _stmt: False),)
ACTIONS: Final[dict[str, Any]] = {
    "synproxy_begin": begin,
    "synproxy": synproxy,
    "synproxy_mss": arg("mss"),
    "synproxy_wscale": arg("wscale"),
    "synproxy_timestamp": arg("timestamp"),
    "synproxy_sackperm": arg("sack"),
}
