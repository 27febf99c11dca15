"""The checksum as conntrack verifies it (net/netfilter/utils.c nf_checksum, net/netfilter/utils.c nf_ip_checksum)."""

from __future__ import annotations

from tcemu.fields import G_IP4
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.packet import Packet


def is_intact(p: Packet) -> bool:
    """Is the transport checksum right? The kernel sums from the IPv4 header on, so a wrong header checksum counts too.

    That shows in tc ct, which sees packets before the IP layer has dropped such headers. SCTP's CRC32c and IPv6 leave the header out.
    """
    return ((p.groups & G_IP4) == 0 or verify_header(p)) and verify_l4(p)
