"""What documents show is true: every command in them is run, every output that is shown is compared."""

from __future__ import annotations

import re
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


# ---------------------------------------------------------------- README

README = ROOT / "README.md"
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q "
RUN = f"{INSTALL}. && .venv/bin/"
TEST = f"{INSTALL}'.[test]' && .venv/bin/pytest"


def test_the_first_command_runs_the_main_job(follow: Follow) -> None:
    """Installing is left to .ci/run; what is installed is run as it stands."""
    first, second, *_ = [block.text.strip() for block in blocks(README) if block.language == "sh"]
    assert first.startswith(RUN)
    assert second == TEST
    follow(f"$ {first.removeprefix(RUN)}\n$ ls replayed\neth0.pcap\nuplink.pcap\n")


def test_the_other_commands_of_the_readme_run(follow: Follow) -> None:
    for block in [block for block in blocks(README) if block.language == "sh"][2:]:
        follow("".join(f"$ {line}\n" for line in block.text.splitlines()))


def test_the_python_of_the_readme_runs(follow: Follow) -> None:
    (block,) = [block for block in blocks(README) if block.language == "python"]
    lines = "".join(f"> {line}\n" for line in block.text.splitlines())
    follow(f"$ python3 - <<'END'\n{lines}> END\n278 {{...}}\n...\n")


# ---------------------------------------------------------------- examples


def test_every_example_is_shown_in_the_walk() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    named = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".tc", ".ip", ".nft", ".sh", ".py")}
    assert {name for name in named - {"conversations.py"} if f"examples/{name}" not in text and f"`{name}`" not in text} == set()


def test_the_documents_point_to_files_that_are_there() -> None:
    for path in (README, ROOT / "CHANGELOG.md", *WALKS):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
