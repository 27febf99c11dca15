"""The ruleset as checks want to see it: base chains in the order of hooks, who jumps where, rules with boxes and effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, overload

from tcemu.ir.effect import Effect, Random, VerdictMap
from tcemu.ir.operand import Bits, Key, Load, Operand
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Do, Match
from tcemu.ir.verdict import ACCEPT, DROP, GOTO, JUMP, QUEUE, REDIRECT, RETURN, STOLEN, TRAP, Verdict
from tcemu.lint.boxes import Members, boxes_of
from tcemu.lint.space import Box

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

ENDING: Final = frozenset((ACCEPT, DROP, STOLEN, QUEUE, TRAP, REDIRECT))
HOOKS: Final = ("ingress", "prerouting", "input", "forward", "output", "postrouting", "egress")


T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801
    """A property that is worked out once; as `functools.cached_property`, without its lock."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.name = work.__name__

    @overload
    def __get__(self, thing: None, kind: type) -> lazy[T]: ...
    @overload
    def __get__(self, thing: object, kind: type) -> T: ...
    def __get__(self, thing: object | None, kind: type) -> lazy[T] | T:
        if thing is None:
            return self
        found = thing.__dict__[self.name] = self.work(thing)
        return found


class Base(NamedTuple):
    """A base chain: where it is hooked, and whether what reaches its end is dropped."""

    chain: str
    table: str
    family: str
    hook: str
    priority: int
    kind: str
    drops: bool
    device: str = ""

    def sees(self, family: str) -> bool:
        """Do packets of that family (ip or ip6) come through?"""
        return self.family in (family, "inet", "netdev", "bridge")


class RuleView:
    """A rule with what its steps mean."""

    def __init__(self, view: View, rule: Rule) -> None:
        self.view = view
        self.rule = rule
        self.key = rule.key
        self.chain = rule.parent
        self.table = rule.parent.split("/")[0]
        self.family = self.table.split(" ")[0]

    @lazy
    def boxes(self) -> list[Box]:
        """See `tcemu.lint.boxes`."""
        return boxes_of(self.rule.steps, self.view.members)

    @lazy
    def matches(self) -> list[Match]:
        """Guards, in order."""
        return [step for step in self.rule.steps if isinstance(step, Match)]

    @lazy
    def acts(self) -> list[tuple[int, Effect | None, Verdict]]:
        """Effects with the number of their step and the verdict behind; objects of tc are looked up."""
        found: list[tuple[int, Effect | None, Verdict]] = []
        number = -1
        for step in self.rule.steps:
            number += 1
            if type(step) is not Do:
                continue
            if step.obj and step.effect is None:
                record = self.view.subject.ruleset.objects.get(step.obj)
                found.append(
                    (
                        number,
                        record.effect if record is not None else None,
                        record.then if record is not None and self.table.startswith("tc ") else step.then,
                    )
                )
                if record is not None and isinstance(record.otherwise, Random):
                    found.append((number, record.otherwise, record.otherwise.then))
            else:
                found.append((number, step.effect, step.then))
        return found

    def effects(self, *kinds: type) -> Iterator[tuple[int, Effect]]:
        """Effects of these kinds with their steps."""
        for number, effect, _then in self.acts:
            if effect is not None and isinstance(effect, kinds):
                yield number, effect

    @lazy
    def verdict(self) -> Verdict | None:
        """The verdict that ends the rule, if one is sure to."""
        for _number, effect, then in self.acts:
            if then.code and not isinstance(effect, Random):
                return then
        return None

    @property
    def ends(self) -> bool:
        """Does a packet that matches go no further in this table's chain?"""
        return self.verdict is not None and self.verdict.code in ENDING

    @lazy
    def loads(self) -> frozenset[str]:
        """Names of dimensions that it looks at."""
        boxes = self.boxes
        return frozenset(boxes[0].dims) if len(boxes) == 1 else frozenset(dim for box in boxes for dim in box.dims)

    @lazy
    def accepts(self) -> bool:
        """May it accept a packet?"""
        if self.verdict is not None and self.verdict.code == ACCEPT:
            return True
        return any(
            isinstance(effect, VerdictMap) and any(verdict.code == ACCEPT for verdict in self.view.map_verdicts(effect.map))
            for _, effect, _ in self.acts
        )


def core_name(operand: Operand) -> str:
    """What an operand reads, whatever bits are taken of it: a field's name, or a key's words."""
    while isinstance(operand, Bits):
        operand = operand.of
    if isinstance(operand, Load):
        return operand.field
    return " ".join((operand.what, *operand.args)) if isinstance(operand, Key) else ""


class View:
    """See the module's text."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.members = Members(subject.ruleset)
        self._chains: dict[str, list[RuleView]] = {}

    # ------------------------------------------------------------ nft
    @lazy
    def bases(self) -> list[Base]:
        """Base chains by family's hook and priority."""
        found: dict[str, Base] = {}
        for way in self.subject.ruleset.attachments:
            if way.kind == "tc" or way.parent.startswith("tc "):
                continue
            chain = self.subject.ruleset.chains.get(way.chain)
            drops = chain is not None and chain.end.code == DROP
            found.setdefault(way.chain, Base(way.chain, way.parent, way.layer, way.hook, way.priority, way.kind, drops, way.device))
        return sorted(found.values(), key=lambda base: (HOOKS.index(base.hook), base.priority))

    @lazy
    def nft_chains(self) -> list[str]:
        """Keys of nft's chains."""
        return [chain.key for chain in self.subject.ruleset.chains if not chain.key.startswith("tc ")]

    def rules(self, chain: str) -> list[RuleView]:
        """The rules of a chain in order of evaluation."""
        if chain not in self._chains:
            self._chains[chain] = [RuleView(self, rule) for rule in self.subject.ruleset.rules.children(chain)]
        return self._chains[chain]

    @lazy
    def all(self) -> list[RuleView]:
        """All rules of nft."""
        return [rule for chain in self.nft_chains for rule in self.rules(chain)]

    @lazy
    def _acting(self) -> dict[type, list[RuleView]]:
        """Rules of nft by the kinds of their effects."""
        found: dict[type, list[RuleView]] = {}
        for rule in self.all:
            for kind in {type(effect) for _, effect, _ in rule.acts}:
                found.setdefault(kind, []).append(rule)
        return found

    @lazy
    def _matching(self) -> dict[str, list[RuleView]]:
        """Rules of nft by what their guards look at."""
        found: dict[str, list[RuleView]] = {}
        for rule in self.all:
            for name in {core_name(step.left) for step in rule.rule.steps if isinstance(step, Match)}:
                found.setdefault(name, []).append(rule)
        return found

    def looking(self, *names: str) -> list[RuleView]:
        """Rules of nft with a guard on one of these (see `core_name`), in order."""
        if len(names) == 1:
            return self._matching.get(names[0], [])
        wanted = {rule.key for name in names for rule in self._matching.get(name, ())}
        return [rule for rule in self.all if rule.key in wanted] if wanted else []

    @lazy
    def callers(self) -> dict[str, list[RuleView]]:
        """The rules that lead to each chain."""
        found: dict[str, list[RuleView]] = {}
        for rule in self.all:
            for target in self.targets(rule):
                found.setdefault(target, []).append(rule)
        return found

    def having(self, *kinds: type) -> list[RuleView]:
        """Rules of nft that have effects of these kinds, in order."""
        if len(kinds) == 1:
            return self._acting.get(kinds[0], [])
        wanted = {rule.key for kind in kinds for rule in self._acting.get(kind, ())}
        return [rule for rule in self.all if rule.key in wanted] if wanted else []

    def map_verdicts(self, key: str) -> list[Verdict]:
        """The verdicts that a map holds."""
        return [one.verdict for one in self.subject.ruleset.elements.children(key) if one.verdict is not None]

    def targets(self, rule: RuleView) -> list[str]:
        """Chains that a rule leads to."""
        found = []
        for _number, effect, then in rule.acts:
            if then.code in (JUMP, GOTO):
                found.append(then.to)
            if isinstance(effect, VerdictMap):
                found += [verdict.to for verdict in self.map_verdicts(effect.map) if verdict.to]
        return found

    @lazy
    def leads(self) -> dict[str, list[str]]:
        """Where each chain leads to."""
        return {key: list(dict.fromkeys(target for rule in self.rules(key) for target in self.targets(rule))) for key in self.nft_chains}

    @lazy
    def reach(self) -> dict[str, list[Base]]:
        """From which base chains each chain is reached."""
        found: dict[str, list[Base]] = {}
        for base in self.bases:
            for key in self.below(base.chain):
                found.setdefault(key, []).append(base)
        return found

    def below(self, chain: str) -> list[str]:
        """A chain and all that it leads to."""
        seen = {chain: None}
        waiting = [chain]
        while waiting:
            for target in self.leads.get(waiting.pop(), ()):
                if target not in seen:
                    seen[target] = None
                    waiting.append(target)
        return list(seen)

    def below_strictly(self, chain: str) -> set[str]:
        """All chains that a chain leads to; itself only where they jump in a circle."""
        found: set[str] = set()
        for target in self.leads.get(chain, ()):
            found.update(self.below(target))
        return found

    def bases_of(self, rule: RuleView) -> list[Base]:
        """The base chains whose packets may meet a rule."""
        return self.reach.get(rule.chain, [])

    def path_rules(self, base: Base) -> list[RuleView]:
        """All rules that packets of a base chain may meet, chain by chain."""
        return [rule for chain in self.below(base.chain) for rule in self.rules(chain)]

    def hooked(self, hook: str, kind: str = "") -> list[Base]:
        """Base chains of a hook."""
        return [base for base in self.bases if base.hook == hook and (not kind or base.kind == kind)]

    # ------------------------------------------------------------ tc
    @lazy
    def blocks(self) -> list[str]:
        """Keys of tc's blocks that hold chains with filters."""
        return list(dict.fromkeys(chain.parent for chain in self.subject.ruleset.chains if chain.key.startswith(("tc dev", "tc block"))))

    def tc_chains(self, block: str) -> list[str]:
        """The chains of a block."""
        return [chain.key for chain in self.subject.ruleset.chains.children(block)]

    @lazy
    def tc_all(self) -> list[RuleView]:
        """All filters of tc."""
        return [rule for block in self.blocks for chain in self.tc_chains(block) for rule in self.rules(chain)]


__all__ = ["ACCEPT", "DROP", "ENDING", "GOTO", "JUMP", "RETURN", "Base", "RuleView", "View"]
