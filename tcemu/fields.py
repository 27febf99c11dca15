"""The registry of matchable things: one row per field, one slot (or two) per row.

A decoded packet is a vector of 64-bit integers, the *slots*. Everything that a rule can look at has a
slot, so decoders write slots, matches read slots, and neither knows the other::

    bytes --decode--> slots[IP_SADDR], slots[DPORT], ...  <--match-- (slots[n] & mask) == value

A field wider than 64 bits (IPv6 addresses, conntrack labels) owns two neighbouring slots, high half first.
A field belongs to a *group*; the packet's group bits say whether its header was there. A slot whose group
is absent reads zero, as a flow key of the kernel's flow dissector does (net/core/flow_dissector.c).

Names are those of nft where nft has the field, else those of flower, with a dot behind the header.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# ---------------------------------------------------------------- groups: which headers a packet has
G_META: Final = 1 << 0  # always there
G_ETH: Final = 1 << 1
G_VLAN: Final = 1 << 2
G_CVLAN: Final = 1 << 3
G_MPLS: Final = 1 << 4
G_PPPOE: Final = 1 << 5
G_ARP: Final = 1 << 6
G_IP4: Final = 1 << 7
G_IP6: Final = 1 << 8
G_L4: Final = 1 << 9  # a whole transport header of a first or only fragment
G_PORTS: Final = 1 << 10
G_TCP: Final = 1 << 11
G_UDP: Final = 1 << 12
G_ICMP: Final = 1 << 13
G_ICMP6: Final = 1 << 14
G_SCTP: Final = 1 << 15
G_GRE: Final = 1 << 16
G_FRAG: Final = 1 << 17  # the packet is a fragment
G_ENC: Final = 1 << 18  # came out of a tunnel device with metadata
G_CT: Final = 1 << 19  # conntrack has looked at it (ct_state is not empty)
G_L2TP: Final = 1 << 20
G_DCCP: Final = 1 << 21
G_UDPLITE: Final = 1 << 22
G_IGMP: Final = 1 << 23
G_AH: Final = 1 << 24
G_ESP: Final = 1 << 25
G_COMP: Final = 1 << 26
G_CFM: Final = 1 << 27
G_L3: Final = G_IP4 | G_IP6

# ---------------------------------------------------------------- slots
IIF: Final = 0  # index of the device it came in on
OIF: Final = 1
MARK: Final = 2  # skb->mark
PRIORITY: Final = 3  # skb->priority
PROTOCOL: Final = 4  # tc's protocol: the ethertype behind the MAC addresses, an outer tag included
NETPROTO: Final = 5  # the ethertype of the network header, behind all tags, PPPoE and no MPLS
ETH_DST: Final = 6
ETH_SRC: Final = 7
VLAN_COUNT: Final = 8
VLAN_ID: Final = 9
VLAN_PRIO: Final = 10
VLAN_DEI: Final = 11
VLAN_TPID: Final = 12
VLAN_ETHTYPE: Final = 13  # what follows the outer tag
CVLAN_ID: Final = 14
CVLAN_PRIO: Final = 15
CVLAN_DEI: Final = 16
CVLAN_TPID: Final = 17
CVLAN_ETHTYPE: Final = 18
PPPOE_SID: Final = 19
PPP_PROTO: Final = 20
MPLS_COUNT: Final = 21
MPLS_LSE: Final = 22  # seven label stack entries as they stand on the wire: 22..28
ARP_HTYPE: Final = 29
ARP_PTYPE: Final = 30
ARP_HLEN: Final = 31
ARP_PLEN: Final = 32
ARP_OP: Final = 33
ARP_SHA: Final = 34
ARP_SIP: Final = 35
ARP_THA: Final = 36
ARP_TIP: Final = 37
IP_SADDR: Final = 38
IP_DADDR: Final = 39
IP_TOS: Final = 40  # IPv6: the traffic class
IP_TTL: Final = 41  # IPv6: the hop limit
IP_LEN: Final = 42  # total length field
IP_ID: Final = 43
IP_FRAG: Final = 44  # flags and offset as they stand on the wire
IP_IHL: Final = 45  # header length in 32-bit words
IP_CSUM: Final = 46
IP6_SADDR: Final = 47  # and 48
IP6_DADDR: Final = 49  # and 50
IP6_FLOW: Final = 51
IP6_PLEN: Final = 52
IP6_NEXTHDR: Final = 53
L4PROTO: Final = 54  # transport protocol, behind extension headers
FRAG_FLAGS: Final = 55  # 1 fragment, 2 first fragment (FLOW_DIS_IS_FRAGMENT, FLOW_DIS_FIRST_FRAG)
SPORT: Final = 56
DPORT: Final = 57
TCP_FLAGS: Final = 58  # twelve bits: the reserved ones too
TCP_SEQ: Final = 59
TCP_ACK: Final = 60
TCP_WINDOW: Final = 61
TCP_DOFF: Final = 62
TCP_CSUM: Final = 63
TCP_URG: Final = 64
UDP_LEN: Final = 65
UDP_CSUM: Final = 66
ICMP_TYPE: Final = 67
ICMP_CODE: Final = 68
ICMP_ID: Final = 69
ICMP_SEQ: Final = 70
SCTP_VTAG: Final = 71
GRE_FLAGS: Final = 72
GRE_KEY: Final = 73
ENC_SRC4: Final = 74
ENC_DST4: Final = 75
ENC_SRC6: Final = 76  # and 77
ENC_DST6: Final = 78  # and 79
ENC_KEY: Final = 80
ENC_SPORT: Final = 81
ENC_DPORT: Final = 82
ENC_TOS: Final = 83
ENC_TTL: Final = 84
CT_FLOWER: Final = 85  # flower's ct_state bits (TCA_FLOWER_KEY_CT_FLAGS_*)
CT_ZONE: Final = 86
CT_MARK: Final = 87
CT_LABEL: Final = 88  # and 89
CT_STATE: Final = 90  # nft's bits: invalid 1, established 2, related 4, new 8, untracked 64
PKTTYPE: Final = 91
PKT_LEN: Final = 92  # nft's meta length: from the network header
QUEUE: Final = 93
SPI: Final = 94
L2TP_SID: Final = 95
CFM_MDL: Final = 96
CFM_OP: Final = 97
TC_INDEX: Final = 98
ENC_FLAGS: Final = 99
L2_MISS: Final = 100
HASH: Final = 101
SLOTS: Final = 104

# flower's ct_state bits (include/uapi/linux/pkt_cls.h)
FCT_NEW: Final = 1
FCT_EST: Final = 2
FCT_REL: Final = 4
FCT_TRK: Final = 8
FCT_INV: Final = 16
FCT_RPL: Final = 32

# nft's ct state bits (include/uapi/linux/netfilter/nf_conntrack_common.h, NF_CT_STATE_BIT)
NCT_INVALID: Final = 1
NCT_ESTABLISHED: Final = 2
NCT_RELATED: Final = 4
NCT_NEW: Final = 8
NCT_UNTRACKED: Final = 64


class Field(NamedTuple):
    """One matchable thing: its name, width in bits, group bit, first slot and what it is."""

    name: str
    bits: int
    group: int
    slot: int
    doc: str


FIELDS: Final = (
    Field("meta.iif", 32, G_META, IIF, "index of the input device"),
    Field("meta.oif", 32, G_META, OIF, "index of the output device"),
    Field("meta.mark", 32, G_META, MARK, "packet mark (skb->mark)"),
    Field("meta.priority", 32, G_META, PRIORITY, "packet priority, a tc class id"),
    Field("meta.pkttype", 8, G_META, PKTTYPE, "host, broadcast, multicast, otherhost"),
    Field("meta.length", 32, G_META, PKT_LEN, "length from the network header"),
    Field("meta.queue", 16, G_META, QUEUE, "transmit queue (skb->queue_mapping)"),
    Field("meta.tcindex", 16, G_META, TC_INDEX, "skb->tc_index"),
    Field("meta.hash", 32, G_META, HASH, "flow hash"),
    Field("meta.l2_miss", 1, G_META, L2_MISS, "the bridge found no entry for the destination"),
    Field("meta.protocol", 16, G_META, PROTOCOL, "ethertype, an outer VLAN tag's included"),
    Field("meta.netproto", 16, G_META, NETPROTO, "ethertype of the network header behind all tags"),
    Field("meta.l4proto", 8, G_L3, L4PROTO, "transport protocol behind extension headers"),
    Field("ether.daddr", 48, G_ETH, ETH_DST, "destination MAC address"),
    Field("ether.saddr", 48, G_ETH, ETH_SRC, "source MAC address"),
    Field("vlan.count", 8, G_META, VLAN_COUNT, "number of VLAN tags"),
    Field("vlan.id", 12, G_VLAN, VLAN_ID, "outer VLAN id"),
    Field("vlan.pcp", 3, G_VLAN, VLAN_PRIO, "outer VLAN priority"),
    Field("vlan.dei", 1, G_VLAN, VLAN_DEI, "outer drop eligible indicator"),
    Field("vlan.tpid", 16, G_VLAN, VLAN_TPID, "outer tag protocol"),
    Field("vlan.type", 16, G_VLAN, VLAN_ETHTYPE, "ethertype behind the outer tag"),
    Field("cvlan.id", 12, G_CVLAN, CVLAN_ID, "inner VLAN id"),
    Field("cvlan.pcp", 3, G_CVLAN, CVLAN_PRIO, "inner VLAN priority"),
    Field("cvlan.dei", 1, G_CVLAN, CVLAN_DEI, "inner drop eligible indicator"),
    Field("cvlan.tpid", 16, G_CVLAN, CVLAN_TPID, "inner tag protocol"),
    Field("cvlan.type", 16, G_CVLAN, CVLAN_ETHTYPE, "ethertype behind the inner tag"),
    Field("pppoe.sid", 16, G_PPPOE, PPPOE_SID, "PPPoE session id"),
    Field("ppp.proto", 16, G_PPPOE, PPP_PROTO, "PPP protocol"),
    Field("mpls.count", 8, G_MPLS, MPLS_COUNT, "depth of the label stack"),
    *(Field(f"mpls.lse{n}", 32, G_MPLS, MPLS_LSE + n, f"label stack entry {n + 1}") for n in range(7)),
    Field("arp.htype", 16, G_ARP, ARP_HTYPE, "hardware type"),
    Field("arp.ptype", 16, G_ARP, ARP_PTYPE, "protocol type"),
    Field("arp.hlen", 8, G_ARP, ARP_HLEN, "hardware address length"),
    Field("arp.plen", 8, G_ARP, ARP_PLEN, "protocol address length"),
    Field("arp.operation", 16, G_ARP, ARP_OP, "request 1, reply 2"),
    Field("arp.saddr ether", 48, G_ARP, ARP_SHA, "sender MAC address"),
    Field("arp.saddr ip", 32, G_ARP, ARP_SIP, "sender IPv4 address"),
    Field("arp.daddr ether", 48, G_ARP, ARP_THA, "target MAC address"),
    Field("arp.daddr ip", 32, G_ARP, ARP_TIP, "target IPv4 address"),
    Field("ip.saddr", 32, G_IP4, IP_SADDR, "IPv4 source address"),
    Field("ip.daddr", 32, G_IP4, IP_DADDR, "IPv4 destination address"),
    Field("ip.tos", 8, G_L3, IP_TOS, "type of service or traffic class"),
    Field("ip.ttl", 8, G_L3, IP_TTL, "time to live or hop limit"),
    Field("ip.length", 16, G_IP4, IP_LEN, "total length"),
    Field("ip.id", 16, G_IP4, IP_ID, "identification"),
    Field("ip.frag-off", 16, G_IP4, IP_FRAG, "flags and fragment offset"),
    Field("ip.hdrlength", 4, G_IP4, IP_IHL, "header length in words"),
    Field("ip.checksum", 16, G_IP4, IP_CSUM, "header checksum"),
    Field("ip6.saddr", 128, G_IP6, IP6_SADDR, "IPv6 source address"),
    Field("ip6.daddr", 128, G_IP6, IP6_DADDR, "IPv6 destination address"),
    Field("ip6.flowlabel", 20, G_IP6, IP6_FLOW, "flow label"),
    Field("ip6.length", 16, G_IP6, IP6_PLEN, "payload length"),
    Field("ip6.nexthdr", 8, G_IP6, IP6_NEXTHDR, "next header of the fixed header"),
    Field("frag.flags", 8, G_L3, FRAG_FLAGS, "1 a fragment, 2 the first one"),
    Field("th.sport", 16, G_PORTS, SPORT, "source port"),
    Field("th.dport", 16, G_PORTS, DPORT, "destination port"),
    Field("tcp.flags", 12, G_TCP, TCP_FLAGS, "flags with the reserved bits"),
    Field("tcp.sequence", 32, G_TCP, TCP_SEQ, "sequence number"),
    Field("tcp.ackseq", 32, G_TCP, TCP_ACK, "acknowledgement number"),
    Field("tcp.window", 16, G_TCP, TCP_WINDOW, "window, not scaled"),
    Field("tcp.doff", 4, G_TCP, TCP_DOFF, "header length in words"),
    Field("tcp.checksum", 16, G_TCP, TCP_CSUM, "checksum"),
    Field("tcp.urgptr", 16, G_TCP, TCP_URG, "urgent pointer"),
    Field("udp.length", 16, G_UDP, UDP_LEN, "length field"),
    Field("udp.checksum", 16, G_UDP, UDP_CSUM, "checksum"),
    Field("icmp.type", 8, G_ICMP | G_ICMP6, ICMP_TYPE, "ICMP or ICMPv6 type"),
    Field("icmp.code", 8, G_ICMP | G_ICMP6, ICMP_CODE, "ICMP or ICMPv6 code"),
    Field("icmp.id", 16, G_ICMP | G_ICMP6, ICMP_ID, "echo identifier"),
    Field("icmp.sequence", 16, G_ICMP | G_ICMP6, ICMP_SEQ, "echo sequence number"),
    Field("sctp.vtag", 32, G_SCTP, SCTP_VTAG, "verification tag"),
    Field("gre.flags", 16, G_GRE, GRE_FLAGS, "flags and version"),
    Field("gre.key", 32, G_GRE, GRE_KEY, "key, if there is one"),
    Field("esp.spi", 32, G_ESP | G_AH, SPI, "security parameter index"),
    Field("l2tp.sid", 32, G_L2TP, L2TP_SID, "L2TPv3 session id"),
    Field("cfm.mdl", 3, G_CFM, CFM_MDL, "maintenance domain level"),
    Field("cfm.op", 8, G_CFM, CFM_OP, "operation code"),
    Field("enc.saddr4", 32, G_ENC, ENC_SRC4, "tunnel source, IPv4"),
    Field("enc.daddr4", 32, G_ENC, ENC_DST4, "tunnel destination, IPv4"),
    Field("enc.saddr6", 128, G_ENC, ENC_SRC6, "tunnel source, IPv6"),
    Field("enc.daddr6", 128, G_ENC, ENC_DST6, "tunnel destination, IPv6"),
    Field("enc.key", 32, G_ENC, ENC_KEY, "tunnel key or VNI"),
    Field("enc.sport", 16, G_ENC, ENC_SPORT, "tunnel source port"),
    Field("enc.dport", 16, G_ENC, ENC_DPORT, "tunnel destination port"),
    Field("enc.tos", 8, G_ENC, ENC_TOS, "tunnel type of service"),
    Field("enc.ttl", 8, G_ENC, ENC_TTL, "tunnel time to live"),
    Field("enc.flags", 32, G_ENC, ENC_FLAGS, "tunnel flags"),
    Field("ct.flower", 8, G_META, CT_FLOWER, "flower's ct_state bits"),
    Field("ct.zone", 16, G_META, CT_ZONE, "conntrack zone"),
    Field("ct.mark", 32, G_META, CT_MARK, "conntrack mark"),
    Field("ct.label", 128, G_META, CT_LABEL, "conntrack label"),
    Field("ct.state", 32, G_META, CT_STATE, "nft's ct state bits"),
)

BY_NAME: Final = {field.name: field for field in FIELDS}
