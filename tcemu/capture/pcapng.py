"""The pcapng format: blocks, each with its length before and behind it; sections, interfaces, packets, the rest.

::

    type | length | body ...          | length
    SHB    byte order for what follows: a new section, whose interfaces count from 0 again
    IDB    an interface: link type, snapshot length, name, time stamp resolution and offset
    EPB    a packet with its interface and time;  SPB  one of interface 0 with no time;  PB  the old EPB

Source: draft-ietf-opsawg-pcapng; what is refused as damage follows libpcap sf-pcapng.c and wiretap/pcapng.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import read_i64_be, read_i64_le
from mypy_extensions import i64

from tcemu.capture.link import with_fcs
from tcemu.capture.reader import LATEST, Interface, Reader
from tcemu.diagnostics import CaptureError

if TYPE_CHECKING:
    from tcemu.capture.source import Source

SHB: Final = 0x0A0D0D0A  # the same in either byte order
IDB: Final = 1
PB: Final = 2
SPB: Final = 3
EPB: Final = 6
BYTE_ORDER_BIG: Final = b"\x1a\x2b\x3c\x4d"
BYTE_ORDER_LITTLE: Final = b"\x4d\x3c\x2b\x1a"

OPT_END: Final = 0
OPT_COMMENT: Final = 1
IF_NAME: Final = 2
IF_DESCRIPTION: Final = 3
IF_TSRESOL: Final = 9
IF_FCSLEN: Final = 13
IF_TSOFFSET: Final = 14

MAX_BLOCK: Final = 16 * 1024 * 1024  # of blocks that are looked into (libpcap sf-pcapng.c INITIAL_MAX_BLOCKSIZE); others are skipped unseen
MAX_OPTIONS: Final = 128 * 1024  # beside the longest packet of an interface (libpcap MAX_BLOCKSIZE_FOR_SNAPLEN)
MAX_INTERFACES: Final = 65_536  # of one file; keeps a hostile one from filling the memory


class PcapngReader(Reader):
    """A reader of pcapng files. Never raises for what the blocks hold: see ``warnings`` and ``damaged``."""

    def __init__(self, source: Source, chunk: i64) -> None:
        """Read the first section header; CaptureError when that is not there or not pcapng."""
        super().__init__(source, chunk)
        self.format = "pcapng"
        self._here: list[Interface] = []  # those of the section
        self._max_block: i64 = MAX_BLOCK
        self._options: i64 = 0  # of the current packet
        self._options_end: i64 = 0
        self._more(12)
        if self._have < 12 or not self.data.startswith(b"\x0a\x0d\x0d\x0a") or not self._section():
            what = self.warnings.pop() if self.warnings else f"{self.name}: byte 0: this is no pcapng file, or it ends at once"
            raise CaptureError(what)

    def next(self) -> bool:
        while True:
            if self._at + 12 > self._have and not self._more(12):
                return self._finish()
            at = self._at
            data = self.data
            if self.big:
                pair = read_i64_be(data, at)
                kind = (pair >> 32) & 0xFFFFFFFF
                total = pair & 0xFFFFFFFF
            else:
                pair = read_i64_le(data, at)
                kind = pair & 0xFFFFFFFF
                total = (pair >> 32) & 0xFFFFFFFF
            if kind != EPB:
                if not self._other(kind, total):
                    return False
                if kind in (SPB, PB):
                    return True
                continue
            if total < 32 or at + total > self._have or total & 3:
                if not self._block(total, 32):
                    return False
                at = self._at
                data = self.data
            if self.big:
                pair = read_i64_be(data, at + 8)
                number = (pair >> 32) & 0xFFFFFFFF
                high = pair & 0xFFFFFFFF
                pair = read_i64_be(data, at + 16)
                low = (pair >> 32) & 0xFFFFFFFF
                captured = pair & 0xFFFFFFFF
                wire = (read_i64_be(data, at + 24) >> 32) & 0xFFFFFFFF
            else:
                pair = read_i64_le(data, at + 8)
                number = pair & 0xFFFFFFFF
                high = (pair >> 32) & 0xFFFFFFFF
                pair = read_i64_le(data, at + 16)
                low = pair & 0xFFFFFFFF
                captured = (pair >> 32) & 0xFFFFFFFF
                wire = read_i64_le(data, at + 24) & 0xFFFFFFFF
            return self._packet(at + 28, total - 32, number, high, low, captured, wire, total)

    def comments(self) -> list[str]:
        found: list[str] = []
        for code, value in self._read_options(self._options, self._options_end):
            if code == OPT_COMMENT:
                found.append(value.decode("utf-8", "replace"))
        return found

    # ------------------------------------------------------------ blocks

    def _packet(self, start: i64, room: i64, number: i64, high: i64, low: i64, captured: i64, wire: i64, total: i64) -> bool:
        """Take the packet whose bytes begin at ``start`` in a block with ``room`` for them and the options."""
        if number >= len(self._here):
            return self._stop(f"a packet of interface {number}, which is not described")
        interface = self._here[number]
        stop = self._at + ((total + 3) & 0x1FFFFFFFC)
        trailer = read_i64_be(self.data, stop - 8) if self.big else read_i64_le(self.data, stop - 8) >> 32
        if captured > room or captured > interface.limit or trailer & 0xFFFFFFFF != total:
            return self._stop("the lengths of a packet block contradict each other")
        if high < interface.fast:
            ts = ((high << 32) | low) * interface.scale + interface.offset
            self.ts = 0 if ts < 0 else ts if ts < LATEST else LATEST
        else:
            self.ts = slow_time(interface, high, low)
        self.start = start
        self.end = start + captured
        self.wire = wire if wire > captured else captured
        self.interface = interface.number
        self.link = interface.link
        self.layout = interface.layout
        self._options = start + ((captured + 3) & 0x1FFFFFFFC)
        self._options_end = stop - 4
        self._at = stop
        self.number += 1
        return True

    def _block(self, total: i64, least: i64) -> bool:
        """Have the whole block at ``_at``; its length is rounded up to words, as some writers leave the padding out."""
        if total < least or total > self._max_block:
            return self._stop(f"a block cannot be {total} bytes long")
        if not self._more((total + 3) & 0x1FFFFFFFC):
            return self._finish()
        return True

    def _other(self, kind: i64, total: i64) -> bool:
        """Every block but the enhanced packet; True when reading can go on."""
        if kind == SHB:
            return self._section()
        if kind == IDB:
            return self._block(total, 20) and self._describe(total)
        if kind == SPB:
            return self._block(total, 16) and self._simple(total)
        if kind == PB:
            return self._block(total, 32) and self._old_packet(total)
        if total < 12:
            return self._stop(f"a block cannot be {total} bytes long")
        place = self.offset()
        if not self._skip(((total + 3) & 0x1FFFFFFFC) - 4) or not self._more(4):
            return self._finish(place)
        if self.u32(self._at) != total:
            return self._stop(f"a block of type {kind:#x} has two lengths", place)
        self._at += 4
        return True

    def _section(self) -> bool:
        """A section header: byte order, version; its own length is of no use to who reads front to back."""
        if not self._more(28):
            return self._finish()
        at = self._at
        order = self.data[at + 8 : at + 12]
        if order not in (BYTE_ORDER_BIG, BYTE_ORDER_LITTLE):
            return self._stop("a section of unknown byte order")
        self.big = order == BYTE_ORDER_BIG
        if self.u16(at + 12) != 1:
            return self._stop(f"pcapng version {self.u16(at + 12)}.{self.u16(at + 14)} is not known; it is 1.0 today")
        total: i64 = self.u32(at + 4)
        if not self._block(total, 28):
            return False
        stop = self._at + ((total + 3) & 0x1FFFFFFFC)
        if self.u32(stop - 4) != total:
            return self._stop("the section header has two lengths")
        self._at = stop
        self._here = []
        return True

    def _describe(self, total: i64) -> bool:
        """An interface description."""
        at = self._at
        stop = at + ((total + 3) & 0x1FFFFFFFC)
        if self.u32(stop - 4) != total:
            return self._stop("an interface description has two lengths")
        if len(self.interfaces) >= MAX_INTERFACES:
            return self._stop(f"more than {MAX_INTERFACES} interfaces")
        interface = Interface(len(self.interfaces), self.u16(at + 8), self.u32(at + 12))
        for code, value in self._read_options(at + 16, stop - 4):
            if code == IF_NAME:
                interface.name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == IF_DESCRIPTION:
                interface.description = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == IF_TSRESOL and len(value) == 1:
                interface.resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                seconds = int.from_bytes(value, "big" if self.big else "little", signed=True)
                interface.offset = max(-LATEST // 2, min(LATEST // 2, seconds * 1_000_000_000))
            elif code == IF_FCSLEN and len(value) == 1:
                interface.layout = with_fcs(interface.layout, value[0])
        _set_speed(interface)
        self.interfaces.append(interface)
        self._here.append(interface)
        self._max_block = max(self._max_block, interface.limit + MAX_OPTIONS)
        self._at = stop
        return True

    def _simple(self, total: i64) -> bool:
        """A simple packet: interface 0, no time (it gets that of the packet before it), as long as the block has room."""
        if not self._here:
            return self._stop("a packet before any interface is described")
        ts = self.ts
        wire: i64 = self.u32(self._at + 8)
        room = total - 16
        captured = min(wire, room)
        if self._here[0].snaplen > 0:
            captured = min(captured, self._here[0].snaplen)
        if not self._packet(self._at + 12, room, 0, 0, 0, captured, wire, total):
            return False
        self.ts = ts
        self._options = self._options_end
        return True

    def _old_packet(self, total: i64) -> bool:
        """A packet block, which the enhanced one replaced: a 16-bit interface and a drop count."""
        at = self._at
        high, low, captured, wire = self.u32(at + 12), self.u32(at + 16), self.u32(at + 20), self.u32(at + 24)
        return self._packet(at + 28, total - 32, self.u16(at + 8), high, low, captured, wire, total)

    # ------------------------------------------------------------ parts

    def _read_options(self, at: int, stop: int) -> list[tuple[int, bytes]]:
        """Code and value of each option; stops at one that does not fit."""
        found: list[tuple[int, bytes]] = []
        while at + 4 <= stop:
            code, size = self.u16(at), self.u16(at + 2)
            at += 4
            if code == OPT_END or at + size > stop:
                break
            found.append((code, self.data[at : at + size]))
            at += (size + 3) & ~3
        return found


def _set_speed(interface: Interface) -> None:
    """Which of an interface's time stamps need no big numbers: decimal units of a nanosecond or more, before `LATEST`."""
    if interface.resolution <= 9:
        scale = 10 ** (9 - int(interface.resolution))
        interface.scale = scale
        interface.fast = (LATEST // scale) >> 32
    else:
        interface.fast = 0


def slow_time(interface: Interface, high: int, low: int) -> int:
    """Nanoseconds of any 64-bit time stamp: units of 10**-n s, or of 2**-n s when if_tsresol has its high bit."""
    units = high << 32 | low
    exponent = int(interface.resolution) & 0x7F
    per_second = 1 << exponent if interface.resolution & 0x80 else 10**exponent
    return max(0, min(LATEST, units * 1_000_000_000 // per_second + int(interface.offset)))
