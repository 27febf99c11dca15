"""Recordings whose packets answer what the machine said, as a SYN cookie must be answered (source: Linux 6.1, see meta.json).

Such numbers are drawn by the kernel, and by our seed. The recorder and `tcemu scenario run` both let packets acknowledge what has been
sent (``follow`` in scenario.json), so everything else can be compared: numbers are counted from the cookie, timestamps from the one that
was sent with it, but for its low six bits, in which the proxy keeps its notes. Checksums must be right, and are then left out.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from normal import first_difference, normal, same

from tcemu.session import scenario
from tcemu.session.following import stamp, summed, transport

FOLDER = Path(__file__).resolve().parent / "answered"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/scenario.json"))
CLIENT = "c0"
NOTES = 63


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_conversation_goes_the_same_way(name: str, tmp_path: Path) -> None:
    source = FOLDER / name
    config = json.loads((source / "scenario.json").read_text(encoding="utf-8"))
    scenario.run(source, tmp_path)
    want, got = (counted(folder / "steps.jsonl") for folder in (source / "expected", tmp_path))
    assert same(want, got), first_difference(want, got)
    for listing in ("nft_ruleset.txt", "nft_ruleset.json", "conntrack.txt"):
        want, got = (normal(folder / listing, config) for folder in (source / "expected", tmp_path))
        assert same(want, got), first_difference(want, got)


def counted(path: Path) -> list[dict[str, Any]]:
    """The steps, every number of a conversation counted from its cookie."""
    cookies: dict[tuple[int, int], tuple[int, int]] = {}  # ports → the proxy's number and timestamp
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for step in steps:
        frames = step.get("out", [])
        for frame in frames:
            learn(bytes.fromhex(frame["hex"]), frame["dev"], cookies)
        for frame in frames:
            frame["hex"] = plain(bytes.fromhex(frame["hex"]), frame["dev"], True, cookies, step.get("dev") != CLIENT)
        for entry in step.get("ct", []):
            entry.pop("id", None)
            entry.pop("use", None)
            if "seqadj_reply" in entry:
                base = cookies[entry["orig"]["sport"], entry["orig"]["dport"]][0]
                entry["seqadj_reply"] = [(number - base) & 0xFFFFFFFF if number else 0 for number in entry["seqadj_reply"]]
        if "in" in step:
            step["in"] = plain(bytes.fromhex(step["in"]), step["dev"], False, cookies)
    return steps


def learn(frame: bytes, device: str, cookies: dict[tuple[int, int], tuple[int, int]]) -> None:
    """A SYN+ACK to a client begins a count."""
    at = transport(frame)
    if at >= 0 and device == CLIENT and frame[at + 13] & 0x12 == 0x12:
        there = stamp(frame, at)
        value = int.from_bytes(frame[there : there + 4], "big") if there >= 0 else 0
        cookies[ports(frame, at)[::-1]] = (int.from_bytes(frame[at + 4 : at + 8], "big"), value & ~NOTES)


def ports(frame: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(frame[at : at + 2], "big"), int.from_bytes(frame[at + 2 : at + 4], "big")


def plain(frame: bytes, device: str, out: bool, cookies: dict[tuple[int, int], tuple[int, int]], answer: bool = False) -> str:
    """The frame with the numbers that only this run has counted from the beginning.

    answer: it was sent because the server said something: the ACK of its SYN+ACK, whose echo the kernel moves by the difference between the
    two timestamps although it is the server's own already.
    """
    at = transport(frame)
    if at < 0:
        return frame.hex()
    made = bytearray(frame)
    to_client = (device == CLIENT) == out
    cookie = cookies.get(ports(frame, at)[::-1] if to_client else ports(frame, at))
    if cookie is None:
        return frame.hex()
    check = int.from_bytes(frame[at + 16 : at + 18], "big")
    made[at + 16 : at + 18] = b"\0\0"
    assert check == summed(bytes(made), at) or (not out and check == 0x1234)
    flags, there = frame[at + 13], stamp(frame, at)
    if device == CLIENT and out:  # what the proxy says, and later the server in its numbers
        count(made, at + 4, cookie[0])
        count(made, there, cookie[1])
    elif device == CLIENT or (out and flags & 0x12 == 2):  # what the client acknowledges, and the SYN that tells the server's side of it
        count(made, at + 8, cookie[0])
        count(made, there + 4 if there >= 0 else -1, cookie[1])
    elif out and answer:
        count(made, there + 4 if there >= 0 else -1, -cookie[1])
    return made.hex()


def count(frame: bytearray, at: int, base: int) -> None:
    if at >= 0 and any(frame[at : at + 4]):
        struct.pack_into("!I", frame, at, (struct.unpack_from("!I", frame, at)[0] - base) & 0xFFFFFFFF)
