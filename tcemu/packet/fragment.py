"""Fragments made, and packets put together from them.

The kernel keeps the pieces of a reassembled packet as a list and, when their sizes suit, sends them on as they came; else it cuts
anew. ``p.pieces`` stands for that list.

Sources: net/ipv4/ip_output.c ip_do_fragment, ip_frag_next; net/ipv4/ip_options.c ip_options_fragment; net/ipv6/ip6_output.c ip6_fragment,
net/ipv6/output_core.c ip6_find_1stfragopt; net/ipv4/ip_fragment.c ip_frag_reasm; net/ipv6/netfilter/nf_conntrack_reasm.c nf_ct_frag6_reasm.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from tcemu.fields import G_FRAG, G_IP4, G_IP6
from tcemu.packet.checksum import checksum
from tcemu.packet.edit import be16, be32, get16, put8, put16
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    IP_DF,
    IP_MF,
    IP_OFFSET,
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
)

IPV6_MIN_MTU: Final = 1280
OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_COPIED: Final = 0x80


# ---------------------------------------------------------------- cutting
def fragment(p: Packet, mtu: i64, ident: i64, by_stack: bool = False, keep_df: bool = False) -> list[bytes]:
    """The packet as frames whose IP packets are at most ``mtu`` bytes; none when a piece of eight bytes would not fit.

    ident: the identification of IPv6 fragments; IPv4 has its own. by_stack: the IP stack cuts and takes care of options; what traffic
    control cuts (net/sched/sch_frag.c has cleared IPCB) repeats them. keep_df: set DF in what is cut anew (IPSKB_FRAG_PMTU: the largest
    fragment had it); it is lost when the pieces go out as they came, and in traffic control.
    """
    if p.groups & G_IP4:
        return _cut4(p, mtu, by_stack, keep_df)
    if p.groups & G_IP6:
        return _cut6(p, mtu, ident)
    return []


def _cut4(p: Packet, mtu: i64, by_stack: bool, keep_df: bool) -> list[bytes]:
    d = p.data
    l3 = p.l3
    ihl: i64 = (d[l3] & 0xF) * 4
    if mtu < ihl + 8:
        return []
    old = get16(d, l3 + 6)
    flags: i64 = IP_DF if keep_df and by_stack else 0
    sizes = _pieces(p, p.l3_end - l3 - ihl, mtu - ihl) if old & (IP_MF | IP_OFFSET) == 0 else None
    if sizes is None:
        sizes = _sizes(p.l3_end - l3 - ihl, mtu - ihl)
    else:
        flags = 0
    link = d[p.start : l3]
    header = d[l3 : l3 + ihl]
    offset = old & IP_OFFSET
    at = l3 + ihl
    frames: list[bytes] = []
    for count, piece in enumerate(sizes):
        size: i64 = piece
        more: i64 = IP_MF if count + 1 < len(sizes) or old & IP_MF else 0
        frames.append(link + _header4(header, ihl + size, offset | flags | more) + d[at : at + size])
        if by_stack and count == 0 and offset == 0 and ihl > 20:
            header = later_options(header)
        at += size
        offset += size >> 3
    return frames


def _cut6(p: Packet, mtu: i64, ident: i64) -> list[bytes]:
    d = p.data
    l3 = p.l3
    place = _place6(p)
    if place < 0:
        return []
    at = place >> 16
    pointer = place & 0xFFFF
    room = (mtu if mtu > IPV6_MIN_MTU else IPV6_MIN_MTU) - (at - l3) - 8
    if room < 8:
        return []
    sizes = _pieces(p, p.l3_end - at, room)
    if sizes is None:
        sizes = _sizes(p.l3_end - at, room)
    inner: i64 = d[l3 + pointer]
    w = BytesWriter()
    w.write(d[p.start : at])
    put8(w, l3 + pointer - p.start, IPPROTO_FRAGMENT)
    extra = at - l3 - 40 + 8
    offset: i64 = 0
    frames: list[bytes] = []
    for count, piece in enumerate(sizes):
        size: i64 = piece
        put16(w, l3 + 4 - p.start, extra + size)
        more: i64 = 1 if count + 1 < len(sizes) else 0
        frames.append(w.getvalue() + be16(inner << 8) + be16(offset | more) + be32(ident) + d[at : at + size])
        at += size
        offset += size
    return frames


def _pieces(p: Packet, total: i64, room: i64) -> list[int] | None:
    """The sizes of what the packet was put together from, when it may leave so: all fit, and all but the last are multiples of eight."""
    pieces = p.pieces
    if pieces is None:
        return None
    for count, piece in enumerate(pieces):
        size: i64 = piece
        if size > room or (size & 7 and count + 1 < len(pieces)):
            return None
        total -= size
    return pieces if total == 0 else None


def _sizes(total: i64, room: i64) -> list[int]:
    sizes: list[int] = []
    while total > room:
        sizes.append(room & ~7)
        total -= room & ~7
    if total > 0:
        sizes.append(total)
    return sizes


def _header4(header: bytes, total: i64, field: i64) -> bytes:
    """An IPv4 header of another length and fragment field."""
    bare = header[:2] + be16(total) + header[4:6] + be16(field) + header[8:10] + b"\0\0" + header[12:]
    return bare[:10] + be16(checksum(bare, 0, len(bare), 0)) + bare[12:]


def later_options(header: bytes) -> bytes:
    """The header of later fragments: options that are not copied become no-operations."""
    out = header[:20]
    at: i64 = 20
    end: i64 = len(header)
    while at < end and header[at] != OPTION_END:
        size: i64 = 1
        if header[at] != OPTION_NOP:
            size = header[at + 1] if at + 1 < end else 0
            if size < 2 or at + size > end:
                break
        copied = header[at] & OPTION_COPIED != 0
        out += header[at : at + size] if copied else b"\1" * size
        at += size
    return out + header[at:]


def _place6(p: Packet) -> i64:
    """ip6_find_1stfragopt: where the fragment header goes, << 16 | where its number stands (from the IPv6 header); -1 when the chain is cut."""
    d = p.data
    l3 = p.l3
    at = l3 + 40
    pointer: i64 = 6
    routed = False
    while True:
        proto: i64 = d[l3 + pointer]
        if proto == IPPROTO_ROUTING:
            routed = True
        elif proto != IPPROTO_HOPOPTS and (proto != IPPROTO_DSTOPTS or routed):
            return at << 16 | pointer
        if at + 2 > p.l3_end:
            return -1
        size: i64 = (d[at + 1] + 1) * 8
        if at + size > p.l3_end:
            return -1
        pointer = at - l3
        at += size


# ---------------------------------------------------------------- putting together
def fragment_header(p: Packet) -> i64:
    """Offset of the IPv6 fragment header << 16 | where its number stands (from the IPv6 header); -1 when there is none (find_prev_fhdr)."""
    if p.groups & G_IP6 == 0 or p.groups & G_FRAG == 0:
        return -1
    d = p.data
    at = p.l3 + 40
    pointer: i64 = 6
    while at + 8 <= p.l3_end:
        proto: i64 = d[p.l3 + pointer]
        if proto == IPPROTO_FRAGMENT:
            return at << 16 | pointer
        if proto not in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH):
            return -1
        pointer = at - p.l3
        at += (d[at + 1] + 2) * 4 if proto == IPPROTO_AH else (d[at + 1] + 1) * 8
    return -1


def reassembled4(first: bytes, l3: i64, payload: bytes, df: bool, ecn: i64) -> bytes:
    """The frame of a reassembled IPv4 packet.

    first: the frame of the first fragment, with its IP header at ``l3``; payload: all data in order; df: the largest fragment had DF;
    ecn: bits to be set in the type of service (ip_frag_ecn_table). Empty when it would be longer than 65535 bytes.
    """
    ihl: i64 = (first[l3] & 0xF) * 4
    total = ihl + len(payload)
    if total > 0xFFFF:
        return b""
    tos: i64 = first[l3 + 1] | ecn
    head = first[l3 : l3 + 1] + be16(tos)[1:] + first[l3 + 2 : l3 + ihl]
    return first[:l3] + _header4(head, total, IP_DF if df else 0) + payload


def reassembled6(first: bytes, l3: i64, place: i64, payload: bytes, ecn: i64) -> bytes:
    """The frame of a reassembled IPv6 packet, without its fragment header; ``place`` as `fragment_header` gave it for ``first``."""
    at = place >> 16
    pointer = l3 + (place & 0xFFFF)
    length = at - l3 - 40 + len(payload)
    if length > 0xFFFF:
        return b""
    w = BytesWriter()
    w.write(first[:at])
    put8(w, pointer, first[at])
    put16(w, l3 + 4, length)
    put16(w, l3, get16(first, l3) | ecn << 4)
    return w.getvalue() + payload
