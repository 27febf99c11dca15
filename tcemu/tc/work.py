"""A unit of work: what one command reads and is about to write. Nothing is written until `commit`, so a refusal changes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from tcemu.ir.ruleset import Attachment, Chain, Object, Rule, Slot, Table
from tcemu.ir.step import Step
from tcemu.shelf import Record
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import IndexNote, RuleNote, pack, unpack
from tcemu.world import World

MAX_INDEX = 0xFFFFFFFF


class Filter(NamedTuple):
    """What a kind makes of a command: its steps, its note, its mask's order in the slot, and a digest that no twin may have."""

    steps: list[Step]
    note: RuleNote
    order: int = 0
    tag: str = ""
    whole: bool = False  # the note's handle is the filter's; no slot's books give handles out
    parent: str = ""  # where the rule stands, if not in its chain
    nothing: bool = False  # no rule at all


class Work:
    """Reads through to the shelves, keeps writes back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now()
        self.place = ""
        self.chain_key = self.slot_key = ""
        self.protocol = 0
        self.block: Any = None  # the Place of the command under way
        self._dirty: dict[tuple[str, str], Record | None] = {}
        self._indexes: dict[str, IndexNote] = {}

    def _get(self, shelf: str, key: str) -> Any:
        place = (shelf, key)
        if place in self._dirty:
            return self._dirty[place]
        return getattr(self.world.ruleset, shelf).get(key)

    def table(self, key: str) -> Table | None:
        """A table by key."""
        found: Table | None = self._get("tables", key)
        return found

    def chain(self, key: str) -> Chain | None:
        """A chain by key."""
        found: Chain | None = self._get("chains", key)
        return found

    def slot(self, key: str) -> Slot | None:
        """A slot by key."""
        found: Slot | None = self._get("slots", key)
        return found

    def rule(self, key: str) -> Rule | None:
        """A rule by key."""
        found: Rule | None = self._get("rules", key)
        return found

    def object(self, key: str) -> Object | None:
        """An action by key."""
        found: Object | None = self._get("objects", key)
        return found

    def attachment(self, key: str) -> Attachment | None:
        """An attachment by key."""
        found: Attachment | None = self._get("attachments", key)
        return found

    def put(self, shelf: str, record: Record) -> None:
        """Write a record when the work is committed."""
        self._dirty[shelf, record.key] = record

    def delete(self, shelf: str, key: str) -> None:
        """Delete a record when the work is committed."""
        self._dirty[shelf, key] = None

    def twin(self, parent: str, tag: str) -> Rule | None:
        """The rule of a chain with that tag, unless it is about to go."""
        found = self.world.ruleset.rules.find(parent, tag)
        return None if found is None or ("rules", found.key) in self._dirty else found

    def indexes(self, kind: str) -> IndexNote:
        """The free indexes of a kind of action; changes are written on commit."""
        note = self._indexes.get(kind)
        if note is None:
            record = self.table(f"tc index {kind}")
            note = self._indexes[kind] = unpack(IndexNote, record.note) if record is not None else IndexNote([(1, MAX_INDEX)])
        return note

    def table_of(self, command: FilterCommand | None) -> str:
        """The block that the command under way is about."""
        return self.place if command is not None else ""

    def device_index(self, name: str) -> int:
        """A device's index, or the kernel's refusal."""
        device = self.world.host.devices.get(name)
        if device is None:
            raise RefusalError("Network device not found")
        return device.index

    def commit(self) -> None:
        """Write everything."""
        for kind, note in self._indexes.items():
            self.put("tables", Table(key=f"tc index {kind}", parent="tc index", family="tc index", name=kind, note=pack(note)))
        ruleset = self.world.ruleset
        for (shelf, key), record in self._dirty.items():
            if record is None:
                getattr(ruleset, shelf).delete(key)
            else:
                getattr(ruleset, shelf).put(record)
