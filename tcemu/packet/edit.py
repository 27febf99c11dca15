"""The writer's tools: take the window's bytes, put numbers into them, and make them the packet's.

    w = begin(p)               # a copy of data[start:end]; offsets into it count from the window's start
    put16(w, at, value)
    finish(p, w)               # the packet's bytes from now on; decoded again

Only `tcemu.packet.rewrite` and the modules that it gathers use these.
"""

from __future__ import annotations

from librt.strings import BytesWriter
from mypy_extensions import i64

from tcemu.packet.decode import decode
from tcemu.packet.packet import Packet


def begin(p: Packet) -> BytesWriter:
    """A copy of the packet's bytes, to be written to."""
    w = BytesWriter()
    w.write(p.data[p.start : p.end])
    return w


def finish(p: Packet, w: BytesWriter) -> None:
    """Give the packet its new bytes."""
    replace(p, w.getvalue())


def replace(p: Packet, data: bytes) -> None:
    """Make ``data`` the packet's bytes, keep its length on the wire in step, and decode."""
    size: i64 = len(data)
    p.wire += size - (p.end - p.start)
    p.data = data
    p.start = 0
    p.end = size
    decode(p)


def swap_bytes(p: Packet, data: bytes) -> None:
    """New bytes with all headers where they were, without decoding: for what the kernel does not look at again."""
    shift = p.start
    p.data = data
    p.end -= shift
    p.start = 0
    if p.l3 >= 0:
        p.l3 -= shift
    if p.l4 >= 0:
        p.l4 -= shift
    if p.l3_end >= 0:
        p.l3_end -= shift
    if p.payload >= 0:
        p.payload -= shift


def splice(p: Packet, at: i64, gone: i64, new: bytes) -> None:
    """Put ``new`` where the ``gone`` bytes at ``data[at]`` are, and decode."""
    replace(p, p.data[p.start : at] + new + p.data[at + gone : p.end])


def put8(w: BytesWriter, at: i64, value: i64) -> None:
    byte: int = value & 0xFF
    w[at] = byte


def put16(w: BytesWriter, at: i64, value: i64) -> None:
    high: int = (value >> 8) & 0xFF
    low: int = value & 0xFF
    w[at] = high
    w[at + 1] = low


def put32(w: BytesWriter, at: i64, value: i64) -> None:
    put16(w, at, value >> 16)
    put16(w, at + 2, value)


def put48(w: BytesWriter, at: i64, value: i64) -> None:
    put16(w, at, value >> 32)
    put32(w, at + 2, value)


def put64(w: BytesWriter, at: i64, value: i64) -> None:
    put32(w, at, value >> 32)
    put32(w, at + 4, value)


def be16(value: i64) -> bytes:
    """Two bytes, high first."""
    number: int = value & 0xFFFF
    return number.to_bytes(2, "big")


def be32(value: i64) -> bytes:
    """Four bytes, high first."""
    number: int = value & 0xFFFFFFFF
    return number.to_bytes(4, "big")


def be48(value: i64) -> bytes:
    """Six bytes, high first: a MAC address."""
    number: int = value & 0xFFFFFFFFFFFF
    return number.to_bytes(6, "big")


def be64(value: i64) -> bytes:
    """Eight bytes, high first; the sign bit is the first bit."""
    return be32(value >> 32) + be32(value)


def get16(data: bytes, at: i64) -> i64:
    """Two bytes as a number."""
    return data[at] << 8 | data[at + 1]


def get32(data: bytes, at: i64) -> i64:
    """Four bytes as a number."""
    return data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
