"""JUnit's XML, as CI servers read it: a test suite a file, a test case a finding; infos pass."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from tcemu.lint.finding import Finding
from tcemu.lint.formats.text import one_of
from tcemu.lint.run import Report


def write(report: Report, _colour: bool = False) -> str:
    """The document."""
    files: dict[str, list[Finding]] = {}
    for finding in report.findings:
        files.setdefault(finding.path, []).append(finding)
    failures = sum(finding.severity != "info" for finding in report.findings)
    suites = [_suite(name, findings) for name, findings in files.items()]
    if not suites:
        suites = ['<testsuite name="tcemu lint" tests="1" failures="0"><testcase classname="tcemu" name="lint"/></testsuite>']
    count = max(len(report.findings), 1)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="tcemu lint" tests="{count}" failures="{failures}">\n'
        + "\n".join(suites)
        + "\n</testsuites>\n"
    )


def _suite(name: str, findings: list[Finding]) -> str:
    failures = sum(finding.severity != "info" for finding in findings)
    cases = "\n".join(_case(name, finding) for finding in findings)
    return f'<testsuite name={quoteattr(name)} tests="{len(findings)}" failures="{failures}">\n{cases}\n</testsuite>'


def _case(name: str, finding: Finding) -> str:
    where = f"{finding.rule} line {finding.spans[0].line}" if finding.spans else f"{finding.rule} {finding.key}"
    head = f"<testcase classname={quoteattr(name)} name={quoteattr(where)}"
    if finding.severity == "info":
        return f"{head}/>"
    text = escape("".join(char for char in one_of(finding, False) if char >= " " or char in "\t\n"))
    return f"{head}><failure type={quoteattr(finding.severity)} message={quoteattr(finding.message)}>{text}</failure></testcase>"
