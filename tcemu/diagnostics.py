"""Errors that point: spans, carets, hints and exit codes.

A `Diagnostic` says one thing about one or several places of a text; a `TcemuError` carries diagnostics and the
exit code that the program ends with. Front ends that speak in another tool's words (tc, nft) put those words
into ``message``; what they look like on a terminal is decided here once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

SEVERITIES: Final = ("note", "warning", "error")


class Span(NamedTuple):
    """A stretch of one line: file name (empty for a command line), line and columns from 1, ``end`` excluded."""

    file: str
    line: int
    column: int
    end: int


class Diagnostic(NamedTuple):
    """One thing to say. The first span gets carets, the others tildes; ``text`` is the source line of the first."""

    message: str
    spans: tuple[Span, ...] = ()
    text: str = ""
    hint: str = ""
    severity: str = "error"

    def render(self) -> str:
        """The lines that a person sees, each ended by a newline."""
        lines = [f"{place(self.spans[0])}: {self.severity}: {self.message}" if self.spans else f"{self.severity}: {self.message}"]
        if self.text and self.spans:
            lines += [self.text, underline(self.text, self.spans)]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines) + "\n"


class TcemuError(Exception):
    """The root of what tcemu raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = (), exit_code: int | None = None) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics) or (Diagnostic(message),)
        if exit_code is not None:
            self.exit_code = exit_code

    def render(self) -> str:
        """All diagnostics as text."""
        return "".join(diagnostic.render() for diagnostic in self.diagnostics)


class SyntaxFailure(TcemuError):
    """The input does not parse."""

    exit_code = 1


class Refused(TcemuError):
    """The input parses and the kernel would say no."""

    exit_code = 2


class StateError(TcemuError):
    """A session, its file or its lock is not as it should be."""

    exit_code = 3


class CaptureError(TcemuError):
    """A capture file cannot be read or written."""

    exit_code = 1


def place(span: Span) -> str:
    """``file:line:column`` as compilers print it; a command line has no file."""
    return f"{span.file}:{span.line}:{span.column}" if span.file else f"line {span.line}, column {span.column}"


def underline(text: str, spans: Sequence[Span]) -> str:
    """Carets under the first span and tildes under the others of its line; tabs stay tabs."""
    first = spans[0]
    marks = ["\t" if char == "\t" else " " for char in text]
    marks += [" "] * (max(span.end for span in spans) - len(marks) + 1)
    for number, span in reversed(list(enumerate(spans))):
        if (span.file, span.line) == (first.file, first.line):
            for column in range(span.column - 1, max(span.end - 1, span.column)):
                marks[column] = "~" if number else "^"
    return "".join(marks).rstrip()


def near(word: str, words: Iterable[str]) -> str:
    """The word of the list that is nearest to a misspelt one, or empty (optimal string alignment, at most a third off)."""
    best, least = "", max(1, len(word) // 3) + 1
    for candidate in words:
        if abs(len(candidate) - len(word)) < least:
            distance = _distance(word, candidate, least)
            if distance < least:
                best, least = candidate, distance
    return best


def _distance(left: str, right: str, limit: int) -> int:
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, mine in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (mine != other))
            if i > 1 and j > 1 and mine == right[j - 2] and left[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
