"""Words become tokens by the state of the parser: facts/parsing.md section 7."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.syntax.build import compile_text
from tcemu.syntax.table import Table
from tcemu.syntax.words import Word, WordFailure, parse_words

GRAMMAR = """
start: FILTER ADD item* -> add
     | FILTER (SHOW | LIST) item* -> show
?item: DEV WORD -> dev | PREF WORD -> pref | PROTOCOL WORD -> protocol | flower
flower: begin key*
begin: FLOWER -> begin
key: SRC WORD | "dst" WORD [MASK WORD]
%declare WORD
FILTER: "filter"
ADD: "add"
SHOW: "show"
LIST: "list" | "ls"
DEV: "dev"
PREF: "pref" | "priority"
PROTOCOL: "protocol"
FLOWER.1: "flower"
SRC: "src_ip"
MASK: "mask"
"""
ACTIONS = {"add": lambda _filter, _add, *items: list(items)}


@pytest.fixture(scope="module")
def table() -> Table:
    return compile_text(GRAMMAR)


@pytest.mark.parametrize(
    ("line", "items"),
    [
        pytest.param("filter add dev dev", [("dev", "dev")], id="keyword-as-value"),
        pytest.param("f a d eth0", [("d", "eth0")], id="shortened"),
        pytest.param("f a pr 1", [("pr", "1")], id="shortened-in-order-of-declaration"),
        pytest.param("f a flower dst 1 mask 2 src 3", [("flower", ("1", "mask", "2"), ("src", "3"))], id="list-spliced"),
        pytest.param("f a flower dst 1", [("flower", ("1", None, None))], id="absent-is-none"),
    ],
)
def test_words_parse(table: Table, line: str, items: list[object]) -> None:
    got = parse_words(table, line.split(), {**ACTIONS, "begin": str})
    assert got == items


def test_token_tells_terminal_and_place(table: Table) -> None:
    seen: list[Word] = []
    parse_words(table, ["f", "a", "pri", "1"], {"pref": lambda key, value: seen.extend((key, value))})
    assert [(word.terminal, word.place) for word in seen] == [("PREF", 2), ("WORD", 3)]


@pytest.mark.parametrize(
    ("line", "index", "expected"),
    [
        pytest.param("f a flo", 2, ("dev", "pref", "protocol", "flower"), id="whole-keyword-shortened"),
        pytest.param("f a dev", 3, ("WORD",), id="value-missing"),
        pytest.param("f a flower x", 3, ("dev", "pref", "protocol", "flower", "src_ip", "dst"), id="unknown-key"),
        pytest.param("", 0, ("filter",), id="nothing"),
        pytest.param("zzz", 0, ("filter",), id="unknown-command"),
    ],
)
def test_failure_names_word_and_keywords(table: Table, line: str, index: int, expected: tuple[str, ...]) -> None:
    with pytest.raises(WordFailure) as failure:
        parse_words(table, line.split(), {})
    assert (failure.value.index, failure.value.expected) == (index, expected)


def test_failure_shows_what_was_reduced(table: Table) -> None:
    with pytest.raises(WordFailure) as failure:
        parse_words(table, ["f", "a", "flower", "src", "1", "x"], {})
    assert failure.value.symbols[2:] == ["begin", "__flower_star_1"]
    assert failure.value.values[3] == [("src", "1")]


def test_marker_is_reduced_before_the_next_word_is_looked_at(table: Table) -> None:
    begun: list[str] = []
    with pytest.raises(WordFailure):
        parse_words(table, ["f", "a", "flower", "nonsense"], {"begin": begun.append})
    assert begun == ["flower"]


def test_error_of_an_action_passes_through(table: Table) -> None:
    def refuse(*_words: str) -> None:
        raise LookupError("no such device")

    with pytest.raises(LookupError):
        parse_words(table, ["f", "a", "dev", "eth0", "zzz"], {"dev": refuse})


def test_near_word_is_hinted(table: Table) -> None:
    with pytest.raises(WordFailure, match=r'did you mean "protocol"'):
        parse_words(table, ["f", "a", "protocl", "ip"], {})


def test_table_survives_export(table: Table, tmp_path: Path) -> None:
    from tcemu.syntax.table import _read, write_atomically

    write_atomically(tmp_path / "x.table", table.export())
    again = _read(tmp_path / "x.table")
    assert again is not None
    assert all(getattr(again, name) == getattr(table, name) for name in Table.__slots__ if name not in ("spelt", "ways"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.table"]
