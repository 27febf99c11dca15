"""Where the bytes of a written capture go: a file that gets its name when it is whole.

While it is written the file is called ``.NAME.PID-N.part`` and lies beside its final place, so that the rename at the
end stays inside one file system; what is killed leaves that file and nothing under the name that was asked for. A name
that is already something else than a file (``/dev/stdout``, a pipe) is written to directly, ``-`` is standard output.
"""

from __future__ import annotations

import itertools
import os
import zlib
from io import FileIO
from typing import Any, Final

from tcemu.diagnostics import CaptureError

STDOUT: Final = "-"
GZIP_LEVEL: Final = 6
ZSTD_LEVEL: Final = 3
_COUNT: Final = itertools.count()


class _NoPacker:
    """Bytes as they are."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(name: str) -> Any:
    """What packs the bytes, by the name's suffix; always the same bytes for the same bytes (no time in the header)."""
    if name.endswith(".gz"):
        return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    if name.endswith(".zst"):
        try:
            import zstandard
        except ImportError:
            raise CaptureError(f"{name}: for zstandard the Python package zstandard is needed") from None
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    return _NoPacker()


class Sink:
    """Bytes to a file: `write` them, then `close`; or `abort`, and there was no file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._final = ""
        self._part = ""
        self._packer = _packer(self.name)
        self._file: FileIO | None = None
        try:
            self._open()
        except OSError as slip:
            raise self._failed(slip) from None
        except ValueError:
            raise CaptureError(f"{self.name!r}: is no file name") from None

    def _open(self) -> None:
        if self.name == STDOUT:
            self._file = FileIO(1, "w", closefd=False)
            return
        final = os.path.realpath(self.name)
        if os.path.isdir(final):
            raise IsADirectoryError(21, "Is a directory")
        if os.path.exists(final) and not os.path.isfile(final):
            self._file = FileIO(final, "w")
            return
        folder, base = os.path.split(final)
        part = os.path.join(folder, f".{base[:200]}.{os.getpid()}-{next(_COUNT)}.part")
        self._file = FileIO(part, "x")
        self._part, self._final = part, final

    def write(self, data: bytes) -> None:
        """CaptureError when the disk is full or the pipe has no reader; the sink is then gone."""
        self._put(self._packer.compress(data))

    def close(self) -> None:
        """Finish the file and give it its name. Harmless when it is closed."""
        if self._file is None:
            return
        self._put(self._packer.flush())
        try:
            self._file.close()
            if self._part:
                os.replace(self._part, self._final)
        except OSError as slip:
            self.abort()
            raise self._failed(slip) from None
        self._file = None

    def abort(self) -> None:
        """Leave nothing behind. Harmless when it is closed."""
        file, self._file = self._file, None
        if file is None:
            return
        for undo in (file.close, lambda: os.unlink(self._part) if self._part else None):
            try:
                undo()
            except OSError:
                continue  # the first failure is the one to tell

    def _put(self, data: bytes) -> None:
        if self._file is None:
            raise CaptureError(f"{self.name}: is closed")
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as slip:
            self.abort()
            raise self._failed(slip) from None

    def _failed(self, slip: OSError) -> CaptureError:
        return CaptureError(f"{self.name}: cannot write: {slip.strerror}")
