"""The fenced blocks of Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block and the language that it is said to be in."""

    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    """All fenced blocks of a document."""
    return [Block(*found.groups()) for found in _FENCE.finditer(path.read_text(encoding="utf-8"))]
