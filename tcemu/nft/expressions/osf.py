"""Operating system fingerprints: ``osf ttl skip name``. Key: kind "osf", args (ttl, version asked). Source: nftables src/osf.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "osf"
BITS: Final = 16 * 8  # nftables NFT_OSF_MAXGENRELEN


def osf(version: bool) -> Any:
    def act(p: Parser, ttl: Any) -> Key:
        return Key(p.at, NAME, (ttl if isinstance(ttl, str) else "", version))

    return act


def osf_ttl_is(p: Parser, word: str) -> str:
    if word not in ("loose", "skip"):
        raise p.error("invalid ttl option")
    return word


def evaluate(scope: Scope, key: Key) -> Key:
    made: Key = Key(key.at, NAME, key.args).typed(TYPES["string"], BITS, "host")
    scope.primary(made)
    return made


def operand(key: Key) -> ir.Operand:
    return ir.Key("osf", (key.args[0], "version" if key.args[1] else "name"))


def text(form: Form, _out: Any) -> str:
    ttl = f"ttl {form[1]} " if form[1] else ""
    return f"osf {ttl}{'version' if form[2] else 'name'}"


def json(form: Form, _out: Any) -> Any:
    body = {"key": "version" if form[2] else "name"}
    return {"osf": {**body, "ttl": form[1]} if form[1] else body}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"osf_name": osf(False), "osf_version": osf(True), "osf_ttl": lambda _p: "", "osf_ttl_is": osf_ttl_is}
