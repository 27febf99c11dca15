"""Every reason that the tracker writes has a name and its numbers, and every INVALID, ignored and dropped packet has a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import tcemu.conntrack
from tcemu.conntrack.reasons import LOWERED, SENTENCES, Reason, typed

from .builder import A, B, Tracker, icmp, tcp, udp

FOLDER = Path(tcemu.conntrack.__file__).parent
GIVEN_UP = "; the packet is given up"


def skeleton(sentence: str) -> str:
    """A sentence without what differs."""
    return re.sub(r"\{[^}]*\}", "*", sentence.replace("[", "[[]"))


def texts(value: ast.expr) -> Iterator[str]:
    """The sentences that an expression may be."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in value.values)
    elif isinstance(value, ast.BoolOp):
        for one in value.values:
            yield from texts(one)
    elif isinstance(value, ast.IfExp):
        yield from texts(value.body)
        yield from texts(value.orelse)


def written() -> dict[str, str]:
    """All sentences in the tracker's sources, as skeletons, and the files they stand in."""
    out: dict[str, str] = {}
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign | ast.AugAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Attribute) and target.attr == "reason":
                    out |= dict.fromkeys(texts(node.value), path.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "drop":
                out |= dict.fromkeys(texts(node.args[0]), path.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("hold", "lose", "give_up"):
                end = GIVEN_UP if node.func.attr == "give_up" else ""
                out |= {f"fragment: {text}{end}": path.name for text in texts(node.args[-1])}
    return {text: name for text, name in out.items() if text not in ("", "fragment: *", f"fragment: *{GIVEN_UP}")}


NAMED = {skeleton(text.replace("{fate:w}", end)) for text in SENTENCES.values() for end in ("", GIVEN_UP)} | {skeleton(LOWERED)}


@pytest.mark.parametrize(("text", "name"), written().items(), ids=[f"{name}: {text[:60]}" for text, name in written().items()])
def test_a_sentence_of_the_tracker_is_in_the_list(text: str, name: str) -> None:
    assert any(fnmatchcase(text, pattern) for pattern in NAMED)


def test_the_list_has_no_sentence_that_nobody_writes() -> None:
    said = {text.removesuffix(GIVEN_UP) for text in written()}
    wanted = {skeleton(text.replace("{fate:w}", "")) for text in SENTENCES.values()}
    assert not [pattern for pattern in wanted if not any(fnmatchcase(text, pattern) for text in said)]


@pytest.mark.parametrize("name", SENTENCES)
def test_name_and_numbers_are_found_again(name: str) -> None:
    values: dict[str, int | str] = {}

    def fill(found: re.Match[str]) -> str:
        key, _, kind = found[1].partition(":")
        values[key] = "RESET" if kind == "w" else 0xAB if kind == "x" else 17
        return "RESET" if kind == "w" else "ab" if kind == "x" else "17"

    sentence = re.sub(r"\{([^}]*)\}", fill, SENTENCES[name])
    assert typed(sentence) == Reason(name, values)


def test_what_lowers_the_timeout_keeps_its_name() -> None:
    found = typed(
        "tcp: SEQ 5 is over upper bound 4 (over the window of the receiver); packet (index 2, dir 1) response for index 4 lowers timeout"
    )
    assert found == Reason("tcp-seq-over-bound", {"seq": 5, "bound": 4})
    assert typed("a rule says so") is None


@pytest.mark.parametrize(
    ("frames", "name", "numbers"),
    [
        ((tcp(A, B, "FS"),), "tcp-flags", {"flags": 3}),
        ((tcp(A, B, "FA"),), "tcp-invalid-new", {"flags": 0x11}),
        ((tcp(A, B, "S", bad_sum=True),), "tcp-checksum", {}),
        ((tcp(A, B, "S", seq=9), tcp(A, B, "S", seq=9)), "tcp-syn-again", {"seq": 9}),
        ((tcp(A, B, "S"), tcp(A, B, "A")), "tcp-invalid-state", {"index": 3, "dir": 0, "state": "SYN_SENT"}),
        ((udp(A, B, bad_sum=True),), "udp-checksum", {}),
        ((icmp(A, B, 0),), "icmp-invalid-new", {"type": 0}),
        ((icmp(A, B, 40),), "icmp-type", {"type": 40}),
        ((icmp(A, B, 3, data=bytes(8)),), "icmp-inner-cut", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_packets_get_reasons_with_numbers(frames: tuple[bytes, ...], name: str, numbers: dict[str, int | str]) -> None:
    t = Tracker()
    for frame in frames:
        t.send(frame)
    assert typed(t.packet.reason) == Reason(name, numbers)
