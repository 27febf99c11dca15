"""Elements on their shelf: how a member is written from its bounds, and the order in which nft lists a set.

A hash set lists by value as its bytes stand in memory, so words and host-order numbers sort in odd ways; a set of intervals lists
ascending. Source: nftables src/mergesort.c, segtree.c (interval_map_decompose); observed with nft 1.0.6 on little-endian machines.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir import verdict as codes
from tcemu.ir.effect import ConnLimit, Effect, Last, Limit, Quota
from tcemu.ir.ruleset import Element, Ruleset, Set
from tcemu.nft.canon import prefix_length
from tcemu.nft.datatypes import TYPES, Datatype
from tcemu.nft.notes import ElementNote, SetNote, unpack

Form = list[Any]
MS: Final = 1_000_000  # ns
WORDS = {codes.ACCEPT: "accept", codes.DROP: "drop", codes.PIPE: "continue", codes.RETURN: "return", codes.JUMP: "jump", codes.GOTO: "goto"}


def key_form(record: Set, note: SetNote, element: Element, own: ElementNote) -> Form:
    """The form of a member's key."""
    if own.catchall:
        return ["*"]
    parts = [
        part_form(TYPES[name], bits, low, high)
        for name, bits, low, high in zip(note.types, note.bits, element.low, element.high, strict=True)
    ]
    return parts[0] if len(parts) == 1 else ["concat", *parts]


def part_form(dtype: Datatype, bits: int, low: int, high: int) -> Form:
    """A value, a prefix where the type has them and the bounds are one, or a range."""
    if dtype.root == "string":
        return ["v", dtype.name, string_of(low, high, bits)]
    if low == high:
        if dtype.root == "bitmask" and dtype.worded and low & (low - 1):
            return ["flags", dtype.name, low]
        return ["v", dtype.name, low]
    if dtype.prefix:
        length = prefix_length((1 << bits) - 1 ^ (low ^ high), bits)
        if length >= 0 and low & (low ^ high) == 0:
            return ["prefix", ["v", dtype.name, low], length]
    return ["range", ["v", dtype.name, low], ["v", dtype.name, high]]


def string_of(low: int, high: int, bits: int) -> str:
    """A text from its bytes; a range of texts with one beginning ends in an asterisk."""
    raw = low.to_bytes(bits // 8, "big")
    text = raw.rstrip(b"\0").decode(errors="replace")
    if low != high:
        length = (bits - (low ^ high).bit_length()) // 8
        return raw[:length].decode(errors="replace") + "*"
    return text[:-1] + "\\*" if text.endswith("*") else text


def data_form(record: Set, note: SetNote, element: Element, own: ElementNote) -> Form | None:
    """The form of what a member maps to."""
    if own.data is not None:
        return own.data
    if element.verdict is not None:
        return ["verdict", WORDS[element.verdict.code], element.verdict.to[len(record.parent) + 1 :]]
    if element.data is None or not note.data_types:
        return None
    dtype = TYPES[note.data_types[0]]
    return part_form(dtype, note.data_bits[0], element.data, element.data)


def states(element: Element, own: ElementNote) -> list[tuple[Effect, Form]]:
    """A member's statements with their forms; a packet that made a member left none, so they follow from what is there."""
    forms = own.stmts or [form_of_state(effect) for effect in element.effects]
    return list(zip(element.effects, forms, strict=False))


def form_of_state(effect: Effect) -> Form:
    """The form of a stateful statement from its effect."""
    if isinstance(effect, Limit):
        return ["limit", effect.rate, effect.unit, effect.burst, effect.bytes, effect.over]
    if isinstance(effect, ConnLimit):
        return ["ct count", effect.count, effect.over]
    return ["quota" if isinstance(effect, Quota) else "last" if isinstance(effect, Last) else "counter", 0]


def timeout_of(element: Element, own: ElementNote) -> int:
    """The timeout (ms) that is listed: one of the member's own, and always that of a member that a packet made (nft_dynset_init)."""
    if bytes(element.note) == b"null":
        return element.timeout // MS
    return own.timeout or 0


def ordered(ruleset: Ruleset, record: Set) -> list[Element]:
    """Members in listed order."""
    members = ruleset.elements.children(record.key)
    note = unpack(record.note, SetNote)
    if record.interval and len(record.bits) > 1:
        return members
    if record.interval:
        return sorted(members, key=lambda element: (_last(element), element.low))
    types = [TYPES[name] for name in note.types]
    members.reverse()  # of equal keys the later one is listed first
    return sorted(members, key=lambda element: (_last(element), sort_key(types, note, element)))


def _last(element: Element) -> bool:
    return not element.low


def sort_key(types: list[Datatype], note: SetNote, element: Element) -> int:
    """The number that nft's merge sort compares."""
    if not element.low:
        return 0
    if len(types) == 1:
        if types[0].root == "string":
            return int.from_bytes(element.low[0].to_bytes(note.bits[0] // 8, "big"), "little")
        if types[0].root == "bitmask":
            return element.low[0] & -element.low[0]  # several bits are an expression, which begins with the lowest
        return element.low[0]
    raw = b""
    for dtype, bits, order, value in zip(types, note.bits, note.orders, element.low, strict=True):
        size = (bits + 7) // 8
        little = order == "host" and dtype.root != "string"
        raw += value.to_bytes(size, "little" if little else "big")
    return int.from_bytes(raw, "little")
