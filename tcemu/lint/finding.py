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


PROOFS: Final = {
    "taken": "a taker matches it and the victim does not; with those that end its way set aside, the victim matches it",
    "followed": "the victim matches it; with the victim set aside a taker matches it, and the chain decides the same",
    "decided": "the taker matches it and the victim does not; with the taker set aside the victim matches it, and the chain decides otherwise",
    "never": "it comes to the victim, which does not match it; without the guards in question the victim matches it",
    "unled": "no hook leads it to the chain; with the chain hooked it enters it",
    "lost": "the takers match it, and the base chain drops it",
    "passes": "the victim matches it, and the base chain lets it pass",
}


class Claim(NamedTuple):
    """What a packet can prove: one of the packets in ``where``, met at a base chain's hook, does what ``proof`` (see PROOFS) says.

    ``victim`` and ``takers`` are keys of rules (the victim of "unled" is a chain). ``guards`` are steps of the victim. ``entry`` is a base
    chain before ``base`` at whose hook the packet comes in, where that is not the same.
    """

    base: Base
    where: tuple[Box, ...]
    victim: str
    takers: tuple[str, ...] = ()
    proof: str = "taken"
    guards: tuple[int, ...] = ()


class Witness(NamedTuple):
    """A packet that shows what a finding says: its frame, where it comes in, and what the engine did with it."""

    frame: bytes
    device: str
    what: str
    says: str


class Finding(NamedTuple):
    """One thing to say. ``text`` is the line, or the rule as nft lists it; ``key`` names the noun of the ruleset that it is about, and makes the baseline's fingerprint."""

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
    file: str = ""  # where it has no place: the dump it is about

    @property
    def path(self) -> str:
        """The file that it is about, as far as one is known."""
        return (self.spans[0].file if self.spans else self.file) or "ruleset"


class Doubt(NamedTuple):
    """What could not be decided, and why: never a finding."""

    about: str
    why: str
    span: Span | None = None


def worst(findings: Sequence[Finding]) -> int:
    """The rank of the worst severity, or -1."""
    return max((SEVERITIES.index(finding.severity) for finding in findings), default=-1)
