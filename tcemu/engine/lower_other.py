"""tc actions whose parameters are a bag (`tcemu.ir.effect.Other`) to ops, by kind; what has no maker here does not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tcemu.engine.effects.basics import RefusedOp
from tcemu.engine.effects.classic import BpfOp, DirectOp
from tcemu.engine.effects.gate import GateOp, Phase
from tcemu.engine.effects.ife import IfeDecodeOp, IfeEncodeOp
from tcemu.engine.lower_values import Making, classic
from tcemu.engine.program import Chain, Counter, Op
from tcemu.ir import effect as effects
from tcemu.ir.verdict import Verdict

ETH_IFE: Final = 0xED3E
Maker = Callable[[Making, dict[str, Any], Verdict, Chain | None, Counter | None], Op]


def make_bpf(making: Making, params: dict[str, Any], then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    if params.get("direct"):
        return DirectOp(classic(params["bytecode"]))
    return BpfOp(then.code, to, then.number, counter, classic(params["bytecode"]))


def make_gate(making: Making, params: dict[str, Any], then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    first: Phase | None = None
    for is_open, interval, _priority, octets in reversed(params["entries"]):
        phase = Phase(is_open, interval, octets)
        phase.next, first = first, phase
    assert first is not None
    return GateOp(then.code, to, then.number, counter, making.program.bucket(counter), params.get("base_time", 0), first)


def make_ife(making: Making, params: dict[str, Any], then: Verdict, to: Chain | None, counter: Counter | None) -> Op:
    if params["mode"] == "decode":
        return IfeDecodeOp(then.code, to, then.number, counter)
    op = IfeEncodeOp(then.code, to, then.number, counter, params.get("type", ETH_IFE))
    op.target, op.source = params.get("dst", -1), params.get("src", -1)
    op.mark, op.priority, op.index = (sent(params, name) for name in ("mark", "prio", "tcindex"))
    return op


def sent(params: dict[str, Any], name: str) -> int:
    """A value that ife sends: -2 for none, -1 for the packet's own."""
    if name not in params:
        return -2
    value: int | None = params[name]
    return -1 if value is None else value


MAKERS: Final[dict[str, Maker]] = {"bpf": make_bpf, "gate": make_gate, "ife": make_ife}


def make_other(making: Making, effect: effects.Other, then: Verdict, to: Chain | None, counter: Counter | None, _second: object) -> Op:
    """The op of a kind."""
    maker = MAKERS.get(effect.kind)
    if maker is None:
        return RefusedOp(effect.kind)
    return maker(making, msgspec.json.decode(bytes(effect.params)), then, to, counter)
