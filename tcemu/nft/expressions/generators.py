"""Numbers made for a packet: ``numgen inc mod 2``, ``jhash ip saddr mod 4 seed 1``, ``symhash mod 2``.

Keys: kind "numgen", args (inc or random, mod, offset); kind "hash", args (jhash or symhash, mod, seed or None, offset), inner: what is hashed.
Source: nftables src/numgen.c, hash.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import Expr, Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser


def numgen(p: Parser, how: str, mod: int, offset: Any) -> Key:
    return Key(p.at, "numgen", (how, mod, offset or 0))


def jhash(p: Parser, of: Expr, mod: int, offset: Any) -> Key:
    return Key(p.at, "hash", ("jhash", mod, None, offset or 0), (of,))


def jhash_seed(p: Parser, of: Expr, mod: int, seed: int, offset: Any) -> Key:
    return Key(p.at, "hash", ("jhash", mod, seed, offset or 0), (of,))


def symhash(p: Parser, mod: int, offset: Any) -> Key:
    return Key(p.at, "hash", ("symhash", mod, None, offset or 0))


def _typed(scope: Scope, made: Key) -> None:
    """A 32-bit whole number, or of the type that is wanted where that is as wide."""
    wanted = scope.dtype
    made.typed(TYPES["integer"], 32, "host")
    if wanted is not None and wanted.root == "integer" and wanted.name != "integer" and scope.bits == 32:
        made.dtype = wanted


def evaluate_numgen(scope: Scope, key: Key) -> Key:
    made = Key(key.at, "numgen", key.args)
    _typed(scope, made)
    _how, mod, offset = key.args
    scope.primary(made, mod + offset - 1)
    return made


def evaluate_hash(scope: Scope, key: Key) -> Key:
    made = Key(key.at, "hash", key.args)
    _typed(scope, made)
    if key.inner:
        scope.want(None, 0)
        inner = scope.expr(key.inner[0])
        if inner.constant():
            raise NftError("Hash expression can not be constant", inner.at)
        made.inner = (inner,)
    _what, mod, _seed, offset = key.args
    scope.primary(made, mod + offset - 1)
    return made


def operand_numgen(key: Key) -> ir.Operand:
    how, mod, offset = key.args
    return ir.Number(how, mod, offset)


def operand_hash(key: Key) -> ir.Operand:
    from tcemu.nft.lower import operand

    _what, mod, seed, offset = key.args
    return ir.Hash(operand(key.inner[0]) if key.inner else None, mod, seed or 0, offset)


def text_numgen(form: Form, _out: Any) -> str:
    return f"numgen {form[1]} mod {form[2]}" + (f" offset {form[3]}" if form[3] else "")


def text_hash(form: Form, out: Any) -> str:
    _kind, _what, mod, seed, offset, *inner = form
    text = f"jhash {out.text(inner[0])} mod {mod}" if inner else f"symhash mod {mod}"
    if seed is not None:
        text += f" seed 0x{seed:x}"
    return text + (f" offset {offset}" if offset else "")


def json_numgen(form: Form, _out: Any) -> Any:
    return {"numgen": {"mode": form[1], "mod": form[2], "offset": form[3]}}


def json_hash(form: Form, out: Any) -> Any:
    _kind, what, mod, seed, offset, *inner = form
    body: dict[str, Any] = {"mod": mod}
    if seed is not None:
        body["seed"] = seed
    if offset:
        body["offset"] = offset
    if inner:
        body["expr"] = out.json(inner[0])
    return {what: body}


KINDS: Final = (
    Kind("numgen", evaluate_numgen, operand_numgen, text_numgen, json_numgen),
    Kind("hash", evaluate_hash, operand_hash, text_hash, json_hash),
)
ACTIONS: Final[dict[str, Any]] = {
    "numgen": numgen,
    "jhash": jhash,
    "jhash_seed": jhash_seed,
    "symhash": symhash,
    "hash_offset_is": lambda _p, number: number,
}
