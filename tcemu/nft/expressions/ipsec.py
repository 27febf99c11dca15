"""IPsec policies: ``ipsec in reqid 1``. Key: kind "ipsec", args (direction, spnum, key). Source: nftables src/xfrm.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "ipsec"
TEMPLATES: Final = {
    "spi": ("integer", 32, "big"),
    "reqid": ("integer", 32, "host"),
    "ip saddr": ("ipv4_addr", 32, "big"),
    "ip daddr": ("ipv4_addr", 32, "big"),
    "ip6 saddr": ("ipv6_addr", 128, "big"),
    "ip6 daddr": ("ipv6_addr", 128, "big"),
}


def ipsec(p: Parser, direction: str, spnum: Any, key: Any) -> Key:
    return Key(p.at, NAME, (direction, spnum or 0, key if isinstance(key, str) else " ".join(key)))


def spnum(p: Parser, number: int) -> int:
    if number > 255:
        raise p.error("value too large")
    return number


def evaluate(scope: Scope, key: Key) -> Key:
    if scope.family not in ("ip", "ip6", "inet"):
        raise NftError("ipsec expression is only valid in ip/ip6/inet tables", key.at)
    dtype, bits, order = TEMPLATES[key.args[2]]
    made: Key = Key(key.at, NAME, key.args).typed(TYPES[dtype], bits, order)
    scope.primary(made)
    return made


def operand(key: Key) -> ir.Operand:
    return ir.Key("ipsec", (key.args[0], str(key.args[1]), key.args[2]))


def text(form: Form, _out: Any) -> str:
    number = f"spnum {form[2]} " if form[2] else ""
    return f"ipsec {form[1]} {number}{form[3]}"


def json(form: Form, _out: Any) -> Any:
    family, _blank, word = form[3].rpartition(" ")
    body = {"key": word, **({"family": family} if family else {}), "dir": form[1], "spnum": form[2]}
    return {"ipsec": body}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"ipsec": ipsec, "ipsec_spnum_is": spnum}
