"""Reads the pages of man/ as far as the tests need: sections, the heads of lists, and literal blocks.

Pages are mdoc(7). A page is a list of sections by path (``OPTIONS``, ``FILTERS/flower``); a section has items, each the macros of one
``.It`` line, and blocks, each the text between ``.Bd -literal`` and ``.Ed`` as a terminal shows it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

MAN = Path(__file__).resolve().parents[2] / "man"
MACROS = ("Ar", "Cm", "Fl", "Ic", "Pa", "Ev", "Er", "Ns", "Op", "No", "Li", "Dv", "Va", "Fn", "Xr", "Nm")
PUNCTUATION = (",", "|", ".", ":", ";", "(", ")", "[", "]", "=")
ESCAPES = {r"\e": "\\", r"\-": "-", r"\&": "", r"\(aq": "'", r"\(dq": '"', r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\(rs": "\\"}
_ESCAPE = re.compile(r"\\(?:\([a-z]{2}|.)")
_PART = re.compile(r'"([^"]*)"|(\S+)')


class Section(NamedTuple):
    """A part of a page."""

    items: list[list[tuple[str, str]]]  # one list of (macro, word) an item
    blocks: list[str]
    text: list[str]  # all source lines


Page = dict[str, Section]


def pages() -> list[Path]:
    """All pages."""
    return sorted(path for path in MAN.iterdir() if re.fullmatch(r"\.[1-8]", path.suffix))


def read(name: str) -> Page:
    """A page by file name."""
    page: Page = {}
    top = ""
    section = Section([], [], [])
    block: list[str] | None = None
    for line in (MAN / name).read_text(encoding="utf-8").split("\n"):
        section.text.append(line)
        if block is not None:
            if line == ".Ed":
                section.blocks.append("\n".join(block) + "\n")
                block = None
            else:
                block.append(plain(line))
        elif line.startswith((".Sh ", ".Ss ")):
            title = line[4:].replace('"', "")
            top = title if line.startswith(".Sh") else top
            section = page[title if line.startswith(".Sh") else f"{top}/{title}"] = Section([], [], [])
        elif line.startswith(".Bd -literal"):
            block = []
        elif line.startswith(".It "):
            section.items.append(macros(line[4:]))
    return page


def plain(text: str) -> str:
    """Text with its escapes resolved."""
    return _ESCAPE.sub(lambda found: ESCAPES[found[0]], text)


def macros(line: str) -> list[tuple[str, str]]:
    """(macro, word) for the words of a macro line; words in front of the first macro have none."""
    found, macro = [], ""
    for quoted, bare in _PART.findall(line):
        if bare in MACROS:
            macro = bare
        elif quoted or bare not in PUNCTUATION:
            found.append((macro, plain(quoted or bare)))
    return found


def words(page: Page, path: str, macro: str) -> list[str]:
    """The words that the items of a section say with a macro, those of its subsections included."""
    return [
        word
        for name, section in page.items()
        if name == path or name.startswith(path + "/")
        for item in section.items
        for kind, word in item
        if kind == macro
    ]


def flags(page: Page, path: str) -> set[str]:
    """The options that the items of a section are about, with their dashes."""
    return {f"-{word}" for word in words(page, path, "Fl")}
