"""Effects to ops: one maker a kind, in the table at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcemu.conntrack.nat import NatRange
from tcemu.engine.effects.basics import CountOp, LimitOp, QuotaOp, RandomOp, VerdictOp
from tcemu.engine.effects.meta import SetMetaOp
from tcemu.engine.effects.output import OutputOp
from tcemu.engine.effects.track import TrackOp
from tcemu.engine.effects.tunnel import TunnelOp
from tcemu.engine.program import Chain, Counter, Op, Program
from tcemu.ir import effect as effects
from tcemu.ir.ruleset import Ruleset
from tcemu.ir.verdict import Verdict
from tcemu.offload.flows import ActCtTable
from tcemu.packet.packet import TunnelInfo

HALF: Final = (1 << 64) - 1

Second = tuple[effects.Random, Chain | None] | None


class Making:
    """What makers may look at."""

    def __init__(self, ruleset: Ruleset, devices: dict[str, int], program: Program) -> None:
        self.ruleset = ruleset
        self.devices = devices
        self.program = program

    def flows(self, zone: int) -> ActCtTable:
        """The flow table of a zone; one serves all ct actions of it (act_ct.c tcf_ct_flow_table_get)."""
        return self.program.flow_table(zone)


def signed(value: int) -> int:
    """Sixty-four bits as i64 holds them."""
    value &= HALF
    return value - (1 << 64) if value >> 63 else value


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
    return LimitOp(counter, effect.rate, effect.unit, effect.burst, effect.bytes, effect.over)


def make_quota(making: Making, effect: effects.Quota, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    return QuotaOp(counter or Counter(), effect.bytes, effect.over)


def make_output(making: Making, effect: effects.Output, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
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
    info.options, info.options_kind = bytes.fromhex(effect.options), effect.options_kind
    info.transmit = True
    return TunnelOp(then.code, to, then.number, counter, info)


def make_track(making: Making, effect: effects.Track, then: Verdict, to: Chain | None, counter: Counter | None, second: Second) -> Op:
    op = TrackOp(then.code, to, then.number, counter, effect.zone, making.flows(effect.zone))
    op.commit, op.force, op.clear = effect.commit, effect.force, effect.clear
    op.mark, op.mark_mask = effect.mark, effect.mark_mask
    op.label_high, op.label_low = signed(effect.label >> 64), signed(effect.label)
    op.label_mask_high, op.label_mask_low = signed(effect.label_mask >> 64), signed(effect.label_mask)
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
    if effect.family == 6:
        made.low_high, made.low = signed(effect.low >> 64), signed(effect.low)
        made.high_high, made.high = signed(effect.high >> 64), signed(effect.high)
    else:
        made.low, made.high = effect.low, effect.high
    made.port_low, made.port_high = effect.port_low, effect.port_high
    return made


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
}
