"""What nft -c lets pass and the kernel refuses: lint says it wherever the recording does, and nowhere else.

Source: recorded_loads.json, made with nft 1.0.6 on Linux 6.18 in a network namespace of its own and on Linux 6.1 in a guest (``kernel``): ``nft -c -f`` and
``nft -f``, exit codes, the place and the words of the first message. On 6.1 ``nft -c`` finds most of these too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcemu.session.linting import lint_text

RECORDED = json.loads((Path(__file__).parent / "recorded_loads.json").read_text(encoding="utf-8"))


def errors(text: str) -> list[Any]:
    return [finding for finding in lint_text(text, "text", "nft")[1].findings if finding.severity == "error"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_lint_refuses_what_the_kernel_refuses(case: dict[str, Any]) -> None:
    found = errors(case["text"])
    assert bool(found) == bool(case["load"]), [finding.message for finding in found]
    assert sorted({finding.rule for finding in found}) == case["found"]


@pytest.mark.parametrize("case", [case for case in RECORDED if case["load"]], ids=lambda case: case["name"])
def test_a_finding_stands_in_the_refused_chain(case: dict[str, Any]) -> None:
    """nft names the last rule of those that are wrong together; lint names the cause, which may be where that one leads to."""
    found = errors(case["text"])
    lines = {span.line for finding in found for span in finding.spans}
    behind = any(f"chain {name} {{" in case["text"] for name in ("m", "a", "b"))
    assert case["line"] in lines or behind, (case["line"], lines)


def test_most_of_them_pass_the_check_of_nft() -> None:
    assert sum(not case["check"] for case in RECORDED if case["load"]) >= 20
