"""A short notation for ASN.1 types, read into what a decoder of packed encoding rules (PER, aligned) asks for.

A definition begins at a line's start and goes on in lines that are indented:

    Address SEQ ip! octets(4), port int(0..65535), extra? bool, ..., later
    Reason CHOICE busy null, gone null, other* , ..., moved! Address

Behind a field's name: ``?`` optional, ``!`` its value is wanted, ``*`` nothing behind it is: reading stops there, so neither it nor what
follows needs a type. Behind ``...`` stand extensions, which say their own length: only the wanted ones have a type.
Types: null bool oid int int(low..high) octets octets(n) octets(low..high) bits bits(low..high) bmp(low..high) digits(low..high), ``list T``
and ``list(n) T`` with at most n wanted, ``open T`` for a value that says its own length, and names defined before.

Source: ITU-T X.691 for the sizes of lengths and indices; `per` says where Linux does otherwise.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# how a number, or the length of a string, is written
FIXED, FIELD, BYTE, WORD, BIG, FREE = range(6)
_ITEM: Final = re.compile(r"([\w-]+)([?!*]*)\s*(.*)")
_TYPE: Final = re.compile(r"(\w+)(?:\((\d+)(?:\.\.(\d+))?\))?")


class Type(NamedTuple):
    """kind: SEQ, CHOICE, list or a word for a leaf.

    form and bits: how a leaf's number or length is written (FIELD: in so many bits; FIXED: not at all). low: what is added to it.
    Of SEQ and CHOICE: bits of the bitmap or the index; root: how many fields are no extensions. Of a list: most, how many are wanted.
    """

    kind: str
    form: int = FIXED
    bits: int = 0
    low: int = 0
    root: int = 0
    extensible: bool = False
    most: int = 0
    fields: tuple[Field, ...] = ()


class Field(NamedTuple):
    """One of a SEQ, an alternative of a CHOICE, or the item of a list. type is None where only its name matters."""

    name: str
    type: Type | None
    optional: bool
    kept: bool
    stops: bool
    open: bool


def read(text: str, known: dict[str, Type]) -> dict[str, Type]:
    """The types of a text, which may use those that are known already; all of them together."""
    out = dict(known)
    for lines in re.findall(r"^\S.*(?:\n[ \t]+.*)*", text, re.MULTILINE):
        name, kind, rest = lines.split(None, 2)
        out[name] = _compound(kind, [item.strip() for item in rest.split(",")], out)
    return out


def _compound(kind: str, items: list[str], known: dict[str, Type]) -> Type:
    fields = tuple(_field(item, known) for item in items if item != "...")
    root = items.index("...") if "..." in items else len(items)
    if kind == "SEQ":
        bits = sum(field.optional for field in fields[:root])
    else:
        bits = (root - 1).bit_length()
    return Type(kind, FIELD, bits, 0, root, root < len(items), 0, fields)


def _field(item: str, known: dict[str, Type]) -> Field:
    found = _ITEM.fullmatch(item)
    assert found is not None, item
    name, marks, text = found.groups()
    is_open = text.startswith("open ")
    made = _type(text.removeprefix("open "), known) if text else None
    return Field(name, made, "?" in marks, "!" in marks, "*" in marks, is_open)


def _type(text: str, known: dict[str, Type]) -> Type:
    if text in known:
        return known[text]
    word, _, item = text.partition(" ")
    found = _TYPE.fullmatch(word)
    assert found is not None, text
    kind, low, high = found[1], int(found[2] or 0), int(found[3] or 0)
    if kind == "list":
        inner = _field(f"item{'!' if low else ''} {item}", known)
        return Type(kind, most=low, fields=(inner,))
    if not found[2]:
        return Type(kind, FREE)
    if not found[3]:
        return Type(kind, FIXED, low=low)
    return Type(kind, *_form(high - low + 1), low=low)


def _form(size: int) -> tuple[int, int]:
    if size <= 255:
        return FIELD, (size - 1).bit_length()
    return (BYTE if size == 256 else WORD if size <= 65536 else BIG), 0
