"""Tables as bison would have them; conflicts are counted against a written list."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tcemu.diagnostics import StateError
from tcemu.syntax import table as tables
from tcemu.syntax.build import compile_grammar, compile_text, export_all
from tcemu.syntax.driver import Driver

GRAMMARS = Path(__file__).resolve().parents[2] / "grammar"

# grammar -> shift/reduce conflicts that are known and rightly shifts; tc's are checked by the tests of tc
# nft: a command that begins with `destroy` is one, and no rule of a table called so
CONFLICTS: dict[str, list[str]] = {"nft": ["some_family / DESTROY"] * 2}

LINES = """
start: line* -> lines
line: stmt ";" | ERROR ";" -> bad
stmt: A B | A C -> pair
    | A -> single
%declare ERROR
A: "a"
B: "b"
C: "c"
"""


@pytest.mark.parametrize("name", sorted(CONFLICTS))
def test_conflicts_are_the_written_ones(name: str) -> None:
    if not (GRAMMARS / f"{name}.lark").exists():
        pytest.skip(f"no grammar/{name}.lark yet")
    assert compile_grammar(GRAMMARS / f"{name}.lark").conflicts == CONFLICTS[name]


def test_shift_reduce_conflict_is_counted() -> None:
    assert compile_text('start: s\ns: "i" s | "i" s "e" s | "x"').conflicts == ["s / E"]


def test_reduce_reduce_conflict_is_an_error() -> None:
    with pytest.raises(ValueError, match="reduce/reduce conflict at X"):
        compile_text('start: a "x" | b "x"\na: "y"\nb: "y"')


def drive(text: str, actions: dict[str, object] | None = None) -> tuple[object, list[str]]:
    """Parse letters with recovery; the value and the characters at which an error was seen."""
    table = compile_text(LINES)
    driver = Driver(table, actions or {})  # type: ignore[arg-type]
    wrong = []
    letters = {spelling: terminal for terminal, words in enumerate(table.keywords) for spelling in words}
    place = 0
    while place <= len(text):
        driver.settle()
        terminal = letters[text[place]] if place < len(text) else 0
        if driver.push(terminal, text[place : place + 1], place, place + 1):
            place += 1
            continue
        wrong.append(text[place : place + 1])
        if not driver.recover():
            break
        while place < len(text) and not driver.takes(letters[text[place]]):
            place += 1
    return driver.values[0], wrong


def test_recovery_goes_on_behind_the_mistake() -> None:
    value, wrong = drive("ab;acb;ac;", {"lines": lambda *lines: list(lines), "bad": lambda: "bad"})
    assert (value, wrong) == ([("a", "b"), "bad", ("a", "c")], ["b"])


def test_default_reduction_happens_before_the_error_is_seen() -> None:
    seen: list[str] = []
    drive("abb;", {"stmt": lambda a, b: seen.append(a + b)})
    assert seen == ["ab"]


def test_expected_are_the_explicit_shifts_of_the_state() -> None:
    table = compile_text(LINES)
    driver = Driver(table, {})
    driver.push(table.number["A"], "a", 0, 1)
    assert [table.terminals[t] for t in driver.shifts()] == ["B", "C"]  # ";" hides behind the default reduction


def test_action_can_ask_for_its_place() -> None:
    table = compile_text(LINES)
    places = []
    driver = Driver(table, {"stmt": lambda *_words: places.append((driver.first, driver.last))})
    for place, name in enumerate("AB"):
        driver.push(table.number[name], name, place * 10, place * 10 + 3)
    driver.settle()
    assert places == [(0, 13)]


def test_long_list_needs_no_deep_stack() -> None:
    table = compile_text('start: "a"* -> done')
    driver = Driver(table, {})
    depth = 0
    for place in range(50_000):
        driver.settle()
        driver.push(table.number["A"], "a", place, place)
        depth = max(depth, len(driver.states))
    assert depth < 6


@pytest.fixture
def source_tree(tmp_path: Path) -> Path:
    """A source checkout with a tiny grammar and the syntax package, apart from the real one."""
    package = tmp_path / "tcemu"
    shutil.copytree(Path(tables.__file__).parent, package / "syntax", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("__init__.py", "diagnostics.py"):
        shutil.copy2(Path(tables.__file__).parents[1] / name, package / name)
    (tmp_path / "grammar").mkdir()
    (tmp_path / "grammar" / "tiny.lark").write_text('start: "a"')
    return tmp_path


def test_stale_table_is_rebuilt_and_a_fresh_one_is_kept(source_tree: Path) -> None:
    package = source_tree / "tcemu"
    first = tables._find("tiny", package)
    written = (package / "data" / "tiny.table").stat().st_mtime_ns
    assert tables._find("tiny", package).digest == first.digest
    assert (package / "data" / "tiny.table").stat().st_mtime_ns == written
    grammar = source_tree / "grammar" / "tiny.lark"
    grammar.write_text('start: "b"')
    os.utime(grammar, ns=(written + 10**9, written + 10**9))
    assert tables._find("tiny", package).terminals == ["$END", "B"]


def test_missing_table_without_grammar_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="missing or unreadable"):
        tables._find("tiny", tmp_path / "tcemu")


def test_broken_table_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "tcemu" / "data").mkdir(parents=True)
    (tmp_path / "tcemu" / "data" / "tiny.table").write_bytes(b"not a table")
    with pytest.raises(StateError):
        tables._find("tiny", tmp_path / "tcemu")


def test_loading_needs_no_lark(source_tree: Path) -> None:
    export_all(source_tree / "grammar", source_tree / "tcemu" / "data")
    code = "import sys; from tcemu.syntax.table import load; import tcemu.syntax.words; load('tiny'); print('lark' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source_tree, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_export_all_writes_grammars_with_a_start_rule_only(source_tree: Path) -> None:
    (source_tree / "grammar" / "shared.lark").write_text("%declare ERROR\n")
    assert [path.name for path in export_all(source_tree / "grammar", source_tree / "out")] == ["tiny.table"]
