"""The same over tc: filters of a chain in the order of preferences, ended by their last action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.verdict import CONTINUE, JUMP, RECLASSIFY
from tcemu.lint.index import Index
from tcemu.lint.space import Box, both, remainder
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.order import Meeting, Order, Taker

ALWAYS = frozenset(
    (
        "ct.flower",
        "meta.mark",
        "meta.protocol",
        "meta.netproto",
        "meta.l4proto",
        "ip.saddr",
        "ip.daddr",
        "th.dport",
        "th.sport",
        "ip.tos",
        "ip.ttl",
    )
)


def walk_block(order: Order, block: str) -> None:
    """Chains of a block one by one: what reaches a chain other than 0 is not followed, because actions change what is matched."""
    from tcemu.lint.order import Meeting, Taker

    for chain in order.view.tc_chains(block):
        base = Base(chain, block, "tc", "ingress" if block.endswith("ingress") else "egress", 0, "tc", False, block.split(" ")[2])
        ended: Index[Taker] = Index(ALWAYS)
        for rule in order.view.rules(chain):
            live = [box for box in rule.boxes if not box.empty]
            if not live:
                continue
            found = [ended.cover(box) for box in live]
            takers = tuple(dict.fromkeys(taker for taker in found if taker is not None))
            if all(found):
                order.met(Meeting(rule, base, tuple(live), takers, tuple(live)))
            else:
                order.met(together(rule, base, live, ended) or Meeting(rule, base, tuple(live), ()))
            if rule.key in order.view.subject.hardware or hardware_only(rule.rule.note):
                continue
            code = rule.verdict.code if rule.verdict is not None else 0
            if code and code not in (CONTINUE, RECLASSIFY, JUMP):
                for box in live:
                    if box.exact:
                        ended.add(box, Taker(rule, code))


def together(rule: RuleView, base: Base, live: list[Box], ended: Index[Taker]) -> Meeting | None:
    """Do several filters take all of it together?"""
    from tcemu.lint.order import Meeting

    touching = [entry for box in live[:8] for entry in ended.touching(box) or ()]
    if not 1 < len(touching) <= 64 or len(live) > 8:
        return None
    left = remainder(live, [box for box, _ in touching], ALWAYS)
    if left is None or left:
        return None
    points = tuple(box for mine in live for other, _ in touching if not (box := both(mine, other)).empty)
    return Meeting(rule, base, tuple(live), tuple(dict.fromkeys(taker for _, taker in touching)), points)


def hardware_only(note: object) -> bool:
    """skip_sw: the software never sees the filter."""
    from tcemu.tc.notes import RuleNote, unpack

    return bool(unpack(RuleNote, note).flags & 2)  # type: ignore[arg-type]
