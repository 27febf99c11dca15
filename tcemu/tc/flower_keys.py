"""What flower knows of its keys: fields in printing order, masks, names of protocols.

Source: iproute2 6.1 tc/f_flower.c; net/sched/cls_flower.c.
"""

from __future__ import annotations

from typing import Final

from tcemu.tc import names
from tcemu.tc.names import ETH_IP, ETH_IPV6

SKIP_HW: Final = 1  # TCA_CLS_FLAGS_*
SKIP_SW: Final = 2
VERBOSE: Final = 16
TC_BASE: Final = 0xFFE0  # TC_H_MIN_PRIORITY
TC_MAX: Final = 16  # TC_QOPT_MAX_QUEUE
MAC: Final = (1 << 48) - 1
V6: Final = (1 << 128) - 1

# bits of mpls.lse<n>
LSE: Final = {"label": (12, 0xFFFFF), "tc": (9, 7), "bos": (8, 1), "ttl": (0, 255)}
PORTED: Final = (names.IPPROTO_TCP, names.IPPROTO_UDP, names.IPPROTO_SCTP)
PPP_PROTOS: Final = (("ip", 0x21), ("ipv6", 0x57), ("mpls_uc", 0x281), ("mpls_mc", 0x283))
PPP_INNER: Final = {0x21: ETH_IP, 0x57: ETH_IPV6, 0x281: names.ETH_MPLS_UC, 0x283: names.ETH_MPLS_MC}

# fields in the order in which tc prints their keys: also the order of the steps
ORDER: Final = (
    "meta.iif",
    "vlan.count",
    "vlan.id",
    "vlan.pcp",
    "vlan.tpid",
    "vlan.type",
    "cvlan.id",
    "cvlan.pcp",
    "cvlan.tpid",
    "cvlan.type",
    "ether.daddr",
    "ether.saddr",
    "meta.netproto",
    "meta.l4proto",
    "ip.tos",
    "ip.ttl",
    "l2tp.sid",
    "esp.spi",
    *(f"mpls.lse{n}" for n in range(7)),
    "ip.daddr",
    "ip6.daddr",
    "ip.saddr",
    "ip6.saddr",
    "th.dport",
    "th.sport",
    "tcp.flags",
    "icmp.type",
    "icmp.code",
    "arp.saddr ip",
    "arp.daddr ip",
    "arp.operation",
    "arp.saddr ether",
    "arp.daddr ether",
    "pppoe.sid",
    "ppp.proto",
    "enc.daddr4",
    "enc.daddr6",
    "enc.saddr4",
    "enc.saddr6",
    "enc.key",
    "enc.dport",
    "enc.tos",
    "enc.ttl",
    "frag.flags",
    "meta.l2_miss",
    "enc.flags",
    "ct.flower",
    "ct.zone",
    "ct.mark",
    "ct.label",
    "cfm.mdl",
    "cfm.op",
)
PLACE: Final = {field: place for place, field in enumerate(ORDER)}
IMPLIED: Final = frozenset(("vlan.tpid", "cvlan.tpid"))
TRANSPORT: Final = frozenset(("th.dport", "th.sport", "tcp.flags", "icmp.type", "icmp.code"))  # not dissected in fragments


class Keys:
    """What was asked for: values and masks by field, port ranges, tunnel options (kind, key, mask), and what is no match."""

    __slots__ = ("classid", "flags", "indev", "lses", "options", "ranges", "values")

    def __init__(
        self,
        values: dict[str, tuple[int, int]],
        ranges: dict[str, tuple[int, int]],
        options: tuple[str, str, str] | None,
        indev: str,
        classid: int,
        flags: int,
        lses: tuple[tuple[int, tuple[str, ...]], ...],
    ) -> None:
        self.values = values
        self.ranges = ranges
        self.options = options
        self.indev = indev
        self.classid = classid
        self.flags = flags
        self.lses = lses


IP_PROTOS: Final = (
    ("tcp", names.IPPROTO_TCP, 0),
    ("udp", names.IPPROTO_UDP, 0),
    ("sctp", names.IPPROTO_SCTP, 0),
    ("icmp", names.IPPROTO_ICMP, ETH_IP),
    ("icmpv6", names.IPPROTO_ICMPV6, ETH_IPV6),
)


def given(mask: str, values: list[int] | None, raw: dict[str, str]) -> dict[str, int]:
    """Values as they were given, bits outside the mask and all, of a note (`tcemu.tc.notes.RuleNote`): those in which they may differ."""
    if values is None:
        return {field: int(text, 16) for field, text in raw.items()}
    return {part.rpartition("/")[0]: value for part, value in zip(mask.split(","), values, strict=False)}
