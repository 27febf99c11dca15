"""The kernel's part: commands that change the ruleset, each all or nothing, refused as nf_tables refuses.

Keys are those of `tcemu.ir.ruleset`: table "<family> <name>", chain "<table>/<chain>", rule "<chain>/<handle>", set
"<table>/set <name>". Handles are given out as the kernel does: tables from one counter, all else from the table's.
Source: Linux net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.ruleset import Attachment, Chain, Element, Object, Rule, Ruleset, Set, Table
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import ACCEPT, DROP, GOTO, JUMP, RETURN, Verdict
from tcemu.nft.cache import Cache, SetInfo, set_key
from tcemu.nft.errors import NftError
from tcemu.nft.notes import ChainNote, ElementNote, RuleNote, SetNote, TableNote, pack, unpack
from tcemu.nft.tree import NOWHERE, At, CatchAll, Command, Spec, Stmt
from tcemu.nft.tree import Element as Member
from tcemu.nft.tree import Verdict as VerdictExpr

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope

GAP: Final = 1 << 32  # between the ranks of neighbouring rules, so that one fits between them
STATE: Final = "nft state"  # the record that counts what outlives tables
NAME_MAX: Final = 255  # NFT_NAME_MAXLEN - 1
ENOENT: Final = "No such file or directory"
EEXIST: Final = "File exists"
EBUSY: Final = "Device or resource busy"
EOPNOTSUPP: Final = "Operation not supported"
EINVAL: Final = "Invalid argument"
ENFILE: Final = "Too many open files in system"
EMLINK: Final = "Too many links"
ERANGE: Final = "Numerical result out of range"
EOVERFLOW: Final = "Value too large for defined data type"


class KernelError(NftError):
    """What the kernel refuses."""

    def __init__(self, reason: str, *places: At) -> None:
        super().__init__(f"Could not process rule: {reason}", *places)


class Kernel:
    """Changes to one ruleset."""

    def __init__(self, ruleset: Ruleset, cache: Cache) -> None:
        self.ruleset = ruleset
        self.cache = cache

    # ------------------------------------------------------------ lookups
    def table(self, spec: Spec) -> Table:
        """The table that a command names, or ENOENT at its name."""
        if spec.handle is not None and not spec.table:
            for record in self.ruleset.tables.children(spec.family):
                if unpack(record.note, TableNote).handle == spec.handle:
                    return record
            raise KernelError(ENOENT, spec.handle_at)
        record_or_none = self.ruleset.tables.get(f"{spec.family} {spec.table}")
        if record_or_none is None:
            raise self.missing(self.cache.table_not_found(spec.table, spec.table_at))
        return record_or_none

    @staticmethod
    def missing(hint: NftError) -> NftError:
        """ENOENT, with nft's guess at what was meant if it has one."""
        return hint if "did you mean" in hint.message else KernelError(ENOENT, *hint.places)

    def chain(self, spec: Spec) -> Chain:
        """The chain that a command names."""
        table = self.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        if spec.handle is not None and not spec.name:
            for record in self.ruleset.chains.children(table.key):
                if unpack(record.note, ChainNote).handle == spec.handle:
                    return record
            raise KernelError(ENOENT, spec.handle_at)
        record_or_none = self.ruleset.chains.get(f"{table.key}/{spec.name}")
        if record_or_none is None:
            raise self.missing(self.cache.chain_not_found(spec.name, spec.name_at))
        return record_or_none

    # ------------------------------------------------------------ handles
    def next_table_handle(self) -> int:
        """The next handle of a table; the counter outlives tables."""
        state = self.ruleset.objects.get(STATE) or Object(key=STATE, parent=STATE, kind=STATE)
        state.bound += 1
        self.ruleset.objects.put(state)
        return state.bound

    def next_handle(self, table: Table) -> int:
        """The next handle inside a table."""
        note = unpack(table.note, TableNote)
        note.next += 1
        table.note = pack(note)
        self.ruleset.tables.put(table)
        return note.next

    # ------------------------------------------------------------ tables
    def add_table(self, command: Command) -> None:
        spec, body = command.spec, command.body
        key = f"{spec.family} {spec.table}"
        self._name(spec.table, spec.table_at)
        record = self.ruleset.tables.get(key)
        flags = body.values.get("flags", []) if body is not None else []
        if record is not None:
            if command.op == "create":
                raise KernelError(EEXIST, spec.table_at)
            note = unpack(record.note, TableNote)
            if set(note.flags) != set(flags) and (body is None or body.values.get("flags") is not None or note.flags):
                note.flags = sorted(set(flags))
                record.note = pack(note)
                self._dormant(record, "dormant" in flags)
            return
        note = TableNote(self.next_table_handle(), 0, sorted(set(flags)), body.values.get("comment") if body is not None else None)
        made = Table(key=key, parent=spec.family, rank=note.handle, family=spec.family, name=spec.table, note=pack(note))
        made.dormant = "dormant" in flags
        self.ruleset.tables.put(made)

    def _dormant(self, table: Table, dormant: bool) -> None:
        table.dormant = dormant
        self.ruleset.tables.put(table)

    @staticmethod
    def _name(name: str, at: At) -> None:
        if len(name) > NAME_MAX:
            raise KernelError(ERANGE, at)

    def delete_table(self, command: Command) -> None:
        try:
            record = self.table(command.spec)
        except NftError:
            if command.op == "destroy":
                return
            raise
        self.drop_table(record)

    def drop_table(self, table: Table) -> None:
        """Remove a table with all that is in it."""
        shelves = self.ruleset
        for chain in shelves.chains.children(table.key):
            shelves.rules.clear(chain.key)
        for record in shelves.sets.children(table.key):
            shelves.elements.clear(record.key)
            self.cache.forget(record.key)
        for shelf in (shelves.chains, shelves.sets, shelves.flowtables, shelves.objects, shelves.attachments):
            shelf.clear(table.key)
        shelves.tables.delete(table.key)

    def flush_table(self, command: Command) -> None:
        table = self.table(command.spec)
        for chain in self.ruleset.chains.children(table.key):
            self._flush(chain)

    def flush_ruleset(self, command: Command) -> None:
        families = [command.spec.family] if command.spec.family else ["ip", "ip6", "inet", "arp", "bridge", "netdev"]
        for family in families:
            for table in self.ruleset.tables.children(family):
                self.drop_table(table)

    # ------------------------------------------------------------ chains
    def add_chain(self, command: Command, settings: ChainNote | None) -> Chain:
        """Add a chain; ``settings`` are those of a base chain (or a comment)."""
        spec = command.spec
        table = self.table(spec)
        self._name(spec.name, spec.name_at)
        key = f"{table.key}/{spec.name}"
        record = self.ruleset.chains.get(key)
        if record is not None:
            if command.op == "create":
                raise KernelError(EEXIST, spec.name_at)
            self._change_chain(command, record, settings)
            return record
        note = settings or ChainNote()
        if note.hook:
            self._legal(command, table.family, note)
        note.handle = self.next_handle(table)
        if note.hook and not note.policy:
            note.policy = "accept"
        made = Chain(key=key, parent=table.key, rank=note.handle, name=spec.name, note=pack(note))
        made.end = Verdict(RETURN) if not note.hook else Verdict(DROP if note.policy == "drop" else ACCEPT)
        self.ruleset.chains.put(made)
        self._attach(made, table, note)
        return made

    def _legal(self, command: Command, family: str, note: ChainNote) -> None:
        """Which types may hook where (nft_chain_nat.c, nft_chain_route.c, nf_tables_core)."""
        nat_hooks = ("prerouting", "input", "output", "postrouting")
        wrong = (
            (note.type == "nat" and (family not in ("ip", "ip6", "inet") or note.hook not in nat_hooks or note.priority <= -200))
            or (note.type == "route" and (family not in ("ip", "ip6", "inet") or note.hook != "output"))
            or (note.type != "filter" and family in ("arp", "bridge", "netdev"))
        )
        if wrong:
            raise KernelError(EOPNOTSUPP, command.at)

    def _change_chain(self, command: Command, record: Chain, settings: ChainNote | None) -> None:
        if settings is None:
            return
        note = unpack(record.note, ChainNote)
        if settings.hook:
            same = (note.type, note.hook, note.priority, note.devices) == (
                settings.type,
                settings.hook,
                settings.priority,
                settings.devices,
            )
            if not note.hook:
                raise KernelError(EEXIST, command.spec.name_at)
            if not same:
                raise KernelError(EEXIST if command.op == "create" else EOPNOTSUPP, command.at)
        if settings.policy:
            if not note.hook:
                raise KernelError(EOPNOTSUPP, command.at)
            note.policy = settings.policy
            record.end = Verdict(DROP if note.policy == "drop" else ACCEPT)
        record.note = pack(note)
        self.ruleset.chains.put(record)

    def _attach(self, chain: Chain, table: Table, note: ChainNote) -> None:
        """The ways into a base chain: one, or one a device."""
        if not note.hook:
            return
        for device in note.devices or [""]:
            self.ruleset.attachments.put(
                Attachment(
                    key=f"{chain.key}@{device}",
                    parent=table.key,
                    rank=note.handle,
                    layer=table.family,
                    hook=note.hook,
                    device=device,
                    priority=note.priority,
                    chain=chain.key,
                    kind=note.type,
                )
            )

    def delete_chain(self, command: Command) -> None:
        try:
            record = self.chain(command.spec)
        except NftError:
            if command.op == "destroy":
                return
            raise
        note = unpack(record.note, ChainNote)
        if note.uses:
            raise KernelError(EBUSY, command.spec.name_at if command.spec.name else command.spec.handle_at)
        self._flush(record)
        for attachment in self.ruleset.attachments.children(record.parent):
            if attachment.chain == record.key:
                self.ruleset.attachments.delete(attachment.key)
        self.ruleset.chains.delete(record.key)

    def flush_chain(self, command: Command) -> None:
        self._flush(self.chain(command.spec))

    def _flush(self, chain: Chain) -> None:
        for rule in self.ruleset.rules.children(chain.key):
            self.drop_rule(rule)

    def rename_chain(self, command: Command) -> None:
        spec = command.spec
        record = self.chain(spec)
        new = f"{record.parent}/{command.body}"
        if self.ruleset.chains.get(new) is not None:
            raise KernelError(EEXIST, spec.name_at)
        rules = self.ruleset.rules.children(record.key)
        self.ruleset.chains.delete(record.key)
        old, record.key, record.name = record.key, new, str(command.body)
        self.ruleset.chains.put(record)
        for rule in rules:
            self.ruleset.rules.delete(rule.key)
            rule.key, rule.parent = f"{new}/{rule.key.rpartition('/')[2]}", new
            self.ruleset.rules.put(rule)
        self._retarget(record.parent, old, new)

    def _retarget(self, table: str, old: str, new: str) -> None:
        """Verdicts and attachments follow a renamed chain."""
        for attachment in self.ruleset.attachments.children(table):
            if attachment.chain == old:
                self.ruleset.attachments.delete(attachment.key)
                attachment.chain, attachment.key = new, attachment.key.replace(old, new, 1)
                self.ruleset.attachments.put(attachment)
        name = new.rpartition("/")[2]
        for chain in self.ruleset.chains.children(table):
            for rule in self.ruleset.rules.children(chain.key):
                if any(isinstance(step, Do) and step.then.to == old for step in rule.steps):
                    note = unpack(rule.note, RuleNote)
                    note.body = [
                        [*form[:2], name] if form[0] == "verdict" and form[2] == old.rpartition("/")[2] else form for form in note.body
                    ]
                    note.uses = [new if use == old else use for use in note.uses]
                    rule.steps = [_renamed(step, old, new) for step in rule.steps]
                    rule.note = pack(note)
                    self.ruleset.rules.put(rule)
        for record in self.ruleset.sets.children(table):
            for element in self.ruleset.elements.children(record.key) if record.verdicts else []:
                if element.verdict is not None and element.verdict.to == old:
                    element.verdict = Verdict(element.verdict.code, new)
                    self.ruleset.elements.put(element)

    # ------------------------------------------------------------ uses
    def use(self, key: str, count: int) -> None:
        """A rule or element begins or ends to point to a chain, set, object or flowtable."""
        kind = key.partition("/")[2].partition(" ")[0]
        chain = self.ruleset.chains.get(key)
        if chain is not None:
            note = unpack(chain.note, ChainNote)
            note.uses += count
            if note.binding and note.uses <= 0:
                self._flush(chain)
                self.ruleset.chains.delete(key)
                return
            chain.note = pack(note)
            self.ruleset.chains.put(chain)
            return
        record = self.ruleset.sets.get(key)
        if record is not None:
            own = unpack(record.note, SetNote)
            own.uses += count
            record.note = pack(own)
            self.ruleset.sets.put(record)
            self.cache.forget(key)
            return
        thing = self.ruleset.objects.get(key)
        if thing is not None:
            thing.bound += count
            self.ruleset.objects.put(thing)
            return
        flowtable = self.ruleset.flowtables.get(key)
        if flowtable is not None:
            from tcemu.nft.notes import FlowtableNote

            third = unpack(flowtable.note, FlowtableNote)
            third.uses += count
            flowtable.note = pack(third)
            self.ruleset.flowtables.put(flowtable)
        _ = kind

    # ------------------------------------------------------------ rules
    def place(self, command: Command, chain: Chain) -> tuple[int, Rule | None]:
        """The rank of a new rule, and the rule that it replaces."""
        spec = command.spec
        rules = self.ruleset.rules
        neighbour: Rule | None = None
        if spec.index is not None:
            members = rules.children(chain.key)
            if spec.index >= len(members):
                raise KernelError(ENOENT, (spec.handle_at[0] - 6, spec.handle_at[1]))
            neighbour = members[spec.index]
        elif spec.handle is not None:
            neighbour = rules.get(f"{chain.key}/{spec.handle}")
            if neighbour is None:
                raise KernelError(ENOENT, spec.handle_at)
        if command.op == "replace":
            assert neighbour is not None
            return neighbour.rank, neighbour
        if neighbour is None:
            return self._end(chain, command.op == "insert"), None
        return self._beside(chain, neighbour, command.op == "insert"), None

    def _end(self, chain: Chain, front: bool) -> int:
        edge = self.ruleset.rules.first(chain.key) if front else self.ruleset.rules.last(chain.key)
        if edge is None:
            return 1 << 62
        rank = edge.rank - GAP if front else edge.rank + GAP
        if 0 < rank < (1 << 63) - 1:
            return rank
        self._spread(chain)
        return self._end(chain, front)

    def _beside(self, chain: Chain, neighbour: Rule, front: bool) -> int:
        members = self.ruleset.rules.children(chain.key)
        at = next(number for number, rule in enumerate(members) if rule.key == neighbour.key)
        other = at - 1 if front else at + 1
        if not 0 <= other < len(members):
            return self._end(chain, front)
        low, high = sorted((members[at].rank, members[other].rank))
        if high - low > 1:
            return (low + high) // 2
        self._spread(chain)
        again = self.ruleset.rules.get(neighbour.key)
        assert again is not None
        return self._beside(chain, again, front)

    def _spread(self, chain: Chain) -> None:
        """Make room between the ranks of a chain's rules."""
        members = self.ruleset.rules.children(chain.key)
        start = (1 << 62) - len(members) // 2 * GAP
        for number, rule in enumerate(members):
            rule.rank = start + number * GAP
            self.ruleset.rules.put(rule)

    def add_rule(self, command: Command, chain: Chain, scope: Scope) -> Rule:
        """Put an evaluated rule (``scope.done`` and ``scope.sets``) into its chain."""
        from tcemu.nft.canon import listing
        from tcemu.nft.statements import KINDS

        table = self.table(command.spec)
        self._check(command, table, chain, scope.done)
        rank, replaced = self.place(command, chain)
        sets = self.add_rule_sets(command, table, scope)
        handle = self.next_handle(table)
        lowering = Lowering(table.key)
        steps: list[Step] = []
        places: list[int] = []
        for stmt in scope.done:
            places.append(len(steps))
            for step in KINDS[stmt.kind].steps(stmt, lowering):
                steps.append(step)
        uses = self._uses(command, table, scope, steps)
        note = RuleNote(handle, listing(scope.done, places, scope.family), command.body.comment, sets, uses)
        if replaced is not None:
            self.drop_rule(replaced)
        rule = Rule(key=f"{chain.key}/{handle}", parent=chain.key, rank=rank, steps=steps, note=pack(note))
        self.ruleset.rules.put(rule)
        for key in uses:
            self.use(key, 1)
        return rule

    def _check(self, command: Command, table: Table, chain: Chain, stmts: list[Stmt]) -> None:
        """What the kernel refuses of single statements in this place."""
        from tcemu.nft.legal import check

        check(command, table, unpack(chain.note, ChainNote), stmts)

    def add_rule_sets(self, command: Command, table: Table, scope: Scope) -> list[str]:
        """Anonymous sets and meters that come with a rule; the keys of the anonymous ones."""
        keys = []
        for info in scope.sets:
            if info.anonymous:
                info.name = self._free_name(table, info)
                info.key = set_key(table.family, table.name, info.name)
                keys.append(info.key)
                self.put_set(table, info, info.at, len(info.elements))
                self.put_elements(table, info, info.elements, command, new=True)
            else:
                info.key = set_key(table.family, table.name, info.name)
                if self.ruleset.sets.get(info.key) is None:
                    self.put_set(table, info, info.at, info.size)
        return keys

    def _free_name(self, table: Table, info: SetInfo) -> str:
        stem = "__map" if info.note.data_types else "__objmap" if info.note.object else "__set"
        number = 0
        while self.ruleset.sets.get(set_key(table.family, table.name, f"{stem}{number}")) is not None:
            number += 1
        return f"{stem}{number}"

    def _uses(self, command: Command, table: Table, scope: Scope, steps: list[Step]) -> list[str]:
        """Chains, sets, objects and flowtables that a rule points to; ENOENT where one is not there."""
        uses: list[str] = []
        for stmt in scope.done:
            for key, at in _targets(stmt, table.key):
                if not self._exists(key):
                    raise KernelError(ENOENT, at)
                self._jump(key, table, command, at)
                uses.append(key)
        for info in scope.sets:
            if info.verdicts:
                uses += [key for key, _at in _element_targets(info.elements, table.key)]
        _ = steps
        return uses

    def _exists(self, key: str) -> bool:
        shelves = self.ruleset
        return any(shelf.get(key) is not None for shelf in (shelves.chains, shelves.sets, shelves.objects, shelves.flowtables))

    def _jump(self, key: str, table: Table, command: Command, at: At) -> None:
        """Jumps to base chains are not possible."""
        chain = self.ruleset.chains.get(key)
        if chain is not None and unpack(chain.note, ChainNote).hook:
            raise KernelError(EOPNOTSUPP, at)
        _ = (table, command)

    def drop_rule(self, rule: Rule) -> None:
        """Remove a rule, its anonymous sets, and what it held."""
        note = unpack(rule.note, RuleNote)
        self.ruleset.rules.delete(rule.key)
        for key in note.uses:
            self.use(key, -1)
        for key in note.sets:
            self.ruleset.elements.clear(key)
            self.ruleset.sets.delete(key)
            self.cache.forget(key)

    def delete_rule(self, command: Command) -> None:
        chain = self.chain(
            Spec(command.spec.at, command.spec.family, command.spec.table, command.spec.table_at, command.spec.name, command.spec.name_at)
        )
        rule = self.ruleset.rules.get(f"{chain.key}/{command.spec.handle}")
        if rule is None:
            if command.op == "destroy":
                return
            raise KernelError(ENOENT, command.spec.handle_at)
        self.drop_rule(rule)

    # ------------------------------------------------------------ sets
    def put_set(self, table: Table, info: SetInfo, at: At, size: int) -> Set:
        """Make a set."""
        self._name(info.name, at)
        info.note.handle = self.next_handle(table)
        note = info.note
        made = Set(
            key=info.key,
            parent=table.key,
            rank=note.handle,
            name=info.name,
            bits=tuple(note.bits),
            interval="interval" in note.flags,
            data_bits=sum(note.data_bits),
            verdicts=info.verdicts,
            size=size,
            timeout=note.timeout * 1_000_000,
            dynamic="dynamic" in note.flags,
            anonymous=info.anonymous,
            note=pack(note),
        )
        self.ruleset.sets.put(made)
        return made

    def put_elements(self, table: Table, info: SetInfo, members: list[Member], command: Command, new: bool = False, now: int = 0) -> None:
        """Add members; those that are there already stay as they are, but for another value."""
        from tcemu.nft.members import record

        shelf = self.ruleset.elements
        count = 0 if new else shelf.count(info.key)
        limit = 0 if info.anonymous or (owner := self.ruleset.sets.get(info.key)) is None else owner.size
        for member in members:
            made = record(info, member, table.key, now)
            for key, at in _element_targets([member], table.key):
                if not self._exists(key):
                    raise KernelError(ENOENT, member.key.at)
                self._jump(key, table, command, at)
                if not info.anonymous:
                    self.use(key, 1)
            if info.note.object:
                self._object_member(table, info, made, member)
            known = None if new and info.anonymous else shelf.get(made.key)
            if known is not None:
                if command.op == "create" or _differs(known, made):
                    raise KernelError(EEXIST, member.at)
                continue
            count += 1
            if limit and count > limit:
                raise KernelError(ENFILE, member.at)
            made.rank = count if new else self._next_rank(info.key)
            shelf.put(made)

    def _next_rank(self, key: str) -> int:
        last = self.ruleset.elements.last(key)
        return last.rank + 1 if last is not None else 1

    def _object_member(self, table: Table, info: SetInfo, made: Element, member: Member) -> None:
        note = unpack(made.note, ElementNote)
        note.target = f"{table.key}/{info.note.object} {note.target}"
        if self.ruleset.objects.get(note.target) is None:
            raise KernelError(ENOENT, member.key.at)
        made.note = pack(note)
        if not info.anonymous:
            self.use(note.target, 1)

    def drop_element(self, table: str, info: SetInfo, element: Element) -> None:
        """Remove a member and what it held."""
        if element.verdict is not None and element.verdict.to:
            self.use(element.verdict.to, -1)
        if info.note.object:
            self.use(unpack(element.note, ElementNote).target, -1)
        self.ruleset.elements.delete(element.key)
        _ = table


class Lowering:
    """What statements need to know to become steps."""

    def __init__(self, table: str) -> None:
        self.table = table


def _renamed(step: Step, old: str, new: str) -> Step:
    if isinstance(step, Do) and step.then.to == old:
        return Do(step.effect, Verdict(step.then.code, new, step.then.number), step.obj, step.implied)
    return step


def _differs(known: Element, made: Element) -> bool:
    if known.data != made.data or known.verdict != made.verdict:
        return True
    return unpack(known.note, ElementNote).data != unpack(made.note, ElementNote).data


def _targets(stmt: Stmt, table: str) -> list[tuple[str, At]]:
    """What a statement points to by name."""
    from tcemu.nft.tree import MapOf, SetRef, Value

    found: list[tuple[str, At]] = []
    if stmt.kind == "verdict":
        verdict = stmt.args["verdict"]
        if verdict.chain is not None:
            found.append((f"{table}/{verdict.chain.value}", verdict.chain.at))
    elif stmt.kind == "chain":
        found.append((f"{table}/{stmt.args['name']}", stmt.at))
    elif stmt.kind == "objref" and isinstance(stmt.args["expr"], Value):
        found.append((f"{table}/{stmt.args['object']} {stmt.args['expr'].value}", stmt.args["expr"].at))
    elif stmt.kind == "flow":
        found.append((f"{table}/flowtable {stmt.args['name']}", stmt.at))
    for value in stmt.args.values():
        ref = value.mappings if isinstance(value, MapOf) else value
        if isinstance(ref, SetRef) and ref.info is not None and not ref.info.anonymous:
            found.append((ref.info.key, ref.at))
    return found


def _element_targets(members: list[Any], table: str) -> list[tuple[str, At]]:
    """Chains that the verdicts of members point to."""
    found = []
    for member in members:
        data = member.data
        if isinstance(data, VerdictExpr) and data.chain is not None:
            found.append((f"{table}/{data.chain.value}", data.chain.at))  # type: ignore[attr-defined]
    return found


__all__ = ["EINVAL", "EMLINK", "GOTO", "JUMP", "NOWHERE", "CatchAll", "Kernel", "KernelError", "Lowering"]
