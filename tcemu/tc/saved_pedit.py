"""pedit's keys as the munges that make them again.

A key is a word of a header, with the value in the bits that change and the others in ``keep``. Under a header the field must be named that
lies there; MAC and IPv6 addresses are several keys. Source: `tcemu.tc.actions.pedit` (pack_key8 … pack_ipv6 of m_pedit.c).
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.ruleset import Object
from tcemu.tc.actions.pedit import ADDRESS4, ADDRESS6, ALL, HARDWARE, HEADERS, INT, Field
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import address_text, ipv4_text, mac_text

Key = tuple[str, str, int, int, int, int, int, int]
HEADER_OF: Final = {base: (name.lower(), fields) for name, (base, _, fields) in HEADERS.items() if fields}
NARROW: Final = 4  # traffic_class lies four bits further right than its field says


def pedit(action: Object, _note: ActionNote) -> list[str]:
    """All munges, with ``ex`` in front where the keys name headers."""
    effect: Any = action.effect
    found = ["ex"] if effect.extended else []
    keys = list(effect.keys)
    while keys:
        count, words = _munge(keys)
        found += ["munge", *words]
        del keys[:count]
    return found


def _munge(keys: list[Key]) -> tuple[int, list[str]]:
    """The munge that the next keys come from, and how many they are."""
    base, op, offset, value, keep, *at = keys[0]
    if base == "network":
        moved = ["at", str(at[0]), f"{at[1]:x}", str(at[2])] if any(at) else []
        return 1, ["offset", str(offset), "u32", *moved, *_change(op, value, ~keep & ALL, keep, hex(value))]
    header, fields = HEADER_OF[base]
    for name, field in fields.items():
        long = _long(field, keys)
        if long is not None:
            return long[0], [header, name, op, long[1]]
        short = _short(field, op, offset, value, keep)
        if short is not None:
            return 1, [header, name, *short]
    narrow = _short(fields["traffic_class"], op, offset, value >> NARROW, keep >> NARROW | ALL - (ALL >> NARROW))
    assert narrow is not None
    return 1, [header, "traffic_class", *narrow]


def _change(op: str, value: int, retain: int, keep: int, shown: str) -> list[str]:
    """The command. Where all bits are kept and some are in the value, they were inverted."""
    if op == "set" and keep == ALL and value:
        return ["invert", "retain", hex(value)]
    return [op, shown, "retain", hex(retain)]


def _short(field: Field, op: str, offset: int, value: int, keep: int) -> list[str] | None:
    """The command for a field of up to four bytes that covers the key."""
    if field.kind not in (INT, ADDRESS4) or field.offset & ~3 != offset:
        return None
    shift = 8 * (4 - field.length - field.offset % 4)
    limit = (1 << 8 * field.length) - 1
    if (~keep | value) & ~(limit << shift) & ALL:
        return None
    number = value >> shift & limit
    return _change(op, number, ~keep >> shift & limit, keep, ipv4_text(number) if field.kind == ADDRESS4 else hex(number))


def _long(field: Field, keys: list[Key]) -> tuple[int, str] | None:
    """The address that the next keys hold."""
    _, _, offset, value, keep, *_ = keys[0]
    if field.kind == ADDRESS6 and offset == field.offset:
        return 4, address_text(6, value << 96 | keys[1][3] << 64 | keys[2][3] << 32 | keys[3][3])
    if field.kind != HARDWARE or offset != field.offset & ~3 or keep != (0xFFFF0000 if field.offset % 4 else 0):
        return None
    second = keys[1][3]
    return 2, mac_text(value << 32 | second if field.offset % 4 else value << 16 | second >> 16)
