"""The local socket: ``socket transparent``. Key: kind "socket", args (key, level). Source: nftables src/socket.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "socket"
TEMPLATES: Final = {"transparent": ("integer", 8), "mark": ("mark", 32), "wildcard": ("integer", 8), "cgroupv2": ("cgroupsv2", 64)}


def socket(p: Parser, word: str) -> Key:
    return Key(p.at, NAME, (word, 0))


def socket_cgroup(p: Parser, level: int) -> Key:
    return Key(p.at, NAME, ("cgroupv2", level))


def evaluate(scope: Scope, key: Key) -> Key:
    word, _level = key.args
    dtype, bits = TEMPLATES[word]
    made: Key = Key(key.at, NAME, key.args).typed(TYPES[dtype], bits, "host")
    scope.primary(made, 1 if word in ("transparent", "wildcard") else 0)
    return made


def operand(key: Key) -> ir.Operand:
    return ir.Key("socket", (key.args[0], str(key.args[1])))


def text(form: Form, _out: Any) -> str:
    return f"socket cgroupv2 level {form[2]}" if form[1] == "cgroupv2" else f"socket {form[1]}"


def json(form: Form, _out: Any) -> Any:
    return {"socket": {"key": form[1], **({"level": form[2]} if form[1] == "cgroupv2" else {})}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"socket": socket, "socket_cgroup": socket_cgroup}
