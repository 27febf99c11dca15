"""nft's effects to ops: one maker a kind, in the table at the end. What cannot be computed becomes an op that refuses to run."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from tcemu.clock import SECOND
from tcemu.conntrack.entry import ZONE_BOTH, ZONE_ORIGINAL, ZONE_REPLY
from tcemu.conntrack.nat import PERSISTENT, PROTO_RANDOM, PROTO_RANDOM_FULLY
from tcemu.conntrack.timeouts import TCP_RETRANS, TCP_UNACK, Timeouts
from tcemu.engine.effects.assign import (
    NETWORK,
    NO_CHECKSUM,
    PSEUDO,
    TRANSPORT,
    NotrackOp,
    PayloadSetOp,
    ReadOp,
    SetCtLabelOp,
    SetCtMarkOp,
    SetCtZoneOp,
    SetSlotOp,
    SetTcpOptionOp,
    SetTrafficClassOp,
    SetVlanOp,
    StripOptionOp,
    TraceOp,
)
from tcemu.engine.effects.basics import LastOp, RefusedOp, VerdictOp
from tcemu.engine.effects.connlimit import Connections, ConnLimitOp
from tcemu.engine.effects.divert import (
    ICMP4,
    ICMP6,
    ICMPX,
    RESET,
    DuplicateOp,
    ForwardOp,
    LogOp,
    OffloadOp,
    QueueOp,
    RejectOp,
    TransparentProxyOp,
)
from tcemu.engine.effects.objects import ExpectationOp, HelperOp, TimeoutOp
from tcemu.engine.effects.synproxy import SynProxyOp
from tcemu.engine.effects.translate import DNAT, MASQUERADE, REDIRECT, SNAT, TranslateOp
from tcemu.engine.lower_values import TCP_OPTIONS, Making, chain, number_of, search, values
from tcemu.engine.program import Chain, Counter, Op
from tcemu.engine.sets import ADD, DELETE, UPDATE, ObjectMapOp, UpdateSetOp, VerdictMapOp
from tcemu.engine.values import PackedValue, Value
from tcemu.fields import BY_NAME, MARK, PKTTYPE, PRIORITY
from tcemu.ir import effect as effects
from tcemu.ir.operand import Bits, Concat, Key, Load, Operand, Raw
from tcemu.ir.verdict import Verdict
from tcemu.packet.proxied import MSS, SACK, TIMESTAMP, WSCALE

# where a header field is written: base, offset and width in bits, what covers it
LL: Final = 0
NH: Final = 1
TH: Final = 2
FIELDS: Final[dict[str, tuple[int, int, int, int]]] = {
    "ether.daddr": (LL, 0, 48, NO_CHECKSUM),
    "ether.saddr": (LL, 48, 48, NO_CHECKSUM),
    "meta.protocol": (LL, 96, 16, NO_CHECKSUM),
    "vlan.type": (LL, 128, 16, NO_CHECKSUM),
    "arp.htype": (NH, 0, 16, NO_CHECKSUM),
    "arp.ptype": (NH, 16, 16, NO_CHECKSUM),
    "arp.hlen": (NH, 32, 8, NO_CHECKSUM),
    "arp.plen": (NH, 40, 8, NO_CHECKSUM),
    "arp.operation": (NH, 48, 16, NO_CHECKSUM),
    "arp.saddr ether": (NH, 64, 48, NO_CHECKSUM),
    "arp.saddr ip": (NH, 112, 32, NO_CHECKSUM),
    "arp.daddr ether": (NH, 144, 48, NO_CHECKSUM),
    "arp.daddr ip": (NH, 192, 32, NO_CHECKSUM),
    "ip.hdrlength": (NH, 4, 4, NETWORK),
    "ip.length": (NH, 16, 16, PSEUDO),
    "ip.id": (NH, 32, 16, NETWORK),
    "ip.frag-off": (NH, 48, 16, NETWORK),
    "ip.ttl": (NH, 64, 8, NETWORK),
    "meta.l4proto": (NH, 72, 8, PSEUDO),
    "ip.checksum": (NH, 80, 16, NETWORK),
    "ip.saddr": (NH, 96, 32, PSEUDO),
    "ip.daddr": (NH, 128, 32, PSEUDO),
    "ip6.flowlabel": (NH, 12, 20, NO_CHECKSUM),
    "ip6.length": (NH, 32, 16, PSEUDO),
    "ip6.nexthdr": (NH, 48, 8, PSEUDO),
    "ip6.saddr": (NH, 64, 128, PSEUDO),
    "ip6.daddr": (NH, 192, 128, PSEUDO),
    "th.sport": (TH, 0, 16, TRANSPORT),
    "th.dport": (TH, 16, 16, TRANSPORT),
    "tcp.sequence": (TH, 32, 32, TRANSPORT),
    "tcp.ackseq": (TH, 64, 32, TRANSPORT),
    "tcp.doff": (TH, 96, 4, TRANSPORT),
    "tcp.window": (TH, 112, 16, TRANSPORT),
    "tcp.checksum": (TH, 128, 16, TRANSPORT),
    "tcp.urgptr": (TH, 144, 16, TRANSPORT),
    "udp.length": (TH, 32, 16, TRANSPORT),
    "udp.checksum": (TH, 48, 16, TRANSPORT),
    "icmp.type": (TH, 0, 8, TRANSPORT),
    "icmp.code": (TH, 8, 8, TRANSPORT),
    "icmp.id": (TH, 32, 16, TRANSPORT),
    "icmp.sequence": (TH, 48, 16, TRANSPORT),
    "sctp.vtag": (TH, 32, 32, TRANSPORT),
    "esp.spi": (TH, 0, 32, NO_CHECKSUM),
}
HOP_LIMIT: Final = (NH, 56, 8, NO_CHECKSUM)
TCP_FLAGS: Final = {0xFF: (TH, 104, 8, TRANSPORT), 0xF: (TH, 100, 4, TRANSPORT)}
SLOTS: Final = {"meta.mark": (MARK, 0xFFFFFFFF), "meta.priority": (PRIORITY, 0xFFFFFFFF), "meta.pkttype": (PKTTYPE, 7)}
BASES: Final = {"ll": 0, "nh": 1, "th": 2, "ih": 3}
SUMMED: Final = frozenset(("tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "th"))
WAYS: Final = {"original": ZONE_ORIGINAL, "reply": ZONE_REPLY}


def refused(what: str) -> Op:
    """An op for a statement that cannot be computed here."""
    return RefusedOp(what)


# ---------------------------------------------------------------------- set


def make_assign(making: Making, effect: effects.Assign, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    """``… set …`` by what is written."""
    target = effect.target
    if isinstance(target, Key):
        return _assign_key(making, target, effect.value)
    width = 2 if isinstance(target, Load) and BY_NAME[target.field].bits > 64 else 1
    if isinstance(target, Raw):
        width = (target.bits + 63) // 64
    made = values(effect.value, making, width)
    if not made:
        return refused("set to a value that cannot be read")
    if isinstance(target, Load):
        return _assign_load(making, target.field, made)
    if isinstance(target, Raw):
        covered = NETWORK if effect.header == "ip" else TRANSPORT if effect.header in SUMMED else NO_CHECKSUM
        return PayloadSetOp(BASES[target.base], target.offset, target.bits, chain(made), covered)
    if isinstance(target, Bits) and isinstance(target.of, Load):
        if target.of.field == "ip.tos":
            return SetTrafficClassOp(target.mask, target.right, made[0])
        if target.of.field == "tcp.flags" and target.mask in TCP_FLAGS:
            base, offset, bits, covered = TCP_FLAGS[target.mask]
            return PayloadSetOp(base, offset, bits, made[0], covered)
    return refused("set of something that cannot be written")


def _assign_load(making: Making, field: str, made: list[Value]) -> Op:
    if field in SLOTS:
        return SetSlotOp(*SLOTS[field], made[0])
    if field == "ct.mark":
        return SetCtMarkOp(made[0])
    if field == "ct.label" and len(made) == 2:
        return SetCtLabelOp(*made)
    if field == "ct.zone":
        return SetCtZoneOp(ZONE_BOTH, made[0])
    if field in ("vlan.id", "vlan.pcp"):
        return SetVlanOp(field == "vlan.pcp", made[0])
    base, offset, bits, covered = FIELDS.get(field, (-1, 0, 0, 0))
    if field == "ip.ttl" and making.key.startswith("ip6 "):
        base, offset, bits, covered = HOP_LIMIT
    if base < 0:
        return refused(f"set {field}")
    return PayloadSetOp(base, offset, bits, chain(made), covered)


def _assign_key(making: Making, target: Key, value: Operand) -> Op:
    made = values(value, making, 2 if target.args[:1] in (("label",), ("helper",)) else 1)
    if not made:
        return refused("set to a value that cannot be read")
    if target.what == "meta":
        return TraceOp(made[0]) if target.args[0] == "nftrace" else ReadOp(made[0])
    if target.what == "ct":
        name = target.args[0]
        if name == "zone":
            return SetCtZoneOp(WAYS.get(target.args[1], ZONE_BOTH) if len(target.args) > 1 else ZONE_BOTH, made[0])
        if name == "mark":
            return SetCtMarkOp(made[0])
        if name == "label" and len(made) == 2:
            return SetCtLabelOp(*made)
        return ReadOp(made[0])
    if target.what == "exthdr" and target.args[0] == "tcp" and int(target.args[4]) in (16, 32):
        return SetTcpOptionOp(number_of(target.args[1], TCP_OPTIONS), int(target.args[3]) // 8, int(target.args[4]) // 8, made[0])
    return refused(f"set {target.what} {' '.join(target.args)}")


def make_untrack(making: Making, effect: effects.Untrack, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return NotrackOp(then.code, to, then.number, counter)


def make_strip(making: Making, effect: effects.StripOption, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return StripOptionOp(effect.kind)


# ---------------------------------------------------------------------- NAT

KINDS: Final = {"snat": SNAT, "dnat": DNAT, "masquerade": MASQUERADE, "redirect": REDIRECT}
NAT_FLAGS: Final = {"random": PROTO_RANDOM, "fully-random": PROTO_RANDOM_FULLY, "persistent": PERSISTENT}


def make_translate(making: Making, effect: effects.Translate, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    op = TranslateOp(KINDS[effect.kind], effect.family, then.code)
    width = 2 if effect.family == 6 else 1
    for name in ("address", "address_high", "port", "port_high"):
        operand = getattr(effect, name)
        if operand is None:
            continue
        made = values(operand, making, width if name.startswith("address") else 1)
        if not made:
            return refused(f"{effect.kind} to an address that cannot be read")
        setattr(op, name, chain(made))
        if name == "address" and not effect.joined and len(made) == 2 * width:
            # a map of ranges holds both ends
            op.address_high = made[width]
    op.joined = effect.joined
    op.netmap = "netmap" in effect.flags
    for flag in effect.flags:
        op.flags |= NAT_FLAGS.get(flag, 0)
    return op


# ---------------------------------------------------------------------- elsewhere

REJECTS: Final = {"tcp reset": RESET, "icmp": ICMP4, "icmpv6": ICMP6, "icmpx": ICMPX}


def make_reject(making: Making, effect: effects.Reject, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return RejectOp(REJECTS[effect.how], effect.code)


def make_forward(making: Making, effect: effects.Forward, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    device = address = None
    if effect.device is not None:
        made = values(effect.device, making)
        if not made:
            return refused("forwarding to a device that cannot be read")
        device = made[0]
    if effect.address is not None:
        made = values(effect.address, making, 2 if effect.family == 6 else 1)
        if not made:
            return refused("forwarding to an address that cannot be read")
        address = chain(made)
    if effect.copy:
        return DuplicateOp(device, effect.family, address)
    return ForwardOp(device, effect.family, address) if device is not None else refused("fwd without a device")


def make_queue(making: Making, effect: effects.ToUser, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    value = None
    if effect.value is not None:
        made = values(effect.value, making)
        if not made:
            return refused("queue by a value that cannot be read")
        value = made[0]
    return QueueOp(effect.low, effect.high, value, "bypass" in effect.flags)


def make_log(making: Making, effect: effects.Log, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return LogOp(effect.text, effect.level, -1 if effect.group is None else effect.group, effect.truncate)


def make_tproxy(making: Making, effect: effects.TransparentProxy, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    address = port = None
    if effect.address is not None:
        made = values(effect.address, making, 2 if effect.family == 6 else 1)
        if not made:
            return refused("tproxy to an address that cannot be read")
        address = chain(made)
    if effect.port is not None:
        made = values(effect.port, making)
        if not made:
            return refused("tproxy to a port that cannot be read")
        port = made[0]
    return TransparentProxyOp(effect.family, address, port)


# ---------------------------------------------------------------------- sets


def make_vmap(making: Making, effect: effects.VerdictMap, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    found = search(effect.key, effect.map, making)
    return VerdictMapOp(found) if found is not None else refused("vmap of something that cannot be read")


def make_object_map(making: Making, effect: effects.ObjectMap, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    found = search(effect.key, effect.map, making)
    return ObjectMapOp(found) if found is not None else refused("a map of something that cannot be read")


OPS: Final = {"add": ADD, "update": UPDATE, "delete": DELETE}


def make_update(making: Making, effect: effects.UpdateSet, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    found = search(effect.key, effect.set, making)
    if found is None:
        return refused("a set of something that cannot be read")
    table = found.table
    template = making.element_ops(list(effect.effects)) if effect.effects else table.template
    op = UpdateSetOp(OPS[effect.op], found.first, table, effect.timeout, template)
    if effect.effects:
        table.forms.append(effect.effects)
        op.form = len(table.forms) - 1
    if effect.data is not None:
        op.data = _data(making, effect.data, table.data_words)
        if op.data is None:
            return refused("map data that cannot be read")
    return op


def _data(making: Making, operand: Operand, count: int) -> Value | None:
    """What a packet puts into a map, in the shape of the map's data."""
    if isinstance(operand, Concat) and count == 1:
        parts = [values(part, making) for part in operand.parts]
        if len(parts) == 2 and all(len(part) == 1 for part in parts):
            return PackedValue(parts[0][0], parts[1][0])
        return None
    made = values(operand, making, count)
    return chain(made) if len(made) == count else None


def make_connlimit(making: Making, effect: effects.ConnLimit, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return ConnLimitOp(making.remember(Connections()), effect.count, effect.over)


def make_last(making: Making, effect: effects.Last, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    return LastOp(then.code, to, then.number, counter)


# ---------------------------------------------------------------------- objects

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "udplite": 136, "dccp": 33, "sctp": 132, "icmp": 1, "ipv6-icmp": 58, "icmpv6": 58, "gre": 47}
TCP_STATES: Final = {
    "syn_sent": 1,
    "syn_recv": 2,
    "established": 3,
    "fin_wait": 4,
    "close_wait": 5,
    "last_ack": 6,
    "time_wait": 7,
    "close": 8,
    "syn_sent2": 9,
    "retrans": TCP_RETRANS,
    "unack": TCP_UNACK,
}
FAMILIES: Final = {"ip": 4, "ip6": 6}


def make_object(making: Making, effect: effects.Helper, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    """ct helper, ct timeout and ct expectation objects."""
    params = effect.params
    proto = PROTOCOLS.get(params.get("l4proto", ""), 0)
    if effect.kind == "ct helper":
        return HelperOp(params.get("type", ""), proto, FAMILIES.get(params.get("l3proto", ""), 0))
    if effect.kind == "ct expectation":
        return ExpectationOp(proto, int(params["dport"]), int(params["timeout"]), int(params["size"]))
    if effect.kind == "ct timeout":
        policy, first = timeouts(proto, ast.literal_eval(params.get("policy", "{}")))
        return TimeoutOp(policy, first)
    return VerdictOp(then.code, to, then.number, counter)


def timeouts(proto: int, given: dict[str, int]) -> tuple[Timeouts, int]:
    """A policy, and what a new connection gets of it (in ns); states that are not named keep the defaults."""
    policy = Timeouts()
    for state, seconds in given.items():
        if proto == PROTOCOLS["tcp"]:
            policy.tcp[TCP_STATES[state]] = seconds * SECOND
        elif state == "replied":
            policy.udp_stream = seconds * SECOND
        else:
            policy.udp = seconds * SECOND
    policy.tcp[0] = policy.tcp[TCP_STATES["syn_sent"]]
    return policy, policy.tcp[0] if proto == PROTOCOLS["tcp"] else policy.udp


PROXIED: Final = {"mss": MSS, "wscale": WSCALE, "sack-perm": SACK, "timestamp": TIMESTAMP}


def make_synproxy(making: Making, effect: effects.SynProxy, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    bits = 0
    for flag in effect.flags:
        bits |= PROXIED[flag]
    return SynProxyOp(bits, effect.mss, effect.wscale)


def make_offload(making: Making, effect: effects.Offload, then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    flows = making.program.nft_flows.get(effect.flowtable)
    return OffloadOp(flows) if flows is not None else refused("flow add")


EFFECTS: Final[dict[type, Callable[..., Op]]] = {
    effects.Assign: make_assign,
    effects.Untrack: make_untrack,
    effects.StripOption: make_strip,
    effects.Translate: make_translate,
    effects.Reject: make_reject,
    effects.Forward: make_forward,
    effects.ToUser: make_queue,
    effects.TransparentProxy: make_tproxy,
    effects.SynProxy: make_synproxy,
    effects.VerdictMap: make_vmap,
    effects.ObjectMap: make_object_map,
    effects.UpdateSet: make_update,
    effects.ConnLimit: make_connlimit,
    effects.Last: make_last,
    effects.Helper: make_object,
    effects.Offload: make_offload,
    effects.Log: make_log,  # of nft; tc's sample and simple only count
}
