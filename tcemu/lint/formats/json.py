"""One JSON document: findings with places, witnesses in hex, what was not decided."""

from __future__ import annotations

import json
from typing import Any

from tcemu.diagnostics import Span
from tcemu.lint.finding import Finding
from tcemu.lint.run import Report


def place(span: Span) -> dict[str, Any]:
    """A place; columns from 1, the end excluded."""
    return {"file": span.file, "line": span.line, "column": span.column, "end": span.end}


def row(finding: Finding) -> dict[str, Any]:
    """A finding."""
    found: dict[str, Any] = {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "places": [place(span) for span in finding.spans],
        "text": finding.text,
        "key": finding.key,
        "fixable": bool(finding.fixes),
    }
    if finding.witness is not None:
        witness = finding.witness
        found["witness"] = {"packet": witness.what, "device": witness.device, "frame": witness.frame.hex(), "engine": witness.says}
    return found


def write(report: Report, _colour: bool = False) -> str:
    """The document."""
    doubts = [{"about": one.about, "why": one.why, "place": place(one.span) if one.span else None} for one in report.doubts]
    document = {"findings": [row(finding) for finding in report.findings], "ignored": report.ignored, "undecided": doubts}
    return json.dumps(document, indent=1) + "\n"
