"""Header space: which packets a rule matches, as boxes of intervals.

    box        dimension → set of values, all of which must hold; a dimension that is not named may be anything, or absent
    values     disjoint closed intervals in order
    a rule     a list of boxes (a set of concatenations gives several), each exact or only an upper bound

An absent header fails nft's match whatever the test, so that "any port" is less than no word about ports: a dimension that is named with
all its values still asks for the header. `covers` and `without` keep to that: they err on the side of "not covered".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

Values = tuple[tuple[int, int], ...]
NOTHING: Final[Values] = ()
MAX_PIECES: Final = 256  # of a box less others, before it counts as not decided


def whole(bits: int) -> Values:
    """All values of so many bits."""
    return ((0, (1 << bits) - 1),)


def meet(left: Values, right: Values) -> Values:
    """Values in both."""
    if left == right:
        return left
    found, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def join(values: Sequence[tuple[int, int]]) -> Values:
    """Intervals in any order, made disjoint."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(values):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def less(left: Values, right: Values) -> Values:
    """Values of the left that are not in the right."""
    found = []
    for start, high in left:
        low = start
        for begin, end in right:
            if end < low:
                continue
            if begin > high:
                break
            if begin > low:
                found.append((low, begin - 1))
            low = end + 1
            if low > high:
                break
        if low <= high:
            found.append((low, high))
    return tuple(found)


def within(inner: Values, outer: Values) -> bool:
    """Is every value of the first in the second?"""
    if len(outer) == 1:
        return bool(not inner or (outer[0][0] <= inner[0][0] and inner[-1][1] <= outer[0][1]))
    return not less(inner, outer)


class Box(NamedTuple):
    """See the module's text. exact: a packet in the box is matched for sure; always: dimensions that every packet here has."""

    dims: dict[str, Values]
    exact: bool = True

    @property
    def empty(self) -> bool:
        """Does nothing match?"""
        return any(not values for values in self.dims.values())


def both(left: Box, right: Box) -> Box:
    """What is in both boxes."""
    if not right.dims:
        return Box(left.dims, left.exact and right.exact)
    if not left.dims:
        return Box(right.dims, left.exact and right.exact)
    dims = dict(left.dims)
    for dim, values in right.dims.items():
        mine = dims.get(dim)
        dims[dim] = values if mine is None else meet(mine, values)
    return Box(dims, left.exact and right.exact)


def covers(outer: Box, inner: Box, always: frozenset[str]) -> bool:
    """Is the inner box inside the outer one?"""
    for dim, values in outer.dims.items():
        mine = inner.dims.get(dim)
        if mine is None:
            width = ALWAYS_BITS.get(dim) if dim in always else None
            if width is None or not within(domain(dim, width), values):
                return False
        elif not within(mine, values):
            return False
    return True


def apart(left: Box, right: Box) -> bool:
    """Do the boxes surely share nothing?"""
    small, large = (left.dims, right.dims) if len(left.dims) < len(right.dims) else (right.dims, left.dims)
    return any(dim in large and not meet(values, large[dim]) for dim, values in small.items())


def without(box: Box, other: Box, always: frozenset[str]) -> list[Box] | None:
    """The parts of a box outside another, disjoint in some dimension each; None where that cannot be told."""
    pieces: list[Box] = []
    rest = dict(box.dims)
    for dim, values in other.dims.items():
        mine = rest.get(dim)
        if mine is None:
            width = ALWAYS_BITS.get(dim) if dim in always else None
            if width is None:
                return None  # packets without that header stay
            mine = domain(dim, width)
        left = less(mine, values)
        if left:
            pieces.append(Box({**rest, dim: left}, box.exact))
        rest[dim] = meet(mine, values)
        if not rest[dim]:
            return [box]
    return pieces


def remainder(boxes: Sequence[Box], others: Sequence[Box], always: frozenset[str]) -> list[Box] | None:
    """What is left of boxes when others are taken away; None when it became too much to tell."""
    left = [box for box in boxes if not box.empty]
    for other in others:
        following: list[Box] = []
        for box in left:
            if apart(box, other):
                following.append(box)
                continue
            pieces = without(box, other, always)
            following += [box] if pieces is None else [piece for piece in pieces if not piece.empty]
        left = following
        if not left:
            return []
        if len(left) > MAX_PIECES:
            return None
    return left


# dimensions that every packet of a family's hook has, by width; one-hot states have a domain of their own
ALWAYS_BITS: Final = {
    "ct.state": 7,
    "meta.l4proto": 8,
    "meta nfproto": 8,
    "meta.mark": 32,
    "meta.iif": 32,
    "meta.oif": 32,
    "meta iifname": 128,
    "meta oifname": 128,
    "meta.protocol": 16,
    "meta.netproto": 16,
    "meta.pkttype": 8,
    "meta.length": 32,
    "meta.priority": 32,
    "ip.saddr": 32,
    "ip.daddr": 32,
    "ip6.saddr": 128,
    "ip6.daddr": 128,
    "ip.tos": 8,
    "ip.ttl": 8,
    "ct.flower": 8,
    "th.dport": 16,
    "th.sport": 16,
}
# flower's ct_state: no trk and nothing else, or trk with invalid alone, or with what goes together of new 1, est 2, rel 4, rpl 32
FLOWER_STATES: Final = join(
    [
        (0, 0),
        (8, 8),
        (24, 24),
        *((8 | rel | state, 8 | rel | state) for rel in (0, 4) for state in (0, 1, 2, 2 | 32, 32)),
    ]
)
DOMAINS: Final[dict[str, Values]] = {
    "ct.flower": FLOWER_STATES,
    "ct.state": ((1, 2), (4, 4), (8, 8), (64, 64)),
    "meta nfproto": ((2, 2), (10, 10)),
}


def domain(dim: str, bits: int) -> Values:
    """All values that a dimension can have."""
    return DOMAINS.get(dim) or whole(bits)


def points(values: Values, limit: int) -> Iterator[int]:
    """Some values, one of each interval first."""
    count = 0
    for low, _high in values:
        yield low
        count += 1
        if count >= limit:
            return
    for low, high in values:
        if high > low:
            yield high
            count += 1
            if count >= limit:
                return
