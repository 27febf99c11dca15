"""The run of a lint: texts read, rules of the catalogue asked, findings sorted and thinned by what the user chose."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tcemu.diagnostics import TcemuError, near
from tcemu.lint.catalogue import Rule, everything
from tcemu.lint.finding import SEVERITIES, Doubt, Finding
from tcemu.lint.subject import Subject

IGNORE: Final = re.compile(r"#\s*tcemu:\s*ignore(-file)?(?:\[([A-Za-z0-9, ]*)\])?")
Prover = Callable[[Subject, list[Finding]], list[Finding]]


class Choice(NamedTuple):
    """Which rules are asked and how bad each is: prefixes of ids; severities by id or prefix."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: tuple[tuple[str, str], ...] = ()

    def wants(self, name: str) -> bool:
        """Is the rule asked? The longer of two prefixes that say yes and no decides."""
        yes = max((len(word) for word in self.select if word == "ALL" or name.startswith(word)), default=-1 if self.select else 0)
        no = max((len(word) for word in self.ignore if word == "ALL" or name.startswith(word)), default=-1)
        return yes >= 0 and yes >= no if self.select else no < 0

    def rank(self, name: str, severity: str) -> str:
        """The rule's severity, as configured."""
        best = max((entry for entry in self.severity if name.startswith(entry[0])), key=lambda entry: len(entry[0]), default=None)
        return best[1] if best else severity


class Report(NamedTuple):
    """What came out: findings in order, what could not be decided, how many an ignore or the baseline took away."""

    findings: list[Finding]
    doubts: list[Doubt]
    ignored: int = 0


def check_choice(choice: Choice) -> None:
    """Raises TcemuError (2) for an id that no rule begins with, or a severity that is none."""
    known = everything()
    for word in (*choice.select, *choice.ignore, *(name for name, _ in choice.severity)):
        if word != "ALL" and not any(name.startswith(word) for name in known):
            guess = near(word, known)
            raise TcemuError(f"no lint rule begins with {word!r}" + (f"; did you mean {guess}?" if guess else ""), exit_code=2)
    for _, level in choice.severity:
        if level not in (*SEVERITIES, "off"):
            raise TcemuError(f"{level!r} is no severity: info, warning, error or off", exit_code=2)


def lint(subject: Subject, choice: Choice | None = None, prove: Prover | None = None) -> Report:
    """Ask all rules that are wanted."""
    wanted = choice or Choice()
    found: list[Finding] = []
    for one in everything().values():
        severity = wanted.rank(one.id, one.severity)
        if not wanted.wants(one.id) or severity == "off":
            continue
        found += [
            finding._replace(severity=severity) if finding.severity == one.severity else finding for finding in one.check(subject, one)
        ]
    if prove is not None:
        found = prove(subject, found)
    kept = [finding for finding in found if not ignored(subject, finding)]
    return Report(_sorted(_once(kept)), subject.doubts, len(found) - len(kept))


def _once(findings: Sequence[Finding]) -> list[Finding]:
    return list({(one.rule, one.spans[:1], one.key if not one.spans else "", one.message): one for one in findings}.values())


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (one.spans[0] if one.spans else ("", 0, 0, 0), one.rule))


def ignored(subject: Subject, finding: Finding) -> bool:
    """Does a comment in the text say to be silent: on the line itself, alone on the line before, or for the whole file?"""
    if not finding.spans:
        return False
    span = finding.spans[0]
    lines = subject.texts.get(span.file, [])
    if 0 < span.line <= len(lines):
        if _says(lines[span.line - 1], finding.rule, False):
            return True
        if span.line > 1 and lines[span.line - 2].lstrip().startswith("#") and _says(lines[span.line - 2], finding.rule, False):
            return True
    return any(_says(line, finding.rule, True) for line in lines[:20])


def _says(line: str, name: str, whole_file: bool) -> bool:
    if "tcemu:" not in line:
        return False
    found = IGNORE.search(line)
    if found is None or bool(found[1]) != whole_file:
        return False
    return not found[2] or any(name.startswith(word.strip()) for word in found[2].split(",") if word.strip())


def rules_of(findings: Sequence[Finding]) -> dict[str, Rule]:
    """The rules that findings name."""
    known = everything()
    return {name: known[name] for name in dict.fromkeys(finding.rule for finding in findings)}
