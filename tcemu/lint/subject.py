"""What is linted: texts, what the tools made of them, and where in the texts each noun of the ruleset was written."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from tcemu.diagnostics import Span
from tcemu.lint.finding import Doubt
from tcemu.lint.profile import Profile
from tcemu.lint.world import LintWorld

if TYPE_CHECKING:
    from tcemu.host.model import Host
    from tcemu.ir.ruleset import Ruleset
    from tcemu.lint.view import View
    from tcemu.nft.errors import NftError
    from tcemu.nft.parse import Parser
    from tcemu.nft.tree import At, Command
    from tcemu.tc.command import Command as TcCommand


class Origin(NamedTuple):
    """Where a line of a text that a tool reads stands in a file; shift is added to columns, -1 says that the columns are lost."""

    file: str
    line: int
    shift: int


class NftText:
    """A text that nft read: its parser (commands, places) and everything that was wrong with it."""

    def __init__(self, parser: Parser, errors: list[NftError], origins: list[Origin] | None = None) -> None:
        self.parser = parser
        self.errors = errors
        self.origins = origins
        self._starts: dict[int, list[int]] = {}

    def starts(self, base: int, text: str) -> list[int]:
        """Where each line of one of its sources begins, worked out once."""
        found = self._starts.get(base)
        if found is None:
            from tcemu.nft.lexer import line_starts

            found = self._starts[base] = line_starts(text)
        return found

    @property
    def commands(self) -> list[Command]:
        """Its commands in order."""
        return self.parser.commands


class TcLine(NamedTuple):
    """A line that tc read: its words, the command they are (None where tc complained), and the complaint."""

    span: Span
    words: tuple[str, ...]
    command: TcCommand | None
    error: str
    refused: bool  # by the kernel, not by tc
    key: str  # of the filter that it made


class Call(NamedTuple):
    """A tool called by a script or a unit: its words and its place."""

    tool: str
    words: tuple[str, ...]
    span: Span


class Subject:
    """See the module's text. ``known_host``: the machine was given, so what is not there is missing."""

    def __init__(self, world: Any = None, profile: Profile | None = None, known_host: bool = False) -> None:
        self.world: Any = world if world is not None else LintWorld(known_host)
        self.profile = profile or Profile()
        self.known_host = known_host
        self.texts: dict[str, list[str]] = {}  # lines of each file
        self.nft: list[NftText] = []
        self.tc: list[TcLine] = []
        self.calls: list[Call] = []
        self.places: dict[str, Span | tuple[NftText, At]] = {}  # as they are known: `place` makes spans of them
        self.written: dict[str, tuple[NftText, list[Any]]] = {}  # rules of nft: the text and the evaluated statements
        self.based: set[str] = set()  # keys of tables that were there before (--base)
        self.hardware: set[str] = set()  # filters that only hardware is to run (skip_sw), which no device here has
        self.owners: set[str] = set()  # names of tables and chains that were there before
        self.doubts: list[Doubt] = []
        self.asserts: list[tuple[str, str]] = []  # what must get in: protocol and port (--assert)
        self.peak = 0  # predicted connections at a time (--peak)
        self._view: View | None = None

    @property
    def ruleset(self) -> Ruleset:
        """What all texts together made."""
        found: Ruleset = self.world.ruleset
        return found

    @property
    def host(self) -> Host:
        """The machine."""
        found: Host = self.world.host
        return found

    @property
    def view(self) -> View:
        """The ruleset as checks want to see it, made once."""
        if self._view is None:
            from tcemu.lint.view import View

            self._view = View(self)
        return self._view

    # ------------------------------------------------------------ places
    def line(self, span: Span) -> str:
        """The source line of a place, or empty."""
        lines = self.texts.get(span.file, ())
        return lines[span.line - 1] if 0 < span.line <= len(lines) else ""

    def span(self, text: NftText, at: At) -> Span | None:
        """A stretch of an nft text as a place in a file."""
        return place_of(text, at, self.texts)

    def place(self, key: str) -> Span | None:
        """Where the noun of that key was written."""
        known = self.places.get(key)
        if known is None or isinstance(known, Span):
            return known
        return self.span(*known)

    def words(self, key: str) -> str:
        """A rule of nft that no text has, as nft lists it; empty where that is not kept."""
        rule = None if key.startswith("tc ") else self.ruleset.rules.get(key)
        if rule is None:
            return ""
        from tcemu.nft.names import Names
        from tcemu.nft.show import Out

        return Out(self.ruleset, Names(self.host)).rule(rule)

    def step_place(self, key: str, step: int) -> Span | None:
        """Where the statement was written that became that step of a rule, else the rule."""
        entry = self.written.get(key)
        if entry is None:
            return self.place(key)
        text, stmts = entry
        from tcemu.nft.canon import arranged
        from tcemu.nft.nouns.rule import lowered

        groups = arranged(stmts)
        starts = lowered(groups, key.split("/", maxsplit=1)[0])[1]
        ordered = [stmt for group in groups for stmt in group]
        number = bisect_right(starts, step) - 1
        span = self.span(text, ordered[number].at) if 0 <= number < len(ordered) else None
        return span or self.place(key)

    def doubt(self, about: str, why: str, span: Span | None = None) -> None:
        """Say that something could not be decided."""
        found = Doubt(about, why, span)
        if found not in self.doubts:
            self.doubts.append(found)


def place_of(text: NftText, at: At, texts: dict[str, list[str]]) -> Span | None:
    """See `Subject.span`: clamped to the first line, the end excluded."""
    if at[0] < 0:
        return None
    sources = text.parser.lexer.sources
    source = next(source for source in reversed(sources) if source.base <= at[0])
    starts = text.starts(source.base, source.text)
    begin = at[0] - source.base
    line = bisect_right(starts, begin)
    column = begin - starts[line - 1] + 1
    end = column + max(at[1] - at[0], 1)
    if text.origins is not None and source is sources[0]:
        origin = text.origins[min(line, len(text.origins)) - 1]
        width = len(texts.get(origin.file, [""])[origin.line - 1]) if origin.line <= len(texts.get(origin.file, ())) else 0
        if origin.shift < 0:
            return Span(origin.file, origin.line, 1, width + 1)
        return Span(origin.file, origin.line, column + origin.shift, min(end + origin.shift, width + 1))
    length = (starts[line] - 1 if line < len(starts) else len(source.text)) - starts[line - 1]
    while end - 1 <= length and end > column + 1 and source.text[starts[line - 1] + end - 2] in " \t\n;":
        end -= 1
    return Span(source.name, line, column, max(min(end, length + 1), column + 1))
