"""Broken and odd rulesets: no exception, no half of a transaction, and listings that load again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import limited, mutated, seeds, wrong

from tcemu import Session

TEXTS = seeds("")


@pytest.fixture(scope="module")
def pair() -> tuple[Session, Session]:
    return Session(strict=True), Session(strict=True)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False))
def test_a_mutated_ruleset_is_taken_whole_or_not_at_all(pair: tuple[Session, Session], chance: object) -> None:
    text = mutated(chance, TEXTS)  # type: ignore[arg-type]
    with limited():
        assert wrong(*pair, text) == ""


DEEP = {
    "operators": "add rule ip t c meta mark & (" + " | ".join(["1"] * 20_000) + ") == 1",
    "sets": "add rule ip t c tcp dport " + "{" * 20_000 + "1" + "}" * 20_000,
    "shifts": "add rule ip t c meta mark set mark " + "<< 1 " * 5000,
    "variables": "define a0 = { 1, 2 }\n"
    + "\n".join(f"define a{number} = {{ $a{number - 1}, $a{number - 1} }}" for number in range(1, 40))
    + "\nadd rule ip t c tcp dport $a39",
    "concatenation": "add rule ip t c " + " . ".join(["ip saddr"] * 5000) + " 1",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    session = Session(strict=True)
    session.nft("add table ip t; add chain ip t c")
    with limited():
        answer = session.nft(["-f", "-"], stdin=text + "\n")
    assert answer.exit_code == 1
    assert "Error: " in answer.stderr


@pytest.mark.parametrize("count", [1, 20_000])
def test_parentheses_are_as_many_as_one_likes(count: int) -> None:
    session = Session(strict=True)
    answer = session.nft(f"add table ip t; add chain ip t c; add rule ip t c tcp dport {'(' * count}1{')' * count}")
    assert (answer.exit_code, answer.stderr) == (0, "")
