"""What nft keeps of its own beside the shared IR: handles, comments, spellings. Encoded into the ``note`` of each noun.

Forms are the evaluated statements and expressions as nested lists (`tcemu.nft.show`): what is listed is stored, nothing is rebuilt.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T", bound=Struct)
Form = list[Any]


class TableNote(Struct, array_like=True):
    """handle; next: the last handle given out in the table; taken: of names with a number, below which all numbers are."""

    handle: int = 0
    next: int = 0
    flags: list[str] = []
    comment: str | None = None
    taken: dict[str, int] = {}


class ChainNote(Struct, array_like=True):
    """Of a base chain: type, hook, priority, devices, policy; uses: how many rules and elements point to it.

    needs, leads: what its rules need of base chains, and the chains and maps that they name, with counts (`tcemu.nft.reach`).
    """

    handle: int = 0
    type: str = ""
    hook: str = ""
    priority: int = 0
    devices: list[str] = []
    policy: str = ""
    flags: list[str] = []
    comment: str | None = None
    uses: int = 0
    binding: bool = False
    needs: dict[str, int] = {}
    leads: dict[str, int] = {}


class RuleNote(Struct, array_like=True):
    """body: the statements as listed; sets: keys of the anonymous sets that go with the rule; uses: what else it points to."""

    handle: int = 0
    body: list[Form] = []
    comment: str | None = None
    sets: list[str] = []
    uses: list[str] = []
    needs: list[str] = []


class SetNote(Struct, array_like=True):
    """Types by name with their widths, typeof expressions, and the settings of the set."""

    handle: int = 0
    types: list[str] = []
    bits: list[int] = []
    orders: list[str] = []
    typeof: Form | None = None
    data_types: list[str] = []
    data_bits: list[int] = []
    data_orders: list[str] = []
    data_typeof: Form | None = None
    data_interval: bool = False
    object: str = ""
    flags: list[str] = []
    timeout: int = 0
    gc: int = 0
    policy: str = ""
    auto_merge: bool = False
    comment: str | None = None
    stmts: list[Form] = []
    uses: int = 0
    meter: bool = False


class ElementNote(Struct, array_like=True, omit_defaults=True):
    """prefix: lengths of parts written as prefixes (-1: not); data: the form of data that is no plain number."""

    comment: str | None = None
    data: Form | None = None
    catchall: bool = False
    timeout: int | None = None
    expires: int | None = None
    stmts: list[Form] = []
    target: str = ""


class ObjectNote(Struct, array_like=True):
    """handle, comment, and what the kind has beside its effect."""

    handle: int = 0
    comment: str | None = None
    config: dict[str, Any] = {}


class FlowtableNote(Struct, array_like=True):
    handle: int = 0
    hook: str = "ingress"
    flags: list[str] = []
    uses: int = 0


encode: Final = msgspec.json.Encoder().encode
_decoders: dict[type[Struct], Any] = {}


def pack(note: Struct) -> Raw:
    """A note as it is stored."""
    return Raw(encode(note))


def unpack(raw: Raw, kind: type[T]) -> T:
    """A stored note."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    if bytes(raw) == b"null":
        return kind()
    note: T = decoder.decode(raw)
    return note
