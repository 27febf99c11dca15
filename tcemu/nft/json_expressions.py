"""Expressions out of JSON: libnftables-json(5), EXPRESSIONS. One row of `_READERS` a kind, with the contexts that take it.

Values are trees as the text parser makes them (`tcemu.nft.tree`), with no place. Source: nftables src/parser_json.c (json_parse_expr),
observed with nft 1.0.6; what only later versions read ("sctp chunk" with numbers, "inc" offsets and so on) is taken too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from tcemu.nft.errors import NftError
from tcemu.nft.expressions import exthdr
from tcemu.nft.expressions.ct import TEMPLATES as CT_KEYS
from tcemu.nft.expressions.meta import key_of
from tcemu.nft.expressions.operators import PROTOCOL_WORDS
from tcemu.nft.expressions.payload import raw
from tcemu.nft.json_reader import Failed, Messages, maybe, typename
from tcemu.nft.protocols import HEADERS
from tcemu.nft.tree import (
    NOWHERE,
    Binop,
    CatchAll,
    Concat,
    Element,
    Expr,
    Key,
    ListOf,
    MapOf,
    Prefix,
    Range,
    SetLiteral,
    SetRef,
    Stmt,
    Symbol,
    Value,
    Verdict,
)

# contexts, in the order in which nft names them; those without a name are not named
NAMED: Final = {"rhs": "RHS", "stmt": "STMT", "primary": "PRIMARY", "dtype": "DTYPE", "set": "SET_RHS", "update": "SES", "map": "MAP"}
CT_DIRECTED: Final = frozenset(
    (
        *("l3proto", "saddr", "daddr", "protocol", "proto-src", "proto-dst", "packets", "bytes", "avgpkt", "zone"),
        *("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr"),
    )
)
FIB_FLAGS: Final = ("saddr", "daddr", "mark", "iif", "oif")
VERDICTS: Final = ("accept", "drop", "continue", "jump", "goto", "return")
PAYLOADS: Final = frozenset(HEADERS) - {"inet", "netdev", "unknown"}


class Expressions(Messages):
    """Reads expressions; ``where`` holds the contexts that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.where: frozenset[str] = frozenset()

    def within(self, context: str, root: Any) -> Any:
        """An expression in one more context."""
        before = self.where
        self.where = before | {context}
        try:
            return self.expr(root)
        finally:
            self.where = before

    def expr(self, root: Any) -> Any:
        """An expression."""
        with self.deeper():
            if isinstance(root, list):
                return self._list(root)
            if isinstance(root, bool) and not self.where & {"rhs", "primary"}:
                raise self.fail("Boolean values not allowed in this context.")
            if isinstance(root, bool | str | int):
                return self.immediate(root)
            kind, body = self.only(root)
            row = _READERS.get(kind)
            if row is None:
                raise self.fail(f"Unknown expression type '{kind}'.")
            read, contexts = row
            if not self.where <= contexts:
                names = ", ".join(name for word, name in NAMED.items() if word in self.where)
                raise self.fail(f"Expression type {kind} not allowed in context ({names}).")
            made: Expr = read(self, kind, body)
            return made

    def _list(self, root: list[Any]) -> Expr:
        if not self.where & {"rhs", "stmt"}:
            raise self.fail("List expression only allowed on RHS or in statement expression.")
        if "primary" in self.where:
            raise self.fail("List expression not allowed as primary expression.")
        items = []
        for place, item in enumerate(root):
            with self.saying(f"Parsing list expression item at index {place} failed."):
                items.append(self.expr(item))
        return ListOf(NOWHERE, items)

    def immediate(self, root: Any) -> Expr:
        """A word, a number, a set's name or a boolean."""
        from tcemu.nft.datatypes import TYPES

        if isinstance(root, bool):
            return Value(NOWHERE, int(root)).typed(TYPES["boolean"], 8, "host")  # type: ignore[no-any-return]
        if isinstance(root, int):
            return Symbol(NOWHERE, str(root))
        if not isinstance(root, str):
            raise self.fail(f"Unexpected JSON type {typename(root)} for immediate value.")
        if root.startswith("@"):
            return SetRef(NOWHERE, root[1:])
        if root == "*":
            return CatchAll(NOWHERE)
        if root in PROTOCOL_WORDS:
            return Value(NOWHERE, PROTOCOL_WORDS[root]).typed(TYPES["inet_proto"], 8, "big")  # type: ignore[no-any-return]
        if root == "redirect":
            return Value(NOWHERE, 5).typed(TYPES["icmp_type"], 8, "big")  # type: ignore[no-any-return]
        return Symbol(NOWHERE, root)

    def family(self, root: Any, names: tuple[str, ...] = ("ip", "ip6")) -> str:
        """The optional family of an expression or statement."""
        word = maybe(root, "family", "string", "")
        if word and word not in names:
            raise self.fail(f"Invalid family '{word}'.")
        return str(word)

    # ------------------------------------------------------------ built of others
    def binop(self, kind: str, root: Any) -> Expr:
        if isinstance(root, list) and len(root) > 2:  # a later nft folds runs of one operator
            root = [{kind: root[:-1]}, root[-1]]
        left, right = self.pair(root)
        with self.saying("Failed to parse LHS of binop expression."):
            low = self._operand(left)
        with self.saying("Failed to parse RHS of binop expression."):
            return Binop(NOWHERE, kind, low, self._operand(right))

    def _operand(self, root: Any) -> Expr:
        """One side of an operator; several words are bits that are set together, as a listing has them."""
        if not isinstance(root, list) or not root:
            return self.within("primary", root)  # type: ignore[no-any-return]
        made: Expr = self.within("primary", root[0])
        for item in root[1:]:
            made = Binop(NOWHERE, "|", made, self.within("primary", item))
        return made

    def concat(self, _kind: str, root: Any) -> Expr:
        if not isinstance(root, list):
            raise self.fail(f"Unexpected concat object type {typename(root)}.")
        parts: list[Expr] = []
        for place, item in enumerate(root):
            with self.saying(f"Parsing expr at index {place} failed."):
                parts.append(self.within("primary", item))
        if not parts:
            raise Failed
        return parts[0] if len(parts) == 1 else Concat(NOWHERE, parts)

    def prefix(self, _kind: str, root: Any) -> Expr:
        address, length = self.need(root, ("addr", ""), ("len", "integer"))
        with self.saying("Invalid address in prefix expr."):
            return Prefix(NOWHERE, self.within("primary", address), length if length >= 0 else 1 << 31)

    def range(self, _kind: str, root: Any) -> Expr:
        low, high = self.pair(root)
        with self.saying("Invalid low value in range expression."):
            first = self.within("primary", low)
        with self.saying("Invalid high value in range expression."):
            return Range(NOWHERE, first, self.within("primary", high))

    def map(self, _kind: str, root: Any) -> MapOf:
        key, data = self.need(root, ("key", ""), ("data", ""))
        with self.saying("Illegal map expression key."):
            of = self.within("map", key)
        with self.saying("Illegal map expression data."):
            return MapOf(NOWHERE, of, self.within("rhs", data))

    def verdict(self, kind: str, root: Any) -> Verdict:
        if kind in ("jump", "goto"):
            (target,) = self.need(root, ("target", "string"))
            return Verdict(NOWHERE, kind, Symbol(NOWHERE, target))
        return Verdict(NOWHERE, kind)

    # ------------------------------------------------------------ sets
    def set(self, _kind: str, root: Any) -> Expr:
        """A set in place, or the name of one."""
        if not isinstance(root, list):
            single = self.immediate(root)
            return single if isinstance(single, SetRef) else SetLiteral(NOWHERE, [Element(NOWHERE, single)])
        items: list[Expr] = []
        for place, item in enumerate(root):
            with self.saying(f"Invalid set elem at index {place}."):
                items.append(self._member(item))
        if not items:
            raise Failed
        return SetLiteral(NOWHERE, items)

    def _member(self, root: Any) -> Element:
        if root == []:  # nft 1.0.6 aborts on it
            raise Failed
        if not isinstance(root, list) or len(root) != 2:
            return _element(self.within("rhs", root))
        made = _element(self.within("rhs", root[0]))
        made.data = self.within("set", root[1])
        return made

    def elem(self, _kind: str, root: Any) -> Element:
        (value,) = self.need(root, ("val", ""))
        made = Element(NOWHERE, self.expr(value))
        for name in ("timeout", "expires"):
            seconds = maybe(root, name, "integer")
            if seconds is not None:
                setattr(made, name, max(seconds, 0) * 1000)
        made.comment = maybe(root, "comment", "string")
        made.stmts = [self.state(name, body) for name, body in root.items() if name in STATES]
        return made

    def state(self, kind: str, root: Any) -> Stmt:
        """A statement with state of an element; statements are read by the class that builds on this one."""
        raise NotImplementedError

    # ------------------------------------------------------------ what is read from packets
    def payload(self, _kind: str, root: Any) -> Key:
        base, offset, length = (maybe(root, *wanted) for wanted in (("base", "string"), ("offset", "integer"), ("len", "integer")))
        if base is not None and offset is not None and length is not None:
            if base not in ("ll", "nh", "th", "ih"):
                raise self.fail(f"Invalid payload base '{base}'.")
            if offset < 0 or length <= 0:
                raise self.fail("Invalid payload expression properties.")
            try:
                return raw(cast(Any, _Nowhere()), base, offset, length)
            except NftError as slip:
                raise self.fail(slip.message) from None
        protocol, field = maybe(root, "protocol", "string"), maybe(root, "field", "string")
        if protocol is None or field is None:
            raise self.fail("Invalid payload expression properties.")
        if protocol not in PAYLOADS:
            raise self.fail(f"Unknown payload protocol '{protocol}'.")
        if field not in {row.name for row in HEADERS[protocol].fields}:
            raise self.fail(f"Unknown {protocol} field '{field}'.")
        return Key(NOWHERE, "payload", (protocol, field))

    def meta(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        try:
            return Key(NOWHERE, "meta", (key_of(word, NOWHERE),))
        except NftError as slip:
            raise self.fail(slip.message) from None

    def ct(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        if word not in CT_KEYS:
            raise self.fail(f"Unknown ct key '{word}'.")
        direction = maybe(root, "dir", "string", "")
        if direction:
            if direction not in ("original", "reply"):
                raise self.fail(f"Invalid direction '{direction}'.")
            if word not in CT_DIRECTED:
                raise self.fail(f"Direction not supported by CT key '{word}'.")
        return Key(NOWHERE, "ct", (word, direction))

    def rt(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        family = self.family(root)
        if word not in ("classid", "nexthop", "mtu", "ipsec"):
            raise self.fail(f"Unknown rt key '{word}'.")
        return Key(NOWHERE, "rt", (word, family))

    def fib(self, _kind: str, root: Any) -> Key:
        (result,) = self.need(root, ("result", "string"))
        if result not in ("oif", "oifname", "type", "check"):
            raise self.fail(f"Invalid fib result '{result}'.")
        flags = maybe(root, "flags", otherwise=[])
        words: list[Any] = [flags] if isinstance(flags, str) else flags
        if not isinstance(words, list):
            raise self.fail("Unexpected object type in fib tuple.")
        for place, word in enumerate(words):
            if not isinstance(word, str):
                raise self.fail(f"Unexpected object type in fib flags array at index {place}.")
            if word not in FIB_FLAGS:
                raise self.fail(f"Invalid fib flag '{word}'.")
        if not {"saddr", "daddr"} & set(words):
            raise self.fail("fib: need either saddr or daddr")
        for one, other in (("saddr", "daddr"), ("iif", "oif")):
            if one in words and other in words:
                raise self.fail(f"fib: {one} and {other} are mutually exclusive")
        exists = result == "check"
        return Key(NOWHERE, "fib", (tuple(word for word in FIB_FLAGS if word in words), "oif" if exists else result, exists))

    def socket(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        if word not in ("transparent", "mark", "wildcard", "cgroupv2"):
            raise self.fail("Invalid socket key value.")
        level = self.need(root, ("level", "integer"))[0] if word == "cgroupv2" else 0
        return Key(NOWHERE, "socket", (word, level))

    def osf(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        ttl = maybe(root, "ttl", "string", "")
        if ttl not in ("", "loose", "skip"):
            raise self.fail(f"Invalid osf ttl option '{ttl}'.")
        if word not in ("name", "version"):
            raise self.fail("Invalid osf key value.")
        return Key(NOWHERE, "osf", (ttl, word == "version"))

    def ipsec(self, _kind: str, root: Any) -> Key:
        (word,) = self.need(root, ("key", "string"))
        if word not in ("saddr", "daddr", "reqid", "spi"):
            raise self.fail(f"Unknown xfrm key '{word}'.")
        family = self.family(root) or "ip"
        direction = maybe(root, "dir", "string", "in")
        if direction not in ("in", "out"):
            raise self.fail(f"Invalid direction '{direction}'.")
        number = maybe(root, "spnum", "integer", 0)
        if not 0 <= number <= 255:
            raise self.fail(f"Invalid spnum'{number}'.")
        return Key(NOWHERE, "ipsec", (direction, number, f"{family} {word}" if word.endswith("addr") else word))

    def numgen(self, _kind: str, root: Any) -> Key:
        mode, mod = self.need(root, ("mode", "string"), ("mod", "integer"))
        if mode not in ("inc", "random"):
            raise self.fail(f"Unknown numgen mode '{mode}'.")
        return Key(NOWHERE, "numgen", (mode, _u32(mod), _u32(maybe(root, "offset", "integer", 0))))

    def hash(self, kind: str, root: Any) -> Key:
        (mod,) = self.need(root, ("mod", "integer"))
        offset = _u32(maybe(root, "offset", "integer", 0))
        if kind == "symhash":
            return Key(NOWHERE, "hash", ("symhash", _u32(mod), None, offset))
        (of,) = self.need(root, ("expr", ""))
        with self.saying("Invalid jhash expression."):
            inner = self.expr(of)
        seed = maybe(root, "seed", "integer")
        return Key(NOWHERE, "hash", ("jhash", _u32(mod), None if seed is None else _u32(seed), offset), (inner,))

    # ------------------------------------------------------------ options and extension headers
    def tcp_option(self, _kind: str, root: Any) -> Key:
        numbers = [maybe(root, name, "integer") for name in ("base", "offset", "len")]
        if None not in numbers:
            number, offset, bits = numbers
            if not 0 <= number <= 255 or offset < 0 or bits <= 0:
                raise Failed
            if (offset, bits) == (0, 8):  # its presence
                return Key(NOWHERE, "exthdr", ("tcp", exthdr.TCP_BY_NUMBER.get(number, ""), "", number))
            return Key(NOWHERE, "exthdr", ("tcp", "", f"@{offset},{bits}", number))
        (name,) = self.need(root, ("name", "string"))
        name = {"sack0": "sack"}.get(name, name)
        if name not in exthdr.TCP:
            raise self.fail(f"Unknown tcp option name '{name}'.")
        number, fields = exthdr.TCP[name]
        field = maybe(root, "field", "string", "")
        if field and field not in fields:
            raise self.fail(f"Unknown tcp option field '{field}'.")
        return Key(NOWHERE, "exthdr", ("tcp", name, field, number))

    def named_option(self, kind: str, root: Any) -> Key:
        """``ip option`` and ``sctp chunk``."""
        (name,) = self.need(root, ("name", "string"))
        family, known = ("ip", exthdr.IP) if kind == "ip option" else ("sctp", exthdr.SCTP)
        if name not in known:
            raise self.fail(f"Unknown {kind} name '{name}'.")
        field = maybe(root, "field", "string", "")
        if field and field not in known[name]:
            raise self.fail(f"Unknown {kind} field '{field}'.")
        return Key(NOWHERE, "exthdr", (family, name, field, 0))

    def exthdr(self, _kind: str, root: Any) -> Key:
        (name,) = self.need(root, ("name", "string"))
        if name not in exthdr.IP6:
            raise self.fail(f"Invalid exthdr protocol '{name}'.")
        field = maybe(root, "field", "string", "")
        number = 0
        if name == "srh" and field.startswith("sid["):
            field, number = "sid", int(digits) if (digits := field[4:-1]).isdecimal() and len(digits) < 4 else 0
        if field and field not in exthdr.IP6[name]:
            raise self.fail(f"Unknown {name} field {field}.")
        if field and name == "rt0":
            (number,) = self.need(root, ("offset", "integer"))
        if not 0 <= number < 256:
            raise self.fail(f"Unknown {name} field {field}.")
        return Key(NOWHERE, "exthdr", ("ip6", name, field, number))


class _Nowhere:
    """Stands for the text parser where its action is borrowed: a place that is none."""

    at = NOWHERE

    def error(self, message: str) -> NftError:
        return NftError(message)


def _element(made: Expr) -> Element:
    return made if isinstance(made, Element) else Element(NOWHERE, made)


def _u32(number: int) -> int:
    return number & 0xFFFFFFFF


STATES: Final = ("counter", "limit", "quota", "ct count", "last")
_READ: Final = frozenset(("stmt", "primary", "set", "update", "map"))
_ANY: Final = _READ | {"rhs"}
Row = tuple[Callable[[Expressions, str, Any], Any], frozenset[str]]
_READERS: Final[dict[str, Row]] = {
    "concat": (Expressions.concat, frozenset(("rhs", "stmt", "dtype", "set", "update", "map"))),
    "set": (Expressions.set, frozenset(("rhs", "stmt"))),
    "map": (Expressions.map, frozenset(("stmt", "primary", "set"))),
    "prefix": (Expressions.prefix, frozenset(("rhs", "primary", "set", "stmt"))),
    "range": (Expressions.range, frozenset(("rhs", "primary", "set", "stmt"))),
    "payload": (Expressions.payload, _READ | {"mangle"}),
    "exthdr": (Expressions.exthdr, (_READ - {"stmt"}) | {"mangle"}),
    "tcp option": (Expressions.tcp_option, (_READ - {"stmt"}) | {"mangle"}),
    "ip option": (Expressions.named_option, (_READ - {"stmt"}) | {"mangle"}),
    "sctp chunk": (Expressions.named_option, _READ - {"stmt"}),
    "meta": (Expressions.meta, _READ | {"mangle"}),
    "osf": (Expressions.osf, frozenset(("stmt", "primary", "map"))),
    "ipsec": (Expressions.ipsec, frozenset(("primary", "map"))),
    "socket": (Expressions.socket, frozenset(("primary", "map"))),
    "rt": (Expressions.rt, _READ),
    "ct": (Expressions.ct, _READ | {"mangle"}),
    "numgen": (Expressions.numgen, _READ),
    "jhash": (Expressions.hash, _READ),
    "symhash": (Expressions.hash, _READ),
    "fib": (Expressions.fib, _READ),
    **dict.fromkeys(("|", "^", "&", ">>", "<<"), (Expressions.binop, _ANY)),
    **dict.fromkeys(VERDICTS, (Expressions.verdict, frozenset(("rhs", "set")))),
    "elem": (Expressions.elem, frozenset(("rhs", "stmt", "primary", "update"))),
}
