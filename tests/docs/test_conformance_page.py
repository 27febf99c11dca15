"""tcemu-conformance(7) is complete: every known difference, every behaviour that nobody checked, and how much was compared."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path

import mdoc

ROOT = Path(__file__).resolve().parents[2]
CONFORMANCE = ROOT / "tests" / "conformance"
PAGE = mdoc.read("tcemu-conformance.7")
ASSUMED = re.compile(r"source[^.\n]{0,12}: assumed", re.IGNORECASE)


def test_the_page_lists_every_known_difference() -> None:
    listed = {tuple(word for _, word in item) for item in PAGE["KNOWN DIFFERENCES"].items}
    assert listed == set(runpy.run_path(str(CONFORMANCE / "known.py"))["KNOWN"])


def test_the_page_lists_everything_that_is_assumed() -> None:
    listed = Counter(word for macro, word in (pair for item in PAGE["ASSUMED"].items for pair in item) if macro == "Pa")
    marked: Counter[str] = Counter()
    for folder, suffix in (("tcemu", "py"), ("grammar", "lark")):
        for path in (ROOT / folder).rglob(f"*.{suffix}"):
            count = len(ASSUMED.findall(path.read_text(encoding="utf-8")))
            if count:
                marked[str(path.relative_to(ROOT))] = count
    assert listed == marked


def test_the_page_says_how_many_scenarios_are_compared() -> None:
    counts = Counter(path.parent.name.split("-", 1)[0] for path in (CONFORMANCE / "scenarios").glob("*/scenario.json"))
    figures = [" ".join(word for _, word in item) for item in PAGE["FIGURES"].items]
    for kind, count in counts.items():
        assert any(figure.startswith(f"{count} recorded scenarios of {kind}") for figure in figures), (kind, count)
