"""Every recorded kernel scenario, through both forms of the engine (source of all goldens: recordings of Linux 6.1, see meta.json)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from known import KNOWN
from normal import first_difference, results, same

from tcemu import form

SCENARIOS = Path(__file__).resolve().parent / "scenarios"
NAMES = sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.json"))


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_scenario_gives_the_same_results(name: str, engine: str, tmp_path: Path) -> None:
    if engine == "compiled" and form.name() != "compiled":
        pytest.skip("this installation has no compiled engine")
    source = SCENARIOS / name
    config = json.loads((source / "scenario.json").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "tcemu", "scenario", "run", str(source), "--out", str(tmp_path)]
    environment = {**os.environ, "TCEMU_ENGINE": engine, "TCEMU_SESSION": str(tmp_path / "unused.db"), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    want, got = results(source / "expected", config), results(tmp_path, config)
    for file in want:
        assert file in got, f"{file} was not written"
        if (name, file) in KNOWN:
            assert not same(want[file], got[file]), f"{file} agrees now: take it out of known.py"
            continue
        assert same(want[file], got[file]), f"{file}{first_difference(want[file], got[file])}"


def test_the_compiled_engine_is_loaded_where_it_must_be() -> None:
    wanted = os.environ.get("TCEMU_EXPECT_ENGINE")
    if not wanted:
        pytest.skip("TCEMU_EXPECT_ENGINE does not say which form must be loaded")
    assert form.name() == wanted


def recorded_files() -> Iterator[tuple[str, str]]:
    for name in NAMES:
        for path in (SCENARIOS / name / "expected").iterdir():
            yield name, path.name


def test_what_is_known_to_differ_is_recorded() -> None:
    assert set(KNOWN) <= set(recorded_files())
