"""IPv6 extension headers, TCP and IPv4 options, SCTP chunks: ``frag id``, ``tcp option maxseg size``, ``ip option rr``.

One key for all: kind "exthdr", args (family of options, header, field, number); the family is ip6, tcp, ip or sctp, an empty field
asks whether it is there, number indexes addresses (rt0 addr[1]) or is the kind of a raw TCP option, whose field is "@offset,bits".
Sources: nftables src/exthdr.c, tcpopt.c, ipopt.c, sctp_chunk.c; RFC 8200, 2675, 9293, 7323, 2018, 8684, 791, 9260.
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

NAME: Final = "exthdr"
Fields = dict[str, tuple[int, int, str]]

_NEXT: Final[Fields] = {"nexthdr": (0, 8, "inet_proto"), "hdrlength": (8, 8, "integer")}
_RT: Final[Fields] = {**_NEXT, "type": (16, 8, "integer"), "seg-left": (24, 8, "integer")}
IP6: Final[dict[str, Fields]] = {
    "hbh": _NEXT,
    "dst": _NEXT,
    "rt": _RT,
    "rt0": {"addr": (64, 128, "ipv6_addr")},
    "rt2": {"addr": (64, 128, "ipv6_addr")},
    "srh": {"last-entry": (32, 8, "integer"), "flags": (40, 8, "integer"), "tag": (48, 16, "integer"), "sid": (64, 128, "ipv6_addr")},
    "frag": {
        "nexthdr": (0, 8, "inet_proto"),
        "reserved": (8, 8, "integer"),
        "frag-off": (16, 13, "integer"),
        "reserved2": (29, 2, "integer"),
        "more-fragments": (31, 1, "integer"),
        "id": (32, 32, "integer"),
    },
    "mh": {**_NEXT, "type": (16, 8, "mh_type"), "reserved": (24, 8, "integer"), "checksum": (32, 16, "integer")},
}
_LEN: Final[Fields] = {"length": (8, 8, "integer")}
TCP: Final[dict[str, tuple[int, Fields]]] = {
    "eol": (0, {}),
    "nop": (1, {}),
    "maxseg": (2, {**_LEN, "size": (16, 16, "integer")}),
    "window": (3, {**_LEN, "count": (16, 8, "integer")}),
    "sack-perm": (4, _LEN),
    "sack": (5, {**_LEN, "left": (16, 32, "integer"), "right": (48, 32, "integer")}),
    "sack1": (5, {**_LEN, "left": (80, 32, "integer"), "right": (112, 32, "integer")}),
    "sack2": (5, {**_LEN, "left": (144, 32, "integer"), "right": (176, 32, "integer")}),
    "sack3": (5, {**_LEN, "left": (208, 32, "integer"), "right": (240, 32, "integer")}),
    "echo": (8, _LEN),
    "timestamp": (8, {**_LEN, "tsval": (16, 32, "integer"), "tsecr": (48, 32, "integer")}),
    "md5sig": (19, _LEN),
    "mptcp": (30, {**_LEN, "subtype": (16, 4, "mptcp_option")}),
    "fastopen": (34, _LEN),
}
TCP_BY_NUMBER: Final = {number: name for name, (number, _fields) in reversed(TCP.items()) if name != "echo"}
TCP_SAME: Final = {"mss": "maxseg", "sack-permitted": "sack-perm", "sack0": "sack", "noop": "nop"}
_ROUTE: Final[Fields] = {"type": (0, 8, "integer"), "length": (8, 8, "integer"), "ptr": (16, 8, "integer"), "addr": (24, 32, "integer")}
IP: Final[dict[str, Fields]] = {
    "lsrr": _ROUTE,
    "rr": _ROUTE,
    "ssrr": _ROUTE,
    "ra": {"type": (0, 8, "integer"), "length": (8, 8, "integer"), "value": (16, 16, "integer")},
}
_CHUNK: Final[Fields] = {"type": (0, 8, "integer"), "flags": (8, 8, "integer"), "length": (16, 16, "integer")}
_INIT: Final[Fields] = {
    **_CHUNK,
    "init-tag": (32, 32, "integer"),
    "a-rwnd": (64, 32, "integer"),
    "num-outbound-streams": (96, 16, "integer"),
    "num-inbound-streams": (112, 16, "integer"),
    "initial-tsn": (128, 32, "integer"),
}
_TSN: Final[Fields] = {**_CHUNK, "cum-tsn-ack": (32, 32, "integer")}
SCTP: Final[dict[str, Fields]] = {
    **dict.fromkeys(
        ("heartbeat", "heartbeat-ack", "abort", "shutdown-ack", "error", "cookie-echo", "cookie-ack", "shutdown-complete"), _CHUNK
    ),
    "data": {
        **_CHUNK,
        "tsn": (32, 32, "integer"),
        "stream": (64, 16, "integer"),
        "ssn": (80, 16, "integer"),
        "ppid": (96, 32, "integer"),
    },
    "init": _INIT,
    "init-ack": _INIT,
    "sack": {**_TSN, "a-rwnd": (64, 32, "integer"), "num-gap-ack-blocks": (96, 16, "integer"), "num-dup-tsns": (112, 16, "integer")},
    "shutdown": _TSN,
    "ecne": {**_CHUNK, "lowest-tsn": (32, 32, "integer")},
    "cwr": {**_CHUNK, "lowest-tsn": (32, 32, "integer")},
    "asconf": {**_CHUNK, "seqno": (32, 32, "integer")},
    "asconf-ack": {**_CHUNK, "seqno": (32, 32, "integer")},
    "forward-tsn": {**_CHUNK, "new-cum-tsn": (32, 32, "integer")},
}


# ---------------------------------------------------------------- actions
def ip6_field(header: str) -> Any:
    def act(p: Parser, *words: Any) -> Key:
        if header == "rt0":
            return Key(p.at, NAME, ("ip6", "rt0", "addr", words[0]))
        if header == "rt2":
            return Key(p.at, NAME, ("ip6", "rt2", "addr", 0))
        return Key(p.at, NAME, ("ip6", header, words[0], 0))

    return act


def segment(p: Parser, number: int) -> Key:
    return Key(p.at, NAME, ("ip6", "srh", "sid", number))


def exists(p: Parser, header: str) -> Key:
    return Key(p.at, NAME, ("ip6", header, "", 0))


def tcp_kind(word: Any) -> tuple[str, int]:
    """Name and number of a TCP option, as written."""
    if isinstance(word, int):
        return TCP_BY_NUMBER.get(word, ""), word
    name = TCP_SAME.get(word, word)
    return name, TCP[name][0]


def tcp_kind_word(p: Parser, word: Any) -> Any:
    if not isinstance(word, str) and word > 255:
        raise p.error("value too large")
    return word


def tcp_option(_p: Parser, word: Any) -> tuple[Any, ...]:
    return (word, "")


def tcp_option_field(_p: Parser, word: Any, field: str) -> tuple[Any, ...]:
    return (word, field)


def tcp_option_raw(p: Parser, kind: int, offset: int, bits: int) -> tuple[Any, ...]:
    if bits == 0:
        raise p.error("raw TCP option length cannot be zero")
    return (kind, (offset, bits))


def tcp_option_expr(p: Parser, parts: tuple[Any, ...]) -> Key:
    word, field = parts
    name, number = tcp_kind(word)
    if isinstance(field, tuple):
        return Key(p.at, NAME, ("tcp", "", f"@{field[0]},{field[1]}", number))
    if name and field and field not in TCP[name][1]:
        raise p.error("unknown tcp option type/field")
    return Key(p.at, NAME, ("tcp", name, str(field), number))


def ip_option(_p: Parser, kind: str, field: str = "") -> tuple[str, str]:
    return kind, field


def ip_option_expr(p: Parser, parts: tuple[str, str]) -> Key:
    kind, field = parts
    if field and field not in IP[kind]:
        raise p.error("unknown ip option type/field", (p.at[0], p.at[0] + len("ip")))
    return Key(p.at, NAME, ("ip", kind, field, 0))


def sctp_chunk(p: Parser, kind: str, field: str = "") -> Key:
    return Key(p.at, NAME, ("sctp", kind, field, 0))  # its place begins behind "sctp chunk"


def sctp_chunk_expr(_p: Parser, key: Key) -> Key:
    return key


def dccp_option(p: Parser, number: int) -> Key:
    p.newer("dccp option")
    if number > 255:
        raise p.error("value too large")
    return Key(p.at, NAME, ("dccp", str(number), "", 0))


# ---------------------------------------------------------------- meaning
def place(key: Key) -> tuple[int, int, str]:
    """Offset, width and type of what is asked; an empty field is the presence of the header."""
    family, header, field, number = key.args
    if field.startswith("@"):
        offset, bits = (int(word) for word in field[1:].split(","))
        return offset, bits, "integer"
    if not field:
        return 0, 8, "boolean"
    if family == "tcp":
        fields = TCP[header][1] if header else _LEN
    else:
        fields = {"ip6": IP6, "ip": IP, "sctp": SCTP}[family][header]
    offset, bits, dtype = fields[field]
    return offset + (128 * number if family == "ip6" else 0), bits, dtype


def evaluate(scope: Scope, key: Key) -> Expr:
    from tcemu.nft.dependencies import settle_network

    family, _header, _field, _number = key.args
    if family in ("ip6", "ip"):
        settle_network(scope, key, family)
    offset, bits, dtype = place(key)
    limit = {"tcp": 320, "ip": 320}.get(family, 0)
    if limit and offset + bits > limit:
        what = "tcp headerlen" if family == "tcp" else "ip option len"
        raise NftError(f"offset and size {offset + bits} exceeds max {what} ({limit})", key.at)
    made: Key = Key(key.at, NAME, key.args).typed(TYPES[dtype], bits, "big")
    scope.primary(made)
    return made


def operand(key: Key) -> ir.Operand:
    family, header, field, number = key.args
    offset, bits, _dtype = place(key)
    return ir.Key("exthdr", (family, header or str(number), field, str(offset), str(bits)))


def text(form: Form, _out: Any) -> str:
    _kind, family, header, field, number = form
    if family == "ip6":
        if not field:
            return f"exthdr {header}"
        if (header, field) in (("rt0", "addr"), ("srh", "sid")):
            return f"{header} {field}[{number}]"
        return f"{header} {field}"
    if family == "tcp":
        if field.startswith("@"):
            return f"tcp option @{number},{field[1:]}"
        return f"tcp option {header or number}" + (f" {field}" if field else "")
    lead = {"ip": "ip option", "dccp": "dccp option"}.get(family, "sctp chunk")
    return f"{lead} {header}" + (f" {field}" if field else "")


def json(form: Form, _out: Any) -> Any:
    _kind, family, header, field, number = form
    if family == "tcp":
        if field.startswith("@"):
            offset, bits = (int(word) for word in field[1:].split(","))
            return {"tcp option": {"base": number, "offset": offset, "len": bits}}
        if not header:
            return {"tcp option": {"base": number, "offset": 0, "len": 8}}
        return {"tcp option": {"name": header, **({"field": field} if field else {})}}
    if family == "dccp":
        return {"dccp option": {"type": int(header)}}
    if family != "ip6":
        return {"ip option" if family == "ip" else "sctp chunk": {"name": header, **({"field": field} if field else {})}}
    body: dict[str, Any] = {"name": header}
    if field:
        body["field"] = f"{field}[{number}]" if field == "sid" else field
        if header == "rt0":
            body["offset"] = number
    return {"exthdr": body}


KINDS: Final = (Kind(NAME, evaluate, operand, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    **{f"exthdr_{name}": ip6_field(name) for name in IP6},
    "exthdr_sid": segment,
    "exthdr_exists": exists,
    "tcp_option_kind": tcp_kind_word,
    "tcp_kind_plain": tcp_kind_word,
    "tcp_option": tcp_option,
    "tcp_option_field": tcp_option_field,
    "tcp_option_raw": tcp_option_raw,
    "tcp_option_expr": tcp_option_expr,
    "ip_option": ip_option,
    "ip_option_with_field": ip_option,
    "ip_option_expr": ip_option_expr,
    "dccp_option": dccp_option,
    "sctp_chunk": sctp_chunk,
    "sctp_chunk_field": sctp_chunk,
    "sctp_chunk_expr": sctp_chunk_expr,
}
