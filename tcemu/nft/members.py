"""Evaluated members of sets as records of the shelf of elements."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tcemu.ir.effect import Count, Effect, Last, Limit, Quota
from tcemu.ir.ruleset import Element
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do
from tcemu.nft.cache import SetInfo
from tcemu.nft.datatypes import padded
from tcemu.nft.elements import form_of_state
from tcemu.nft.forms import form as form_of
from tcemu.nft.notes import ElementNote, pack
from tcemu.nft.sets import bounds, number, parts_of
from tcemu.nft.tree import CatchAll, Concat, Range, Stmt, Value, Verdict
from tcemu.nft.tree import Element as Member

MS = 1_000_000


def key_of(info: SetInfo, low: tuple[int, ...], high: tuple[int, ...]) -> str:
    """The key of an element: its set and its bounds."""
    shown = ".".join(f"{one:x}" if one == other else f"{one:x}-{other:x}" for one, other in zip(low, high, strict=True))
    return f"{info.key}/{shown or '*'}"


def interval_of(member: Member) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The bounds of a member's parts; none for the catch-all."""
    if isinstance(member.key, CatchAll):
        return (), ()
    pairs = [bounds(part) for part in parts_of(member.key)]
    return tuple(low for low, _high in pairs), tuple(high for _low, high in pairs)


def record(info: SetInfo, member: Member, table: str, now: int) -> Element:
    """A member as it is stored."""
    low, high = interval_of(member)
    note = ElementNote(member.comment, None, not low, member.timeout, member.expires)
    made = Element(key=key_of(info, low, high), parent=info.key, low=low, high=high)
    _data(made, note, member.data, table, bool(info.note.object), info.note.data_interval)
    timeout = member.timeout if member.timeout is not None else info.note.timeout
    if timeout and "timeout" in info.note.flags:
        made.timeout = timeout * MS
        made.expires = now + (member.expires if member.expires is not None else timeout) * MS
    made.effects, note.stmts = _states(info, member)
    made.note = pack(note)
    return made


def _data(made: Element, note: ElementNote, data: Any, table: str, is_object: bool, ranged: bool) -> None:
    """What the member maps to; where the map holds ranges, every member has an upper end."""
    if data is None:
        return
    if isinstance(data, Verdict):
        from tcemu.nft.statements.verdict import ir_verdict

        made.verdict = ir_verdict(data, table)
        return
    if is_object:
        note.target = str(data.value)
        note.data = form_of(data)
        return
    low = high = 0
    for part in parts_of(data):
        first, last = bounds(part)
        low = low << padded(part.bits) | first if isinstance(data, Concat) else first
        high = high << padded(part.bits) | last if isinstance(data, Concat) else last
    made.data = low
    if ranged:
        made.data_high = high
    if not (isinstance(data, Value) and isinstance(data.value, int)) or data.dtype is None or data.dtype.root == "bitmask":
        note.data = _shown(data)


def _shown(data: Any) -> Any:
    """Ranges of addresses that are prefixes are written so."""
    if isinstance(data, Range) and data.dtype is not None and data.dtype.prefix:
        from tcemu.nft.elements import part_form

        low, high = bounds(data)
        return part_form(data.dtype, data.bits, low, high)
    if isinstance(data, Concat):
        return ["concat", *(_shown(part) for part in data.parts)]
    return form_of(data)


def _states(info: SetInfo, member: Member) -> tuple[list[Effect], list[Any]]:
    """Statements of a member, or those that the set gives each new one."""
    from tcemu.nft.statements import KINDS

    stmts = member.stmts or info.stmts
    if not stmts and info.effects:  # the set was there before
        made = [anew(effect) for effect in info.effects]
        return made, [form_of_state(effect) for effect in made]
    return effects_of(stmts), [KINDS[stmt.kind].form(stmt, 0) for stmt in stmts]


def anew(effect: Effect) -> Effect:
    """A statement of a set as each new member gets it: with counters of its own."""
    if isinstance(effect, Count | Last):
        return replace(effect, stats=Stats())
    if isinstance(effect, Limit | Quota):
        return replace(effect, stats=Stats() if effect.stats is not None else None)
    return effect


def effects_of(stmts: list[Stmt]) -> list[Effect]:
    """Stateful statements as effects with fresh counters."""
    from tcemu.nft.statements import KINDS

    effects: list[Effect] = []
    for stmt in stmts:
        step = KINDS[stmt.kind].steps(stmt, None)[0]
        assert isinstance(step, Do) and step.effect is not None
        effects.append(step.effect)
    return effects


__all__ = ["effects_of", "interval_of", "key_of", "number", "record"]
