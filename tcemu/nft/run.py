"""Commands, one after the other: each is evaluated and applied; mistakes are collected, and any undoes the whole run.

Evaluation errors are told before what the kernel refuses, as nft evaluates everything before it sends anything; and the kernel
finds what may not be reached from a hook (`tcemu.nft.reach`) only where it refused nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.ruleset import Table
from tcemu.nft.cache import Cache
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.evaluate import Scope
from tcemu.nft.kernel import Kernel
from tcemu.nft.names import Names
from tcemu.nft.notes import TableNote, unpack
from tcemu.nft.nouns import action
from tcemu.nft.nouns.table import drop
from tcemu.nft.refusal import ENOENT, KernelError
from tcemu.nft.tree import At, Command, SetLiteral, Spec

if TYPE_CHECKING:
    from tcemu.nft.show import Out
    from tcemu.world import World

MAX_ERRORS: Final = 10
READS: Final = frozenset(("list", "get", "describe", "monitor", "export", "import"))


class Run:
    """One invocation of nft on a world."""

    def __init__(self, world: World, out: Out) -> None:
        self.world = world
        self.ruleset = world.ruleset
        self.names: Names = out.names
        self.out = out
        self.cache = Cache(world.ruleset)
        self.kernel = Kernel(world.ruleset, self.cache)
        self.alone = False  # one command is all
        self.mistakes = 0  # of the reader, which count too
        self.errors: list[NftError] = []
        self.refusals: list[KernelError] = []
        self.unreachable: list[KernelError] = []
        self.fresh: dict[str, At] = {}  # sets that this run made, and where
        self.text: list[str] = []
        self.json: list[Any] = []
        self.as_json = False
        self.lists = True  # rules are kept as they will be listed; who never lists them goes without
        self.newest = True
        self.missing: frozenset[str] = frozenset()  # modules that the kernel lacks
        self.listed = False  # a listing in JSON is one, even of nothing

    def all(self, commands: list[Command]) -> None:
        """Do all commands."""
        wrong: list[tuple[int, list[NftError]]] = []
        self.alone = len(commands) == 1
        ordered = sorted(enumerate(collapsed(commands)), key=lambda entry: entry[1].op == "list")  # listings come when all else is done
        for place, command in ordered:
            self.errors = []
            self.one(command)
            if self.errors:
                wrong.append((place, self.errors))
                if len(wrong) + self.mistakes == MAX_ERRORS:
                    break
        self.errors = [error for _place, errors in sorted(wrong, key=lambda entry: entry[0]) for error in errors]
        self.kernel.save()

    def close(self, commands: list[Command]) -> None:
        """The end of the process: tables that it owned go with it (nf_tables_api.c nft_rcv_nl_event)."""
        if self.kernel.added or any(command.op not in READS and command.op not in ("add", "create") for command in commands):
            self.kernel.generation(1)
        for table in list(self.ruleset.tables):
            if not table.key.startswith("tc ") and "owner" in unpack(table.note, TableNote).flags:
                drop(self.kernel, table)

    def one(self, command: Command) -> None:
        """Do one command; what is wrong with it is kept."""
        self.attempt(_act, command)

    def attempt(self, act: Callable[[Run, Command], Any], command: Command) -> None:
        """Do a command or a part of one, whose mistakes are kept."""
        try:
            act(self, command)
        except KernelError as refusal:
            self.refusals.append(refusal)
        except NftErrors as several:
            self.errors += several.errors
        except NftError as error:
            self.errors.append(error)
        except RecursionError:
            self.errors.append(NftError("expressions are nested too deeply", command.at))

    @property
    def wrong(self) -> list[NftError]:
        """What is told: mistakes, or what the kernel refused."""
        return self.errors or [*self.refusals] or [*self.unreachable]

    def scope(self, spec: Spec) -> Scope:
        """A context for evaluating what is in a table."""
        made = Scope(spec.family, spec.table, self.names, self.cache)
        made.table_at = spec.table_at
        made.now, made.newest = self.out.now, self.newest
        return made

    def reached(self, table: str, source: str, needs: list[str], leads: list[str], at: At) -> None:
        """A chain or map has a new rule or element: is it reached from where it may not be?"""
        reach = self.kernel.reach(table)
        reach.count(source, needs, leads, 1)
        reason = reach.check(source, needs, leads)
        if reason:
            self.unreachable.append(KernelError(reason, at))

    def need_device(self, name: str, at: At) -> None:
        """The device must be there (or is made, where the world is not strict)."""
        if name.endswith("*") or self.world.host.devices.get(name) is not None:
            return
        if self.world.strict:
            raise KernelError(ENOENT, at)
        from tcemu.nft.friendly import make_device

        make_device(self.world, name)

    def named(self, table: Table, shelf: Any, spec: Spec, note: Any, key: str) -> Any:
        """A record by name or handle."""
        if spec.name:
            return shelf.get(key)
        return next((record for record in shelf.children(table.key) if unpack(record.note, note).handle == spec.handle), None)


def collapsed(commands: list[Command]) -> list[Command]:
    """Neighbouring commands that add elements to one set are one command (nftables src/cmd.c nft_cmd_collapse)."""
    kept: list[Command] = []
    for command in commands:
        before = kept[-1] if kept else None
        if before is not None and _one_set(before, command):
            before.body.items += command.body.items
        else:
            kept.append(command)
    return kept


def _one_set(before: Command, command: Command) -> bool:
    if command.what != "element" or before.what != "element" or command.op not in ("add", "create") or before.op != command.op:
        return False
    if not isinstance(before.body, SetLiteral) or not isinstance(command.body, SetLiteral):
        return False
    mine, other = command.spec, before.spec
    return (mine.family, mine.table, mine.name) == (other.family, other.table, other.name)


# ---------------------------------------------------------------- what does a command
def _act(run: Run, command: Command) -> None:
    act = OTHERS.get(command.op) or action(command.op, command.what)
    if act is None:
        raise NftError("Could not process rule: Operation not supported", command.at)
    act(run, command)


def _listing(run: Run, command: Command) -> None:
    from tcemu.nft.listing import show

    show(run, command)


def _resetting(run: Run, command: Command) -> None:
    from tcemu.nft.listing import reset

    reset(run, command)


def _describe(run: Run, command: Command) -> None:
    from tcemu.nft.describe import describe

    run.text.append(describe(run.scope(Spec(command.at, "inet")), command.body))


def _exchange(_run: Run, command: Command) -> None:
    json = command.body in ("json", "vm json")
    if command.op == "import":
        raise NftError("Could not process rule: Operation not supported" if json else "this output type not supported", command.at)
    if json:
        raise NftError("JSON export is no longer supported, use 'nft -j list ruleset' instead", command.at)
    raise NftError("this output type is not supported, use nft -j list ruleset for JSON support instead", command.at)


def _monitor(_run: Run, command: Command) -> None:
    event = command.body[0] if command.body else None
    if event is not None and event not in ("new", "destroy"):
        raise NftError(f"invalid event {event}", event.at)


OTHERS: Final[dict[str, Callable[[Run, Command], None]]] = {
    "list": _listing,
    "reset": _resetting,
    "describe": _describe,
    "import": _exchange,
    "export": _exchange,
    "monitor": _monitor,
}
