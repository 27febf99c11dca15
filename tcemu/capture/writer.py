"""Writing captures: pcap and pcapng, packets in the order in which they come, with their times and original lengths.

A writer takes the packet as a reader gives it (chunk, start, end, wire length, time), so copying a packet from one file
to another makes no object but the bytes written. Nothing has the file's name before `close`; see `sink`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import i64

from tcemu.capture.reader import MAX_PACKET
from tcemu.capture.sink import Sink
from tcemu.diagnostics import CaptureError

if TYPE_CHECKING:
    from types import TracebackType

FLUSH: Final = 256 * 1024  # bytes gathered before they are written
SECOND: Final = 1_000_000_000
MAX_COMMENT: Final = 65_532  # bytes in one option, without padding
APPLICATION: Final = b"tcemu"


class Writer:
    """A capture file being written. As a context manager it closes at the end, or aborts on an exception."""

    def __init__(self, sink: Sink) -> None:
        self.name: str = sink.name
        self.packets: i64 = 0
        self._sink: Sink = sink
        self._out: BytesWriter = BytesWriter()

    def write(self, data: bytes, start: i64, end: i64, wire: i64, ts: i64, interface: i64 = 0, comment: str = "") -> None:
        """Write ``data[start:end]``, which was ``wire`` bytes long, seen at ``ts`` ns. Comments are kept by pcapng only."""
        raise NotImplementedError

    def add_interface(self, name: str, link: int) -> int:
        """Describe another interface and get its number; pcap has one, of number 0."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left and give the file its name."""
        self._flush()
        self._sink.close()

    def abort(self) -> None:
        """Forget the file."""
        self._sink.abort()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, slip: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _flush(self) -> None:
        gathered = self._out.getvalue()
        self._out = BytesWriter()
        if gathered:
            self._sink.write(gathered)


class PcapWriter(Writer):
    """pcap 2.4, little-endian, in nanoseconds unless asked otherwise; one link type for all packets."""

    def __init__(self, sink: Sink, link: i64, nanoseconds: bool = True) -> None:
        super().__init__(sink)
        self.link: i64 = link
        self.unit: i64 = 1 if nanoseconds else 1000
        self._header()

    def _header(self) -> None:
        out = self._out
        write_i64_le(out, (0xA1B23C4D if self.unit == 1 else 0xA1B2C3D4) | 2 << 32 | 4 << 48)
        write_i64_le(out, 0)
        write_i64_le(out, MAX_PACKET | self.link << 32)

    def add_interface(self, name: str, link: int) -> int:
        if link != self.link:
            raise CaptureError(f"{self.name}: a pcap file has one link type, {self.link}, and cannot take packets of {link}; pcapng can")
        return 0

    def write(self, data: bytes, start: i64, end: i64, wire: i64, ts: i64, interface: i64 = 0, comment: str = "") -> None:
        out = self._out
        write_i64_le(out, _pair((ts // SECOND) & 0xFFFFFFFF, ts % SECOND // self.unit))
        write_i64_le(out, _pair(end - start, wire))
        out.write(data[start:end])
        self.packets += 1
        if len(out) >= FLUSH:
            self._flush()


class PcapngWriter(Writer):
    """pcapng 1.0, little-endian, nanoseconds; interfaces may be added until the end."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.interfaces: i64 = 0
        out = self._out
        options = _option(4, APPLICATION) + _option(0, b"")  # shb_userappl
        total: i64 = 28 + len(options)
        write_i64_le(out, _pair(0x0A0D0D0A, total))
        write_i64_le(out, _pair(0x1A2B3C4D, 1))
        write_i64_le(out, -1)  # length of the section: not said
        out.write(options)
        _put32(out, total)

    def add_interface(self, name: str, link: int) -> int:
        options = b""
        if name:
            options += _option(2, name.encode("utf-8", "surrogateescape")[:MAX_COMMENT])  # if_name
        options += _option(9, b"\x09") + _option(0, b"")  # if_tsresol: 10**-9 s
        out = self._out
        total: i64 = 20 + len(options)
        write_i64_le(out, _pair(1, total))
        write_i64_le(out, _pair(link & 0xFFFF, MAX_PACKET))
        out.write(options)
        _put32(out, total)
        self.interfaces += 1
        return self.interfaces - 1

    def write(self, data: bytes, start: i64, end: i64, wire: i64, ts: i64, interface: i64 = 0, comment: str = "") -> None:
        if interface < 0 or interface >= self.interfaces:
            raise CaptureError(f"{self.name}: interface {interface} is not described")
        size = end - start
        padding = -size & 3
        options = _option(1, _cut(comment)) + _option(0, b"") if comment else b""  # opt_comment
        total: i64 = 32 + size + padding + len(options)
        out = self._out
        write_i64_le(out, _pair(6, total))
        write_i64_le(out, _pair(interface, ts >> 32))
        write_i64_le(out, _pair(ts & 0xFFFFFFFF, size))
        _put32(out, wire)
        out.write(data[start:end])
        if padding:
            out.write(_PADDING[:padding])
        if options:
            out.write(options)
        _put32(out, total)
        self.packets += 1
        if len(out) >= FLUSH:
            self._flush()


_PADDING: Final = b"\0\0\0"


def _put32(out: BytesWriter, number: i64) -> None:
    """Four bytes; made of the eight of an i64, as i32 costs a call in interpreted code."""
    write_i64_le(out, number)
    out.truncate(len(out) - 4)


def _pair(low: i64, high: i64) -> i64:
    """Two 32-bit numbers as the eight bytes that hold them little-endian, low first."""
    return low | (high if high < 0x80000000 else high - 0x100000000) << 32


def _option(code: int, value: bytes) -> bytes:
    return code.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value + _PADDING[: -len(value) & 3]


def _cut(comment: str) -> bytes:
    """As UTF-8, and not more than an option holds, between characters."""
    text = comment.encode("utf-8", "replace")
    return text if len(text) <= MAX_COMMENT else text[:MAX_COMMENT].decode("utf-8", "ignore").encode()


def create_capture(path: str | os.PathLike[str], link: int, name: str = "", nanoseconds: bool = True) -> Writer:
    """A writer by the file's name: pcapng for ``.pcapng`` and ``.ntar``, else pcap; packed for a further ``.gz`` or ``.zst``.

    Its interface 0 has the given name and link type. CaptureError when the file cannot be made.
    """
    sink = Sink(path)
    plain = sink.name.removesuffix(".gz").removesuffix(".zst")
    if not plain.endswith((".pcapng", ".ntar")):
        return PcapWriter(sink, link, nanoseconds)
    writer = PcapngWriter(sink)
    writer.add_interface(name, link)
    return writer
