"""Files become a `Subject`: nft rulesets, tc and ip batches, shell scripts, and the tools' JSON dumps.

Which one a file is, its first telling line says (and its suffix, where it says nothing else).
"""

from __future__ import annotations

import os
import re
from typing import Final

from tcemu.diagnostics import Span, TcemuError
from tcemu.lint.subject import Subject

SUFFIXES: Final = {".nft": "nft", ".nftables": "nft", ".tc": "tc", ".batch": "tc", ".ip": "ip", ".sh": "script", ".bash": "script"}
NFT_WORDS: Final = frozenset(
    ("table", "add", "create", "flush", "delete", "insert", "include", "define", "undefine", "redefine", "reset", "list", "destroy")
)
TC_WORDS: Final = frozenset(("filter", "qdisc", "chain", "action", "actions", "class"))
IP_WORDS: Final = frozenset(("link", "addr", "address", "route", "neigh", "neighbour", "tuntap"))
JSON: Final = re.compile(r'\{\s*"|\[\s*[{\]]')
SHELLS: Final = ("sh", "bash", "dash", "ash", "ksh", "zsh")
KINDS: Final = ("nft", "tc", "ip", "script", "unit", "nft-json", "tc-json", "session")


def read(path: str) -> str:
    """A file's text. Raises TcemuError with exit code 2."""
    if path == "-":
        import sys

        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read()
    except OSError as slip:
        raise TcemuError(f"{path} cannot be read: {slip.strerror}", exit_code=2) from slip


def kind_of(path: str, text: str) -> str:
    """One of KINDS, or empty when it cannot be told."""
    if text.startswith("SQLite format 3"):
        return "session"
    stripped = text.lstrip()
    if JSON.match(stripped):
        return "nft-json" if '"nftables"' in stripped[:4000] else "tc-json"
    first = text.split("\n", 1)[0]
    if first.startswith("#!"):
        words = first[2:].split()
        name = os.path.basename(words[-1 if len(words) > 1 and words[0].endswith("env") else 0]) if words else ""
        if name in SHELLS:
            return "script"
        if name == "nft":
            return "nft"
        if name == "tc":
            return "tc"
    suffix = os.path.splitext(path)[1]
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix in (".service", ".timer") or stripped.startswith("[Unit]"):
        return "unit"
    return _by_first_line(text)


def _by_first_line(text: str) -> str:
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        word = os.path.basename(words[0])
        if word in ("tc", "nft", "ip", "sudo", "tcemu", "set", "export", "if", "for", "modprobe", "sysctl") or "=" in words[0]:
            return "script" if not (word == "set" and len(words) == 1) else "nft"
        if word in TC_WORDS and not (word == "chain" and len(words) > 1 and words[1].endswith("{")):
            return "tc"
        if word in NFT_WORDS:
            return "nft"
        return "ip" if word in IP_WORDS else ""
    return "nft"


def load(subject: Subject, path: str, text: str | None = None, kind: str = "") -> None:
    """Read one file into the subject."""
    content = read(path) if text is None else text
    found = kind or kind_of(path, content)
    subject.texts[path] = content.split("\n")
    if found in ("nft", "nft-json"):
        from tcemu.lint.read_nft import load_json, load_text

        (load_json if found == "nft-json" else load_text)(subject, path, content)
    elif found in ("tc", "ip"):
        from tcemu.lint.read_tc import load_batch

        load_batch(subject, path, content, found)
    elif found == "tc-json":
        from tcemu.lint.dump_tc import load_dump

        load_dump(subject, path, content)
    elif found in ("script", "unit"):
        from tcemu.lint.shell import load_script, load_unit

        (load_unit if found == "unit" else load_script)(subject, path, content)
    else:
        hint = "name it .nft, .tc, .ip or .sh"
        raise TcemuError(f"{path} is neither of nft, of tc, a shell script, a session nor a dump; {hint}", exit_code=2)


def spot(path: str, number: int, line: str) -> Span:
    """A whole line, without the blanks around it."""
    start = len(line) - len(line.lstrip()) + 1
    return Span(path, number, start, max(len(line.rstrip()) + 1, start + 1))
