"""Members of sets that are there: what new intervals meet, what is removed, what contains an element asked for.

Source: nftables src/intervals.c (set_overlap, set_automerge, set_delete); Linux nft_set_rbtree.c, nft_set_pipapo.c.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from tcemu.ir.ruleset import Element
from tcemu.nft.cache import SetInfo
from tcemu.nft.errors import NftError
from tcemu.nft.kernel import Kernel
from tcemu.nft.members import interval_of, key_of
from tcemu.nft.notes import ElementNote, unpack
from tcemu.nft.nouns import element as elements
from tcemu.nft.refusal import EEXIST, ENOENT, KernelError
from tcemu.nft.sets import merge
from tcemu.nft.tree import CatchAll, Command, Range, Value
from tcemu.nft.tree import Element as Member

Bounds = tuple[tuple[int, ...], tuple[int, ...]]


def join(kernel: Kernel, info: SetInfo, members: list[Member], command: Command) -> list[Member]:
    """New members of a set of intervals next to old ones: merged, refused, or as they are."""
    old = [element for element in kernel.ruleset.elements.children(info.key) if element.low]
    if not old:
        return members
    if info.concat is not None:
        for member in members:
            _check_ranges(member, old, command)
        return members
    if info.note.auto_merge and not info.is_map:
        return _merge_old(kernel, info, members, old)
    _check(members, old, command, info)
    return members


def _merge_old(kernel: Kernel, info: SetInfo, members: list[Member], old: list[Element]) -> list[Member]:
    """Old members that a new one overlaps or touches become part of it."""
    spans = sorted((element.low[0], element.high[0], element) for element in old)
    starts = [span[0] for span in spans]
    grown: list[Member] = []
    for member in merge(members):
        if isinstance(member.key, CatchAll):
            grown.append(member)
            continue
        low, high = interval_of(member)[0][0], interval_of(member)[1][0]
        first = max(bisect_left(starts, low) - 1, 0)
        covered = False
        for start, end, element in spans[first:]:
            if start > high + 1:
                break
            if end + 1 < low:
                continue
            if start <= low and high <= end:
                covered = True
                break
            low, high = min(low, start), max(high, end)
            kernel.ruleset.elements.delete(element.key)
        if not covered:
            grown.append(_spanning(member, low, high))
    return merge(grown)


def _spanning(member: Member, low: int, high: int) -> Member:
    key = member.key
    ends = [Value(key.at, number).typed(key.dtype, key.bits, key.order) for number in (low, high)]
    made = Member(member.at, ends[0] if low == high else Range(key.at, ends[0], ends[1]).typed(key.dtype, key.bits, key.order))
    made.comment, made.timeout, made.expires, made.stmts = member.comment, member.timeout, member.expires, member.stmts
    return made.typed(member.dtype, member.bits, member.order)  # type: ignore[no-any-return]


def _check(members: list[Member], old: list[Element], command: Command, info: SetInfo) -> None:
    """A new interval must be one that is there, or meet none."""
    spans = sorted((element.low[0], element.high[0]) for element in old)
    starts = [span[0] for span in spans]
    for member in members:
        low_parts, high_parts = interval_of(member)
        if not low_parts:
            continue
        low, high = low_parts[0], high_parts[0]
        at = bisect_right(starts, high) - 1
        while at >= 0 and spans[at][1] >= low:
            if spans[at] != (low, high):
                raise NftError("interval overlaps with an existing one", member.at if member.data is None else member.key.at)
            at -= 1
    _ = (command, info)


def _check_ranges(member: Member, old: list[Element], command: Command) -> None:
    """Concatenated ranges may not overlap in part (nft_pipapo_insert)."""
    low, high = interval_of(member)
    if not low:
        return
    for element in old:
        if element.low == low and element.high == high:
            continue
        if all(
            one <= other_high and other_low <= two
            for one, two, other_low, other_high in zip(low, high, element.low, element.high, strict=True)
        ):
            start_inside = all(o <= x <= p for x, o, p in zip(low, element.low, element.high, strict=True))
            end_inside = all(o <= x <= p for x, o, p in zip(high, element.low, element.high, strict=True))
            if start_inside or end_inside:
                raise KernelError(EEXIST, member.at)
    _ = command


def remove(kernel: Kernel, info: SetInfo, members: list[Member], command: Command, table: str) -> None:
    """Delete members; in sets that merge, parts of intervals too."""
    for member in members:
        low, high = interval_of(member)
        element = kernel.ruleset.elements.get(key_of(info, low, high))
        if element is not None:
            elements.drop(kernel, table, info, element)
        elif info.interval and info.concat is None and low and info.note.auto_merge:
            _cut(kernel, info, member, low[0], high[0])
        elif info.interval and info.concat is None:
            raise NftError("element does not exist", member.at)
        elif command.op != "destroy":
            raise KernelError(ENOENT, member.at)


def _cut(kernel: Kernel, info: SetInfo, member: Member, low: int, high: int) -> None:
    """Take a stretch out of the interval that holds it."""
    for element in kernel.ruleset.elements.children(info.key):
        if element.low and element.low[0] <= low and high <= element.high[0]:
            kernel.ruleset.elements.delete(element.key)
            for start, end in ((element.low[0], low - 1), (high + 1, element.high[0])):
                if start <= end:
                    piece = Element(key=key_of(info, (start,), (end,)), parent=info.key, rank=element.rank, low=(start,), high=(end,))
                    piece.note, piece.timeout, piece.expires = element.note, element.timeout, element.expires
                    kernel.ruleset.elements.put(piece)
            return
    raise NftError("element does not exist", member.at)


def find(kernel: Kernel, info: SetInfo, members: list[Member], command: Command) -> list[Element]:
    """The members that hold what is asked for; ENOENT if one is not there."""
    found: list[Element] = []
    for member in members:
        low, high = interval_of(member)
        hit = kernel.ruleset.elements.get(key_of(info, low, high))
        if hit is None and info.interval:
            hit = next((element for element in kernel.ruleset.elements.children(info.key) if _holds(element, low, high)), None)
        if hit is None:
            catch_all: Any = next((element for element in kernel.ruleset.elements.children(info.key) if not element.low), None)
            hit = catch_all if catch_all is not None and unpack(catch_all.note, ElementNote).catchall else None
        if hit is None:
            raise KernelError(ENOENT, command.at)
        found.append(hit)
    return found


def _holds(element: Element, low: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return bool(element.low) and all(
        start <= one and other <= end for start, end, one, other in zip(element.low, element.high, low, high, strict=True)
    )
