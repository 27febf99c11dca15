"""From the IR to the program. Every effect and test has one row in a table below; nothing is decided twice.

A rule's leading matches become its guard and tests, later ones guards between ops. What cannot run becomes an op that
drops the packet that meets it, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Final

from tcemu.engine.effects.basics import CountOp, LimitOp, QuotaOp, RandomOp, RefusedOp, VerdictOp
from tcemu.engine.lower_effects import EFFECTS, Making
from tcemu.engine.lower_tests import ADDRESSES, lower_match
from tcemu.engine.program import Chain, Counter, Guard, Index, MaskedTest, NeverTest, Op, Program, Rule, Test, Way
from tcemu.engine.values import COMPILED
from tcemu.host.model import Host
from tcemu.ir import operand as operands
from tcemu.ir.effect import Effect, Offload, Random, SetCt, Untrack
from tcemu.ir.ruleset import Attachment, Object, Ruleset
from tcemu.ir.ruleset import Rule as RuleRecord
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Masked, Match, Unsupported
from tcemu.ir.verdict import GOTO, JUMP, Verdict

INET: Final = {"inet": ("ip", "ip6")}


PURE: Final = (CountOp, VerdictOp, LimitOp, QuotaOp, RandomOp)  # ops that change nothing which a guard can see
RUN: Final = 16 if COMPILED else 4  # so many rules alike are worth an index


class Draft:
    """A rule on its way: its leading tests, not yet linked, and whether its body leaves all slots as they are."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.tests: list[Test] = []
        self.pure = True


def is_blind(step: Match, record: RuleRecord) -> bool:
    """A flower address under an empty mask, and no other address under a better one: the kernel then does not dissect addresses at
    all, but still compares their kind, so the filter never matches (cls_flower.c fl_init_dissector, fl_set_key)."""
    if not step.zero or not is_address(step) or has_mask(step):
        return False
    return not any(isinstance(other, Match) and is_address(other) and has_mask(other) for other in record.steps)


def is_address(step: Match) -> bool:
    """Does the match look at an IP address?"""
    return isinstance(step.left, operands.Load) and step.left.field in ADDRESSES


def has_mask(step: Match) -> bool:
    """Does it look at any bit of it?"""
    return not isinstance(step.test, Masked) or step.test.mask != 0


def choose_guards(drafts: list[Draft]) -> None:
    """Put into each rule, as its guard, the masked comparison that tells most rules of the chain apart; link the other tests."""
    values: dict[tuple[int, int], set[int]] = {}
    for draft in drafts:
        for test in draft.tests:
            if type(test) is MaskedTest and not test.negate:
                values.setdefault((test.slot, test.mask), set()).add(test.value)
    for draft in drafts:
        masked = [test for test in draft.tests if type(test) is MaskedTest and not test.negate]
        guard = max(masked, key=lambda test: len(values[test.slot, test.mask]), default=None)
        rule = draft.rule
        if guard is not None:
            rule.guard_slot, rule.guard_mask, rule.guard_value = guard.slot, guard.mask, guard.value
        others = [test for test in draft.tests if test is not guard]
        for here, behind in pairwise([*others, None]):
            assert here is not None
            here.next = behind
        rule.tests = others[0] if others else None


def index_runs(drafts: list[Draft]) -> None:
    """Give runs of rules whose guards look at the same bits an index, and let a rule's miss lead to the next that can match."""
    for _, group in groupby(drafts, key=lambda draft: (draft.rule.guard_slot, draft.rule.guard_mask)):
        run = list(group)
        if len(run) < RUN or not run[0].rule.guard_mask:
            continue
        index = Index(run[-1].rule.next)
        for draft in reversed(run):
            rule = draft.rule
            rule.miss = index.rules.get(rule.guard_value, index.after)
            if draft.pure:
                rule.over = rule.miss
            index.rules[rule.guard_value] = rule
        if len(index.rules) > 1:
            run[0].rule.index = index


class Lowering:
    """One lowering: what was made so far, and the ruleset and host that it is made from."""

    def __init__(self, ruleset: Ruleset, host: Host) -> None:
        self.ruleset = ruleset
        self.program = Program()
        self.devices = {device.key: device.rank for device in host.devices}
        self.parents = {chain.key: chain.parent for chain in ruleset.chains}
        self.making = Making(ruleset, self.devices, self.program)

    def run(self) -> Program:
        """Chains first, so that verdicts find them; then rules; then the ways in."""
        for table in self.ruleset.tables:
            if not table.dormant:
                for record in self.ruleset.chains.children(table.key):
                    self.program.chains[record.key] = Chain(record.key, record.end.code, table.max_restarts)
        for key, chain in self.program.chains.items():
            self._rules(key, chain)
        for attachment in self.ruleset.attachments:
            self._attach(attachment)
        for ways in self.program.hooks.values():
            ways.sort(key=lambda way: way.priority)
        for devices, tc_first in ((self.program.ingress, True), (self.program.egress, False)):
            for ways in devices.values():
                # tc sees a packet before nf_ingress, and behind nf_egress (net/core/dev.c)
                ways.sort(key=lambda way: ((way.kind == "tc") != tc_first, way.priority))
        return self.program

    def _rules(self, key: str, chain: Chain) -> None:
        """All rules of a chain: made, guarded, linked, and runs of like ones indexed."""
        made = [self._rule(record) for record in self.ruleset.rules.children(key)]
        choose_guards(made)
        rules = [draft.rule for draft in made]
        for here, behind in pairwise([*rules, None]):
            assert here is not None
            here.next = here.miss = here.over = behind
        waiting: list[Rule] = []  # rules of the prio slot at hand, whose continue leads behind it
        for rule in rules:
            if waiting and waiting[-1].slot != rule.slot:
                for earlier in waiting:
                    earlier.next_slot = rule
                waiting = []
            waiting.append(rule)
        index_runs(made)
        chain.first = rules[0] if rules else None

    def _rule(self, record: RuleRecord) -> Draft:
        rule = Rule(record.key, record.slot)
        self.program.rules.append(rule)
        draft = Draft(rule)
        last_op: Op | None = None
        for place, step in enumerate(record.steps):
            if isinstance(step, Match):
                if is_blind(step, record):
                    draft.tests.append(NeverTest())
                    continue
                need, tests = lower_match(step, self.ruleset)
                self._note_conntrack(step)
                if last_op is None:
                    rule.need |= need
                    draft.tests += tests
                    continue
                made: list[Op] = [Guard(test) for test in tests]
            else:
                made = [self._op(step, record, place)]
                draft.pure = draft.pure and isinstance(made[0], PURE)
            for op in made:
                if last_op is None:
                    rule.ops = op
                else:
                    last_op.next = op
                last_op = op
        return draft

    def _op(self, step: Do | Unsupported, record: RuleRecord, index: int) -> Op:
        if isinstance(step, Unsupported):
            return RefusedOp(step.text)
        shared: Object | None = self.ruleset.objects.get(step.obj) if step.obj else None
        effect, then, otherwise = step.effect, step.then, None
        counter: Counter | None = None
        if shared is not None:
            if shared.effect is not None:
                effect = shared.effect
            otherwise = shared.otherwise
            if step.effect is None:
                then = shared.then
            counter = self.program.counters.get(shared.key)
            if counter is None:
                counter = self.program.counters[shared.key] = filled(shared.stats)
        stats = getattr(effect, "stats", None)
        if counter is None and isinstance(stats, Stats):
            counter = filled(stats)
            self.program.anonymous.append((record.key, index, counter))
        return self._make(effect, then, otherwise, counter)

    def _make(self, effect: Effect | None, then: Verdict, otherwise: Effect | None, counter: Counter | None) -> Op:
        target = self._target(then)
        if then.code in (GOTO, JUMP) and target is None:
            # a chain that nothing was ever put into: tc passes, nft cannot name one
            target = Chain(then.to, 3, 16)
        if isinstance(effect, (SetCt, Offload, Untrack)):
            self.program.uses_conntrack = True
        second = None
        if isinstance(otherwise, Random):
            second = (otherwise, self._target(otherwise.then))
        maker: Callable[..., Op] | None = EFFECTS.get(type(effect))
        if maker is None:
            return RefusedOp(type(effect).__name__.lower())
        op = maker(self.making, effect, then, target, counter, second)
        op.name = type(effect).__name__.lower() if effect is not None else "verdict"
        return op

    def _target(self, then: Verdict) -> Chain | None:
        return self.program.chains.get(then.to) if then.to else None

    def _note_conntrack(self, step: Match) -> None:
        left = step.left
        if isinstance(left, operands.Load) and left.field == "ct.state":
            self.program.uses_conntrack = True

    def _attach(self, attachment: Attachment) -> None:
        chain = self.program.chains.get(attachment.chain)
        device = self.devices.get(attachment.device, 0) if attachment.device else 0
        if chain is None or (attachment.device and not device):
            return
        way = Way(chain, attachment.priority, attachment.kind, device)
        if attachment.hook == "ingress" and device:
            self.program.ingress.setdefault(device, []).append(way)
        elif attachment.hook == "egress" and device:
            self.program.egress.setdefault(device, []).append(way)
        else:
            if attachment.kind == "nat":
                self.program.uses_conntrack = True
            for layer in INET.get(attachment.layer, (attachment.layer,)):
                # of equal priorities the one that was registered last runs first (nf_hook_entries_grow)
                self.program.hooks.setdefault(f"{layer} {attachment.hook}", []).insert(0, way)


def filled(stats: Stats) -> Counter:
    """A counter that starts from what was counted before."""
    counter = Counter()
    counter.packets, counter.bytes, counter.drops, counter.overlimits = stats.packets, stats.bytes, stats.drops, stats.overlimits
    counter.first_used, counter.last_used = stats.first_used, stats.last_used
    return counter


def lower(ruleset: Ruleset, host: Host) -> Program:
    """The program of a ruleset on a host; see `sync` for the way back."""
    return Lowering(ruleset, host).run()


def sync(program: Program, ruleset: Ruleset) -> None:
    """Write the program's counters back to the shelves; what did not move is not touched."""
    for key, counter in program.counters.items():
        shared = ruleset.objects.get(key)
        if shared is not None and copy_counter(counter, shared.stats):
            ruleset.objects.put(shared)
    for key, index, counter in program.anonymous:
        rule = ruleset.rules.get(key)
        if rule is None or index >= len(rule.steps):
            continue
        step = rule.steps[index]
        stats = getattr(step.effect, "stats", None) if isinstance(step, Do) else None
        if isinstance(stats, Stats) and copy_counter(counter, stats):
            ruleset.rules.put(rule)


def copy_counter(counter: Counter, stats: Stats) -> bool:
    """Did anything move?"""
    now = (counter.packets, counter.bytes, counter.drops, counter.overlimits, counter.first_used, counter.last_used)
    was = (stats.packets, stats.bytes, stats.drops, stats.overlimits, stats.first_used, stats.last_used)
    stats.packets, stats.bytes, stats.drops, stats.overlimits, stats.first_used, stats.last_used = now
    return now != was
