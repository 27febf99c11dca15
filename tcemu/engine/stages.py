"""Stages of the network layer's hooks, as data: what stands at each hook, in priority order.

::

    prerouting  -400 defrag   -300 raw   -200 conntrack  -150 mangle  -100 nat    0 filter
    input       …  0 filter   100 nat   MAX confirm          forward   …  0 filter
    output      as prerouting                                postrouting  as input

A stage is a chain of the ruleset or one of netfilter's own hooks (include/uapi/linux/netfilter_ipv4.h). The hooks of
conntrack and of defragmentation are there only when the ruleset asks for them (nf_ct_netns_get), that of a SYN proxy (just before
confirmation) where there is a proxy, those of NAT only when some
nat chain is registered; all nat chains of a hook are run from there, whatever their own priority (nf_nat_register_fn).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import NF_FORWARD, NF_INPUT, NF_OUTPUT, NF_POSTROUTING, NF_PREROUTING, Chain, Program, Way

RULES: Final = 0
DEFRAG: Final = 1
CONNTRACK: Final = 2
CONFIRM: Final = 3
NAT: Final = 4
ROUTED_RULES: Final = 5  # a chain of type route: what it changes may change the route
BRIDGE_CONNTRACK: Final = 6
BRIDGE_CONFIRM: Final = 7
SYNPROXY: Final = 8

HOOKS: Final = {
    "prerouting": NF_PREROUTING,
    "input": NF_INPUT,
    "forward": NF_FORWARD,
    "output": NF_OUTPUT,
    "postrouting": NF_POSTROUTING,
}
FORWARDED: Final = ("prerouting", "forward", "postrouting")

PRIORITY_DEFRAG: Final = -400
PRIORITY_CONNTRACK: Final = -200
PRIORITY_NAT_DST: Final = -100
PRIORITY_NAT_SRC: Final = 100
PRIORITY_CONFIRM: Final = (1 << 31) - 1


class Stage:
    """One thing at a hook."""

    def __init__(self, kind: i64, hook: i64, chain: Chain | None) -> None:
        self.kind: i64 = kind
        self.hook: i64 = hook
        self.chain: Chain | None = chain
        self.ways: list[Way] = []  # of NAT: its chains in priority order
        self.next: Stage | None = None


class Hooks:
    """The first stage of each hook of one family."""

    def __init__(self) -> None:
        self.prerouting: Stage | None = None
        self.input: Stage | None = None
        self.forward: Stage | None = None
        self.output: Stage | None = None
        self.postrouting: Stage | None = None
        self.through: Stage | None = None  # prerouting, forward and postrouting in one, for packets that no route is asked for
        self.tracked: bool = False
        self.proxied: bool = False
        self.nat: bool = False


def build(program: Program, family: str) -> Hooks:
    """The hooks of ``ip``, ``ip6``, ``arp`` or ``bridge``."""
    hooks = Hooks()
    hooks.tracked = family in program.tracked
    hooks.proxied = family in program.proxied
    hooks.nat = any(way.kind == "nat" for hook in HOOKS for way in program.hooks.get(f"{family} {hook}", []))
    hooks.prerouting = _linked(_stages(program, hooks, family, "prerouting"))
    hooks.input = _linked(_stages(program, hooks, family, "input"))
    hooks.forward = _linked(_stages(program, hooks, family, "forward"))
    hooks.output = _linked(_stages(program, hooks, family, "output"))
    hooks.postrouting = _linked(_stages(program, hooks, family, "postrouting"))
    hooks.through = _linked([stage for hook in FORWARDED for stage in _stages(program, hooks, family, hook)])
    return hooks


def _linked(stages: list[Stage]) -> Stage | None:
    for here, behind in pairwise(stages):
        here.next = behind
    return stages[0] if stages else None


def _stages(program: Program, hooks: Hooks, family: str, hook: str) -> list[Stage]:
    """All stages of a hook in order; of equal priorities netfilter's own come last, as they are registered first."""
    number = HOOKS[hook]
    placed: list[tuple[int, int, Stage]] = []
    ways = program.hooks.get(f"{family} {hook}", [])
    for order, way in enumerate(ways):
        if way.kind != "nat":
            placed.append((int(way.priority), order, Stage(ROUTED_RULES if way.kind == "route" else RULES, number, way.chain)))
    own = 1 << 30
    if hooks.tracked and family == "bridge":
        if hook == "prerouting":
            placed.append((PRIORITY_CONNTRACK, own, Stage(BRIDGE_CONNTRACK, number, None)))
        elif hook in ("input", "postrouting"):
            placed.append((PRIORITY_CONFIRM, own, Stage(BRIDGE_CONFIRM, number, None)))
    elif hooks.tracked:
        if hook in ("prerouting", "output"):
            placed.append((PRIORITY_DEFRAG, own, Stage(DEFRAG, number, None)))
            placed.append((PRIORITY_CONNTRACK, own, Stage(CONNTRACK, number, None)))
        elif hook in ("input", "postrouting"):
            placed.append((PRIORITY_CONFIRM, own, Stage(CONFIRM, number, None)))
            if hooks.proxied:
                placed.append((PRIORITY_CONFIRM - 1, own, Stage(SYNPROXY, number, None)))
    if hooks.nat and hook != "forward":
        stage = Stage(NAT, number, None)
        stage.ways = [way for way in ways if way.kind == "nat"]
        placed.append((PRIORITY_NAT_DST if hook in ("prerouting", "output") else PRIORITY_NAT_SRC, own, stage))
    placed.sort(key=lambda entry: entry[:2])
    return [stage for _, _, stage in placed]
