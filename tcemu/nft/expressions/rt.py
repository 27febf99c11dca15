"""Routing: ``rt nexthop``. Key: kind "rt", args (key, family or ""). Source: nftables src/rt.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.protocols import NH
from tcemu.nft.tree import Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "rt"
TEMPLATES: Final = {"classid": ("realm", 32, "host"), "mtu": ("integer", 16, "host"), "ipsec": ("boolean", 8, "host")}
ADDRESSES: Final = {"ip": ("ipv4_addr", 32), "ip6": ("ipv6_addr", 128)}


def rt(p: Parser, word: str) -> Key:
    return Key(p.at, NAME, (word, ""))


def rt_in_family(p: Parser, family: str, word: str) -> Key:
    return Key(p.at, NAME, (word, family))


def evaluate(scope: Scope, key: Key) -> Key:
    word, family = key.args
    made = Key(key.at, NAME, (word, family))
    if word == "nexthop":
        network = family or scope.protocols.layers.get(NH, "")
        if network not in ADDRESSES:
            raise NftError('cannot determine ip protocol version, use "ip nexthop" or "ip6 nexthop" instead', key.at)
        if scope.family in ADDRESSES and scope.family != network:
            raise NftError(f"{network} nexthop will not match", key.at)
        made.args = (word, network)
        dtype, bits = ADDRESSES[network]
        made.typed(TYPES[dtype], bits, "big")
    else:
        dtype, bits, order = TEMPLATES[word]
        made.typed(TYPES[dtype], bits, order)
    scope.primary(made)
    return made


def operand(key: Key) -> ir.Operand:
    return ir.Key("rt", tuple(word for word in key.args if word))


def text(form: Form, _out: Any) -> str:
    _kind, word, family = form
    return f"rt {family} {word}" if family else f"rt {word}"


def json(form: Form, _out: Any) -> Any:
    _kind, word, family = form
    return {"rt": {"key": word, "family": family}} if family else {"rt": {"key": word}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"rt": rt, "rt_in_family": rt_in_family}
