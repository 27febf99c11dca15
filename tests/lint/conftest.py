"""How the catalogue's own examples are linted: with the options that the rule says its example needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tcemu.lint.catalogue import Rule
from tcemu.lint.profile import read
from tcemu.lint.run import Report
from tcemu.session.linting import Wanted, lint_text


def wanted(options: tuple[str, ...]) -> Wanted:
    """The options of an example."""
    values = dict(zip(options[::2], options[1::2], strict=True))
    asserts = tuple((word.split("/")[0], word.split("/")[1]) for word in values.get("--assert", "").split(",") if word)
    return Wanted(
        (),
        hosts=("-",) if "--host" in values else (),
        profile=read(values.get("--profile", "")),
        asserts=asserts,
        peak=int(values.get("--peak", "0")),
    )


@pytest.fixture
def example() -> Callable[[Rule, str], Report]:
    """Lint an example of a rule."""
    return lambda rule, text: lint_text(text, "example", "", wanted(rule.options))[1]


@pytest.fixture
def ids() -> Callable[[str], list[str]]:
    """The ids that a text gives."""
    return lambda text: [finding.rule for finding in lint_text(text, "text")[1].findings]
