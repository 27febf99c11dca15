"""Packet metadata: ``meta mark``, ``iifname``. Key: kind "meta", args (key,). Source: nftables src/meta.c (meta_templates)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir import operand as ir
from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.tree import At, Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "meta"

# key -> type, bits, byte order; in the order in which nft lists them
TEMPLATES: Final = {
    "length": ("integer", 32, "host"),
    "protocol": ("ether_type", 16, "big"),
    "priority": ("classid", 32, "host"),
    "mark": ("mark", 32, "host"),
    "iif": ("iface_index", 32, "host"),
    "oif": ("iface_index", 32, "host"),
    "iifname": ("ifname", 128, "host"),
    "oifname": ("ifname", 128, "host"),
    "iiftype": ("iface_type", 16, "host"),
    "oiftype": ("iface_type", 16, "host"),
    "skuid": ("uid", 32, "host"),
    "skgid": ("gid", 32, "host"),
    "nftrace": ("integer", 1, "host"),
    "rtclassid": ("realm", 32, "host"),
    "secmark": ("integer", 32, "host"),
    "nfproto": ("nf_proto", 8, "host"),
    "l4proto": ("inet_proto", 8, "host"),
    "ibrname": ("ifname", 128, "host"),
    "obrname": ("ifname", 128, "host"),
    "pkttype": ("pkt_type", 8, "host"),
    "cpu": ("integer", 32, "host"),
    "iifgroup": ("devgroup", 32, "host"),
    "oifgroup": ("devgroup", 32, "host"),
    "cgroup": ("integer", 32, "host"),
    "random": ("integer", 32, "host"),
    "ipsec": ("boolean", 8, "host"),
    "iifkind": ("ifname", 128, "host"),
    "oifkind": ("ifname", 128, "host"),
    "ibrpvid": ("integer", 16, "host"),
    "ibrvproto": ("ether_type", 16, "big"),
    "time": ("date", 64, "host"),
    "day": ("day", 8, "host"),
    "hour": ("hour", 32, "host"),
    "sdif": ("iface_index", 32, "host"),
    "sdifname": ("ifname", 128, "host"),
}
SET_ONLY: Final = {"broute": ("integer", 8, "host")}  # newer than nft 1.0.6: only bridges know it
OLD_NAMES: Final = {"ibriport": "ibrname", "obriport": "obrname", "secpath": "ipsec"}
# keys that are written without "meta" (meta.c meta_key_is_unqualified)
PLAIN: Final = frozenset(
    ("iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"),
)
PROTOCOL_KEYS: Final = frozenset(("protocol", "nfproto", "l4proto"))
# keys with a slot (`tcemu.fields`); protocol is skb->protocol, behind the tag that the receiving device took off
LOADS: Final = {
    "length": "meta.length",
    "protocol": "meta.netproto",
    "priority": "meta.priority",
    "mark": "meta.mark",
    "iif": "meta.iif",
    "oif": "meta.oif",
    "l4proto": "meta.l4proto",
    "pkttype": "meta.pkttype",
}


def meta(p: Parser, *words: str) -> Key:
    return Key(p.at, NAME, (OLD_NAMES.get(words[0], words[0]),))


def key_of(word: str, at: At) -> str:
    """A key that is no keyword of the grammar; the whole list of keys is nft's answer to an unknown one."""
    word = OLD_NAMES.get(word, word)
    if word not in TEMPLATES:
        raise NftError(f"syntax error, unexpected {word}, known keys are {', '.join(TEMPLATES)}", at)
    return word


def meta_word(p: Parser, word: str) -> Key:
    return Key(p.at, NAME, (key_of(word, p.at),))


def typed(at: At, name: str) -> Key:
    """An evaluated key."""
    dtype, bits, order = TEMPLATES.get(name) or SET_ONLY[name]
    key: Key = Key(at, NAME, (name,)).typed(TYPES[dtype], bits, order)
    return key


def evaluate(scope: Scope, key: Key) -> Key:
    name = key.args[0]
    made = typed(key.at, name)
    if name == "nfproto" and scope.family != "inet":
        raise NftError("meta nfproto is only useful in the inet family", key.at)
    scope.primary(made, 6 if name == "day" else 0)
    return made


def operand(key: Key) -> ir.Operand:
    name = key.args[0]
    return ir.Load(LOADS[name]) if name in LOADS else ir.Key("meta", (name,))


def text(form: Form, _out: Any) -> str:
    name = form[1]
    return str(name) if name in PLAIN else f"meta {name}"


def json(form: Form, _out: Any) -> Any:
    return {"meta": {"key": form[1]}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {"meta": meta, "meta_word": meta_word}
