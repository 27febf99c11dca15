"""Any bytes may come: what a reader gives lies inside what it read, it ends, and it complains in words."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from capture_bytes import Bytes, block, drain, epb, header, idb, option, record, shb, spb
from hypothesis import given, settings
from hypothesis import strategies as st

from tcemu.capture.link import locate
from tcemu.capture.open import _reader_for, open_capture
from tcemu.capture.reader import Reader
from tcemu.diagnostics import CaptureError

SEEDS = [
    header() + record(bytes(range(80)), 5, 6) * 3,
    header(0xA1B23C4D, ">", link=113) + record(bytes(range(80)), 5, 6, ">") * 3,
    header(0xA1B2CD34) + record(bytes(range(80)), 5, 6, extra=bytes(8)) * 3,
    shb() + idb(options=option(9, b"\x09") + option(14, bytes(8)) + option(2, b"eth0")) + epb(bytes(80), options=option(1, b"hello")) * 3,
    shb(">") + idb(order=">") + epb(bytes(80), order=">") * 2 + block(5, bytes(20), ">") + spb(bytes(9), order=">"),
]


def walk(data: bytes, chunk: int) -> tuple[int, Reader | None]:
    try:
        reader = _reader_for(Bytes(data), chunk)
    except CaptureError as slip:
        assert str(slip).startswith("bytes")
        return 0, None
    count = 0
    while reader.next():
        count += 1
        assert 0 <= reader.start <= reader.end <= len(reader.data)
        assert reader.wire >= reader.end - reader.start
        assert 0 <= reader.ts <= 1 << 62
        assert 0 <= reader.interface < len(reader.interfaces)
        locate(reader)
        assert reader.start <= reader.first <= reader.last <= reader.end
        reader.comments()
    assert count == reader.number
    assert len(reader.warnings) <= 4
    return count, reader


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_changed_captures(seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.sampled_from([0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, changed[place] ^ 1]))
    cut = data.draw(st.integers(0, len(changed)))
    walk(bytes(changed[:cut]), data.draw(st.sampled_from([1, 5, 64, 100_000])))


@settings(max_examples=200)
@given(st.sampled_from([seed[:24] for seed in SEEDS] + [SEEDS[3][:72]]), st.binary(max_size=400))
def test_noise_behind_a_good_header(head: bytes, noise: bytes) -> None:
    walk(head + noise, 64)


@given(st.binary(max_size=200))
def test_noise(noise: bytes) -> None:
    walk(noise, 64)


@settings(max_examples=100)
@given(st.sampled_from(SEEDS), st.integers(1, 300))
def test_how_the_bytes_arrive_changes_nothing(seed: bytes, chunk: int) -> None:
    whole = drain(_reader_for(Bytes(seed), 1 << 18))
    assert len(whole) == 3
    if seed.startswith(SEEDS[2][:4]):
        chunk += 300  # the record header's length is guessed from what is there at once
    assert drain(_reader_for(Bytes(seed), chunk)) == whole


@pytest.mark.parametrize("seed", SEEDS, ids=["pcap", "pcap-big", "kuznetsov", "pcapng", "pcapng-big"])
def test_every_byte_changed_once(seed: bytes) -> None:
    chance = random.Random(7)
    for place in range(len(seed)):
        for value in (0, 0xFF, 0x80, chance.randrange(256)):
            walk(seed[:place] + bytes([value]) + seed[place + 1 :], 1 << 18)


def test_a_real_file_of_noise_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "noise.pcap"
    path.write_bytes(random.Random(3).randbytes(100_000))
    with pytest.raises(CaptureError, match="neither pcap nor pcapng"):
        open_capture(path)
