"""Rules: add, insert, replace, delete. Source: nftables src/evaluate.c (rule_evaluate); Linux nf_tables_api.c (nf_tables_newrule)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.ruleset import Chain, Rule, Set, Table
from tcemu.ir.step import Step
from tcemu.nft.cache import SetInfo, set_key
from tcemu.nft.canon import arranged, listing
from tcemu.nft.compat import TABLE
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.kernel import Kernel
from tcemu.nft.legal import check, needs
from tcemu.nft.lower import differs
from tcemu.nft.notes import ChainNote, RuleNote, SetNote, pack, unpack
from tcemu.nft.nouns import chain as chains
from tcemu.nft.nouns import element, sets
from tcemu.nft.refusal import EBUSY, ENOENT, EOPNOTSUPP, KernelError
from tcemu.nft.statements import KINDS
from tcemu.nft.tree import At, Command, Key, MapOf, SetRef, Spec, Stmt, Value
from tcemu.nft.tree import Rule as Parsed

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.run import Run

GAP: Final = 1 << 32  # between the ranks of neighbouring rules, so that one fits between them
BITMAP: Final = 16  # bits of a key that has a bitmap (nft_set_bitmap.c)
SIZE: Final = 65535  # of a set that packets change and that says none


def add(run: Run, command: Command) -> None:
    """Evaluate a rule and put it into its chain."""
    scope = run.scope(command.spec)
    evaluate(scope, command.body)
    placed = command.op != "replace" and (command.spec.index is not None or command.spec.handle is not None)
    if not placed and run.ruleset.tables.get(f"{command.spec.family} {command.spec.table}") is None:
        for info in scope.sets:  # the kernel refuses each set that the rule brings, and its members
            run.refusals += [KernelError(ENOENT, command.spec.table_at), KernelError(ENOENT, info.at)]
    chain = run.kernel.chain_of_rule(command.spec.plain(), placed)
    _chains_in_place(run, command, scope)
    make(run, command, chain, scope)
    for key, at, plain, times in scope.dynamic:
        _writable(run, key, at, plain, times)


def evaluate(scope: Scope, rule: Parsed) -> None:
    """Evaluate a rule's statements into ``scope.done``."""
    last: Any = None
    for stmt in rule.stmts:
        if last is not None:
            raise NftError("Statement after terminal statement has no effect", stmt.at, last.at)
        scope.want(None, 0)
        scope.width = 0
        made = KINDS[stmt.kind].evaluate(scope, stmt)
        scope.done.append(made)
        if KINDS[stmt.kind].terminal(made):
            last = stmt
    if scope.errors:
        raise NftErrors(scope.errors)
    _reduce(scope)


def _reduce(scope: Scope) -> None:
    """In a table of one network protocol a match on that protocol is left out, unless it is the last (evaluate.c stmt_reduce)."""
    number = {"ip": 0x0800, "ip6": 0x86DD}.get(scope.family)
    if number is None:
        return
    last = len(scope.done) - 1
    scope.done = [stmt for place, stmt in enumerate(scope.done) if place == last or not _says(stmt, number)]


def _says(stmt: Stmt, number: int) -> bool:
    if stmt.kind != "match" or stmt.args["op"] not in ("", "=="):
        return False
    left, right = stmt.args["left"], stmt.args["right"]
    return (
        isinstance(left, Key) and left.kind == "meta" and left.args == ("protocol",) and isinstance(right, Value) and right.value == number
    )


def _chains_in_place(run: Run, command: Command, scope: Scope) -> None:
    """``jump { … }``: a chain without a name of its own, bound to the rule."""
    for name, body, at in scope.chains:
        spec = Spec(at, command.spec.family, command.spec.table, command.spec.table_at, name, at)
        chains.make(run.kernel, Command(at, "add", "chain", spec), ChainNote(binding=True))
        for rule in body.members:
            run.one(Command(rule.at, "add", "rule", spec.plain(), rule))


def make(run: Run, command: Command, chain: Chain, scope: Scope) -> Rule:
    """Put an evaluated rule (``scope.done`` and ``scope.sets``) into its chain."""
    kernel = run.kernel
    table = kernel.table(command.spec.outer())
    own_sets = _anonymous_sets(kernel, command, table, scope)
    handle = command.spec.handle if command.op == "replace" else kernel.next_handle(table)
    rank, replaced = place(kernel, command, chain)
    check(scope.done, table.family, run.missing)
    groups = arranged(scope.done)
    scope.done = [stmt for group in groups for stmt in group]
    steps, places = lowered(groups, table.key)
    uses = _uses(kernel, table, scope)
    wants = needs(scope.done, table.family)
    note = RuleNote(
        handle or 0, listing(scope.done, places, scope.family) if run.lists else [], command.body.comment, own_sets, uses, wants
    )
    if replaced is not None:
        kernel.drop_rule(replaced)
    rule = Rule(key=f"{chain.key}/{handle}", parent=chain.key, rank=rank, steps=steps, note=pack(note))
    kernel.ruleset.rules.put(rule)
    kernel.added = True
    if kernel.told is not None:
        _tell(kernel, command, chain, rule, replaced)
    for key in uses:
        kernel.use(key, 1)
    run.reached(table.key, chain.key, wants, uses, command.at)
    return rule


def _tell(kernel: Kernel, command: Command, chain: Chain, rule: Rule, replaced: Rule | None) -> None:
    """A rule with a place is told with the handle of the one before it."""
    place = 0
    if command.spec.handle is not None or command.spec.index is not None:
        members = [member.key for member in kernel.ruleset.rules.children(chain.key)]
        at = members.index(rule.key)
        place = int(members[at - 1].rpartition("/")[2]) if at else 0
    op = "insert" if command.op == "insert" else "add"
    kernel.tell("rule", rule, op, place, int(replaced.key.rpartition("/")[2]) if replaced is not None else 0)


class Lowering:
    """What statements need to know to become steps."""

    def __init__(self, table: str) -> None:
        self.table = table


def lowered(groups: list[list[Stmt]], table: str) -> tuple[list[Step], list[int]]:
    """The steps of statements, and at which step each begins."""
    lowering = Lowering(table)
    steps: list[Step] = []
    places: list[int] = []
    for group in groups:
        if len(group) > 1 and group[0].args["op"] == "!=":
            places += [len(steps)] * len(group)
            steps.append(differs([(stmt.args["left"], stmt.args["right"]) for stmt in group]))
            continue
        for stmt in group:
            places.append(len(steps))
            steps += KINDS[stmt.kind].steps(stmt, lowering)
    return steps, places


# ---------------------------------------------------------------- where
def place(kernel: Kernel, command: Command, chain: Chain) -> tuple[int, Rule | None]:
    """The rank of a new rule, and the rule that it replaces."""
    spec = command.spec
    rules = kernel.ruleset.rules
    neighbour: Rule | None = None
    if spec.index is not None:
        members = rules.children(chain.key)
        if spec.index >= len(members):
            raise _absent(spec)
        neighbour = members[spec.index]
    elif spec.handle is not None:
        neighbour = rules.get(f"{chain.key}/{spec.handle}")
        if neighbour is None:
            raise KernelError(ENOENT, spec.handle_at) if command.op == "replace" else _absent(spec)
    if command.op == "replace":
        assert neighbour is not None
        return neighbour.rank, neighbour
    if neighbour is None:
        return _end(kernel, chain, command.op == "insert"), None
    return _beside(kernel, chain, neighbour, command.op == "insert"), None


def _absent(spec: Spec) -> NftError:
    """nft itself looks for the neighbour, in the kernel's words (nftables src/evaluate.c rule_cache_update)."""
    return NftError(f"Could not process rule: {ENOENT}", spec.handle_at)


def _end(kernel: Kernel, chain: Chain, front: bool) -> int:
    edge = kernel.ruleset.rules.first(chain.key) if front else kernel.ruleset.rules.last(chain.key)
    if edge is None:
        return 1 << 62
    rank = edge.rank - GAP if front else edge.rank + GAP
    if 0 < rank < (1 << 63) - 1:
        return rank
    _spread(kernel, chain)
    return _end(kernel, chain, front)


def _beside(kernel: Kernel, chain: Chain, neighbour: Rule, front: bool) -> int:
    members = kernel.ruleset.rules.children(chain.key)
    at = next(number for number, rule in enumerate(members) if rule.key == neighbour.key)
    other = at - 1 if front else at + 1
    if not 0 <= other < len(members):
        return _end(kernel, chain, front)
    low, high = sorted((members[at].rank, members[other].rank))
    if high - low > 1:
        return (low + high) // 2
    _spread(kernel, chain)
    again = kernel.ruleset.rules.get(neighbour.key)
    assert again is not None
    return _beside(kernel, chain, again, front)


def _spread(kernel: Kernel, chain: Chain) -> None:
    """Make room between the ranks of a chain's rules."""
    members = kernel.ruleset.rules.children(chain.key)
    start = (1 << 62) - len(members) // 2 * GAP
    for number, rule in enumerate(members):
        rule.rank = start + number * GAP
        kernel.ruleset.rules.put(rule)


# ---------------------------------------------------------------- what a rule brings along, and what it points to
def _anonymous_sets(kernel: Kernel, command: Command, table: Table, scope: Scope) -> list[str]:
    """Anonymous sets and meters that come with a rule; the keys of the anonymous ones."""
    keys = []
    for info in scope.sets:
        if info.anonymous:
            info.name = kernel.next_name(table, _stem(info))
            info.key = set_key(table.family, table.name, info.name)
            keys.append(info.key)
            sets.make(kernel, table, info, info.at, len(info.elements))
            element.put(kernel, table, info, info.elements, command, new=True)
        else:
            info.key = set_key(table.family, table.name, info.name)
            if kernel.ruleset.sets.get(info.key) is None:
                sets.make(kernel, table, info, info.at, info.size)
    return keys


def _stem(info: SetInfo) -> str:
    """What the name of an anonymous set begins with."""
    return "__map" if info.note.data_types else "__objmap" if info.note.object else "__set"


def _uses(kernel: Kernel, table: Table, scope: Scope) -> list[str]:
    """Chains, sets, objects and flowtables that a rule points to; ENOENT where one is not there."""
    uses: list[str] = []
    for stmt in scope.done:
        for key, at in _targets(stmt, table.key):
            if not kernel.exists(key):
                raise KernelError(ENOENT, at)
            kernel.check_jump(key, at)
            uses.append(key)
    for info in scope.sets:
        if info.verdicts:
            uses += [key for key, _at in element.targets(info.elements, table.key)]
    return uses


def _targets(stmt: Stmt, table: str) -> list[tuple[str, At]]:
    """What a statement points to by name."""
    found: list[tuple[str, At]] = []
    if stmt.kind == "verdict":
        verdict = stmt.args["verdict"]
        if verdict.chain is not None:
            found.append((f"{table}/{verdict.chain.value}", verdict.chain.at))
    elif stmt.kind == "chain":
        found.append((f"{table}/{stmt.args['name']}", stmt.at))
    elif stmt.kind == "objref" and isinstance(stmt.args["expr"], Value):
        found.append((f"{table}/{stmt.args['object']} {stmt.args['expr'].value}", stmt.args["expr"].at))
    elif stmt.kind == "flow" and stmt.args["name"] != TABLE:
        found.append((f"{table}/flowtable {stmt.args['name']}", stmt.at))
    for value in stmt.args.values():
        ref = value.mappings if type(value) is MapOf else value
        if type(ref) is SetRef and ref.info is not None and not ref.info.anonymous:
            found.append((ref.info.key, ref.at))
    return found


def _writable(run: Run, key: str, at: At, plain: bool, times: bool) -> None:
    """A set that a rule writes is one that packets may change (nft flags a new one so) and has a size (nft_dynset.c)."""
    record = run.ruleset.sets.get(key)
    if record is None:
        return
    note = unpack(record.note, SetNote)
    if plain and key in run.fresh and "dynamic" not in note.flags:
        note.flags.append("dynamic")
    if "constant" in note.flags:
        raise KernelError(EBUSY, at)
    if record.interval:
        if key in run.fresh:
            run.refusals.append(KernelError(EOPNOTSUPP, run.fresh[key]))
            raise KernelError(ENOENT, at)
        raise KernelError(EOPNOTSUPP, at)
    aging = bool(record.timeout) or "timeout" in note.flags
    if (times and not aging) or (key not in run.fresh and not record.dynamic and not aging and _fixed(record, note)):
        raise KernelError(EOPNOTSUPP, at)
    record.dynamic, record.size, record.note = True, record.size or SIZE, pack(note)
    run.ruleset.sets.put(record)


def _fixed(record: Set, note: SetNote) -> bool:
    """Was a set that is there made of a kind that packets cannot change: a bitmap, or a hash of a fixed size (nft_select_set_ops)?"""
    return bool(record.size) or (sum(note.bits) <= BITMAP and not note.data_types and not note.object and not note.stmts)


def delete(run: Run, command: Command) -> None:
    """Delete a rule by its handle."""
    chain = run.kernel.chain_of_rule(command.spec.plain())
    rule = run.ruleset.rules.get(f"{chain.key}/{command.spec.handle}")
    if rule is None:
        if command.op == "destroy":
            return
        raise KernelError(ENOENT, command.spec.handle_at)
    run.kernel.drop_rule(rule)
