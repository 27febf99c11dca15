"""Tunnels: their headers (``vxlan vni``, ``gre version``) and what is inside of them (``vxlan ip saddr``), newer than nft 1.0.6.

Inside, protocols settle by themselves: each tunnel of a rule has a context of its own, whose dependencies are matches inside the
tunnel too. Key of an inner field: kind "inner", args (tunnel, the evaluated key inside). Source: RFC 7348, 8926, 2784;
nftables doc/payload-expression.txt (VXLAN, GENEVE, GRE, GRETAP HEADER EXPRESSION).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.protocols import BASE_NAMES, TH
from tcemu.nft.tree import At, Key, Stmt, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "inner"
GRE: Final = 47
CARRIERS: Final = {"vxlan": "udp", "geneve": "udp", "gre": "", "gretap": ""}  # tunnel -> the protocol that carries it
INSIDE: Final = {"gre": "inet"}  # the family that a tunnel's inside is like; the others hold Ethernet


def header_field(header: str) -> Any:
    def act(p: Parser, word: Any) -> Key:
        p.newer(header)
        return Key(p.at, "payload", (header, str(word)))

    return act


def inner_field(tunnel: str) -> Any:
    def act(p: Parser, field: Key) -> Key:
        p.newer(tunnel)
        return Key(p.at, NAME, (tunnel, field))

    return act


def settle(scope: Scope, at: At, tunnel: str) -> None:
    """Make sure of the protocol that carries the tunnel."""
    context = scope.protocols
    if scope.lenient:
        return
    carrier = CARRIERS[tunnel]
    now = context.layers.get(TH, "")
    if carrier:
        if not now:
            raise NftError("ambiguous payload specification: no transport layer protocol specified", at)
        if now != carrier:
            raise NftError(f"conflicting protocols specified: {now} vs. {tunnel}", at)
    elif now not in ("", "unknown", "gre"):
        raise NftError(f"conflicting protocols specified: {now} vs. {tunnel}", at)
    elif now != "gre":
        from tcemu.nft.expressions.meta import typed

        left = typed(at, "l4proto")
        number: Value = Value(at, GRE).typed(left.dtype, left.bits, left.order)
        scope.dependency(left, number)
        context.update(TH, "gre", at)


def evaluate(scope: Scope, key: Key) -> Key:
    """Evaluate the field inside; what it needs there becomes matches inside the tunnel."""
    tunnel, field = key.args
    settle(scope, key.at, tunnel)
    inside = scope.inside.get(tunnel)
    if inside is None:
        from tcemu.nft.protocols import Context

        inside = scope.fresh()
        inside.family = INSIDE.get(tunnel, "bridge")
        inside.protocols = Context(inside.family)
        inside.lenient = scope.lenient
        scope.inside[tunnel] = inside
    from tcemu.nft.expressions import KINDS as ALL

    start = len(inside.done)
    made = ALL[field.kind].evaluate(inside, field)
    assert isinstance(made, Key)
    for stmt in inside.done[start:]:
        left = _wrapped(key.at, tunnel, stmt.args["left"])
        scope.done.append(Stmt(stmt.at, "match", op=stmt.args["op"], left=left, right=stmt.args["right"], implied=True))
    outer = _wrapped(key.at, tunnel, made)
    scope.primary(outer)
    return outer


def _wrapped(at: At, tunnel: str, key: Key) -> Key:
    return Key(at, NAME, (tunnel, key)).typed(key.dtype, key.bits, key.order)  # type: ignore[no-any-return]


def learn(scope: Scope, key: Key, number: int) -> None:
    """A match inside a tunnel settles what comes next there."""
    from tcemu.nft.dependencies import learn as settle_by

    inside = scope.inside.get(key.args[0])
    if inside is not None:
        field = key.args[1]
        value: Value = Value(key.at, number).typed(field.dtype, field.bits, field.order)
        settle_by(inside, field, value, key.at)


def operand(key: Key) -> ir.Operand:
    tunnel, field = key.args
    if field.kind != "payload":
        return ir.Key(NAME, (tunnel, field.kind, str(field.args[0])))
    _header, _field, base, offset = field.args
    return ir.Key(NAME, (tunnel, BASE_NAMES[base], str(offset), str(field.bits)))


def text(form: Form, out: Any) -> str:
    return f"{form[1]} {out.text(form[2])}"


def json(form: Form, out: Any) -> Any:
    inside = out.json(form[2])
    return {"payload": {"tunnel": form[1], **inside["payload"]}} if "payload" in inside else inside


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    **{f"payload_{name}": header_field(name) for name in ("vxlan", "geneve", "gre")},
    **{f"inner_{name}": inner_field(name) for name in CARRIERS},
}
