"""Workflow commands of GitHub Actions: annotations on the lines. Source: GitHub docs, "Workflow commands for GitHub Actions"."""

from __future__ import annotations

from typing import Final

from tcemu.lint.finding import Finding
from tcemu.lint.run import Report

LEVELS: Final = {"error": "error", "warning": "warning", "info": "notice"}


def write(report: Report, _colour: bool = False) -> str:
    """One command a finding."""
    return "".join(_command(finding) for finding in report.findings)


def _command(finding: Finding) -> str:
    parts = [f"title={_property(finding.rule)}"]
    if finding.spans:
        span = finding.spans[0]
        parts = [f"file={_property(span.file)}", f"line={span.line}", f"col={span.column}", f"endColumn={span.end - 1}", *parts]
    elif finding.file:
        parts = [f"file={_property(finding.file)}", *parts]
    said = finding.message if finding.spans or not finding.key else f"{finding.key}: {finding.message}"
    text = said + (f" (witness: {finding.witness.what})" if finding.witness is not None else "")
    return f"::{LEVELS[finding.severity]} {','.join(parts)}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
