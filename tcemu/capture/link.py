"""Link types: where in a captured packet the part begins that tcemu decodes.

The packet decoder knows an Ethernet frame and an IP packet; everything else that can carry IP is a header to step
over here. `locate` looks at the current packet of a reader and leaves the window for the decoder in it::

    LINUX_SLL   | type | ARPHRD | ... | 0x0800 | IPv4 header ...
                start                          first           last       -> LINK_IP, ethertype 0x0800

A packet that carries something else (ARP in LINUX_SLL, a beacon) is LINK_OTHER, with its ethertype where it has one.
Link types with no row in `_ROWS` are counted in ``reader.undecoded`` and named in one warning.

Source: https://www.tcpdump.org/linktypes.html and the pages behind it; `framing` has the headers one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcemu.capture.framing import (
    ETH_MPLS,
    by_family,
    frame_relay,
    guess_ip,
    llc,
    nflog,
    null,
    pflog,
    ppp,
    radiotap,
    slip,
    token_ring,
    typed,
    u16,
    u16_le,
    u32,
    u32_le,
    wlan,
)
from tcemu.capture.linktypes import link_name
from tcemu.packet.packet import LINK_ETHER, LINK_IP, LINK_OTHER

if TYPE_CHECKING:
    from tcemu.capture.reader import Reader

# shapes: how the first bytes are read
UNKNOWN: Final = 0  # not decoded
ETHER: Final = 1
IP: Final = 2
TYPED: Final = 3  # an ethertype at a fixed place, and a payload at another
NULL: Final = 4
PPP: Final = 5
FRELAY: Final = 6
SLIP: Final = 7
LLC: Final = 8
NFLOG: Final = 9
JUNIPER: Final = 10
WLAN: Final = 11
RADIOTAP: Final = 12
PRISM: Final = 13
PPI: Final = 14
PKTAP: Final = 15
FDDI: Final = 16
TOKEN_RING: Final = 17
PFLOG: Final = 18
IPNET: Final = 19
PPPOE: Final = 20
CLIP: Final = 21
SLL: Final = 22
MPLS: Final = 23

NESTING: Final = 4  # link headers inside link headers that are followed


class Layout:
    """One link type: its shape, the bytes before what the shape describes, and (TYPED) where the ethertype is."""

    def __init__(self, number: i64, shape: i64, skip: i64, type_at: i64, fcs: i64) -> None:
        self.number: i64 = number
        self.shape: i64 = shape
        self.skip: i64 = skip  # TYPED: where the payload begins
        self.type_at: i64 = type_at
        self.fcs: i64 = fcs  # bytes of frame check sequence behind each packet
        self.inner: i64 = 0  # JUNIPER: the link type behind its header
        self.plain: bool = shape == ETHER and skip == 0 and fcs == 0  # an Ethernet frame and nothing else


# link type, shape, skip, where the ethertype is, frame check sequence
_ROWS: Final = (
    (0, NULL, 0, 0, 0),
    (1, ETHER, 0, 0, 0),
    (6, TOKEN_RING, 0, 0, 0),
    (8, SLIP, 16, 0, 0),
    (9, PPP, 0, 0, 0),
    (10, FDDI, 0, 0, 0),
    (12, IP, 0, 0, 0),
    (14, IP, 0, 0, 0),
    (50, PPP, 0, 0, 0),
    (51, PPPOE, 0, 0, 0),
    (100, LLC, 0, 0, 0),
    (101, IP, 0, 0, 0),
    (102, SLIP, 24, 0, 0),
    (104, TYPED, 4, 2, 0),
    (105, WLAN, 0, 0, 0),
    (106, CLIP, 0, 0, 0),
    (107, FRELAY, 0, 0, 0),
    (108, NULL, 0, 0, 0),
    (109, NULL, 8, 0, 0),  # the address family stands first; see framing.null
    (113, SLL, 16, 14, 0),
    (117, PFLOG, 0, 0, 0),
    (119, PRISM, 0, 0, 0),
    (122, LLC, 16, 0, 0),
    (127, RADIOTAP, 0, 0, 0),
    (138, TYPED, 18, 16, 0),
    (163, PRISM, 0, 0, 0),
    (166, PPP, 2, 0, 0),
    (178, JUNIPER, 0, 0, 0),
    (179, JUNIPER, 0, 0, 0),
    (180, JUNIPER, 0, 0, 0),
    (181, JUNIPER, 0, 0, 0),
    (192, PPI, 0, 0, 0),
    (204, PPP, 1, 0, 0),
    (205, TYPED, 5, 3, 0),
    (206, FRELAY, 1, 0, 0),
    (219, MPLS, 0, 0, 0),
    (226, IPNET, 0, 0, 0),
    (228, IP, 0, 0, 0),
    (229, IP, 0, 0, 0),
    (239, NFLOG, 0, 0, 0),
    (240, ETHER, 4, 0, 4),
    (241, ETHER, 12, 0, 4),
    (242, TYPED, 44, 40, 0),
    (258, PKTAP, 0, 0, 0),
    (276, TYPED, 20, 0, 0),
    (281, TYPED, 18, 16, 0),  # MAC addresses, a switch's tag, the ethertype: the tag hides the Ethernet header
    (282, ETHER, 4, 0, 0),
    (284, TYPED, 18, 16, 0),
    (285, TYPED, 22, 20, 0),
)
_JUNIPER_INNER: Final = {178: 1, 179: 9, 180: 107, 181: 104}

# ARPHRD_* that put something else than an ethertype's payload behind a cooked header (LINKTYPE_LINUX_SLL.html)
ARPHRD_FRAD: Final = 770
ARPHRD_RADIOTAP: Final = 803
ARPHRD_NETLINK: Final = 824


def _layouts() -> dict[int, Layout]:
    table: dict[int, Layout] = {}
    for number, shape, skip, type_at, fcs in _ROWS:
        table[number] = Layout(number, shape, skip, type_at, fcs)
        table[number].inner = _JUNIPER_INNER.get(number, 0)
    return table


LAYOUTS: Final = _layouts()


def layout_of(number: int) -> Layout:
    """The layout of a link type; one of shape UNKNOWN where it is not decoded."""
    found = LAYOUTS.get(number)
    return Layout(number, UNKNOWN, 0, 0, 0) if found is None else found


def with_fcs(layout: Layout, fcs: int) -> Layout:
    """The layout with so many bytes of frame check sequence behind each packet, for a file that says so."""
    copy = Layout(layout.number, layout.shape, layout.skip, layout.type_at, fcs)
    copy.inner = layout.inner
    return copy


def locate(reader: Reader) -> i64:
    """The link kind of the current packet; sets ``first``, ``last``, ``length`` and ``ethertype`` of the reader."""
    layout = reader.layout
    if layout.plain:
        reader.first = reader.start
        reader.last = reader.end
        reader.length = reader.wire
        reader.ethertype = 0
        return LINK_ETHER
    whole = reader.wire == reader.end - reader.start
    reader.last = reader.end
    reader.ethertype = 0
    if whole and layout.fcs > 0:
        reader.last -= min(layout.fcs, reader.wire)
    kind = _place(reader, layout, reader.start, 0)
    reader.length = reader.last - reader.first if whole else reader.wire - (reader.first - reader.start)
    return kind


def _place(reader: Reader, layout: Layout, at: i64, depth: i64) -> i64:
    shape = layout.shape
    first = at + layout.skip
    reader.first = first
    if first > reader.last:
        reader.first = at
        return LINK_OTHER
    if shape == ETHER:
        return LINK_ETHER
    if shape == IP:
        return LINK_IP
    if shape == TYPED:
        return typed(reader, u16(reader.data, at + layout.type_at))
    if shape == SLL:
        return _cooked(reader, at)
    if shape == NULL:
        return null(reader, at, first)
    if shape == PPP:
        return ppp(reader, first)
    if shape == UNKNOWN:
        reader.undecoded += 1
        _tell(reader, layout)
        return LINK_OTHER
    return _rarer(reader, layout, shape, first, depth)


def _rarer(reader: Reader, layout: Layout, shape: i64, at: i64, depth: i64) -> i64:
    if shape in (LLC, CLIP):
        return llc(reader, at, shape == CLIP)
    if shape == FRELAY:
        return frame_relay(reader, at)
    if shape == SLIP:
        return slip(reader, layout.skip, at)
    if shape == NFLOG:
        return nflog(reader, at)
    if shape == WLAN:
        return wlan(reader, at, False)
    if shape == RADIOTAP:
        return radiotap(reader, at)
    if shape == PPPOE:
        return ppp(reader, at + 6)
    if shape == FDDI:
        # frame control says LLC, asynchronous (tcpdump fddi.h FDDIFC_LLC_ASYNC)
        return llc(reader, at + 13, False) if at + 13 < reader.last and reader.data[at] & 0xF0 == 0x50 else LINK_OTHER
    if shape == TOKEN_RING:
        return token_ring(reader, at)
    if shape == MPLS:
        reader.ethertype = ETH_MPLS
        return LINK_OTHER
    if shape == PFLOG:
        return pflog(reader, at)
    if shape == IPNET:
        # Solaris: version, family (2, 26), 24 bytes in all (libpcap pcap-common.c LINKTYPE_IPNET)
        return by_family(reader, reader.data[at + 1], at + 24) if at + 24 <= reader.last else LINK_OTHER
    return _nested(reader, layout, shape, at, depth)


def _nested(reader: Reader, layout: Layout, shape: i64, at: i64, depth: i64) -> i64:
    """Headers that say which link type follows them."""
    data = reader.data
    last = reader.last
    inner: i64 = layout.inner
    if depth >= NESTING or at + 12 > last:
        return LINK_OTHER
    if shape == PRISM:  # AVS says so and is big-endian (shaftnet capturefrm.txt); Prism has its length at 4, in host order
        avs = u32(data, at) & 0xFFFFF000 == 0x80211000
        size = u32(data, at + 4) if avs or reader.big else u32_le(data, at + 4)
        inner = 105
    elif shape == PPI:  # version, flags, length, link type, all little-endian (CACE PPI header format 1.0.10)
        size = u16_le(data, at + 2)
        inner = u32_le(data, at + 4)
    elif shape == PKTAP:  # xnu bsd/net/pktap.h: length, record type (1: a packet), link type
        size = u32_le(data, at)
        inner = u32_le(data, at + 8)
    else:  # JUNIPER: "MGC", flags, and with flag 0x80 a length and extensions (tcpdump print-juniper.c juniper_parse_header)
        if u32(data, at) & 0xFFFFFF00 != 0x4D474300:
            return LINK_OTHER
        flags: i64 = data[at + 3]
        size = 6 + u16(data, at + 4) if flags & 0x80 else 4
        if flags & 0x02:  # no link header: four bytes of something, then IP
            return guess_ip(reader, at + size + 4)
    if size < 4 or at + size > last:
        return LINK_OTHER
    return _place(reader, layout_of(inner), at + size, depth + 1)


def _tell(reader: Reader, layout: Layout) -> None:
    reader.warn(f"packets of link type {link_name(layout.number)} are counted, not decoded", f"link {layout.number}")


def _cooked(reader: Reader, at: i64) -> i64:
    """LINUX_SLL: the protocol field is an ethertype for most, but not for all kinds of device."""
    device = u16(reader.data, at + 2)
    if device == ARPHRD_NETLINK:
        return LINK_OTHER
    if device == ARPHRD_RADIOTAP:
        return radiotap(reader, at + 16)
    if device == ARPHRD_FRAD:
        return frame_relay(reader, at + 16)
    return typed(reader, u16(reader.data, at + 14))
