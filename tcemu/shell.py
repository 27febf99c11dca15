"""Shell scripts as far as they can be read without a shell: the simple commands in them, with variables where their values are known.

Assignments of plain words are remembered, ``for x in a b c`` over plain words is unrolled, here-documents belong to their command. What
only a shell can tell (a command substitution, a variable nobody set, a positional parameter) is a `Doubt`. Source: POSIX.1-2017, Shell
Command Language, sections 2.2 to 2.10.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

ASSIGN: Final = re.compile(r"^\s*(?:export\s+|local\s+|readonly\s+|declare\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)=(.*)$", re.S)
VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-=])([^}]*))?\}|(.))")
HERE: Final = re.compile(r"<<(-?)\s*(['\"]?)([A-Za-z_]\w*)\2")
FOR: Final = re.compile(r"^\s*for\s+([A-Za-z_]\w*)\s+in\s+(.*?)\s*;?\s*(?:do\b(.*))?$")
LEADERS: Final = ("sudo", "tcemu", "then", "do", "else", "{", "(", "!", "&&", "||", "time", "exec", "run")
REDIRECTIONS: Final = re.compile(r"\s+\d?>+\s*(?:&\d|\S+)|\s+<<?-?\s*\S+|\s*\|(?!\|).*$")
SILENT: Final = re.compile(r"(?:\s|^)(?:2|&)>+\s*/dev/null\b|(?:\s|^)>+\s*/dev/null\s+2>&1")
ECHOED: Final = re.compile(r"^\s*(?:sudo\s+)?echo\s+(\S+)\s*>\s*/proc/sys/(\S+)\s*$")
MOST_ROUNDS: Final = 1000  # of a loop


class HereLine(NamedTuple):
    """A line of a here-document: its number, how it is written, and what a shell makes of it (None: that cannot be told)."""

    number: int
    written: str
    content: str | None


class Command(NamedTuple):
    """A simple command.

    tool: the tool's name, empty for another command. words: tool's name first, redirections left out. behind: the operator in front of
    it, ``&&``, ``||`` or none. silent: its complaints go to nowhere. excused: something is done if it fails.
    """

    number: int
    tool: str
    words: tuple[str, ...]
    behind: str = ""
    silent: bool = False
    excused: bool = False
    here: tuple[HereLine, ...] = ()


class Doubt(NamedTuple):
    """A line of which only a shell could say what it does."""

    number: int
    why: str


class Line(NamedTuple):
    """A logical line: where it begins, its text, the body of its here-document with the line where that begins."""

    number: int
    text: str
    here: tuple[str, ...] = ()
    here_at: int = 0
    here_raw: bool = False


class Part(NamedTuple):
    """A simple command as it is written, with the operators in front of it and behind it."""

    text: str
    before: str
    after: str


class UnknownError(Exception):
    """A value that the script does not tell."""


class Script:
    """The reading of one script; ``tools`` are the names of commands that are looked for."""

    def __init__(self, tools: tuple[str, ...], values: Mapping[str, str] | None = None) -> None:
        self.tools = tools
        self.values = dict(values or {})

    def read(self, text: str) -> Iterator[Command | Doubt]:
        """The commands in the order in which they would run."""
        return self.lines(logical(text))

    def lines(self, lines: list[Line]) -> Iterator[Command | Doubt]:
        """Of logical lines."""
        at = 0
        while at < len(lines):
            loop = FOR.match(lines[at].text)
            if loop is None:
                yield from self._line(lines[at])
                at += 1
            else:
                end = _end_of_loop(lines, at)
                yield from self._loop(lines[at:end], loop)
                at = end + 1

    def _loop(self, lines: list[Line], loop: re.Match[str]) -> Iterator[Command | Doubt]:
        """Unroll a loop over plain words."""
        body = [line for line in lines[1:] if line.text.strip() != "do"]
        inline = loop[3] or ""
        if inline.strip():
            body.insert(0, Line(lines[0].number, re.sub(r";?\s*done\b.*$", "", inline)))
        try:
            values = shlex.split(self.expand(loop[2].removesuffix("; do").removesuffix(";")))
        except (UnknownError, ValueError):
            yield Doubt(lines[0].number, "the words of a loop are not in the script")
            return
        for value in values[:MOST_ROUNDS]:
            self.values[loop[1]] = value
            yield from self.lines(body)

    def _line(self, line: Line) -> Iterator[Command | Doubt]:
        """Of one logical line, one after the other."""
        for part in parts_of(line.text):
            assigned = ASSIGN.match(part.text)
            found = self._tool(part.text)
            if assigned is not None and found is None:
                self._assign(assigned[1], assigned[2])
            elif found is not None:
                yield self._command(line, part, part.text[found[1] :], found[0])
            elif line.here and (piped := re.search(r"\|\s*(?:sudo\s+)?((?:\S*/)?(\w+)\b.*)$", part.text)) and piped[2] in self.tools:
                yield self._command(line, part, piped[1], piped[2])
            elif "sysctl" in self.tools and (echoed := ECHOED.match(part.text)):
                yield self._command(line, part, f"sysctl -q {echoed[2]}={echoed[1]}", "sysctl")
            else:
                yield Command(line.number, "", tuple(part.text.split()), part.before)

    def _assign(self, name: str, value: str) -> None:
        try:
            words = shlex.split(self.expand(value), comments=True)
            self.values[name] = words[0] if words else ""
        except (UnknownError, ValueError):
            self.values.pop(name, None)

    def _command(self, line: Line, part: Part, text: str, tool: str) -> Command | Doubt:
        try:
            behind = self.expand(REDIRECTIONS.sub("", text[len(text.split(None, 1)[0]) :]))
            words = shlex.split(behind, comments=True)
        except UnknownError:
            return Doubt(line.number, "a value in it is not in the script")
        except ValueError as slip:
            return Doubt(line.number, str(slip))
        here = tuple(self._here(line))
        silent = SILENT.search(text) is not None
        return Command(line.number, tool, (tool, *words), part.before, silent, part.after == "||", here)

    def _here(self, line: Line) -> Iterator[HereLine]:
        for number, written in enumerate(line.here, line.here_at):
            content: str | None = written
            if not line.here_raw:
                try:
                    content = self.expand(written.replace("\\$", "\0")).replace("\0", "$")
                except UnknownError:
                    content = None
            yield HereLine(number, written, content)

    def expand(self, text: str) -> str:
        """Variables by their values; raises UnknownError where one is not known."""
        if "`" in text or "$(" in text:
            raise UnknownError

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if not name:
                raise UnknownError
            known = self.values.get(name)
            if known is None and found[3]:
                known = found[4]
            if known is None:
                raise UnknownError
            return known

        parts = re.split(r"('[^']*')", text) if "'" in text and '"' not in text.split("'", maxsplit=1)[0] else [text]
        return "".join(part if part.startswith("'") else VARIABLE.sub(value, part) for part in parts)

    def _tool(self, part: str) -> tuple[str, int] | None:
        """The tool that a simple command calls, and where its name begins."""
        for word in re.finditer(r"\S+", part):
            name = "" if "=" in word.group() else word.group().rpartition("/")[2].removeprefix("tcemu-")
            if name in self.tools:
                return name, word.start()
            if word.group() not in LEADERS and not re.fullmatch(r"[A-Za-z_]\w*=\S*|-[A-Za-z]+", word.group()):
                variable = re.fullmatch(r'"?\$\{?(TC|NFT|IP|tc|nft|ip)(?:_?(?:BIN|CMD|bin|cmd))?\}?"?', word.group())
                return (variable[1].lower(), word.start()) if variable else None
        return None


def _end_of_loop(lines: list[Line], at: int) -> int:
    """The number of the line with the loop's ``done``."""
    end, depth = at, 0
    while end < len(lines):
        words = re.findall(r"\b(?:do|done)\b", lines[end].text.split("#")[0])
        depth += words.count("do") - words.count("done")
        if "done" in words and depth <= 0:
            break
        end += 1
    return end


def parts_of(text: str) -> Iterator[Part]:
    """The simple commands of a line, cut at ``;`` (not inside quotes or braces of nft) and at ``&&``, ``||``."""
    start, quote, depth, at, before = 0, "", 0, 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char == "\\":
            at += 1
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or text[at - 1] in " \t"):
            break
        elif char == "{" and at and text[at - 1] != "$":
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
        elif char == ";" and not depth and not text.startswith(";;", at):
            yield Part(text[start:at], before, ";")
            start, before = at + 1, ""
        elif text.startswith(("&&", "||"), at):
            yield Part(text[start:at], before, text[at : at + 2])
            before = text[at : at + 2]
            start = at = at + 2
            continue
        at += 1
    rest = text[start:at]
    if rest.strip():
        yield Part(rest, before, "")


def logical(text: str) -> list[Line]:
    """Logical lines: continuations joined, open quotes closed, here-documents taken out."""
    raw = text.split("\n")
    found: list[Line] = []
    at = 0
    while at < len(raw):
        start, line = at, raw[at]
        at += 1
        if line.lstrip().startswith("#"):
            continue
        while at < len(raw) and (line.endswith("\\") or _open_quote(line)) and at - start < 400:
            line = (line[:-1] + " " if line.endswith("\\") else line + "\n") + raw[at]
            at += 1
        here = HERE.search(line)
        if here is not None and "<<<" not in line:
            body = []
            begin = at
            while at < len(raw) and (raw[at].lstrip("\t") if here[1] else raw[at]).rstrip() != here[3]:
                body.append(raw[at])
                at += 1
            at += 1
            found.append(Line(start + 1, line, tuple(body), begin + 1, bool(here[2])))
        elif line.strip():
            found.append(Line(start + 1, line))
    return found


def _open_quote(text: str) -> bool:
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\" and quote == '"':
                at += 1
            quote = "" if char == quote else quote
        elif char == "\\":
            at += 1
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == 0 or text[at - 1] in " \t\n"):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        at += 1
    return bool(quote)
