"""From the IR to the program. Every effect and test has one row in a table below; nothing is decided twice.

A rule's leading matches become its guard and tests, later ones guards between ops. What cannot run becomes an op that
drops the packet that meets it, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcemu.engine.effects.basics import RefusedOp
from tcemu.engine.lower_effects import EFFECTS, Making
from tcemu.engine.lower_tests import lower_match
from tcemu.engine.program import Chain, Counter, Guard, MaskedTest, Op, Program, Rule, Test, Way
from tcemu.host.model import Host
from tcemu.ir import operand as operands
from tcemu.ir.effect import Effect, Nat, NatRange, Offload, Random, SetCt, Track, Untrack
from tcemu.ir.ruleset import Attachment, Object, Ruleset
from tcemu.ir.ruleset import Chain as ChainRecord
from tcemu.ir.ruleset import Rule as RuleRecord
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Match, Step, Unsupported
from tcemu.ir.verdict import GOTO, JUMP, Verdict

INET: Final = {"inet": ("ip", "ip6")}


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
        before: Rule | None = None
        waiting: list[Rule] = []  # rules of the prio slot at hand, whose continue leads behind it
        for record in self.ruleset.rules.children(key):
            rule = self._rule(record)
            if before is None:
                chain.first = rule
            else:
                before.next = rule
            if waiting and waiting[-1].slot != rule.slot:
                for earlier in waiting:
                    earlier.next_slot = rule
                waiting = []
            waiting.append(rule)
            before = rule

    def _rule(self, record: RuleRecord) -> Rule:
        rule = Rule(record.key, record.slot)
        self.program.rules.append(rule)
        last_test: Test | None = None
        last_op: Op | None = None
        guarded = False
        for index, step in enumerate(record.steps):
            if isinstance(step, Match):
                need, tests = lower_match(step, self.ruleset)
                self._note_conntrack(step)
                if last_op is None:
                    rule.need |= need
                    for test in tests:
                        if not guarded and type(test) is MaskedTest and not test.negate:
                            rule.guard_slot, rule.guard_mask, rule.guard_value = test.slot, test.mask, test.value
                            guarded = True
                            continue
                        if last_test is None:
                            rule.tests = test
                        else:
                            last_test.next = test
                        last_test = test
                    continue
                made: list[Op] = [Guard(test) for test in tests]
            else:
                made = [self._op(step, record, index)]
            for op in made:
                if last_op is None:
                    rule.ops = op
                else:
                    last_op.next = op
                last_op = op
        return rule

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
        if isinstance(effect, (Track, SetCt, Nat, NatRange, Offload, Untrack)):
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


def chains_of(ruleset: Ruleset, table: str) -> list[ChainRecord]:
    """The chains of a table, in order."""
    return ruleset.chains.children(table)


__all__ = ["Lowering", "Step", "lower", "sync"]
