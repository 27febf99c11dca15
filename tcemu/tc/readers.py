"""Readers of values: each takes a word and gives a number, or None when the word is no such value.

They take what iproute2's helpers take (strtoul and friends: blanks in front, signs, 0x and octal where the base is 0).
Source: iproute2 6.1 lib/utils.c (get_u32 … get_prefix_1, get_addr_ipv4, hex2mem), lib/ll_addr.c, lib/ll_proto.c, tc/tc_util.c.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tcemu.tc.complaint import ComplaintError
from tcemu.tc.names import PROTOCOL_OF

U8: Final = 0xFF
U16: Final = 0xFFFF
U32: Final = 0xFFFFFFFF
U64: Final = 0xFFFFFFFFFFFFFFFF
_DIGITS: Final = {8: "[0-7]+", 10: "[0-9]+", 16: "[0-9a-fA-F]+"}
_NUMBER: Final = {base: re.compile(rf"\s*([+-]?)({digits})", re.ASCII) for base, digits in _DIGITS.items()}


MET: Final = 1024  # texts remembered
_met: Final[dict[tuple[str, int], tuple[int, str]]] = {}


def strtoul(text: str, base: int) -> tuple[int, str] | None:
    """The number at the start of a text and the rest, as C's strtoul has it (two's complement for a minus sign)."""
    met = _met.get((text, base))
    if met is not None:
        return met
    found = _strtoul(text, base)
    if found is not None and len(_met) < MET:
        _met[str(text), base] = found
    return found


def _strtoul(text: str, base: int) -> tuple[int, str] | None:
    found = re.match(r"\s*[+-]?(0[xX](?=[0-9a-fA-F]))?(0)?", text, re.ASCII) if base in (0, 16) else None
    if found is not None:
        if base == 0:
            base = 16 if found[1] else 8 if found[2] else 10
        if found[1]:
            head = found.end(1)
            text = text[: found.start(1)] + text[head:]
    number = _NUMBER[base].match(text)
    if number is None:
        return None
    value = int(number[2], base)
    if number[1] == "-":
        value = -value & U64
    return value, text[number.end() :]


_NUMERALS: Final = {str(number): number for number in range(1024)}


def unsigned(text: str, limit: int, base: int = 10) -> int | None:
    """A whole word as an unsigned number up to a limit (get_u8, get_u16, get_u32, get_unsigned)."""
    if base in (0, 10):
        value = _NUMERALS.get(text, -1)
        if value >= 0:
            return value if value <= limit else None
    if text.isdigit() and text.isascii() and (base == 10 or (base == 0 and text[0] != "0")):
        value = int(text)
    else:
        found = strtoul(text, base)
        if found is None or found[1]:
            return None
        value = found[0]
    return value if value <= limit else None


def protocol(text: str) -> int | None:
    """An ethertype by name or number (ll_proto_a2n)."""
    number = PROTOCOL_OF.get(text.lower())
    return unsigned(text, U16, 0) if number is None else number


def classid(text: str) -> int | None:
    """``1:2``, ``1:``, ``:2``, ``root``, ``none`` or a hexadecimal number (get_tc_classid)."""
    if text == "root":
        return U32
    if text == "none":
        return 0
    found = strtoul(text, 16)
    major, rest = (0, text) if found is None else found
    if found is None and not rest.startswith(":"):
        return None
    if not rest.startswith(":"):
        return None if rest else major & U32
    if major > U16:
        return None
    found = strtoul(rest[1:], 16)
    minor, rest = (0, rest[1:]) if found is None else found
    if rest or minor > U16:
        return None
    return major << 16 | minor


def mac(text: str) -> int | None:
    """Six hexadecimal bytes; fewer leave the rest zero. Says on its own what is wrong (ll_addr_a2n)."""
    value = 0
    parts = text.split(":", 5)
    for place, part in enumerate(parts):
        found = strtoul(part, 16)
        if found is None or found[0] > U8:
            raise ComplaintError(f'"{part}" is invalid lladdr.\n')
        value |= found[0] << (8 * (5 - place))
    return value


def hexbytes(text: str) -> bytes | None:
    """Pairs of hexadecimal digits; an odd last digit is left out (hex2mem over half the length)."""
    try:
        return bytes.fromhex(text[: len(text) // 2 * 2]) if re.fullmatch(r"[0-9a-fA-F]*.?", text) else None
    except ValueError:
        return None


class Prefix:
    """An address with its family (4, 6, or 0 for the word any) and prefix length."""

    __slots__ = ("address", "bits", "family")

    def __init__(self, family: int, address: int, bits: int) -> None:
        self.family = family
        self.address = address
        self.bits = bits

    @property
    def mask(self) -> int:
        """The prefix length as a mask."""
        width = 128 if self.family == 6 else 32
        return ((1 << self.bits) - 1) << (width - self.bits)


_OCTETS: Final = {str(number): number for number in range(256)}
_VERBOSE: Final = {0: "any valid", 4: "inet", 6: "inet6"}


def ipv4(text: str) -> int | None:
    """A dotted quad, or its first one to three bytes (get_addr_ipv4)."""
    value = 0
    parts = text.split(".")
    if len(parts) == 4:
        for part in parts:
            octet = _OCTETS.get(part)
            if octet is None:
                value = -1
                break
            value = value << 8 | octet
        if value >= 0:
            return value
    value = 0
    for place in range(4):
        number = strtoul(text, 0)
        if number is None or number[0] > U8:
            return None
        value |= number[0] << (24 - 8 * place)
        text = number[1]
        if not text:
            return value
        if place == 3 or text[0] != ".":
            return None
        text = text[1:]
    return None


def _address(text: str, family: int) -> tuple[int, int] | None:
    if ":" in text:
        if family == 4:
            return None
        from socket import AF_INET6, inet_pton  # takes 3 ms, which most commands can save

        try:
            return 6, int.from_bytes(inet_pton(AF_INET6, text))
        except (OSError, UnicodeError, ValueError):
            return None
    if family == 6:
        return None
    value = ipv4(text)
    return None if value is None else (4, value)


def address(text: str, family: int = 0) -> Prefix:
    """An address; a word that is none ends tc with exit code 1 (get_addr)."""
    if text in ("default", "all", "any"):
        return Prefix(family, 0, 0)
    found = _address(text, family)
    if found is None:
        raise ComplaintError(f'Error: {_VERBOSE[family]} address is expected rather than "{text}".\n', 1, True)
    return Prefix(found[0], found[1], 128 if found[0] == 6 else 32)


def prefix(text: str, family: int = 0) -> Prefix:
    """An address with ``/bits`` or, for IPv4, ``/netmask``; a word that is none ends tc with exit code 1 (get_prefix)."""
    if text in ("default", "all", "any"):
        return Prefix(family, 0, 0)
    name, slash, length = text.partition("/")
    found = _address(name, family)
    if found is not None:
        width = 128 if found[0] == 6 else 32
        bits = _netmask(length) if slash else width
        if bits is not None and bits <= width:
            return Prefix(found[0], found[1], bits)
    raise ComplaintError(f'Error: {_VERBOSE[family]} prefix is expected rather than "{text}".\n', 1, True)


def _netmask(text: str) -> int | None:
    bits = unsigned(text, U32, 0)
    if bits is not None:
        return bits
    mask = ipv4(text)
    if mask is None:
        return None
    holes = ~mask & U32
    return 32 - holes.bit_length() if holes & (holes + 1) == 0 else None


_FLOAT: Final = re.compile(r"\s*[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)", re.ASCII)
_RATES: Final = {
    "": 1,
    "bit": 1,
    "kibit": 1 << 10,
    "kbit": 10**3,
    "mibit": 1 << 20,
    "mbit": 10**6,
    "gibit": 1 << 30,
    "gbit": 10**9,
    "tibit": 1 << 40,
    "tbit": 10**12,
    "bps": 8,
    "kibps": 8 << 10,
    "kbps": 8 * 10**3,
    "mibps": 8 << 20,
    "mbps": 8 * 10**6,
    "gibps": 8 << 30,
    "gbps": 8 * 10**9,
    "tibps": 8 << 40,
    "tbps": 8 * 10**12,
}
_SIZES: Final[dict[str, float]] = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kb": 1 << 10,
    "m": 1 << 20,
    "mb": 1 << 20,
    "g": 1 << 30,
    "gb": 1 << 30,
    "kbit": 1024 / 8,
    "mbit": 1024 * 1024 / 8,
    "gbit": 1024 * 1024 * 1024 / 8,
}
_TIMES: Final = {"": 1, "s": 10**9, "sec": 10**9, "secs": 10**9, "ms": 10**6, "msec": 10**6, "msecs": 10**6}
_TIMES_MORE: Final = {"us": 10**3, "usec": 10**3, "usecs": 10**3, "ns": 1, "nsec": 1, "nsecs": 1}


_ALL_TIMES: Final = {**_TIMES, **_TIMES_MORE}
_COARSE_TIMES: Final = {name: scale for name, scale in _ALL_TIMES.items() if name not in ("ns", "nsec", "nsecs")}


def _scaled(text: str, units: dict[str, Any]) -> float | None:
    found = _FLOAT.match(text)
    if found is None:
        return None
    scale = units.get(text[found.end() :].lower())
    return None if scale is None else float(found[0]) * scale


def rate(text: str) -> int | None:
    """A rate in bytes a second (get_rate64)."""
    bits = _scaled(text, _RATES)
    return None if bits is None else int(bits / 8) if bits / 8 <= U64 else 0  # what x86 makes of more


def size(text: str) -> int | None:
    """A size in bytes, of 32 bits (get_size)."""
    number = _scaled(text, _SIZES)
    return None if number is None or not -1 < number <= U32 else int(number)


def time(text: str, fine: bool = True) -> int | None:
    """A time in ns (get_time64); not ``fine``: down to microseconds (get_time)."""
    number = _scaled(text, _ALL_TIMES if fine else _COARSE_TIMES)
    return None if number is None else int(number)


def u16(text: str) -> int | None:
    """A decimal number of 16 bits."""
    return unsigned(text, U16)


def u64(text: str) -> int | None:
    """A decimal number of 64 bits."""
    return unsigned(text, U64)


def signed(text: str, bits: int, base: int = 0) -> int | None:
    """A whole word as a signed number (get_s32, get_s64, get_integer)."""
    found = strtoul(text, base)
    if found is None or found[1] or found[0] > U64:
        return None
    value = found[0] - (1 << 64) if found[0] >> 63 else found[0]
    return value if -(1 << bits - 1) <= value < 1 << bits - 1 else None
