"""The contract of shelves, held by the one in memory and the one in a session's file alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw, Struct

from tcemu.session.rows import TOGETHER, TableShelf
from tcemu.session.store import Store
from tcemu.shelf import MemoryShelf, Record, Shelf, TagError


class Narrow(Struct):
    """A part of a Thing."""

    key: str
    words: Raw = Raw(b"[]")


class Thing(Record):
    """A record with something in it."""

    words: tuple[str, ...] = ()
    wide: int = 0


def in_memory() -> Shelf[Thing]:
    return MemoryShelf()


def in_table() -> Shelf[Thing]:
    return TableShelf(Store(), "rules", Thing)


both = pytest.mark.parametrize("make", [in_memory, in_table], ids=["memory", "table"])
Make = Callable[[], Shelf[Thing]]


def thing(key: str, parent: str = "p", rank: int = 0, tag: str = "") -> Thing:
    return Thing(key=key, parent=parent, rank=rank, tag=tag)


@both
def test_what_was_put_is_got(make: Make) -> None:
    shelf = make()
    record = Thing(key="a", parent="p", rank=3, tag="t", words=("x", "\u00e9"), wide=1 << 127)
    shelf.put(record)
    assert shelf.get("a") == record
    assert shelf.get("b") is None
    assert shelf.find("p", "t") == record
    assert shelf.find("q", "t") is None
    assert shelf.find("p", "") is None


@both
def test_children_come_in_rank_order_and_equal_ranks_in_key_order(make: Make) -> None:
    shelf = make()
    for key, rank in (("c", 1), ("a", 2), ("b", 1), ("d", -5)):
        shelf.put(thing(key, rank=rank))
    shelf.put(thing("z", parent="q"))
    assert [child.key for child in shelf.children("p")] == ["d", "b", "c", "a"]
    assert [child.key for child in shelf.between("p", 0, 1)] == ["b", "c"]
    first, last = shelf.first("p"), shelf.last("p")
    assert first is not None and first.key == "d"
    assert last is not None and last.key == "a"
    assert (shelf.count("p"), shelf.count("q"), shelf.count("r"), len(shelf)) == (4, 1, 0, 5)
    assert [child.key for child in shelf] == ["d", "b", "c", "a", "z"]
    assert shelf.first("r") is None and shelf.last("r") is None


@both
def test_less_of_a_record_is_read_in_the_same_order(make: Make) -> None:
    shelf = make()
    for key, rank in (("c", 1), ("a", 2), ("b", 1)):
        shelf.put(Thing(key=key, parent="p", rank=rank, words=(key,), wide=1))
    shelf.put(Thing(key="z", parent="q", words=()))
    assert [(row.key, bytes(row.words)) for row in shelf.read("p", Narrow)] == [("b", b'["b"]'), ("c", b'["c"]'), ("a", b'["a"]')]
    assert [row.key for row in shelf.read("p", Narrow, 2, 3)] == ["a"]
    assert sorted(row.key for row in shelf.scan(Narrow)) == ["a", "b", "c", "z"]


@both
def test_putting_again_moves_a_record(make: Make) -> None:
    shelf = make()
    shelf.put(thing("a", parent="p", tag="t"))
    shelf.put(thing("a", parent="q", rank=7, tag="u"))
    assert shelf.children("p") == []
    assert shelf.find("p", "t") is None
    assert shelf.find("q", "u") == thing("a", "q", 7, "u")


@both
def test_a_record_changed_in_place_is_moved_and_deleted_whole(make: Make) -> None:
    shelf = make()
    shelf.put(thing("a", tag="t"))
    record = shelf.get("a")
    assert record is not None
    record.parent, record.tag = "q", "u"
    shelf.put(record)
    assert shelf.find("p", "t") is None and shelf.children("p") == []
    record = shelf.get("a")
    assert record is not None
    record.parent = "r"
    shelf.delete("a")
    assert shelf.get("a") is None and shelf.children("q") == [] and shelf.find("q", "u") is None


@both
def test_a_tag_belongs_to_one_sibling(make: Make) -> None:
    shelf = make()
    shelf.put(thing("a", tag="t"))
    shelf.put(thing("a", tag="t", rank=1))
    shelf.put(thing("b", parent="q", tag="t"))
    with pytest.raises(TagError):
        shelf.put(thing("c", tag="t"))
    assert shelf.get("c") is None
    shelf.delete("a")
    shelf.put(thing("c", tag="t"))


@both
def test_clear_leaves_other_parents_alone(make: Make) -> None:
    shelf = make()
    for key, parent in (("a", "p"), ("b", "p"), ("c", "q")):
        shelf.put(thing(key, parent, tag=key))
    shelf.clear("p")
    shelf.delete("nothing")
    assert [record.key for record in shelf] == ["c"]
    assert shelf.find("p", "a") is None


KEYS = st.sampled_from([f"k{number}" for number in range(8)])
PARENTS = st.sampled_from(["", "p", "p/1", "\u00e9"])
TAGS = st.sampled_from(["", "", "x", "y"])


class BothShelves(RuleBasedStateMachine):
    """Whatever is done to both kinds of shelf, they answer alike."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.table: Shelf[Thing] = TableShelf(self.store, "rules", Thing)
        self.memory: Shelf[Thing] = MemoryShelf()

    @rule(key=KEYS, parent=PARENTS, rank=st.integers(-2, 3), tag=TAGS)
    def put(self, key: str, parent: str, rank: int, tag: str) -> None:
        outcomes = []
        for shelf in (self.memory, self.table):
            try:
                shelf.put(Thing(key=key, parent=parent, rank=rank, tag=tag, words=(key,)))
                outcomes.append("put")
            except TagError:
                outcomes.append("taken")
        assert outcomes[0] == outcomes[1]

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.memory.delete(key)
        self.table.delete(key)

    @rule(parent=PARENTS)
    def clear(self, parent: str) -> None:
        self.memory.clear(parent)
        self.table.clear(parent)

    @precondition(lambda self: len(self.memory) > 0)
    @rule(key=KEYS)
    def undo(self, key: str) -> None:
        try:
            with self.store.transaction():
                self.table.delete(key)
                with self.store.transaction():
                    self.table.put(Thing(key=key, parent="undone"))
                raise InterruptedError
        except InterruptedError:
            pass

    @invariant()
    def same(self) -> None:
        assert list(self.memory) == list(self.table)
        assert len(self.memory) == len(self.table)
        for parent in ("", "p", "p/1", "\u00e9"):
            assert self.memory.children(parent) == self.table.children(parent)
            assert self.memory.between(parent, 0, 2) == self.table.between(parent, 0, 2)
            assert self.memory.first(parent) == self.table.first(parent)
            assert self.memory.last(parent) == self.table.last(parent)
            assert self.memory.count(parent) == self.table.count(parent)
            for tag in ("", "x", "y"):
                assert self.memory.find(parent, tag) == self.table.find(parent, tag)

    def teardown(self) -> None:
        self.store.close()


TestBothShelves = BothShelves.TestCase
TestBothShelves.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, 2 * TOGETHER + 3])
def test_many_records_are_put_as_one_by_one(count: int) -> None:
    together, apart = TableShelf(Store(), "rules", Thing), TableShelf(Store(), "rules", Thing)
    for shelf in (together, apart):
        shelf.put(thing("1", rank=7, tag="old"))
    records = [thing(str(number), rank=-number, tag=f"t{number}" if number % 2 else "") for number in range(count)]
    together.put_all(iter(records))
    for record in records:
        apart.put(record)
    assert list(together) == list(apart)
    assert together.find("p", "old") == apart.find("p", "old")
