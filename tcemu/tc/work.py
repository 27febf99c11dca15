"""A unit of work: what one command reads and is about to write. Nothing is written until `commit`, so a refusal changes nothing."""

from __future__ import annotations

from typing import Any, cast

from tcemu.ir.ruleset import Attachment, Chain, Object, Rule, Slot, Table
from tcemu.ir.step import Step
from tcemu.shelf import Record
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.ledger import ledger_of
from tcemu.tc.notes import IndexNote, RuleNote
from tcemu.world import World


class Filter:
    """What a kind makes of a command: its steps, its note, its mask's order in the slot, and a digest that no twin may have.

    ``whole``: the note's handle is the filter's; no slot's books give handles out. ``parent``: where the rule stands, if not in its chain.
    ``nothing``: no rule at all.
    """

    __slots__ = ("note", "nothing", "order", "parent", "steps", "tag", "whole")

    def __init__(
        self,
        steps: list[Step],
        note: RuleNote,
        order: int = 0,
        tag: str = "",
        whole: bool = False,
        parent: str = "",
        nothing: bool = False,
    ) -> None:
        self.steps = steps
        self.note = note
        self.order = order
        self.tag = tag
        self.whole = whole
        self.parent = parent
        self.nothing = nothing


class Work:
    """Reads through to a ledger, keeps writes back."""

    def __init__(self, world: World) -> None:
        self.ledger = ledger_of(world)
        self.alone = self.ledger is not world  # no batch: what is committed is written at once
        self.world: World = self.ledger
        self.now = world.now()
        self.place = ""
        self.chain_key = self.slot_key = ""
        self.protocol = 0
        self.block: Any = None  # the Place of the command under way
        self._dirty: dict[tuple[str, str], Record | None] = {}
        self._indexes: dict[str, IndexNote] = {}

    def table(self, key: str) -> Table | None:
        """A table by key."""
        place = ("tables", key)
        return cast("Table | None", self._dirty[place]) if place in self._dirty else self.ledger.tables.get(key)

    def chain(self, key: str) -> Chain | None:
        """A chain by key."""
        place = ("chains", key)
        return cast("Chain | None", self._dirty[place]) if place in self._dirty else self.ledger.chains.get(key)

    def slot(self, key: str) -> Slot | None:
        """A slot by key."""
        place = ("slots", key)
        return cast("Slot | None", self._dirty[place]) if place in self._dirty else self.ledger.slots.get(key)

    def rule(self, key: str) -> Rule | None:
        """A rule by key."""
        place = ("rules", key)
        return cast("Rule | None", self._dirty[place]) if place in self._dirty else self.ledger.rules.get(key)

    def object(self, key: str) -> Object | None:
        """An action by key."""
        place = ("objects", key)
        return cast("Object | None", self._dirty[place]) if place in self._dirty else self.ledger.objects.get(key)

    def attachment(self, key: str) -> Attachment | None:
        """An attachment by key."""
        place = ("attachments", key)
        return cast("Attachment | None", self._dirty[place]) if place in self._dirty else self.ledger.attachments.get(key)

    def put(self, shelf: str, record: Record) -> None:
        """Write a record when the work is committed."""
        self._dirty[shelf, record.key] = record

    def delete(self, shelf: str, key: str) -> None:
        """Delete a record when the work is committed."""
        self._dirty[shelf, key] = None

    def touched(self, shelf: str, key: str) -> bool:
        """Is a record about to be written or deleted?"""
        return (shelf, key) in self._dirty

    def twin(self, parent: str, tag: str) -> Rule | None:
        """The rule of a chain with that tag, unless it is about to go."""
        found = self.ledger.rules.find(parent, tag)
        return None if found is None or ("rules", found.key) in self._dirty else found

    def indexes(self, kind: str) -> IndexNote:
        """The free indexes of a kind of action; changes are written on commit."""
        note = self._indexes.get(kind)
        if note is None:
            note = self._indexes[kind] = IndexNote(self.ledger.indexes(kind).free.copy())
        return note

    def table_of(self, command: FilterCommand | None) -> str:
        """The block that the command under way is about."""
        return self.place if command is not None else ""

    def device_index(self, name: str) -> int:
        """A device's index, or the kernel's refusal."""
        device = self.ledger.devices.look(name)
        if device is None:
            raise RefusalError("Network device not found")
        return device.rank

    def commit(self) -> None:
        """Write everything."""
        ledger = self.ledger
        for kind, note in self._indexes.items():
            ledger.keep_indexes(kind, note)
        for (shelf, key), record in self._dirty.items():
            ledger.write(shelf, key, record)
        if self.alone:
            ledger.flush()
