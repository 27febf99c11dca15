"""The packet in hand: a window into bytes, its decoded slots, and what the kernel keeps beside the bytes.

One Packet object is reused for a whole capture; `decode` fills it, `rewrite` is the only writer of its bytes.
The bytes are ``data[start:end]``; ``data`` may be a chunk of the capture file with other packets around, so
nothing may read outside the window. Offsets (``l3``, ``l4`` …) count from the start of ``data``.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i32, i64, mypyc_attr

from tcemu.fields import SLOTS
from tcemu.packet.numbers import COMPILED, numbers

# what the first byte of the window belongs to
LINK_ETHER: Final = 0  # an Ethernet header
LINK_IP: Final = 1  # IPv4 or IPv6, no link header
LINK_OTHER: Final = 2  # nothing that is decoded
LINK_BARE: Final = 3  # the network header that slot PROTOCOL names; after an Ethernet header was taken off

# skb->pkt_type (include/uapi/linux/if_packet.h)
HOST: Final = 0
BROADCAST: Final = 1
MULTICAST: Final = 2
OTHERHOST: Final = 3

# enum ip_conntrack_info (include/uapi/linux/netfilter/nf_conntrack_common.h)
ESTABLISHED: Final = 0
RELATED: Final = 1
NEW: Final = 2
IS_REPLY: Final = 3
ESTABLISHED_REPLY: Final = 3
RELATED_REPLY: Final = 4
UNTRACKED: Final = 7


@mypyc_attr(acyclic=True)
class Labels:
    """A connection's labels (struct nf_conn_labels): sixteen bytes as two signed numbers."""

    __slots__ = ("high", "low")

    def __init__(self) -> None:
        self.high: i64 = 0  # the first eight bytes
        self.low: i64 = 0


@mypyc_attr(acyclic=True)
class Conn:
    """What a packet needs to know of its connection; the tracker's entry is a subclass.

    There may be a million of them: what few have (labels) is an object of its own, and status bits are a number of 32 bits.
    """

    __slots__ = ("labels", "mark", "status", "zone")

    def __init__(self) -> None:
        self.zone: i64 = 0
        self.mark: i64 = 0
        self.labels: Labels | None = None  # None: it has no room for labels, which are all zero then
        self.status: i32 = 0  # IPS_* bits

    @property
    def label_high(self) -> i64:
        """The first eight of the sixteen bytes of labels, as a signed number."""
        labels = self.labels
        return 0 if labels is None else labels.high

    @label_high.setter
    def label_high(self, value: i64) -> None:
        if self.labels is None:
            self.labels = Labels()
        self.labels.high = value

    @property
    def label_low(self) -> i64:
        """The last eight bytes of labels."""
        labels = self.labels
        return 0 if labels is None else labels.low

    @label_low.setter
    def label_low(self, value: i64) -> None:
        if self.labels is None:
            self.labels = Labels()
        self.labels.low = value


class TunnelInfo:
    """Tunnel metadata (struct ip_tunnel_info): what came off a packet, or what shall go onto it."""

    def __init__(self) -> None:
        self.family: i64 = 4
        self.source_high: i64 = 0
        self.source: i64 = 0  # IPv4 address or the low half
        self.target_high: i64 = 0
        self.target: i64 = 0
        self.key: i64 = 0
        self.has_key: bool = False
        self.sport: i64 = 0
        self.dport: i64 = 0
        self.tos: i64 = 0
        self.ttl: i64 = 0
        self.csum: bool = False
        self.nofrag: bool = False
        self.oam: bool = False  # Geneve: a control packet
        self.critical: bool = False  # Geneve: critical options are there
        self.transmit: bool = False  # set by tunnel_key, for a tunnel device to use
        self.options: bytes = b""
        self.options_kind: str = ""  # geneve, vxlan, erspan


class Packet:
    """See the module's text. Times are nanoseconds since 1970, lengths bytes."""

    def __init__(self) -> None:
        self.slots: list[int] = [] if COMPILED else [0] * SLOTS  # `f`, where several slots are set at once; empty when compiled
        self.f: vec[i64] = numbers([0] * SLOTS if COMPILED else self.slots)
        self.groups: i64 = 0
        self.data: bytes = b""
        self.start: i64 = 0
        self.end: i64 = 0
        self.wire: i64 = 0  # length on the wire; more than the window when the capture cut the packet
        self.ts: i64 = 0
        self.link: i64 = LINK_ETHER
        self.number: i64 = 0  # place in the replay, from 1
        # where headers are, -1 when absent
        self.l3: i64 = -1
        self.l4: i64 = -1
        self.l3_end: i64 = -1  # end of the network layer packet by its own length field, never past the window
        self.payload: i64 = -1  # behind the transport header
        self.lies: bool = False  # the IP header is cut or does not tell the truth about lengths: the IP layer drops the packet unseen
        self.broken: str = ""  # why decoding stopped early: "IPv4 header cut", …; empty when all is well
        # what the kernel keeps in the skb
        self.ct: Conn | None = None
        self.ctinfo: i64 = NEW
        self.tracked: bool = False  # conntrack looked at it in this zone (tc_skb_cb post_ct)
        self.track_zone: i64 = 0
        self.tunnel: TunnelInfo | None = None  # metadata destination
        self.mru: i64 = 0  # the largest fragment it was reassembled from, 0 when it never was one
        self.pieces: list[int] | None = None  # payload sizes of those fragments, in order: the kernel cuts at the same places
        self.loops: i64 = 0  # nesting of mirred
        self.traced: bool = False  # nft's nftrace
        self.summed: bool = False  # conntrack has verified the transport checksum (skb->ip_summed), whatever came out
        self.reason: str = ""  # why it was dropped or found invalid, for those who explain
