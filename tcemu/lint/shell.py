"""Shell scripts and systemd units: the lines of tc, nft and ip in them. No shell is run; see `tcemu.shell`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from tcemu.diagnostics import Span
from tcemu.lint.subject import Call, Origin, Subject
from tcemu.shell import Command, Doubt, Line, Script

TOOLS: Final = ("tc", "nft", "ip", "conntrack", "ethtool", "ovs-vsctl", "systemctl", "docker", "sysctl", "service")
UNIT_LINE: Final = re.compile(r"^Exec(?:Start|StartPre|StartPost|Reload|Stop)\s*=\s*[-@+!:]*(.*)$")


class Reader:
    """What the commands of one script come to."""

    def __init__(self, subject: Subject, path: str) -> None:
        self.subject, self.path = subject, path
        self.text: list[str] = []  # lines for nft that wait
        self.origins: list[Origin] = []

    def run(self, found: Iterable[Command | Doubt]) -> None:
        """Take commands in order."""
        for one in found:
            if isinstance(one, Doubt):
                self._doubt(one.number, one.why)
            elif one.tool == "nft":
                self.subject.calls.append(Call("nft", one.words[1:], self._span(one.number)))
                self._nft(one)
            elif one.tool:
                from tcemu.lint.read_tc import line_of

                self.flush()
                line_of(self.subject, one.tool, list(one.words[1:]), self._span(one.number))
        self.flush()

    def _raw(self, number: int) -> str:
        return self.subject.texts[self.path][number - 1]

    def _span(self, number: int) -> Span:
        from tcemu.lint.reading import spot

        return spot(self.path, number, self._raw(number))

    def _doubt(self, number: int, why: str) -> None:
        self.subject.doubt("a line of a script", why, self._span(number))

    def _nft(self, command: Command) -> None:
        wanted = list(command.words[1:])
        while wanted and wanted[0].startswith("-"):
            option = wanted.pop(0)
            if option in ("-f", "--file") or (not option.startswith("--") and option.endswith("f")):
                name = wanted.pop(0) if wanted else ""
                if name in ("-", "/dev/stdin") and command.here:
                    self._document(command)
                elif name:
                    self._file(name)
                return
        if not wanted or wanted[0] in ("list", "monitor", "get", "describe", "reset"):
            return
        text = " ".join(wanted)
        literal = self._raw(command.number).find(text)
        for piece in text.split("\n"):
            self.text.append(piece)
            self.origins.append(Origin(self.path, command.number, literal if literal >= 0 else -1))

    def _document(self, command: Command) -> None:
        for line in command.here:
            content = line.content
            if content is None:
                self._doubt(line.number, "a value in it is not in the script")
                content = re.sub(r"[^{}]", "", line.written.split("#")[0])  # braces keep the blocks whole
            self.text.append(content)
            self.origins.append(Origin(self.path, line.number, 0 if content == line.written else -1))

    def _file(self, name: str) -> None:
        """``nft -f FILE``: a file beside the script is read with it."""
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


def load_script(subject: Subject, path: str, content: str) -> None:
    """Read a shell script."""
    Reader(subject, path).run(Script(TOOLS).read(content))


def load_unit(subject: Subject, path: str, content: str) -> None:
    """Read the lines of a systemd unit that call the tools."""
    lines = [Line(number, found[1]) for number, line in enumerate(content.split("\n"), 1) if (found := UNIT_LINE.match(line))]
    Reader(subject, path).run(Script(TOOLS).lines(lines))
