"""Forms of nft's language that never were in a release: listings as the mails of its authors have them. ``TCEMU_COMPAT`` lets them in.

``flow-offload-v1``: the ``flow offload`` of the first patch set, of December 2017, without a table. The word is read as a table of a name
that nobody gives.
``lost-braces``: closing braces that are not there are put in where the indentation says, and ``devices`` may follow a flow table's
priority on its line.
Both leave all words where they are, so that positions in messages stay.
"""

from __future__ import annotations

import os
import re
from typing import Final

V1: Final = "flow-offload-v1"
BRACES: Final = "lost-braces"
TABLE: Final = "Z."  # "offload" is as long as "add @Z."
_FORM: Final = re.compile(r'"[^"\n]*"|#[^\n]*|\b(?P<flow>flow[ \t]+)offload\b(?![ \t]*@)')
_DEVICES: Final = re.compile(r"(\bhook[ \t]+ingress[ \t]+priority[ \t]+-?\w+)[ \t](?=[ \t]*devices\b)")
_SAID: Final = re.compile(r'"[^"]*"|#.*')


def compatible(text: str) -> str:
    """The text with old forms as new ones, where they are wanted."""
    wanted = os.environ.get("TCEMU_COMPAT", "").split(",")
    if V1 in wanted and "offload" in text:
        text = _FORM.sub(lambda found: f"{found['flow']}add @{TABLE}" if found["flow"] else found[0], text)
    if BRACES in wanted:
        text = closed(_DEVICES.sub(r"\1;", text))
    return text


def closed(text: str) -> str:
    """The text with each block closed where a line stands no deeper than the one that opened it, at the end of the line before."""
    lines = text.split("\n")
    blocks: list[int] = []  # the indentation of those that are open
    inside = 0  # braces of a value that goes over several lines
    last = -1  # the last line with words
    for number, line in enumerate(lines):
        code = _SAID.sub("", line).rstrip()
        if not code:
            continue
        if not inside:
            while blocks and _over(blocks, code):
                blocks.pop()
                lines[last] = _ended(lines[last], 1)
        inside = _count(code, inside, blocks)
        last = number
    if last >= 0:
        lines[last] = _ended(lines[last], len(blocks))
    return "\n".join(lines)


def _ended(line: str, blocks: int) -> str:
    """A line that ends so many blocks, in front of its comment."""
    end = next((found.start() for found in _SAID.finditer(line) if found[0][0] == "#"), len(line))
    return line[:end].rstrip() + ";}" * blocks + line[len(line[:end].rstrip()) :]


def _over(blocks: list[int], code: str) -> bool:
    """Does a line stand outside of the innermost block, whose closing brace it is not?"""
    depth = _indentation(code)
    return depth < blocks[-1] or (depth == blocks[-1] and not code.lstrip().startswith("}"))


def _count(code: str, inside: int, blocks: list[int]) -> int:
    """Open and close what a line opens and closes; the braces of a value that are open after it."""
    more = code.count("{") - code.count("}")
    if inside:
        return max(inside + more, 0)
    if more < 0:
        del blocks[more:]
    elif code.endswith("{"):
        blocks += [_indentation(code)] * more
    else:
        return more
    return 0


def _indentation(code: str) -> int:
    code = code.expandtabs()
    return len(code) - len(code.lstrip())
