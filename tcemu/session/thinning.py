"""Of a large ruleset only what may concern a packet: lowering ten thousand rules takes longer than to see that most are about other packets.

A rule is left out where each of its boxes (which may be too large, never too small) excludes the packet by its protocol, and where nothing
translates or rewrites packets, by its addresses and ports.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import msgspec

from tcemu.ir.effect import Assign, Translate
from tcemu.lint.boxes import dim_of
from tcemu.shelf import MemoryShelf

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Rule, Ruleset
    from tcemu.lint.space import Box
    from tcemu.lint.view import View
    from tcemu.session.witness import Sample

WHOLE: Final = 2000  # so many rules are run as they are
RELATED: Final = 4  # an ICMP error: what it quotes is not what it is


def thinned(view: View, made: Sample, keep: Collection[str]) -> Ruleset | None:
    """The ruleset without the rules that cannot match the packet, those to keep aside; None where it is small enough."""
    ruleset = view.subject.ruleset
    rules = [*view.all, *view.tc_all]
    if len(rules) <= WHOLE:
        return None
    point = point_of(made, fixed(view))
    shelf: MemoryShelf[Rule] = MemoryShelf()
    for rule in rules:
        if rule.key in keep or any(_holds(box, point) for box in rule.boxes):
            shelf.put(rule.rule)
    return msgspec.structs.replace(ruleset, rules=shelf)


def fixed(view: View) -> bool:
    """Are addresses and ports the same at all hooks?"""
    return not view.having(Translate) and not any(
        isinstance(effect, Assign) and dim_of(effect.target)[0].startswith(("ip", "th", "@"))
        for rule in view.having(Assign)
        for _, effect, _ in rule.acts
    )


def point_of(made: Sample, whole: bool) -> dict[str, int]:
    """A packet's place in the dimensions that are the same wherever it comes."""
    prefix = "ip" if made.family == 4 else "ip6"
    point = {"meta.l4proto": made.proto, "meta nfproto": 2 if made.family == 4 else 10}
    if whole:
        point |= {f"{prefix}.saddr": made.source, f"{prefix}.daddr": made.target}
        if made.state != RELATED and made.proto in (6, 17, 132):
            point |= {"th.sport": made.sport, "th.dport": made.dport}
    return point


def _holds(box: Box, point: dict[str, int]) -> bool:
    for dim, values in box.dims.items():
        value = point.get(dim)
        if value is not None and not any(low <= value <= high for low, high in values):
            return False
    return True
