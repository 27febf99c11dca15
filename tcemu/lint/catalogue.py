"""The catalogue: a lint rule is a function over the `Subject` with its documentation.

A rule says what it finds, why that matters, examples that it finds (``bad``) and near misses that it leaves alone (``good``), how
to mend it and where the knowledge comes from. ``--explain``, the manual page, the help in SARIF and the tests all come from here.
Files of `tcemu.lint.rules` each hold the rules of one subject and end in a written tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from tcemu.diagnostics import Span

if TYPE_CHECKING:
    from tcemu.lint.finding import Finding, Fix
    from tcemu.lint.subject import Subject

Check = Callable[["Subject", "Rule"], Iterator["Finding"]]


class Rule(NamedTuple):
    """One entry of the catalogue. ``options`` are words that the example needs on the command line (``--host`` and so on)."""

    id: str
    severity: str
    title: str
    why: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    fix: str
    source: str
    check: Check
    options: tuple[str, ...] = ()

    def at(
        self,
        subject: Subject,
        spans: Span | tuple[Span | None, ...] | None,
        message: str,
        key: str = "",
        hint: str = "",
        fixes: tuple[Fix, ...] = (),
    ) -> Finding:
        """A finding of this rule at a place, or at several."""
        from tcemu.lint.finding import Finding

        given = (spans,) if isinstance(spans, Span) or spans is None else spans
        places = tuple(span for span in given if span is not None)
        text = subject.line(places[0]) if places else subject.words(key)
        file = "" if places else next(iter(subject.texts), "")
        return Finding(self.id, self.severity, message, places, text, hint, key, fixes, file=file)


def rule(
    id: str,  # noqa: A002
    severity: str,
    title: str,
    *,
    why: str,
    bad: tuple[str, ...],
    good: tuple[str, ...],
    fix: str,
    source: str,
    options: tuple[str, ...] = (),
) -> Callable[[Check], Rule]:
    """Make a rule of a check."""

    def made(check: Check) -> Rule:
        return Rule(id, severity, title, why, bad, good, fix, source, check, options)

    return made


def everything() -> dict[str, Rule]:
    """All rules by id, in the order of the catalogue."""
    from tcemu.lint import rules

    return {one.id: one for one in rules.RULES}


def explain(one: Rule) -> str:
    """What ``--explain`` prints."""
    parts = [
        f"{one.id} ({one.severity}): {one.title}",
        _filled(one.why),
        "Found in:\n\n" + _indented(one.bad[0]),
        "Not found in:\n\n" + _indented(one.good[0]),
        _filled(f"Mend: {one.fix}"),
        _filled(f"Source: {one.source}"),
    ]
    return "\n\n".join(parts) + "\n"


def _filled(text: str) -> str:
    import textwrap

    return textwrap.fill(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.strip("\n").split("\n"))
