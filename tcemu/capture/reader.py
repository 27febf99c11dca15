"""The reader of captures, as the engine's loop sees it: ``while reader.next(): …``, no object per packet.

`Reader.next` moves to the next packet and fills plain attributes. The packet's bytes are ``data[start:end]``, and
``data`` is a chunk of the file with its neighbours around it: a reader holds one chunk, a new one starts with the
bytes that the old one ended in the middle of, and whoever keeps a packet past the next call keeps ``data`` with it::

    file   |.......................|......................|....
    chunk  [=======================]                              at: first byte that is not used up
                      start  end      at
    next            [-----================]                       carried over + read anew

Memory is one chunk, or one record where that is longer. A length that lies costs nothing: room is made for bytes that
came, not for bytes that were announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcemu.capture.link import Layout, layout_of

if TYPE_CHECKING:
    from tcemu.capture.source import Source

MAX_PACKET: Final = 262_144  # bytes captured of one packet (libpcap pcap-int.h MAXIMUM_SNAPLEN, wiretap WTAP_MAX_PACKET_SIZE_STANDARD)
MAX_PACKET_BIG: Final = 128 * 1024 * 1024  # … of the few link types with longer ones (libpcap pcap-common.c max_snaplen_for_dlt)
BIG_LINKS: Final = (189, 220, 231, 249, 266, 279)  # USB_LINUX, USB_LINUX_MMAPPED, DBUS, USBPCAP, USB_DARWIN, EBHSCR
LATEST: Final = 1 << 62  # no time stamp is later (year 2116), so that sums of two stay inside 63 bits


def max_packet(link: int) -> int:
    """How many bytes a record may hold for that link type before the file counts as damaged."""
    return MAX_PACKET_BIG if link in BIG_LINKS else MAX_PACKET


class Interface:
    """Where packets were captured: name (may be empty), link type, snapshot length (0: no limit)."""

    def __init__(self, number: i64, link: i64, snaplen: i64) -> None:
        self.number: i64 = number  # as in `Reader.interface`
        self.name: str = ""
        self.description: str = ""
        self.link: i64 = link
        self.snaplen: i64 = snaplen
        self.layout: Layout = layout_of(link)
        self.limit: i64 = max_packet(link)
        # time stamps: units * scale + offset is ns while the units' high half is below fast; else see pcapng.slow_time
        self.resolution: i64 = 6  # if_tsresol as it stands in the file
        self.scale: i64 = 1000
        self.fast: i64 = 1 << 20
        self.offset: i64 = 0  # ns


class Reader:
    """The current packet, and what is known of its capture. Subclasses read a format."""

    def __init__(self, source: Source, chunk: i64) -> None:
        self.name: str = source.name
        self.format: str = ""
        self.warnings: list[str] = []  # for people, each with the file's name; bounded, whatever the file holds
        self.damaged: bool = False  # the file has more than could be read
        self.interfaces: list[Interface] = []
        # the current packet
        self.data: bytes = b""
        self.start: i64 = 0
        self.end: i64 = 0
        self.wire: i64 = 0  # its length when it was captured, at least end - start
        self.ts: i64 = 0  # ns since 1970, 0..LATEST
        self.interface: i64 = 0  # index into interfaces
        self.link: i64 = 0  # LINKTYPE_* number of its interface
        self.layout: Layout = layout_of(0)
        self.number: i64 = 0  # of packets so far, this one included
        self.big: bool = False  # the file (pcapng: the section) is big-endian
        # where its network layer or Ethernet header is: filled by link.locate
        self.first: i64 = 0
        self.last: i64 = 0
        self.length: i64 = 0  # bytes from first on the wire
        self.ethertype: i64 = 0  # what the link header says; 0 where it has none, or where the decoder reads it itself
        self.undecoded: i64 = 0  # packets of link types that are only counted
        self._source: Source = source
        self._chunk: i64 = chunk
        self._at: i64 = 0  # first byte of data that is not used up
        self._have: i64 = 0  # length of data
        self._base: i64 = 0  # place in the (unpacked) file of data[0]
        self._told: set[str] = set()

    def next(self) -> bool:
        """Move to the next packet; False at the end, after which everything to say is in ``warnings``."""
        raise NotImplementedError

    def comments(self) -> list[str]:
        """The comments that the file has for the current packet (pcapng)."""
        return []

    def close(self) -> None:
        """Give the file back."""
        self._source.close()

    def warn(self, what: str, once: str = "") -> None:
        """Keep a warning; one only of those with the same ``once``."""
        if once:
            if once in self._told:
                return
            self._told.add(once)
        self.warnings.append(f"{self.name}: {what}")

    def offset(self) -> int:
        """Place in the (unpacked) file of the first byte that is not used up."""
        return self._base + self._at

    def u16(self, at: i64) -> i64:
        """The number at ``data[at]`` in the file's byte order; not for the hot path."""
        return int.from_bytes(self.data[at : at + 2], "big" if self.big else "little")

    def u32(self, at: i64) -> i64:
        """The number at ``data[at]`` in the file's byte order; not for the hot path."""
        return int.from_bytes(self.data[at : at + 4], "big" if self.big else "little")

    def _more(self, count: i64) -> bool:
        """Have at least ``count`` bytes from ``_at`` on, which may become 0; False where the file ends before."""
        if self._have - self._at >= count:
            return True
        parts = [self.data[self._at :]]
        have = self._have - self._at
        self._base += self._at
        self._at = 0
        while have < count:
            piece = self._source.read(int(self._chunk))
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        self.data = b"".join(parts)
        self._have = have
        return have >= count

    def _skip(self, count: i64) -> bool:
        """Pass over bytes without holding them; False where the file ends before."""
        while count > self._have - self._at:
            count -= self._have - self._at
            self._at = self._have
            if not self._more(1):
                return False
        self._at += count
        return True

    def _stop(self, what: str, offset: int = -1) -> bool:
        """The rest of the file cannot be read, from the offset or from here on. Always False, for `next` to return."""
        if not self.damaged:
            self.damaged = True
            self.warn(f"byte {self.offset() if offset < 0 else offset}: {what}: the {self.number} packets before it are read")
        self._forget()
        return False

    def _finish(self, offset: int = -1) -> bool:
        """There are not enough bytes for another record: the end, or one that is cut off (at the offset, or here). Always False."""
        if self._source.problem:
            self._stop(self._source.problem, offset)
        elif offset >= 0 or self._have > self._at:
            self._stop("the last record is cut off", offset)
        self._forget()
        return False

    def _forget(self) -> None:
        """Read no further."""
        self._at = self._have
        self._source.close()
        self._source = _NOTHING


class _Nothing:
    """The source of a reader that is through."""

    name: str = ""
    problem: str = ""

    def read(self, size: int) -> bytes:
        return b""

    def close(self) -> None:
        return


_NOTHING: Final = _Nothing()
