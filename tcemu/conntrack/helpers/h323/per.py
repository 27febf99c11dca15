"""Bytes of packed encoding rules (PER, aligned), read as Linux reads them: only what is wanted gets a value, the rest is walked over.

A SEQ becomes a dict of its wanted fields that are there, a CHOICE a dict with the chosen name alone (none when it is newer than the
table), a list a list. An octet string that is wanted becomes the place where it stands, counted from where the message begins.

A value that says its own length is not held to it while it is read, so many of length nothing could each read all that follows; there is a
limit of looks ahead, which no message comes near that is read once from front to back. Linux has none, and is as quick as it is.

Where Linux and X.691 differ, this is Linux: a length needs two bytes ahead even when it takes one; extensions behind the last known one
are walked over without a look at whether they are there; a wanted number in the form BIG is passed twice, which only the end notices.

Source: net/netfilter/nf_conntrack_h323_asn1.c of Linux 6.1 (its decoders and what they check first), ITU-T X.691.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tcemu.conntrack.helpers.h323.notation import BIG, BYTE, FIELD, FIXED, FREE, WORD, Field, Type

MOST_EXTENSIONS: Final = 32
LOOKS_A_BYTE, LOOKS_ANYWAY = 16, 4096
M32: Final = 0xFFFFFFFF


class PerError(Exception):
    """It ends too early, or has an alternative that there is not."""


class Reader:
    """Where we are: ``at`` in bytes and ``bit`` in it, from the left. Nothing is read at or behind ``end``."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.bit, self.end = data, at, 0, end
        self.looks = LOOKS_A_BYTE * (end - at) + LOOKS_ANYWAY

    def need(self, size: int, bits: int = 0) -> None:
        """So many bytes and bits from here on must be there."""
        self.looks -= 1
        if self.looks < 0 or self.at + size + (bits + self.bit + 7 >> 3) > self.end:
            raise PerError

    def number(self, bits: int) -> int:
        """The next bits."""
        first, total = self.at, self.bit + bits
        whole = int.from_bytes(self.data[first : first + 6].ljust(6, b"\0"), "big")
        self.at, self.bit = first + (total >> 3), total & 7
        return whole >> 48 - total & (1 << bits) - 1

    def skip(self, bits: int) -> None:
        """Walk over them."""
        total = self.bit + bits
        self.at, self.bit = self.at + (total >> 3), total & 7

    def align(self) -> None:
        """Go on at a whole byte."""
        if self.bit:
            self.at, self.bit = self.at + 1, 0

    def length(self) -> int:
        """A length of one or two bytes."""
        self.need(2)
        first = self.data[self.at]
        self.at += 1
        if first & 0x80:
            first = (first & 0x3F) << 8 | self.data[self.at]
            self.at += 1
        return first

    def block(self) -> int:
        """The same, of bytes that are there."""
        size = self.length()
        self.need(size)
        return size

    def pass_block(self) -> None:
        """Walk over such bytes."""
        size = self.block()
        self.at += size


def decode(data: bytes, kind: Type, start: int = 0, end: int = -1) -> Any:
    """The message between two places. PerError when Linux could not decode it either."""
    return _READERS[kind.kind](Reader(data, start, len(data) if end < 0 else end), kind, True)


def dig(value: Any, *path: str) -> Any:
    """What stands under these names, one in the other; None when it is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


# ---------------------------------------------------------------------- leaves


def _null(r: Reader, kind: Type, kept: bool) -> Any:
    return True


def _bool(r: Reader, kind: Type, kept: bool) -> Any:
    r.skip(1)
    r.need(0)
    return True


def _oid(r: Reader, kind: Type, kept: bool) -> Any:
    r.align()
    r.need(1)
    return _over(r, 1 + r.data[r.at])


def _int(r: Reader, kind: Type, kept: bool) -> Any:
    if kind.form == FIELD:
        r.skip(kind.bits)
        r.need(0)
        return True
    if kind.form == BIG:
        r.need(0, 2)
        size = r.number(2) + 1
        r.need(size)
        r.align()
        value = 0
        if kept:
            value = int.from_bytes(r.data[r.at : r.at + size], "big") + kind.low & M32
            r.at += size
        return _over(r, size, value)
    r.align()
    return _over(r, r.length() if kind.form == FREE else 1 if kind.form == BYTE else 2)


def _bits(r: Reader, kind: Type, kept: bool) -> Any:
    r.align()
    size = kind.low
    if kind.form == FREE:
        size = r.length()
    elif kind.form == WORD:
        r.need(2)
        size += r.number(16)
    r.skip(size)
    r.need(0)
    return True


def _digits(r: Reader, kind: Type, kept: bool) -> Any:
    r.need(0, kind.bits)
    size = r.number(kind.bits) + kind.low
    r.align()
    r.skip(size * 4)
    r.need(0)
    return True


def _octets(r: Reader, kind: Type, kept: bool) -> Any:
    if kind.form == FIXED:
        if kind.low > 2:
            r.align()
        return _over(r, kind.low, r.at)
    return _over(r, _size(r, kind))


def _bmp(r: Reader, kind: Type, kept: bool) -> Any:
    return _over(r, _size(r, kind) * 2)


def _size(r: Reader, kind: Type) -> int:
    if kind.form == FIELD:
        r.need(0, kind.bits)
        size = r.number(kind.bits) + kind.low
        r.align()
        return size
    r.align()
    if kind.form == FREE:
        return r.length() + kind.low
    r.need(1)
    return r.number(8) + kind.low


def _over(r: Reader, size: int, value: Any = True) -> Any:
    """Past so many bytes; the end may not be passed."""
    r.at += size
    r.need(0)
    return value


# ---------------------------------------------------------------------- compounds


def _sequence(r: Reader, kind: Type, kept: bool) -> Any:
    r.need(0, 1)
    extended = kind.extensible and r.number(1)
    r.need(0, kind.bits)
    there, left = r.number(kind.bits), kind.bits
    out: dict[str, Any] = {}
    for field in kind.fields[: kind.root]:
        if field.stops:
            return out
        if field.optional:
            left -= 1
            if not there >> left & 1:
                continue
        if field.open:
            _opened(r, field, kept, out)
        else:
            _plain(r, field, kept, out)
    if extended:
        _extensions(r, kind, kept, out)
    return out


def _extensions(r: Reader, kind: Type, kept: bool, out: dict[str, Any]) -> None:
    r.need(0, 7)
    count = r.number(7) + 1
    r.need(0, count)
    if count > MOST_EXTENSIONS:
        raise PerError
    there = r.number(count)
    r.align()
    later = kind.fields[kind.root :]
    for place in range(count):
        if place >= len(later):
            r.pass_block()
            continue
        if later[place].stops:
            return
        if there >> count - 1 - place & 1:
            _opened(r, later[place], kept, out)


def _choice(r: Reader, kind: Type, kept: bool) -> Any:
    r.need(0, 1)
    extended = bool(kind.extensible and r.number(1))
    bits = 7 if extended else kind.bits
    r.need(0, bits)
    index = r.number(bits) + (kind.root if extended else 0)
    if not extended and index >= kind.root:
        raise PerError
    out: dict[str, Any] = {}
    if index >= len(kind.fields):
        r.align()
        r.pass_block()
        return out
    field = kind.fields[index]
    out[field.name] = True
    if field.stops:
        return out
    if extended or field.open:
        r.align()
        _opened(r, field, kept, out)
    else:
        _plain(r, field, kept, out)
    return out


def _list(r: Reader, kind: Type, kept: bool) -> Any:
    (item,) = kind.fields
    out: list[Any] = []
    r.align()
    for place in range(r.length()):
        values: dict[str, Any] = {}
        if item.open:
            r.align()
            _opened(r, item, kept, values, place < kind.most)
        else:
            _plain(r, item, kept and place < kind.most, values)
        out += values.values()
    return out


def _plain(r: Reader, field: Field, kept: bool, out: dict[str, Any]) -> None:
    assert field.type is not None
    wanted = kept and field.kept
    value = _READERS[field.type.kind](r, field.type, wanted)
    if wanted:
        out[field.name] = value


def _opened(r: Reader, field: Field, kept: bool, out: dict[str, Any], room: bool = True) -> None:
    """A value behind its own length, wherever reading it ended. room: there is place to keep it."""
    size = r.block()
    begin = r.at
    if not (kept and field.kept):
        r.at += size
        return
    _plain(r, field, room, out)
    r.at, r.bit = begin + size, 0


_READERS: Final[dict[str, Callable[[Reader, Type, bool], Any]]] = {
    "null": _null,
    "bool": _bool,
    "oid": _oid,
    "int": _int,
    "bits": _bits,
    "digits": _digits,
    "octets": _octets,
    "bmp": _bmp,
    "SEQ": _sequence,
    "CHOICE": _choice,
    "list": _list,
}
