"""Written captures: read back by scapy and by ourselves, named when they are whole, gone when they cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from capture_bytes import drain
from hypothesis import given
from hypothesis import strategies as st

from tcemu.capture.open import open_capture
from tcemu.capture.sink import Sink
from tcemu.capture.writer import MAX_COMMENT, PcapngWriter, PcapWriter, Writer, create_capture
from tcemu.diagnostics import CaptureError

ROOT = Path(__file__).resolve().parents[2]
T0 = 1_780_000_000_123_456_789
NAMES = ["a.pcap", "a.cap", "a.pcapng", "a.pcap.gz", "a.pcapng.gz", "a.pcap.zst", "a.pcapng.zst", "dump"]


def write_five(writer: Writer) -> None:
    data = bytes(range(100))
    for n in range(5):
        writer.write(data, n, 60 + n, 1500 + n, T0 + n)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with create_capture(path, 1, "eth0") as writer:
        write_five(writer)
    reader = open_capture(path)
    assert reader.format == ("pcapng" if "ng" in name else "pcap")
    assert [(one.data, one.wire, one.ts, one.link) for one in drain(reader)] == [
        (bytes(range(n, 60 + n)), 1500 + n, T0 + n, 1) for n in range(5)
    ]
    assert reader.warnings == []
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_packets_make_the_same_bytes(tmp_path: Path, name: str) -> None:
    made = []
    for _ in range(2):
        with create_capture(tmp_path / name, 1, "eth0") as writer:
            write_five(writer)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(("nanoseconds", "ts"), [(True, T0), (False, T0 // 1000 * 1000)], ids=["ns", "us"])
def test_pcap_in_either_resolution(tmp_path: Path, nanoseconds: bool, ts: int) -> None:
    path = tmp_path / "a.pcap"
    with create_capture(path, 101, nanoseconds=nanoseconds) as writer:
        writer.write(b"abc", 0, 3, 3, T0)
    assert [(one.ts, one.link) for one in drain(open_capture(path))] == [(ts, 101)]


def test_pcapng_with_several_interfaces_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    writer = PcapngWriter(Sink(path))
    eth0 = writer.add_interface("eth0", 1)
    writer.write(b"aaaa", 0, 4, 4, T0, eth0, "tcemu: drop")
    tun0 = writer.add_interface("tun0", 101)
    writer.write(b"bbbbb", 0, 5, 5, T0 + 1, tun0)
    writer.write(b"cc", 0, 2, 2, T0 - 1, eth0, "größer " * 20_000)
    writer.close()
    reader = open_capture(path)
    seen = []
    while reader.next():
        name = reader.interfaces[reader.interface].name
        seen.append((reader.data[reader.start : reader.end], name, reader.link, reader.ts, reader.comments()))
    assert seen[:2] == [(b"aaaa", "eth0", 1, T0, ["tcemu: drop"]), (b"bbbbb", "tun0", 101, T0 + 1, [])]
    data, name, _, ts, comments = seen[2]
    assert (data, name, ts) == (b"cc", "eth0", T0 - 1)
    assert "größer ".encode() * 20_000 != comments[0].encode()
    assert ("größer " * 20_000).startswith(comments[0])
    assert MAX_COMMENT - 3 <= len(comments[0].encode()) <= MAX_COMMENT


def test_scapy_reads_what_is_written(tmp_path: Path) -> None:
    from scapy.utils import RawPcapNgReader, RawPcapReader

    for name in ("a.pcap", "a.pcapng"):
        with create_capture(tmp_path / name, 1, "eth0") as writer:
            write_five(writer)
            if name == "a.pcapng":
                writer.write(b"x" * 61, 0, 61, 61, T0, 0, "a comment")
    with RawPcapReader(str(tmp_path / "a.pcap")) as old:
        assert [(data, meta.sec, meta.usec, meta.wirelen) for data, meta in old] == [
            (bytes(range(n, 60 + n)), T0 // 10**9, T0 % 10**9 + n, 1500 + n) for n in range(5)
        ]
    with RawPcapNgReader(str(tmp_path / "a.pcapng")) as new:
        found: list[Any] = list(new)
    assert [(data, meta.tshigh << 32 | meta.tslow, meta.wirelen, meta.ifname) for data, meta in found[:5]] == [
        (bytes(range(n, 60 + n)), T0 + n, 1500 + n, b"eth0") for n in range(5)
    ]
    assert found[5][1].comments == [b"a comment"]


def test_a_pcap_file_has_one_link_type(tmp_path: Path) -> None:
    writer = create_capture(tmp_path / "a.pcap", 1)
    assert writer.add_interface("eth1", 1) == 0
    with pytest.raises(CaptureError, match="one link type"):
        writer.add_interface("tun0", 101)
    writer.abort()
    assert os.listdir(tmp_path) == []


def test_an_interface_that_is_not_described_is_refused(tmp_path: Path) -> None:
    writer = create_capture(tmp_path / "a.pcapng", 1)
    with pytest.raises(CaptureError, match="interface 1 is not described"):
        writer.write(b"a", 0, 1, 1, T0, 1)
    writer.abort()


def test_an_exception_leaves_no_file_and_the_old_one_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), create_capture(path, 1) as writer:
        write_five(writer)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a.pcap"]
    assert path.read_bytes() == b"before"


def test_a_killed_run_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    code = (
        "import os, signal, sys\nfrom tcemu.capture.writer import create_capture\nw = create_capture(sys.argv[1], 1)\n"
        "for n in range(10000): w.write(bytes(100), 0, 100, 100, n)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    assert all(name.startswith(".a.pcap.") and name.endswith(".part") for name in os.listdir(tmp_path))


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands for the full disk: write(2) fails in the middle of the file either way."""
    path = tmp_path / "a.pcap"
    code = (
        "import resource, sys\nfrom tcemu.capture.writer import create_capture\nfrom tcemu.diagnostics import CaptureError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))\nw = create_capture(sys.argv[1], 1)\n"
        "try:\n    for n in range(100000): w.write(bytes(100), 0, 100, 100, n)\n"
        "except CaptureError as slip: print(slip)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == f"{path}: cannot write: File too large\n"
    assert os.listdir(tmp_path) == []


def test_a_device_that_is_full_is_written_directly_and_is_an_error() -> None:
    writer = create_capture("/dev/full", 1)
    with pytest.raises(CaptureError, match="/dev/full: cannot write: No space left on device"):
        for n in range(10_000):
            writer.write(bytes(100), 0, 100, 100, n)
    assert os.path.exists("/dev/full")
    assert not os.path.isfile("/dev/full")


@pytest.mark.parametrize("name", ["no/such/folder/a.pcap", ".", "nul\0"], ids=["folder", "directory", "nul"])
def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaptureError):
        create_capture(str(tmp_path / name), 1)


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.pcap").write_bytes(b"before")
    (tmp_path / "link.pcap").symlink_to("real.pcap")
    with create_capture(tmp_path / "link.pcap", 1) as writer:
        write_five(writer)
    assert (tmp_path / "link.pcap").is_symlink()
    assert len(drain(open_capture(tmp_path / "real.pcap"))) == 5


def test_standard_output_is_written(tmp_path: Path) -> None:
    code = "from tcemu.capture.writer import create_capture\nwith create_capture('-', 1) as w: w.write(b'abc', 0, 3, 3, 5)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    (tmp_path / "out").write_bytes(done.stdout)
    assert [(one.data, one.ts) for one in drain(open_capture(tmp_path / "out"))] == [(b"abc", 5)]


def test_closing_twice_and_aborting_after_closing_are_harmless(tmp_path: Path) -> None:
    writer = create_capture(tmp_path / "a.pcap", 1)
    write_five(writer)
    writer.close()
    writer.close()
    writer.abort()
    assert len(drain(open_capture(tmp_path / "a.pcap"))) == 5


PACKETS = st.lists(
    st.tuples(st.binary(max_size=70), st.integers(0, 2000), st.integers(0, (1 << 32) * 10**9 - 1), st.text(max_size=5)), max_size=20
)


@given(PACKETS, st.sampled_from(["pcap", "pcapng"]))
def test_any_packets_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, packets: list[tuple[bytes, int, int, str]], kind: str
) -> None:
    path = tmp_path_factory.mktemp("w") / f"a.{kind}"
    with create_capture(path, 1, "x") as writer:
        for data, more, ts, comment in packets:
            writer.write(b"before" + data + b"behind", 6, 6 + len(data), len(data) + more, ts, 0, comment)
        assert writer.packets == len(packets)
    assert [(one.data, one.wire - len(one.data), one.ts) for one in drain(open_capture(path))] == [packet[:3] for packet in packets]


def test_pcap_writer_takes_a_number_for_its_link_type(tmp_path: Path) -> None:
    with PcapWriter(Sink(tmp_path / "a"), 276) as writer:
        write_five(writer)
    assert open_and_close(tmp_path / "a") == 276


def open_and_close(path: Path) -> int:
    reader = open_capture(path)
    reader.close()
    return reader.link
