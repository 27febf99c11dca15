"""Boxes against brute force: what is said to be covered is covered, what is said to be left is left."""

from __future__ import annotations

from itertools import product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcemu.lint.index import Index
from tcemu.lint.space import Box, Values, apart, both, covers, join, less, meet, remainder

TOP = 15
DIMS = ("ip.saddr", "th.dport", "tcp.flags")
ALWAYS = frozenset(("ip.saddr",))

intervals = st.lists(
    st.tuples(st.integers(0, TOP), st.integers(0, TOP)).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=3
).map(join)
boxes = st.dictionaries(st.sampled_from(DIMS), intervals, max_size=3).map(Box)


def members(values: Values) -> set[int]:
    return {value for low, high in values for value in range(low, high + 1)}


def matches(box: Box, packet: dict[str, int | None]) -> bool:
    """None: the packet has no such header."""
    for dim, values in box.dims.items():
        value = packet[dim]
        if value is None or not any(low <= value <= high for low, high in values):
            return False
    return True


def packets() -> list[dict[str, int | None]]:
    some = (0, 3, 7, 8, 15)
    return [
        {"ip.saddr": source, "th.dport": port, "tcp.flags": flags}
        for source, port, flags in product(range(TOP + 1), (*some, None), (*some, None))
    ]


PACKETS = packets()
patient = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(intervals, intervals)
def test_intervals_are_sets(left: Values, right: Values) -> None:
    assert members(meet(left, right)) == members(left) & members(right)
    assert members(less(left, right)) == members(left) - members(right)
    assert members(join([*left, *right])) == members(left) | members(right)


@patient
@given(boxes, boxes)
def test_what_is_covered_matches_nothing_alone(outer: Box, inner: Box) -> None:
    if covers(outer, inner, ALWAYS):
        assert all(matches(outer, packet) for packet in PACKETS if matches(inner, packet))


@patient
@given(boxes, boxes)
def test_boxes_that_are_apart_share_nothing(left: Box, right: Box) -> None:
    if apart(left, right):
        assert not any(matches(left, packet) and matches(right, packet) for packet in PACKETS)


@patient
@given(boxes, boxes)
def test_both_is_the_intersection(left: Box, right: Box) -> None:
    shared = both(left, right)
    assert all(matches(shared, packet) == (matches(left, packet) and matches(right, packet)) for packet in PACKETS)


@patient
@given(boxes, st.lists(boxes, max_size=4))
def test_nothing_is_left_only_where_all_is_taken(box: Box, others: list[Box]) -> None:
    left = remainder([box], others, ALWAYS)
    if left is not None and not left:
        assert all(any(matches(other, packet) for other in others) for packet in PACKETS if matches(box, packet))


@patient
@given(boxes, st.lists(boxes, max_size=8))
def test_the_index_finds_a_cover_where_there_is_one(box: Box, others: list[Box]) -> None:
    index: Index[int] = Index(frozenset())
    for number, other in enumerate(others):
        index.add(other, number)
    found = index.cover(box)
    there = [number for number, other in enumerate(others) if covers(other, box, frozenset())]
    assert (found is not None) == bool(there)
    assert found is None or found in there
