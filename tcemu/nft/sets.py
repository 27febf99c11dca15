"""Elements: evaluated against the type of their set, turned into intervals, merged or refused.

Source: nftables src/evaluate.c (expr_evaluate_set, set_elem), intervals.c (set_automerge, set_overlap).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.notes import SetNote
from tcemu.nft.refusal import EINVAL, KernelError
from tcemu.nft.tree import CatchAll, Concat, Element, Expr, Prefix, Range, SetLiteral, SetRef, Value, Verdict

if TYPE_CHECKING:
    from tcemu.nft.cache import SetInfo
    from tcemu.nft.evaluate import Scope

IFNAME_BYTES: Final = 16


def evaluate_literal(scope: Scope, expr: SetLiteral) -> SetLiteral:
    """Evaluate all members; nested sets are flattened."""
    items: list[Any] = []
    dtype, bits, order, key = scope.dtype, scope.bits, scope.order, scope.key
    scope.depth += 1
    for item in expr.items:
        scope.want(dtype, bits, order, key=key)
        made = scope.expr(item)
        if isinstance(made, SetLiteral):
            items += made.items
        elif isinstance(made, Element) and isinstance(made.key, SetLiteral):
            items += [_with_data(inner, made) for inner in made.key.items]
        elif isinstance(made, Element):
            if isinstance(made.key, SetRef):
                raise NftError("Set reference cannot be part of another set", made.at)
            if not made.constant():
                raise NftError("Set member is not constant", made.at)
            items.append(made)
        else:
            element = Element(made.at, made)
            items.append(element.typed(made.dtype, made.bits, made.order))
    scope.depth -= 1
    scope.want(dtype, bits, order, key=key)
    if items and scope.set is None and not isinstance(items[-1].key, CatchAll):
        dtype = items[-1].dtype  # an anonymous set has the type of its last member
    made_set: SetLiteral = SetLiteral(expr.at, items).typed(dtype, bits, order)
    return made_set


def _with_data(inner: Expr, outer: Element) -> Element:
    if isinstance(inner, Element) and outer.data is None:
        return inner
    made = Element(inner.at, inner.key if isinstance(inner, Element) else inner)
    made.data, made.comment, made.stmts = outer.data, outer.comment, outer.stmts
    made.timeout, made.expires = outer.timeout, outer.expires
    return made.typed(inner.dtype, inner.bits, inner.order)  # type: ignore[no-any-return]


def evaluate_element(scope: Scope, expr: Element) -> Element:
    """A member: its key in the set's type, its data in the map's."""
    info = scope.set
    if info is not None:
        scope.want(info.dtype, info.bits, info.order, key=info.concat)
    key = scope.expr(expr.key)
    if info is not None:
        _fits(info, key)
    made = Element(expr.at, key)
    made.comment, made.timeout, made.expires = expr.comment, expr.timeout, expr.expires
    made.stmts = _statements(scope, expr)
    if expr.data is not None:
        made.data = _data(scope, expr)
    return made.typed(key.dtype, key.bits, key.order)  # type: ignore[no-any-return]


def _statements(scope: Scope, expr: Element) -> list[Any]:
    info = scope.set
    if not expr.stmts:
        return []
    if info is not None and info.stmts is not None:
        wanted = [form[1] if form[0] == "text" else form[0] for form in info.note.stmts]
        if wanted and len(wanted) != len(expr.stmts):
            raise NftError(f"number of statements mismatch, set expects {len(wanted)} but element has {len(expr.stmts)}", expr.at)
        for stmt, kind in zip(expr.stmts, wanted, strict=False):
            if stmt.kind != kind:
                raise NftError(f"statement mismatch, element expects {stmt.kind}, but {info.noun} has type {kind}", stmt.at)
    return list(expr.stmts)


def _fits(info: SetInfo, key: Expr) -> None:
    if not info.anonymous and not info.interval:
        for part in key.parts if isinstance(key, Concat) else [key]:
            if isinstance(part, Prefix | Range):
                raise NftError(
                    f"You must add 'flags interval' to your {info.noun} declaration if you want to add {part.what} elements", part.at
                )


def _data(scope: Scope, expr: Element) -> Any:
    info = scope.set
    if info is None:
        raise NftError("mapping outside of map context", expr.at)
    if not info.is_map:
        raise NftError("set is not a map", info.at)
    assert expr.data is not None
    if info.note.object:
        scope.want(TYPES["string"], 256 * 8, "host")
    else:
        scope.want(info.data, info.data_bits, info.note.data_orders[0] if len(info.note.data_orders) == 1 else "", key=info.data_concat)
    data = scope.expr(expr.data)
    if not data.constant():
        raise NftError("Value must be a constant", data.at)
    interval = any(isinstance(part, Range | Prefix) for part in (data.parts if isinstance(data, Concat) else [data]))
    if interval and info.anonymous:
        info.note.data_interval = True
    if interval and not info.note.data_interval:
        raise NftError("Value must be a singleton", data.at)
    if info.note.object and not isinstance(data, Value):
        raise NftError(f"Object mapping data should be a value, not {data.what}", data.at)
    if info.verdicts != isinstance(data, Verdict):
        raise KernelError(EINVAL, expr.key.at)
    return data


# ---------------------------------------------------------------- values
def number(value: int | str, bits: int = 0) -> int:
    """A constant as a number; text is its bytes, the first the highest, filled with zeros."""
    if isinstance(value, str):
        raw = value.replace("\\*", "*").encode()
        return int.from_bytes(raw.ljust((bits or len(raw) * 8) // 8, b"\0"), "big")
    return value


def bounds(expr: Expr) -> tuple[int, int]:
    """The lowest and highest number of a part."""
    if isinstance(expr, Value):
        value = number(expr.value, expr.bits)
        return value, value
    if isinstance(expr, Range):
        return bounds(expr.low)[0], bounds(expr.high)[1]
    if isinstance(expr, Prefix):
        low = bounds(expr.base)[0]
        return low, low | (1 << expr.bits - expr.length) - 1
    raise AssertionError(expr.what)


def parts_of(key: Expr) -> list[Expr]:
    """The parts of a key."""
    return key.parts if isinstance(key, Concat) else [key]


def merge(elements: list[Element]) -> list[Element]:
    """Join what overlaps or touches (auto-merge); single members without data only."""
    catchall = [item for item in elements if isinstance(item.key, CatchAll)]
    ordered = sorted(
        (item for item in elements if not isinstance(item.key, CatchAll)), key=lambda item: (bounds(item.key)[0], -bounds(item.key)[1])
    )
    merged: list[Element] = []
    for item in ordered:
        low, high = bounds(item.key)
        if merged:
            before_low, before_high = bounds(merged[-1].key)
            if low <= before_high + 1 and not item.stmts and not merged[-1].stmts:
                if high > before_high:
                    merged[-1] = _joined(merged[-1], before_low, high)
                continue
        merged.append(item)
    return merged + catchall


def _joined(item: Element, low: int, high: int) -> Element:
    key = item.key
    ends = [Value(key.at, value).typed(key.dtype, key.bits, key.order) for value in (low, high)]
    made = Element(item.at, Range(key.at, ends[0], ends[1]).typed(key.dtype, key.bits, key.order))
    made.comment, made.timeout, made.expires, made.data = item.comment, item.timeout, item.expires, item.data
    return made.typed(item.dtype, item.bits, item.order)  # type: ignore[no-any-return]


def check_overlap(elements: list[Element]) -> None:
    """New intervals must not overlap each other."""
    ordered = sorted((item for item in elements if not isinstance(item.key, CatchAll)), key=lambda item: bounds(item.key)[0])
    before: Element | None = None
    highest = -1
    for item in ordered:
        low, high = bounds(item.key)
        if before is not None and low <= highest and (low, high) != bounds(before.key):
            raise NftError("conflicting intervals specified", item.at if item.data is None else item.key.at, before.key.at)
        if high > highest:
            before, highest = item, high


# ---------------------------------------------------------------- anonymous sets
def declare(scope: Scope, literal: SetLiteral, key: Expr, data: Any, verdicts: bool) -> SetRef:
    """Make an anonymous set or map of a literal whose members are evaluated."""
    info = new_info(key, data, verdicts)
    finish(scope, info, literal)
    return reference(scope, literal, info)


def reference(scope: Scope, literal: SetLiteral, info: SetInfo) -> SetRef:
    """Point to an anonymous set that comes with the rule."""
    scope.sets.append(info)
    made: SetRef = SetRef(literal.at, info.name)
    made.info = info
    return made.typed(info.dtype, info.bits, "")  # type: ignore[no-any-return]


def new_info(key: Expr, data: Any, verdicts: bool) -> SetInfo:
    """An anonymous set with the type of what is looked up in it."""
    from tcemu.nft.cache import SetInfo

    note = SetNote(flags=["constant"])
    parts = key.parts if isinstance(key, Concat) else [key]
    note.types = [part.dtype.name if part.dtype else "invalid" for part in parts]
    note.bits = [part.bits for part in parts]
    note.orders = [part.order for part in parts]
    if note.types == ["xinteger"] and (verdicts or data is not None):  # keys of maps are listed as plain numbers
        note.types = ["integer"]
    if verdicts:
        note.data_types, note.data_bits, note.data_orders = ["verdict"], [0], [""]
    elif data is not None:
        dtype, bits = data
        kinds = dtype.parts or (dtype,)
        note.data_types = [kind.name for kind in kinds]
        note.data_bits = [kind.bits for kind in kinds] if dtype.parts else [bits]
        note.data_orders = [kind.order for kind in kinds]
    info = SetInfo("", "", note, True)
    if isinstance(key, Concat):
        info.concat = key
    return info


def finish(scope: Scope, info: SetInfo, literal: SetLiteral) -> None:
    """Members are known: is it a set of intervals, and do they overlap?"""
    elements = [item for item in literal.items if isinstance(item, Element)]
    info.at = literal.at
    single = all(item.singleton() for item in elements)
    if not single:
        info.note.flags.append("interval")
        if info.concat is None:
            if info.is_map:
                check_overlap(elements)
            else:
                elements = merge(elements)
    if info.concat is not None:
        for item in elements:
            if not isinstance(item.key, Concat | CatchAll):
                raise NftError("expression is not a concatenation", item.at)
    info.elements = elements
    if any(isinstance(item.data, Verdict) for item in elements) and not info.verdicts:
        raise NftError("Could not process rule: Invalid argument", literal.at)
    _ = scope
