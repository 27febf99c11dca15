"""Long listings, which are read and printed at once, say what short ones and those by other ways say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from tcemu import Session
from tcemu.tc.look import MANY
from tcemu.tc.notes import RuleNote, pack, unpack

from .test_tc_corpus import LINES

SHOW = ["filter", "show", "dev", "eth0", "ingress"]
OPTIONS = [[], ["-j"], ["-j", "-p"], ["-s"], ["-br"], ["-o"], ["-d"]]
COUNTERS = re.compile(
    r"\tAction statistics:\n\tSent .*\n\tbacklog .*\n| installed \d+ sec used \d+ sec(?: firstused \d+ sec)?(?: expires \d+ sec)?"
    r"| \(rule hit 0\)| DSCP set .*"
)


def filters() -> Iterator[list[str]]:
    """The corpus's flower filters on one device, each in a chain of its own, and all its actions behind matchall."""
    chain = 0
    for line in LINES:
        for command in line.command.split(";"):
            words = shlex.split(command)
            if "filter" not in words:
                continue
            protocol = next((words[at + 1] for at, word in enumerate(words) if word in ("protocol", "proto")), "all")
            front = ["filter", "add", "dev", "eth0", "ingress", "protocol", protocol, "pref", "7", "chain"]
            if "flower" in words:
                chain += 1
                yield [*front, str(chain), *words[words.index("flower") :]]
            if "action" in words:
                chain += 1
                yield [*front, str(chain), "matchall", *words[words.index("action") :]]


@pytest.fixture(scope="module")
def full() -> Iterator[Session]:
    """A session with many filters on one device."""
    with Session() as session:
        session.set_now(1_700_000_000_000_000_000)  # else "installed N sec" changes while we look
        session.ip("link add eth0 type dummy")
        session.ip("link add eth1 type dummy")
        session.tc("qdisc add dev eth0 clsact")
        for words in filters():
            session.tc(words)
        assert session.tc(SHOW).stdout.count("\taction order 1") > MANY
        yield session


def test_a_long_listing_is_that_with_counters_but_for_the_counters(full: Session) -> None:
    assert COUNTERS.sub("", full.tc(["-s", *SHOW]).stdout) == full.tc(SHOW).stdout


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_notes_say_what_the_steps_say(full: Session, options: list[str]) -> None:
    before = full.tc([*options, *SHOW]).stdout
    shelf = full.ruleset.rules
    kept = list(shelf)
    try:
        for rule in kept:
            note = unpack(RuleNote, rule.note)
            given = {"raw": {key: f"{value:x}" for key, value in _given(note).items()}} if note.values is not None else note.extra
            shelf.put(replace(rule, note=pack(replace(note, acts=None, values=None, extra=given))))
        assert full.tc([*options, *SHOW]).stdout == before
    finally:
        for rule in kept:
            shelf.put(rule)


def _given(note: RuleNote) -> dict[str, int]:
    return {part.rpartition("/")[0]: value for part, value in zip(note.mask.split(","), note.values or [], strict=False)}


@pytest.mark.parametrize(
    "words",
    [["chain", "3"], ["chain", "3", "pref", "7"], ["pref", "7", "chain", "2"], ["pref", "8"], ["protocol", "ip", "chain", "1"]],
    ids=" ".join,
)
def test_a_part_of_a_listing_is_that_part_of_the_whole(full: Session, words: list[str]) -> None:
    text = full.tc([*SHOW, *words]).stdout
    whole = full.tc(SHOW).stdout
    bodies = [body for body in re.split(r"(?m)^filter .*?(?=handle|\n)", text) if body.strip()]
    assert all(body in whole for body in bodies)
    assert bool(bodies) == ("8" not in words)


def test_filters_of_two_masks_are_listed_by_handle() -> None:
    with Session() as session:
        for number, key in enumerate(("dst_ip 10.0.0.1", "dst_port 1", "dst_ip 10.0.0.2", "dst_port 2"), 1):
            done = session.tc(f"filter add dev eth0 ingress protocol ip pref 5 flower ip_proto tcp {key}")
            assert done.exit_code == 0, number
        found = re.findall(r"handle (0x\d)", session.tc(SHOW).stdout)
    assert found == ["0x1", "0x2", "0x3", "0x4"]
