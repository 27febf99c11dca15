"""The words of grammar/tc.lark, read without lark: which words may stand in a rule, through the rules that it leads to."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

GRAMMAR = Path(__file__).resolve().parents[2] / "grammar" / "tc.lark"
_DEFINITION = re.compile(r"^[?!]?(\w+)(?:\.\d+)?\s*:(.*)$")
_STRING = re.compile(r'"([^"]*)"')
_NAME = re.compile(r"(?<![\w>-])[a-zA-Z_]\w*")


@cache
def definitions() -> dict[str, str]:
    """Bodies of rules and terminals by name, without aliases and comments."""
    found: dict[str, str] = {}
    name = ""
    for line in GRAMMAR.read_text(encoding="utf-8").split("\n"):
        bare = re.sub(r"->\s*\w+", "", line.split("//", 1)[0])
        start = _DEFINITION.match(bare)
        if start is not None:
            name, body = start.groups()
            found[name] = body
        elif name and bare[:1].isspace():
            found[name] += " " + bare
        else:
            name = ""
    return found


def words(rule: str, stop: frozenset[str] = frozenset()) -> set[str]:
    """The words that a rule can read, but for what stands in the rules at which to stop."""
    found: set[str] = set()
    seen = set(stop)
    left = [rule]
    while left:
        name = left.pop()
        if name in seen or name not in definitions():
            continue
        seen.add(name)
        body = definitions()[name]
        found |= set(_STRING.findall(body))
        left += _NAME.findall(_STRING.sub("", body))
    return found
