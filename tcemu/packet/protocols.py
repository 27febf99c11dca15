"""Numbers of the wire: ethertypes, IP protocols and the like, under the names that Linux headers give them."""

from __future__ import annotations

from typing import Final

# include/uapi/linux/if_ether.h
ETH_HLEN: Final = 14
VLAN_HLEN: Final = 4
ETH_P_802_3_MIN: Final = 0x0600  # a smaller "type" is the length of an 802.3 frame
ETH_P_802_3: Final = 0x0001
ETH_P_802_2: Final = 0x0004
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_TEB: Final = 0x6558
ETH_P_ERSPAN: Final = 0x88BE
ETH_P_RARP: Final = 0x8035
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_MPLS_UC: Final = 0x8847
ETH_P_MPLS_MC: Final = 0x8848
ETH_P_PPP_SES: Final = 0x8864
ETH_P_8021AD: Final = 0x88A8
ETH_P_CFM: Final = 0x8902

# include/uapi/linux/ppp_defs.h
PPP_IP: Final = 0x0021
PPP_IPV6: Final = 0x0057
PPP_MPLS_UC: Final = 0x0281
PPP_MPLS_MC: Final = 0x0283

# include/uapi/linux/in.h, in6.h
IPPROTO_HOPOPTS: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_IGMP: Final = 2
IPPROTO_IPIP: Final = 4
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_DCCP: Final = 33
IPPROTO_IPV6: Final = 41
IPPROTO_ROUTING: Final = 43
IPPROTO_FRAGMENT: Final = 44
IPPROTO_GRE: Final = 47
IPPROTO_ESP: Final = 50
IPPROTO_AH: Final = 51
IPPROTO_ICMPV6: Final = 58
IPPROTO_NONE: Final = 59
IPPROTO_DSTOPTS: Final = 60
IPPROTO_COMP: Final = 108
IPPROTO_L2TP: Final = 115
IPPROTO_SCTP: Final = 132
IPPROTO_UDPLITE: Final = 136

# IPv4 fragment field (include/net/ip.h)
IP_DF: Final = 0x4000
IP_MF: Final = 0x2000
IP_OFFSET: Final = 0x1FFF

# TCP flags as the low twelve bits of header bytes 12 and 13
TCP_FIN: Final = 0x01
TCP_SYN: Final = 0x02
TCP_RST: Final = 0x04
TCP_PSH: Final = 0x08
TCP_ACK_FLAG: Final = 0x10

# GRE flag bits (include/net/gre.h)
GRE_CSUM: Final = 0x8000
GRE_ROUTING: Final = 0x4000
GRE_KEY_FLAG: Final = 0x2000
GRE_SEQ: Final = 0x1000
GRE_ACK: Final = 0x0080
GRE_VERSION: Final = 0x0007
