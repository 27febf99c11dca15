"""Rule files, of whichever tool: an nft ruleset, a batch of tc or ip, or a shell script's lines with the tools' names in front.

Which one is told by the name's suffix (``.nft``, ``.tc``, ``.batch``, ``.ip``), else by the first line that says something.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Diagnostic, Span, TcemuError

if TYPE_CHECKING:
    from tcemu.session.session import Session

SUFFIXES: Final = {".nft": "nft", ".tc": "tc", ".batch": "tc", ".ip": "ip"}
TOOLS: Final = ("tc", "nft", "ip", "conntrack", "sysctl")
# first words of a file by which it is known
FIRST_WORDS: Final = {
    "nft": ("table", "add", "create", "flush", "delete", "insert", "include", "define", "#!/usr/sbin/nft", "#!/sbin/nft"),
    "tc": ("filter", "qdisc", "chain", "action", "actions", "class"),
    "ip": ("link", "addr", "address", "route", "neigh", "neighbour", "tuntap"),
}
ECHOED: Final = re.compile(r"^\s*(?:sudo\s+)?echo\s+(['\"]?)([^\s'\">]*)\1\s*>\s*/proc/sys/(\S+)\s*$")
HARMLESS: Final = ("set", "echo", ":", "exit", "true")  # of a script: passed over


class RulesError(TcemuError):
    """A rule file that does not load. ``words`` is what the tool itself said, which is shown as it is."""

    exit_code = 1

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = (), words: str = "") -> None:
        super().__init__(message or words, diagnostics)
        self.words = words

    def render(self) -> str:
        return self.words or super().render()


def load_rules(session: Session, path: str) -> str:
    """Load a file into the session; what the tools said on stderr though they went on. Raises RulesError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            text = source.read()
    except OSError as slip:
        raise RulesError(f"rules {path} cannot be read: {slip.strerror}") from slip
    kind = kind_of(path, text)
    if not kind:
        hint = "name it .nft, .tc or .ip, or begin its lines with the tool's name"
        raise RulesError(f"rules {path}: neither nft, tc nor ip", (Diagnostic(f"rules {path}: neither nft, tc nor ip", hint=hint),))
    if kind == "script":
        return _script(session, path, text)
    option = "-f" if kind == "nft" else "-batch"
    result = getattr(session, kind)([option, path])
    if result.exit_code:
        raise RulesError(f"rules {path} do not load", words=result.stderr)
    return str(result.stderr)


def kind_of(path: str, text: str) -> str:
    """nft, tc, ip or script; empty when it cannot be told."""
    suffix = os.path.splitext(path)[1]
    if suffix in SUFFIXES and not _is_script(text):
        return SUFFIXES[suffix]
    if _is_script(text):
        return "script"
    word = next((line.split()[0] for line in text.split("\n") if line.strip() and not _comment(line)), "")
    if not word:
        return "tc"  # an empty file loads nothing
    return next((kind for kind, words in FIRST_WORDS.items() if word in words), "")


def _comment(line: str) -> bool:
    return line.lstrip().startswith("#") and not line.startswith("#!")


def _tool_of(line: str) -> str:
    words = line.split(None, 2)
    if words and os.path.basename(words[0]) in ("sudo", "tcemu") and len(words) > 1:
        words = words[1:]
    name = os.path.basename(words[0]).removeprefix("tcemu-") if words else ""
    return name if name in TOOLS else ""


def _is_script(text: str) -> bool:
    """Does the first line that says something begin with a tool's name, or the file with a shell's?"""
    if text.startswith("#!") and text.split("\n", 1)[0].rstrip().endswith("sh"):
        return True
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#") and line.split()[0] not in HARMLESS:
            return bool(_tool_of(line))
    return False


def _script(session: Session, path: str, text: str) -> str:
    """Run the tools' lines of a script in order; a line that is of no tool and not harmless is refused, with its place."""
    import shlex

    said = []
    held = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = held + raw
        if line.endswith("\\"):
            held = line[:-1] + " "
            continue
        held = ""
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        line = ECHOED.sub(_setting, line)
        tool = _tool_of(line)
        if not tool:
            if line.split()[0] in HARMLESS:
                continue
            raise RulesError(
                f"rules {path} do not load", (_point(path, number, raw, "a line that is neither tc, nft, ip, conntrack nor sysctl"),)
            )
        try:
            words = shlex.split(line, comments=True)
        except ValueError as slip:
            raise RulesError(f"rules {path} do not load", (_point(path, number, raw, str(slip)),)) from slip
        while os.path.basename(words[0]).removeprefix("tcemu-") != tool:
            words.pop(0)
        result = getattr(session, tool)(words[1:])
        if result.exit_code:
            raise RulesError(f"rules {path} do not load", (_point(path, number, raw, result.stderr.rstrip("\n") or f"{tool} failed"),))
        said.append(result.stderr)
    return "".join(said)


def _setting(found: re.Match[str]) -> str:
    """``echo 1 > /proc/sys/net/ipv4/ip_forward`` as sysctl has it."""
    return f"sysctl -q {found[3]}={found[2]}"


def _point(path: str, number: int, line: str, sentence: str) -> Diagnostic:
    start = len(line) - len(line.lstrip()) + 1
    return Diagnostic(sentence, (Span(path, number, start, len(line) + 1),), line)
