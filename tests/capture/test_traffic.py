"""The benchmark's traffic generator: what it writes is sound, the same every time, and as big as it says."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from capture_bytes import drain

from tcemu.capture.open import open_capture

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "make_traffic.py"


def make(path: Path, *args: str) -> str:
    return subprocess.run([sys.executable, str(SCRIPT), str(path), *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traffic") / "t.pcap"
    assert "20000 packets" in make(path, "--packets", "20000", "--flows", "520")
    return path


def test_there_are_as_many_packets_as_asked_for_of_about_90_bytes(traffic: Path) -> None:
    packets = drain(open_capture(traffic))
    assert len(packets) == 20_000
    assert 85 < sum(len(packet.data) for packet in packets) / len(packets) < 95
    assert all(left.ts <= right.ts for left, right in pairwise(packets))


def test_the_same_seed_gives_the_same_bytes(traffic: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", "--packets", "20000", "--flows", "520")
    make(tmp_path / "other", "--packets", "20000", "--flows", "520", "--seed", "2")
    assert (tmp_path / "again").read_bytes() == traffic.read_bytes()
    assert (tmp_path / "other").read_bytes() != traffic.read_bytes()


def test_checksums_are_right(traffic: Path) -> None:
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    for packet in drain(open_capture(traffic))[:2000:7]:
        frame = Ether(packet.data)
        for layer in (IP, TCP, UDP):
            if layer in frame:
                del frame[layer].chksum
        assert bytes(frame) == packet.data


def test_every_tcp_flow_begins_with_a_handshake_and_goes_on_without_gaps(traffic: Path) -> None:
    follow: dict[tuple[bytes, bytes], int] = {}
    flows = set()
    for packet in drain(open_capture(traffic)):
        data = packet.data
        ends, back = (data[26:30] + data[34:36], data[30:34] + data[36:38]), (data[30:34] + data[36:38], data[26:30] + data[34:36])
        flows.add(min(ends, back))
        if data[23] != 6:
            continue
        seq, ack, flags = int.from_bytes(data[38:42], "big"), int.from_bytes(data[42:46], "big"), data[47]
        if flags & 2:
            assert ends not in follow
        else:
            assert follow[ends] == seq
        if flags & 16:
            assert follow[back] == ack
        follow[ends] = (seq + len(data) - 54 + (flags & 1) + (flags >> 1 & 1)) & 0xFFFFFFFF
    assert 520 <= len(flows) <= 700


def test_no_packets_at_all_is_an_empty_capture(tmp_path: Path) -> None:
    make(tmp_path / "none", "--packets", "0", "--flows", "1")
    assert drain(open_capture(tmp_path / "none")) == []
