"""Stages of the IP hooks, as data: what stands at each hook, in priority order.

::

    prerouting  -400 defrag   -300 raw   -200 conntrack  -150 mangle  -100 dstnat    0 filter
    input, postrouting        …  0 filter   100 srcnat   MAX confirm
    output                    as prerouting

A stage is a chain of the ruleset or one of netfilter's own hooks (include/uapi/linux/netfilter_ipv4.h). The hooks of
conntrack and of defragmentation are there only when the ruleset asks for them (nf_ct_netns_get).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import Chain, Program

RULES: Final = 0
DEFRAG: Final = 1
CONNTRACK: Final = 2
CONFIRM: Final = 3
NAT_RULES: Final = 4

HOOKS: Final = ("prerouting", "input", "forward", "output", "postrouting")

PRIORITY_DEFRAG: Final = -400
PRIORITY_CONNTRACK: Final = -200
PRIORITY_CONFIRM: Final = (1 << 31) - 1


class Stage:
    """One thing at a hook."""

    def __init__(self, kind: i64, chain: Chain | None, device: i64) -> None:
        self.kind: i64 = kind
        self.chain: Chain | None = chain
        self.device: i64 = device  # only for packets of this device, 0 for all
        self.next: Stage | None = None


class Hooks:
    """The first stage of each hook of one family."""

    def __init__(self) -> None:
        self.prerouting: Stage | None = None
        self.input: Stage | None = None
        self.forward: Stage | None = None
        self.output: Stage | None = None
        self.postrouting: Stage | None = None


def build(program: Program, family: str) -> Hooks:
    """The hooks of ``ip`` or ``ip6``."""
    hooks = Hooks()
    hooks.prerouting = _line(program, family, "prerouting")
    hooks.input = _line(program, family, "input")
    hooks.forward = _line(program, family, "forward")
    hooks.output = _line(program, family, "output")
    hooks.postrouting = _line(program, family, "postrouting")
    return hooks


def _line(program: Program, family: str, hook: str) -> Stage | None:
    """All stages of a hook, linked; of equal priorities the chains come in the order that the program has them in."""
    placed: list[tuple[int, int, Stage]] = []
    for order, way in enumerate(program.hooks.get(f"{family} {hook}", [])):
        kind = NAT_RULES if way.kind == "nat" else RULES
        placed.append((int(way.priority), order, Stage(kind, way.chain, way.device)))
    if program.uses_conntrack:
        if hook in ("prerouting", "output"):
            placed.append((PRIORITY_DEFRAG, -1, Stage(DEFRAG, None, 0)))
            placed.append((PRIORITY_CONNTRACK, -1, Stage(CONNTRACK, None, 0)))
        elif hook in ("input", "postrouting"):
            placed.append((PRIORITY_CONFIRM, -1, Stage(CONFIRM, None, 0)))
    placed.sort(key=lambda entry: entry[:2])
    for (_, _, here), (_, _, behind) in pairwise(placed):
        here.next = behind
    return placed[0][2] if placed else None
