"""Where the bytes come from: packed files, pipes, and what is wrong with them."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from capture_bytes import drain, epb, header, idb, put, read, record, shb

from tcemu.capture.open import open_capture
from tcemu.diagnostics import CaptureError

CHANCE = random.Random(1)
PLAIN = header() + b"".join(record(CHANCE.randbytes(100), n) for n in range(2000))
ROOT = Path(__file__).resolve().parents[2]


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKED = {
    "gzip": gzip.compress(PLAIN),
    "gzip-members": gzip.compress(PLAIN[:1000]) + gzip.compress(b"") + gzip.compress(PLAIN[1000:]),
    "gzip-padded": gzip.compress(PLAIN) + bytes(512),
    "zstandard": zst(PLAIN),
    "zstandard-frames": zst(PLAIN[:1000]) + zst(PLAIN[1000:]),
}


@pytest.mark.parametrize("chunk", [977, 256 * 1024])
@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_packed_captures_are_unpacked_by_what_they_are(tmp_path: Path, data: bytes, chunk: int) -> None:
    packets, reader = read(tmp_path, data, chunk)
    assert packets == read(tmp_path, PLAIN)[0]
    assert reader.warnings == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(PLAIN)[:-5000], "the gzip data ends before its end"),
        (gzip.compress(PLAIN)[:-4] + b"\0\0\0\0", "the gzip data is damaged"),
        (gzip.compress(PLAIN)[:150_000] + b"\xff" * 100 + gzip.compress(PLAIN)[150_100:], "the gzip data is damaged"),
        (gzip.compress(PLAIN) + b"behind", "behind the gzip data there is something else"),
        (zst(PLAIN)[:-5000], "the last record is cut off"),
        (zst(PLAIN[:100_000]) + b"behind", "the zstandard data is damaged"),
    ],
    ids=["gzip-cut", "gzip-checksum", "gzip-damaged", "gzip-and-more", "zstandard-cut", "zstandard-and-more"],
)
def test_what_was_unpacked_before_the_damage_is_read(tmp_path: Path, data: bytes, words: str) -> None:
    packets, reader = read(tmp_path, data)
    whole = read(tmp_path, PLAIN)[0]
    assert packets == whole[: len(packets)]
    assert len(packets) > 700
    assert len(reader.warnings) == 1
    assert words in reader.warnings[0]


def test_damage_at_the_very_start_of_a_packed_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="the gzip data is damaged"):
        open_capture(put(tmp_path, b"\x1f\x8b" + b"\xff" * 40))


def test_standard_input_is_read(tmp_path: Path) -> None:
    code = (
        "from tcemu.capture.open import open_capture\nr = open_capture('-')\n"
        "n = 0\nwhile r.next(): n += r.end - r.start\nprint(n, r.number, r.name, r.warnings)"
    )
    for data in (PLAIN, gzip.compress(PLAIN), shb() + idb() + epb(bytes(200_000))):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True, cwd=ROOT)
        count = 1 if data.startswith(b"\x0a") else 2000
        assert done.stdout.decode() == f"200000 {count} standard input []\n"


def test_a_pipe_in_small_pieces_is_read(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    code = "import sys\nf = open(sys.argv[1], 'wb', 0)\nd = open(sys.argv[2], 'rb')\nwhile p := d.read(333): f.write(p)"
    writer = subprocess.Popen([sys.executable, "-c", code, pipe, put(tmp_path, PLAIN)])
    assert len(drain(open_capture(pipe))) == 2000
    assert writer.wait() == 0


@pytest.mark.parametrize("name", ["missing.pcap", ".", "nul\0.pcap", "x" * 300], ids=["missing", "directory", "nul", "too-long"])
def test_a_file_that_cannot_be_opened_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaptureError) as caught:
        open_capture(str(tmp_path / name))
    assert repr(name)[1:-1] in str(caught.value) or str(tmp_path) in str(caught.value)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = put(tmp_path, header() + record(bytes(1000)) * 40_000)  # 40 MB
    tracemalloc.start()
    try:
        reader = open_capture(path)
        while reader.next():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reader.number == 40_000
    assert peak < 3_000_000


def test_a_small_file_that_unpacks_to_much_is_read_in_pieces(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(header() + record(bytes(1000)) * 40_000)
    assert len(packed) < 20_000
    path = put(tmp_path, packed)
    tracemalloc.start()
    try:
        reader = open_capture(path)
        while reader.next():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reader.number == 40_000
    assert peak < 3_000_000


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFF0, 262_144], ids=hex)
def test_a_length_that_lies_allocates_nothing(tmp_path: Path, size: int) -> None:
    path = put(tmp_path, header() + size.to_bytes(4, "little") * 4 + bytes(60))
    tracemalloc.start()
    try:
        reader = open_capture(path)
        assert not reader.next()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert len(reader.warnings) == 1
