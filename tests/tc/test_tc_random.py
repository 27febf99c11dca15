"""Lines at random: no line is a defect, and what a listing shows makes the same filter again (100,000: benchmarks/fuzz_tc.py)."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .fuzzing import Lines
from .roundtrip import World, round_trip, run_line
from .test_tc_corpus import LINES

WRITTEN = [line.command for line in LINES]
MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(st.randoms(use_true_random=False), st.booleans())
def test_no_line_is_a_defect(chance: random.Random, strict: bool) -> None:
    lines = Lines(chance, WRITTEN)
    with World(strict) as world:
        for _ in range(3):
            run_line(world, lines.line(), lines.options())


@MANY
@given(st.integers(0, 1 << 32))
def test_a_filter_at_random_is_made_again_from_its_listing(seed: int) -> None:
    lines = Lines(random.Random(seed), WRITTEN)
    line = next((line for line in (lines.line() for _ in range(20)) if line[:2] == ["filter", "add"]), None)
    if line is not None:
        round_trip(line, True)


@pytest.mark.parametrize("line", LINES, ids=[line.command for line in LINES])
def test_a_written_filter_is_made_again_from_its_listing(line: object) -> None:
    import shlex

    words = shlex.split(line.command)[1:]  # type: ignore[attr-defined]
    if "dev" in words:
        words[words.index("dev") + 1] = "eth0"
    round_trip(words, strict=False)
