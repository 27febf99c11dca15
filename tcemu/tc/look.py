"""What a listing asks of the world, and how it asks: many filters' actions at once, no more of a record than is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tcemu.ir.ruleset import Object, Rule
from tcemu.ir.step import Do
from tcemu.tc import kinds
from tcemu.tc.notes import ActionNote, RuleNote, unpack
from tcemu.tc.reading import EMPTY, NOTHING, ActionRow, FilterRow, steps_of
from tcemu.world import World, hardware_of

Filter = Rule | FilterRow
Action = Object | ActionRow
MANY: Final = 100  # filters from which on their actions are read kind by kind
WIDE: Final = 16  # unless a kind has this many times as many actions


class FilterPrinter:
    """What a kind of filter has for its listing."""

    __slots__ = ("actions_line", "has_options", "show", "show_indev")

    def __init__(self, kind: str) -> None:
        module = kinds.shown_module(kind)
        self.show: Callable[..., None] = module.show
        self.has_options: Callable[..., bool] | None = getattr(module, "has_options", None)
        self.show_indev: Callable[..., None] | None = getattr(module, "show_indev", None)
        self.actions_line: bool = getattr(module, "ACTIONS_LINE", False)


class Look:
    """What a listing asks of the world again and again: the time, the hardware, actions, how kinds are printed.

    ``expected``: how many filters will be listed; ``texts``: actions of kinds that were read as a whole, as they are printed.
    """

    __slots__ = (
        "_action_printers",
        "_closed",
        "_filter_printers",
        "_known",
        "_whole",
        "counters",
        "expected",
        "hardware",
        "now",
        "texts",
        "world",
    )

    def __init__(self, world: World, counters: bool = True) -> None:
        self.world = world
        self.now = world.now()
        self.hardware = hardware_of(world)
        self.counters = counters or self.hardware is not None  # are more than an action's parameters wanted?
        self.expected = 0
        self.texts: dict[str, str] = {}
        self._known: dict[str, Action] = {}
        self._whole: dict[str, bool] = {}
        self._closed = False
        self._filter_printers: dict[str, FilterPrinter] = {}
        self._action_printers: dict[str, Callable[..., None]] = {}

    def filter_printer(self, kind: str) -> FilterPrinter:
        """How a kind of filter is printed."""
        found = self._filter_printers.get(kind)
        if found is None:
            found = self._filter_printers[kind] = FilterPrinter(kind)
        return found

    def action_printer(self, kind: str) -> Callable[..., None]:
        """How a kind of action is printed."""
        found = self._action_printers.get(kind)
        if found is None:
            found = self._action_printers[kind] = kinds.action_module(kind).show
        return found

    def know(self, actions: Mapping[str, Object]) -> None:
        """These are the actions, whatever the world has."""
        self._known.update(actions)
        self._closed = True

    def object(self, key: str) -> Object | None:
        """An action by key, with counters."""
        found = self.action(key)
        return found if isinstance(found, Object) else None

    def action(self, key: str) -> Action | None:
        """An action by key."""
        found = self._known.get(key)
        if found is not None or self._closed:
            return found
        if self.is_new(key):
            for action in self.actions(kind_of(key)):
                self._known[action.key] = action
            return self._known.get(key)
        return self.world.ruleset.objects.get(key)

    def is_new(self, key: str) -> bool:
        """Whether an action is the first of a kind whose actions had best be read all at once."""
        kind = kind_of(key)
        if self.expected < MANY or kind in self._whole:
            return False
        whole = self._whole[kind] = self.world.ruleset.objects.count(kind) < WIDE * self.expected
        return whole

    def actions(self, kind: str) -> Iterable[Action]:
        """All actions of a kind (``tc KIND``)."""
        objects = self.world.ruleset.objects
        return objects.children(kind) if self.counters else objects.read(kind, ActionRow)


def kind_of(key: str) -> str:
    """The kind in an action's key, as its parent has it."""
    return key.rpartition(" ")[0]


def note_of(rule: Filter) -> RuleNote:
    """A filter's note."""
    return rule.note if isinstance(rule, FilterRow) else unpack(RuleNote, rule.note)


def actions_of(rule: Filter, note: RuleNote) -> list[str]:
    """The keys of a filter's actions. Older sessions have them in the steps alone."""
    acts = note.acts
    return acts if acts is not None else [step.obj for step in steps_of(rule) if isinstance(step, Do) and step.obj]


def action_note_of(action: Action) -> ActionNote:
    """An action's note."""
    return NOTHING if action.note == EMPTY else unpack(ActionNote, action.note)
