"""The only writer of a packet's bytes. Whoever changes a packet imports from here.

Each function makes fresh bytes (``p.start`` becomes 0), fixes the checksums that the kernel's own code fixes, and decodes again.
Functions that return bool give False where the kernel's give an error; the packet is then as it was.

    tags       MAC addresses, VLAN, MPLS, Ethernet headers          translate  addresses and ports, also inside ICMP errors
    resum      checksums computed anew (tc csum)                    mangle     payload, sequence numbers, nft's payload statement
    fragment   fragments and reassembled packets                    here       pedit, TTL, ECN, trimming

Sources: net/sched/act_pedit.c tcf_pedit_act; include/net/ip.h ip_decrease_ttl; include/net/inet_ecn.h INET_ECN_set_ce;
net/sched/act_ct.c tcf_ct_skb_network_trim.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import G_ETH, G_IP4, G_IP6, G_PPPOE, G_VLAN, IP6_PLEN, IP_CSUM, IP_LEN, IP_TOS, IP_TTL, L4PROTO, NETPROTO, PKT_LEN
from tcemu.packet.decode import decode
from tcemu.packet.edit import begin, finish, put8, put16, splice, swap_bytes
from tcemu.packet.fragment import fragment, fragment_header, reassembled4, reassembled6
from tcemu.packet.mangle import adjust_tcp, replace_payload, set_payload
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6, IPPROTO_TCP, IPPROTO_UDP
from tcemu.packet.resum import update_checksums
from tcemu.packet.tags import (
    eth_pop,
    eth_push,
    mpls_dec_ttl,
    mpls_mac_push,
    mpls_modify,
    mpls_pop,
    mpls_push,
    net_offset,
    outer_tag,
    protocol,
    set_ethertype,
    set_macs,
    swap_macs,
    vlan_modify,
    vlan_pop,
    vlan_push,
)
from tcemu.packet.translate import renew_icmp, set_address, set_port, translate, translate_inner

__all__ = [
    "adjust_tcp",
    "decrement_ttl",
    "eth_pop",
    "eth_push",
    "fragment",
    "fragment_header",
    "is_ip",
    "mark_congestion",
    "mpls_dec_ttl",
    "mpls_mac_push",
    "mpls_modify",
    "mpls_pop",
    "mpls_push",
    "outer_tag",
    "pedit",
    "reassembled4",
    "reassembled6",
    "renew_icmp",
    "replace_payload",
    "set_address",
    "set_bytes",
    "set_ethertype",
    "set_macs",
    "set_payload",
    "set_port",
    "swap_macs",
    "translate",
    "translate_inner",
    "trim_to_ip",
    "update_checksums",
    "vlan_modify",
    "vlan_pop",
    "vlan_push",
]

# enum pedit_header_type (include/uapi/linux/tc_act/tc_pedit.h)
PEDIT_NETWORK: Final = 0
PEDIT_ETH: Final = 1
PEDIT_IP4: Final = 2
PEDIT_IP6: Final = 3
PEDIT_TCP: Final = 4
PEDIT_UDP: Final = 5


def set_bytes(p: Packet, at: i64, new: bytes) -> bool:
    """Write ``new`` over the bytes at ``data[at]``; no checksum is touched."""
    if at < p.start or at + len(new) > p.end:
        return False
    splice(p, at, len(new), new)
    return True


# ---------------------------------------------------------------- pedit
def pedit(p: Packet, header: i64, offset: i64, keep: i64, value: i64, add: bool, at: i64, offmask: i64, shift: i64) -> bool:
    """One key of tc's pedit: ``word = (word & keep) ^ value``, or with ``add`` the bits outside ``keep`` of ``word + value``.

    header: PEDIT_*; offset: in bytes from that header, may be negative. keep and value are as they stand on the wire, high byte first;
    the sum is made as a little-endian machine makes it: it carries from the first byte towards the last. With offmask not 0,
    ``(byte at "at" & offmask) >> shift`` is added to the offset. No checksum is touched. False where the kernel counts an overlimit.
    """
    base = _pedit_base(p, header)
    if base < 0:
        return False
    if offmask != 0:
        place = _seen(p, base + at)
        if place < 0:
            return False
        offset += (p.data[place] & offmask) >> shift
        if offset % 4 != 0:
            return False
    first = base + offset
    if _seen(p, first) < 0 or _seen(p, first + 3) < 0:
        return False
    w = begin(p)
    carry: i64 = 0
    step: i64 = 0
    links = False
    while step < 4:
        place = _seen(p, first + step)
        old: i64 = p.data[place]
        part = (value >> (24 - 8 * step)) & 0xFF
        stay = (keep >> (24 - 8 * step)) & 0xFF
        if add:
            total = old + part + carry
            carry = total >> 8
            part = total & ~stay & 0xFF
        put8(w, place - p.start, (old & stay) ^ part)
        if (old & stay) ^ part != old and p.groups & G_ETH and p.start + 12 <= place < net_offset(p):
            links = True
        step += 1
    if links:
        swap_bytes(p, w.getvalue())  # the kernel does not look at the ethertype again
    else:
        finish(p, w)
    return True


def _pedit_base(p: Packet, header: i64) -> i64:
    """pedit_skb_hdr_offset, counted as `_seen` counts; -1 when there is no such header."""
    if header == PEDIT_ETH:
        return 0 if p.groups & G_ETH else -1
    net = net_offset(p) - p.start
    if p.groups & G_VLAN:
        net -= 4
    if header in (PEDIT_TCP, PEDIT_UDP):
        kind = protocol(p)
        if kind == ETH_P_IP and p.groups & G_IP4:
            ihl: i64 = (p.data[p.l3] & 0xF) * 4
            return net + ihl
        if kind == ETH_P_IPV6 and p.l4 >= 0 and p.f[L4PROTO] == (IPPROTO_TCP if header == PEDIT_TCP else IPPROTO_UDP):
            return net + p.l4 - p.l3
        return -1
    return net


def _seen(p: Packet, place: i64) -> i64:
    """The offset in data of a byte counted from the Ethernet header without its outer tag, as the kernel has it; -1 outside the packet."""
    if p.groups & G_VLAN and place >= 12:
        place += 4
    place += p.start
    return place if p.start <= place < p.end else -1


# ---------------------------------------------------------------- the network header
def decrement_ttl(p: Packet) -> bool:
    """Count time to live or hop limit down, with the checksum (ip_decrease_ttl); False when it is not IP or already 0."""
    f = p.f
    ttl = f[IP_TTL]
    if p.groups & (G_IP4 | G_IP6) == 0 or ttl == 0:
        return False
    w = begin(p)
    at = p.l3 - p.start
    if p.groups & G_IP4:
        check = f[IP_CSUM] + 0x0100
        put8(w, at + 8, ttl - 1)
        put16(w, at + 10, check + 1 if check >= 0xFFFF else check)
    else:
        put8(w, at + 7, ttl - 1)
    finish(p, w)
    return True


def mark_congestion(p: Packet) -> bool:
    """Set Congestion Experienced; False when the packet is not ECN capable (INET_ECN_set_ce)."""
    if p.groups & (G_IP4 | G_IP6) == 0 or p.groups & G_PPPOE:
        return False
    tos = p.f[IP_TOS]
    if tos & 3 == 0:
        return False
    if tos & 3 == 3:
        return True
    w = begin(p)
    at = p.l3 - p.start
    if p.groups & G_IP4:
        check = p.f[IP_CSUM] + 0xFFFB + (tos & 3) + 1
        put8(w, at + 1, tos | 3)
        put16(w, at + 10, check + 1 if check > 0xFFFF else check)
    else:
        put8(w, at + 1, p.data[p.l3 + 1] | 0x30)
    finish(p, w)
    return True


def trim_to_ip(p: Packet) -> bool:
    """Cut what is behind the IP packet, by its length field (tcf_ct_skb_network_trim); False when there is no whole IP header."""
    f = p.f
    if p.groups & G_IP4:
        length = f[IP_LEN]
    elif p.groups & G_IP6:
        length = 40 + f[IP6_PLEN]
    else:
        return False
    end = p.l3 + length
    gone = p.wire - (end - p.start)
    if gone <= 0:
        return True
    p.wire -= gone
    f[PKT_LEN] -= gone
    if end < p.end:
        p.end = end
        if end < p.l3_end or p.broken:
            decode(p)
    return True


def is_ip(p: Packet) -> bool:
    """Is it IP for tc: behind nothing but tags? In PPPoE it is not (tcf_ct_skb_nf_family)."""
    return p.groups & (G_IP4 | G_IP6) != 0 and p.groups & G_PPPOE == 0 and p.f[NETPROTO] in (ETH_P_IP, ETH_P_IPV6)
