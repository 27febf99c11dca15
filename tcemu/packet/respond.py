"""Messages that keep a network running: echo replies, neighbour solicitations and advertisements. IP packets without a link header.

Sources: RFC 792, RFC 4443, RFC 4861; net/ipv4/icmp.c icmp_echo, net/ipv6/icmp.c icmpv6_echo_reply, net/ipv6/ndisc.c.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, IP_TOS
from tcemu.packet.build import ip4_header, ip6_header
from tcemu.packet.checksum import checksum, pseudo6
from tcemu.packet.edit import be16, be32, be48, be64
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_ICMP, IPPROTO_ICMPV6

TTL: Final = 64
SOLICIT: Final = 135
ADVERTISE: Final = 136
SOLICITED_NODE_HIGH: Final = -0x00FE000000000000  # ff02::1:ff00:0/104
SOLICITED_NODE_LOW: Final = 0x00000001FF000000


def echo_reply4(p: Packet, ident: i64) -> bytes:
    """The answer to an echo request that was delivered here."""
    f = p.f
    data = b"\0" + p.data[p.l4 + 1 : p.l4 + 2] + b"\0\0" + p.data[p.l4 + 4 : p.l3_end]
    message = data[:2] + be16(checksum(data, 0, len(data), 0)) + data[4:]
    return ip4_header(f[IP_DADDR], f[IP_SADDR], IPPROTO_ICMP, len(message), TTL, f[IP_TOS], ident, False) + message


def echo_reply6(p: Packet) -> bytes:
    """The same for IPv6."""
    f = p.f
    data = b"\x81" + p.data[p.l4 + 1 : p.l4 + 2] + b"\0\0" + p.data[p.l4 + 4 : p.l3_end]
    return icmp6(f[IP6_DADDR], f[IP6_DADDR + 1], f[IP6_SADDR], f[IP6_SADDR + 1], data, TTL)


def icmp6(from_high: i64, from_low: i64, to_high: i64, to_low: i64, data: bytes, hops: i64) -> bytes:
    """An ICMPv6 message, its checksum computed."""
    size: i64 = len(data)
    check = checksum(data, 0, size, pseudo6(from_high, from_low, to_high, to_low, IPPROTO_ICMPV6, size))
    message = data[:2] + be16(check) + data[4:]
    return ip6_header(from_high, from_low, to_high, to_low, IPPROTO_ICMPV6, size, hops, 0, 0) + message


def solicit(from_high: i64, from_low: i64, high: i64, low: i64, mac: i64) -> bytes:
    """A neighbour solicitation to the solicited-node address of a target."""
    data = be16(SOLICIT << 8) + b"\0\0" + be32(0) + be64(high) + be64(low) + b"\1\1" + be48(mac)
    return icmp6(from_high, from_low, SOLICITED_NODE_HIGH, SOLICITED_NODE_LOW | (low & 0xFFFFFF), data, 255)


def advertise(high: i64, low: i64, to_high: i64, to_low: i64, mac: i64, flags: i64) -> bytes:
    """A neighbour advertisement of an own address; flags: router, solicited and override in the highest three bits."""
    data = be16(ADVERTISE << 8) + b"\0\0" + be32(flags << 24) + be64(high) + be64(low) + b"\2\1" + be48(mac)
    return icmp6(high, low, to_high, to_low, data, 255)
