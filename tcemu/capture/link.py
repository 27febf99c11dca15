"""Link types: where in a captured packet the part begins that tcemu decodes.

The packet decoder knows an Ethernet frame and an IP packet; everything else that can carry IP is a header to step
over here. `locate` looks at the current packet of a reader and leaves the window for the decoder in it::

    LINUX_SLL   | type | ARPHRD | ... | 0x0800 | IPv4 header ...
                start                          first           last       -> LINK_IP, ethertype 0x0800

A packet that carries something else (ARP in LINUX_SLL, a beacon) is LINK_OTHER, with its ethertype where it has one.
Link types with no row in `_ROWS` are counted in ``reader.undecoded`` and named in one warning.

Source: https://www.tcpdump.org/linktypes.html and the pages behind it, unless a function says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcemu.capture.linktypes import link_name
from tcemu.packet.packet import LINK_ETHER, LINK_IP, LINK_OTHER

if TYPE_CHECKING:
    from tcemu.capture.reader import Reader

ETH_IP: Final = 0x0800
ETH_IP6: Final = 0x86DD
ETH_MPLS: Final = 0x8847
ETH_LLC: Final = 4  # LINUX_SLL's protocol for 802.2 frames (linux/if_ether.h ETH_P_802_2)

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
    (109, NULL, 8, 0, 0),  # the address family stands first; see _null
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
        return _typed(reader, _u16(reader.data, at + layout.type_at))
    if shape == SLL:
        return _cooked(reader, at, depth)
    if shape == NULL:
        return _null(reader, at, first)
    if shape == PPP:
        return _ppp(reader, first)
    if shape == UNKNOWN:
        reader.undecoded += 1
        _tell(reader, layout)
        return LINK_OTHER
    return _rarer(reader, layout, shape, first, depth)


def _rarer(reader: Reader, layout: Layout, shape: i64, at: i64, depth: i64) -> i64:
    if shape in (LLC, CLIP):
        return _llc(reader, at, shape == CLIP)
    if shape == FRELAY:
        return _frame_relay(reader, at)
    if shape == SLIP:
        return _slip(reader, layout.skip, at)
    if shape == NFLOG:
        return _nflog(reader, at)
    if shape == WLAN:
        return _wlan(reader, at, False)
    if shape == RADIOTAP:
        return _radiotap(reader, at)
    if shape == PPPOE:
        return _ppp(reader, at + 6)
    if shape == FDDI:
        # frame control says LLC, asynchronous (tcpdump fddi.h FDDIFC_LLC_ASYNC)
        return _llc(reader, at + 13, False) if at + 13 < reader.last and reader.data[at] & 0xF0 == 0x50 else LINK_OTHER
    if shape == TOKEN_RING:
        return _token_ring(reader, at)
    if shape == MPLS:
        reader.ethertype = ETH_MPLS
        return LINK_OTHER
    if shape == PFLOG:
        return _pflog(reader, at)
    if shape == IPNET:
        # Solaris: version, family (2, 26), 24 bytes in all (libpcap pcap-common.c LINKTYPE_IPNET)
        return _family(reader, reader.data[at + 1], at + 24) if at + 24 <= reader.last else LINK_OTHER
    return _nested(reader, layout, shape, at, depth)


def _nested(reader: Reader, layout: Layout, shape: i64, at: i64, depth: i64) -> i64:
    """Headers that say which link type follows them."""
    data = reader.data
    last = reader.last
    inner: i64 = layout.inner
    if depth >= NESTING or at + 12 > last:
        return LINK_OTHER
    if shape == PRISM:  # AVS says so and is big-endian (shaftnet capturefrm.txt); Prism has its length at 4, in host order
        avs = _u32(data, at) & 0xFFFFF000 == 0x80211000
        size = _u32(data, at + 4) if avs or reader.big else _u32_le(data, at + 4)
        inner = 105
    elif shape == PPI:  # version, flags, length, link type, all little-endian (CACE PPI header format 1.0.10)
        size = _u16_le(data, at + 2)
        inner = _u32_le(data, at + 4)
    elif shape == PKTAP:  # xnu bsd/net/pktap.h: length, record type (1: a packet), link type
        size = _u32_le(data, at)
        inner = _u32_le(data, at + 8)
    else:  # JUNIPER: "MGC", flags, and with flag 0x80 a length and extensions (tcpdump print-juniper.c juniper_parse_header)
        if _u32(data, at) & 0xFFFFFF00 != 0x4D474300:
            return LINK_OTHER
        flags: i64 = data[at + 3]
        size = 6 + _u16(data, at + 4) if flags & 0x80 else 4
        if flags & 0x02:  # no link header: four bytes of something, then IP
            return _guess_ip(reader, at + size + 4)
    if size < 4 or at + size > last:
        return LINK_OTHER
    return _place(reader, layout_of(inner), at + size, depth + 1)


def _u16(data: bytes, at: i64) -> i64:
    high: i64 = data[at]
    low: i64 = data[at + 1]
    return high << 8 | low


def _u16_le(data: bytes, at: i64) -> i64:
    low: i64 = data[at]
    high: i64 = data[at + 1]
    return high << 8 | low


def _u16_of(reader: Reader, at: i64) -> i64:
    """In the byte order of the capturing host, which is taken to be the file's."""
    return _u16(reader.data, at) if reader.big else _u16_le(reader.data, at)


def _u32(data: bytes, at: i64) -> i64:
    return _u16(data, at) << 16 | _u16(data, at + 2)


def _u32_le(data: bytes, at: i64) -> i64:
    return _u16_le(data, at + 2) << 16 | _u16_le(data, at)


def _tell(reader: Reader, layout: Layout) -> None:
    reader.warn(f"packets of link type {link_name(layout.number)} are counted, not decoded", f"link {layout.number}")


def _typed(reader: Reader, ethertype: i64) -> i64:
    """What a payload at ``reader.first`` is by its ethertype."""
    if ethertype in (ETH_IP, ETH_IP6):
        reader.ethertype = ethertype
        return LINK_IP
    if ethertype == ETH_LLC:
        return _llc(reader, reader.first, False)
    if ethertype >= 0x600:
        reader.ethertype = ethertype
    return LINK_OTHER


def _cooked(reader: Reader, at: i64, depth: i64) -> i64:
    """LINUX_SLL: the protocol field is an ethertype for most, but not for all kinds of device."""
    device = _u16(reader.data, at + 2)
    if device == ARPHRD_NETLINK:
        return LINK_OTHER
    if device == ARPHRD_RADIOTAP:
        return _radiotap(reader, at + 16)
    if device == ARPHRD_FRAD:
        return _frame_relay(reader, at + 16)
    return _typed(reader, _u16(reader.data, at + 14))


def _family(reader: Reader, family: i64, at: i64) -> i64:
    """An address family: 2 is IPv4 everywhere; IPv6 is 10 (Linux), 23 (Windows), 24, 28, 30 (BSDs, macOS), 26 (Solaris)."""
    reader.first = at
    if family == 2:
        return _typed(reader, ETH_IP)
    if family == 10 or 23 <= family <= 30:
        return _guess_ip(reader, at)
    return LINK_OTHER


def _guess_ip(reader: Reader, at: i64) -> i64:
    """IP by its version, where nothing else says so."""
    if at < reader.last:
        reader.first = at
        version: i64 = reader.data[at] >> 4
        if version == 4:
            return _typed(reader, ETH_IP)
        if version == 6:
            return _typed(reader, ETH_IP6)
    return LINK_OTHER


def _null(reader: Reader, at: i64, first: i64) -> i64:
    """NULL, LOOP and ENC: an address family in the byte order of the capturing host, so the one that makes it small."""
    if first + 4 > reader.last:
        return LINK_OTHER
    family = _u32_le(reader.data, at)
    if family > 0xFFFF:
        family = _u32(reader.data, at)
    return _family(reader, family, first + 4)


def _ppp(reader: Reader, at: i64) -> i64:
    """PPP with or without its HDLC address and control, or Cisco HDLC in its place (RFC 1661, 1662, 1547 4.3.1)."""
    data = reader.data
    last = reader.last
    if at + 4 > last:
        return LINK_OTHER
    head = _u16(data, at)
    if head in (0x0F00, 0x8F00):
        reader.first = at + 4
        return _typed(reader, _u16(data, at + 2))
    if head == 0xFF03:
        at += 2
    protocol: i64 = data[at]
    if protocol & 1:  # compressed to one byte
        at += 1
    else:
        protocol = _u16(data, at)
        at += 2
    reader.first = at
    if protocol == 0x21:
        return _typed(reader, ETH_IP)
    if protocol == 0x57:
        return _typed(reader, ETH_IP6)
    if protocol == 0x281:
        reader.ethertype = ETH_MPLS
    return LINK_OTHER


def _frame_relay(reader: Reader, at: i64) -> i64:
    """Q.922 address of 2 to 4 bytes, then RFC 2427 (UI, pad, NLPID) or Cisco's ethertype (tcpdump print-fr.c)."""
    data = reader.data
    last = reader.last
    if at + 8 > last or data[at] & 1:
        return LINK_OTHER
    at += 1
    size: i64 = 1
    while not data[at] & 1:
        at += 1
        size += 1
        if size > 3:
            return LINK_OTHER
    at += 1
    if data[at] != 3:
        reader.first = at + 2
        return _typed(reader, _u16(data, at))
    at += 1
    if data[at] == 0:
        at += 1
    reader.first = at + 1
    nlpid: i64 = data[at]
    if nlpid == 0xCC:
        return _typed(reader, ETH_IP)
    if nlpid == 0x8E:
        return _typed(reader, ETH_IP6)
    if nlpid == 0x80 and at + 6 <= last:  # SNAP: three bytes of organisation, then the ethertype
        reader.first = at + 6
        return _typed(reader, _u16(data, at + 4))
    return LINK_OTHER


def _slip(reader: Reader, skip: i64, at: i64) -> i64:
    """A direction and a compressed header before the packet, which is IP unless its TCP header is compressed (0x80)."""
    if reader.data[at - skip + 1] & 0x80:
        return LINK_OTHER
    return _guess_ip(reader, at)


def _llc(reader: Reader, at: i64, bare_ip: bool) -> i64:
    """802.2: SNAP with an ethertype (RFC 1042, 802.1H), or the SAP of IP; ``bare_ip``: IP may stand there with neither."""
    data = reader.data
    last = reader.last
    if at + 8 <= last:
        head = _u32(data, at) & 0xFFFFFF00
        if head == 0xAAAA0300:
            organisation = _u32(data, at + 2) & 0xFFFFFF
            if organisation in (0, 0xF8):
                reader.first = at + 8
                return _typed(reader, _u16(data, at + 6))
            return LINK_OTHER
        if head == 0x06060300:
            return _guess_ip(reader, at + 3)
    return _guess_ip(reader, at) if bare_ip else LINK_OTHER


def _token_ring(reader: Reader, at: i64) -> i64:
    """802.5: access and frame control, addresses, and a routing field when the source address has its first bit."""
    if at + 15 > reader.last or reader.data[at + 1] >> 6 != 1:
        return LINK_OTHER
    routing: i64 = reader.data[at + 14] & 0x1F if reader.data[at + 8] & 0x80 else 0
    return _llc(reader, at + 14 + routing, False)


def _pflog(reader: Reader, at: i64) -> i64:
    """pf's log: length of the header, to be rounded up to words, and address family (tcpdump print-pflog.c)."""
    data = reader.data
    if at + 4 > reader.last:
        return LINK_OTHER
    size: i64 = (data[at] + 3) & 0xFC
    return _family(reader, data[at + 1], at + size) if size >= 4 and at + size <= reader.last else LINK_OTHER


def _nflog(reader: Reader, at: i64) -> i64:
    """Family, version, resource, then attributes in host order: 1 the packet's header, 9 the packet (nfnetlink_log.h)."""
    data = reader.data
    last = reader.last
    if at + 4 > last:
        return LINK_OTHER
    family: i64 = data[at]
    ethertype: i64 = 0
    at += 4
    while at + 4 <= last:
        size = _u16_of(reader, at)
        kind = _u16_of(reader, at + 2) & 0x7FFF
        if size < 4 or (at + size > last and kind != 9):
            break
        if kind == 1 and size >= 6:
            ethertype = _u16(data, at + 4)
        elif kind == 9:
            reader.first = at + 4
            reader.last = min(at + size, last)
            if family in (2, 10):
                ethertype = ETH_IP if family == 2 else ETH_IP6
            return _typed(reader, ethertype)
        at += (size + 3) & 0x1FFFC
    return LINK_OTHER


def _radiotap(reader: Reader, at: i64) -> i64:
    """Version, length, presence bits; its Flags may say that the 802.11 header is padded to words (radiotap.org)."""
    data = reader.data
    last = reader.last
    if at + 8 > last:
        return LINK_OTHER
    size = _u16_le(data, at + 2)
    present = _u32_le(data, at + 4)
    if size < 8 or at + size > last:
        return LINK_OTHER
    field: i64 = 8
    more = present
    while more & 0x80000000 and field + 4 <= size:
        more = _u32_le(data, at + field)
        field += 4
    if present & 1:  # TSFT, eight bytes, aligned
        field = ((field + 7) & 0xFFFF8) + 8
    padded = bool(present & 2 and field < size and data[at + field] & 0x20)
    return _wlan(reader, at + size, padded)


def _wlan(reader: Reader, at: i64, padded: bool) -> i64:
    """802.11: a data frame that is not encrypted, not aggregated and not a later fragment has 802.2 behind its header."""
    data = reader.data
    last = reader.last
    if at + 26 > last:
        return LINK_OTHER
    control: i64 = data[at]
    flags: i64 = data[at + 1]
    if control & 0x4F != 0x08 or flags & 0x40 or data[at + 22] & 0x0F:
        return LINK_OTHER
    size: i64 = 30 if flags & 3 == 3 else 24
    if control & 0x80:  # QoS
        if at + size + 2 > last or data[at + size] & 0x80:
            return LINK_OTHER
        size += 6 if flags & 0x80 else 2
    if padded:
        size = (size + 3) & 0xFC
    return _llc(reader, at + size, False)
