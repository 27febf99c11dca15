"""From the steps of a rule to boxes: matches become intervals of their field, whatever cannot be told makes a box inexact."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from tcemu.fields import BY_NAME
from tcemu.ir.effect import ConnLimit, Descend, Limit, Quota, UpdateSet
from tcemu.ir.operand import Bits, Concat, Hash, Key, Load, Lookup, Number, Operand, Raw
from tcemu.ir.step import AnyBit, AnyOf, Compare, Do, Masked, Match, Member, Not, Range, SameAs, Step, Test, Unsupported
from tcemu.lint.space import DOMAINS, Box, Values, both, domain, join, less, meet, whole

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Ruleset

FULL: Final = {field.name: (1 << field.bits) - 1 for field in BY_NAME.values() if field.name not in DOMAINS}  # masks of whole fields
ENUMERATED: Final = 12  # bits up to which a test is tried on every value
MAX_BOXES: Final = 64
ONE_HOT: Final = (1, 2, 4, 8, 64)  # ct.state: a packet is in one of these (nf_conntrack_common.h NF_CT_STATE_BIT)
KEY_BITS: Final = {
    "meta nfproto": 8,
    "meta iifname": 128,
    "meta oifname": 128,
    "meta iiftype": 16,
    "meta oiftype": 16,
    "meta iifgroup": 32,
    "meta oifgroup": 32,
    "meta skuid": 32,
    "meta skgid": 32,
    "meta cpu": 32,
    "meta cgroup": 32,
    "meta rtclassid": 32,
    "meta broute": 8,
}
RANDOM: Final = ("random", "cpu", "time", "hour", "day")  # keys that differ from one look to the next
UNSURE: Final = (Limit, Quota, ConnLimit, UpdateSet, Descend)  # effects that may end the rule
UNSURE_ACTIONS: Final = ("tc bpf ", "tc gate ", "tc ife ")  # of tc, by the start of their keys; the others do what they say


class Members:
    """The elements of sets, read once."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self._kept: dict[str, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
        self.implied: dict[Match, list[Box]] = {}
        self.opaque: dict[str, tuple[Operand, Test]] = {}  # dimensions that stand for a whole test: 1 it passes, 0 it does not

    def of(self, key: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Low and high of each element; none for a catch-all."""
        if key not in self._kept:
            self._kept[key] = [(one.low, one.high or one.low) for one in self.ruleset.elements.children(key)]
        return self._kept[key]

    def told(self, key: str) -> bool:
        """Does the text tell all that the set will ever hold? Named sets are there to be changed by others."""
        record = self.ruleset.sets.get(key)
        return record is not None and record.anonymous and not record.dynamic


def dim_of(operand: Operand) -> tuple[str, int]:
    """The dimension of an operand and its bits (0: not known)."""
    if isinstance(operand, Load):
        field = BY_NAME.get(operand.field)
        return operand.field, field.bits if field is not None else 0
    if isinstance(operand, Key):
        name = " ".join((operand.what, *operand.args))
        return name, KEY_BITS.get(name, 0)
    if isinstance(operand, Raw):
        return f"@{operand.base},{operand.offset},{operand.bits}", operand.bits
    return repr(operand), 0


def steady(operand: Operand) -> bool:
    """Is it the same however often one looks?"""
    if isinstance(operand, Number):
        return False
    if isinstance(operand, Key):
        return not any(word in RANDOM for word in (operand.what, *operand.args))
    if isinstance(operand, Bits):
        return steady(operand.of)
    if isinstance(operand, Hash):
        return operand.of is None or steady(operand.of)
    if isinstance(operand, Concat):
        return all(steady(part) for part in operand.parts)
    return not isinstance(operand, Lookup) or steady(operand.key)


def boxes_of(steps: list[Step], members: Members) -> list[Box]:
    """The boxes of a rule up to its verdict."""
    found = [Box({})]
    for step in steps:
        if isinstance(step, Match):
            new = _matched(step, members)
            if len(found) == len(new) == 1:
                _narrow(found, new[0])
            else:
                found = _and(found, new)
        elif isinstance(step, Unsupported):
            found = [box._replace(exact=False) for box in found]
        elif isinstance(step, Do):
            if isinstance(step.effect, UNSURE) or (
                step.obj
                and step.effect is None
                and "/counter " not in step.obj
                and (not step.obj.startswith("tc ") or step.obj.startswith(UNSURE_ACTIONS))
            ):
                found = [box._replace(exact=False) for box in found]
            if step.then.code:
                break
    return found


def _narrow(found: list[Box], new: Box) -> None:
    """Meet the one box of a rule, which nobody else has yet, with another."""
    dims = found[0].dims
    for dim, values in new.dims.items():
        mine = dims.get(dim)
        dims[dim] = values if mine is None else meet(mine, values)
    if not new.exact and found[0].exact:
        found[0] = Box(dims, False)


def _and(left: list[Box], right: list[Box]) -> list[Box]:
    if len(left) * len(right) > MAX_BOXES:
        return [box._replace(exact=False) for box in left]
    return [both(one, other) for one, other in product(left, right)]


def _matched(match: Match, members: Members) -> list[Box]:
    """The boxes of a guard; implied ones are the same again and again."""
    if not match.implied:
        return match_boxes(match, members)
    known = members.implied.get(match)
    if known is None:
        known = members.implied[match] = match_boxes(match, members)
    return known


def match_boxes(match: Match, members: Members) -> list[Box]:
    """The boxes of one guard."""
    left, test = match.left, match.test
    if type(left) is Load and type(test) is Masked and test.mask == FULL.get(left.field):
        return [Box({left.field: ((test.value, test.value),)})]  # the usual case: a field is a value
    if not steady(left):
        return [Box({}, False)]
    if isinstance(left, Concat):
        return _concat(left, test, members)
    dim, bits = dim_of(_core(left))
    values = _values(left, test, dim, bits, members)
    if values is None:
        return [_opaque(left, test, members)]
    return [Box({dim: values})]


def _opaque(left: Operand, test: Test, members: Members) -> Box:
    """A test that is told from no other than itself."""
    inner = test.test if isinstance(test, Not) else test
    name = f"({left!r} {inner!r})"
    members.opaque[name] = (left, inner)
    return Box({name: ((0, 0),) if isinstance(test, Not) else ((1, 1),)})


def _concat(left: Concat, test: Test, members: Members) -> list[Box]:
    if not isinstance(test, Member) or not members.told(test.set):
        return [_opaque(left, test, members)]
    elements = members.of(test.set)
    if len(elements) > MAX_BOXES or any(len(low) != len(left.parts) for low, _ in elements):
        return [Box({}, False)]
    found = []
    for low, high in elements:
        box = Box({})
        for part, start, end in zip(left.parts, low, high, strict=True):
            dim, bits = dim_of(_core(part))
            values = _solve(part, lambda value, a=start, b=end: a <= value <= b, dim, bits) if isinstance(part, Bits) else ((start, end),)
            if values is None:
                return [Box({}, False)]
            box = both(box, Box({dim: values}))
        found.append(box)
    return found


def _core(operand: Operand) -> Operand:
    while isinstance(operand, Bits):
        operand = operand.of
    return operand


def _apply(operand: Operand, value: int) -> int:
    """What ``Bits`` make of a value."""
    if isinstance(operand, Bits):
        return (((_apply(operand.of, value) >> operand.right) << operand.left) & operand.mask) ^ operand.xor
    return value


def _values(left: Operand, test: Test, dim: str, bits: int, members: Members) -> Values | None:
    """The values of the dimension that pass the test; None where they are no matter of intervals."""
    if isinstance(left, Bits) or dim == "ct.state":
        return _solve(left, _predicate(test, members), dim, bits)
    found = _direct(test, dim, bits, members)
    return meet(found, domain(dim, bits)) if found is not None and dim == "ct.flower" else found


def _solve(left: Operand, passes: object, dim: str, bits: int) -> Values | None:
    if not callable(passes):
        return None
    if dim == "ct.state":
        return join([(value, value) for value in ONE_HOT if passes(_apply(left, value))])
    if not 0 < bits <= ENUMERATED:
        return _prefix(left, passes, bits)
    return join([(value, value) for value in range(1 << bits) if passes(_apply(left, value))])


def _prefix(left: Operand, passes: object, bits: int) -> Values | None:
    """``x & mask == value`` where the mask is that of a prefix."""
    wanted = getattr(passes, "equals", None)
    if not isinstance(left, Bits) or isinstance(left.of, Bits) or left.xor or left.left or left.right or wanted is None or not bits:
        return None
    free = ((1 << bits) - 1) & ~left.mask
    if free & (free + 1) or wanted & free:
        return None
    return ((wanted, wanted | free),)


class _Predicate:
    """A test as something to call; ``equals`` where it is plain equality."""

    def __init__(self, test: Test, members: Members) -> None:
        self.test = test
        self.members = members
        full = isinstance(test, Masked) and (test.mask & (test.mask + 1)) == 0
        self.equals = (
            test.value if isinstance(test, Masked) and full else test.value if isinstance(test, Compare) and test.op == "==" else None
        )

    def __call__(self, value: int) -> bool:
        return passes(self.test, value, self.members)


def _predicate(test: Test, members: Members) -> _Predicate | None:
    inner = test.test if isinstance(test, Not) else test
    if isinstance(inner, (SameAs, AnyOf)) or (isinstance(inner, Member) and not members.told(inner.set)):
        return None
    return _Predicate(test, members)


def passes(test: Test, value: int, members: Members) -> bool:
    """Does a value pass a test?"""
    if isinstance(test, Masked):
        return value & test.mask == test.value
    if isinstance(test, AnyBit):
        return value & test.bits != 0
    if isinstance(test, Range):
        return test.low <= value <= test.high
    if isinstance(test, Member):
        return any(not low or low[0] <= value <= high[0] for low, high in members.of(test.set))
    if isinstance(test, Not):
        return not passes(test.test, value, members)
    if isinstance(test, Compare):
        return {
            "==": value == test.value,
            "!=": value != test.value,
            "<": value < test.value,
            ">": value > test.value,
            "<=": value <= test.value,
            ">=": value >= test.value,
        }[test.op]
    return False


def _direct(test: Test, dim: str, bits: int, members: Members) -> Values | None:
    if isinstance(test, Not):
        inner = _direct(test.test, dim, bits, members)
        return None if inner is None or not bits else less(domain(dim, bits), inner)
    if isinstance(test, Range):
        return ((test.low, test.high),)
    if isinstance(test, Member):
        if not members.told(test.set):
            return None
        elements = members.of(test.set)
        if any(not low for low, _ in elements):
            return whole(bits) if bits else None
        return join([(low[0], high[0]) for low, high in elements])
    if isinstance(test, Masked):
        return _masked(test, dim, bits)
    if isinstance(test, AnyBit):
        return _bits(test.bits, bits)
    return _compared(test, dim, bits) if isinstance(test, Compare) else None


def _masked(test: Masked, dim: str, bits: int) -> Values | None:
    if not bits:
        return ((test.value, test.value),) if not test.mask & (test.mask + 1) else None
    free = ((1 << bits) - 1) & ~test.mask
    if not free & (free + 1):
        return ((test.value, test.value | free),)
    if bits <= ENUMERATED:
        return join([(value, value) for value in range(1 << bits) if value & test.mask == test.value])
    return None


def _bits(wanted: int, bits: int) -> Values | None:
    if not 0 < bits <= ENUMERATED:
        return None
    return join([(value, value) for value in range(1 << bits) if value & wanted])


def _compared(test: Compare, dim: str, bits: int) -> Values | None:
    value = test.value
    if test.op == "==":
        return ((value, value),)
    if not bits:
        return None
    top = (1 << bits) - 1
    return {
        "!=": less(domain(dim, bits), ((value, value),)),
        "<": ((0, value - 1),) if value else (),
        "<=": ((0, value),),
        ">": ((value + 1, top),) if value < top else (),
        ">=": ((value, top),),
    }[test.op]
