"""Headers from scratch: Ethernet, ARP, IPv4, IPv6, UDP. Addresses of IPv6 are signed halves, as in slots.

Tunnels are in `tcemu.packet.tunnel`, answers (ICMP errors, TCP resets) in `tcemu.packet.reply`.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.packet.checksum import checksum, pseudo4, pseudo6
from tcemu.packet.edit import be16, be32, be48, be64
from tcemu.packet.protocols import ETH_P_ARP, ETH_P_IP, IP_DF, IPPROTO_UDP


def ethernet(target: i64, source: i64, kind: i64) -> bytes:
    """An Ethernet header."""
    return be48(target) + be48(source) + be16(kind)


def arp(operation: i64, sender_mac: i64, sender: i64, target_mac: i64, target: i64) -> bytes:
    """An ARP packet for IPv4 over Ethernet, without its Ethernet header (RFC 826)."""
    fixed = be16(1) + be16(ETH_P_IP) + b"\6\4" + be16(operation)
    return fixed + be48(sender_mac) + be32(sender) + be48(target_mac) + be32(target)


def arp_frame(operation: i64, sender_mac: i64, sender: i64, target_mac: i64, target: i64) -> bytes:
    """The same as a frame; a request without a target address is broadcast."""
    to = target_mac if target_mac != 0 else 0xFFFFFFFFFFFF
    return ethernet(to, sender_mac, ETH_P_ARP) + arp(operation, sender_mac, sender, target_mac, target)


def ip4_header(source: i64, target: i64, proto: i64, size: i64, ttl: i64, tos: i64, ident: i64, df: bool) -> bytes:
    """An IPv4 header without options for ``size`` bytes of payload."""
    bare = be16(0x4500 | tos) + be16(20 + size) + be16(ident) + be16(IP_DF if df else 0) + be16(ttl << 8 | proto) + b"\0\0"
    bare += be32(source) + be32(target)
    return bare[:10] + be16(checksum(bare, 0, 20, 0)) + bare[12:]


def ip6_header(
    source_high: i64, source: i64, target_high: i64, target: i64, proto: i64, size: i64, ttl: i64, tos: i64, label: i64
) -> bytes:
    """An IPv6 header for ``size`` bytes of payload."""
    fixed = be32(6 << 28 | tos << 20 | label) + be16(size) + be16(proto << 8 | ttl)
    return fixed + be64(source_high) + be64(source) + be64(target_high) + be64(target)


def udp4(source: i64, target: i64, sport: i64, dport: i64, payload: bytes, summed: bool) -> bytes:
    """A UDP datagram for IPv4, with a checksum or with zero for it."""
    size: i64 = len(payload) + 8
    return _udp(sport, dport, payload, summed, pseudo4(source, target, IPPROTO_UDP, size))


def udp6(source_high: i64, source: i64, target_high: i64, target: i64, sport: i64, dport: i64, payload: bytes, summed: bool) -> bytes:
    """A UDP datagram for IPv6."""
    size: i64 = len(payload) + 8
    return _udp(sport, dport, payload, summed, pseudo6(source_high, source, target_high, target, IPPROTO_UDP, size))


def _udp(sport: i64, dport: i64, payload: bytes, summed: bool, seed: i64) -> bytes:
    size: i64 = len(payload) + 8
    head = be16(sport) + be16(dport) + be16(size)
    check: i64 = 0
    if summed:
        check = checksum(head + b"\0\0" + payload, 0, size, seed) or 0xFFFF
    return head + be16(check) + payload
