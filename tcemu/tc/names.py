"""Names of numbers as iproute2 knows them: ethertypes, transport protocols, flower's ct_state flags.

Source: iproute2 6.1 lib/ll_proto.c, lib/inet_proto.c with /etc/protocols of Debian 12, include/uapi/linux/if_ether.h.
"""

from __future__ import annotations

from typing import Final

from tcemu import fields

ETH_ALL: Final = 0x0003
ETH_IP: Final = 0x0800
ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_8021Q: Final = 0x8100
ETH_8021AD: Final = 0x88A8
ETH_IPV6: Final = 0x86DD
ETH_MPLS_UC: Final = 0x8847
ETH_MPLS_MC: Final = 0x8848
ETH_PPP_SES: Final = 0x8864
ETH_CFM: Final = 0x8902
ETH_TEB: Final = 0x6558

# in the order in which iproute2 looks a number up: the first name is the one printed
PROTOCOLS: Final = (
    ("loop", 0x0060),
    ("pup", 0x0200),
    ("pupat", 0x0201),
    ("ip", ETH_IP),
    ("x25", 0x0805),
    ("arp", ETH_ARP),
    ("bpq", 0x08FF),
    ("ieeepup", 0x0A00),
    ("ieeepupat", 0x0A01),
    ("dec", 0x6000),
    ("dna_dl", 0x6001),
    ("dna_rc", 0x6002),
    ("dna_rt", 0x6003),
    ("lat", 0x6004),
    ("diag", 0x6005),
    ("cust", 0x6006),
    ("sca", 0x6007),
    ("rarp", ETH_RARP),
    ("atalk", 0x809B),
    ("aarp", 0x80F3),
    ("ipx", 0x8137),
    ("ipv6", ETH_IPV6),
    ("ppp_disc", 0x8863),
    ("ppp_ses", ETH_PPP_SES),
    ("atmmpoa", 0x884C),
    ("atmfate", 0x8884),
    ("802_3", 0x0001),
    ("ax25", 0x0002),
    ("all", ETH_ALL),
    ("802_2", 0x0004),
    ("snap", 0x0005),
    ("ddcmp", 0x0006),
    ("wan_ppp", 0x0007),
    ("ppp_mp", 0x0008),
    ("localtalk", 0x0009),
    ("can", 0x000C),
    ("ppptalk", 0x0010),
    ("tr_802_2", 0x0011),
    ("mobitex", 0x0015),
    ("control", 0x0016),
    ("irda", 0x0017),
    ("econet", 0x0018),
    ("tipc", 0x88CA),
    ("profinet", 0x8892),
    ("aoe", 0x88A2),
    ("ethercat", 0x88A4),
    ("802.1Q", ETH_8021Q),
    ("802.1ad", ETH_8021AD),
    ("mpls_uc", ETH_MPLS_UC),
    ("mpls_mc", ETH_MPLS_MC),
    ("teb", ETH_TEB),
    ("ipv4", ETH_IP),
    ("LLDP", 0x88CC),
)
PROTOCOL_OF: Final = {name.lower(): number for name, number in reversed(PROTOCOLS)}
PROTOCOL_NAME: Final = {number: name for name, number in reversed(PROTOCOLS)}

IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_ESP: Final = 50
IPPROTO_AH: Final = 51
IPPROTO_ICMPV6: Final = 58
IPPROTO_L2TP: Final = 115
IPPROTO_SCTP: Final = 132

# flower's ct_state words in the order of parsing and printing (f_flower.c flower_ct_states)
CT_STATES: Final = (
    ("trk", fields.FCT_TRK),
    ("new", fields.FCT_NEW),
    ("est", fields.FCT_EST),
    ("rel", fields.FCT_REL),
    ("inv", fields.FCT_INV),
    ("rpl", fields.FCT_RPL),
)


def protocol_name(number: int, numeric: bool = False) -> str:
    """An ethertype as ll_proto_n2a prints it; ``numeric``: with -N, which knows no names."""
    return f"[{number}]" if numeric else PROTOCOL_NAME.get(number) or f"[{number}]"
