"""Shell scripts: the lines of tc, nft and ip in them, with variables where their values stand in the script.

No shell is run. Assignments of plain words are remembered, ``for x in a b c`` over plain words is unrolled, here-documents for nft are
read; a line with anything else in it (a command substitution, a variable nobody set, a positional parameter) is passed over, and said so.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple

from tcemu.diagnostics import Span
from tcemu.lint.subject import Call, Origin, Subject

TOOLS: Final = ("tc", "nft", "ip", "conntrack", "ethtool", "ovs-vsctl", "systemctl", "docker", "sysctl", "service")
ASSIGN: Final = re.compile(r"^\s*(?:export\s+|local\s+|readonly\s+|declare\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)=(.*)$", re.S)
VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-=])([^}]*))?\}|(.))")
HERE: Final = re.compile(r"<<(-?)\s*(['\"]?)([A-Za-z_]\w*)\2")
FOR: Final = re.compile(r"^\s*for\s+([A-Za-z_]\w*)\s+in\s+(.*?)\s*;?\s*(?:do\b(.*))?$")
LEADERS: Final = ("sudo", "tcemu", "then", "do", "else", "{", "(", "!", "&&", "||", "time", "exec", "run")
UNIT_LINE: Final = re.compile(r"^Exec(?:Start|StartPre|StartPost|Reload|Stop)\s*=\s*[-@+!:]*(.*)$")


class Line(NamedTuple):
    """A logical line: where it begins, its text, the body of its here-document with the line where that begins."""

    number: int
    text: str
    here: tuple[str, ...] = ()
    here_at: int = 0
    here_raw: bool = False


class UnknownError(Exception):
    """A value that the script does not tell."""


class Reader:
    """The reading of one script."""

    def __init__(self, subject: Subject, path: str) -> None:
        self.subject, self.path = subject, path
        self.values: dict[str, str] = {}
        self.text: list[str] = []  # lines for nft that wait
        self.origins: list[Origin] = []

    def run(self, lines: list[Line]) -> None:
        """Read logical lines in order."""
        at = 0
        while at < len(lines):
            loop = FOR.match(lines[at].text)
            if loop is not None:
                at = self._loop(lines, at, loop)
                continue
            self.line(lines[at])
            at += 1
        self.flush()

    def _loop(self, lines: list[Line], at: int, loop: re.Match[str]) -> int:
        """Unroll a loop over plain words; the number of the line behind it."""
        end, depth = at, 0
        while end < len(lines):
            words = re.findall(r"\b(?:do|done)\b", lines[end].text.split("#")[0])
            depth += words.count("do") - words.count("done")
            if "done" in words and depth <= 0:
                break
            end += 1
        body = list(lines[at + 1 : end])
        inline = loop[3] or ""
        if inline.strip():
            body.insert(0, Line(lines[at].number, re.sub(r";?\s*done\b.*$", "", inline)))
        try:
            values = shlex.split(self.expand(loop[2].removesuffix("; do").removesuffix(";")))
        except (UnknownError, ValueError):
            self._pass(lines[at], "the words of a loop are not in the script")
            values = []
        for value in values[:1000]:
            self.values[loop[1]] = value
            kept = self.values
            self.run([line for line in body if line.text.strip() != "do"])
            self.values = kept
        return end + 1

    def line(self, line: Line) -> None:
        """One logical line: its simple commands, one after the other."""
        for part in commands_of(line.text):
            assigned = ASSIGN.match(part)
            if assigned is not None and _tool(part) is None:
                self._assign(assigned[1], assigned[2])
                continue
            found = _tool(part)
            if found is not None:
                self._call(line, part[found[1] :], found[0])
            elif line.here and "nft" in part:
                self._call(line, part[part.index("nft") :], "nft")

    def _assign(self, name: str, value: str) -> None:
        try:
            words = shlex.split(self.expand(value), comments=True)
            self.values[name] = words[0] if words else ""
        except (UnknownError, ValueError):
            self.values.pop(name, None)

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

    def _pass(self, line: Line, why: str) -> None:
        raw = self.subject.texts[self.path][line.number - 1]
        from tcemu.lint.reading import spot

        self.subject.doubt("a line of a script", why, spot(self.path, line.number, raw))

    def _call(self, line: Line, text: str, tool: str) -> None:
        from tcemu.lint.reading import spot

        raw = self.subject.texts[self.path][line.number - 1]
        span = spot(self.path, line.number, raw)
        bare = re.sub(r"\s+\d?>+\s*(?:&\d|\S+)|\s+<<?-?\s*\S+|\s*\|\|.*$|\s*&&.*$|\s*\|(?!\|).*$", "", text)
        try:
            words = shlex.split(self.expand(bare), comments=True)[1:]
        except (UnknownError, ValueError):
            self._pass(line, "a value in it is not in the script")
            return
        if tool != "nft":
            self.flush()
            from tcemu.lint.read_tc import line_of

            line_of(self.subject, tool, words, span)
            return
        self.subject.calls.append(Call("nft", tuple(words), span))
        self._nft(line, words, span, raw)

    def _nft(self, line: Line, words: list[str], span: Span, raw: str) -> None:
        wanted = list(words)
        while wanted and wanted[0].startswith("-"):
            option = wanted.pop(0)
            if option in ("-f", "--file") or (not option.startswith("--") and option.endswith("f")):
                name = wanted.pop(0) if wanted else ""
                if name in ("-", "/dev/stdin") and line.here:
                    self._document(line)
                elif name:
                    self._file(name)
                return
        if not wanted or wanted[0] in ("list", "monitor", "get", "describe", "reset"):
            return
        command = " ".join(wanted)
        literal = raw.find(command)
        for piece in command.split("\n"):
            self.text.append(piece)
            self.origins.append(Origin(self.path, line.number, literal if literal >= 0 else -1))

    def _document(self, line: Line) -> None:
        for number, body in enumerate(line.here, line.here_at):
            shift = 0
            content = body
            if not line.here_raw:
                try:
                    content = self.expand(body.replace("\\$", "\0")).replace("\0", "$")
                except UnknownError:
                    self._pass(Line(number, body), "a value in it is not in the script")
                    content = re.sub(r"[^{}]", "", body.split("#")[0])  # braces keep the blocks whole
                shift = 0 if content == body else -1
            self.text.append(content)
            self.origins.append(Origin(self.path, number, shift))

    def _file(self, name: str) -> None:
        """``nft -f FILE``: a file beside the script is read with it."""
        import os

        path = name if os.path.isabs(name) else os.path.join(os.path.dirname(self.path), name)
        if os.path.isfile(path) and path not in self.subject.texts:
            from tcemu.lint.reading import load

            self.flush()
            load(self.subject, path)

    def flush(self) -> None:
        """Give what waits for nft to nft."""
        if self.text:
            from tcemu.lint.read_nft import load_text

            text, origins = "\n".join(self.text) + "\n", self.origins
            self.text, self.origins = [], []
            load_text(self.subject, self.path, text, origins)


def _tool(part: str) -> tuple[str, int] | None:
    """The tool that a simple command calls, and where its name begins."""
    at = 0
    for word in re.finditer(r"\S+", part):
        name = word.group().rpartition("/")[2].removeprefix("tcemu-")
        at = word.start()
        if name in TOOLS:
            return name, at
        if word.group() not in LEADERS and not re.fullmatch(r"[A-Za-z_]\w*=\S*|-[A-Za-z]+", word.group()):
            variable = re.fullmatch(r'"?\$\{?(TC|NFT|IP|tc|nft|ip)(?:_?(?:BIN|CMD|bin|cmd))?\}?"?', word.group())
            return (variable[1].lower(), at) if variable else None
    return None


def commands_of(text: str) -> Iterator[str]:
    """The simple commands of a line, cut at ``;`` (not inside quotes or braces of nft) and at ``&&``, ``||``."""
    start, quote, depth, at = 0, "", 0, 0
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
            yield text[start:at]
            start = at + 1
        elif text.startswith(("&&", "||"), at):
            yield text[start:at]
            start = at = at + 2
            continue
        at += 1
    rest = text[start:at]
    if rest.strip():
        yield rest


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


def load_script(subject: Subject, path: str, content: str) -> None:
    """Read a shell script."""
    Reader(subject, path).run(logical(content))


def load_unit(subject: Subject, path: str, content: str) -> None:
    """Read the lines of a systemd unit that call the tools."""
    reader = Reader(subject, path)
    lines = []
    for number, line in enumerate(content.split("\n"), 1):
        found = UNIT_LINE.match(line)
        if found is not None:
            lines.append(Line(number, found[1]))
    reader.run(lines)
