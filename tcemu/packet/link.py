"""Decoding what stands between the Ethernet header and IP: VLAN tags, MPLS, PPPoE; and ARP and CFM.

    Ethernet [802.1ad] [802.1Q ...] -> IPv4 | IPv6 | ARP | MPLS | CFM | PPPoE -> IPv4 | IPv6 | MPLS

MPLS hides what it carries: the flow dissector stops at the bottom of the stack. Source: net/core/flow_dissector.c
__skb_flow_dissect and its _mpls, _arp; net/core/skbuff.c skb_vlan_untag; net/ethernet/eth.c eth_type_trans; include/linux/if_vlan.h
vlan_set_encap_proto. CFM: net/core/flow_dissector.c of Linux 6.6.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from librt.vecs import vec
from mypy_extensions import i64

from tcemu.fields import (
    ARP_HLEN,
    ARP_HTYPE,
    ARP_OP,
    ARP_PLEN,
    ARP_PTYPE,
    ARP_SHA,
    ARP_SIP,
    ARP_THA,
    ARP_TIP,
    CFM_MDL,
    CFM_OP,
    CVLAN_DEI,
    CVLAN_ETHTYPE,
    CVLAN_ID,
    CVLAN_PRIO,
    CVLAN_TPID,
    G_ARP,
    G_CFM,
    G_CVLAN,
    G_MPLS,
    G_PPPOE,
    G_VLAN,
    MPLS_COUNT,
    MPLS_LSE,
    NETPROTO,
    PKT_LEN,
    PPP_PROTO,
    PPPOE_SID,
    PROTOCOL,
    VLAN_COUNT,
    VLAN_DEI,
    VLAN_ETHTYPE,
    VLAN_ID,
    VLAN_PRIO,
    VLAN_TPID,
)
from tcemu.packet.network import ipv4, ipv6
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import (
    ETH_P_802_2,
    ETH_P_802_3,
    ETH_P_802_3_MIN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_ARP,
    ETH_P_CFM,
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MPLS_MC,
    ETH_P_MPLS_UC,
    ETH_P_PPP_SES,
    ETH_P_RARP,
    PPP_IP,
    PPP_IPV6,
    PPP_MPLS_MC,
    PPP_MPLS_UC,
)

MAX_TAGS: Final = 16  # the dissector goes round fifteen times (MAX_FLOW_DISSECT_HDRS)
MPLS_ENTRIES: Final = 7  # FLOW_DIS_MPLS_MAX


def frame(p: Packet, f: vec[i64], d: bytes, kind: i64, at: i64, end: i64) -> i64:
    """Decode what is behind an Ethernet header of type or length ``kind``; give the groups that are there."""
    if kind < ETH_P_802_3_MIN:
        kind = _length_frame(d, at, end)
    f[PROTOCOL] = kind
    f[PKT_LEN] = p.wire - (at - p.start)
    if kind in (ETH_P_8021Q, ETH_P_8021AD):
        return _tags(p, f, d, kind, at, end)
    return payload(p, f, d, kind, at, end)


def payload(p: Packet, f: vec[i64], d: bytes, kind: i64, at: i64, end: i64) -> i64:
    """Decode the network layer that an ethertype names."""
    f[NETPROTO] = kind
    p.l3 = at
    p.l3_end = end
    if kind == ETH_P_IP:
        return ipv4(p, f, d, at, end)
    if kind == ETH_P_IPV6:
        return ipv6(p, f, d, at, end)
    if kind in (ETH_P_ARP, ETH_P_RARP):
        return _arp(p, f, d, at, end)
    if kind in (ETH_P_MPLS_UC, ETH_P_MPLS_MC):
        return _mpls(p, f, d, at, end)
    if kind == ETH_P_PPP_SES:
        return _pppoe(p, f, d, at, end)
    if kind == ETH_P_CFM:
        if end - at < 4:
            p.broken = "CFM header cut"
            return 0
        f[CFM_MDL] = d[at] >> 5
        f[CFM_OP] = d[at + 1]
        return G_CFM
    return 0


def _length_frame(d: bytes, at: i64, end: i64) -> i64:
    """The kernel's protocol of a frame with a length for a type: Novell's raw 802.3 begins with a checksum of all ones."""
    raw = end - at >= 2 and d[at] == 0xFF and d[at + 1] == 0xFF
    return ETH_P_802_3 if raw else ETH_P_802_2


def _tags(p: Packet, f: vec[i64], d: bytes, kind: i64, at: i64, end: i64) -> i64:
    """A stack of tags. The kernel has taken the outer one off before anything looks; it wants two bytes behind it, and else drops the frame."""
    f[NETPROTO] = kind
    if end - at < 6:
        p.broken = "VLAN tag cut"
        return 0
    tag = d[at] << 8 | d[at + 1]
    inner: i64 = d[at + 2] << 8 | d[at + 3]
    at += 4
    if inner < ETH_P_802_3_MIN:
        inner = _length_frame(d, at, end)
    f[VLAN_TPID] = kind
    f[VLAN_ID] = tag & 0xFFF
    f[VLAN_DEI] = (tag >> 12) & 1
    f[VLAN_PRIO] = tag >> 13
    f[VLAN_ETHTYPE] = inner
    f[PKT_LEN] = p.wire - (at - p.start)
    groups: i64 = G_VLAN
    count: i64 = 1
    kind = inner
    while kind in (ETH_P_8021Q, ETH_P_8021AD) and count < MAX_TAGS:
        if end - at < 4:
            f[VLAN_COUNT] = count
            f[NETPROTO] = kind
            p.broken = "VLAN tag cut"
            return groups
        tag = d[at] << 8 | d[at + 1]
        inner = d[at + 2] << 8 | d[at + 3]
        at += 4
        count += 1
        if count == 2:
            groups = G_VLAN | G_CVLAN
            f[CVLAN_TPID] = kind
            f[CVLAN_ID] = tag & 0xFFF
            f[CVLAN_DEI] = (tag >> 12) & 1
            f[CVLAN_PRIO] = tag >> 13
            f[CVLAN_ETHTYPE] = inner
        kind = inner
    f[VLAN_COUNT] = count
    return groups | payload(p, f, d, kind, at, end)


def _arp(p: Packet, f: vec[i64], d: bytes, at: i64, end: i64) -> i64:
    """RFC 826. Addresses are read as the flow dissector reads them: of Ethernet and IPv4, in requests and replies; else they are zero."""
    if end - at < 8:
        p.broken = "ARP header cut"
        return 0
    w = read_i64_be(d, at)
    hlen = (w >> 24) & 0xFF
    plen = (w >> 16) & 0xFF
    f[ARP_HTYPE] = (w >> 48) & 0xFFFF
    f[ARP_PTYPE] = (w >> 32) & 0xFFFF
    f[ARP_HLEN] = hlen
    f[ARP_PLEN] = plen
    f[ARP_OP] = w & 0xFFFF
    f[ARP_SHA] = f[ARP_SIP] = f[ARP_THA] = f[ARP_TIP] = 0
    if end - at < 8 + 2 * (hlen + plen):
        p.broken = "ARP addresses cut"
    elif hlen == 6 and plen == 4 and f[ARP_HTYPE] == 1 and f[ARP_PTYPE] == 0x0800 and (f[ARP_OP] == 1 or f[ARP_OP] == 2):
        f[ARP_SHA] = (read_i64_be(d, at + 8) >> 16) & 0xFFFFFFFFFFFF
        f[ARP_SIP] = (read_i64_be(d, at + 10)) & 0xFFFFFFFF
        f[ARP_THA] = (read_i64_be(d, at + 18) >> 16) & 0xFFFFFFFFFFFF
        f[ARP_TIP] = read_i64_be(d, at + 20) & 0xFFFFFFFF
    return G_ARP


def _mpls(p: Packet, f: vec[i64], d: bytes, at: i64, end: i64) -> i64:
    """Label stack entries to the bottom of the stack, seven at most (RFC 3032)."""
    count: i64 = 0
    entry: i64 = 0
    while count < MPLS_ENTRIES and entry & 0x100 == 0:
        if end - at < 4:
            p.broken = "MPLS label stack cut"
            break
        entry = d[at] << 24 | d[at + 1] << 16 | d[at + 2] << 8 | d[at + 3]
        f[MPLS_LSE + count] = entry
        count += 1
        at += 4
    if count == 0:
        return 0
    f[MPLS_COUNT] = count
    while count < MPLS_ENTRIES:
        f[MPLS_LSE + count] = 0
        count += 1
    return G_MPLS


def _pppoe(p: Packet, f: vec[i64], d: bytes, at: i64, end: i64) -> i64:
    """RFC 2516: version and type 1, code 0, session, length; then the PPP protocol. A compressed protocol field is not taken."""
    if end - at < 8:
        p.broken = "PPPoE header cut"
        return 0
    if d[at] != 0x11 or d[at + 1] != 0:
        p.broken = "PPPoE header is not of a session"
        return 0
    ppp: i64 = d[at + 6] << 8 | d[at + 7]
    if ppp & 0x0101 != 0x0001:
        p.broken = "PPP protocol is not valid"
        return 0
    f[PPPOE_SID] = d[at + 2] << 8 | d[at + 3]
    f[PPP_PROTO] = ppp
    kind: i64 = 0
    if ppp == PPP_IP:
        kind = ETH_P_IP
    elif ppp == PPP_IPV6:
        kind = ETH_P_IPV6
    elif ppp == PPP_MPLS_UC:
        kind = ETH_P_MPLS_UC
    elif ppp == PPP_MPLS_MC:
        kind = ETH_P_MPLS_MC
    if kind == 0:
        return G_PPPOE
    return G_PPPOE | payload(p, f, d, kind, at + 8, end)
