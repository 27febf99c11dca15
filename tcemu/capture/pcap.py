"""The pcap format and its relatives: one file header, then records, each a header and the packet's bytes.

::

    magic | version | zone, sigfigs | snaplen | link type        24 bytes, in the writer's byte order
    seconds | fraction | captured | on the wire | bytes ...      16 bytes and more, see _VARIANTS

Source: libpcap sf-pcap.c (versions, swapped lengths), wiretap/libpcap.c (record headers of other lengths, link type bits).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from librt.strings import read_i64_be, read_i64_le
from mypy_extensions import i64

from tcemu.capture.link import with_fcs
from tcemu.capture.reader import Interface, Reader
from tcemu.diagnostics import CaptureError
from tcemu.packet.numbers import COMPILED

if TYPE_CHECKING:
    from tcemu.capture.source import Source

FILE_HEADER: Final = 24
LITTLE_RECORD: Final = Struct("<IIII").unpack_from
BIG_RECORD: Final = Struct(">IIII").unpack_from

# magic as a big-endian number: nanoseconds per unit of the fraction, lengths that record headers may have, bytes
# between the file header and the first record
MAGICS: Final = {
    0xA1B2C3D4: (1000, (16, 24, 20), 0),  # the standard; Kuznetsov's first patch and Nokia wrote it too, with longer headers
    0xA1B23C4D: (1, (16,), 0),  # nanoseconds
    0xA1B2CD34: (1000, (24, 28), 0),  # Kuznetsov's later patches: interface, protocol and packet type in the header
    0x1C0001AC: (1, (16,), 4),  # Ixia lcap, hardware: the length of all records behind the file header
    0x1C0001AB: (1000, (16,), 4),  # Ixia lcap, software
}
OLDEST_MAJOR: Final = 2
DG_UX_MAJOR: Final = 543
TRIED_RECORDS: Final = 3  # how many records a guess at the length of record headers looks at; for that guess:
MAX_WIRE: Final = 128 * 1024 * 1024  # no packet is longer on the wire
LONGEST: Final = 366 * 86_400  # seconds between one packet and the first

# how the two lengths of a record stand (libpcap: they were exchanged in version 2.3)
_CAPTURED_FIRST: Final = 0
_WIRE_FIRST: Final = 1
_SMALLER_IS_CAPTURED: Final = 2  # version 2.3: some writers did, some did not

# IBM AIX writes version 2.2 with interface types of RFC 1573 and nanoseconds: Ethernet, token ring, FDDI, loopback
_AIX_LINKS: Final = {6: 1, 9: 6, 15: 10, 24: 0}


def magic_of(head: bytes) -> tuple[int, bool] | None:
    """The magic that a file begins with and whether the file is big-endian; None when it is no pcap."""
    for order in ("big", "little"):
        magic = int.from_bytes(head[:4], "big" if order == "big" else "little")
        if magic in MAGICS:
            return magic, order == "big"
    return None


class PcapReader(Reader):
    """A reader of pcap files. Never raises for what the records hold: see ``warnings`` and ``damaged``."""

    def __init__(self, source: Source, chunk: i64) -> None:
        """Read the file header; CaptureError when that is not there or not pcap."""
        super().__init__(source, chunk)
        self.unit: i64 = 1000  # ns per unit of a record's fraction
        self._header: i64 = 16  # length of a record header
        self._order: i64 = _CAPTURED_FIRST
        self._limit: i64 = 0
        self._open()

    def _open(self) -> None:
        whole = self._more(FILE_HEADER)
        found = magic_of(self.data)
        if found is None:
            raise CaptureError(f"{self.name}: byte 0: this is no pcap file")
        if not whole:
            raise CaptureError(f"{self.name}: byte {self._have}: the file ends inside its header of {FILE_HEADER} bytes")
        magic, big = found
        unit, headers, gap = MAGICS[magic]
        self.format = "pcap"
        self.big = big
        self.unit = unit
        major, minor = self.u16(4), self.u16(6)
        if major < OLDEST_MAJOR:
            raise CaptureError(f"{self.name}: byte 4: pcap version {major}.{minor} is not known; it is 2.4 today")
        if major == DG_UX_MAJOR or (major == 2 and minor < 3):
            self._order = _WIRE_FIRST
        elif major == 2 and minor == 3:
            self._order = _SMALLER_IS_CAPTURED
        self._set_interface(self.u32(16), self._aix_link(magic, major, minor))
        self._at = FILE_HEADER
        self._skip(gap)
        self._header = headers[0]
        if self._order == _CAPTURED_FIRST and len(headers) > 1:
            self._guess_header(headers)

    def _aix_link(self, magic: int, major: int, minor: int) -> int:
        network = self.u32(20)
        if magic == 0xA1B2C3D4 and (major, minor) == (2, 2) and network in _AIX_LINKS:
            self.unit = 1
            return _AIX_LINKS[network]
        return network

    def _set_interface(self, snaplen: int, network: int) -> None:
        """Link type in the low 16 bits; above it ten that must be zero, then F and the FCS length in 16-bit words."""
        link = network & 0xFFFF if network & 0x03FF0000 == 0 else network & 0x03FFFFFF
        interface = Interface(0, link, snaplen)
        interface.resolution = 9 if self.unit == 1 else 6
        if network & 0x04000000:
            interface.layout = with_fcs(interface.layout, (network >> 28) * 2)
        self.interfaces.append(interface)
        self.link = link
        self.layout = interface.layout
        self._limit = interface.limit

    def next(self) -> bool:
        header = self._header
        if self._at + header > self._have and not self._more(header):
            return self._finish()
        at = self._at
        data = self.data
        if COMPILED and self.big:
            when = read_i64_be(data, at)
            lengths = read_i64_be(data, at + 8)
            seconds = (when >> 32) & 0xFFFFFFFF
            fraction = when & 0xFFFFFFFF
            captured = (lengths >> 32) & 0xFFFFFFFF
            wire = lengths & 0xFFFFFFFF
        elif COMPILED:
            when = read_i64_le(data, at)
            lengths = read_i64_le(data, at + 8)
            seconds = when & 0xFFFFFFFF
            fraction = (when >> 32) & 0xFFFFFFFF
            captured = lengths & 0xFFFFFFFF
            wire = (lengths >> 32) & 0xFFFFFFFF
        else:
            seconds, fraction, captured, wire = BIG_RECORD(data, at) if self.big else LITTLE_RECORD(data, at)
        if self._order != _CAPTURED_FIRST and (self._order == _WIRE_FIRST or captured > wire):
            captured, wire = wire, captured
        if captured > self._limit:
            return self._stop(f"a record of {captured} bytes cannot be (the most is {self._limit})")
        if at + header + captured > self._have:
            if not self._more(header + captured):
                return self._finish()
            at = self._at
        at += header
        self.start = at
        self.end = self._at = at + captured
        self.wire = wire if wire > captured else captured
        self.ts = seconds * 1_000_000_000 + fraction * self.unit  # before LATEST: 32 bits of seconds end in 2106
        self.number += 1
        return True

    def _guess_header(self, headers: tuple[int, ...]) -> None:
        """Take another length of record headers where the usual one cannot be right and the other one looks perfect.

        Looks only at what is already read, so it never waits for a pipe.
        """
        if not self._looks_right(headers[0], 1):
            for header in headers[1:]:
                if self._looks_right(header, 2):
                    self._header = header
                    break

    def _looks_right(self, header: int, least: int) -> bool:
        """Whether the first records, at least so many, make sense if record headers are so long."""
        at = self._at
        first = self.u32(at)
        for number in range(TRIED_RECORDS):
            if at + header > self._have:
                return number >= least or (at == self._have and number > 0)
            away: int = self.u32(at) - first
            fraction, captured, wire = self.u32(at + 4), self.u32(at + 8), self.u32(at + 12)
            if fraction >= 1_000_000 or captured > min(wire, self._limit) or wire > MAX_WIRE or abs(away) > LONGEST:
                return False
            if header == 20 and self.u32(at + 16) & 0x0FFF00F0 != 0x0FBF0000:  # always there in Nokia's files
                return False
            if header in (24, 28) and not self._looks_patched(at + 16):
                return False
            at += header + captured
        return True

    def _looks_patched(self, at: int) -> bool:
        """Kuznetsov's fields: interface; protocol, an ethertype or one of Linux's own; packet type."""
        protocol = self.u16(at + 4)
        known = protocol >= 0x600 or protocol <= 0x17 or protocol in (0x60, 0x200, 0x400)
        return self.u32(at) <= 10_000 and known and self.data[at + 6] <= 4
