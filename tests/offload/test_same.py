"""Recorded scenarios come out the same with every backend; all of them are compared by benchmarks/same_with_backends.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from same_with_backends import differing  # noqa: E402

from tcemu.offload.backend import names  # noqa: E402

SCENARIOS = ROOT / "tests" / "conformance" / "scenarios"
SAMPLE = [
    "tc-ct-offload-cover-letter",
    "tc-ct-offload-teardown",
    "tc-ct-expiry-offloaded",
    "tc-ct-nat-src",
    "tc-ct-zone-isolated",
    "flowtable-tcp",
    "flowtable-snat",
    "flowtable-timeout",
    "flowtable-with-tc-ct",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_scenario_comes_out_the_same_with_every_backend(name: str) -> None:
    if not (SCENARIOS / name).is_dir():
        pytest.skip("the scenario is not in this tree")
    assert differing(SCENARIOS / name, [*names(), "home-router"]) == []
