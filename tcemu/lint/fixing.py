"""``--fix``: the safe changes that findings propose, put into the files."""

from __future__ import annotations

from collections.abc import Sequence

from tcemu.lint.finding import Finding, Fix


def chosen(findings: Sequence[Finding]) -> dict[str, list[Fix]]:
    """Changes by file, those that touch the same text only once, last place first."""
    found: dict[str, list[Fix]] = {}
    taken: set[tuple[str, int]] = set()
    for finding in findings:
        places = {(fix.span.file, fix.span.line) for fix in finding.fixes}
        if not places or places & taken:
            continue
        taken |= places
        for fix in finding.fixes:
            found.setdefault(fix.span.file, []).append(fix)
    return {name: sorted(fixes, key=lambda fix: fix.span, reverse=True) for name, fixes in found.items()}


def fixed(text: str, fixes: Sequence[Fix]) -> str:
    """A text with changes made; they come last place first."""
    lines = text.split("\n")
    for fix in fixes:
        at = fix.span.line - 1
        if fix.whole:
            lines[at : at + 1] = [fix.text] if fix.text else []
        else:
            line = lines[at]
            lines[at] = line[: fix.span.column - 1] + fix.text + line[fix.span.end - 1 :]
    return "\n".join(lines)


def apply(findings: Sequence[Finding]) -> int:
    """Change the files; how many changes were made."""
    count = 0
    for name, fixes in chosen(findings).items():
        if name in ("", "-"):
            continue
        with open(name, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
        with open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(fixed(text, fixes))
        count += len(fixes)
    return count
