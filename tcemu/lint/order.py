"""Rules in the way of others, decided over sets of packets: what reaches a rule at all, and who took it before.

A base chain is walked in the order of evaluation, jumps followed with what the jumping rule lets through. Whatever ends a packet's way (in this
chain invocation or in the hook) is filed with its exact boxes; a rule all of whose boxes are covered by what is filed can never match. Drops of
base chains that run earlier for the same packets count too. Rules with limits, quotas, sets that others fill and the like take an unknown part of
their packets: they are never "in the way".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.ir.effect import Assign, SetCt, SetMeta, Translate, Untrack, VerdictMap
from tcemu.ir.operand import Load
from tcemu.ir.step import Member
from tcemu.ir.verdict import ACCEPT, DROP, GOTO, JUMP, RETURN, Verdict
from tcemu.lint.before import Dropped, Either, in_front
from tcemu.lint.boxes import dim_of
from tcemu.lint.index import Index
from tcemu.lint.space import Box, Values, apart, both, meet, remainder
from tcemu.lint.view import ENDING, Base, RuleView, View

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

MAX_STEPS: Final = 60_000  # rules met on the walks of one base chain
CONNTRACK: Final = -200  # the priority at which the connection is looked up
MAX_PAIRS: Final = 300_000  # of drops with what may have gone round them
MAX_CONTEXT: Final = 64  # boxes that a jump may let through
NFPROTO: Final[dict[str, Values]] = {"ip": ((2, 2),), "ip6": ((10, 10),)}
BOTH_SIDES: Final = frozenset(("ct.state", "meta.mark", "meta.pkttype", "meta.length", "meta.priority", "meta.l4proto", "meta nfproto"))


Stands = list["Index[Taker] | Either"]


class Taker(NamedTuple):
    """What ended a packet's way: the rule, and how (a verdict's code; RETURN and GOTO leave the chain)."""

    rule: RuleView
    code: int


class Meeting(NamedTuple):
    """A rule met on a walk: its boxes here, those that take them all (empty: it can match), and the parts that are taken."""

    rule: RuleView
    base: Base
    boxes: tuple[Box, ...]
    takers: tuple[Taker, ...]
    where: tuple[Box, ...] = ()  # of the victim's boxes and the takers', to draw a packet from
    parts: tuple[tuple[str, str, Taker, Box], ...] = ()  # of a set: dimension, value, who took it, the box
    nothing: bool = False  # the callers let nothing through that it matches


class Order:
    """All meetings, by rule."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.meetings: dict[str, list[Meeting]] = {}
        self.changing = {dim for rule in view.all for _, effect, _ in rule.acts for dim in written(effect)}  # not the same at every hook
        self.undecided: list[Base] = []
        self.dropped: dict[str, Dropped] = {}
        for base in view.bases:
            Walk(self, base).run()
        for block in view.blocks:
            from tcemu.lint.order_tc import walk_block

            walk_block(self, block)

    def met(self, meeting: Meeting) -> None:
        """Keep a meeting."""
        self.meetings.setdefault(meeting.rule.key, []).append(meeting)


def order_of(subject: Subject) -> Order:
    """The subject's order, worked out once."""
    found: Order | None = getattr(subject, "_order", None)
    if found is None:
        found = Order(subject.view)
        subject._order = found  # type: ignore[attr-defined]
    return found


def always_of(base: Base) -> frozenset[str]:
    """Dimensions that every packet of a hook has, in a table of that family."""
    found = set(BOTH_SIDES) if base.family in ("ip", "ip6", "inet") else {"meta.mark", "meta.pkttype", "meta.length"}
    if base.hook in ("prerouting", "input", "forward", "ingress"):
        found |= {"meta.iif", "meta iifname"}
    if base.hook in ("forward", "output", "postrouting", "egress"):
        found |= {"meta.oif", "meta oifname"}
    if base.family in ("ip", "ip6"):
        found |= {f"{base.family}.saddr", f"{base.family}.daddr"}
    return frozenset(found)


class Call:
    """A chain that is being walked: what ended in it, what left it for its caller, and what may have left it, exact or not."""

    def __init__(self, always: frozenset[str]) -> None:
        self.ended: Index[Taker] = Index(always)
        self.left: Index[Taker] = Index(always)
        self.gone: list[Box] = []
        self.entries: list[tuple[Box, Taker, int]] = []  # what ended, with how much had gone before

    def end(self, box: Box, taker: Taker) -> None:
        """Packets of a box end here."""
        self.ended.add(box, taker)
        self.entries.append((box, taker, len(self.gone)))


class Walk:
    """The walk of one base chain."""

    def __init__(self, order: Order, base: Base) -> None:
        self.order, self.view, self.base = order, order.view, base
        self.always = always_of(base)
        self.calls: list[Call] = []  # the chains that are being walked, the base chain first
        self.versions: dict[str, int] = {}
        self.steps = 0
        self.stack: list[str] = []
        self.earlier = in_front(self.view, base, order.dropped, self.always)
        self.escapes: list[Box] = []  # what may have left the chain before, other than dropped
        self.drops: list[tuple[Box, Taker, int]] = []  # with how many of the escapes came before

    def run(self) -> None:
        """Walk."""
        family = NFPROTO.get(self.base.family)
        context = [Box({"meta nfproto": family} if family else {})]
        self.chain(self.base.chain, context)
        if self.steps > MAX_STEPS:
            self.order.undecided.append(self.base)
        dropped = self._dropped()
        if dropped:
            self.order.dropped[self.base.chain] = Dropped(self.base, dropped)

    def _dropped(self) -> list[tuple[Box, Taker]]:
        """What this base chain drops for sure: the drops whose packets cannot have been accepted before, nor have gone round them."""
        dropped: list[tuple[Box, Taker]] = []
        if self.versions or len(self.drops) * len(self.escapes) > MAX_PAIRS:
            return dropped
        changing = self.order.changing
        for box, taker, before in self.drops:
            if any(dim in changing or (dim.startswith("ct") and self.base.priority <= CONNTRACK) for dim in box.dims):
                continue
            if all(apart(box, escape) for escape in self.escapes[:before]):
                dropped.append((box, taker))
        return dropped

    def chain(self, key: str, context: list[Box]) -> None:
        """The rules of a chain for packets of a context."""
        if key in self.stack or len(self.stack) > 16:
            return
        self.stack.append(key)
        call = Call(self.always)
        self.calls.append(call)
        for rule in self.view.rules(key):
            self.steps += 1
            if self.steps > MAX_STEPS:
                break
            self.rule(rule, context, call)
        self.calls.pop()
        self.stack.pop()
        if self.calls:
            self._returned(call, self.calls[-1])

    def _returned(self, call: Call, caller: Call) -> None:
        """What a called chain ended, it ended for the caller too: but not packets that may have left it before."""
        for box, taker, before in call.entries:
            if len(call.gone) * len(call.entries) <= MAX_PAIRS and all(apart(box, gone) for gone in call.gone[:before]):
                caller.end(box, taker)

    def rule(self, rule: RuleView, context: list[Box], call: Call) -> None:
        """One rule."""
        own = [self._renamed(box) for box in rule.boxes]
        boxes = [both(outer, box) for outer in context for box in own]
        live = [box for box in boxes if not box.empty]
        if not live:
            if own and all(box.empty for box in own):
                return  # contradicts itself: NF105
            self.order.met(Meeting(rule, self.base, tuple(own), (), nothing=True))
            return
        self.order.met(self._meeting(rule, live))
        self._follow(rule, live, call)
        self._writes(rule)

    def _renamed(self, box: Box) -> Box:
        if not self.versions:
            return box
        versions = self.versions
        return Box({f"{dim}#{versions[dim]}" if dim in versions else dim: values for dim, values in box.dims.items()}, box.exact)

    def _meeting(self, rule: RuleView, live: list[Box]) -> Meeting:
        takers: list[Taker] = []
        where: list[Box] = []
        stands: Stands = [*(index for call in self.calls for index in (call.ended, call.left)), *self.earlier]
        for box in live:
            taker = next((found for index in stands if (found := index.cover(box)) is not None), None)
            if taker is None:
                return self._together(rule, live, stands)
            takers.append(taker)
            where.append(box)
        return Meeting(rule, self.base, tuple(live), tuple(dict.fromkeys(takers)), tuple(where))

    def _together(self, rule: RuleView, live: list[Box], stands: Stands) -> Meeting:
        """Several that take all of it together?"""
        touching: list[tuple[Box, Taker]] = []
        for box in live[:8]:
            for index in stands:
                found = index.touching(box)
                touching += found or ()
        if 1 < len(touching) <= 64 and len(live) <= 8:
            left = remainder(live, [box for box, _ in touching], self.always)
            if left is not None and not left:
                where = [both(box, other) for box in live for other, _ in touching]
                points = tuple(box for box in where if not box.empty)
                return Meeting(rule, self.base, tuple(live), tuple(dict.fromkeys(taker for _, taker in touching)), points)
        return Meeting(rule, self.base, tuple(live), (), parts=self._parts(rule, live, stands) if touching else ())

    def _parts(self, rule: RuleView, live: list[Box], stands: Stands) -> tuple[tuple[str, str, Taker, Box], ...]:
        """Elements of the rule's own sets that are taken although the rule as a whole is not."""
        found = []
        for match in rule.matches:
            if not isinstance(match.test, Member) or not self.view.members.told(match.test.set) or not isinstance(match.left, Load):
                continue
            dim = dim_of(match.left)[0]
            if dim in self.versions or dim in ("ct.state", "meta.l4proto"):
                continue
            for low, high in self.view.members.of(match.test.set)[:200]:
                if not low:
                    continue
                pieces = [
                    Box({**box.dims, dim: piece}, box.exact)
                    for box in live
                    if dim in box.dims and (piece := meet(box.dims[dim], ((low[0], high[0]),)))
                ]
                takers = [next((taker for index in stands if (taker := index.cover(piece)) is not None), None) for piece in pieces]
                if pieces and all(takers) and takers[0] is not None:
                    found.append((dim, f"{low[0]}" if low == high else f"{low[0]}-{high[0]}", takers[0], pieces[0]))
        return tuple(found)

    def _follow(self, rule: RuleView, live: list[Box], call: Call) -> None:
        """What becomes of the packets that it matches."""
        for _number, effect, behind in rule.acts:
            if isinstance(effect, VerdictMap):
                self._mapped(rule, effect, live, call)
                return
            then = Verdict(ACCEPT) if isinstance(effect, Translate) else behind
            if then.code:
                self._verdict(rule, then, live, call)
                return

    def _verdict(self, rule: RuleView, then: Verdict, live: list[Box], call: Call) -> None:
        if then.code in (JUMP, GOTO):
            if len(live) <= MAX_CONTEXT:
                self.chain(then.to, live)
            else:
                self.chain(then.to, [Box({}, False)])
        if then.code == DROP:
            self.drops += [(box, Taker(rule, DROP), len(self.escapes)) for box in live if box.exact]
        elif then.code in ENDING or then.code in (RETURN, GOTO):
            self.escapes += live
        exact = [box for box in live if box.exact]
        if then.code in ENDING:
            for box in exact:
                call.end(box, Taker(rule, then.code))
        elif then.code in (RETURN, GOTO):
            call.gone += live
            for box in exact:
                call.left.add(box, Taker(rule, then.code))

    def _mapped(self, rule: RuleView, effect: VerdictMap, live: list[Box], call: Call) -> None:
        """A verdict map: each element a rule of its own."""
        told = self.view.members.told(effect.map) and not hasattr(effect.key, "parts") and not hasattr(effect.key, "of")
        dim = self._name(dim_of(effect.key)[0])
        for one in self.view.subject.ruleset.elements.children(effect.map):
            if one.verdict is None:
                continue
            if told and one.low:
                boxes = [both(box, Box({dim: ((one.low[0], (one.high or one.low)[0]),)})) for box in live]
            else:
                boxes = [box._replace(exact=False) for box in live]
            boxes = [box for box in boxes if not box.empty]
            if boxes:
                self._verdict(rule, one.verdict, boxes, call)

    def _name(self, dim: str) -> str:
        return f"{dim}#{self.versions[dim]}" if dim in self.versions else dim

    def _writes(self, rule: RuleView) -> None:
        """From here on, what the rule wrote is another thing."""
        for _number, effect, _then in rule.acts:
            for dim in written(effect):
                self.versions[dim] = self.versions.get(dim, 0) + 1


def written(effect: object) -> tuple[str, ...]:
    """Dimensions that an effect changes for the rules behind it."""
    if isinstance(effect, Assign):
        return (dim_of(effect.target)[0],)
    if isinstance(effect, SetCt):
        return (f"ct.{effect.key}", f"ct {effect.key}")
    if isinstance(effect, SetMeta):
        return ("meta.mark", "meta.priority")
    return ("ct.state",) if isinstance(effect, Untrack) else ()


def accepted_by(subject: Subject, rule: RuleView, base: Base) -> str:
    """Would a base chain with policy drop accept some packet that a rule matches: yes, never, or unknown."""
    for other in subject.view.path_rules(base):
        code = other.verdict.code if other.verdict is not None else 0
        if code not in (ACCEPT, JUMP, GOTO, RETURN) and not any(isinstance(effect, VerdictMap) for _, effect, _ in other.acts):
            continue
        if code in (JUMP, GOTO):
            continue
        for box in rule.boxes:
            for theirs in other.boxes:
                mine = both(box, theirs)
                if not mine.empty and not _only_later(theirs):
                    return "yes"
    return "never"


def _only_later(box: Box) -> bool:
    """Does the box hold packets of known connections only?"""
    states = box.dims.get("ct.state")
    return states is not None and not meet(states, ((8, 8),))
