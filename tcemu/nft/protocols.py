"""Headers as nft knows them: fields, what lies above, and the protocol context of a rule.

Offsets and widths in bits, from RFC 791, 792, 793, 768, 1112, 2710, 3775, 3828, 4302, 4303, 4340, 4443, 8200, 9260 and IEEE
802.1Q; field names are nft's (man nft, PAYLOAD EXPRESSIONS).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tcemu.nft.tree import NOWHERE, At

LL: Final = 1  # link layer header
NH: Final = 2  # network header
TH: Final = 3  # transport header
IH: Final = 4  # inner header, payload of the transport protocol
BASES: Final = {"ll": LL, "nh": NH, "th": TH, "ih": IH}
BASE_NAMES: Final = {value: name for name, value in BASES.items()}
LAYERS: Final = {LL: "link layer", NH: "network layer", TH: "transport layer", IH: "payload data"}


class Field(NamedTuple):
    """A field of a header: name, offset, width, type; ``meta``: the meta key that is read instead as a dependency; ``icmp``: the ICMP type it needs."""

    name: str
    offset: int
    bits: int
    dtype: str
    icmp: str = ""


class Header(NamedTuple):
    """A protocol: where it lies, its length in bits where stacked, its fields, the key that says what is above, and what may be."""

    name: str
    base: int
    length: int
    key: str
    fields: tuple[Field, ...]
    uppers: tuple[tuple[int, str], ...] = ()
    meta: str = ""  # the key is this meta key (pseudo headers)

    def field(self, name: str) -> Field:
        """A field by name."""
        return next(field for field in self.fields if field.name == name)

    def upper(self, number: int) -> str:
        """The protocol that the key's value stands for, or empty."""
        return next((name for value, name in self.uppers if value == number), "")

    def number(self, upper: str) -> int:
        """The key's value for a protocol above, or -1."""
        return next((value for value, name in self.uppers if name == upper), -1)


_ETHERTYPES: Final = ((0x0800, "ip"), (0x0806, "arp"), (0x86DD, "ip6"), (0x8100, "vlan"), (0x88A8, "vlan"))
_L4: Final = (
    (1, "icmp"),
    (2, "igmp"),
    (50, "esp"),
    (51, "ah"),
    (108, "comp"),
    (17, "udp"),
    (136, "udplite"),
    (6, "tcp"),
    (33, "dccp"),
    (132, "sctp"),
    (58, "icmpv6"),
)
_AH: Final = tuple(row for row in _L4 if row[1] not in ("icmp", "igmp", "icmpv6"))
_PORTS: Final = (Field("sport", 0, 16, "inet_service"), Field("dport", 16, 16, "inet_service"))

_ROWS: Final = (
    Header(
        "ether",
        LL,
        112,
        "type",
        (Field("daddr", 0, 48, "ether_addr"), Field("saddr", 48, 48, "ether_addr"), Field("type", 96, 16, "ether_type")),
        _ETHERTYPES,
    ),
    Header(
        "vlan",
        LL,
        32,
        "type",
        (
            Field("pcp", 0, 3, "integer"),
            Field("dei", 3, 1, "integer"),
            Field("cfi", 3, 1, "integer"),
            Field("id", 4, 12, "integer"),
            Field("type", 16, 16, "ether_type"),
        ),
        _ETHERTYPES,
    ),
    Header(
        "arp",
        NH,
        0,
        "",
        (
            Field("htype", 0, 16, "integer"),
            Field("ptype", 16, 16, "ether_type"),
            Field("hlen", 32, 8, "integer"),
            Field("plen", 40, 8, "integer"),
            Field("operation", 48, 16, "arp_op"),
            Field("saddr ether", 64, 48, "ether_addr"),
            Field("saddr ip", 112, 32, "ipv4_addr"),
            Field("daddr ether", 144, 48, "ether_addr"),
            Field("daddr ip", 192, 32, "ipv4_addr"),
        ),
    ),
    Header(
        "ip",
        NH,
        0,
        "protocol",
        (
            Field("version", 0, 4, "integer"),
            Field("hdrlength", 4, 4, "integer"),
            Field("dscp", 8, 6, "dscp"),
            Field("ecn", 14, 2, "ecn"),
            Field("length", 16, 16, "integer"),
            Field("id", 32, 16, "integer"),
            Field("frag-off", 48, 16, "integer"),
            Field("ttl", 64, 8, "integer"),
            Field("protocol", 72, 8, "inet_proto"),
            Field("checksum", 80, 16, "integer"),
            Field("saddr", 96, 32, "ipv4_addr"),
            Field("daddr", 128, 32, "ipv4_addr"),
        ),
        _L4,
    ),
    Header(
        "ip6",
        NH,
        0,
        "nexthdr",
        (
            Field("version", 0, 4, "integer"),
            Field("dscp", 4, 6, "dscp"),
            Field("ecn", 10, 2, "ecn"),
            Field("flowlabel", 12, 20, "integer"),
            Field("length", 32, 16, "integer"),
            Field("nexthdr", 48, 8, "inet_proto"),
            Field("hoplimit", 56, 8, "integer"),
            Field("saddr", 64, 128, "ipv6_addr"),
            Field("daddr", 192, 128, "ipv6_addr"),
        ),
        _L4,
    ),
    Header(
        "icmp",
        TH,
        0,
        "type",
        (
            Field("type", 0, 8, "icmp_type"),
            Field("code", 8, 8, "icmp_code"),
            Field("checksum", 16, 16, "integer"),
            Field("id", 32, 16, "integer", "echo"),
            Field("sequence", 48, 16, "integer", "echo"),
            Field("gateway", 32, 32, "integer", "address"),
            Field("mtu", 48, 16, "integer", "mtu"),
        ),
    ),
    Header(
        "igmp",
        TH,
        0,
        "",
        (
            Field("type", 0, 8, "igmp_type"),
            Field("mrt", 8, 8, "integer"),
            Field("checksum", 16, 16, "integer"),
            Field("group", 32, 32, "integer"),
        ),
    ),
    Header(
        "icmpv6",
        TH,
        0,
        "type",
        (
            Field("type", 0, 8, "icmpv6_type"),
            Field("code", 8, 8, "icmpv6_code"),
            Field("checksum", 16, 16, "integer"),
            Field("parameter-problem", 32, 32, "integer", "pptr"),
            Field("mtu", 32, 32, "integer", "mtu6"),
            Field("id", 32, 16, "integer", "echo6"),
            Field("sequence", 48, 16, "integer", "echo6"),
            Field("max-delay", 32, 16, "integer", "mgmq"),
            Field("taddr", 64, 128, "ipv6_addr", "target"),
            Field("daddr", 192, 128, "ipv6_addr", "redirect"),
        ),
    ),
    Header(
        "ah",
        TH,
        0,
        "nexthdr",
        (
            Field("nexthdr", 0, 8, "inet_proto"),
            Field("hdrlength", 8, 8, "integer"),
            Field("reserved", 16, 16, "integer"),
            Field("spi", 32, 32, "integer"),
            Field("sequence", 64, 32, "integer"),
        ),
        _AH,
    ),
    Header("esp", TH, 0, "", (Field("spi", 0, 32, "integer"), Field("sequence", 32, 32, "integer"))),
    Header(
        "comp",
        TH,
        0,
        "nexthdr",
        (Field("nexthdr", 0, 8, "inet_proto"), Field("flags", 8, 8, "bitmask"), Field("cpi", 16, 16, "integer")),
        _AH,
    ),
    Header("udp", TH, 0, "", (*_PORTS, Field("length", 32, 16, "integer"), Field("checksum", 48, 16, "integer"))),
    Header("udplite", TH, 0, "", (*_PORTS, Field("csumcov", 32, 16, "integer"), Field("checksum", 48, 16, "integer"))),
    Header(
        "tcp",
        TH,
        0,
        "",
        (
            *_PORTS,
            Field("sequence", 32, 32, "integer"),
            Field("ackseq", 64, 32, "integer"),
            Field("doff", 96, 4, "integer"),
            Field("reserved", 100, 4, "integer"),
            Field("flags", 104, 8, "tcp_flag"),
            Field("window", 112, 16, "integer"),
            Field("checksum", 128, 16, "integer"),
            Field("urgptr", 144, 16, "integer"),
        ),
    ),
    Header("dccp", TH, 0, "", (*_PORTS, Field("type", 67, 4, "dccp_pkttype"))),
    Header("sctp", TH, 0, "", (*_PORTS, Field("vtag", 32, 32, "integer"), Field("checksum", 64, 32, "integer"))),
    Header("th", TH, 0, "", _PORTS),
    Header(
        "gre", TH, 0, "", (Field("flags", 0, 5, "integer"), Field("version", 13, 3, "integer"), Field("protocol", 16, 16, "ether_type"))
    ),
    Header("vxlan", IH, 0, "", (Field("vni", 32, 24, "integer"), Field("flags", 0, 8, "bitmask"))),
    Header("geneve", IH, 0, "", (Field("vni", 32, 24, "integer"), Field("type", 16, 16, "ether_type"))),
    # pseudo headers: what says which protocol comes next where there is no header below
    Header("inet", LL, 0, "nfproto", (), ((2, "ip"), (10, "ip6")), "nfproto"),
    Header("netdev", LL, 0, "protocol", (), _ETHERTYPES, "protocol"),
    Header("unknown", NH, 0, "l4proto", (), _L4, "l4proto"),
)
HEADERS: Final = {row.name: row for row in _ROWS}

# the protocol that a table's family begins with (nftables src/proto.c hook_proto_desc)
FAMILY_BASE: Final = {
    "ip": (NH, "ip"),
    "ip6": (NH, "ip6"),
    "inet": (LL, "inet"),
    "arp": (NH, "arp"),
    "bridge": (LL, "ether"),
    "netdev": (LL, "netdev"),
}

ICMP_NEEDS: Final = {"echo": 8, "address": 5, "mtu": 3, "echo6": 128, "mtu6": 2, "mgmq": 130, "pptr": 4, "redirect": 137}
TARGETS: Final = (130, 131, 132, 135, 136, 137)  # ICMPv6 messages with a target address
DEVICE_TYPES: Final = {"ether": 1, "vlan": 1}  # ARPHRD_ETHER


class Context:
    """Which protocols a rule has settled on, by layer, and where."""

    __slots__ = ("at", "family", "icmp_type", "layers", "stacked")

    def __init__(self, family: str) -> None:
        self.family = family
        base, name = FAMILY_BASE[family]
        self.layers: dict[int, str] = {base: name}
        self.at: dict[int, At] = {}
        self.stacked: list[str] = []  # link layer headers below the one in force (Ethernet below VLAN)
        self.icmp_type = 0

    def header(self, base: int) -> Header | None:
        """The protocol of a layer."""
        name = self.layers.get(base)
        return HEADERS[name] if name else None

    def update(self, base: int, name: str, at: At = NOWHERE) -> None:
        """A match settled the protocol of a layer."""
        self.layers[base] = name
        self.at[base] = at

    def stack_bits(self) -> int:
        """The length of the link layer headers in front of the one in force."""
        return sum(HEADERS[name].length for name in self.stacked)
