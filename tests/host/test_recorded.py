"""Transcripts of the real `ip` on a real kernel, replayed command by command."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Box

TRANSCRIPTS = sorted((Path(__file__).parent / "recorded").glob("*.txt"))
# devices that the kernel's tunnel modules make by themselves in every namespace; tcemu has none
FALLBACK = re.compile(r"^N: (?:gre0|gretap0|erspan0|tunl0|ip6tnl0|ip6gre0)@NONE.*\n(?:    .*\n)+", re.M)
BRIEF_FALLBACK = re.compile(r"^(?:gre0|gretap0|erspan0|tunl0)@NONE .*\n", re.M)
RANDOM_MAC = re.compile(r"\b(?!02:00:00:00:00|00:00:00|ff:ff)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")


def masked(text: str) -> str:
    """Random MAC addresses and interface numbers are not compared."""
    text = re.sub(r"permaddr [0-9a-f:]+ ?", "", RANDOM_MAC.sub("MAC", text))
    text = re.sub(r"^\d+: ", "N: ", re.sub(r'"ifindex":\d+', '"ifindex":N', text), flags=re.M)
    return BRIEF_FALLBACK.sub("", FALLBACK.sub("", text))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_ip_answers_as_recorded(path: Path, box: Box) -> None:
    differences = []
    for block in re.split(r"^\$", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        line, _, want = block.partition("\n")
        code, out, err = box.ip(line.removeprefix("~").strip().removeprefix("ip "))
        got = masked(f"{out}{err}[rc={code}]\n")
        if not line.startswith("~") and got != masked(want):
            differences += [line, *difflib.unified_diff(masked(want).splitlines(), got.splitlines(), "recorded", "tcemu", lineterm="", n=0)]
    assert not differences, "\n".join(differences)


def test_the_transcripts_are_there() -> None:
    assert len(TRANSCRIPTS) == 3
