"""From text to tokens, as nft's scanner does it: longest match, the first rule where two are equally long.

Places are offsets into one row of all texts read so far, so that a token in an included file has a place of its own
(`Source`). Words become keywords by scope (`tcemu.nft.scope`), never by what the parser would take.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from tcemu.diagnostics import Span
from tcemu.nft.scope import OPENS, RESERVED, SAME, SCOPES, TUNNELLED, TUNNELS, Scopes
from tcemu.syntax.table import Table

# one alternative per kind of token; a word not followed by what could make it longer (address, class id, wildcard) is decided at once
MASTER: Final = re.compile(
    r"""(?P<blank>(?:[ \t]+|\\\n|\#[^\n]*(?=\n))+)
    |(?P<word>[A-Za-z_.][A-Za-z0-9_./\-]*+(?![:*\\]))
    |(?P<newline>\n)
    |(?P<quoted>"[^"]*")
    |(?P<colons>(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:])[0-9A-Fa-f:.]+)
    |(?P<address>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})
    |(?P<number>0[xX][0-9A-Fa-f]+|\d+)
    |(?P<boxed>\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])
    |(?P<sign>==|!=|<=|>=|<<|>>|[;,:{}()\[\]=<>!&|^/@$+\-])
    |(?P<other>.)""",
    re.X | re.S,
)
TIME: Final = re.compile(r"(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?")
WORD: Final = re.compile(r"[A-Za-z_.][A-Za-z0-9_./\-]*")
WILD: Final = re.compile(r"[A-Za-z_.][A-Za-z0-9_./\-]*(?:\*|\\\*(?:[A-Za-z_.][A-Za-z0-9_./\-]*)?)|\\\*")
NUMBERED: Final = re.compile(r"802\.?1q|8021ad|8021q")
CLASSID: Final = re.compile(r"[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}(?=[ \t\n:\-},])")
MAC: Final = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")
_H: Final = "[0-9A-Fa-f]{1,4}"
_V4: Final = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"


class Source(NamedTuple):
    """A text that is read: its name in messages, the text, and the place of its first character.

    ``joined``: newlines inside of quotation marks, which nft does not count.
    """

    name: str
    text: str
    base: int
    joined: set[int]
    origin: tuple[int, int] | None = None  # the include statement that named it


class Lexer:
    """Tokens one by one; ``terminal`` is -1 when the text cannot be a token at all."""

    __slots__ = (
        "_at",
        "_opens",
        "_source",
        "_special",
        "_stack",
        "_words",
        "end",
        "scopes",
        "sources",
        "start",
        "table",
        "terminal",
        "value",
    )

    def __init__(self, table: Table, name: str, text: str) -> None:
        self.table = table
        self.scopes = Scopes()
        self.sources: list[Source] = []
        self._stack: list[tuple[Source, int]] = []
        self._words, self._opens, self._special = _vocabulary(table)
        self._source = Source(name, text, 0, set())
        self.sources.append(self._source)
        self._at = 0
        self.terminal = 0
        self.value: Any = None
        self.start = 0
        self.end = 0

    def include(self, name: str, text: str, origin: tuple[int, int]) -> None:
        """Read this text next, then go on where we are."""
        last = self.sources[-1]
        self._stack.append((self._source, self._at))
        self._source = Source(name, text, last.base + len(last.text) + 1, set(), origin)
        self.sources.append(self._source)
        self._at = 0

    def rest(self) -> tuple[str, int, int]:
        """The text that is read, how far it has been, and the place of its first character."""
        return self._source.text, self._at, self._source.base

    def go_on(self, at: int) -> None:
        """Read on from there."""
        self._at = at

    @property
    def depth(self) -> int:
        """How many includes deep we are."""
        return len(self._stack)

    def next(self) -> int:
        """The next token's terminal; its value and place are in ``value``, ``start`` and ``end``."""
        text = self._source.text
        while True:
            match = MASTER.match(text, self._at)
            if match is None:
                if self._stack:
                    self._source, self._at = self._stack.pop()
                    text = self._source.text
                    continue
                self.start = self.end = self._source.base + len(text)
                return self._give("_EOF", "")
            kind = match.lastgroup
            self._at = match.end()
            if kind != "blank":
                break
        base = self._source.base
        self.start, self.end = base + match.start(), base + self._at
        if kind == "word":
            return self._word(match.group())
        if kind == "number":
            return self._number(text, match)
        if kind == "sign":
            sign = match.group()
            if sign == "@":
                self.scopes.open("at")
            self.value = sign
            self.terminal = self._words[""][sign]
            return self.terminal
        if kind == "quoted":
            quoted = match.group()
            if "\n" in quoted:
                self._source.joined.update(match.start() + place for place, char in enumerate(quoted) if char == "\n")
            return self._give("QSTRING", quoted[1:-1])
        if kind == "newline":
            return self._give("_NEWLINE", "\n")
        if kind == "address":
            return self._longer(text, match.start(), match.end())
        return self._rare(text, match)

    def _give(self, name: str, value: Any) -> int:
        self.value = value
        self.terminal = self._special[name]
        return self.terminal

    def _word(self, word: str) -> int:
        self.value = word
        scoped = self._words.get(self.scopes.words)
        terminal = scoped.get(word) if scoped else None
        if terminal is None:
            terminal = self._words["*"].get(word)
        if terminal is None:
            self.terminal = self._special["STRING"]
            return self.terminal
        self.terminal = terminal
        opens = self._opens.get(word)
        if opens is not None:
            if word in TUNNELS and not self._tunnelled():
                self.terminal = self._special["STRING"]
                return self.terminal
            self.scopes.open(opens)
        return terminal

    def _tunnelled(self) -> bool:
        """What follows belongs to a tunnel."""
        text, at = self._source.text, self._at
        while text[at : at + 1] in (" ", "\t"):
            at += 1
        found = WORD.match(text, at)
        return found is not None and found.group() in TUNNELLED

    def _number(self, text: str, match: re.Match[str]) -> int:
        """A number, or what begins with digits and is longer: a time, a word such as 8021q."""
        start, end = match.span()
        following = text[end : end + 1]
        if following and (following in "dhms" or following.isalpha()):
            time = TIME.match(text, start)
            word = NUMBERED.match(text, start)
            longest = max((found.end() for found in (time, word) if found), default=0)
            if longest > end:
                return self._take(longest, "STRING", text[start:longest])
        digits = match.group()
        try:
            number = int(digits, 16) if digits[1:2] in ("x", "X") else int(digits, 8 if digits[0] == "0" else 10)
        except ValueError:  # 08 is no octal number
            return self._give("STRING", digits)
        return self._give("STRING", digits) if number >= 1 << 64 else self._give("NUM", number)

    def _take(self, end: int, name: str, value: Any) -> int:
        self._at = end
        self.end = self._source.base + end
        return self._give(name, value)

    def _longer(self, text: str, start: int, end: int) -> int:
        return self._take(end, "STRING", text[start:end])

    def _rare(self, text: str, match: re.Match[str]) -> int:
        """Addresses with colons, class ids, wildcards, words before a colon, and junk."""
        start = match.start()
        if match.lastgroup == "boxed" and addresses().fullmatch(match.group()[1:-1]):
            return self._give("STRING", match.group()[1:-1])
        if text[start] == "[":
            return self._sign(text, start)
        best, value = self._longest(text, start)
        if best > start:
            if value is not None:
                return self._take(best, *value)
            self._at, self.end = best, self._source.base + best
            return self._word(text[start:best])
        number = re.compile(r"0[xX][0-9A-Fa-f]+|\d+").match(text, start)
        if number is not None:
            self._at, self.end = number.end(), self._source.base + number.end()
            return self._number(text, number)
        if text[start] == "*" or text[start] in ":":
            return self._sign(text, start)
        return self._take(start + 1, "JUNK", text[start])

    def _sign(self, text: str, start: int) -> int:
        self._at, self.end = start + 1, self._source.base + start + 1
        self.value = text[start]
        self.terminal = self._words[""][text[start]]
        return self.terminal

    def _longest(self, text: str, start: int) -> tuple[int, tuple[str, Any] | None]:
        """The end of the longest token here, and what it is (None: a word, keyword or not)."""
        found: list[tuple[int, int, tuple[str, Any] | None]] = []
        for rank, (pattern, name) in enumerate(
            ((CLASSID, "STRING"), (MAC, "STRING"), (addresses(), "STRING"), (WORD, ""), (WILD, "ASTRING"))
        ):
            hit = pattern.match(text, start)
            if hit is not None and hit.end() > start and hit.group() != "*":
                found.append((-hit.end(), rank, (name, hit.group()) if name else None))
        if not found:
            return start, None
        end, _rank, value = min(found, key=lambda entry: entry[:2])
        return -end, value

    def span(self, at: tuple[int, int]) -> tuple[Source, Span]:
        """Where a stretch lies: its source, and lines and columns as nft counts them."""
        source = next(source for source in reversed(self.sources) if source.base <= at[0])
        starts = line_starts(source.text, source.joined)
        offset = at[0] - source.base
        line = bisect_right(starts, offset)
        column = offset - starts[line - 1] + 1
        return source, Span(source.name, line, column, column + max(at[1] - at[0], 0))


def line_starts(text: str, joined: Collection[int] = ()) -> list[int]:
    """Offsets at which lines begin; newlines at those of ``joined`` end none."""
    return [0, *(match.end() for match in re.finditer("\n", text) if not joined or match.start() not in joined)]


_addresses: re.Pattern[str] | None = None


def addresses() -> re.Pattern[str]:
    """IPv6 addresses, the longest forms first; compiled on first use (it costs 3 ms)."""
    global _addresses  # noqa: PLW0603  (a lazily compiled constant)
    if _addresses is None:
        forms = [f"(?:{_H}:){{6}}{_V4}", f"(?:{_H}:){{7}}{_H}"]
        mapped = [f"(?:{_H}:){{{n}}}(?::{_H}){{0,{5 - n}}}:{_V4}" for n in range(1, 6)]
        forms = [*forms[:1], f"::(?:{_H}:){{0,5}}{_V4}", *mapped, *forms[1:]]
        forms += [f"(?:{_H}:){{{n}}}(?::{_H}){{1,{7 - n}}}" for n in range(6, 0, -1)]
        forms += [f":(?::{_H}){{1,7}}", f"(?:{_H}:){{1,7}}:", "::"]
        _addresses = re.compile("|".join(forms))
    return _addresses


_known: dict[int, tuple[dict[str, dict[str, int]], dict[str, str], dict[str, int]]] = {}


def _vocabulary(table: Table) -> tuple[dict[str, dict[str, int]], dict[str, str], dict[str, int]]:
    """Terminals by scope and word ("*": reserved, "": signs), scopes by opening word, and the terminals without spelling."""
    known = _known.get(id(table))
    if known is None:
        spelt = {text: numbers[0] for text, numbers in table.spelling().items()}

        def terminals(words: str) -> dict[str, int]:
            return {word: spelt[SAME.get(word, word)] for word in words.split()}

        words = {scope: terminals(text) for scope, text in SCOPES.items()}
        words["*"] = {".": spelt["."]} | terminals(RESERVED + " " + " ".join(word for word in OPENS if word not in ("@", "chunk")))
        words[""] = {text: number for text, number in spelt.items() if not text[0].isalnum()}
        opens = {word: scope for word, scope in OPENS.items() if word != "@"}
        known = _known[id(table)] = (
            words,
            opens,
            {name: table.number[name] for name in ("_EOF", "NUM", "STRING", "QSTRING", "ASTRING", "_NEWLINE", "JUNK")},
        )
    return known
