"""``reject with icmp port-unreachable``. Args: type (icmp, icmpv6, icmpx, tcp reset or "" as written), code, verbose.

Source: nftables evaluate.c (stmt_evaluate_reject), statement.c (reject_stmt_print).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Reject
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import DROP, Verdict
from tcemu.nft.datatypes import TYPES, read
from tcemu.nft.dependencies import generate, upper
from tcemu.nft.errors import NftError
from tcemu.nft.protocols import HEADERS, LL, NH, TH
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Expr, Stmt, Symbol, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "reject"
CODES: Final = {"icmp": "icmp_code", "icmpv6": "icmpv6_code", "icmpx": "icmpx_code"}
PORT_UNREACHABLE: Final = {"icmp": 3, "icmpv6": 4, "icmpx": 1}
NETWORKS: Final = {"ip": "icmp", "ip6": "icmpv6"}


def begin(p: Parser) -> Stmt:
    return Stmt(p.at, NAME, type="", code=None)


def with_code(kind: str) -> Any:
    def act(p: Parser, stmt: Stmt, code: Expr) -> Stmt:
        return Stmt(stmt.at, NAME, type=kind, code=code)

    return act


def with_reset(p: Parser, stmt: Stmt) -> Stmt:
    return Stmt(stmt.at, NAME, type="tcp reset", code=None)


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    kind, written = stmt.args["type"], stmt.args["code"]
    code = -1
    network = scope.protocols.layers.get(NH, "")
    if not kind:
        kind = _default(scope, network)
        code = PORT_UNREACHABLE.get(kind, 0)
    elif kind == "tcp reset":
        _check_reset(scope, stmt)
    else:
        while isinstance(written, Variable):
            written = written.value
        assert isinstance(written, Symbol)
        code = int(read(TYPES[CODES[kind]], written.text, written.at, scope.names))
        if code > 255:
            raise NftError("reject code must be integer in range 0-255", written.at)
    at = written.at if written is not None else stmt.at
    _family(scope, stmt, kind, network, at)
    return Stmt(stmt.at, NAME, type=kind, code=code, default=not stmt.args["type"])


def _default(scope: Scope, network: str) -> str:
    if scope.family in NETWORKS:
        return NETWORKS[scope.family]
    return NETWORKS.get(network, "icmpx")


def _check_reset(scope: Scope, stmt: Stmt) -> None:
    transport = scope.protocols.layers.get(TH)
    if transport is not None and transport != "tcp":
        raise NftError("you cannot use tcp reset with this protocol", stmt.at, scope.protocols.at.get(TH, (-1, -1)))


def _family(scope: Scope, stmt: Stmt, kind: str, network: str, at: tuple[int, int]) -> None:
    """What may be sent in which family, and the matches that it needs."""
    family = scope.family
    if family == "arp":
        raise NftError("cannot use reject with arp", stmt.at)
    where = scope.protocols.at.get(NH, (-1, -1))
    if family in NETWORKS:
        if kind == "icmpx":
            raise NftError("abstracted ICMP unreachable not supported", at, stmt.at)
        if kind in NETWORKS.values() and kind != NETWORKS[family]:
            raise NftError("conflicting protocols specified: ip vs ip6", at, stmt.at)
    else:
        if network and kind in NETWORKS.values() and network in NETWORKS and NETWORKS[network] != kind:
            raise NftError("conflicting protocols specified: ip vs ip6", at, where)
        if family != "inet":
            _bridge(scope, stmt, kind, network, where)
        if kind in NETWORKS.values() and not network:
            _front(scope, stmt, "ip" if kind == "icmp" else "ip6")
    if kind == "tcp reset" and TH not in scope.protocols.layers:
        _front(scope, stmt, "tcp")


def _bridge(scope: Scope, stmt: Stmt, kind: str, network: str, where: tuple[int, int]) -> None:
    if scope.protocols.layers.get(LL, "") not in ("ether", "vlan", "netdev"):
        raise NftError("cannot reject from this link layer protocol", stmt.at)
    if network and network not in NETWORKS:
        raise NftError("cannot reject this network family", stmt.at, where)
    _ = kind


def _front(scope: Scope, stmt: Stmt, name: str) -> None:
    """Put the match on a protocol at the beginning of the rule, so that what stands between concerns rejected packets only."""
    place = len(scope.done)
    if name == "tcp" and scope.family in ("ip", "ip6"):
        upper(scope, stmt.at, HEADERS[scope.family], "tcp")
    else:
        generate(scope, stmt.at, HEADERS[name])
    added = scope.done[place:]
    del scope.done[place:]
    scope.done[:0] = added


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(Reject(stmt.args["type"], max(stmt.args["code"], 0)), Verdict(DROP))]


def form(stmt: Stmt, _place: int) -> Form:
    return [NAME, stmt.args["type"], stmt.args["code"], stmt.args.get("verbose", False)]


def text(form: Form, out: Any) -> str:
    _kind, kind, code, verbose = form
    if kind == "tcp reset":
        return "reject with tcp reset"
    if not verbose and code == PORT_UNREACHABLE[kind]:
        return "reject"
    return f"reject with {kind} {out.text(['v', CODES[kind], code])}"


def json(form: Form, out: Any) -> Any:
    _kind, kind, code, _verbose = form
    if kind == "tcp reset":
        return {"reject": {"type": "tcp reset"}}
    return {"reject": {"type": kind, "expr": out.json(["v", CODES[kind], code])}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json, lambda _stmt: True),)
ACTIONS: Final[dict[str, Any]] = {
    "reject_begin": begin,
    "reject_icmp": with_code("icmp"),
    "reject_icmp6": with_code("icmpv6"),
    "reject_icmpx": with_code("icmpx"),
    "reject_tcp": with_reset,
}
