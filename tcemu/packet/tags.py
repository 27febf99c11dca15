"""Link headers written: MAC addresses, VLAN tags, MPLS labels, Ethernet headers put on and taken off.

The kernel keeps the outer VLAN tag beside the packet (skb_vlan_untag), so "the network header" of its link actions is what
stands behind the outer tag, and the ethertype in front of it is the Ethernet header's. On the wire that is ``net_offset``.

Every function gives True, or False where the kernel's returns an error (and its action drops the packet).
Sources: net/core/skbuff.c skb_vlan_push, skb_vlan_pop, skb_eth_push, skb_eth_pop, skb_mpls_*; net/sched/act_vlan.c tcf_vlan_act,
act_mpls.c tcf_mpls_act, act_skbmod.c tcf_skbmod_act.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import ETH_DST, ETH_SRC, G_ETH, G_VLAN, PROTOCOL, VLAN_DEI, VLAN_ETHTYPE, VLAN_ID, VLAN_PRIO, VLAN_TPID
from tcemu.packet.edit import be16, be32, be48, begin, finish, get16, get32, put16, put48, replace, splice, swap_bytes
from tcemu.packet.packet import LINK_BARE, LINK_ETHER, LINK_IP, LINK_OTHER, Packet
from tcemu.packet.protocols import ETH_HLEN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, ETH_P_MPLS_MC, ETH_P_MPLS_UC, VLAN_HLEN

KEEP: Final = -1  # an MPLS field or a priority that is not set


# ---------------------------------------------------------------- where things are
def net_offset(p: Packet) -> i64:
    """Where the kernel's network header is: behind the Ethernet header and the outer tag."""
    if p.link != LINK_ETHER:
        return p.start
    return p.start + (ETH_HLEN + VLAN_HLEN if p.groups & G_VLAN else ETH_HLEN)


def protocol(p: Packet) -> i64:
    """skb->protocol: the ethertype behind the outer tag."""
    return p.f[VLAN_ETHTYPE] if p.groups & G_VLAN else p.f[PROTOCOL]


def is_mpls(kind: i64) -> bool:
    """Is it one of the two ethertypes of MPLS (eth_p_mpls)?"""
    return kind in (ETH_P_MPLS_UC, ETH_P_MPLS_MC)


# ---------------------------------------------------------------- addresses
def set_macs(p: Packet, target: i64, source: i64) -> bool:
    """Set destination and source address; -1 leaves one as it is. A packet without an Ethernet header is left alone."""
    if (p.groups & G_ETH) == 0:
        return True
    w = begin(p)
    if target >= 0:
        put48(w, 0, target)
    if source >= 0:
        put48(w, 6, source)
    finish(p, w)
    return True


def swap_macs(p: Packet) -> bool:
    """Exchange the two addresses (act_skbmod SWAPMAC)."""
    return set_macs(p, p.f[ETH_SRC], p.f[ETH_DST])


def set_ethertype(p: Packet, kind: i64) -> bool:
    """Write the Ethernet header's type. The kernel's idea of the protocol stays, and so do the slots, until the packet is decoded again."""
    if (p.groups & G_ETH) == 0:
        return True
    w = begin(p)
    put16(w, net_offset(p) - 2 - p.start, kind)
    swap_bytes(p, w.getvalue())
    return True


# ---------------------------------------------------------------- VLAN
def vlan_push(p: Packet, tpid: i64, tci: i64) -> bool:
    """Put a tag on; ``tci`` is priority << 13 | id. Without an Ethernet header there is no place for it."""
    if (p.groups & G_ETH) == 0:
        return False
    splice(p, p.start + 12, 0, be16(tpid) + be16(tci))
    return True


def vlan_pop(p: Packet) -> bool:
    """Take the outer tag off; a packet without one is left alone."""
    if p.groups & G_VLAN:
        splice(p, p.start + 12, VLAN_HLEN, b"")
    return True


def vlan_modify(p: Packet, tpid: i64, vid: i64, priority: i64) -> bool:
    """Set the outer tag's protocol and id, and its priority unless that is -1. A packet without a tag is left alone."""
    if (p.groups & G_VLAN) == 0:
        return True
    f = p.f
    if priority < 0:
        priority = f[VLAN_PRIO]
    tci = priority << 13 | f[VLAN_DEI] << 12 | (vid & 0xFFF)
    splice(p, p.start + 12, VLAN_HLEN, be16(tpid) + be16(tci))
    return True


def outer_tag(p: Packet) -> bytes:
    """The outer tag as it stands on the wire: protocol and TCI; empty when there is none."""
    if (p.groups & G_VLAN) == 0:
        return b""
    f = p.f
    return be16(f[VLAN_TPID]) + be16(f[VLAN_PRIO] << 13 | f[VLAN_DEI] << 12 | f[VLAN_ID])


# ---------------------------------------------------------------- Ethernet
def eth_pop(p: Packet) -> bool:
    """Take the Ethernet header off. Refused when there is none, or a tag."""
    if (p.groups & G_ETH) == 0 or p.groups & G_VLAN or p.end - p.start < ETH_HLEN:
        return False
    kind = p.f[PROTOCOL]
    p.link = LINK_IP if kind in (ETH_P_IP, ETH_P_IPV6) else LINK_BARE
    splice(p, p.start, ETH_HLEN, b"")
    return True


def eth_push(p: Packet, target: i64, source: i64) -> bool:
    """Put an Ethernet header on, of the packet's protocol. Refused when there is one already."""
    if p.link in (LINK_ETHER, LINK_OTHER):
        return False
    p.link = LINK_ETHER
    splice(p, p.start, 0, be48(target) + be48(source) + be16(p.f[PROTOCOL]))
    return True


# ---------------------------------------------------------------- MPLS
def label_entry(entry: i64, label: i64, tc: i64, bos: i64, ttl: i64) -> i64:
    """A label stack entry with some parts set anew (tcf_mpls_get_lse); -1 keeps label, tc, bos, and 0 keeps ttl."""
    if label != KEEP:
        entry = (entry & 0x00000FFF) | label << 12
    if ttl != 0:
        entry = (entry & 0xFFFFFF00) | ttl
    if tc != KEEP:
        entry = (entry & 0xFFFFF1FF) | tc << 9
    if bos != KEEP:
        entry = (entry & 0xFFFFFEFF) | bos << 8
    return entry


def mpls_push(p: Packet, kind: i64, label: i64, tc: i64, bos: i64, ttl: i64) -> bool:
    """Put a label in front of the network header; ``bos`` -1 sets the bottom of stack bit when no MPLS is below."""
    if not is_mpls(kind) or (p.link == LINK_ETHER and p.groups & G_ETH == 0):
        return False
    entry = label_entry(0, label, tc, bos, ttl)
    if bos == KEEP and not is_mpls(_inmost(p)):
        entry |= 0x100
    at = net_offset(p)
    if p.groups & G_ETH:
        replace(p, p.data[p.start : at - 2] + be16(kind) + be32(entry) + p.data[at : p.end])
    else:
        _bare(p, kind, be32(entry) + p.data[p.start : p.end])
    return True


def mpls_mac_push(p: Packet, kind: i64, label: i64, tc: i64, bos: i64, ttl: i64) -> bool:
    """Put a label in front of the whole frame. What is left has no link header: it is MPLS from its first byte."""
    if not is_mpls(kind) or (p.link == LINK_ETHER and p.groups & G_ETH == 0):
        return False
    entry = label_entry(0, label, tc, bos, ttl)
    if bos == KEEP and (p.link == LINK_ETHER or not is_mpls(p.f[PROTOCOL])):
        entry |= 0x100
    _bare(p, kind, be32(entry) + p.data[p.start : p.end])
    return True


def mpls_pop(p: Packet, kind: i64) -> bool:
    """Take the outer label off; what it covered has ethertype ``kind``. A packet that is not MPLS is left alone."""
    if not is_mpls(protocol(p)):
        return True
    at = net_offset(p)
    if p.end - at < 4:
        return False
    if p.link == LINK_ETHER:
        replace(p, p.data[p.start : at - 2] + be16(kind) + p.data[at + 4 : p.end])
    else:
        _bare(p, kind, p.data[p.start + 4 : p.end])
    return True


def mpls_modify(p: Packet, label: i64, tc: i64, bos: i64, ttl: i64) -> bool:
    """Set parts of the outer label stack entry."""
    at = net_offset(p)
    if p.end - at < 4 or not is_mpls(protocol(p)):
        return False
    splice(p, at, 4, be32(label_entry(get32(p.data, at), label, tc, bos, ttl)))
    return True


def mpls_dec_ttl(p: Packet) -> bool:
    """Count the outer label's TTL down; refused when it comes to nought."""
    at = net_offset(p)
    if p.end - at < 4 or not is_mpls(protocol(p)):
        return False
    entry = get32(p.data, at)
    ttl = (entry - 1) & 0xFF
    if ttl == 0:
        return False
    splice(p, at, 4, be32((entry & 0xFFFFFF00) | ttl))
    return True


def _inmost(p: Packet) -> i64:
    """skb_protocol(skb, true): the ethertype behind all tags; PPPoE is not looked through."""
    if p.link != LINK_ETHER:
        return p.f[PROTOCOL]
    at = p.start + ETH_HLEN
    kind = get16(p.data, at - 2)
    while kind in (ETH_P_8021Q, ETH_P_8021AD) and at + 4 <= p.end:
        at += 4
        kind = get16(p.data, at - 2)
    return kind


def _bare(p: Packet, kind: i64, data: bytes) -> None:
    """New bytes that begin with the network header of ``kind``."""
    p.f[PROTOCOL] = kind
    p.link = LINK_BARE
    replace(p, data)
