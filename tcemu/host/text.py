"""Addresses between text and number, without the weight of `ipaddress`.

Numbers are plain integers with the family (4 or 6) beside them; a text that is no address gives None, and whoever asked
says so in his tool's words.
"""

from __future__ import annotations

from _socket import AF_INET6, inet_ntop, inet_pton
from typing import Final

WIDTH: Final = {4: 32, 6: 128}


def ip4(text: str) -> int | None:
    """A dotted address; as iproute2 reads it, fewer parts are filled with zeros (utils.c get_addr_ipv4)."""
    parts = text.split(".")
    if len(parts) > 4:
        return None
    value = 0
    for part in parts:
        number = _octet(part)
        if number is None:
            return None
        value = value << 8 | number
    return value << 8 * (4 - len(parts))


def _octet(text: str) -> int | None:
    if not text or not (text.isascii() and text.isalnum()):
        return None
    base = 16 if text[:2] in ("0x", "0X") else 8 if text[0] == "0" else 10
    try:
        number = int(text, base)
    except ValueError:
        return None
    return number if number < 256 else None


def ip6(text: str) -> int | None:
    """An IPv6 address in any of its spellings."""
    try:
        return int.from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, ValueError):
        return None


def address(text: str, family: int = 0) -> tuple[int, int] | None:
    """(family, number) of an address of either family, or of the given one."""
    if ":" in text:
        number = ip6(text) if family in (0, 6) else None
        return None if number is None else (6, number)
    number = ip4(text) if family in (0, 4) else None
    return None if number is None else (4, number)


def show_ip4(number: int) -> str:
    return f"{number >> 24 & 255}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def show_ip6(number: int) -> str:
    return inet_ntop(AF_INET6, number.to_bytes(16, "big"))


def show_address(family: int, number: int) -> str:
    """An address as every tool prints it."""
    return show_ip4(number) if family == 4 else show_ip6(number)


def netmask(family: int, prefix: int) -> int:
    """The mask of a prefix length as a number."""
    width = WIDTH[family]
    return (1 << width) - (1 << (width - prefix))


def mac(text: str) -> int | None:
    """A MAC address of six bytes, each of one or two hex digits."""
    parts = text.split(":")
    if len(parts) != 6:
        return None
    value = 0
    for part in parts:
        if not 1 <= len(part) <= 2:
            return None
        try:
            value = value << 8 | int(part, 16)
        except ValueError:
            return None
    return value


def show_mac(number: int) -> str:
    digits = f"{number:012x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
