"""What a listing reads of filters and actions: no more than it prints, so that 10,000 of them are read in little time.

    rules    Rule   ⊃ FilterRow    no steps, unless somebody asks for them
    objects  Object ⊃ ActionRow    no counters

Both are decoded from the same rows as the nouns of `tcemu.ir.ruleset` (`tcemu.shelf.Shelf.read`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from tcemu.ir.effect import Effect
from tcemu.ir.verdict import NEXT, Verdict
from tcemu.tc.notes import ActionNote, RuleNote

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Rule
    from tcemu.ir.step import Step

NO_STEPS: Final = Raw(b"[]")
EMPTY: Final = Raw(b"{}")  # the note of an action of which nothing was asked but its parameters
NOTHING: Final = ActionNote()


class FilterRow(Struct, gc=False):
    """A filter with its note; steps as they lie in the file."""

    key: str
    rank: int = 0
    slot: int = 0
    note: RuleNote = field(default_factory=RuleNote)
    steps: Raw = NO_STEPS


class ActionRow(Struct, gc=False):
    """An action without its counters."""

    key: str
    rank: int = 0
    kind: str = ""
    effect: Effect | None = None
    then: Verdict = NEXT
    otherwise: Effect | None = None
    bound: int = 0
    note: Raw = EMPTY


@cache
def _steps() -> Decoder[list[Step]]:
    from tcemu.ir.step import Step

    return Decoder(list[Step])


def steps_of(rule: Rule | FilterRow) -> list[Step]:
    """A filter's steps."""
    return _steps().decode(rule.steps) if isinstance(rule, FilterRow) else rule.steps
