"""Several captures as one, by time."""

from __future__ import annotations

import random

import pytest
from capture_bytes import Bytes, header, record
from hypothesis import given
from hypothesis import strategies as st

from tcemu.capture.merge import Merge, merge
from tcemu.capture.pcap import PcapReader


def reader_of(times: list[int], name: str = "r") -> PcapReader:
    data = header(0xA1B23C4D) + b"".join(record(f"{name}{place}".encode(), 0, ts) for place, ts in enumerate(times))
    return PcapReader(Bytes(data, name), 64)


def order(merged: Merge) -> list[tuple[int, bytes, int]]:
    found = []
    while merged.next():
        reader = merged.current
        found.append((int(merged.index), reader.data[reader.start : reader.end], reader.ts))
    assert not merged.next()
    return found


def test_packets_come_by_time() -> None:
    found = order(merge([reader_of([10, 40]), reader_of([20, 25, 60]), reader_of([5])]))
    assert [ts for _, _, ts in found] == [5, 10, 20, 25, 40, 60]
    assert [index for index, _, _ in found] == [2, 0, 1, 1, 0, 1]


def test_the_same_time_goes_by_the_order_of_the_readers() -> None:
    found = order(merge([reader_of([7, 7]), reader_of([7]), reader_of([7])]))
    assert [(index, data) for index, data, _ in found] == [(0, b"r0"), (0, b"r1"), (1, b"r0"), (2, b"r0")]


def test_a_reader_that_goes_back_in_time_keeps_its_order() -> None:
    """As mergecap(1): a packet comes when it is the next of its file and the earliest of all next ones."""
    found = order(merge([reader_of([100, 1, 2, 130]), reader_of([50, 110])]))
    assert [ts for _, _, ts in found] == [50, 100, 1, 2, 110, 130]


def test_one_reader_is_passed_on() -> None:
    assert [ts for _, _, ts in order(merge([reader_of([3, 1, 2])]))] == [3, 1, 2]


def test_empty_readers_are_left_out() -> None:
    assert [index for index, _, _ in order(merge([reader_of([]), reader_of([5]), reader_of([])]))] == [1]
    assert order(merge([reader_of([]), reader_of([])])) == []


def test_nothing_to_merge_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])


def test_many_readers() -> None:
    chance = random.Random(5)
    lists = [sorted(chance.randrange(10_000) for _ in range(chance.randrange(30))) for _ in range(100)]
    merged = merge([reader_of(times) for times in lists])
    found = order(merged)
    assert [ts for _, _, ts in found] == sorted(ts for times in lists for ts in times)
    assert merged.number == len(found)


@given(st.lists(st.lists(st.integers(0, 20), max_size=6), min_size=1, max_size=5))
def test_merge_is_the_repeated_choice_of_the_earliest_head(lists: list[list[int]]) -> None:
    heads = [0] * len(lists)
    want = []
    while any(head < len(times) for head, times in zip(heads, lists, strict=True)):
        ts, index = min((times[head], index) for index, (head, times) in enumerate(zip(heads, lists, strict=True)) if head < len(times))
        want.append((index, f"r{heads[index]}".encode(), ts))
        heads[index] += 1
    assert order(merge([reader_of(times) for times in lists])) == want
