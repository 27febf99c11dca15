"""GitLab's code quality report. Source: GitLab docs, "Code Quality: implement a custom tool"."""

from __future__ import annotations

import json
from typing import Final

from tcemu.lint.baseline import fingerprint
from tcemu.lint.run import Report

LEVELS: Final = {"error": "critical", "warning": "minor", "info": "info"}


def write(report: Report, _colour: bool = False) -> str:
    """The document: a list of issues."""
    issues = []
    for finding in report.findings:
        span = finding.spans[0] if finding.spans else None
        issues.append(
            {
                "description": f"{finding.message} [{finding.rule}]",
                "check_name": finding.rule,
                "fingerprint": fingerprint(finding),
                "severity": LEVELS[finding.severity],
                "location": {"path": finding.path, "lines": {"begin": span.line if span else 1}},
            }
        )
    return json.dumps(issues, indent=1) + "\n"
