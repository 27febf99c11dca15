"""Which options go with which command, against runs of the real tool (options.txt)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.conntrack.request import NAME, TRY_HELP

from .test_commands import World

CORPUS = Path(__file__).with_name("options.txt")
WORDS = Path(__file__).with_name("words.txt")


def cases() -> list[tuple[str, int, str]]:
    """(command line, exit code, standard error) of each run."""
    out, prefix = [], ""
    for line in CORPUS.read_text().splitlines():
        if line.startswith("$ "):
            prefix = line[2:]
        elif line and not line.startswith("#"):
            said, options = line.split("\t")
            code, text = said.split(" ", 1)
            out += [
                (f"{prefix} {last}".removesuffix(" -"), int(code), text.replace("`*'", f"`{last.split()[0]}'"))
                for last in options.split(" | ")
            ]
    return out


@pytest.mark.parametrize(("line", "code", "said"), cases(), ids=[line for line, _, _ in cases()])
def test_options_go_with_commands_as_the_tool_has_it(line: str, code: int, said: str) -> None:
    reply = World().run(line)
    assert (reply.exit_code, reply.stderr.replace(f"{NAME}: ", "").replace(TRY_HELP, "").strip().replace("\n", " // ")) == (code, said)


def spoken() -> list[tuple[str, int, str]]:
    """(command line, exit code, standard error) of each line of words.txt."""
    out = []
    for row in WORDS.read_text().splitlines():
        if row and not row.startswith("#"):
            code, text, line = row.split("\t")
            out.append((line, int(code), text))
    return out


@pytest.mark.parametrize(("line", "code", "said"), spoken(), ids=[line for line, _, _ in spoken()])
def test_words_at_random_are_read_as_by_the_tool(line: str, code: int, said: str) -> None:
    reply = World().run(line)
    assert (reply.exit_code, reply.stderr.replace(f"{NAME}: ", "").replace(TRY_HELP, "").strip().replace("\n", " // ")) == (code, said)
