"""What nft says when it will not: messages with places, in the form of nft's error records.

    [FILE:LINE:FIRST-LAST: ]Error: message
    the source line
    ~~~~~~^^^^        carets under the first place, tildes under the others

Source: nftables src/erec.c (erec_print), observed with nft 1.0.6.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from tcemu.diagnostics import TcemuError

if TYPE_CHECKING:
    from tcemu.nft.lexer import Lexer, Source
    from tcemu.nft.tree import At


class NftError(TcemuError):
    """One message; ``places`` are offsets of the lexer, the one with carets first. No places: nft's "internal".

    ends_block: the reader goes on behind the block in which it stands.
    """

    def __init__(self, message: str, *places: At, severity: str = "Error", ends_block: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.places = [place for place in places if place[0] >= 0]
        self.from_kernel = bool(places) and places[0][0] == -2
        self.severity = severity
        self.ends_block = ends_block

    def lines(self, lexer: Lexer) -> str:
        """The lines of the message."""
        return render(self, lexer)


class NftErrors(TcemuError):
    """All that was wrong with a run."""

    def __init__(self, errors: list[NftError]) -> None:
        super().__init__(errors[0].message if errors else "")
        self.errors = errors


def render(error: NftError, lexer: Lexer) -> str:
    """The lines of one message."""
    if error.from_kernel:
        return f"netlink: {error.severity}: {error.message}\n"
    if not error.places:
        return f"internal:0:0-0: {error.severity}: {error.message}\n\n"
    where = [position(lexer, place) for place in error.places]
    source, line, first, last = where[0]
    head = inclusion(lexer, source)
    if source.name:
        head += f"{source.name}:{line}:{first}-{last}: "
    text = source_line(source, line)
    marks = ["\t" if char == "\t" else " " for char in text]
    end = max(entry[3] for entry in where)
    marks = (marks + [" "] * end)[:end]
    for number in range(len(where) - 1, -1, -1):
        for column in range(max(where[number][2] - 1, 0), where[number][3]):
            marks[column] = "~" if number else "^"
    return f"{head}{error.severity}: {error.message}\n{text}\n{''.join(marks)}\n"


def position(lexer: Lexer, place: At) -> tuple[Source, int, int, int]:
    """Source, line, first and last column of a stretch; the last column is that of its end in the end's own line."""
    from tcemu.nft.lexer import line_starts

    source = next(source for source in reversed(lexer.sources) if source.base <= place[0])
    starts = line_starts(source.text, source.joined)
    begin, end = place[0] - source.base, max(place[1] - source.base - 1, place[0] - source.base)
    line = bisect_right(starts, begin)
    last_line = bisect_right(starts, end)
    return source, line, begin - starts[line - 1] + 1, end - starts[last_line - 1] + 1


def source_line(source: Source, line: int) -> str:
    """The line that is shown: of a command line the first one; at the end of a file the last one."""
    from tcemu.nft.lexer import line_starts

    if not source.name:
        return source.text.partition("\n")[0]
    starts = line_starts(source.text, source.joined)
    number = min(line, len(starts))
    if number == len(starts) and number > 1 and starts[-1] == len(source.text):
        number -= 1
    return source.text[starts[number - 1] :].partition("\n")[0]


def inclusion(lexer: Lexer, source: Source) -> str:
    """``In file included from …`` for each file on the way."""
    text, lead = "", "In file included from"
    while source.origin is not None:
        outer, line, first, last = position(lexer, source.origin)
        text += f"{lead} {outer.name}:{line}:{first}-{last}:\n"
        lead = "                 from"
        source = outer
    return text


def closest(word: str, names: list[str]) -> str:
    """The name that a misspelt word most likely meant, or empty. Source: observed with nft 1.0.6 (src/misspell.c)."""
    best, least = "", 1 << 30
    for name in names:
        longest, shortest = max(len(word), len(name)), min(len(word), len(name))
        if longest <= 1:
            continue
        bound = (longest + 2) // 3 if longest - shortest <= 1 else (longest + 4) // 3
        distance = _distance(name, word)
        if distance <= bound and distance < least:
            best, least = name, distance
    return best


def _distance(left: str, right: str) -> int:
    """Nearly the optimal string alignment distance.

    Like nft it leaves the first letters out, and the last column of one row is the first of the next.
    """
    width = len(right)
    cells = [0] * ((len(left) + 1) * (width + 1))
    for i in range(len(left) + 1):
        cells[i * width] = i
    cells[: width + 1] = range(width + 1)
    left, right = left + "\0", right + "\0"
    for i in range(1, len(left)):
        for j in range(1, width + 1):
            here = i * width + j
            cost = int(left[i] != right[j])
            least = min(cells[here - width] + 1, cells[here - 1] + 1, cells[here - width - 1] + cost)
            if i > 1 and j > 1 and left[i] == right[j - 1] and left[i - 1] == right[j]:
                least = min(least, cells[here - 2 * width - 2] + cost)
            cells[here] = least
    return cells[(len(left) - 1) * width + width]
