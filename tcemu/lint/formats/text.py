"""Text for people: place, severity, id, the line with carets, hint and witness."""

from __future__ import annotations

from typing import Final

from tcemu.diagnostics import place, underline
from tcemu.lint.finding import SEVERITIES, Finding
from tcemu.lint.run import Report

COLOURS: Final = {"error": "\033[31;1m", "warning": "\033[33;1m", "info": "\033[36m"}
BOLD, DIM, PLAIN = "\033[1m", "\033[2m", "\033[0m"


def write(report: Report, colour: bool = False) -> str:
    """All findings, and a last line that counts them."""
    parts = [one_of(finding, colour) for finding in report.findings]
    return "".join(parts) + summary(report)


def one_of(finding: Finding, colour: bool) -> str:
    """One finding."""
    head, tail, dim = (COLOURS[finding.severity], PLAIN, DIM) if colour else ("", "", "")
    where = place(finding.spans[0]) if finding.spans else ": ".join(part for part in (finding.file, finding.key) if part) or "ruleset"
    lines = [f"{BOLD if colour else ''}{where}{tail}: {head}{finding.severity}{tail}: {finding.message} [{finding.rule}]"]
    if finding.text and finding.spans:
        lines += [finding.text, head + underline(finding.text, finding.spans) + tail]
    elif finding.text:
        lines.append(f"    {finding.text}")
    for span in finding.spans[1:]:
        if (span.file, span.line) != (finding.spans[0].file, finding.spans[0].line):
            lines.append(f"{dim}  see {place(span)}{tail}")
    if finding.witness is not None:
        lines.append(f"{dim}  witness: {finding.witness.what}: {finding.witness.says}{tail}")
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    """``2 errors, 1 warning``, what was ignored, and what could not be decided."""
    counts = [(level, sum(finding.severity == level for finding in report.findings)) for level in reversed(SEVERITIES)]
    names = {"info": "remark", "warning": "warning", "error": "error"}
    said = ", ".join(f"{count} {names[level]}{'s' if count != 1 else ''}" for level, count in counts if count)
    more = [f"{report.ignored} ignored"] if report.ignored else []
    if report.doubts:
        more.append(f"{len(report.doubts)} not decided (--verbose says which)")
    return f"{said or 'nothing found'}" + (f" ({'; '.join(more)})" if more else "") + "\n"


def doubts(report: Report) -> str:
    """What could not be decided, one a line."""
    return "".join(f"{place(doubt.span) + ': ' if doubt.span else ''}not decided: {doubt.about}: {doubt.why}\n" for doubt in report.doubts)
