"""Effects: what a step does to the packet, its connection or the host.

One class per idea, shared by both front ends; a field that only one tool can set has that tool's default.
Addresses are integers with the family beside them (4, 6 or 0 for none). Nothing here prints.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from tcemu.ir.operand import Operand
from tcemu.ir.stats import Stats
from tcemu.ir.verdict import Verdict


class Count(Struct, tag="count"):
    """Count packets and bytes here (nft counter)."""

    stats: Stats


class Nothing(Struct, frozen=True, tag="nothing", omit_defaults=True):
    """Only the verdict (tc gact, nft verdict statement)."""


class Random(Struct, frozen=True, tag="random"):
    """tc gact's second verdict: ``netrand`` one time in ``value``, ``determ`` each ``value``-th packet."""

    how: str
    value: int
    then: Verdict


class NatRange(Struct, frozen=True, omit_defaults=True):
    """Where a translation may lead: addresses and ports, inclusive; family 0 means no address, port 0 no port."""

    manip: str = ""  # src, dst or "" (use what is there already)
    family: int = 0
    low: int = 0
    high: int = 0
    port_low: int = 0
    port_high: int = 0
    flags: tuple[str, ...] = ()  # random, fully-random, persistent, netmap


class Track(Struct, frozen=True, tag="track", omit_defaults=True):
    """tc ct: look up or create the connection, translate, set mark and label, confirm (net/sched/act_ct.c)."""

    zone: int = 0
    commit: bool = False
    force: bool = False
    clear: bool = False
    mark: int = 0
    mark_mask: int = 0
    label: int = 0  # as the 16 bytes stand on the wire, first byte highest
    label_mask: int = 0
    nat: NatRange | None = None
    helper: str = ""


class Untrack(Struct, frozen=True, tag="untrack"):
    """nft notrack."""


class SetCt(Struct, frozen=True, tag="setct", omit_defaults=True):
    """Write a key of the connection or of its template from an operand's value (nft ct … set)."""

    key: str
    value: int = 0
    mask: int = 0
    name: str = ""


class SetMeta(Struct, frozen=True, tag="setmeta", omit_defaults=True):
    """Write packet metadata (tc skbedit); None leaves a thing as it is."""

    mark: int | None = None
    mark_mask: int = 0xFFFFFFFF
    priority: int | None = None
    queue: int | None = None
    queue_high: int | None = None
    pkttype: int | None = None
    inherit_dsfield: bool = False


class Edit(Struct, frozen=True, tag="edit", omit_defaults=True):
    """Rewrite header words (tc pedit): (base, op, offset, value, keep-mask, at, offmask, shift) per 32-bit word.

    base: network, eth, ip4, ip6, tcp, udp; op: set or add; a word becomes ``(word & keep) ^ value`` or is added to.
    """

    keys: tuple[tuple[str, str, int, int, int, int, int, int], ...]
    extended: bool = True


class Checksum(Struct, frozen=True, tag="csum"):
    """Recompute checksums (tc csum): update flags of TCA_CSUM_UPDATE_FLAG_*."""

    flags: int


class Nat(Struct, frozen=True, tag="nat"):
    """Stateless address translation (tc nat)."""

    egress: bool
    old: int
    new: int
    mask: int


class Output(Struct, frozen=True, tag="output", omit_defaults=True):
    """Send the packet, or a copy, to a device's egress or ingress (tc mirred, nft dup, fwd)."""

    device: str
    ingress: bool = False
    copy: bool = False
    block: int = 0


class Descend(Struct, frozen=True, tag="descend", omit_defaults=True):
    """tc u32's link: on in another hash table (its rule's key) of so many ``buckets``, with offsets that count from further on.

    The bucket is the word at ``hash_at`` under ``hash_mask``. ``plus`` bytes, and as many as the 16 bits at ``at`` say
    (under ``mask``, ``shift`` to the right), are what `Raw` of base u32+ counts from, or, with ``eat``, all.
    """

    table: str
    buckets: int
    hash_at: int = 0
    hash_mask: int = 0
    plus: int | None = None
    at: int | None = None
    mask: int = 0
    shift: int = 0
    eat: bool = False


class Tunnel(Struct, frozen=True, tag="tunnel", omit_defaults=True):
    """tc tunnel_key set (family 4 or 6) and unset (family 0)."""

    family: int = 0
    source: int = 0
    target: int = 0
    key: int | None = None
    port: int = 0
    tos: int = 0
    ttl: int = 0
    csum: bool = True
    options: str = ""
    options_kind: str = ""
    nofrag: bool = False


class Vlan(Struct, frozen=True, tag="vlan", omit_defaults=True):
    """tc vlan: op is pop, push, modify, pop_eth or push_eth; None keeps the priority."""

    op: str
    id: int | None = None
    protocol: int = 0x8100
    priority: int | None = None
    target: int = 0
    source: int = 0


class Mpls(Struct, frozen=True, tag="mpls", omit_defaults=True):
    """tc mpls: op is pop, push, mac_push, modify or dec_ttl."""

    op: str
    protocol: int = 0
    label: int | None = None
    tc: int | None = None
    ttl: int | None = None
    bos: int | None = None


class ModifyMac(Struct, frozen=True, tag="skbmod", omit_defaults=True):
    """tc skbmod: MAC addresses, ethertype, swap and ECN marking."""

    target: int | None = None
    source: int | None = None
    ethertype: int | None = None
    swap: bool = False
    ecn: bool = False


class Police(Struct, frozen=True, tag="police", omit_defaults=True):
    """A token bucket (tc police): rates in bytes a second, burst and mtu in bytes, packet rate in packets."""

    rate: int = 0
    burst: int = 0
    mtu: int = 0
    peak: int = 0
    avrate: int = 0
    packet_rate: int = 0
    packet_burst: int = 0
    overhead: int = 0
    linklayer: int = 0
    conform: Verdict | None = None


class Limit(Struct, tag="limit", omit_defaults=True):
    """nft limit: ``rate`` a ``unit`` seconds, burst, over; ``bytes`` counts bytes."""

    rate: int
    unit: int
    burst: int = 5
    bytes: bool = False
    over: bool = False
    stats: Stats | None = None


class Quota(Struct, tag="quota", omit_defaults=True):
    """nft quota: bytes, over or until."""

    bytes: int
    over: bool = False
    stats: Stats | None = None


FIRST_FORM = "flow offload"


class Offload(Struct, frozen=True, tag="offload"):
    """Offer the connection to a flowtable (nft flow add), by its key; `FIRST_FORM` is the one table of the 2017 patch set."""

    flowtable: str


class Log(Struct, frozen=True, tag="log", omit_defaults=True):
    """Say that the packet came by (nft log, tc sample, tc simple)."""

    text: str = ""
    level: str = ""
    group: int | None = None
    rate: int = 0
    truncate: int = 0


class Reject(Struct, frozen=True, tag="reject", omit_defaults=True):
    """Answer with an ICMP error or a TCP reset and drop."""

    how: str
    code: int = 0


class MarkFromCt(Struct, frozen=True, tag="connmark"):
    """Copy the connection's mark to the packet (tc connmark)."""

    zone: int


class CtInfo(Struct, frozen=True, tag="ctinfo", omit_defaults=True):
    """Copy bits of the connection's mark to DSCP and to the packet mark (tc ctinfo)."""

    zone: int = 0
    dscp_mask: int = 0
    dscp_state: int = 0
    mark_mask: int | None = None


class VerdictMap(Struct, frozen=True, tag="vmap"):
    """nft vmap: the verdict that a map holds for a key; a key that is not there ends the rule."""

    key: Operand
    map: str


class Assign(Struct, frozen=True, tag="assign", omit_defaults=True):
    """nft ``… set …``: write a value into a place, which an operand names: Load of metadata, conntrack or a header field, Raw bits, a Key.

    ``header`` is the protocol header that Raw bits belong to (``icmp``, ``ip`` …), whose checksum follows; empty for ``@th,…``.
    """

    target: Operand
    value: Operand
    header: str = ""


class Translate(Struct, frozen=True, tag="translate", omit_defaults=True):
    """nft NAT: kind is snat, dnat, masquerade or redirect; values to choose from, None for none given; netmap keeps the host bits.

    ``address`` may be a Lookup whose data are an address and a port side by side (``joined``).
    """

    kind: str
    family: int = 0
    address: Operand | None = None
    address_high: Operand | None = None
    port: Operand | None = None
    port_high: Operand | None = None
    joined: bool = False
    flags: tuple[str, ...] = ()  # random, fully-random, persistent, netmap, interval


class TransparentProxy(Struct, frozen=True, tag="tproxy", omit_defaults=True):
    """nft tproxy: hand the packet to a local socket at this address or port."""

    family: int = 0
    address: Operand | None = None
    port: Operand | None = None


class SynProxy(Struct, frozen=True, tag="synproxy", omit_defaults=True):
    """nft synproxy: answer SYN with cookies; flags mss, wscale, timestamp, sack-perm."""

    mss: int = 0
    wscale: int = 0
    flags: tuple[str, ...] = ()


class ToUser(Struct, frozen=True, tag="queue", omit_defaults=True):
    """nft queue: the queues low to high, or a value; flags bypass, fanout."""

    low: int = 0
    high: int = 0
    value: Operand | None = None
    flags: tuple[str, ...] = ()


class Forward(Struct, frozen=True, tag="forward", omit_defaults=True):
    """nft dup (``copy``) and fwd: to a device (its index) or to an address, the neighbour to send to."""

    copy: bool = False
    device: Operand | None = None
    family: int = 0
    address: Operand | None = None


class UpdateSet(Struct, frozen=True, tag="updateset", omit_defaults=True):
    """nft ``add|update|delete @set { key … }``: op, key and data; timeout in ns (0: the set's); effects of a new element."""

    op: str
    set: str
    key: Operand
    data: Operand | None = None
    timeout: int = 0
    effects: tuple[Effect, ...] = ()


class ConnLimit(Struct, frozen=True, tag="connlimit", omit_defaults=True):
    """nft ct count: matches up to so many connections, or over."""

    count: int
    over: bool = False


class Last(Struct, tag="last"):
    """nft last: when a packet was here last (stats.last_used)."""

    stats: Stats


class ObjectMap(Struct, frozen=True, tag="objmap"):
    """nft objref by map: the object (its name) that a map holds for a key acts."""

    key: Operand
    map: str


class StripOption(Struct, frozen=True, tag="strip"):
    """nft reset tcp option: overwrite the option of that kind with NOPs."""

    kind: int


class Helper(Struct, frozen=True, tag="helper", omit_defaults=True):
    """nft ct helper, ct timeout, ct expectation objects: parameters by name."""

    kind: str
    params: dict[str, str] = {}


class Other(Struct, frozen=True, tag="other", omit_defaults=True):
    """A kind with a bag of parameters, as its file wants them (tc bpf, gate, ife, xt)."""

    kind: str
    params: Raw = Raw(b"{}")


Effect = (
    Count
    | Nothing
    | Random
    | Track
    | Untrack
    | SetCt
    | SetMeta
    | Edit
    | Checksum
    | Nat
    | Output
    | Descend
    | Tunnel
    | Vlan
    | Mpls
    | ModifyMac
    | Police
    | Limit
    | Quota
    | Offload
    | Log
    | Reject
    | MarkFromCt
    | CtInfo
    | VerdictMap
    | Assign
    | Translate
    | TransparentProxy
    | SynProxy
    | ToUser
    | Forward
    | UpdateSet
    | ConnLimit
    | Last
    | ObjectMap
    | StripOption
    | Helper
    | Other
)
