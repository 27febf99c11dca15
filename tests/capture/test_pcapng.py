"""pcapng, block by block. Source: draft-ietf-opsawg-pcapng."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from capture_bytes import SMALL_CHUNK, Seen, block, epb, header, idb, old_pb, option, pad, put, read, record, shb, spb

from tcemu.capture.open import open_capture
from tcemu.capture.reader import LATEST
from tcemu.diagnostics import CaptureError

SECOND = 1_000_000_000
MICRO = 1_780_000_000_000_000  # a time in the default unit
DATA = b"0123456789" * 7


@pytest.mark.parametrize("chunk", [SMALL_CHUNK, 64, 256 * 1024])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_packets_of_either_byte_order(tmp_path: Path, order: str, chunk: int) -> None:
    data = shb(order) + idb(order=order) + b"".join(epb(DATA[:n], units=MICRO + n, order=order) for n in range(60, 70))
    packets, reader = read(tmp_path, data, chunk)
    assert packets == [Seen(DATA[:n], n, (MICRO + n) * 1000, 0, 1) for n in range(60, 70)]
    assert reader.warnings == []
    assert reader.format == "pcapng"


def test_a_new_section_has_its_own_byte_order_and_interfaces(tmp_path: Path) -> None:
    first = shb("<") + idb(1) + idb(101) + epb(b"aaaa", 1)
    second = shb(">") + idb(113, order=">") + epb(b"bbbb", 0, order=">")
    packets, reader = read(tmp_path, first + second)
    assert [(packet.data, packet.interface, packet.link) for packet in packets] == [(b"aaaa", 1, 101), (b"bbbb", 2, 113)]
    assert [interface.link for interface in reader.interfaces] == [1, 101, 113]


def test_an_interface_may_be_described_between_packets(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, shb() + idb(1) + epb(b"aaaa") + idb(276) + epb(b"bbbb", 1) + epb(b"cccc"))
    assert [(packet.interface, packet.link) for packet in packets] == [(0, 1), (1, 276), (0, 1)]


def test_interfaces_have_names_and_descriptions(tmp_path: Path) -> None:
    options = option(2, b"eth0\0") + option(3, "Büro".encode()) + option(0, b"")
    _, reader = read(tmp_path, shb() + idb(options=options, snaplen=96))
    assert [(one.name, one.description, one.snaplen) for one in reader.interfaces] == [("eth0", "Büro", 96)]


RESOLUTIONS = {
    "default": (b"", 1_780_000_000_123_456, 1_780_000_000_123_456_000),
    "seconds": (b"\x00", 1_780_000_000, 1_780_000_000 * SECOND),
    "milliseconds": (b"\x03", 1_780_000_000_123, 1_780_000_000_123_000_000),
    "microseconds": (b"\x06", 1_780_000_000_123_456, 1_780_000_000_123_456_000),
    "100-nanoseconds": (b"\x07", 17_800_000_001_234_567, 1_780_000_000_123_456_700),
    "nanoseconds": (b"\x09", 1_780_000_000_123_456_789, 1_780_000_000_123_456_789),
    "picoseconds": (b"\x0c", 5_123_456_789_012_345_678, 5_123_456_789_012_345),
    "2**-10": (b"\x8a", 1_780_000_000 << 10 | 512, 1_780_000_000_500_000_000),
    "2**-32": (b"\xa0", 1_780_000_000 << 32 | 1 << 31, 1_780_000_000_500_000_000),
    "10**-127": (b"\x7f", 0xFFFFFFFFFFFFFFFF, 0),
    "2**-127": (b"\xff", 0xFFFFFFFFFFFFFFFF, 0),
    "the-end-of-time": (b"\x00", 0xFFFFFFFFFFFFFFFF, LATEST),
    "the-end-of-time-ns": (b"\x09", 0xFFFFFFFFFFFFFFFF, LATEST),
    "the-end-of-time-ms": (b"\x03", 0x7FFFFFFFFFFFFFFF, LATEST),
}


@pytest.mark.parametrize(("value", "units", "ns"), RESOLUTIONS.values(), ids=RESOLUTIONS)
def test_time_stamps_of_every_resolution(tmp_path: Path, value: bytes, units: int, ns: int) -> None:
    options = option(9, value) if value else b""
    packets, _ = read(tmp_path, shb() + idb(options=options) + epb(b"aaaa", units=units))
    assert packets[0].ts == ns


@pytest.mark.parametrize(
    ("offset", "ns"),
    [(1_000_000, 1_000_001 * SECOND), (-1, 0), (-5, 0), (1 << 62, LATEST // 2 + SECOND)],
    ids=["added", "taken-away", "not-before-1970", "too-much"],
)
def test_time_stamps_with_an_offset(tmp_path: Path, offset: int, ns: int) -> None:
    packets, _ = read(tmp_path, shb() + idb(options=option(14, struct.pack("<q", offset))) + epb(b"aaaa", units=1_000_000))
    assert packets[0].ts == ns


def test_simple_packets_have_the_time_of_the_one_before(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, shb() + idb() + spb(b"aaaaa") + epb(b"bbbb", units=MICRO) + spb(b"cccccc"))
    assert [(packet.data, packet.ts) for packet in packets] == [(b"aaaaa", 0), (b"bbbb", MICRO * 1000), (b"cccccc", MICRO * 1000)]


def test_a_simple_packet_is_as_long_as_its_block_and_the_snapshot_length_let_it(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, shb() + idb(snaplen=6) + spb(b"abcdef", wire=1500) + spb(b"abcdefgh", wire=8) + spb(b"abc"))
    assert [(packet.data, packet.wire) for packet in packets] == [(b"abcdef", 1500), (b"abcdef", 8), (b"abc", 3)]


def test_the_old_packet_block(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, shb() + idb(1) + idb(101) + old_pb(b"abcde", 1, MICRO))
    assert packets == [Seen(b"abcde", 5, MICRO * 1000, 1, 101)]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_comments_of_a_packet(tmp_path: Path, order: str) -> None:
    options = (
        option(2, struct.pack(order + "I", 0), order)
        + option(1, b"drop", order)
        + option(1, "wegen Größe".encode(), order)
        + option(0, b"", order)
    )
    data = (
        shb(order)
        + idb(order=order)
        + epb(b"abcde", order=order, options=options)
        + epb(b"abcde", order=order)
        + spb(b"abcde", order=order)
    )
    reader = open_capture(put(tmp_path, data), SMALL_CHUNK)
    comments = []
    while reader.next():
        comments.append(reader.comments())
    assert comments == [["drop", "wegen Größe"], [], []]


@pytest.mark.parametrize("chunk", [SMALL_CHUNK, 64, 256 * 1024])
def test_unknown_blocks_are_skipped_whatever_their_size(tmp_path: Path, chunk: int) -> None:
    strange = block(0x0BAD, bytes(400_000)) + block(4, b"names") + block(5, b"statistics") + block(0xA, b"secrets") + block(0x80001234, b"")
    packets, reader = read(tmp_path, shb() + strange + idb() + epb(b"aaaa") + strange + epb(b"bbbb") + strange, max(chunk, 64))
    assert [packet.data for packet in packets] == [b"aaaa", b"bbbb"]
    assert reader.warnings == []


def test_a_block_length_without_its_padding_is_rounded_up(tmp_path: Path) -> None:
    """As wiretap/pcapng.c: the total length of some writers' blocks leaves the packet's padding out."""
    body = struct.pack("<IIIII", 0, 0, 5, 5, 5) + b"abcde"
    data = shb() + idb() + block(6, body, length=12 + len(body)) + epb(b"next")
    packets, reader = read(tmp_path, data)
    assert [packet.data for packet in packets] == [b"abcde", b"next"]
    assert reader.warnings == []


GOOD = shb() + idb() + epb(b"aaaa") + epb(b"bbbb")
DAMAGE = {
    "length-0": (block(6, bytes(20), length=0), "a block cannot be 0 bytes long"),
    "length-8": (block(6, bytes(20), length=8), "a block cannot be 8 bytes long"),
    "epb-too-short": (block(6, bytes(16)), "a block cannot be 28 bytes long"),
    "unknown-too-short": (block(77, bytes(16), length=8), "a block cannot be 8 bytes long"),
    "idb-too-short": (block(1, bytes(4)), "a block cannot be 16 bytes long"),
    "4-gigabytes": (block(6, bytes(20), length=0xFFFFFFFC), "a block cannot be 4294967292 bytes long"),
    "unknown-4-gigabytes": (block(77, bytes(20), length=0xFFFFFFFC), "the last record is cut off"),
    "two-lengths-epb": (
        block(6, struct.pack("<IIIII", 0, 0, 0, 4, 4) + b"cccc", trailer=40),
        "the lengths of a packet block contradict each other",
    ),
    "two-lengths-idb": (block(1, bytes(8), trailer=24), "an interface description has two lengths"),
    "two-lengths-shb": (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), trailer=32), "the section header has two lengths"),
    "two-lengths-unknown": (block(0x99, bytes(8), trailer=24), "a block of type 0x99 has two lengths"),
    "captured-more-than-the-block": (
        block(6, struct.pack("<IIIII", 0, 0, 0, 400, 400) + b"cccc"),
        "the lengths of a packet block contradict each other",
    ),
    "no-such-interface": (epb(b"cccc", 7), "a packet of interface 7, which is not described"),
    "section-order": (block(0x0A0D0D0A, bytes(16)), "a section of unknown byte order"),
    "section-version": (shb(version=(2, 0)), "pcapng version 2.0 is not known; it is 1.0 today"),
    "cut": (epb(b"cccc")[:-1], "the last record is cut off"),
    "cut-header": (epb(b"cccc")[:5], "the last record is cut off"),
    "cut-shb": (shb()[:20], "the last record is cut off"),
    "zeros": (bytes(100), "a block cannot be 0 bytes long"),
    "simple-before-an-interface": (shb() + spb(b"cccc"), "a packet before any interface is described"),
}


@pytest.mark.parametrize(("bad", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage_ends_the_file_with_one_warning(tmp_path: Path, bad: bytes, words: str) -> None:
    packets, reader = read(tmp_path, GOOD + bad + (epb(b"dddd") if "cut" not in words else b""))
    assert [packet.data for packet in packets] == [b"aaaa", b"bbbb"]
    assert len(reader.warnings) == 1
    assert words in reader.warnings[0]
    assert f"byte {len(GOOD)}" in reader.warnings[0] or "byte" in reader.warnings[0]
    assert reader.damaged


BAD_FIRST = {
    "cut": (shb()[:20], "the last record is cut off"),
    "order": (block(0x0A0D0D0A, bytes(16)), "a section of unknown byte order"),
    "version": (shb(version=(3, 1)), "pcapng version 3.1 is not known"),
    "length": (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), length=12), "a block cannot be 12 bytes long"),
    "carriage-return-lost": (b"\x0a\x0a" + shb()[3:], "neither pcap nor pcapng"),
}


@pytest.mark.parametrize(("data", "words"), BAD_FIRST.values(), ids=BAD_FIRST)
def test_a_bad_first_section_is_an_error(tmp_path: Path, data: bytes, words: str) -> None:
    path = put(tmp_path, data)
    with pytest.raises(CaptureError, match=words) as caught:
        open_capture(path)
    assert path in str(caught.value)


def test_the_length_of_a_section_is_not_needed(tmp_path: Path) -> None:
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 2, 12345))
    packets, reader = read(tmp_path, section + idb() + epb(b"aaaa"))
    assert len(packets) == 1
    assert reader.warnings == []


def test_options_that_do_not_fit_end_the_options(tmp_path: Path) -> None:
    packets, reader = read(tmp_path, shb() + idb(options=struct.pack("<HH", 2, 9999) + b"eth0") + epb(b"aaaa"))
    assert len(packets) == 1
    assert reader.interfaces[0].name == ""


def test_many_sections_do_not_take_quadratic_time(tmp_path: Path) -> None:
    packets, _ = read(tmp_path, shb() + (shb() + idb() + epb(b"a")) * 20_000)
    assert len(packets) == 20_000


def test_interfaces_without_end_are_damage(tmp_path: Path) -> None:
    _, reader = read(tmp_path, shb() + idb() * 70_000)
    assert len(reader.interfaces) == 65_536
    assert "more than 65536 interfaces" in reader.warnings[0]


def test_the_two_formats_are_told_by_their_bytes_not_by_their_name(tmp_path: Path) -> None:
    assert open_and_count(put(tmp_path, GOOD, "a.pcap")) == ("pcapng", 2)
    assert open_and_count(put(tmp_path, header() + record(pad(b"x")), "b.pcapng")) == ("pcap", 1)


def open_and_count(path: str) -> tuple[str, int]:
    reader = open_capture(path)
    count = 0
    while reader.next():
        count += 1
    return reader.format, count
