"""Where the bytes of a capture come from: a file, a pipe or standard input, plain, gzip or zstandard.

A source is read front to back in pieces; it never seeks and never holds more than one piece. What is wrong with
the packing (a cut or damaged gzip member) ends the bytes early and is told in ``problem``, because what came
before it is good; what is wrong with the file itself (not there, not readable) is a `CaptureError`.
"""

from __future__ import annotations

import os
import zlib
from io import FileIO
from typing import IO, Final, Protocol, cast

from tcemu.diagnostics import CaptureError

CHUNK: Final = 256 * 1024  # bytes asked for at once
PIECE: Final = 4096  # packed bytes unpacked at once: what comes out of a damaged piece is lost
GZIP: Final = b"\x1f\x8b"  # RFC 1952 2.3.1
ZSTD: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878 3.1.1
ZSTD_WINDOW: Final = 1 << 27  # largest window that is unpacked, as `zstd --long=27`: bounds the memory
STDIN: Final = "-"


class Source(Protocol):
    """Bytes, front to back."""

    name: str
    problem: str  # why it ended before its end, or empty

    def read(self, size: int) -> bytes:
        """At most that many bytes, at least one, or none at the end."""

    def close(self) -> None:
        """Give the file back."""


class Plain:
    """A file as it is; ``head`` was read to look at and is given out first."""

    def __init__(self, name: str, file: FileIO) -> None:
        self.name = name
        self.problem = ""
        self.head = b""
        self._file = file

    def peek(self, size: int) -> bytes:
        """The first bytes, fewer only when there are no more; they stay unread."""
        while len(self.head) < size:
            more = self._read(size - len(self.head))
            if not more:
                break
            self.head += more
        return self.head[:size]

    def read(self, size: int) -> bytes:
        if self.head:
            head, self.head = self.head[:size], self.head[size:]
            return head
        return self._read(size)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as slip:
            raise CaptureError(f"{self.name}: cannot read: {slip.strerror}") from None

    def close(self) -> None:
        self._file.close()


class Gzip:
    """The members of a gzip file, one behind the other (RFC 1952)."""

    def __init__(self, raw: Plain) -> None:
        self.name = raw.name
        self.problem = ""
        self._raw = raw
        self._engine = zlib.decompressobj(wbits=31)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self.problem:
            if self._engine.eof and not self._next_member():
                break
            piece = self._rest or self._raw.read(PIECE)
            try:
                out = self._engine.decompress(piece, size)
            except zlib.error as slip:
                self.problem = f"the gzip data is damaged ({slip})"
                break
            self._rest = self._engine.unconsumed_tail
            parts.append(out)
            size -= len(out)
            if not piece and not out and not self._engine.eof:
                self.problem = "the gzip data ends before its end"
        return b"".join(parts)

    def _next_member(self) -> bool:
        rest = self._engine.unused_data or self._raw.read(PIECE)
        while rest and not rest.strip(b"\0"):  # padding, as gzip(1) leaves it out
            rest = self._raw.read(PIECE)
        rest = rest.lstrip(b"\0")
        if rest and not GZIP.startswith(rest[:2]):
            self.problem = "behind the gzip data there is something else, which is not read"
            return False
        if rest:
            self._rest = rest
            self._engine = zlib.decompressobj(wbits=31)
        return bool(rest)

    def close(self) -> None:
        self._raw.close()


class Zstd:
    """The frames of a zstandard file, by the package ``zstandard``."""

    def __init__(self, raw: Plain) -> None:
        try:
            import zstandard
        except ImportError:
            raise CaptureError(f"{raw.name}: is zstandard, for which the Python package zstandard is needed") from None
        self.name = raw.name
        self.problem = ""
        self._raw = raw
        self._error = zstandard.ZstdError
        unpack = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._stream = unpack.stream_reader(cast("IO[bytes]", raw), read_size=CHUNK, read_across_frames=True)

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self.problem:
            try:
                out = self._stream.read(min(size, 4 * PIECE))
            except self._error as slip:
                self.problem = f"the zstandard data is damaged ({slip})"
                break
            if not out:
                break
            parts.append(out)
            size -= len(out)
        return b"".join(parts)

    def close(self) -> None:
        self._raw.close()


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a capture file, or standard input for ``-``; unpack by what the bytes say, whatever the name says."""
    name = os.fspath(path)
    try:
        raw = Plain("standard input", FileIO(0, closefd=False)) if name == STDIN else Plain(name, FileIO(name))
    except OSError as slip:
        raise CaptureError(f"{name}: {slip.strerror}") from None
    except ValueError:  # a NUL in the name
        raise CaptureError(f"{name!r}: is no file name") from None
    try:
        head = raw.peek(4)
        if head.startswith(GZIP):
            return Gzip(raw)
        if head == ZSTD:
            return Zstd(raw)
    except BaseException:
        raw.close()
        raise
    return raw
