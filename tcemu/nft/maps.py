"""Maps: ``key map { a : b }`` as a value, ``key vmap { a : accept }`` as a verdict (nftables expr_evaluate_map)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.nft.binops import transfer
from tcemu.nft.errors import NftError
from tcemu.nft.sets import finish, new_info, reference
from tcemu.nft.tree import Concat, Key, MapOf, SetLiteral, SetRef, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope


def evaluate(scope: Scope, expr: MapOf) -> MapOf:
    """The key is read, its literal evaluated in the key's type and the wanted type."""
    wanted, wanted_bits = scope.dtype, scope.bits
    for part in expr.key.parts if isinstance(expr.key, Concat) else [expr.key]:
        if isinstance(part, Key) and part.kind == "ct" and part.args[0] in ("saddr", "daddr"):
            raise NftError("specify either ip or ip6 for address matching", part.at)
    scope.want(None, 0)
    key = scope.expr(expr.key)
    if key.constant():
        raise NftError("Map expression can not be constant", key.at)
    scope.width = 0
    mappings = expr.mappings
    while isinstance(mappings, Variable):
        mappings = mappings.value
    if isinstance(mappings, SetLiteral):
        if wanted is None:
            raise NftError("Implicit map expression without known datatype", expr.at)
        verdicts = wanted.name == "verdict"
        info = new_info(key, None if verdicts else (wanted, wanted_bits), verdicts)
        info.at = mappings.at
        outer, scope.set = scope.set, info
        scope.want(info.dtype, info.bits, info.order, key=info.concat)
        literal = scope.expr(mappings)
        scope.set = outer
        for item in literal.items:
            if getattr(item, "data", None) is None:
                raise NftError(f"expected mapping, not {item.what}", item.at)
        key, moved = transfer(key, literal)
        assert isinstance(moved, SetLiteral)
        finish(scope, info, moved)
        ref = reference(scope, moved, info)
    elif isinstance(mappings, SetRef):
        ref = scope.expr(mappings)
        if not ref.info.note.data_types:
            raise NftError("Expression is not a map", mappings.at)
    else:
        raise NftError(f"invalid mapping expression {mappings.what}", mappings.at, key.at)
    info = ref.info
    from tcemu.nft.evaluate import compatible

    if info.dtype is not None and not compatible(info.dtype, key.dtype):
        kind = key.dtype.desc if key.dtype else "invalid"
        raise NftError(f"datatype mismatch, map expects {info.dtype.desc}, mapping expression has type {kind}", ref.at, key.at)
    made: MapOf = MapOf(expr.at, key, ref).typed(info.data, info.data_bits, info.note.data_orders[0] if info.note.data_orders else "")
    return made
