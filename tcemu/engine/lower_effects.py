"""Effects to ops: one maker a kind, in the table at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcemu.clock import SECOND
from tcemu.conntrack.nat import PERSISTENT, PROTO_OFFSET, PROTO_RANDOM, PROTO_RANDOM_FULLY, NatRange
from tcemu.engine.effects.basics import CountOp, LimitOp, QuotaOp, RandomOp, VerdictOp
from tcemu.engine.effects.edit import CongestionOp, EditKey, EditOp, StatelessNatOp
from tcemu.engine.effects.header import (
    DEC_TTL,
    MAC_PUSH,
    MODIFY,
    POP,
    POP_ETH,
    PUSH,
    PUSH_ETH,
    ChecksumOp,
    ModifyMacOp,
    MplsOp,
    VlanOp,
)
from tcemu.engine.effects.meta import CountedOp, CtInfoOp, MarkFromCtOp, SetMetaOp
from tcemu.engine.effects.output import BlockOutputOp, OutputOp
from tcemu.engine.effects.police import PoliceOp
from tcemu.engine.effects.track import TrackOp
from tcemu.engine.effects.tunnel import TunnelOp
from tcemu.engine.lower_other import make_other
from tcemu.engine.lower_tests import geneve_bytes
from tcemu.engine.lower_values import Making, signed
from tcemu.engine.ports import halves
from tcemu.engine.program import Chain, Counter, Op
from tcemu.ir import effect as effects
from tcemu.ir.verdict import Verdict
from tcemu.packet.packet import TunnelInfo
from tcemu.packet.protocols import IPPROTO_TCP, IPPROTO_UDP

Second = tuple[effects.Random, Chain | None] | None


def make_verdict(making: Making, effect: object, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    """gact, with or without a second verdict, and plain verdicts."""
    if second is None or second[0].how == "none":
        return VerdictOp(then.code, to, then.number, counter)
    random, target = second
    other = VerdictOp(random.then.code, target, random.then.number, counter)
    return RandomOp(then.code, to, then.number, counter, random.how == "determ", random.value, other)


def make_count(making: Making, effect: effects.Count, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return CountOp(then.code, to, then.number, counter)


def make_limit(making: Making, effect: effects.Limit, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return LimitOp(counter or Counter(), effect.rate, effect.unit, effect.burst, effect.bytes, effect.over)


def make_quota(making: Making, effect: effects.Quota, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return QuotaOp(counter or Counter(), effect.bytes, effect.over)


def make_output(making: Making, effect: effects.Output, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    if effect.block:
        ports = making.ruleset.attachments.children(f"tc block {effect.block}")
        devices = sorted({making.devices[port.device] for port in ports if port.device in making.devices})
        return BlockOutputOp(then.code, to, then.number, counter or Counter(), devices, effect.ingress, effect.copy)
    device = making.devices.get(effect.device, 0)
    return OutputOp(then.code, to, then.number, counter or Counter(), device, effect.ingress, effect.copy)


def make_set_meta(making: Making, effect: effects.SetMeta, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = SetMetaOp(then.code, to, then.number, counter)
    op.mark = -1 if effect.mark is None else effect.mark
    op.mark_mask = effect.mark_mask
    op.priority = -1 if effect.priority is None else effect.priority
    op.queue = -1 if effect.queue is None else effect.queue
    op.pkttype = -1 if effect.pkttype is None else effect.pkttype
    op.dsfield = effect.inherit_dsfield
    return op


def option_bytes(effect: effects.Tunnel) -> bytes:
    """Tunnel options as they go onto the wire; VXLAN's group policy is a number (RFC 8926; the kernel's vxlan_metadata)."""
    if effect.options_kind == "geneve":
        return geneve_bytes(effect.options)
    return int(effect.options).to_bytes(4, "big") if effect.options_kind == "vxlan" else b""


def make_tunnel(making: Making, effect: effects.Tunnel, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    if not effect.family:
        return TunnelOp(then.code, to, then.number, counter, None)
    info = TunnelInfo()
    info.family = effect.family
    info.source_high, info.source = (0, effect.source) if effect.family == 4 else (signed(effect.source >> 64), signed(effect.source))
    info.target_high, info.target = (0, effect.target) if effect.family == 4 else (signed(effect.target >> 64), signed(effect.target))
    info.has_key = effect.key is not None
    info.key = effect.key or 0
    info.dport, info.tos, info.ttl, info.csum, info.nofrag = effect.port, effect.tos, effect.ttl, effect.csum, effect.nofrag
    info.options, info.options_kind = option_bytes(effect), effect.options_kind
    info.transmit = True
    return TunnelOp(then.code, to, then.number, counter, info)


def make_track(making: Making, effect: effects.Track, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = TrackOp(then.code, to, then.number, counter, effect.zone, making.flows(effect.zone))
    op.commit, op.force, op.clear = effect.commit, effect.force, effect.clear
    op.mark, op.mark_mask = effect.mark, effect.mark_mask
    op.label_high, op.label_low = signed(effect.label >> 64), signed(effect.label)
    op.label_mask_high, op.label_mask_low = signed(effect.label_mask >> 64), signed(effect.label_mask)
    if effect.helper:
        family, proto, op.helper = effect.helper.split("-", 2)
        op.helper_family, op.helper_proto = int(family[-1]), {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP}.get(proto, 0)
        op.flows.helps = True
    if effect.nat is not None:
        op.nat = True
        op.range = nat_range(effect.nat)
    return op


def nat_range(effect: effects.NatRange) -> NatRange | None:
    """The tracker's range; None where the translation is what the connection has already."""
    if not effect.manip:
        return None
    made = NatRange()
    made.source = effect.manip == "src"
    made.family = effect.family
    made.low_high, made.low = halves(effect.low) if effect.family == 6 else (0, effect.low)
    made.high_high, made.high = halves(effect.high) if effect.family == 6 else (0, effect.high)
    made.port_low, made.port_high = effect.port_low, effect.port_high
    for flag in effect.flags:
        made.flags |= NAT_FLAGS[flag]
    return made


NAT_FLAGS: Final = {"random": PROTO_RANDOM, "fully-random": PROTO_RANDOM_FULLY, "persistent": PERSISTENT, "netmap": PROTO_OFFSET}


VLAN_OPS: Final = {"pop": POP, "push": PUSH, "modify": MODIFY, "pop_eth": POP_ETH, "push_eth": PUSH_ETH}
MPLS_OPS: Final = {"pop": POP, "push": PUSH, "modify": MODIFY, "mac_push": MAC_PUSH, "dec_ttl": DEC_TTL}


def known(value: int | None, default: int = -1) -> int:
    """A parameter, or what stands for none."""
    return default if value is None else value


def make_vlan(making: Making, effect: effects.Vlan, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = VlanOp(then.code, to, then.number, counter, VLAN_OPS[effect.op])
    op.id, op.tpid, op.priority = known(effect.id, 0), effect.protocol, known(effect.priority)
    op.target, op.source = effect.target, effect.source
    return op


def make_mpls(making: Making, effect: effects.Mpls, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = MplsOp(then.code, to, then.number, counter, MPLS_OPS[effect.op])
    op.protocol, op.label, op.tc, op.bos, op.ttl = (
        effect.protocol,
        known(effect.label),
        known(effect.tc),
        known(effect.bos),
        known(effect.ttl, 0),
    )
    return op


def make_modify_mac(
    making: Making, effect: effects.ModifyMac, then: Verdict, to: Chain | None, counter: Counter | None, second: Second
) -> Op:
    if effect.ecn:
        return CongestionOp(then.code, to, then.number, counter)
    op = ModifyMacOp(then.code, to, then.number, counter)
    op.target, op.source, op.ethertype, op.swap = known(effect.target), known(effect.source), known(effect.ethertype), effect.swap
    return op


def make_log(making: Making, effect: effects.Log, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return CountedOp(then.code, to, then.number, counter)


def make_connmark(
    making: Making, effect: effects.MarkFromCt, then: Verdict, to: Chain | None, counter: Counter | None, second: Second
) -> Op:
    return MarkFromCtOp(then.code, to, then.number, counter, effect.zone)


def make_ctinfo(making: Making, effect: effects.CtInfo, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = CtInfoOp(then.code, to, then.number, counter, effect.zone)
    op.dscp_mask, op.dscp_state, op.mark_mask = effect.dscp_mask, effect.dscp_state, known(effect.mark_mask)
    op.dscp_shift = (effect.dscp_mask & -effect.dscp_mask).bit_length() - 1 if effect.dscp_mask else 0
    return op


EDIT_BASES: Final = {"network": 0, "eth": 1, "ip4": 2, "ip6": 3, "tcp": 4, "udp": 5}


def make_edit(making: Making, effect: effects.Edit, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    first: EditKey | None = None
    for base, how, offset, value, keep, at, offmask, shift in reversed(effect.keys):
        key = EditKey(EDIT_BASES[base], how == "add", offset, value, keep, at, offmask, shift)
        key.next = first
        first = key
    return EditOp(then.code, to, then.number, counter, first)


def make_nat(making: Making, effect: effects.Nat, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = StatelessNatOp(then.code, to, then.number, counter, effect.egress)
    op.old, op.new, op.mask = effect.old, effect.new, effect.mask
    return op


def make_checksum(making: Making, effect: effects.Checksum, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return ChecksumOp(then.code, to, then.number, counter, effect.flags)


ATM: Final = 2  # include/uapi/linux/pkt_sched.h TC_LINKLAYER_ATM


def make_police(making: Making, effect: effects.Police, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = PoliceOp(then.code, to, then.number, counter, making.program.bucket(counter))
    if effect.conform is not None:
        op.conform, op.conform_number = effect.conform.code, effect.conform.number
        op.conform_to = making.program.chains.get(effect.conform.to) if effect.conform.to else None
    op.rate, op.peak, op.packet_rate, op.overhead = effect.rate, effect.peak, effect.packet_rate, effect.overhead
    op.atm = effect.linklayer == ATM
    op.burst = effect.burst * SECOND // effect.rate if effect.rate else 0
    op.mtu = effect.mtu or 0xFFFFFFFF
    op.peak_burst = op.wire(effect.mtu) * SECOND // effect.peak if effect.peak else 0
    op.packet_burst = effect.packet_burst * SECOND // effect.packet_rate if effect.packet_rate else 0
    return op


EFFECTS: Final[dict[type, Callable[..., Op]]] = {
    type(None): make_verdict,
    effects.Nothing: make_verdict,
    effects.Count: make_count,
    effects.Limit: make_limit,
    effects.Quota: make_quota,
    effects.Output: make_output,
    effects.SetMeta: make_set_meta,
    effects.Tunnel: make_tunnel,
    effects.Track: make_track,
    effects.Vlan: make_vlan,
    effects.Mpls: make_mpls,
    effects.ModifyMac: make_modify_mac,
    effects.Checksum: make_checksum,
    effects.Edit: make_edit,
    effects.Log: make_log,
    effects.MarkFromCt: make_connmark,
    effects.CtInfo: make_ctinfo,
    effects.Nat: make_nat,
    effects.Police: make_police,
    effects.Other: make_other,
}
