"""What documents show is true: every command in them is run, every output that is shown is compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mdoc
import pytest
from fences import ROOT, blocks

if TYPE_CHECKING:
    from conftest import Follow

PAGES = [path.name for path in mdoc.pages()]
WALKS = sorted((ROOT / "examples").glob("*.md"))


def examples(name: str) -> str:
    """The commands that a page shows, whichever section they stand in."""
    return "\n".join(block for section in mdoc.read(name).values() for block in section.blocks if "$ " in block)


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run_and_give_what_is_shown(name: str, follow: Follow) -> None:
    follow(examples(name))


@pytest.mark.parametrize("path", WALKS, ids=lambda path: path.name)
def test_a_walk_runs_and_gives_what_is_shown(path: Path, follow: Follow) -> None:
    follow("\n".join(block.text for block in blocks(path) if block.language == "console"))


@pytest.mark.parametrize("path", [ROOT / "README.md", *WALKS], ids=lambda path: path.name)
def test_every_block_of_a_document_is_of_a_kind_that_is_run(path: Path) -> None:
    assert {block.language for block in blocks(path)} <= {"console", "sh", "python"}
