"""Operands: where a value comes from. Small trees; there are no registers."""

from __future__ import annotations

from msgspec import Struct


class Const(Struct, frozen=True, tag="const"):
    """A number, in host order, as wide as what it meets."""

    value: int


class Load(Struct, frozen=True, tag="load"):
    """A field of the registry (`tcemu.fields`) by name."""

    field: str


class Raw(Struct, frozen=True, tag="raw"):
    """Bits of the packet itself: ``base`` is ll, nh, th or ih, offset and length in bits.

    tc u32 counts from where its links have led it: u32, and u32+ behind the header that the last link measured.
    """

    base: str
    offset: int
    bits: int


class Key(Struct, frozen=True, tag="key", omit_defaults=True):
    """A value that takes work: a conntrack key, a route lookup, a socket, an option (``what`` names it)."""

    what: str
    args: tuple[str, ...] = ()


class Bits(Struct, frozen=True, tag="bits", omit_defaults=True):
    """``((of >> right) << left & mask) ^ xor``."""

    of: Operand
    mask: int
    xor: int = 0
    left: int = 0
    right: int = 0


class Concat(Struct, frozen=True, tag="concat"):
    """Values side by side."""

    parts: tuple[Operand, ...]


class Lookup(Struct, frozen=True, tag="lookup"):
    """The data that a map holds for a key; a miss ends the rule."""

    key: Operand
    map: str


class Hash(Struct, frozen=True, tag="hash", omit_defaults=True):
    """jhash or symhash modulo ``mod`` plus ``offset``."""

    of: Operand | None
    mod: int
    seed: int = 0
    offset: int = 0


class Number(Struct, frozen=True, tag="number", omit_defaults=True):
    """numgen inc or random modulo ``mod`` plus ``offset``."""

    kind: str
    mod: int
    offset: int = 0


Operand = Const | Load | Raw | Key | Bits | Concat | Lookup | Hash | Number
