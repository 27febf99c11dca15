"""Open a capture of whatever format; say which one it is when it is none that tcemu reads."""

from __future__ import annotations

import os
from typing import Final

from tcemu.capture.pcap import PcapReader, magic_of
from tcemu.capture.pcapng import PcapngReader
from tcemu.capture.reader import Reader
from tcemu.capture.source import CHUNK, Source, open_source
from tcemu.diagnostics import CaptureError, Diagnostic

# formats that are not read, by how they begin (file(1)'s magic, wiretap/file_access.c)
OTHERS: Final = (
    (b"snoop\0\0\0", "a snoop capture"),
    (b"GMBU", "a Microsoft Network Monitor capture"),
    (b"RTSS", "a Microsoft Network Monitor 1 capture"),
    (b"TRSNIFF data", "a Sniffer capture"),
    (b"XCP\0", "a NetXRay capture"),
    (b"\x54\x52\x00\x64", "an OS/2 iptrace capture"),
    (b"iptrace 2.0", "an iptrace capture"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"BZh", "packed by bzip2"),
    (b"\x04\x22\x4d\x18", "packed by lz4"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
)


class _Peeked:
    """A source whose first bytes were looked at."""

    def __init__(self, source: Source, head: bytes) -> None:
        self.name = source.name
        self.problem = ""
        self._source = source
        self._head = head

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        piece = self._source.read(size)
        self.problem = self._source.problem
        return piece

    def close(self) -> None:
        self._source.close()


def open_capture(path: str | os.PathLike[str], chunk: int = CHUNK) -> Reader:
    """A reader for a pcap or pcapng file, plain, gzip or zstandard; ``-`` is standard input.

    The format is told by the bytes, never by the name. CaptureError when it is no capture or cannot be opened.
    """
    source = open_source(path)
    try:
        return _reader_for(source, chunk)
    except BaseException:
        source.close()
        raise


def _reader_for(source: Source, chunk: int) -> Reader:
    head = b""
    while len(head) < 12:
        piece = source.read(chunk)
        if not piece:
            break
        head += piece
    if not head:
        raise CaptureError(f"{source.name}: byte 0: {source.problem or 'the file is empty'}")
    peeked = _Peeked(source, head)
    if magic_of(head) is not None:
        return PcapReader(peeked, chunk)
    if head.startswith(b"\x0a\x0d\x0d\x0a"):
        return PcapngReader(peeked, chunk)
    raise _not_read(source.name, head)


def _not_read(name: str, head: bytes) -> CaptureError:
    for begin, what in OTHERS:
        if head.startswith(begin):
            hint = "editcap of Wireshark turns it into pcapng" if "capture" in what else "unpack it first"
            return CaptureError(
                f"{name} is {what}", [Diagnostic(f"{name}: byte 0: this is {what}; tcemu reads pcap and pcapng", hint=hint)]
            )
    return CaptureError(f"{name}: byte 0: this is neither pcap nor pcapng")
