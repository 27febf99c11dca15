"""Notes in and out of records, and the free numbers that some of them keep.

A note is *live* while commands work on it: it stands in its record as it is (`pack`), and whoever asks gets a copy (`unpack`). It is
encoded when its record goes to a shelf (`tcemu.tc.ledger`), once for all the commands of a batch that changed it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from tcemu.tc.note_kinds import ActionNote, BlockNote, ChainNote, IndexNote, QdiscNote, RuleNote, SlotNote

__all__ = [
    "ActionNote",
    "BlockNote",
    "ChainNote",
    "IndexNote",
    "QdiscNote",
    "RuleNote",
    "SlotNote",
    "encode",
    "give",
    "look",
    "pack",
    "packed",
    "take",
    "unpack",
]

N = TypeVar("N", bound=Struct)
encode: Final = msgspec.json.Encoder().encode
_decoders: dict[type, Any] = {}


def pack(note: Struct) -> Raw:
    """A note for a record that is on its way to a shelf by way of a ledger: the note itself, which whoever packs it changes no more."""
    return cast(Raw, note)


def packed(note: Raw) -> Raw:
    """A record's note as JSON, live or not."""
    return note if type(note) is Raw else Raw(encode(note))


def unpack(kind: type[N], raw: Raw) -> N:
    """The note of a record, for the caller to change; a fresh one where there is none."""
    note = look(kind, raw)
    return _copied(note) if cast(object, note) is raw else note


def look(kind: type[N], raw: Raw) -> N:
    """The note of a record, to look at only."""
    live: object = raw
    if type(live) is not Raw:
        return cast(N, live)
    data = bytes(raw)
    if data == b"null":
        return kind()
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    note: N = decoder.decode(data)
    return note


def _copied(note: N) -> N:
    """A note that shares nothing with the other that is ever changed in place."""
    kind: type = type(note)  # asked in this way, for isinstance() takes its time over a Struct
    made: Any = cast(Any, note).__copy__()
    if kind is SlotNote:
        made.masks = made.masks.copy()
        made.free = made.free.copy()
        made.extra = _deep(made.extra)
    elif kind is BlockNote:
        made.u32 = made.u32.copy()
    elif kind is IndexNote:
        made.free = made.free.copy()
    elif kind is not ChainNote:
        made.extra = _deep(made.extra)
    return cast(N, made)


def _deep(value: Any) -> Any:
    """Lists and dictionaries anew; numbers, texts and tuples are what they are."""
    if isinstance(value, dict):
        return {name: _deep(item) for name, item in value.items()} if value else {}
    return [_deep(item) for item in value] if isinstance(value, list) else value


def take(free: list[tuple[int, int]], wanted: int = 0) -> int:
    """The lowest free number, or the wanted one; -1 if it is taken. The list (low, high) is changed in place (the kernel's IDR)."""
    if not wanted:
        if not free:
            return -1
        low, high = free[0]
        free[:1] = [(low + 1, high)] if low < high else []
        return low
    place = find(free, wanted)
    if place < 0:
        return -1
    low, high = free[place]
    free[place : place + 1] = [part for part in ((low, wanted - 1), (wanted + 1, high)) if part[0] <= part[1]]
    return wanted


def find(free: list[tuple[int, int]], number: int) -> int:
    """The place of the stretch that holds a number, or -1."""
    place = bisect_right(free, (number, 1 << 62)) - 1
    return place if place >= 0 and free[place][0] <= number <= free[place][1] else -1


def give(free: list[tuple[int, int]], number: int) -> None:
    """Put a number back."""
    if find(free, number) >= 0:
        return
    place = bisect_right(free, (number, 1 << 62))
    low = high = number
    if place < len(free) and free[place][0] == number + 1:
        high = free.pop(place)[1]
    if place and free[place - 1][1] == number - 1:
        place -= 1
        low = free.pop(place)[0]
    free.insert(place, (low, high))
