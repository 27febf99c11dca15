"""Commands: what the parser makes of a line, and what `tcemu.tc.apply` and `tcemu.tc.show` are handed."""

from __future__ import annotations

from typing import Any, NamedTuple

from tcemu.ir.effect import Effect
from tcemu.tc.notes import ActionNote


class Control(NamedTuple):
    """What follows an action: the terminal of a control word, with a chain for GOTO and a count for JUMP."""

    word: str
    number: int


class ActionSpec:
    """One action as it was asked for.

    ``control`` is a control word's terminal with its chain or count; ``effect`` what the kind's reader made of the parameters;
    ``bind`` says that nothing but an index was given; ``otherwise`` is gact's random part.
    """

    __slots__ = ("control", "cookie", "effect", "extra", "hw_stats", "index", "kind", "no_percpu", "otherwise", "skip")

    def __init__(self, kind: str, effect: Effect | None, control: Control, index: int) -> None:
        self.kind = kind
        self.effect = effect
        self.control = control
        self.index = index
        self.otherwise: tuple[str, int, Control] | None = None
        self.extra: dict[str, Any] = {}
        self.cookie = ""
        self.hw_stats = -1
        self.no_percpu = False
        self.skip = ""

    def note(self, alone: bool) -> ActionNote:
        """What is kept beside the action."""
        return ActionNote(alone, self.cookie, self.hw_stats, self.no_percpu, self.skip if alone else "", self.extra)


class FilterCommand:
    """add, change, replace, delete, get or list; ``seen`` holds the terminals of the frame that were given.

    ``police`` is a policer that was given as the filter's own.
    """

    __slots__ = (
        "actions",
        "block",
        "chain",
        "dev",
        "handle",
        "kind",
        "options",
        "parent",
        "police",
        "prio",
        "protocol",
        "seen",
        "verb",
    )

    def __init__(
        self,
        verb: str,
        dev: str,
        block: int,
        parent: int,
        prio: int,
        protocol: int,
        chain: int,
        kind: str,
        handle: int,
        options: Any,
        actions: list[ActionSpec],
        seen: frozenset[str],
        police: ActionSpec | None = None,
    ) -> None:
        self.verb = verb
        self.dev = dev
        self.block = block
        self.parent = parent
        self.prio = prio
        self.protocol = protocol
        self.chain = chain
        self.kind = kind
        self.handle = handle
        self.options = options
        self.actions = actions
        self.seen = seen
        self.police = police


class ChainCommand(NamedTuple):
    """The same for a chain object; the filter part is its template."""

    filter: FilterCommand


class QdiscCommand(NamedTuple):
    """add, change, replace, delete, link or list of a qdisc; ``words`` holds the frame's words by terminal, ``options`` what follows the kind."""

    verb: str
    dev: str
    kind: str
    words: dict[str, Any]
    handle: int = 0
    parent: int = 0
    ingress_block: int = 0
    egress_block: int = 0
    options: tuple[str, ...] = ()


class ClassCommand(NamedTuple):
    """The same for a class of a qdisc."""

    verb: str
    dev: str
    kind: str
    classid: int
    parent: int
    options: tuple[str, ...]


class ActionName(NamedTuple):
    """An action by kind and index; number 0 for all of a kind."""

    kind: str
    number: int


class ActionsCommand(NamedTuple):
    """add, change, replace with actions; delete, get, list and flush with names."""

    verb: str
    actions: list[ActionSpec]
    names: list[ActionName] = []


class RecordCommand(NamedTuple):
    """``monitor file``: messages out of a file."""

    path: str


Command = FilterCommand | ChainCommand | QdiscCommand | ClassCommand | ActionsCommand | RecordCommand
