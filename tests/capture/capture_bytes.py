"""Captures made byte by byte for these tests, so that no writer of ours is judged by a reader of ours."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import NamedTuple

from tcemu.capture.open import open_capture
from tcemu.capture.reader import Reader

ETHERNET = 1
SMALL_CHUNK = 7


class Seen(NamedTuple):
    """A packet as a reader gave it."""

    data: bytes
    wire: int
    ts: int
    interface: int
    link: int


def drain(reader: Reader) -> list[Seen]:
    """All packets that are left."""
    found = []
    while reader.next():
        assert 0 <= reader.start <= reader.end <= len(reader.data)
        assert reader.wire >= reader.end - reader.start
        found.append(Seen(reader.data[reader.start : reader.end], reader.wire, reader.ts, reader.interface, reader.link))
    assert not reader.next(), "the end is the end"
    return found


def put(folder: Path, data: bytes, name: str = "x.pcap") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def read(folder: Path, data: bytes, chunk: int = 256 * 1024) -> tuple[list[Seen], Reader]:
    reader = open_capture(put(folder, data), chunk)
    return drain(reader), reader


def header(
    magic: int = 0xA1B2C3D4, order: str = "<", version: tuple[int, int] = (2, 4), snaplen: int = 65535, link: int = ETHERNET
) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def record(
    data: bytes, seconds: int = 1_780_000_000, fraction: int = 0, order: str = "<", wire: int | None = None, extra: bytes = b""
) -> bytes:
    return struct.pack(order + "IIII", seconds, fraction, len(data), len(data) if wire is None else wire) + extra + data


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def block(kind: int, body: bytes, order: str = "<", length: int | None = None, trailer: int | None = None) -> bytes:
    body = pad(body)
    total = len(body) + 12 if length is None else length
    return struct.pack(order + "II", kind, total) + body + struct.pack(order + "I", total if trailer is None else trailer)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def shb(order: str = "<", version: tuple[int, int] = (1, 0), options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options, order)


def idb(link: int = ETHERNET, snaplen: int = 0, order: str = "<", options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def epb(data: bytes, interface: int = 0, units: int = 0, order: str = "<", wire: int | None = None, options: bytes = b"") -> bytes:
    size = len(data) if wire is None else wire
    return block(6, struct.pack(order + "IIIII", interface, units >> 32, units & 0xFFFFFFFF, len(data), size) + pad(data) + options, order)


def spb(data: bytes, wire: int | None = None, order: str = "<") -> bytes:
    return block(3, struct.pack(order + "I", len(data) if wire is None else wire) + data, order)


def old_pb(data: bytes, interface: int = 0, units: int = 0, order: str = "<") -> bytes:
    return block(2, struct.pack(order + "HHIIII", interface, 9, units >> 32, units & 0xFFFFFFFF, len(data), len(data)) + pad(data), order)


class Bytes:
    """A source of bytes that are already there, in pieces of any size."""

    def __init__(self, data: bytes, name: str = "bytes") -> None:
        self.name = name
        self.problem = ""
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()
