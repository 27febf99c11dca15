"""The checksum as conntrack verifies it (net/netfilter/utils.c nf_checksum, net/netfilter/utils.c nf_ip_checksum)."""

from __future__ import annotations

from typing import Final

from tcemu.fields import G_FRAG, G_IP4, G_TCP, G_UDP
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import IPPROTO_TCP, IPPROTO_UDP

IP_HEADER: Final = 20  # bytes, without options
NUMBER: Final = int.from_bytes
SUM_GROUPS: Final = G_IP4 | G_FRAG | G_TCP | G_UDP
SUMMED: Final = {G_IP4 | G_TCP: IPPROTO_TCP, G_IP4 | G_UDP: IPPROTO_UDP}  # groups -> protocol


def is_intact(p: Packet) -> bool:
    """Is the transport checksum right? Asked only of packets that the capture has whole.

    The kernel sums from the IPv4 header on, so a wrong header checksum counts too. That shows in tc ct, which sees packets
    before the IP layer has dropped such headers. SCTP's CRC32c and IPv6 leave the header out.
    """
    if not COMPILED and p.l4 - p.l3 == IP_HEADER:
        # CPython sums up fastest as one number modulo 0xFFFF, and the addresses of the pseudo header stand right before the segment
        proto = SUMMED.get(p.groups & SUM_GROUPS, 0)
        if proto:
            data = p.data
            at = p.l4
            end = p.l3_end
            if NUMBER(data[at - IP_HEADER : at], "big") % 0xFFFF:
                return False
            size = end - at
            rest = NUMBER(data[at - 8 : end], "big") % 0xFFFF
            if size & 1:
                rest <<= 8
            return (rest + size + proto) % 0xFFFF == 0
    return ((p.groups & G_IP4) == 0 or verify_header(p)) and verify_l4(p)
