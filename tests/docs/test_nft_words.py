"""The words that tcemu-nft(8) explains are those that the front end knows."""

from __future__ import annotations

import re
from pathlib import Path

import mdoc
import pytest

from tcemu.nft import expressions, priorities, protocols
from tcemu.nft.commands import OPTIONS
from tcemu.nft.expressions import ct, exthdr, meta

GRAMMAR = Path(__file__).resolve().parents[2] / "grammar" / "nft.lark"
PAGE = mdoc.read("tcemu-nft.8")


def said(path: str) -> set[str]:
    """The keywords of a section's items; those of two words together."""
    found: set[str] = set()
    for line in PAGE[path].text:
        if line.startswith(".It "):
            found |= {part.strip() for part in line.removeprefix(".It ").replace("Cm ", "").split(",")}
    return found


def test_the_page_of_nft_lists_the_options() -> None:
    assert mdoc.flags(PAGE, "OPTIONS") == {f"-{short}" for short, _, _ in OPTIONS if short} | {
        f"--{long}" for _, long, _ in OPTIONS if long
    }


def test_the_page_of_nft_lists_the_commands() -> None:
    text = GRAMMAR.read_text(encoding="utf-8")
    command = text.partition("\ncommand: ")[2].partition("\n\n")[0]
    shared = text.partition("\nshared: ")[2].partition("\n\n")[0]
    words = {word for part in (command, shared) for line in part.split("\n") for word in re.findall(r'^\W*"(\w+)"', line)}
    assert said("COMMANDS") == words


def test_the_page_of_nft_names_families_hooks_and_priorities() -> None:
    text = {word for line in PAGE["TABLES AND CHAINS"].text if line.startswith(".Cm") for word in re.findall(r"[\w-]+", line[3:])}
    hooks = {hook for hooks in priorities.HOOKS.values() for hook in hooks}
    assert text == {*priorities.HOOKS, *hooks, *(name for name, *_ in priorities.NAMES)}


def test_the_page_of_nft_lists_headers() -> None:
    assert said("EXPRESSIONS/Headers") == {name for name, row in protocols.HEADERS.items() if row.fields}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("EXPRESSIONS/meta", {*meta.TEMPLATES, *meta.OLD_NAMES}),
        ("EXPRESSIONS/ct", {name for name in ct.TEMPLATES if not name.startswith("ip")}),
        ("EXPRESSIONS/Extension headers and options", {*exthdr.IP6, "tcp option", "ip option", "dccp option", "sctp chunk"}),
    ],
    ids=["meta", "ct", "exthdr"],
)
def test_the_page_of_nft_lists_keys(path: str, names: set[str]) -> None:
    assert said(path) == names


def test_the_page_of_nft_names_every_kind_of_expression() -> None:
    parts = {path.rpartition("/")[2] for path in PAGE if path.startswith("EXPRESSIONS/")}
    named = (
        parts | said("EXPRESSIONS/Others") | {"payload", "exthdr", "inner"}
    )  # headers, those inside of tunnels, and extension headers and options
    assert set(expressions.KINDS) - {"hash"} <= named
    assert {"jhash", "symhash"} <= named
