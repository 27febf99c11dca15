"""Route lookups: ``fib saddr . iif oif``. Key: kind "fib", args (flags, result, existence only). Source: nftables src/fib.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import At, Key, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "fib"
ORDER: Final = ("saddr", "daddr", "mark", "iif", "oif")
RESULTS: Final = {"oif": ("iface_index", 32), "oifname": ("ifname", 128), "type": ("fib_addrtype", 32)}


def fib_keys(p: Parser, word: str) -> tuple[list[str], At]:
    return [word], p.at


def fib_keys_more(p: Parser, word: str, more: tuple[list[str], At]) -> tuple[list[str], At]:
    return [word, *more[0]], p.at  # one that is said twice is no mistake


def fib(p: Parser, keys: tuple[list[str], At], result: str) -> Key:
    words, at = keys
    if result == "check":
        p.newer("fib check")
    if "saddr" not in words and "daddr" not in words:
        raise p.error("fib: need either saddr or daddr", at)
    for one, other in (("saddr", "daddr"), ("iif", "oif")):
        if one in words and other in words:
            raise p.error(f"fib: {one} and {other} are mutually exclusive", at)
    return Key(p.at, NAME, (tuple(word for word in ORDER if word in words), result, result == "check"))


def evaluate(scope: Scope, key: Key) -> Key:
    flags, result, exists = key.args
    exists = exists or (isinstance(scope.other, Value) and scope.other.dtype is TYPES["boolean"])
    made = Key(key.at, NAME, (flags, result, exists))
    dtype, bits = ("boolean", 8) if exists else RESULTS[result]
    made.typed(TYPES[dtype], bits, "host")
    scope.primary(made)
    return made


def operand(key: Key) -> ir.Operand:
    flags, result, exists = key.args
    return ir.Key("fib", (*flags, "oif" if result == "check" else result, *(("exists",) if exists else ())))


def text(form: Form, _out: Any) -> str:
    return f"fib {' . '.join(form[1])} {form[2]}"


def json(form: Form, _out: Any) -> Any:
    return {"fib": {"result": form[2], "flags": form[1]}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"fib_keys": fib_keys, "fib_keys_more": fib_keys_more, "fib": fib}
