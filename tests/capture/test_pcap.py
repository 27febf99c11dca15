"""pcap and its relatives, record by record. Source of the variants: wiretap/libpcap.c and libpcap sf-pcap.c."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from capture_bytes import SMALL_CHUNK, Seen, drain, header, put, read, record

from tcemu.capture.link import locate
from tcemu.capture.open import open_capture
from tcemu.diagnostics import CaptureError

FRAMES = [bytes([n]) * (60 + n) for n in range(5)]
SECOND = 1_000_000_000
LONG = struct.pack("<IHBB", 3, 0x0800, 0, 7)  # Kuznetsov: interface, protocol, packet type, padding


def nokia(stuff: int, order: str = "<") -> bytes:
    return struct.pack(order + "I", stuff)


VARIANTS = {
    "microseconds-little": (0xA1B2C3D4, "<", b"", b"", 1000),
    "microseconds-big": (0xA1B2C3D4, ">", b"", b"", 1000),
    "nanoseconds-little": (0xA1B23C4D, "<", b"", b"", 1),
    "nanoseconds-big": (0xA1B23C4D, ">", b"", b"", 1),
    "kuznetsov-991029": (0xA1B2CD34, "<", b"", LONG, 1000),
    "kuznetsov-991029-big": (0xA1B2CD34, ">", b"", struct.pack(">IHBB", 3, 0x0800, 0, 0), 1000),
    "kuznetsov-990915": (0xA1B2CD34, "<", b"", LONG + bytes(4), 1000),
    "kuznetsov-990417-under-the-standard-magic": (0xA1B2C3D4, "<", b"", LONG, 1000),
    "nokia-under-the-standard-magic": (0xA1B2C3D4, "<", b"", nokia(0x9FBFB601), 1000),
    "ixia-hardware": (0x1C0001AC, "<", struct.pack("<I", 380), b"", 1),
    "ixia-software-big": (0x1C0001AB, ">", struct.pack(">I", 380), b"", 1000),
}


@pytest.mark.parametrize("chunk", [SMALL_CHUNK, 64, 256 * 1024])
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_gives_its_packets(tmp_path: Path, variant: tuple[int, str, bytes, bytes, int], chunk: int) -> None:
    magic, order, gap, extra, unit = variant
    if extra and chunk < 4096:
        chunk = 4096  # a guess at the header's length needs the first records at hand, as with a file
    data = header(magic, order) + gap + b"".join(record(frame, 1_780_000_000, n, order, extra=extra) for n, frame in enumerate(FRAMES))
    packets, reader = read(tmp_path, data, chunk)
    assert packets == [Seen(frame, len(frame), 1_780_000_000 * SECOND + n * unit, 0, 1) for n, frame in enumerate(FRAMES)]
    assert reader.warnings == []
    assert not reader.damaged


@pytest.mark.parametrize(
    ("version", "captured", "wire"),
    [((2, 2), 60, 1500), ((2, 3), 60, 1500), ((543, 0), 60, 1500)],
    ids=["before-2.3-wire-first", "2.3-smaller-is-captured", "dg-ux-wire-first"],
)
def test_exchanged_lengths(tmp_path: Path, version: tuple[int, int], captured: int, wire: int) -> None:
    data = header(version=version) + struct.pack("<IIII", 1, 0, wire, captured) + bytes(captured)
    packets, _ = read(tmp_path, data)
    assert [(len(packet.data), packet.wire) for packet in packets] == [(captured, wire)]


def test_version_2_3_in_the_new_order_is_read_too(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, header(version=(2, 3)) + record(bytes(60), wire=1500))
    assert [(len(packet.data), packet.wire) for packet in packets] == [(60, 1500)]


@pytest.mark.parametrize(("network", "link"), [(6, 1), (9, 6), (15, 10), (24, 0)], ids=["ethernet", "token-ring", "fddi", "loopback"])
def test_aix_has_interface_types_and_nanoseconds(tmp_path: Path, network: int, link: int) -> None:
    data = header(version=(2, 2), link=network, order=">") + struct.pack(">IIII", 1, 5, 60, 60) + bytes(60)
    packets, _ = read(tmp_path, data)
    assert packets == [Seen(bytes(60), 60, SECOND + 5, 0, link)]


def test_a_packet_cut_by_the_snapshot_length_keeps_its_length_on_the_wire(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, header(snaplen=68) + record(bytes(68), wire=1514))
    assert [(len(packet.data), packet.wire) for packet in packets] == [(68, 1514)]


def test_a_record_longer_than_the_snapshot_length_is_read_whole(tmp_path: Path) -> None:
    packets, reader = read(tmp_path, header(snaplen=96) + record(bytes(1514)) * 3)
    assert [len(packet.data) for packet in packets] == [1514] * 3
    assert reader.warnings == []


def test_a_wire_length_below_the_captured_one_is_not_believed(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, header() + record(bytes(60)) + record(bytes(60), wire=10))
    assert [packet.wire for packet in packets] == [60, 60]


def test_empty_packets_are_packets(tmp_path: Path) -> None:
    packets, reader = read(tmp_path, header() + record(b"") * 3)
    assert [len(packet.data) for packet in packets] == [0, 0, 0]
    assert reader.warnings == []


def test_the_latest_times_stay_inside_63_bits(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, header() + record(b"x", 0xFFFFFFFF, 0xFFFFFFFF))
    assert packets[0].ts == 0xFFFFFFFF * SECOND + 0xFFFFFFFF * 1000


@pytest.mark.parametrize("left", [1, 15, 16, 17, 75], ids=lambda left: f"{left}-bytes-left")
def test_a_cut_last_record_costs_only_itself(tmp_path: Path, left: int) -> None:
    packets, reader = read(tmp_path, header() + record(bytes(60)) * 2 + record(bytes(60))[:left])
    assert len(packets) == 2
    assert reader.damaged
    assert [line.removeprefix(reader.name) for line in reader.warnings] == [
        f": byte {24 + 2 * 76}: the last record is cut off: the 2 packets before it are read"
    ]


def test_garbage_behind_the_packets_is_one_warning(tmp_path: Path) -> None:
    packets, reader = read(tmp_path, header() + record(bytes(60)) * 2 + b"\xff" * 1000)
    assert len(packets) == 2
    assert len(reader.warnings) == 1
    assert "byte 176: a record of 4294967295 bytes cannot be (the most is 262144): the 2 packets before it are read" in reader.warnings[0]


@pytest.mark.parametrize(
    ("link", "size", "count"), [(1, 262_144, 1), (1, 262_145, 0), (231, 262_145, 1)], ids=["most", "more", "dbus-has-more"]
)
def test_how_long_a_record_may_be(tmp_path: Path, link: int, size: int, count: int) -> None:
    packets, _ = read(tmp_path, header(link=link) + record(bytes(size)))
    assert len(packets) == count


def test_fcs_of_the_file_header_is_left_out_of_whole_packets(tmp_path: Path) -> None:
    path = put(tmp_path, header(link=1 | 0x04000000 | 2 << 28) + record(bytes(64)) + record(bytes(64), wire=1518))
    reader = open_capture(path)
    windows = []
    while reader.next():
        locate(reader)
        windows.append((reader.last - reader.first, reader.length))
    assert windows == [(60, 60), (64, 1518)]
    assert reader.link == 1


BAD_HEADERS = {
    "empty": (b"", "byte 0: the file is empty"),
    "one-byte": (b"\xd4", "byte 0: this is neither pcap nor pcapng"),
    "text": (b"# a ruleset\ntable inet t {}\n", "byte 0: this is neither pcap nor pcapng"),
    "header-cut": (header()[:20], "byte 20: the file ends inside its header of 24 bytes"),
    "magic-only": (header()[:4], "byte 4: the file ends inside its header of 24 bytes"),
    "version-1": (header(version=(1, 0)), "byte 4: pcap version 1.0 is not known; it is 2.4 today"),
    "snoop": (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "is a snoop capture"),
    "xz": (b"\xfd7zXZ\0" + bytes(50), "is packed by xz"),
}


@pytest.mark.parametrize(("data", "words"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_what_is_no_capture_is_an_error_with_name_and_place(tmp_path: Path, data: bytes, words: str) -> None:
    path = put(tmp_path, data)
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert path in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_header_with_no_packets_is_an_empty_capture(tmp_path: Path) -> None:
    packets, reader = read(tmp_path, header())
    assert packets == []
    assert reader.warnings == []


def test_packets_stay_readable_after_the_next_one(tmp_path: Path) -> None:
    """Whoever keeps a chunk keeps its packets: chunks are never written over."""
    reader = open_capture(put(tmp_path, header() + b"".join(record(frame) for frame in FRAMES)), 100)
    kept = []
    while reader.next():
        kept.append((reader.data, reader.start, reader.end))
    assert [data[start:end] for data, start, end in kept] == FRAMES
    assert drain(reader) == []
