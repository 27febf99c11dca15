"""Steps: the body of a rule, matches and effects in the order in which they run."""

from __future__ import annotations

from msgspec import Struct

from tcemu.ir.effect import Effect
from tcemu.ir.operand import Operand
from tcemu.ir.verdict import NEXT, Verdict


class Masked(Struct, frozen=True, tag="masked"):
    """``left & mask == value``; value has no bits outside mask."""

    value: int
    mask: int


class AnyBit(Struct, frozen=True, tag="anybit"):
    """``left & bits != 0``."""

    bits: int


class Range(Struct, frozen=True, tag="range"):
    """``low <= left <= high``."""

    low: int
    high: int


class Member(Struct, frozen=True, tag="member"):
    """Left is in the set of that key; an anonymous set's key is unique in its table."""

    set: str


class Compare(Struct, frozen=True, tag="compare"):
    """``left op value``; op is one of == != < > <= >=, all unsigned."""

    op: str
    value: int


class SameAs(Struct, frozen=True, tag="sameas"):
    """``left == operand``, for the rare match of two loaded values."""

    operand: Operand


class Not(Struct, frozen=True, tag="not"):
    """The other way round; a missing header still fails the match."""

    test: Test


class AnyOf(Struct, frozen=True, tag="anyof", omit_defaults=True):
    """One of the options holds, each being matches that must all hold; ``negate``: none does. Left does not count.

    A match on a header that the packet does not have does not hold, and so counts as such here (tc's extended matches).
    """

    options: tuple[tuple[Match, ...], ...]
    negate: bool = False


Test = Masked | AnyBit | Range | Member | Compare | SameAs | AnyOf | Not


class Match(Struct, frozen=True, tag="match", omit_defaults=True):
    """A guard. ``implied`` guards run and are not printed.

    ``zero``: an absent header reads zero (flower) instead of failing the match (nft). ``ends``: it ends the whole slot (tc u32).
    """

    left: Operand
    test: Test
    implied: bool = False
    zero: bool = False
    ends: bool = False


class Do(Struct, frozen=True, tag="do", omit_defaults=True):
    """An effect and the verdict that follows it.

    ``obj`` names a shared object of the ruleset, which then holds effect, verdict and counters (tc actions,
    nft named counters); else ``effect`` stands here. An effect may override ``then`` (a limit, a random pick).
    """

    effect: Effect | None = None
    then: Verdict = NEXT
    obj: str = ""
    implied: bool = False


class Unsupported(Struct, frozen=True, tag="unsupported", omit_defaults=True):
    """A statement that parses and lists but does not run: the packet that meets it is refused, with this text."""

    text: str
    why: str = ""


Step = Match | Do | Unsupported
