"""The captures under examples/ are what their script makes, and are sound packets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from capture_bytes import drain

from tcemu.capture.merge import merge
from tcemu.capture.open import open_capture

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "captures"
NAMES = [
    *("call.pcap", "docker-eth0.pcap", "docker-web.pcap", "eth0.pcap", "ftp.pcap", "home-lan.pcap", "home-wan.pcap"),
    *("office.pcap", "scan.pcap", "server.pcap", "uplink.pcap"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    for script in ("make_captures.py", "make_router_captures.py"):
        subprocess.run([sys.executable, str(ROOT / "examples" / script), str(folder)], check=True, env=env)
    return folder


def test_the_script_makes_these_files_and_no_others(made: Path) -> None:
    assert sorted(os.listdir(made)) == NAMES
    assert sum((FOLDER / name).stat().st_size for name in NAMES) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_the_one_that_the_script_makes(made: Path, name: str) -> None:
    assert (FOLDER / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_times_go_forward_in_2026(name: str) -> None:
    reader = open_capture(FOLDER / name)
    times = [packet.ts for packet in drain(reader)]
    assert reader.warnings == []
    assert times == sorted(times)
    assert 1_767_225_600 * 10**9 <= times[0] <= times[-1] < 1_798_761_600 * 10**9


@pytest.mark.parametrize("name", NAMES)
def test_every_checksum_is_right(name: str) -> None:
    """scapy builds the packet again with checksums of its own."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6ExtHdrFragment
    from scapy.layers.l2 import Ether

    for packet in drain(open_capture(FOLDER / name)):
        frame = Ether(packet.data)
        fragments = IPv6ExtHdrFragment in frame or (IP in frame and bool(frame[IP].flags.MF or frame[IP].frag))
        for layer in (IP,) if fragments else (IP, TCP, UDP, ICMP):
            if layer in frame and frame[layer].chksum != 0:
                del frame[layer].chksum
        for kind in frame.layers():
            if "cksum" in frame[kind].fields and not fragments:
                del frame[kind].cksum
        assert bytes(frame) == packet.data, frame.summary()


@pytest.mark.parametrize(("name", "most"), [("eth0.pcap", 1464), ("office.pcap", 1522), ("scan.pcap", 1514), ("uplink.pcap", 1514)])
def test_no_frame_is_longer_than_its_link_takes(name: str, most: int) -> None:
    assert max(len(packet.data) for packet in drain(open_capture(FOLDER / name))) <= most


def test_the_two_sides_of_the_cover_letter_make_whole_conversations() -> None:
    """By time, the client's frames and the server's from the tunnel: every acknowledgement is of bytes already seen."""
    merged = merge([open_capture(FOLDER / "eth0.pcap"), open_capture(FOLDER / "uplink.pcap")])
    seen: dict[tuple[int, int], int] = {}  # ports -> sequence number behind the last byte
    checked = 0
    while merged.next():
        reader = merged.current
        frame = reader.data[reader.start : reader.end]
        if merged.index == 1:
            assert frame[34:38][2:] == (4789).to_bytes(2, "big")
            assert frame[42:50] == bytes.fromhex("0800000000006200")
            frame = frame[50:]
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        sport, dport = int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")
        seq, ack, flags = int.from_bytes(frame[38:42], "big"), int.from_bytes(frame[42:46], "big"), frame[47]
        if (sport, dport) == (80, 40_000):
            continue  # the one that belongs to nothing
        size = int.from_bytes(frame[16:18], "big") - 20 - (frame[46] >> 4) * 4 + (flags & 1) + (flags >> 1 & 1)
        if flags & 0x10:
            assert (seen[dport, sport] - ack) % (1 << 32) < 20_000
            checked += 1
        behind = (seq + size) % (1 << 32)
        if (sport, dport) not in seen or (behind - seen[sport, dport]) % (1 << 32) < 1 << 31:
            seen[sport, dport] = behind
    assert checked > 50
    assert len(seen) == 6  # three conversations, two directions
