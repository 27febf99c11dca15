"""``mirred … blockid``, of Linux 6.8: packets go to the devices of a shared block."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tcemu import Session

FRAME = bytes.fromhex("020000000002020000000001080045000014000100004011") + bytes(22)


def session(strict: bool = False) -> Session:
    """Three ports whose ingress is block 5, and one outside."""
    made = Session(strict=strict)
    for name in ("p1", "p2", "p3", "other"):
        made.ip(["link", "add", "name", name, "type", "dummy"])
        made.ip(["link", "set", name, "up"])
    for name in ("p1", "p2", "p3"):
        assert made.tc(["qdisc", "add", "dev", name, "ingress_block", "5", "ingress"]).exit_code == 0
    return made


def left(made: Session, tmp_path: Path, device: str) -> dict[str, int]:
    """How many frames leave each device when one arrives."""
    path = tmp_path / "in.pcap"
    path.write_bytes(struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1, 1, 0, len(FRAME), len(FRAME)) + FRAME)
    made.replay({device: path}, tmp_path / "out")
    found = {}
    for name in ("p1", "p2", "p3", "other"):
        out = tmp_path / "out" / f"{name}.pcap"
        if out.exists():
            found[name] = out.read_bytes().count(FRAME)
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize(
    ("action", "device", "frames"),
    [
        ("mirror", "p1", {"p2": 1, "p3": 1}),
        ("redirect", "p2", {"p1": 1, "p3": 1}),
        ("redirect", "other", {"p1": 1, "p2": 1, "p3": 1}),
    ],
)
def test_frames_go_to_all_of_the_block_but_the_device_that_they_are_on(
    action: str, device: str, frames: dict[str, int], tmp_path: Path
) -> None:
    with session() as made:
        made.tc(["qdisc", "add", "dev", "other", "ingress"])
        place = ["dev", "other", "ingress"] if device == "other" else ["block", "5"]
        assert made.tc(["filter", "add", *place, "matchall", "action", "mirred", "egress", action, "blockid", "5"]).exit_code == 0
        assert left(made, tmp_path, device) == frames


def test_a_device_that_is_down_is_left_out_and_counted(tmp_path: Path) -> None:
    with session() as made:
        made.ip(["link", "set", "p2", "down"])
        made.tc(["filter", "add", "block", "5", "matchall", "action", "mirred", "egress", "mirror", "blockid", "5", "drop"])
        assert left(made, tmp_path, "p1") == {"p3": 1}
        assert "overlimits 1 " in made.tc("-s filter show block 5").stdout


def test_it_lists_the_block(tmp_path: Path) -> None:
    with session() as made:
        assert made.tc("actions add action mirred ingress redirect blockid 21 index 4").exit_code == 0
        assert "mirred (Ingress Redirect to blockid 21) stolen" in made.tc("actions ls action mirred").stdout
        action = json.loads(made.tc("-j actions ls action mirred").stdout)[1]["actions"][0]
        assert (action["to_blockid"], "to_dev" in action) == (21, False)


@pytest.mark.parametrize(("number", "said"), [("0", "invalid block ID"), ("x", "invalid block ID")])
def test_a_block_needs_a_number(number: str, said: str) -> None:
    with session() as made:
        reply = made.tc(["actions", "add", "action", "mirred", "egress", "mirror", "blockid", number])
        assert reply.exit_code
        assert said in reply.stderr


def test_tc_of_6_1_does_not_know_it() -> None:
    with session(strict=True) as made:
        reply = made.tc("actions add action mirred egress mirror blockid 5")
        assert (reply.exit_code, reply.stderr) == (255, 'Command line is not complete. Try option "help"\n')
