"""Payload written: helpers' text, sequence numbers, and the raw payload statement of nft.

Sources: net/netfilter/nf_nat_helper.c __nf_nat_mangle_tcp_packet, nf_nat_mangle_udp_packet; nf_conntrack_seqadj.c nf_ct_seq_adjust;
nft_payload.c nft_payload_set_eval.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from tcemu.fields import G_IP4, G_L4, G_SCTP, G_TCP, G_UDP, L4PROTO, TCP_ACK, TCP_CSUM, TCP_FLAGS, TCP_SEQ, UDP_CSUM
from tcemu.packet.checksum import checksum, fold, pseudo, sctp_checksum, sum_bytes, update
from tcemu.packet.edit import begin, finish, get16, get32, put16, put32
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, TCP_ACK_FLAG

OPTION_SACK: Final = 5
M32: Final = 0xFFFFFFFF


def replace_payload(p: Packet, offset: i64, gone: i64, new: bytes) -> bool:
    """Put ``new`` in place of ``gone`` bytes at ``offset`` of the TCP or UDP payload; lengths and checksums follow.

    Sequence numbers of what comes later are the caller's. A UDP checksum of zero stays. What stands behind the IP packet goes.
    """
    at = p.payload + offset
    if p.groups & (G_TCP | G_UDP) == 0 or p.groups & G_L4 == 0 or offset < 0 or gone < 0 or at + gone > p.l3_end:
        return False
    grown: i64 = len(new) - gone
    length = p.l3_end - p.l3 + grown
    if length > 0xFFFF:
        return False
    w = BytesWriter()
    w.write(p.data[p.start : at])
    w.write(new)
    w.write(p.data[at + gone : p.l3_end])
    _lengths(p, w, p.l3 - p.start, length)
    l4 = p.l4 - p.start
    size = p.l3_end + grown - p.l4
    place: i64 = l4 + 16
    if p.groups & G_UDP:
        put16(w, l4 + 4, size)
        place = l4 + 6
    if p.groups & G_TCP or p.f[UDP_CSUM] != 0:
        put16(w, place, 0)
        value = checksum(w.getvalue(), l4, l4 + size, pseudo(p, p.f[L4PROTO], size))
        put16(w, place, value or 0xFFFF)  # skb_checksum_help, whatever the protocol
    finish(p, w)
    return True


def _lengths(p: Packet, w: BytesWriter, l3: i64, length: i64) -> None:
    """Length field of the IP header, and its checksum."""
    if p.groups & G_IP4:
        ihl: i64 = (p.data[p.l3] & 0xF) * 4
        put16(w, l3 + 2, length)
        put16(w, l3 + 10, 0)
        put16(w, l3 + 10, checksum(w.getvalue(), l3, l3 + ihl, 0))
    else:
        put16(w, l3 + 4, length - 40)


def after(first: i64, second: i64) -> bool:
    """Is a sequence number behind another (include/net/tcp.h after)?"""
    return ((second - first) & M32) > 0x7FFFFFFF


def adjust_tcp(p: Packet, seq: i64, ack: i64, position: i64, before: i64, behind: i64) -> bool:
    """Add ``seq`` to the sequence number and, with the ACK flag, take ``ack`` from the acknowledgement and correct SACK blocks.

    position, before, behind: the other direction's struct nf_ct_seqadj (correction_pos, offset_before, offset_after), by which each
    edge of a block is judged. False when an option is cut.
    """
    if p.groups & G_TCP == 0:
        return False
    f = p.f
    w = begin(p)
    at = p.l4 - p.start
    new = (f[TCP_SEQ] + seq) & M32
    check = update(f[TCP_CSUM], f[TCP_SEQ], new)
    put32(w, at + 4, new)
    good = True
    if f[TCP_FLAGS] & TCP_ACK_FLAG:
        new = (f[TCP_ACK] - ack) & M32
        check = update(check, f[TCP_ACK], new)
        put32(w, at + 8, new)
        check = _adjust_sack(p, w, check, position, before, behind)
        good = check >= 0
    if good:
        put16(w, at + 16, check)
        finish(p, w)
    return good


def _adjust_sack(p: Packet, w: BytesWriter, check: i64, position: i64, before: i64, behind: i64) -> i64:
    """The checksum after all SACK edges were corrected; -1 when an option is cut (nf_ct_sack_adjust)."""
    d = p.data
    at = p.l4 + 20
    end = p.payload if p.payload >= 0 else at
    while at < end:
        kind: i64 = d[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        size: i64 = d[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            return -1
        if kind == OPTION_SACK and size >= 10 and (size - 2) % 8 == 0:
            edge = at + 2
            while edge < at + size:
                old = get32(d, edge)
                new = (old - (behind if after((old - before) & M32, position) else before)) & M32
                check = update(check, old, new)
                put32(w, edge - p.start, new)
                edge += 4
        at += size
    return check


def set_payload(p: Packet, at: i64, new: bytes, check_at: i64, covered: bool, sctp: bool) -> bool:
    """nft's payload statement: write ``new`` at ``data[at]``.

    check_at: a checksum (offset in data) that covers these bytes, -1 for none; covered: the transport's pseudo header covers them too;
    sctp: compute SCTP's checksum anew. False, with nothing changed, when something lies outside the packet.
    """
    size: i64 = len(new)
    if at < p.start or at + size > p.end or check_at + 2 > p.end:
        return False
    d = p.data
    w = begin(p)
    gone = sum_bytes(d, at, at + size) ^ 0xFFFF
    come = sum_bytes(new, 0, size)
    if check_at >= 0:
        put16(w, check_at - p.start, _mangled(get16(d, check_at), gone, come))
    place = _l4_check(p) if covered else -1
    if place >= 0:
        if place + 2 > p.end:
            return False
        here = place - p.start
        put16(w, here, _mangled(get16(w.getvalue(), here), gone, come))
    data = w.getvalue()
    here = at - p.start
    data = data[:here] + new + data[here + size :]
    w = BytesWriter()
    w.write(data)
    if sctp and p.groups & G_SCTP:
        put32(w, p.l4 + 8 - p.start, sctp_checksum(data, p.l4 - p.start, p.end - p.start))
    finish(p, w)
    return True


def _mangled(check: i64, gone: i64, come: i64) -> i64:
    """nft_csum_replace: a result of zero becomes 0xFFFF, whatever the protocol."""
    return fold((check ^ 0xFFFF) + 0xFFFF + gone + come) ^ 0xFFFF or 0xFFFF


def _l4_check(p: Packet) -> i64:
    """nft_payload_l4csum_offset: where the transport checksum is; -1 when there is none to keep right."""
    if p.l4 < 0:
        return -1
    proto = p.f[L4PROTO]
    if proto == IPPROTO_TCP:
        return p.l4 + 16
    if proto == IPPROTO_UDP:
        return p.l4 + 6 if p.groups & G_UDP and p.f[UDP_CSUM] != 0 else -1
    if proto == IPPROTO_UDPLITE:
        return p.l4 + 6
    return p.l4 + 2 if proto == IPPROTO_ICMPV6 else -1
