"""Parser actions for what expressions are built with: words, numbers, operators, ranges, lists, sets and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.frame import Name
from tcemu.nft.tree import (
    Binop,
    CatchAll,
    Concat,
    Element,
    Expr,
    ListOf,
    MapOf,
    Prefix,
    Range,
    SetLiteral,
    SetRef,
    Stmt,
    Symbol,
    Value,
    Variable,
)

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

# keywords that stand for an IP protocol where a value is meant; their values are typed already
PROTOCOL_WORDS: Final = {
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "esp": 50,
    "ah": 51,
    "icmp": 1,
    "igmp": 2,
    "icmpv6": 58,
    "comp": 108,
    "dccp": 33,
    "sctp": 132,
}


STATES: Final = ("counter", "limit", "ct count")  # of an element, in front of its times, in nft 1.0.6


def number(p: Parser, amount: int) -> Symbol:
    return Symbol(p.at, str(amount))


def variable(p: Parser, named: Name) -> Variable:
    value = p.lookup(named)
    if value is None:
        raise p.unknown(named, named.at)
    return Variable(p.at, str(named), value)


def binop(op: str) -> Any:
    def act(p: Parser, left: Expr, right: Expr) -> Binop:
        return Binop(p.at, op, left, right)

    return act


def concat(p: Parser, left: Expr, right: Expr) -> Concat:
    if isinstance(left, Concat):
        made = Concat(p.at, left.parts)
        made.parts.append(right)
        return made
    return Concat(p.at, [left, right])


def prefix(p: Parser, base: Expr, length: int) -> Prefix:
    return Prefix(p.at, base, length)


def between(p: Parser, low: Expr, high: Expr) -> Range:
    return Range(p.at, low, high)


def listed(p: Parser, left: Expr, right: Expr) -> ListOf:
    return ListOf(p.at, [left, right])


def list_append(p: Parser, items: ListOf, item: Expr) -> ListOf:
    items.items.append(item)
    items.at = p.at
    return items


def map_of(p: Parser, key: Expr, mappings: Expr) -> MapOf:
    return MapOf(p.at, key, mappings)


def set_ref(p: Parser, named: Name) -> SetRef:
    return SetRef(p.at, str(named))


def boolean(value: int) -> Any:
    def act(p: Parser) -> Value:
        from tcemu.nft.datatypes import TYPES

        made: Value = Value(p.at, value).typed(TYPES["boolean"], 8, "host")
        return made

    return act


def word(p: Parser, text: str) -> Expr:
    """A keyword where a value is meant."""
    from tcemu.nft.datatypes import TYPES

    if text in PROTOCOL_WORDS:
        made: Value = Value(p.at, PROTOCOL_WORDS[text]).typed(TYPES["inet_proto"], 8, "big")
        return made
    if text == "redirect":
        return Value(p.at, 5).typed(TYPES["icmp_type"], 8, "big")  # type: ignore[no-any-return]
    return Symbol(p.at, text)


def parens(_p: Parser, inside: Expr) -> Expr:
    return inside


# ---------------------------------------------------------------- sets
def set_literal(p: Parser, items: list[Expr]) -> SetLiteral:
    return SetLiteral(p.at, items)


def element_list(_p: Parser, item: Expr) -> list[Expr]:
    return [item]


def element_append(_p: Parser, items: list[Expr], item: Expr) -> list[Expr]:
    items.append(item)
    return items


def element_same(_p: Parser, items: list[Expr]) -> list[Expr]:
    return items


def _element(p: Parser, head: Expr) -> Element:
    return head if isinstance(head, Element) else Element(p.at, head)


def element(p: Parser, head: Expr) -> Element:
    return _element(p, head) if not isinstance(head, Element) else head


def element_map(p: Parser, head: Expr, data: Expr) -> Element:
    made = _element(p, head) if isinstance(head, Element) else Element(head.at, head)
    made.data = data
    return made


def element_options(p: Parser, key: Expr, *options: Any) -> Element:
    made = Element(p.at, key)
    ages = False
    for option in options:
        if isinstance(option, Stmt) and (ages or option.kind not in STATES):
            p.newer(f"{option.kind} of an element here")
        ages = ages or not isinstance(option, Stmt)
        _option(p, made, option)
    return made


def _option(p: Parser, made: Element, option: Any) -> None:
    if isinstance(option, Stmt):
        made.stmts.append(option)
        return
    name, value = option
    if getattr(made, name) is not None:
        from tcemu.nft.blocks import ONCE

        raise p.error(ONCE)
    setattr(made, name, value)


def option(name: str) -> Any:
    def act(_p: Parser, value: Any) -> tuple[str, Any]:
        return name, str(value) if isinstance(value, str) else value

    return act


def catchall(p: Parser) -> CatchAll:
    return CatchAll(p.at)


ACTIONS: Final[dict[str, Any]] = {
    "number": number,
    "variable": variable,
    "op_or": binop("|"),
    "op_xor": binop("^"),
    "op_and": binop("&"),
    "op_lshift": binop("<<"),
    "op_rshift": binop(">>"),
    "concat": concat,
    "prefix": prefix,
    "range": between,
    "rhs_range": between,
    "items": listed,
    "items_append": list_append,
    "map": map_of,
    "map_expr": map_of,
    "value_map": map_of,
    "set_ref": set_ref,
    "bool_exists": boolean(1),
    "bool_missing": boolean(0),
    "word": word,
    "parens": parens,
    "set_literal": set_literal,
    "element_list": element_list,
    "element_append": element_append,
    "element_same": element_same,
    "element": element,
    "element_map": element_map,
    "element_options": element_options,
    "element_key": element_options,
    "update_key": element_options,
    "key_timeout": option("timeout"),
    "key_expires": option("expires"),
    "key_comment": option("comment"),
    "catchall": catchall,
}
