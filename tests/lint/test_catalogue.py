"""Every rule finds its own examples, leaves its near misses alone, and says what it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tcemu.lint import manual
from tcemu.lint.catalogue import Rule, everything, explain
from tcemu.lint.run import Report

RULES = list(everything().values())
BAD = [pytest.param(rule, text, id=f"{rule.id}-{number}") for rule in RULES for number, text in enumerate(rule.bad)]
GOOD = [pytest.param(rule, text, id=f"{rule.id}-{number}") for rule in RULES for number, text in enumerate(rule.good)]
Example = Callable[[Rule, str], Report]
PAGE = Path(__file__).resolve().parents[2] / "man" / "tcemu-lint.1"


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_a_rule_finds_its_examples(rule: Rule, text: str, example: Example) -> None:
    report = example(rule, text)
    found = [finding for finding in report.findings if finding.rule == rule.id]
    assert found, (report.findings, report.doubts)
    assert all(finding.claim is None or finding.witness is not None for finding in found), "every claim is confirmed by the engine"
    assert all(finding.spans for finding in found), "every finding has a place"


@pytest.mark.parametrize(("rule", "text"), GOOD)
def test_a_rule_leaves_near_misses_alone(rule: Rule, text: str, example: Example) -> None:
    report = example(rule, text)
    assert [finding for finding in report.findings if finding.rule == rule.id] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_documented(rule: Rule) -> None:
    assert len(rule.bad) >= 2
    assert len(rule.good) >= 2
    assert rule.severity in ("info", "warning", "error")
    assert rule.title and rule.why and rule.fix and rule.source
    text = explain(rule)
    assert text.startswith(f"{rule.id} ({rule.severity}): ")
    assert "Source: " in text


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_the_manual_page_lists_the_catalogue() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert manual.put(text) == text, "run python -m tcemu.lint.manual man/tcemu-lint.1"
