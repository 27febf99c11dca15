"""The same over tc: filters of a chain in the order of preferences, ended by their last action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.verdict import CONTINUE, JUMP, RECLASSIFY
from tcemu.lint.index import Index
from tcemu.lint.view import Base

if TYPE_CHECKING:
    from tcemu.lint.order import Order, Taker

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
            takers = [ended.cover(box) for box in live]
            if all(taker is not None for taker in takers):
                found = tuple(dict.fromkeys(taker for taker in takers if taker is not None))
                order.met(Meeting(rule, base, tuple(live), found, tuple(live)))
            else:
                order.met(Meeting(rule, base, tuple(live), ()))
            if rule.key in order.view.subject.hardware or hardware_only(rule.rule.note):
                continue
            code = rule.verdict.code if rule.verdict is not None else 0
            if code and code not in (CONTINUE, RECLASSIFY, JUMP):
                for box in live:
                    if box.exact:
                        ended.add(box, Taker(rule, code))


def hardware_only(note: object) -> bool:
    """skip_sw: the software never sees the filter."""
    from tcemu.tc.notes import RuleNote, unpack

    return bool(unpack(RuleNote, note).flags & 2)  # type: ignore[arg-type]
