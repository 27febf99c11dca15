"""Commands, one after the other: each is evaluated and applied; mistakes are collected, and any undoes the whole run.

Evaluation errors are told before what the kernel refuses, as nft evaluates everything before it sends anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.ruleset import Flowtable, Object, Table
from tcemu.nft.apply import EBUSY, EEXIST, ENOENT, Kernel, KernelError
from tcemu.nft.cache import Cache, SetInfo, set_key
from tcemu.nft.define import chain as chain_settings
from tcemu.nft.define import devices, priority, set_info
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.evaluate import Scope
from tcemu.nft.names import Names
from tcemu.nft.notes import ChainNote, FlowtableNote, ObjectNote, SetNote, pack, unpack
from tcemu.nft.objects import ORDER
from tcemu.nft.sets import check_overlap, merge
from tcemu.nft.show import Out
from tcemu.nft.statements import KINDS
from tcemu.nft.tree import NOWHERE, Command, Element, Rule, SetLiteral, Spec, Variable
from tcemu.world import World

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

MAX_ERRORS: Final = 10


class Run:
    """One invocation of nft on a world."""

    def __init__(self, world: World, out: Out) -> None:
        self.world = world
        self.ruleset = world.ruleset
        self.names: Names = out.names
        self.out = out
        self.cache = Cache(world.ruleset)
        self.kernel = Kernel(world.ruleset, self.cache)
        self.errors: list[NftError] = []
        self.refusals: list[KernelError] = []
        self.text: list[str] = []
        self.json: list[Any] = []
        self.as_json = False

    def all(self, commands: list[Command]) -> None:
        """Do all commands."""
        for command in commands:
            self.one(command)
            if len(self.errors) >= MAX_ERRORS:
                break

    def one(self, command: Command) -> None:
        """Do one command; what is wrong with it is kept."""
        try:
            self._do(command)
        except KernelError as refusal:
            self.refusals.append(refusal)
        except NftErrors as several:
            self.errors += several.errors
        except NftError as error:
            self.errors.append(error)

    def _do(self, command: Command) -> None:
        action = ACTIONS.get((command.op, command.what)) or ACTIONS.get((command.op, "*"))
        if action is None:
            raise NftError("Could not process rule: Operation not supported", command.at)
        action(self, command)

    def scope(self, spec: Spec) -> Scope:
        """A context for evaluating what is in a table."""
        made = Scope(spec.family, spec.table, self.names, self.cache)
        made.table_at = spec.table_at
        return made

    # ------------------------------------------------------------ tables
    def add_table(self, command: Command) -> None:
        self.kernel.add_table(command)
        body = command.body
        if body is None:
            return
        for member in body.members:
            member.spec.family, member.spec.table, member.spec.table_at = command.spec.family, command.spec.table, command.spec.table_at
        order = [[m for m in body.members if m.what == "chain"], [m for m in body.members if m.what in ORDER]]
        order.append([m for m in body.members if m.what in ("set", "map")])
        order.append([m for m in body.members if m.what == "flowtable"])
        for members in order:
            for member in members:
                if member.what == "chain":
                    self.try_(self.chain_alone, member)
                else:
                    self.one(member)
        for member in order[0]:
            self.chain_rules(member)

    def try_(self, action: Callable[[Command], Any], command: Command) -> None:
        """Part of a command, whose mistakes are kept too."""
        try:
            action(command)
        except KernelError as refusal:
            self.refusals.append(refusal)
        except NftError as error:
            self.errors.append(error)

    # ------------------------------------------------------------ chains
    def add_chain(self, command: Command) -> None:
        self.chain_alone(command)
        self.chain_rules(command)

    def chain_alone(self, command: Command) -> None:
        settings = chain_settings(command, command.spec.family)
        self.check_table(command.spec)
        self._devices(command, settings)
        self.kernel.add_chain(command, settings)

    def _devices(self, command: Command, settings: ChainNote | None) -> None:
        """Devices that a chain hooks must be there; a friendly world makes them."""
        for name in settings.devices if settings is not None else []:
            self.need_device(name, command.at)

    def need_device(self, name: str, at: Any) -> None:
        """The device must be there (or is made, where the world is not strict)."""
        if name.endswith("*") or self.world.host.devices.get(name) is not None:
            return
        if self.world.strict:
            raise KernelError(ENOENT, at)
        from tcemu.nft.friendly import make_device

        make_device(self.world, name)

    def check_table(self, spec: Spec) -> None:
        """Evaluation wants the table of what is defined in it."""

    def chain_rules(self, command: Command) -> None:
        """The rules of a chain's block."""
        if command.body is None:
            return
        for rule in command.body.members:
            self.one(Command(rule.at, "add", "rule", self._in_chain(command.spec), rule))

    def _in_chain(self, spec: Spec) -> Spec:
        return Spec(spec.at, spec.family, spec.table, spec.table_at, spec.name, spec.name_at)

    # ------------------------------------------------------------ rules
    def add_rule(self, command: Command) -> None:
        scope = self.scope(command.spec)
        self.evaluate_rule(scope, command.body)
        chain = self.kernel.chain(
            Spec(command.spec.at, command.spec.family, command.spec.table, command.spec.table_at, command.spec.name, command.spec.name_at)
        )
        self._chains_in_place(command, scope)
        self.kernel.add_rule(command, chain, scope)
        for key in scope.dynamic:
            self._dynamic(key)

    def _chains_in_place(self, command: Command, scope: Scope) -> None:
        for name, body, at in scope.chains:
            spec = Spec(at, command.spec.family, command.spec.table, command.spec.table_at, name, at)
            made = self.kernel.add_chain(Command(at, "add", "chain", spec), ChainNote(binding=True))
            for rule in body.members:
                self.one(Command(rule.at, "add", "rule", self._in_chain(spec), rule))
            _ = made

    def _dynamic(self, key: str) -> None:
        """A set that a rule writes is one that packets may change."""
        record = self.ruleset.sets.get(key)
        if record is not None and not record.dynamic:
            note = unpack(record.note, SetNote)
            if "dynamic" not in note.flags:
                record.dynamic = True
                self.ruleset.sets.put(record)

    def evaluate_rule(self, scope: Scope, rule: Rule) -> None:
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

    # ------------------------------------------------------------ sets
    def add_set(self, command: Command) -> None:
        spec = command.spec
        scope = self.scope(spec)
        key = set_key(spec.family, spec.table, spec.name)
        info = set_info(scope, command, key)
        members = self.members(scope, info, command.body.values.get("elements"), check=True)
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        self.kernel._name(spec.name, spec.name_at)
        known = self.ruleset.sets.get(key)
        if known is not None:
            if command.op == "create":
                raise KernelError(EEXIST, spec.name_at)
            self._same_set(command, info, unpack(known.note, SetNote))
            existing = self.cache.info(key)
            assert existing is not None
            self.store(table, existing, members, command)
            return
        self.kernel.put_set(table, info, spec.name_at, info.size)
        self.cache.forget(key)
        self.store(table, info, members, command)

    def _same_set(self, command: Command, info: SetInfo, note: SetNote) -> None:
        mine = info.note
        changed = (mine.types, mine.data_types, mine.object, set(mine.flags) - {"dynamic"}) != (
            note.types,
            note.data_types,
            note.object,
            set(note.flags) - {"dynamic"},
        )
        if changed:
            raise KernelError(EEXIST, command.spec.name_at)

    def members(self, scope: Scope, info: SetInfo, written: Any, check: bool = False) -> list[Element]:
        """Evaluate a literal's members in a set's type."""
        while isinstance(written, Variable):
            written = written.value
        if written is None:
            return []
        if not isinstance(written, SetLiteral):
            raise NftError(f"Set {info.name}: Unexpected initial type {written.what}, missing {{ }}?", written.at)
        scope.set = info
        scope.want(info.dtype, info.bits, info.order, key=info.concat)
        literal = scope.expr(written)
        scope.set = None
        members = [item for item in literal.items if isinstance(item, Element)]
        if check and info.interval and info.concat is None:
            members = self.intervals(info, members)
        return members

    def intervals(self, info: SetInfo, members: list[Element]) -> list[Element]:
        """Merge new members of a set of intervals with each other, or refuse those that overlap."""
        if info.note.auto_merge and not info.is_map:
            return merge(members)
        check_overlap(members)
        return members

    def store(self, table: Table, info: SetInfo, members: list[Element], command: Command) -> None:
        """Put members into a set; intervals meet those that are there."""
        from tcemu.nft.intervals import join

        if info.interval and members:
            members = join(self.kernel, info, members, command)
        self.kernel.put_elements(table, info, members, command, now=self.world.now())

    def element_set(self, command: Command) -> tuple[Scope, SetInfo, Table]:
        """The set that an element command names."""
        spec = command.spec
        scope = self.scope(spec)
        table = self.ruleset.tables.get(f"{spec.family} {spec.table}")
        if table is None:
            raise self.cache.table_not_found(spec.table, spec.table_at)
        info = self.cache.info(set_key(spec.family, spec.table, spec.name))
        if info is None:
            raise self.cache.set_not_found(spec.name, spec.name_at)
        return scope, info, table

    def add_element(self, command: Command) -> None:
        scope, info, table = self.element_set(command)
        self.store(table, info, self.members(scope, info, command.body, check=True), command)

    def delete_element(self, command: Command) -> None:
        from tcemu.nft.intervals import remove

        scope, info, table = self.element_set(command)
        remove(self.kernel, info, self.members(scope, info, command.body), command, table.key)

    def get_element(self, command: Command) -> None:
        from tcemu.nft.intervals import find

        scope, info, table = self.element_set(command)
        found = find(self.kernel, info, self.members(scope, info, command.body))
        self.print_set(table, info, found)

    def print_set(self, table: Table, info: SetInfo, members: list[Any]) -> None:
        """A set with only some of its members."""
        record = self.ruleset.sets.get(info.key)
        assert record is not None
        if self.as_json:
            from tcemu.nft.show_json import set_object

            self.json.append(set_object(record, self.out, members))
            return
        self.text.append(f"table {table.family} {table.name} {{\n{self.out.set_block(record, members=members)}}}\n")

    def delete_set(self, command: Command) -> None:
        spec = command.spec
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        record = self._named(table, self.ruleset.sets, spec, SetNote, f"{table.key}/set {spec.name}")
        if record is None:
            if command.op == "destroy":
                return
            raise self.kernel.missing(self.cache.set_not_found(spec.name, spec.name_at)) if spec.name else KernelError(ENOENT, spec.name_at)
        if unpack(record.note, SetNote).uses:
            raise KernelError(EBUSY, spec.name_at)
        info = self.cache.info(record.key)
        assert info is not None
        for element in self.ruleset.elements.children(record.key):
            self.kernel.drop_element(table.key, info, element)
        self.ruleset.sets.delete(record.key)
        self.cache.forget(record.key)

    def _named(self, table: Table, shelf: Any, spec: Spec, note: Any, key: str) -> Any:
        """A record by name or handle."""
        if spec.name:
            return shelf.get(key)
        return next((record for record in shelf.children(table.key) if unpack(record.note, note).handle == spec.handle), None)

    def flush_set(self, command: Command) -> None:
        _scope, info, table = self.element_set(command)
        for element in self.ruleset.elements.children(info.key):
            self.kernel.drop_element(table.key, info, element)

    # ------------------------------------------------------------ objects
    def add_object(self, command: Command) -> None:
        from tcemu.nft.objects import evaluate

        spec = command.spec
        config, effect = evaluate(command, spec.family)
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        self.kernel._name(spec.name, spec.name_at)
        key = f"{table.key}/{command.what} {spec.name}"
        known = self.ruleset.objects.get(key)
        if known is not None:
            if command.op == "create":
                raise KernelError(EEXIST, spec.name_at)
            return
        handle = self.kernel.next_handle(table)
        comment = command.body.values.get("comment") if command.body is not None else None
        made = Object(key=key, parent=table.key, rank=handle, kind=command.what, name=spec.name, effect=effect)
        made.note = pack(ObjectNote(handle, comment, config))
        self.ruleset.objects.put(made)

    def delete_object(self, command: Command) -> None:
        spec = command.spec
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        record = self._named(table, self.ruleset.objects, spec, ObjectNote, f"{table.key}/{command.what} {spec.name}")
        if record is None or record.kind != command.what:
            if command.op == "destroy":
                return
            raise KernelError(ENOENT, spec.name_at)
        if record.bound:
            raise KernelError(EBUSY, spec.name_at)
        self.ruleset.objects.delete(record.key)

    def add_flowtable(self, command: Command) -> None:
        spec, values = command.spec, command.body.values
        if "hook" in values and values["hook"] not in ("ingress",):
            raise NftError(
                "unknown chain hook" if values["hook"] not in ("prerouting", "input") else f"invalid hook {values['hook']}",
                values["hook"].at,
            )
        rank = priority(values["priority"], "netdev", "ingress") if "priority" in values else None
        names = devices(values.get("devices", []))
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        key = f"{table.key}/flowtable {spec.name}"
        known = self.ruleset.flowtables.get(key)
        for name in names:
            self.need_device(name, command.at)
        if known is not None:
            if command.op == "create":
                raise KernelError(EEXIST, spec.name_at)
            known.devices = tuple(dict.fromkeys([*known.devices, *names]))
            self.ruleset.flowtables.put(known)
            return
        if rank is None:
            raise KernelError(ENOENT, spec.name_at)
        handle = self.kernel.next_handle(table)
        flags = ["offload"] if values.get("offload") else []
        made = Flowtable(key=key, parent=table.key, rank=handle, name=spec.name, devices=tuple(names), priority=rank)
        made.counter, made.hardware = bool(values.get("counter")), bool(flags)
        made.note = pack(FlowtableNote(handle, "ingress", flags))
        self.ruleset.flowtables.put(made)

    def delete_flowtable(self, command: Command) -> None:
        spec = command.spec
        table = self.kernel.table(Spec(spec.at, spec.family, spec.table, spec.table_at))
        record = self._named(table, self.ruleset.flowtables, spec, FlowtableNote, f"{table.key}/flowtable {spec.name}")
        if record is None:
            if command.op == "destroy":
                return
            raise self.kernel.missing(self.cache.flowtable_not_found(spec.name, spec.name_at))
        if command.body is not None:
            gone = devices(command.body.values.get("devices", []))
            for name in gone:
                if name not in record.devices:
                    raise KernelError(ENOENT, command.at)
            record.devices = tuple(name for name in record.devices if name not in gone)
            self.ruleset.flowtables.put(record)
            return
        if unpack(record.note, FlowtableNote).uses:
            raise KernelError(EBUSY, spec.name_at)
        self.ruleset.flowtables.delete(record.key)


def _kernel(name: str) -> Callable[[Run, Command], None]:
    def act(run: Run, command: Command) -> None:
        getattr(run.kernel, name)(command)

    return act


def _listing(run: Run, command: Command) -> None:
    from tcemu.nft.listing import show

    show(run, command)


def _resetting(run: Run, command: Command) -> None:
    from tcemu.nft.listing import reset

    reset(run, command)


def _describe(run: Run, command: Command) -> None:
    raise NftError("tcemu does not describe expressions yet", command.at)


def _exchange(_run: Run, command: Command) -> None:
    if command.op == "import":
        raise NftError("this output type not supported", command.at)
    if command.body == "json":
        raise NftError("JSON export is no longer supported, use 'nft -j list ruleset' instead", command.at)
    raise NftError("this output type is not supported, use nft -j list ruleset for JSON support instead", command.at)


def _monitor(_run: Run, command: Command) -> None:
    event = command.body[0] if command.body else None
    if event is not None and event not in ("new", "destroy"):
        raise NftError(f"invalid event {event}", event.at)


_ADD: Final[dict[str, Callable[[Run, Command], None]]] = {
    "table": Run.add_table,
    "chain": Run.add_chain,
    "rule": Run.add_rule,
    "set": Run.add_set,
    "map": Run.add_set,
    "element": Run.add_element,
    "flowtable": Run.add_flowtable,
    **dict.fromkeys(ORDER, Run.add_object),
}
_DELETE: Final[dict[str, Callable[[Run, Command], None]]] = {
    "table": _kernel("delete_table"),
    "chain": _kernel("delete_chain"),
    "rule": _kernel("delete_rule"),
    "set": Run.delete_set,
    "map": Run.delete_set,
    "element": Run.delete_element,
    "flowtable": Run.delete_flowtable,
    **dict.fromkeys(ORDER, Run.delete_object),
}
ACTIONS: Final[dict[tuple[str, str], Callable[[Run, Command], None]]] = {
    **{(op, what): action for op in ("add", "create") for what, action in _ADD.items()},
    **{(op, "rule"): Run.add_rule for op in ("insert", "replace")},
    **{(op, what): action for op in ("delete", "destroy") for what, action in _DELETE.items()},
    ("get", "element"): Run.get_element,
    ("rename", "chain"): _kernel("rename_chain"),
    ("flush", "table"): _kernel("flush_table"),
    ("flush", "chain"): _kernel("flush_chain"),
    ("flush", "ruleset"): _kernel("flush_ruleset"),
    ("flush", "set"): Run.flush_set,
    ("flush", "map"): Run.flush_set,
    ("flush", "meter"): Run.flush_set,
    ("list", "*"): _listing,
    ("reset", "*"): _resetting,
    ("describe", "expression"): _describe,
    ("import", "ruleset"): _exchange,
    ("export", "ruleset"): _exchange,
    ("monitor", "events"): _monitor,
}
_ = NOWHERE


def parse_only(parser: Parser) -> None:
    """Read a parser's text."""
    parser.run()
