"""Header fields: ``ip saddr``, ``tcp dport``, ``@th,16,16``.

A field of a header that the rule has not settled on yet brings a match of its own into the rule (a dependency), which runs
and is not listed. Key: kind "payload", args (header, field) as parsed; (header, field, base, offset in bits) when evaluated;
header and field are empty for a raw one. Source: nftables src/payload.c, evaluate.c (expr_evaluate_payload).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.operand import Bits, Load, Operand, Raw
from tcemu.nft import dependencies
from tcemu.nft.datatypes import TYPES
from tcemu.nft.expressions import tunnel
from tcemu.nft.expressions.kind import Form, Kind
from tcemu.nft.protocols import BASE_NAMES, BASES, HEADERS, LL, Field, Header
from tcemu.nft.tree import Key

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "payload"
MAX_RAW: Final = 2048  # bits, nftables NFT_MAX_EXPR_LEN_BITS of 1.0.6

# header fields with a slot of their own (`tcemu.fields`)
LOADS: Final = {
    ("ether", "saddr"): "ether.saddr",
    ("ether", "daddr"): "ether.daddr",
    ("ether", "type"): "meta.protocol",
    ("vlan", "id"): "vlan.id",
    ("vlan", "pcp"): "vlan.pcp",
    ("vlan", "dei"): "vlan.dei",
    ("vlan", "cfi"): "vlan.dei",
    ("vlan", "type"): "vlan.type",
    **{("arp", field.name): f"arp.{field.name}" for field in HEADERS["arp"].fields},
    **{("ip", name): f"ip.{name}" for name in ("saddr", "daddr", "ttl", "length", "id", "frag-off", "hdrlength", "checksum")},
    ("ip", "protocol"): "meta.l4proto",
    **{("ip6", name): f"ip6.{name}" for name in ("saddr", "daddr", "flowlabel", "length", "nexthdr")},
    ("ip6", "hoplimit"): "ip.ttl",
    **{(header, name): f"th.{name}" for header in ("tcp", "udp", "udplite", "sctp", "dccp", "th") for name in ("sport", "dport")},
    **{("tcp", name): f"tcp.{name}" for name in ("sequence", "ackseq", "window", "doff", "checksum", "urgptr")},
    ("udp", "length"): "udp.length",
    ("udp", "checksum"): "udp.checksum",
    **{(header, name): f"icmp.{name}" for header in ("icmp", "icmpv6") for name in ("type", "code", "id", "sequence")},
    ("sctp", "vtag"): "sctp.vtag",
    ("esp", "spi"): "esp.spi",
    ("ah", "spi"): "esp.spi",
}
# bits of a slot: the slot, shift right, mask
PARTS: Final = {
    ("ip", "dscp"): ("ip.tos", 2, 0x3F),
    ("ip", "ecn"): ("ip.tos", 0, 3),
    ("ip6", "dscp"): ("ip.tos", 2, 0x3F),
    ("ip6", "ecn"): ("ip.tos", 0, 3),
    ("tcp", "flags"): ("tcp.flags", 0, 0xFF),
    ("tcp", "reserved"): ("tcp.flags", 8, 0xF),
}


def header_field(header: str) -> Any:
    def act(p: Parser, words: Any) -> Key:
        spelt = words if isinstance(words, str) else " ".join(words)
        return Key(p.at, NAME, (header, "parameter-problem" if spelt == "param-problem" else spelt))

    return act


def raw_in(p: Parser, base: str) -> str:
    if base not in BASES:
        raise p.error("unknown raw payload base")
    return base


def raw(p: Parser, base: str, offset: int, bits: int) -> Key:
    made: Key = Key(p.at, NAME, ("", "", BASES[base], offset))
    if bits > MAX_RAW:
        raise p.error("raw payload length must be a positive number up to 2048")
    return made.typed(_raw_type(BASES[base], offset, bits), bits, "big")  # type: ignore[no-any-return]


def _raw_type(base: int, offset: int, bits: int) -> Any:
    return TYPES["inet_service"] if base == BASES["th"] and bits == 16 and offset in (0, 16) else TYPES["xinteger"]


def typed(at: tuple[int, int], header: Header, field: Field, offset: int = -1) -> Key:
    """An evaluated key of a header's field."""
    key = Key(at, NAME, (header.name, field.name, header.base, field.offset if offset < 0 else offset))
    dtype = TYPES[field.dtype]
    key.typed(dtype, field.bits, "host" if field.dtype == "arp_op" else "big")
    return key


def evaluate(scope: Scope, key: Key) -> Key:
    """Settle the protocol, with dependencies where it is not settled yet."""
    if not key.args[0]:
        made = Key(key.at, NAME, key.args)
        made.typed(key.dtype, key.bits, key.order)
    elif key.args[0] == "th":
        made = typed(key.at, HEADERS["th"], HEADERS["th"].field(key.args[1]))  # any protocol with ports: nothing is implied
    elif key.args[0] in tunnel.CARRIERS:
        tunnel.settle(scope, key.at, key.args[0])
        made = typed(key.at, HEADERS[key.args[0]], HEADERS[key.args[0]].field(key.args[1]))
    else:
        header = HEADERS[key.args[0]]
        field = header.field(key.args[1])
        made = typed(key.at, header, field, field.offset + dependencies.settle(scope, key, header, field))
    scope.primary(made)
    return made


def operand(key: Key) -> Operand:
    """The slot of the field, or the bits where they stand."""
    header, field, base, offset = key.args
    if (header, field) in LOADS and not (base == LL and header == "ether" and offset != HEADERS["ether"].field(field).offset):
        return Load(LOADS[header, field])
    if (header, field) in PARTS:
        slot, shift, mask = PARTS[header, field]
        return Bits(Load(slot), mask, right=shift)
    return Raw(BASE_NAMES[base], offset, key.bits)


def text(form: Form, _out: Any) -> str:
    _name, header, field, base, offset, bits = form
    if header:
        return f"{header} {field}"
    return f"@{BASE_NAMES[base]},{offset},{bits}"


def json(form: Form, _out: Any) -> Any:
    _name, header, field, base, offset, bits = form
    if header:
        return {"payload": {"protocol": header, "field": field}}
    return {"payload": {"base": BASE_NAMES[base], "offset": offset, "len": bits}}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    **{f"payload_{name}": header_field(name) for name in HEADERS if name not in ("inet", "netdev", "unknown", "icmpv6")},
    "payload_icmp6": header_field("icmpv6"),
    "raw_in": raw_in,
    "payload_raw": raw,
}
