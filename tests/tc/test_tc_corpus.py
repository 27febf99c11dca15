"""Lines that people wrote, as tc 6.1.0 took them: exit, listing, and the same rule again from what is listed."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

import pytest

from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Match

from .worlds import HERE, Memory, named


class Line(NamedTuple):
    """A line of filters.txt."""

    setup: list[str]
    command: str
    good: bool
    show: str
    listing: str

    def world(self) -> Memory:
        """A world with what the line needs."""
        world = Memory(*named(*self.setup, self.command))
        for command in self.setup:
            if command.startswith("tc "):
                world.ok(command)
        return world


def lines() -> list[Line]:
    """filters.txt."""
    found = []
    for text in (HERE / "filters.txt").read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            setup, command, good, *rest = text.split(";", 4)
            show, listing = rest if len(rest) == 2 else ("", "")
            plain = re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], listing)
            found.append(Line(setup.split(" && "), command, good == "ok", show, plain))
    return found


LINES = lines()


@pytest.mark.parametrize("line", LINES, ids=[line.command for line in LINES])
def test_line(line: Line) -> None:
    world = line.world()
    assert (world.tc(line.command).exit_code == 0) is line.good
    if line.good:
        assert world.ok(line.show).rstrip("\n") == line.listing


def matches(world: Memory) -> list[list[object]]:
    """The match steps of all rules."""
    rules: list[Rule] = list(world.ruleset.rules)
    return [[step for step in rule.steps if isinstance(step, Match)] for rule in rules]


RENAMED = {"icmp_type": "type", "icmp_code": "code"}


def words_of(listing: str) -> list[str]:
    """The keys that a flower listing shows, as words for tc."""
    words: list[str] = []
    for text in listing.splitlines():
        if text.startswith("  ") and not text.strip().startswith(("eth_type", "not_in_hw")):
            key, *rest = text.split()
            found = [RENAMED.get(key, key), *rest]
            words = (
                found + words if key == "pppoe_sid" else [*words[:2], *found, *words[2:]] if key == "ppp_proto" else words + found
            )  # addresses are read by what PPP carries
    return words


@pytest.mark.parametrize("line", [line for line in LINES if line.good and " flower " in line.command], ids=lambda line: line.command)
def test_listed_keys_make_the_same_rule(line: Line) -> None:
    if "lse" in line.listing or "vxlan_opts" in line.listing:
        pytest.skip("what tc lists of these is no input of tc's")
    world, again = line.world(), line.world()
    world.ok(line.command)
    head = shlex.split(line.command)
    again.ok(shlex.join([*head[: head.index("flower") + 1], *words_of(line.listing)]))
    assert matches(world) == matches(again)
