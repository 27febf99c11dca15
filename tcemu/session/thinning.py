"""Of a large ruleset only what may concern a packet: lowering ten thousand rules takes longer than to see that most are about other packets.

A rule is left out where each of its boxes (which may be too large, never too small) excludes the packet by its protocol, and where nothing
translates or rewrites packets, by its addresses and ports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from tcemu.ir.effect import Assign, Translate
from tcemu.lint.boxes import dim_of
from tcemu.lint.index import block
from tcemu.shelf import MemoryShelf

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Rule, Ruleset
    from tcemu.lint.space import Box
    from tcemu.lint.view import RuleView, View
    from tcemu.session.witness import Sample

WHOLE: Final = 2000  # so many rules are run as they are
LASTING: Final = (
    "meta.l4proto",
    "ip.saddr",
    "ip.daddr",
    "ip6.saddr",
    "ip6.daddr",
    "th.dport",
    "th.sport",
)  # the first even where packets are translated
RELATED: Final = 4  # an ICMP error: what it quotes is not what it is


class Sieve:
    """The rules of a large ruleset by what a packet needs to meet them: each filed under the dimension that leaves it fewest packets."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.whole = fixed(view)
        self.rules = {rule.key: rule for rule in (*view.all, *view.tc_all)}
        self._drawers: dict[tuple[str, int, int], list[RuleView]] = {}
        self._sizes: dict[str, set[int]] = {}
        self._rest: list[RuleView] = []
        for rule in self.rules.values():
            self._file(rule)

    def _file(self, rule: RuleView) -> None:
        boxes = rule.boxes
        best: tuple[str, int, int] | None = None
        least = 1 << 60
        if len(boxes) == 1 and not boxes[0].empty:
            for dim in LASTING if self.whole else LASTING[:1]:
                values = boxes[0].dims.get(dim)
                if values is not None:
                    key = (dim, *block(values))
                    size = len(self._drawers.get(key, ())) * 4 + min(key[1], 30)
                    if size < least:
                        best, least = key, size
        if best is None:
            self._rest.append(rule)
            return
        self._drawers.setdefault(best, []).append(rule)
        self._sizes.setdefault(best[0], set()).add(best[1])

    def about(self, made: Sample, keep: Collection[str]) -> Ruleset:
        """The ruleset with the rules that may match the packet, and those to keep."""
        point = point_of(made, self.whole)
        shelf: MemoryShelf[Rule] = MemoryShelf()
        for key in keep:
            if key in self.rules:
                shelf.put(self.rules[key].rule)
        for rule in self._near(point):
            if any(_holds(box, point) for box in rule.boxes):
                shelf.put(rule.rule)
        return msgspec.structs.replace(self.view.subject.ruleset, rules=shelf)

    def _near(self, point: dict[str, int]) -> Iterator[RuleView]:
        yield from self._rest
        for dim, sizes in self._sizes.items():
            if dim not in point:  # an ICMP error has no ports of its own, a packet of IPv6 no address of IPv4
                if dim in ("th.dport", "th.sport"):
                    for size in sizes:
                        yield from (rule for key, rules in self._drawers.items() if key[:2] == (dim, size) for rule in rules)
                continue
            for size in sizes:
                yield from self._drawers.get((dim, size, point[dim] >> size), ())


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
