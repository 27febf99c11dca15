"""Conntrack: ``ct state``, ``ct original ip saddr``. Key: kind "ct", args (key, direction or "").

Source: nftables src/ct.c (ct_templates), evaluate.c (expr_evaluate_ct, ct_gen_nh_dependency).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.protocols import NH, TH
from tcemu.nft.tree import At, Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "ct"

TEMPLATES: Final = {
    "state": ("ct_state", 32, "host"),
    "direction": ("ct_dir", 8, "host"),
    "status": ("ct_status", 32, "host"),
    "mark": ("mark", 32, "host"),
    "expiration": ("time", 32, "host"),
    "helper": ("string", 128, "host"),
    "l3proto": ("nf_proto", 8, "host"),
    "saddr": ("invalid", 0, "big"),
    "daddr": ("invalid", 0, "big"),
    "protocol": ("inet_proto", 8, "big"),
    "proto-src": ("invalid", 16, "big"),
    "proto-dst": ("invalid", 16, "big"),
    "label": ("ct_label", 128, "host"),
    "bytes": ("integer", 64, "host"),
    "packets": ("integer", 64, "host"),
    "avgpkt": ("integer", 64, "host"),
    "zone": ("integer", 16, "host"),
    "event": ("ct_event", 32, "host"),
    "ip saddr": ("ipv4_addr", 32, "big"),
    "ip daddr": ("ipv4_addr", 32, "big"),
    "ip6 saddr": ("ipv6_addr", 128, "big"),
    "ip6 daddr": ("ipv6_addr", 128, "big"),
    "secmark": ("integer", 32, "host"),
    "id": ("integer", 32, "host"),
}
LOADS: Final = {"state": "ct.state", "mark": "ct.mark", "zone": "ct.zone", "label": "ct.label"}


def ct(p: Parser, *words: str) -> Key:
    return Key(p.at, NAME, (words[0], ""))


def ct_dir(p: Parser, direction: str, key: Any) -> Key:
    return Key(p.at, NAME, (key if isinstance(key, str) else " ".join(key), direction))


def typed(at: At, name: str, direction: str = "") -> Key:
    """An evaluated key."""
    dtype, bits, order = TEMPLATES[name]
    key: Key = Key(at, NAME, (name, direction)).typed(TYPES[dtype], bits, order)
    return key


def evaluate(scope: Scope, key: Key) -> Key:
    name, direction = key.args
    made = typed(key.at, name, "" if name in ("l3proto", "protocol") else direction)  # the same in both directions
    network = scope.protocols.layers.get(NH, "")
    if name in ("saddr", "daddr"):
        _address(scope, made, network)
    elif name in ("proto-src", "proto-dst"):
        if TH in scope.protocols.layers:
            made.dtype = TYPES["inet_service"]
    elif name[:3] in ("ip ", "ip6"):
        asked = name.split()[0]
        if network in ("ip", "ip6") and network != asked:
            raise NftError(f"conflicting protocols specified: {network} vs. {asked}", key.at, scope.protocols.at.get(NH, (-1, -1)))
    scope.primary(made)
    return made


def _address(scope: Scope, key: Key, network: str) -> None:
    """``ct original saddr`` has the width of the rule's network protocol; unknown, nft complains and reads on."""
    if network in ("ip", "ip6"):
        key.typed(TYPES["ipv4_addr" if network == "ip" else "ipv6_addr"], 32 if network == "ip" else 128, "big")
        key.args = (f"{network} {key.args[0]}", key.args[1], "plain")  # JSON has the key as it was written
        return
    letter = key.args[0][0]
    scope.complain(f'cannot determine ip protocol version, use "ip {letter}addr" or "ip6 {letter}addr" instead', key.at)


def operand(key: Key) -> ir.Operand:
    name, direction = key.args[:2]
    if name in LOADS and not direction:
        return ir.Load(LOADS[name])
    return ir.Key("ct", (name, direction) if direction else (name,))


def text(form: Form, _out: Any) -> str:
    _kind, name, direction = form[:3]
    return f"ct {direction} {name}" if direction else f"ct {name}"


def json(form: Form, _out: Any) -> Any:
    _kind, name, direction = form[:3]
    if len(form) > 3:
        name = name.split()[1]
    return {"ct": {"key": name, "dir": direction}} if direction else {"ct": {"key": name}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"ct": ct, "ct_of_dir": ct_dir}
