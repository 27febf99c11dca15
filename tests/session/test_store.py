"""What a session's file survives: kills, other writers, full disks, strangers."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tcemu.diagnostics import StateError
from tcemu.session.rows import TableShelf
from tcemu.session.store import APPLICATION_ID, LAYOUTS, PAGE, Store
from tcemu.shelf import Record


def shelf_of(store: Store) -> TableShelf[Record]:
    return TableShelf(store, "rules", Record)


def test_a_file_is_laid_out_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    first = Store(path)
    assert first.fresh
    shelf_of(first).put(Record(key="a"))
    first.close()
    second = Store(path)
    assert not second.fresh
    assert shelf_of(second).get("a") == Record(key="a")
    assert os.listdir(tmp_path) == ["s.db"]


def test_pages_are_large_in_new_files_and_stay_as_they_are_in_others(tmp_path: Path) -> None:
    path = str(tmp_path / "new.db")
    store = Store(path)
    assert store.rows("PRAGMA page_size").fetchone()[0] == PAGE
    older = str(tmp_path / "older.db")
    small = sqlite3.connect(older, isolation_level=None)
    small.execute("PRAGMA page_size = 4096")
    small.executescript("".join(LAYOUTS) + f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(LAYOUTS)}")
    small.close()
    store = Store(older)
    shelf_of(store).put_all([Record(key=str(number)) for number in range(70)])
    assert len(shelf_of(store)) == 70
    assert store.rows("PRAGMA page_size").fetchone()[0] == 4096


def test_meta_values_are_kept_and_forgotten() -> None:
    store = Store()
    assert store.meta("n") is None
    store.set_meta("n", 5)
    store.set_meta("s", "text")
    assert (store.meta("n"), store.meta("s")) == (5, "text")
    store.set_meta("n", None)
    assert store.meta("n") is None


def test_an_exception_leaves_everything_as_it_was() -> None:
    store = Store()
    shelf = shelf_of(store)
    shelf.put(Record(key="a"))
    with pytest.raises(KeyError), store.transaction():
        shelf.put(Record(key="b"))
        shelf.delete("a")
        raise KeyError
    assert [record.key for record in shelf] == ["a"]


def test_an_inner_transaction_may_fail_alone() -> None:
    store = Store()
    shelf = shelf_of(store)
    with store.transaction():
        shelf.put(Record(key="a"))
        with pytest.raises(KeyError), store.transaction():
            shelf.put(Record(key="b"))
            with store.transaction():
                shelf.put(Record(key="c"))
            raise KeyError
        with store.transaction():
            shelf.put(Record(key="d"))
    assert [record.key for record in shelf] == ["a", "d"]


def test_what_is_read_is_of_one_moment(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    reader, writer = Store(path), Store(path, patience=0.01)
    shelf_of(writer).put(Record(key="a"))
    with reader.reading():
        assert len(shelf_of(reader)) == 1
        with pytest.raises(StateError, match="in use by another process"), writer.transaction():
            shelf_of(writer).put(Record(key="b"))
        assert len(shelf_of(reader)) == 1
    shelf_of(writer).put(Record(key="b"))
    assert len(shelf_of(reader)) == 2


def test_a_transaction_inside_a_reading_sees_what_others_committed(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    one, other = Store(path), Store(path, patience=0.01)
    with one.reading():
        with one.transaction():
            shelf_of(one).put(Record(key="a"))
        assert len(shelf_of(one)) == 1
        with one.reading():
            assert len(shelf_of(one)) == 1
    shelf_of(other).put(Record(key="b"))
    assert len(shelf_of(one)) == 2


# ---------------------------------------------------------------- files that are not as they should be


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    store = Store(path)
    store.rows(f"PRAGMA user_version = {len(LAYOUTS) + 1}")
    store.close()
    with pytest.raises(StateError, match="made by a newer tcemu"):
        Store(path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="database of something else"):
        Store(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no session at all\n" * 100)
    with pytest.raises(StateError, match="is not a session of tcemu"):
        Store(str(path))
    assert path.read_text() == "no session at all\n" * 100


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = Store(str(path))
    store.close()
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(data)
    with pytest.raises(StateError, match="damaged"):
        shelf_of(Store(str(path))).get("a")


def test_a_row_that_does_not_read_is_a_state_error() -> None:
    store = Store()
    store.rows("INSERT INTO rules VALUES ('a', '', 0, '', '{\"key\": 5}')")
    with pytest.raises(StateError, match="a row of rules does not read"):
        shelf_of(store).get("a")


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "it is a directory"), ("nowhere/s.db", "there is no directory")],
    ids=["directory", "no folder"],
)
def test_a_path_that_cannot_be_opened(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(StateError, match=why):
        Store(str(tmp_path / name))


def test_a_locked_file_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    Store(path).close()
    holder = Store(path)
    other = Store(path, patience=0.01)
    with holder.transaction():
        with pytest.raises(StateError, match="in use by another process"), other.transaction():
            raise AssertionError
        assert len(shelf_of(other)) == 0
    with other.transaction():
        shelf_of(other).put(Record(key="a"))


def test_a_read_only_file_reads_and_does_not_change(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    store = Store(path)
    shelf_of(store).put(Record(key="a"))
    store.rows("PRAGMA query_only = 1")  # root may write to any file: SQLite's own refusal stands for the system's
    with pytest.raises(StateError, match="read-only"), store.transaction():
        shelf_of(store).put(Record(key="b"))
    assert len(shelf_of(store)) == 1


def test_a_full_disk_leaves_the_session_as_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    store = Store(path)
    shelf = shelf_of(store)
    shelf.put(Record(key="a"))
    pages = store.rows("PRAGMA page_count").fetchone()[0]
    store.rows(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StateError, match="the disk is full"), store.transaction():
        for number in range(1000):
            with store.transaction():
                shelf.put(Record(key=f"{number}", tag="x" * 5000 + str(number)))
    assert [record.key for record in shelf] == ["a"]
    shelf.put(Record(key="b"))
    store.close()
    assert [record.key for record in shelf_of(Store(path))] == ["a", "b"]


def test_nothing_is_written_after_a_full_disk_even_if_someone_goes_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s.db"))
    shelf = shelf_of(store)
    store.rows(f"PRAGMA max_page_count = {store.rows('PRAGMA page_count').fetchone()[0] + 1}")
    with pytest.raises(StateError, match="the disk is full"), store.transaction():
        try:
            with store.transaction():
                for number in range(1000):
                    shelf.put(Record(key=f"{number}", tag="x" * 5000 + str(number)))
        except StateError:
            pass
        shelf.put(Record(key="after"))
    assert len(shelf) == 0


# ---------------------------------------------------------------- other processes

COUNTING = """
import sys
from tcemu.session.rows import TableShelf
from tcemu.session.store import Store
from tcemu.shelf import Record
store = Store(sys.argv[1])
shelf = TableShelf(store, "rules", Record)
number = 0
while number != int(sys.argv[3]):
    with store.transaction():
        shelf.put(Record(key=f"{sys.argv[2]}{number}-a", parent="p", rank=store.meta("n") or 0))
        store.set_meta("n", (store.meta("n") or 0) + 1)
        shelf.put(Record(key=f"{sys.argv[2]}{number}-b", parent="p"))
    print(number, flush=True)
    number += 1
"""


def counting(path: str, name: str, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", COUNTING, path, name, str(times)], stdout=subprocess.PIPE, text=True)


def test_a_killed_process_loses_nothing_committed(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    for round_ in range(5):
        process = counting(path, f"r{round_}-", -1)
        assert process.stdout is not None
        said = -1
        for line in process.stdout:
            said = int(line)
            if said == 7 + round_:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        said = max([said, *(int(line) for line in rest[:-1])])
        store = Store(path)
        keys = {record.key for record in shelf_of(store)}
        mine = {key for key in keys if key.startswith(f"r{round_}-")}
        assert {f"r{round_}-{number}-{half}" for number in range(said + 1) for half in "ab"} <= mine
        assert len(mine) % 2 == 0
        assert store.meta("n") == len(keys) // 2
        store.close()


def test_two_writers_take_turns(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    processes = [counting(path, name, 40) for name in "xy"]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    store = Store(path)
    assert store.meta("n") == 80
    ranks = sorted(record.rank for record in shelf_of(store) if record.key.endswith("-a"))
    assert ranks == list(range(80))


def test_a_hot_journal_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = Store(str(path))
    shelf_of(store).put(Record(key="a"))
    store.rows("PRAGMA cache_size = 1")
    store.rows("PRAGMA cache_spill = 1")
    store.enter()
    for number in range(3000):
        shelf_of(store).put(Record(key=f"n{number}", tag="x" * 300 + str(number)))
    copies = tmp_path / "copy"
    copies.mkdir()
    for name in ("s.db", "s.db-journal"):  # what a kill at this moment would leave behind
        shutil.copy(tmp_path / name, copies / name)
    store.leave(False)
    left = Store(str(copies / "s.db"))
    assert [record.key for record in shelf_of(left)] == ["a"]
