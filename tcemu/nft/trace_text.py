"""Messages of a trace as `nft monitor trace` writes them.

Sources: nftables src/netlink.c (netlink_events_trace_cb, trace_gen_stmts), src/proto.c for the order of fields; transcripts of nft 1.0.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.nft.datatypes import TYPES

if TYPE_CHECKING:
    from tcemu.ir.trace import Headers, Message
    from tcemu.nft.show import Out

# name, type, first bit, bits
Rows = tuple[tuple[str, str, int, int], ...]
ETHER: Final[Rows] = (("ether saddr", "ether_addr", 48, 48), ("ether daddr", "ether_addr", 0, 48))
VLAN: Final[Rows] = (("vlan pcp", "integer", 112, 3), ("vlan dei", "integer", 115, 1), ("vlan id", "integer", 116, 12))
ARP: Final[Rows] = (("arp operation", "arp_op", 48, 16),)
IP: Final[Rows] = (
    ("ip saddr", "ipv4_addr", 96, 32),
    ("ip daddr", "ipv4_addr", 128, 32),
    ("ip dscp", "dscp", 8, 6),
    ("ip ecn", "ecn", 14, 2),
    ("ip ttl", "integer", 64, 8),
    ("ip id", "integer", 32, 16),
    ("ip protocol", "inet_proto", 72, 8),
    ("ip length", "integer", 16, 16),
)
IP6: Final[Rows] = (
    ("ip6 saddr", "ipv6_addr", 64, 128),
    ("ip6 daddr", "ipv6_addr", 192, 128),
    ("ip6 dscp", "dscp", 4, 6),
    ("ip6 ecn", "ecn", 10, 2),
    ("ip6 hoplimit", "integer", 56, 8),
    ("ip6 flowlabel", "integer", 12, 20),
    ("ip6 nexthdr", "inet_proto", 48, 8),
    ("ip6 length", "integer", 32, 16),
)
# by protocol: the fields, and how many bits they and what is left out with them take
TRANSPORTS: Final[dict[int, tuple[Rows, int]]] = {
    1: (
        (
            ("icmp type", "icmp_type", 0, 8),
            ("icmp code", "icmp_code", 8, 8),
            ("icmp id", "integer", 32, 16),
            ("icmp sequence", "integer", 48, 16),
        ),
        64,
    ),
    6: (
        (
            ("tcp sport", "inet_service", 0, 16),
            ("tcp dport", "inet_service", 16, 16),
            ("tcp flags ==", "tcp_flag", 104, 8),
            ("tcp window", "integer", 112, 16),
        ),
        160,
    ),
    17: ((("udp sport", "inet_service", 0, 16), ("udp dport", "inet_service", 16, 16), ("udp length", "integer", 32, 16)), 64),
    58: (
        (
            ("icmpv6 type", "icmpv6_type", 0, 8),
            ("icmpv6 code", "icmpv6_code", 8, 8),
            ("icmpv6 parameter-problem", "integer", 32, 32),
        ),
        64,
    ),
    132: ((("sctp sport", "inet_service", 0, 16), ("sctp dport", "inet_service", 16, 16), ("sctp vtag", "integer", 32, 32)), 96),
}
KEPT: Final = ("inet", "netdev", "bridge")  # families whose listing keeps the protocol although the transport header follows


def line(message: Message, out: Out, devices: dict[int, str]) -> str:
    """The lines of one message."""
    table, _, chain = message.chain.partition("/")
    head = f"trace id {message.packet:08x} {table} {chain} "
    text = ""
    if message.headers is not None:
        text = f"{head}packet: {packet(message.headers, table.partition(' ')[0], out, devices)}\n"
    if message.kind == "rule":
        rule = out.ruleset.rules.get(message.rule)
        shown = out.rule(rule) if rule is not None else message.rule
        return f"{text}{head}rule {shown} (verdict {message.verdict})\n"
    mark = f"meta mark 0x{message.mark:08x} " if message.mark else ""
    return f"{text}{head}{'policy' if message.kind == 'policy' else 'verdict'} {message.verdict} {mark}\n"


def packet(headers: Headers, family: str, out: Out, devices: dict[int, str]) -> str:
    """The packet: devices, then what its headers hold."""
    words = []
    for name, index in (("iif", headers.iif), ("oif", headers.oif)):
        if index:
            words.append(f'{name} "{devices.get(index, str(index))}"')
    link = headers.link
    if len(link) >= 14:
        words += fields(ETHER, link, out)
        if len(link) >= 18 and link[12:14] in (b"\x81\x00", b"\x88\xa8"):
            words += fields(VLAN, link, out)
    words += network(headers, family, out)
    return "".join(f"{word} " for word in words)


def network(headers: Headers, family: str, out: Out) -> list[str]:
    """The network and transport headers."""
    raw = headers.network
    if headers.protocol == 0x0806:
        return fields(ARP, raw, out)
    if headers.protocol not in (0x0800, 0x86DD) or len(raw) < (20 if headers.protocol == 0x0800 else 40):
        return []
    rows, proto = (IP, raw[9]) if headers.protocol == 0x0800 else (IP6, raw[6])
    below = transport(headers.transport, proto, out)
    if below and family not in KEPT:
        rows = tuple(row for row in rows if row[1] != "inet_proto")
    return fields(rows, raw, out) + below


def transport(raw: bytes, proto: int, out: Out) -> list[str]:
    """The transport header, and what else was kept of the packet as one number."""
    words, known = [], 0
    if proto in TRANSPORTS:
        rows, known = TRANSPORTS[proto]
        words = fields(rows, raw, out)
        known = min(known, len(raw) * 8)
    left = len(raw) * 8 - known
    if left:
        words.append(f"@th,{known},{left} 0x{int.from_bytes(raw[known // 8 :], 'big'):x}")
    return words


def fields(rows: Rows, raw: bytes, out: Out) -> list[str]:
    """Fields that are there, as nft writes them."""
    words = []
    whole, bits = int.from_bytes(raw, "big"), len(raw) * 8
    for name, kind, first, width in rows:
        if first + width > bits:
            continue
        value = whole >> (bits - first - width) & ((1 << width) - 1)
        words.append(f"{name} {value if kind == 'integer' else shown(kind, value, out)}")
    return words


def shown(kind: str, value: int, out: Out) -> str:
    """A value of a type; several flags are a number."""
    if kind == "tcp_flag" and value & (value - 1):
        return f"0x{value:x}"
    return out.value(TYPES[kind], value)
