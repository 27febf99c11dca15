"""From the IR to the program. Every effect and test has one row in a table; nothing is decided twice.

A rule's leading matches become its guard and tests, later ones guards between ops. What cannot run becomes an op that
drops the packet that meets it, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Any, Final
from zlib import crc32

from tcemu.engine import lower_u32
from tcemu.engine.drafts import PURE, Draft, choose_guards, index_runs, index_sets, settle_returns, shortened
from tcemu.engine.effects.basics import RefusedOp
from tcemu.engine.effects.synproxy import SynProxyOp
from tcemu.engine.effects.u32 import Place
from tcemu.engine.lower_effects import EFFECTS
from tcemu.engine.lower_nft import EFFECTS as NFT_EFFECTS
from tcemu.engine.lower_sets import Sets, sync_sets
from tcemu.engine.lower_tests import ADDRESSES, lower_match
from tcemu.engine.lower_values import Making
from tcemu.engine.program import (
    PF_INET,
    PF_NETDEV,
    Chain,
    Counter,
    GroupTest,
    Guard,
    HardwareTest,
    NeverTest,
    Op,
    Program,
    Rule,
    Way,
)
from tcemu.engine.states import filled, stats_of, written
from tcemu.host.model import Host
from tcemu.ir import effect as effects
from tcemu.ir import operand as operands
from tcemu.ir.effect import Effect, Random
from tcemu.ir.ruleset import Attachment, Flowtable, Object, Ruleset
from tcemu.ir.ruleset import Rule as RuleRecord
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Masked, Match, Member, Unsupported
from tcemu.ir.verdict import GOTO, JUMP, Verdict
from tcemu.offload.nft_flows import FlowTable

LAYERS: Final = {"inet": ("ip", "ip6"), "bridge": ("bridge", "ip", "ip6")}
NFT: Final = frozenset(("ip", "ip6", "inet", "arp", "bridge", "netdev"))
TRANSPORTS: Final = frozenset((6, 17, 33, 132, 136))  # protocols whose ports stand first in their header
# what connection tracking is loaded for (the callers of nf_ct_netns_get); notrack is not among them
TRACKING: Final = (effects.Translate, effects.ConnLimit, effects.Offload, effects.SynProxy, effects.SetCt)
CT_OBJECTS: Final = ("ct helper", "ct timeout", "ct expectation", "synproxy")

# kinds of filters whose continue leads to the next of the same prio
LOOK_ON: Final = frozenset(("basic", "bpf", "flow", "fw", "route", "u32"))


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


def settles_transport(step: Match) -> bool:
    """Is it a guard that lets only one protocol with ports pass?"""
    left, test = step.left, step.test
    return isinstance(left, operands.Load) and left.field == "meta.l4proto" and isinstance(test, Masked) and test.value in TRANSPORTS


def parts(node: object) -> Iterator[Any]:
    """A record of the IR and all that it is made of."""
    yield node
    if isinstance(node, tuple | list):
        for item in node:
            yield from parts(item)
    elif hasattr(node, "__struct_fields__"):
        for name in node.__struct_fields__:
            inner = getattr(node, name)
            if hasattr(inner, "__struct_fields__") or isinstance(inner, tuple | list):
                yield from parts(inner)


def tracks(node: object) -> bool:
    """Does a step make the kernel load connection tracking?"""
    for part in parts(node):
        if isinstance(part, operands.Load):
            if part.field.startswith("ct."):
                return True
        elif (isinstance(part, operands.Key) and part.what == "ct") or isinstance(part, TRACKING):
            return True
    return False


class Lowering:
    """One lowering: what was made so far, and the ruleset and host that it is made from."""

    def __init__(self, ruleset: Ruleset, host: Host) -> None:
        self.ruleset = ruleset
        self.program = Program()
        self.drafts: dict[str, list[Draft]] = {}  # by chain
        self.tables: lower_u32.Tables | None = None  # of the u32 slot with links that is being lowered
        self.place = Place()  # of all u32 slots without
        self.devices = {device.key: device.rank for device in host.devices}
        self.making = Making(ruleset, self.devices, self.program)
        updated = {part.set for rule in ruleset.rules for part in parts(rule.steps) if isinstance(part, effects.UpdateSet)}
        self.sets = Sets(ruleset, self.making, self.program.chains, updated)
        self.sets.effect_op = self.element_op
        self.making.table = self.sets.table
        self.making.object_op = self.object_op
        self.making.element_ops = self.sets.ops

    def run(self) -> Program:
        """Chains first, so that verdicts find them; then rules; then the ways in."""
        for table in self.ruleset.tables:
            for record in self.ruleset.chains.children(table.key):
                self.program.chains[record.key] = Chain(record.key, record.end.code, table.max_restarts)
        for flowtable in self.ruleset.flowtables:
            flows = self.program.nft_flows[flowtable.key] = FlowTable(flowtable.key, crc32(flowtable.key.encode()), 0)
            flows.counts = flowtable.counter
            flows.hardware = flowtable.hardware
            flows.devices = {self.devices[name] for name in flowtable.devices if name in self.devices}
        if any(
            isinstance(step, Do) and step.effect == effects.Offload(effects.FIRST_FORM)
            for rule in self.ruleset.rules
            for step in rule.steps
        ):
            self._first_form()
        for table in self.ruleset.tables:
            nft = table.family in NFT
            for record in self.ruleset.chains.children(table.key):
                self._rules(record.key, table.family if nft else "")
            if nft:
                self._objects(table.key, table.family)
        settle_returns(self.drafts)
        self._attachments()
        self.program.sets = list(self.sets.tables.values())
        return self.program

    def _first_form(self) -> None:
        """The one flow table of the 2017 patch set: at ingress of every device, whatever table its rules are in."""
        flows = self.program.nft_flows[effects.FIRST_FORM] = FlowTable(effects.FIRST_FORM, crc32(effects.FIRST_FORM.encode()), 0)
        flows.first_form = True
        flows.devices = set(self.devices.values())
        for device in sorted(flows.devices):
            way = Way(Chain(effects.FIRST_FORM, 3, 0), 0, "flowtable", device)
            way.family, way.flows = PF_NETDEV, flows
            self.program.ingress.setdefault(device, []).insert(0, way)

    def _objects(self, table: str, family: str) -> None:
        """Conntrack objects load connection tracking, whether or not a rule uses them."""
        kinds = {record.kind for record in self.ruleset.objects.children(table)}
        if not kinds.isdisjoint(CT_OBJECTS):
            self.program.tracked.update(LAYERS.get(family, (family,)))
        if "synproxy" in kinds:
            self.program.proxied.update(LAYERS.get(family, (family,)))

    # ------------------------------------------------------------ rules

    def _rules(self, key: str, family: str) -> None:
        """All rules of a chain: made, guarded, linked, and runs of like ones indexed."""
        chain = self.program.chains[key]
        self.making.nft = family != ""
        records = self.ruleset.rules.children(key)
        made = self._drafts(records) if family == "" else [self._rule(record, family) for record in records]
        choose_guards(made)
        rules = [draft.rule for draft in made]
        for here, behind in pairwise([*rules, None]):
            assert here is not None
            here.next = here.miss = here.over = here.back = behind
        waiting: list[Rule] = []  # rules of the prio slot at hand, whose continue leads behind it
        for rule in rules:
            if waiting and waiting[-1].slot != rule.slot:
                for earlier in waiting:
                    earlier.next_slot = rule
                waiting = []
            waiting.append(rule)
        kinds = {slot.rank: slot.kind for slot in self.ruleset.slots.children(key)}
        for rule in rules:
            rule.go_on = rule.next if kinds.get(int(rule.slot)) in LOOK_ON else rule.next_slot
        index_runs(made)
        index_sets(made)
        self.drafts[key] = made
        chain.first = rules[0] if rules else None

    def _drafts(self, records: list[RuleRecord]) -> list[Draft]:
        """The rules of a tc chain; a u32 slot with links is one."""
        linked = {record.slot for record in records if lower_u32.links(record)}
        made = []
        for slot, group in groupby(records, key=lambda record: record.slot):
            if slot in linked:
                made.append(self._tables(list(group)))
            else:
                made += [self._rule(record, "") for record in group]
        return made

    def _tables(self, records: list[RuleRecord]) -> Draft:
        """A u32 slot with links: the guard that all its filters begin with, and an op that goes through its tables."""
        guards = [step for step in records[0].steps[:1] if isinstance(step, Match) and step.implied]
        draft = self._rule(RuleRecord(key=records[0].key.rpartition("/")[0], slot=records[0].slot, steps=list(guards)), "")
        self.program.rules.pop()  # it stands for many
        self.tables = lower_u32.Tables(self.ruleset, self._node)
        draft.rule.ops = draft.rule.short = self.tables.root(records)
        draft.rule.ops.name = "u32"
        draft.pure = False
        self.tables = None
        return draft

    def _node(self, record: RuleRecord) -> Rule:
        """A node of a hash table; the protocol that its slot is for was asked before."""
        return self._rule(record, "").rule

    def again(self, record: RuleRecord) -> Rule:
        """A rule made anew from other steps, linked to nothing; whoever tries what another rule would do takes its guards and ops."""
        family = record.parent.partition(" ")[0]
        self.making.nft = family in NFT
        draft = self._rule(record, family if family in NFT else "")
        choose_guards([draft])
        return draft.rule

    def _rule(self, record: RuleRecord, family: str) -> Draft:
        rule = Rule(record.key, record.slot)
        self.program.rules.append(rule)
        draft = Draft(rule)
        making = self.making
        making.key, making.transport = record.key, family == ""
        if family and family not in self.program.tracked and tracks(record.steps):
            self.program.tracked.update(LAYERS.get(family, (family,)))
        if record.hardware == "only":
            draft.tests.append(HardwareTest())
        last_op: Op | None = None
        count, acting = 0, False
        for place, step in enumerate(record.steps):
            making.place = place
            if isinstance(step, Match) and step.ends:
                made: list[Op] = [lower_u32.word(step, rule, self.place if self.tables is None else self.tables.place)]
            elif isinstance(step, Match):
                if self.tables is not None and step.implied and place == 0:
                    continue
                if is_blind(step, record):
                    draft.tests.append(NeverTest())
                    continue
                need, tests = lower_match(step, making, self.sets)
                making.transport = making.transport or settles_transport(step)
                if last_op is None and not (family and self._stirs(step)):
                    rule.need |= need
                    draft.tests += tests
                    continue
                made = [Guard(test) for test in ([GroupTest(need)] if need else []) + tests]
            else:
                if isinstance(step, Do) and step.obj and not acting:
                    rule.lead, acting = count, True
                made = [self._op(step, record, place)]
                draft.pure = draft.pure and isinstance(made[0], PURE)
                if isinstance(made[0], SynProxyOp):
                    self.program.proxied.update(LAYERS.get(family, (family,)))
            count += len(made)
            for op in made:
                if last_op is None:
                    rule.ops = op
                else:
                    last_op.next = op
                last_op = op
        rule.short = shortened(rule.ops)
        return draft

    def _stirs(self, step: Match) -> bool:
        """Does asking change something (a generator counts, an element counts), so that nothing may be asked in another order?"""
        for part in parts(step):
            if isinstance(part, operands.Number) or (isinstance(part, operands.Key) and part.args[:1] == ("random",)):
                return True
            key = part.set if isinstance(part, Member) else part.map if isinstance(part, operands.Lookup) else ""
            if key and not self.sets.is_still(key):
                return True
        return False

    # ------------------------------------------------------------ ops

    def _op(self, step: Do | Unsupported, record: RuleRecord, index: int) -> Op:
        if isinstance(step, Unsupported):
            return RefusedOp(step.text)
        if isinstance(step.effect, effects.Descend) and self.tables is not None:
            return self.tables.descend(step.effect)
        shared: Object | None = self.ruleset.objects.get(step.obj) if step.obj else None
        if shared is not None:
            effect = shared.effect if shared.effect is not None else step.effect
            then = shared.then if step.effect is None else step.then
            return self._make(effect, then, shared.otherwise, self._counter(shared))
        counter: Counter | None = None
        stats = getattr(step.effect, "stats", None) if not isinstance(step.effect, effects.Limit) else stats_of(step.effect)
        if isinstance(stats, Stats):
            counter = filled(stats, step.effect)
            self.program.anonymous.append((record.key, index, counter))
        return self._make(step.effect, step.then, None, counter)

    def _counter(self, shared: Object) -> Counter:
        """The counter that all users of an object share; nft's objects keep it in their effect."""
        counter = self.program.counters.get(shared.key)
        if counter is None:
            own = stats_of(shared.effect)
            counter = filled(shared.stats) if own is None else filled(own, shared.effect)
            self.program.counters[shared.key] = counter
        return counter

    def object_op(self, key: str) -> Op | None:
        """What an object of a map does."""
        shared = self.ruleset.objects.get(key)
        return None if shared is None else self._make(shared.effect, shared.then, None, self._counter(shared))

    def element_op(self, effect: Effect) -> Op | None:
        """A statement of a set's element, with a state of its own."""
        stats = stats_of(effect)
        return self._make(effect, Verdict(0), None, None if stats is None else filled(stats, effect))

    def _make(self, effect: Effect | None, then: Verdict, otherwise: Effect | None, counter: Counter | None) -> Op:
        target = self._target(then)
        if then.code in (GOTO, JUMP) and target is None:
            # a chain that nothing was ever put into: tc passes, nft cannot name one
            target = Chain(then.to, 3, 16)
        name = type(effect).__name__.lower() if effect is not None else "verdict"
        nft_maker = NFT_EFFECTS.get(type(effect)) if self.making.nft else None
        if nft_maker is not None:
            op = nft_maker(self.making, effect, then, target, counter)
            op.name = name
            return op
        second = None
        if isinstance(otherwise, Random):
            second = (otherwise, self._target(otherwise.then))
        maker: Callable[..., Op] | None = EFFECTS.get(type(effect))
        if maker is None:
            return RefusedOp(name)
        op = maker(self.making, effect, then, target, counter, second)
        op.name = name
        return op

    def _target(self, then: Verdict) -> Chain | None:
        return self.program.chains.get(then.to) if then.to else None

    # ------------------------------------------------------------ ways in

    def _attachments(self) -> None:
        """Ways in by priority; of equal priorities the one that was registered last runs first (nf_hook_entries_grow)."""
        ranks = {table.key: table.rank for table in self.ruleset.tables if not table.dormant}
        found = [attachment for attachment in self.ruleset.attachments if attachment.parent in ranks]
        found.sort(key=lambda attachment: attachment.rank)
        for attachment in found:
            self._attach(attachment)
        for flowtable in self.ruleset.flowtables:
            if flowtable.parent in ranks:
                self._attach_flows(flowtable)
        for ways in self.program.hooks.values():
            ways.sort(key=lambda way: way.priority)
        for devices, tc_first in ((self.program.ingress, True), (self.program.egress, False)):
            for ways in devices.values():
                # tc sees a packet before nf_ingress, and behind nf_egress (net/core/dev.c)
                ways.sort(key=lambda way: ((way.kind == "tc") != tc_first, way.priority))

    def _attach_flows(self, record: Flowtable) -> None:
        """A flow table stands at the ingress of each of its devices."""
        flows = self.program.nft_flows[record.key]
        for device in sorted(flows.devices):
            way = Way(Chain(record.key, 3, 0), record.priority, "flowtable", device)
            way.family, way.flows = PF_NETDEV, flows
            self.program.ingress.setdefault(device, []).insert(0, way)

    def _attach(self, attachment: Attachment) -> None:
        chain = self.program.chains.get(attachment.chain)
        device = self.devices.get(attachment.device, 0) if attachment.device else 0
        if chain is None or (attachment.device and not device):
            return
        way = Way(chain, attachment.priority, attachment.kind, device)
        if attachment.hook in ("ingress", "egress"):
            if device:
                way.family = 0 if way.kind == "tc" else PF_INET if attachment.layer == "inet" else PF_NETDEV
                ways = (self.program.ingress if attachment.hook == "ingress" else self.program.egress).setdefault(device, [])
                ways.insert(len(ways) if way.kind == "tc" else 0, way)
            return
        layers = ("ip", "ip6") if attachment.layer == "inet" else (attachment.layer,)
        for layer in layers:
            self.program.hooks.setdefault(f"{layer} {attachment.hook}", []).insert(0, way)


def lower(ruleset: Ruleset, host: Host) -> Program:
    """The program of a ruleset on a host; see `sync` for the way back."""
    return Lowering(ruleset, host).run()


def sync(program: Program, ruleset: Ruleset, now: int = 0) -> None:
    """Write the program's counters and sets back to the shelves, as they are at ``now`` (ns); what did not move is not touched."""
    for key, counter in program.counters.items():
        shared = ruleset.objects.get(key)
        if shared is None:
            continue
        own = stats_of(shared.effect)
        if written(counter, shared.stats) if own is None else written(counter, own, shared.effect):
            ruleset.objects.put(shared)
    for key, index, counter in program.anonymous:
        rule = ruleset.rules.get(key)
        if rule is None or index >= len(rule.steps):
            continue
        step = rule.steps[index]
        effect = step.effect if isinstance(step, Do) else None
        stats = getattr(effect, "stats", None)
        if isinstance(stats, Stats) and written(counter, stats, effect):
            ruleset.rules.put(rule)
    sync_sets(program.sets, ruleset, now)
