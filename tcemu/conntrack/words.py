"""The words of the `conntrack` command line: commands, options, those of each protocol, states and bits (conntrack-tools 1.4.7)."""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.linux.tcp_states import STATE_NAMES as TCP_STATES
from tcemu.conntrack.names import DCCP_STATES, SCTP_STATES
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE

COMMANDS: Final = {
    "L": ("dump",),
    "I": ("create",),
    "A": ("add",),
    "D": ("delete",),
    "U": ("update",),
    "G": ("get",),
    "F": ("flush",),
    "E": ("event",),
    "C": ("counter", "count"),
    "S": ("stats",),
    "V": ("version",),
    "h": ("help",),
}
LOAD: Final = ("-R", "--load-file")  # must be the first word
TABLES: Final = ("expect", "conntrack", "dying", "unconfirmed")
NO, MUST_HAVE, MAY_HAVE = 0, 1, 2

# short letter, names (the first is used in messages), argument
OPTIONS: Final = (
    ("s", ("src", "orig-src"), MUST_HAVE),
    ("d", ("dst", "orig-dst"), MUST_HAVE),
    ("r", ("reply-src",), MUST_HAVE),
    ("q", ("reply-dst",), MUST_HAVE),
    ("p", ("protonum",), MUST_HAVE),
    ("t", ("timeout",), MUST_HAVE),
    ("u", ("status",), MUST_HAVE),
    ("z", ("zero",), NO),
    ("e", ("event-mask",), MUST_HAVE),
    ("[", ("tuple-src",), MUST_HAVE),
    ("]", ("tuple-dst",), MUST_HAVE),
    ("{", ("mask-src",), MUST_HAVE),
    ("}", ("mask-dst",), MUST_HAVE),
    ("a", ("nat-range",), MUST_HAVE),
    ("m", ("mark",), MUST_HAVE),
    ("c", ("secmark",), MUST_HAVE),
    ("i", ("id",), MUST_HAVE),
    ("f", ("family",), MUST_HAVE),
    ("n", ("src-nat",), MAY_HAVE),
    ("g", ("dst-nat",), MAY_HAVE),
    ("o", ("output",), MUST_HAVE),
    ("b", ("buffer-size",), MUST_HAVE),
    ("j", ("any-nat",), MAY_HAVE),
    ("w", ("zone",), MUST_HAVE),
    ("l", ("label",), MUST_HAVE),
    ("<", ("label-add",), MUST_HAVE),
    (">", ("label-del",), MAY_HAVE),
    ("(", ("orig-zone",), MUST_HAVE),
    (")", ("reply-zone",), MUST_HAVE),
)
ALL: Final = tuple(names[0] for _, names, _ in OPTIONS)

PORT_OPTIONS: Final = {
    "orig-port-src": "sport",
    "source-port": "sport",
    "sport": "sport",
    "orig-port-dst": "dport",
    "destination-port": "dport",
    "dport": "dport",
    "reply-port-src": "reply-sport",
    "reply-port-dst": "reply-dport",
    "mask-port-src": "mask-sport",
    "mask-port-dst": "mask-dport",
    "tuple-port-src": "tuple-sport",
    "tuple-port-dst": "tuple-dport",
}
OWN_OPTIONS: Final = {
    TCP: {**PORT_OPTIONS, "state": "state"},
    UDP: PORT_OPTIONS,
    UDPLITE: PORT_OPTIONS,
    SCTP: {**PORT_OPTIONS, "state": "state", "orig-vtag": "vtag-orig", "reply-vtag": "vtag-reply"},
    DCCP: {**PORT_OPTIONS, "state": "state", "role": ""},
    GRE: {
        "srckey": "sport",
        "orig-key-src": "sport",
        "dstkey": "dport",
        "orig-key-dst": "dport",
        "reply-key-src": "reply-sport",
        "reply-key-dst": "reply-dport",
        "mask-key-src": "mask-sport",
        "mask-key-dst": "mask-dport",
        "tuple-key-src": "tuple-sport",
        "tuple-key-dst": "tuple-dport",
    },
    ICMP: {"icmp-type": "type", "icmp-code": "code", "icmp-id": "id"},
    ICMPV6: {"icmpv6-type": "type", "icmpv6-code": "code", "icmpv6-id": "id"},
}
# names of one option: the one that messages use
SAME: Final = {
    "orig-port-src": "sport",
    "source-port": "sport",
    "orig-port-dst": "dport",
    "destination-port": "dport",
    "orig-key-src": "srckey",
    "orig-key-dst": "dstkey",
}
STATE_WORDS: Final = {TCP: ("TCP", TCP_STATES), SCTP: ("SCTP", SCTP_STATES), DCCP: ("DCCP", DCCP_STATES)}
STATUS_WORDS: Final = {
    "ASSURED": 1 << 2,
    "SEEN_REPLY": 1 << 1,
    "UNSET": 0,
    "FIXED_TIMEOUT": 1 << 10,
    "EXPECTED": 1 << 0,
    "OFFLOAD": 1 << 14,
    "HW_OFFLOAD": 1 << 15,
}
EVENT_WORDS: Final = {"ALL": {"NEW", "UPDATE", "DESTROY"}, "NEW": {"NEW"}, "UPDATES": {"UPDATE"}, "DESTROY": {"DESTROY"}}
OUTPUT_WORDS: Final = ("xml", "extended", "timestamp", "id", "ktimestamp", "labels", "userspace", "save")
# Protocols that /etc/protocols names (netbase 6.4), and how it writes them besides. The tool has words of its own for eight others.
MORE_PROTOCOLS: Final = {
    "ip": 0,
    "hopopt": 0,
    "igmp": 2,
    "ggp": 3,
    "ipencap": 4,
    "st": 5,
    "egp": 8,
    "igp": 9,
    "pup": 12,
    "hmp": 20,
    "xns-idp": 22,
    "rdp": 27,
    "iso-tp4": 29,
    "xtp": 36,
    "ddp": 37,
    "idpr-cmtp": 38,
    "ipv6": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "idrp": 45,
    "rsvp": 46,
    "esp": 50,
    "ah": 51,
    "skip": 57,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "rspf": 73,
    "vmtp": 81,
    "eigrp": 88,
    "ospf": 89,
    "ax.25": 93,
    "ipip": 94,
    "etherip": 97,
    "encap": 98,
    "pim": 103,
    "ipcomp": 108,
    "vrrp": 112,
    "l2tp": 115,
    "isis": 124,
    "fc": 133,
    "mobility-header": 135,
    "mpls-in-ip": 137,
    "manet": 138,
    "hip": 139,
    "shim6": 140,
    "wesp": 141,
    "rohc": 142,
    "ethernet": 143,
    "mptcp": 262 & 0xFF,  # more than the tool's eight bits
}
# the second name, where it is not the first one in capitals ("" : there is none)
SECOND_NAMES: Final = {
    "ipencap": "IP-ENCAP",
    "ipv6": "IPv6",
    "ipv6-route": "IPv6-Route",
    "ipv6-frag": "IPv6-Frag",
    "esp": "IPSEC-ESP",
    "ipv6-icmp": "IPv6-ICMP",
    "ipv6-nonxt": "IPv6-NoNxt",
    "ipv6-opts": "IPv6-Opts",
    "rspf": "CPHB",
    "ospf": "OSPFIGP",
    "mobility-header": "Mobility-Header",
    "mpls-in-ip": "MPLS-in-IP",
    "manet": "",
    "shim6": "Shim6",
    "ethernet": "Ethernet",
}
OWN_PROTOCOLS: Final = {
    "tcp": TCP,
    "udp": UDP,
    "udplite": UDPLITE,
    "icmp": ICMP,
    "icmpv6": ICMPV6,
    "sctp": SCTP,
    "dccp": DCCP,
    "gre": GRE,
}
