"""What a packet must do so that a claim is proved: a function for each kind of proof (`tcemu.lint.finding.PROOFS`).

Each runs the packet as things are, and where that alone shows little, once more with something changed: the rule in the way set aside, the guard
in question left out. It gives back what the packet did, in words, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tcemu.ir.verdict import DROP
from tcemu.session.laboratory import Change, Laboratory, Seen

if TYPE_CHECKING:
    from tcemu.lint.finding import Claim
    from tcemu.session.witness import Sample

ROUNDS: Final = 8  # of setting aside who else ends the packet's way


def taken(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The victim does not match, but a taker; and the victim would, if it were not for those that end the packet's way before."""
    name = laboratory.name
    change = _entry(claim)
    taker = first = ""
    for _ in range(ROUNDS):
        seen = laboratory.run(made, claim, change)
        first = first or next((key for key in seen.hit if key in seen.ending or key in claim.takers), "")
        taker = taker or _first(seen, claim)
        if claim.victim in seen.hit:
            return f"{name(first)} takes it; without that, {name(claim.victim)} does" if taker and change != _entry(claim) else ""
        further = _further(claim, seen, change)
        if further == change:
            return ""
        change = further
    return ""


def _further(claim: Claim, seen: Seen, change: Change) -> Change:
    """Set aside who took the packet this time; where nobody did, let other base chains pass what they drop by policy."""
    aside = change.aside | seen.ending | {key for key in claim.takers if key in seen.hit}
    if aside != change.aside:
        return change._replace(aside=aside)
    return change._replace(
        opened=change.opened | {chain for chain, code in seen.ends.items() if code == DROP and chain != claim.base.chain}
    )


def followed(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The victim matches; without it a taker does, and the end is the same."""
    seen = laboratory.run(made, claim)
    if claim.victim not in seen.hit:
        return ""
    again = laboratory.run(made, claim, Change(aside=frozenset((claim.victim,))))
    by = _first(again, claim)
    if not by or _end(seen, claim) != _end(again, claim):
        return ""
    return f"{laboratory.name(claim.victim)} matches it; without that, {laboratory.name(by)} does, to the same end"


def decided(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The taker matches and not the victim; without the taker the victim does, and the end is another."""
    seen = laboratory.run(made, claim)
    by = _first(seen, claim)
    if not by or claim.victim in seen.hit:
        return ""
    again = laboratory.run(made, claim, Change(aside=frozenset((by,))))
    if claim.victim not in again.hit or _end(seen, claim) == _end(again, claim):
        return ""
    return f"{laboratory.name(by)} takes it; without that, {laboratory.name(claim.victim)} does, to another end"


def never(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The packet comes to the victim, which does not match it; without some guards it would."""
    change = Change(hooked=_slotless(claim.victim.rpartition("/")[0]) if _is_tc(claim.victim) else "")
    first_only = claim.base.kind == "nat"  # only the first packet of a connection comes there
    seen = laboratory.run(made, claim, change)
    for _ in range(ROUNDS):
        if claim.victim in seen.hit:
            return ""
        if claim.victim in seen.failed or first_only or seen.ending <= change.aside:
            break
        change = change._replace(aside=change.aside | seen.ending)
        seen = laboratory.run(made, claim, change)
    if not first_only and claim.victim not in seen.failed:
        return ""
    again = laboratory.run(made, claim, change._replace(loosened=claim.victim, steps=claim.guards, untracked=first_only))
    if claim.victim not in again.hit:
        return ""
    name = laboratory.name(claim.victim)
    return f"does not come to {name}" if claim.victim not in seen.failed else f"comes to {name}, which does not match it"


def unled(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """Nothing leads the packet to the chain, or to the rule in its chain; hooked, the chain is entered and the rule matches."""
    seen = laboratory.run(made, claim)
    whole = laboratory.subject.ruleset.chains.get(claim.victim) is not None
    if claim.victim in (seen.entered if whole else seen.hit):
        return ""
    chain = claim.victim if whole else _slotless(claim.victim.rpartition("/")[0])
    again = laboratory.run(made, claim, Change(hooked=chain))
    if claim.victim not in (again.entered if whole else again.hit):
        return ""
    return f"does not come to {laboratory.name(claim.victim)}"


def lost(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The takers match, and the base chain drops the packet; where another chain drops it before, this one would, too."""
    change = Change()
    for _ in range(ROUNDS):
        seen = laboratory.run(made, claim, change)
        if claim.base.chain in seen.ends:
            done = all(key in seen.hit for key in claim.takers) and _end(seen, claim) == DROP
            return f"{laboratory.name(claim.base.chain)} drops it" if done else ""
        further = _further(claim, seen, change)
        if further == change or DROP not in seen.ends.values():
            return ""
        change = further
    return ""


def passes(laboratory: Laboratory, made: Sample, claim: Claim) -> str:
    """The victim matches, and the base chain lets the packet pass."""
    seen = laboratory.run(made, claim)
    passed = claim.victim in seen.hit and _end(seen, claim) not in (DROP, None)
    return f"{laboratory.name(claim.victim)} lets it pass" if passed else ""


def _first(seen: Seen, claim: Claim) -> str:
    return next((key for key in seen.hit if key in claim.takers), "")


def _end(seen: Seen, claim: Claim) -> int | None:
    return seen.ends.get(claim.base.chain)


def _is_tc(key: str) -> bool:
    return key.startswith("tc ")


def _slotless(chain: str) -> str:
    """The chain of a rule's key: filters of tc have their slot in between."""
    return chain.rpartition("/")[0] if _is_tc(chain) else chain


def _entry(claim: Claim) -> Change:
    """Filters of tc's further chains are tried where they stand: what leads there changes what is matched."""
    further = claim.base.family == "tc" and not claim.base.chain.endswith("/0") and _is_tc(claim.victim)
    return Change(hooked=claim.base.chain if further else "")


PROVE: Final[dict[str, Callable[[Laboratory, Sample, Claim], str]]] = {
    "taken": taken,
    "followed": followed,
    "decided": decided,
    "never": never,
    "unled": unled,
    "lost": lost,
    "passes": passes,
}
