"""The IR to JSON and back. One line a record, so that a ruleset of any size streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from tcemu.diagnostics import StateError
from tcemu.ir import ruleset as nouns
from tcemu.ir.ruleset import Ruleset
from tcemu.shelf import Record

R = TypeVar("R", bound=Record)

encode: Final = msgspec.json.Encoder().encode

SHELVES: Final[dict[str, type[Record]]] = {
    "tables": nouns.Table,
    "chains": nouns.Chain,
    "slots": nouns.Slot,
    "rules": nouns.Rule,
    "objects": nouns.Object,
    "attachments": nouns.Attachment,
    "sets": nouns.Set,
    "elements": nouns.Element,
    "flowtables": nouns.Flowtable,
}


def decoder(kind: type[R]) -> msgspec.json.Decoder[R]:
    """A reusable decoder of one noun; building it costs about a millisecond for a rule."""
    return msgspec.json.Decoder(kind)


def dump(ruleset: Ruleset) -> Iterable[bytes]:
    """The ruleset, a JSON line a record: ``{"shelf": NAME, "record": {…}}``."""
    for name in SHELVES:
        for record in getattr(ruleset, name):
            yield b'{"shelf":"%s","record":%s}' % (name.encode(), encode(record))


class _Line(msgspec.Struct):
    shelf: str
    record: msgspec.Raw


def load(lines: Iterable[bytes], ruleset: Ruleset) -> None:
    """Put what `dump` gave onto the ruleset's shelves; a line that is no record is a StateError."""
    lead = msgspec.json.Decoder(_Line)
    decoders = {name: decoder(kind) for name, kind in SHELVES.items()}
    for number, line in enumerate(lines, 1):
        try:
            entry = lead.decode(line)
            record = decoders[entry.shelf].decode(entry.record)
        except (msgspec.MsgspecError, KeyError) as slip:
            raise StateError(f"line {number} is no record of a ruleset: {slip}") from slip
        getattr(ruleset, entry.shelf).put(record)
