"""Rule files, of whichever tool: an nft ruleset, a batch of tc or ip, or a shell script's lines with the tools' names in front.

Which one is told by the name's suffix (``.nft``, ``.tc``, ``.batch``, ``.ip``), else by the first line that says something.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Diagnostic, Span, TcemuError
from tcemu.shell import ASSIGN, Command, Doubt, Script

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
# of a script: passed over
HARMLESS: Final = (
    "set",
    "echo",
    "printf",
    ":",
    "exit",
    "true",
    "modprobe",
    "sleep",
    "ethtool",
    "[",
    "test",
    "trap",
    "umask",
    "logger",
    "shopt",
)


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
        if line.strip() and not line.lstrip().startswith("#") and line.split()[0] not in HARMLESS and not ASSIGN.match(line):
            return bool(_tool_of(line))
    return False


def _script(session: Session, path: str, text: str) -> str:
    """Run the tools' commands of a script in order.

    What is of no tool and not harmless, and what only a shell could decide, is refused with its place. A command that fails ends it as
    under ``set -e``, unless the script expects that: it hides the complaint or says what to do then.
    """
    lines = text.split("\n")
    said = []
    failed: bool | None = None  # the command before; None where nobody knows
    for found in Script(TOOLS, os.environ).read(text):
        raw = lines[found.number - 1]
        if isinstance(found, Doubt):
            raise RulesError(f"rules {path} do not load", (_point(path, found.number, raw, found.why),))
        if not found.tool:
            if found.words[:1] == ("exit",) and not found.behind:
                break
            if found.words and found.words[0] not in HARMLESS:
                sentence = "a line that is neither tc, nft, ip, conntrack nor sysctl"
                raise RulesError(f"rules {path} do not load", (_point(path, found.number, raw, sentence),))
            failed = False if found.words[:1] in ((":",), ("true",), ("echo",)) else None
            continue
        if found.behind and failed is None:
            sentence = "whether it runs depends on a command that is not run here"
            raise RulesError(f"rules {path} do not load", (_point(path, found.number, raw, sentence),))
        if (found.behind == "&&" and failed) or (found.behind == "||" and not failed):
            continue
        result = getattr(session, found.tool)(list(found.words[1:]), _document(path, raw, found))
        failed = result.exit_code != 0
        if failed and not (found.excused or found.silent):
            words = result.stderr.rstrip("\n") or f"{found.tool} failed"
            raise RulesError(f"rules {path} do not load", (_point(path, found.number, raw, words),))
        if not found.silent:
            said.append(result.stderr)
    return "".join(said)


def _document(path: str, raw: str, command: Command) -> str:
    """What a here-document gives to its command."""
    for line in command.here:
        if line.content is None:
            raise RulesError(f"rules {path} do not load", (_point(path, line.number, line.written, "a value in it is not in the script"),))
    return "".join(f"{line.content}\n" for line in command.here)


def _point(path: str, number: int, line: str, sentence: str) -> Diagnostic:
    start = len(line) - len(line.lstrip()) + 1
    return Diagnostic(sentence, (Span(path, number, start, len(line) + 1),), line)
