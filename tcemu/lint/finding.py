"""What a check gives back: findings, the places they point to, and how they would be mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.diagnostics import Span

if TYPE_CHECKING:
    from tcemu.lint.space import Box
    from tcemu.lint.view import Base

SEVERITIES: Final = ("info", "warning", "error")  # from least to worst


class Fix(NamedTuple):
    """Put ``text`` in place of a span of one line; ``whole`` removes or replaces the whole line, its end included."""

    span: Span
    text: str
    whole: bool = False


class Claim(NamedTuple):
    """What a packet can prove: of the packets in ``where``, met at a base chain's hook, one of ``takers`` takes them and ``victim`` never matches.

    takers may be empty: then only that the victim does not match.
    """

    base: Base
    where: tuple[Box, ...]
    victim: str
    takers: tuple[str, ...]


class Witness(NamedTuple):
    """A packet that shows what a finding says: its frame, where it comes in, and what the engine did with it."""

    frame: bytes
    device: str
    what: str
    says: str


class Finding(NamedTuple):
    """One thing to say. ``key`` names the noun of the ruleset that it is about, and makes the baseline's fingerprint."""

    rule: str
    severity: str
    message: str
    spans: tuple[Span, ...] = ()
    text: str = ""
    hint: str = ""
    key: str = ""
    fixes: tuple[Fix, ...] = ()
    claim: Claim | None = None
    witness: Witness | None = None


class Doubt(NamedTuple):
    """What could not be decided, and why: never a finding."""

    about: str
    why: str
    span: Span | None = None


def worst(findings: Sequence[Finding]) -> int:
    """The rank of the worst severity, or -1."""
    return max((SEVERITIES.index(finding.severity) for finding in findings), default=-1)
