"""gate by its schedule, in capture time."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tcemu import Session

START = 1_600_000_000  # a whole number of cycles of every test behind the base time 0
MS = 1_000_000


def frame(size: int) -> bytes:
    return (bytes.fromhex("020000000002020000000001080045000014000100004011") + bytes(size))[:size]


def verdicts(gate: str, packets: list[tuple[int, int]], tmp_path: Path) -> tuple[list[str], str]:
    """What becomes of frames that arrive so many milliseconds behind START with so many bytes, and the listing."""
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for at, size in packets:
        data += struct.pack("<IIII", START + at // 1000, at % 1000 * MS, size, size) + frame(size)
    path = tmp_path / "in.pcap"
    path.write_bytes(data)
    with Session(strict=True) as made:
        made.ip("link add name eth0 type dummy")
        made.ip("link set eth0 up")
        made.tc("qdisc add dev eth0 ingress")
        reply = made.tc(f"filter add dev eth0 ingress matchall action gate {gate} pass")
        assert reply.exit_code == 0, reply.stderr
        result = made.replay({"eth0": path}, verdicts=True)
        return result.each, made.tc("-s filter show dev eth0 ingress").stdout


@pytest.mark.parametrize(
    ("gate", "at", "expected"),
    [
        ("sched-entry open 300ms sched-entry close 700ms", (100, 299, 300, 900, 1050, 1400), "ppddpd"),
        ("sched-entry close 1s", (0, 999, 1000), "ddd"),
        ("base-time 1600000000500ms sched-entry close 100ms sched-entry open 100ms", (0, 499, 500, 599, 600, 700), "ppddpd"),
        # a cycle is as long as its entries, whatever cycle-time says
        ("cycle-time 5s sched-entry open 500ms sched-entry close 500ms", (100, 600, 1100, 1600), "pdpd"),
        ("base-time 9000000000s sched-entry close 1s", (0, 5000), "pp"),
    ],
)
def test_packets_pass_while_the_gate_is_open(gate: str, at: tuple[int, ...], expected: str, tmp_path: Path) -> None:
    each, _ = verdicts(gate, [(moment, 60) for moment in at], tmp_path)
    assert "".join("d" if one == "drop" else "p" for one in each) == expected


def test_an_entry_lets_so_many_bytes_pass(tmp_path: Path) -> None:
    packets = [(0, 60), (10, 60), (20, 60), (1000, 120), (1010, 60)]
    each, listing = verdicts("sched-entry open 1s -1 120b", packets, tmp_path)
    assert [one == "drop" for one in each] == [False, False, True, False, True]
    assert "(dropped 2, overlimits 2 requeues 0)" in listing
