"""Link headers, one function each: how long this one is and what it says comes behind it.

Each is given the current packet's reader and where the header begins, looks at nothing outside the packet, sets
``first`` (and ``ethertype`` where it is known) and gives back the link kind; see `link`.

Source: https://www.tcpdump.org/linktypes.html and the pages behind it, unless a function says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from tcemu.packet.packet import LINK_IP, LINK_OTHER

if TYPE_CHECKING:
    from tcemu.capture.reader import Reader

ETH_IP: Final = 0x0800
ETH_IP6: Final = 0x86DD
ETH_MPLS: Final = 0x8847
ETH_LLC: Final = 4  # LINUX_SLL's protocol for 802.2 frames (linux/if_ether.h ETH_P_802_2)


def u16(data: bytes, at: i64) -> i64:
    """A big-endian number."""
    high: i64 = data[at]
    low: i64 = data[at + 1]
    return high << 8 | low


def u16_le(data: bytes, at: i64) -> i64:
    """A little-endian number."""
    low: i64 = data[at]
    high: i64 = data[at + 1]
    return high << 8 | low


def u16_of(reader: Reader, at: i64) -> i64:
    """In the byte order of the capturing host, which is taken to be the file's."""
    return u16(reader.data, at) if reader.big else u16_le(reader.data, at)


def u32(data: bytes, at: i64) -> i64:
    """A big-endian number."""
    return u16(data, at) << 16 | u16(data, at + 2)


def u32_le(data: bytes, at: i64) -> i64:
    """A little-endian number."""
    return u16_le(data, at + 2) << 16 | u16_le(data, at)


def typed(reader: Reader, ethertype: i64) -> i64:
    """What a payload at ``reader.first`` is by its ethertype."""
    if ethertype in (ETH_IP, ETH_IP6):
        reader.ethertype = ethertype
        return LINK_IP
    if ethertype == ETH_LLC:
        return llc(reader, reader.first, False)
    if ethertype >= 0x600:
        reader.ethertype = ethertype
    return LINK_OTHER


def by_family(reader: Reader, family: i64, at: i64) -> i64:
    """An address family: 2 is IPv4 everywhere; IPv6 is 10 (Linux), 23 (Windows), 24, 28, 30 (BSDs, macOS), 26 (Solaris)."""
    reader.first = at
    if family == 2:
        return typed(reader, ETH_IP)
    if family == 10 or 23 <= family <= 30:
        return guess_ip(reader, at)
    return LINK_OTHER


def guess_ip(reader: Reader, at: i64) -> i64:
    """IP by its version, where nothing else says so."""
    if at < reader.last:
        reader.first = at
        version: i64 = reader.data[at] >> 4
        if version == 4:
            return typed(reader, ETH_IP)
        if version == 6:
            return typed(reader, ETH_IP6)
    return LINK_OTHER


def null(reader: Reader, at: i64, first: i64) -> i64:
    """NULL, LOOP and ENC: an address family in the byte order of the capturing host, so the one that makes it small."""
    if first + 4 > reader.last:
        return LINK_OTHER
    family = u32_le(reader.data, at)
    if family > 0xFFFF:
        family = u32(reader.data, at)
    return by_family(reader, family, first + 4)


def ppp(reader: Reader, at: i64) -> i64:
    """PPP with or without its HDLC address and control, or Cisco HDLC in its place (RFC 1661, 1662, 1547 4.3.1)."""
    data = reader.data
    last = reader.last
    if at + 4 > last:
        return LINK_OTHER
    head = u16(data, at)
    if head in (0x0F00, 0x8F00):
        reader.first = at + 4
        return typed(reader, u16(data, at + 2))
    if head == 0xFF03:
        at += 2
    protocol: i64 = data[at]
    if protocol & 1:  # compressed to one byte
        at += 1
    else:
        protocol = u16(data, at)
        at += 2
    reader.first = at
    if protocol == 0x21:
        return typed(reader, ETH_IP)
    if protocol == 0x57:
        return typed(reader, ETH_IP6)
    if protocol == 0x281:
        reader.ethertype = ETH_MPLS
    return LINK_OTHER


def frame_relay(reader: Reader, at: i64) -> i64:
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
        return typed(reader, u16(data, at))
    at += 1
    if data[at] == 0:
        at += 1
    reader.first = at + 1
    nlpid: i64 = data[at]
    if nlpid == 0xCC:
        return typed(reader, ETH_IP)
    if nlpid == 0x8E:
        return typed(reader, ETH_IP6)
    if nlpid == 0x80 and at + 6 <= last:  # SNAP: three bytes of organisation, then the ethertype
        reader.first = at + 6
        return typed(reader, u16(data, at + 4))
    return LINK_OTHER


def slip(reader: Reader, skip: i64, at: i64) -> i64:
    """A direction and a compressed header before the packet, which is IP unless its TCP header is compressed (0x80)."""
    if reader.data[at - skip + 1] & 0x80:
        return LINK_OTHER
    return guess_ip(reader, at)


def llc(reader: Reader, at: i64, bare_ip: bool) -> i64:
    """802.2: SNAP with an ethertype (RFC 1042, 802.1H), or the SAP of IP; ``bare_ip``: IP may stand there with neither."""
    data = reader.data
    last = reader.last
    if at + 8 <= last:
        head = u32(data, at) & 0xFFFFFF00
        if head == 0xAAAA0300:
            organisation = u32(data, at + 2) & 0xFFFFFF
            if organisation in (0, 0xF8):
                reader.first = at + 8
                return typed(reader, u16(data, at + 6))
            return LINK_OTHER
        if head == 0x06060300:
            return guess_ip(reader, at + 3)
    return guess_ip(reader, at) if bare_ip else LINK_OTHER


def token_ring(reader: Reader, at: i64) -> i64:
    """802.5: access and frame control, addresses, and a routing field when the source address has its first bit."""
    if at + 15 > reader.last or reader.data[at + 1] >> 6 != 1:
        return LINK_OTHER
    routing: i64 = reader.data[at + 14] & 0x1F if reader.data[at + 8] & 0x80 else 0
    return llc(reader, at + 14 + routing, False)


def pflog(reader: Reader, at: i64) -> i64:
    """pf's log: length of the header, to be rounded up to words, and address family (tcpdump print-pflog.c)."""
    data = reader.data
    if at + 4 > reader.last:
        return LINK_OTHER
    size: i64 = (data[at] + 3) & 0xFC
    return by_family(reader, data[at + 1], at + size) if size >= 4 and at + size <= reader.last else LINK_OTHER


def nflog(reader: Reader, at: i64) -> i64:
    """Family, version, resource, then attributes in host order: 1 the packet's header, 9 the packet (nfnetlink_log.h)."""
    data = reader.data
    last = reader.last
    if at + 4 > last:
        return LINK_OTHER
    family: i64 = data[at]
    ethertype: i64 = 0
    at += 4
    while at + 4 <= last:
        size = u16_of(reader, at)
        kind = u16_of(reader, at + 2) & 0x7FFF
        if size < 4 or (at + size > last and kind != 9):
            break
        if kind == 1 and size >= 6:
            ethertype = u16(data, at + 4)
        elif kind == 9:
            reader.first = at + 4
            reader.last = min(at + size, last)
            if family in (2, 10):
                ethertype = ETH_IP if family == 2 else ETH_IP6
            return typed(reader, ethertype)
        at += (size + 3) & 0x1FFFC
    return LINK_OTHER


def radiotap(reader: Reader, at: i64) -> i64:
    """Version, length, presence bits; its Flags may say that the 802.11 header is padded to words (radiotap.org)."""
    data = reader.data
    last = reader.last
    if at + 8 > last:
        return LINK_OTHER
    size = u16_le(data, at + 2)
    present = u32_le(data, at + 4)
    if size < 8 or at + size > last:
        return LINK_OTHER
    field: i64 = 8
    more = present
    while more & 0x80000000 and field + 4 <= size:
        more = u32_le(data, at + field)
        field += 4
    if present & 1:  # TSFT, eight bytes, aligned
        field = ((field + 7) & 0xFFFF8) + 8
    padded = bool(present & 2 and field < size and data[at + field] & 0x20)
    return wlan(reader, at + size, padded)


def wlan(reader: Reader, at: i64, padded: bool) -> i64:
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
    return llc(reader, at + size, False)
