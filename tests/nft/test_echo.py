"""``nft -e``. Source: nft 1.0.6, observed with the same commands."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tcemu import Session

BEFORE = ["add table ip t", "add chain ip t c", "add rule ip t c accept", "add set ip t s { type ipv4_addr; }"]


@pytest.fixture
def session() -> Session:
    made = Session(strict=True)
    assert made.nft(["; ".join(BEFORE)]).exit_code == 0
    return made


def echoed(session: Session, command: str) -> list[str]:
    answer = session.nft(shlex.split(command))
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("-e add rule ip t c counter", ["add rule ip t c counter packets 0 bytes 0"]),
        ("-e -a add rule ip t c counter", ["add rule ip t c counter packets 0 bytes 0 # handle 4"]),
        ("-e -s insert rule ip t c counter", ["insert rule ip t c counter"]),
        ("-e add rule ip t c index 0 tcp dport 1", ["add rule ip t c handle 2 tcp dport 1"]),
        ("-e replace rule ip t c handle 2 drop", ["delete rule ip t c handle 2", "add rule ip t c drop"]),
        (
            "-e 'add chain ip t b { type filter hook input priority 0; }'",
            ["add chain ip t b { type filter hook input priority filter; policy accept; }"],
        ),
        ("-e 'add counter ip t n { }'", ["add counter ip t n { packets 0 bytes 0 } "]),
        ("-e -a 'add set ip t z { type mark; timeout 5s; size 3; }'", ["add set ip t z { # handle 4 type mark; size 3; timeout 5s; } "]),
        (
            "-e 'add element ip t s { 1.1.1.1, 2.2.2.2 comment \"y\" }'",
            ["add element ip t s { 1.1.1.1 }", 'add element ip t s { 2.2.2.2 comment "y" }'],
        ),
        ("-e 'add table ip u { flags dormant; }'", ["add table ip u { flags dormant; }"]),
    ],
)
def test_what_was_added_is_told(session: Session, command: str, lines: list[str]) -> None:
    said = echoed(session, command)
    assert said[:-1] == lines
    assert re.fullmatch(r"# new generation 3 by process \d+ \(nft\)", said[-1])


@pytest.mark.parametrize(
    "command", ["-e delete rule ip t c handle 2", "-e flush chain ip t c", "-e add table ip t", "-e -c add rule ip t c drop"]
)
def test_what_adds_nothing_tells_nothing(session: Session, command: str) -> None:
    assert echoed(session, command) == []


def test_json_tells_without_a_head(session: Session) -> None:
    (line,) = echoed(session, "-e -j 'add rule ip t c counter; add element ip t s { 9.9.9.9 }'")
    rule, element = json.loads(line)["nftables"]
    assert rule["add"]["rule"]["expr"] == [{"counter": {"packets": 0, "bytes": 0}}]
    assert element == {"add": {"element": {"family": "ip", "table": "t", "name": "s", "elem": {"set": ["9.9.9.9"]}}}}
