"""Bytes to fields: `load` takes a frame from a capture, `decode` fills the packet's slots from its bytes.

    load -> decode -> (Ethernet) -> frame -> payload -> ipv4 | ipv6 -> transport
                      raw IP ------------------------^

Every header is checked against the window ``data[start:end]``, and everything above the network header against the
length that this header names. What is cut, malformed or lying leaves a few words in ``p.broken`` and its group unset;
nothing raises and nothing outside the window is read. Only a wrong IP version is noted and no more: flower and tc ct do not look at it.

Where offsets point: ``p.l3`` at the network header (behind all tags, and behind PPPoE when IP is in it) of every frame that has
a whole Ethernet header, IP or not; ``p.l4`` at the transport header of a whole packet or first fragment; ``p.payload`` behind it.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from librt.strings import read_i64_be
from librt.vecs import vec
from mypy_extensions import i64

from tcemu.fields import (
    ARP_HTYPE,
    ARP_TIP,
    CFM_MDL,
    CFM_OP,
    CT_FLOWER,
    CT_LABEL,
    CT_MARK,
    CT_STATE,
    CT_ZONE,
    CVLAN_ETHTYPE,
    CVLAN_ID,
    DPORT,
    ENC_FLAGS,
    ENC_SRC4,
    ENC_TTL,
    ETH_DST,
    ETH_SRC,
    FRAG_FLAGS,
    G_AH,
    G_ARP,
    G_CFM,
    G_CT,
    G_CVLAN,
    G_ENC,
    G_ESP,
    G_ETH,
    G_GRE,
    G_ICMP,
    G_ICMP6,
    G_IP4,
    G_IP6,
    G_L2TP,
    G_L3,
    G_L4,
    G_META,
    G_MPLS,
    G_PORTS,
    G_PPPOE,
    G_SCTP,
    G_TCP,
    G_UDP,
    G_UDPLITE,
    G_VLAN,
    GRE_FLAGS,
    GRE_KEY,
    HASH,
    ICMP_CODE,
    ICMP_ID,
    ICMP_SEQ,
    ICMP_TYPE,
    IIF,
    IP6_NEXTHDR,
    IP6_SADDR,
    IP_CSUM,
    IP_DADDR,
    IP_FRAG,
    IP_ID,
    IP_IHL,
    IP_LEN,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    L2_MISS,
    L2TP_SID,
    L4PROTO,
    MARK,
    MPLS_COUNT,
    MPLS_LSE,
    NCT_INVALID,
    NETPROTO,
    OIF,
    PKT_LEN,
    PKTTYPE,
    PPP_PROTO,
    PPPOE_SID,
    PRIORITY,
    PROTOCOL,
    QUEUE,
    SCTP_VTAG,
    SPI,
    SPORT,
    TC_INDEX,
    TCP_FLAGS,
    TCP_URG,
    UDP_CSUM,
    UDP_LEN,
    VLAN_COUNT,
    VLAN_ETHTYPE,
)
from tcemu.packet.link import frame, payload
from tcemu.packet.network import ipv4
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import BROADCAST, HOST, LINK_BARE, LINK_ETHER, LINK_IP, MULTICAST, NEW, Packet
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6, IPPROTO_TCP, IPPROTO_UDP

MAC_MASK: Final = 0xFFFFFFFFFFFF
GROUP_BIT: Final = 0x010000000000  # of a MAC address
KEPT: Final = G_META | G_CT | G_ENC  # groups of what the kernel keeps beside the bytes

# for the stretch of `load` that runs interpreted: Ethernet, IPv4 and TCP headers, and slots that are set side by side
HEADERS: Final = Struct(">HIHIHBBHHHBBHIIHHIIBBHHH").unpack_from
HEADERS_SIZE: Final = 54
FRAME_SLOTS: Final = slice(IIF, ETH_SRC + 1)
IP_SLOTS: Final = slice(IP_SADDR, IP_CSUM + 1)
L4_SLOTS: Final = slice(L4PROTO, UDP_CSUM + 1)
MARK_SLOTS: Final = slice(CT_FLOWER, HASH + 1)
NO_MARKS: Final = tuple(NCT_INVALID if slot == CT_STATE else 0 for slot in range(CT_FLOWER, HASH + 1))  # PKTTYPE: HOST
TCP_GROUPS: Final = G_META | G_ETH | G_IP4 | G_L4 | G_PORTS | G_TCP
UDP_GROUPS: Final = G_META | G_ETH | G_IP4 | G_L4 | G_PORTS | G_UDP
OTHER_GROUPS: Final = ~(TCP_GROUPS | UDP_GROUPS | KEPT)  # whose slots may be left from the packet before


def load(p: Packet, data: bytes, start: i64, end: i64, wire: i64, ts: i64, link: i64, iif: i64) -> None:
    """A new packet: the window ``data[start:end]``, of ``wire`` bytes on the wire, seen at ``ts`` on device ``iif``.

    Resets all that the kernel keeps beside the bytes; `p.number` is the caller's. The packet type is broadcast or multicast by
    the destination address, else host; who knows the device's address may make that otherhost.
    """
    f = p.f
    p.data = data
    p.start = start
    p.end = end
    p.wire = wire
    p.ts = ts
    p.link = link
    p.ctinfo = NEW
    p.mru = 0
    p.pieces = None
    p.loops = 0
    p.traced = False
    p.summed = False
    p.reason = ""
    groups = p.groups
    if groups & G_ENC or p.tunnel is not None:
        _forget_tunnel(p, f)
    if not COMPILED and link == LINK_ETHER and end - start >= HEADERS_SIZE:
        # CPython pays for every step, so here the commonest packets (whole TCP and UDP over IPv4 without options) are taken apart
        # in a few large ones. All is set that the rest of this function, `ipv4` and `transport` would set, and to the same values.
        (
            dh, dl, sh, sl, ethertype, version, tos, total, ident, frag, ttl, proto, check, source, destination, sport, dport,
            seq, ack, doff, bits, window, tcp_check, urgent,
        ) = HEADERS(data, start)  # fmt: skip
        last = start + 14 + total
        if ethertype == ETH_P_IP and version == 0x45 and frag & 0x3FFF == 0 and last <= end:
            slots = p.slots
            new: i64 = 0
            if proto == IPPROTO_TCP:
                words = doff >> 4
                behind = start + 34 + words * 4
                if words >= 5 and behind <= last:
                    new = TCP_GROUPS
                    bits |= (doff & 15) << 8
                    slots[L4_SLOTS] = (proto, 0, sport, dport, bits, seq, ack, window, words, tcp_check, urgent, 0, 0)
            elif proto == IPPROTO_UDP and total >= 28:
                new = UDP_GROUPS
                behind = start + 42
                # length and checksum stand where TCP has its sequence number
                slots[L4_SLOTS] = (proto, 0, sport, dport, 0, 0, 0, 0, 0, 0, 0, seq >> 16, seq & 0xFFFF)
            if new != 0:
                slots[FRAME_SLOTS] = (iif, 0, 0, 0, ETH_P_IP, ETH_P_IP, dh << 32 | dl, sh << 32 | sl)
                slots[IP_SLOTS] = (source, destination, tos, ttl, total, ident, frag, 5, check)
                slots[MARK_SLOTS] = NO_MARKS
                f[PKT_LEN] = wire - 14
                if dh & 0x100:
                    f[PKTTYPE] = BROADCAST if dh == 0xFFFF and dl == 0xFFFFFFFF else MULTICAST
                if groups & OTHER_GROUPS:
                    _clear(f, groups & OTHER_GROUPS, new)
                p.groups = new
                p.l3 = start + 14
                p.l4 = start + 34
                p.l3_end = last
                p.payload = behind
                p.broken = ""
                p.lies = False
                p.ct = None
                p.tracked = False
                p.track_zone = 0
                return
    if groups & G_CT or p.ct is not None or p.tracked:
        _forget(p, f)
    f[IIF] = iif
    f[OIF] = 0
    f[MARK] = 0
    f[PRIORITY] = 0
    f[QUEUE] = 0
    f[TC_INDEX] = 0
    f[HASH] = 0
    f[L2_MISS] = 0
    f[CT_STATE] = NCT_INVALID  # nft_ct_get_eval of a packet without an entry
    decode(p)
    kind: i64 = HOST
    if p.groups & G_ETH:
        target = f[ETH_DST]
        if target & GROUP_BIT:
            kind = BROADCAST if target == MAC_MASK else MULTICAST
    f[PKTTYPE] = kind


def decode(p: Packet) -> None:
    """Fill slots, groups and offsets from the bytes. What the kernel keeps beside the bytes stays as it is."""
    f = p.f
    d = p.data
    start = p.start
    end = p.end
    old = p.groups
    new: i64 = G_META
    p.l3 = -1
    p.l4 = -1
    p.l3_end = -1
    p.payload = -1
    p.broken = ""
    p.lies = False
    if p.link == LINK_ETHER:
        if end - start >= 14:
            f[ETH_DST] = (read_i64_be(d, start) >> 16) & MAC_MASK
            w = read_i64_be(d, start + 6)
            f[ETH_SRC] = (w >> 16) & MAC_MASK
            kind = w & 0xFFFF
            at = start + 14
            if kind == ETH_P_IP:
                f[PROTOCOL] = kind
                f[NETPROTO] = kind
                f[PKT_LEN] = p.wire - 14
                p.l3 = at
                p.l3_end = end
                new = G_META | G_ETH | ipv4(p, f, d, at, end)
            else:
                new = G_META | G_ETH | frame(p, f, d, kind, at, end)
        else:
            p.broken = "Ethernet header cut"
            f[PROTOCOL] = f[NETPROTO] = 0
            f[PKT_LEN] = p.wire
    else:
        new = G_META | _bare(p, f, d, start, end)
    stale = old & ~new & ~KEPT
    if stale:
        _clear(f, stale, new)
    p.groups = new | (old & KEPT)


def _bare(p: Packet, f: vec[i64], d: bytes, start: i64, end: i64) -> i64:
    """A packet without a link header: the version tells which IP it is (drivers/net/tun.c tun_get_user)."""
    f[PKT_LEN] = p.wire
    if p.link == LINK_BARE:
        return payload(p, f, d, f[PROTOCOL], start, end)
    f[PROTOCOL] = f[NETPROTO] = 0
    if p.link != LINK_IP:
        return 0
    version = d[start] >> 4 if start < end else 0
    if version not in (4, 6):
        p.broken = "neither IPv4 nor IPv6"
        return 0
    kind: i64 = ETH_P_IP if version == 4 else ETH_P_IPV6
    f[PROTOCOL] = kind
    return payload(p, f, d, kind, start, end)


def _forget(p: Packet, f: vec[i64]) -> None:
    """Take conntrack's marks off."""
    p.ct = None
    p.tracked = False
    p.track_zone = 0
    f[CT_FLOWER] = f[CT_ZONE] = f[CT_MARK] = f[CT_LABEL] = f[CT_LABEL + 1] = 0
    p.groups &= ~G_CT


def _forget_tunnel(p: Packet, f: vec[i64]) -> None:
    """Take the tunnel's marks off."""
    p.tunnel = None
    _zero(f, ENC_SRC4, ENC_TTL)
    f[ENC_FLAGS] = 0
    p.groups &= ~G_ENC


def _zero(f: vec[i64], first: i64, last: i64) -> None:
    while first <= last:
        f[first] = 0
        first += 1


def _clear(f: vec[i64], stale: i64, new: i64) -> None:
    """Zero the slots of groups that the packet no longer has. Slots that two groups share stay while one of them is there."""
    if stale & G_PORTS:
        f[SPORT] = f[DPORT] = 0
    if stale & G_TCP:
        _zero(f, TCP_FLAGS, TCP_URG)
    if stale & (G_UDP | G_UDPLITE) and not new & (G_UDP | G_UDPLITE):
        f[UDP_LEN] = f[UDP_CSUM] = 0
    if stale & (G_ICMP | G_ICMP6) and not new & (G_ICMP | G_ICMP6):
        f[ICMP_TYPE] = f[ICMP_CODE] = f[ICMP_ID] = f[ICMP_SEQ] = 0
    if stale & G_IP4:
        f[IP_SADDR] = f[IP_DADDR] = f[IP_LEN] = f[IP_ID] = f[IP_FRAG] = f[IP_IHL] = f[IP_CSUM] = 0
    if stale & G_IP6:
        _zero(f, IP6_SADDR, IP6_NEXTHDR)
    if stale & G_L3 and not new & G_L3:
        f[IP_TOS] = f[IP_TTL] = f[L4PROTO] = f[FRAG_FLAGS] = 0
    if stale & ~(G_PORTS | G_TCP | G_UDP | G_UDPLITE | G_ICMP | G_ICMP6 | G_IP4 | G_IP6 | G_L4):
        _clear_seldom(f, stale, new)


def _clear_seldom(f: vec[i64], stale: i64, new: i64) -> None:
    if stale & G_ETH:
        f[ETH_DST] = f[ETH_SRC] = 0
    if stale & G_VLAN:
        _zero(f, VLAN_COUNT, VLAN_ETHTYPE)
    if stale & G_CVLAN:
        _zero(f, CVLAN_ID, CVLAN_ETHTYPE)
    if stale & G_MPLS:
        _zero(f, MPLS_COUNT, MPLS_LSE + 6)
    if stale & G_PPPOE:
        f[PPPOE_SID] = f[PPP_PROTO] = 0
    if stale & G_ARP:
        _zero(f, ARP_HTYPE, ARP_TIP)
    if stale & G_SCTP:
        f[SCTP_VTAG] = 0
    if stale & G_GRE:
        f[GRE_FLAGS] = f[GRE_KEY] = 0
    if stale & (G_ESP | G_AH) and not new & (G_ESP | G_AH):
        f[SPI] = 0
    if stale & G_L2TP:
        f[L2TP_SID] = 0
    if stale & G_CFM:
        f[CFM_MDL] = f[CFM_OP] = 0
