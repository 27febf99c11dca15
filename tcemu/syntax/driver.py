"""The driver: shift, reduce, recover. Runs an exported table over tokens and hands values over as they are reduced.

An action is called with the children of its rule the moment the rule is reduced, with `Driver.first` and `Driver.last` telling
where in the input the rule begins and ends. A state that holds nothing but one reduction reduces before the next
token is lexed, so that a lexer sees what the reductions did (closed scopes, counted things).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tcemu.syntax.table import DROP, ERROR, KEEP, NO_DEFAULT, SPLICE, Table

Action = Callable[..., Any]


PLAIN: Final = 0  # kinds of reductions: to be worked out by the recipe,
UNIT: Final = 1  # one symbol that becomes another with the same value and nothing done: `Driver.through` passes over many at once,
WHOLE: Final = 2  # all children go to the action,
FIRST: Final = 3  # the children go into a list that the first of them is
BELOW: Final = 1 << 32  # of what `Driver.ways` is looked up by: the state below, the state, the terminal
STATE: Final = 1 << 16
SETTLING: Final = STATE - 1  # instead of a terminal: before one is known


class Driver:
    """One parse. Feed it tokens; `settle` before lexing each, `push` to shift one.

    ``states``, ``values``, ``starts`` and ``ends`` are stacks; places are whatever the lexer counts in.
    """

    __slots__ = (
        "actions",
        "default",
        "eager",
        "ends",
        "first",
        "goal",
        "gotos",
        "kinds",
        "last",
        "length",
        "plain",
        "row_of",
        "rows",
        "rule_of",
        "spliced",
        "starts",
        "states",
        "table",
        "values",
        "ways",
    )

    def __init__(self, table: Table, actions: Mapping[str, Action], start: str = "start") -> None:
        self.table = table
        self.goal: int = table.accept[start]
        self.states: list[int] = [table.starts[start]]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.first = 0
        self.last = 0
        self.rows: list[dict[int, int]] = table.rows
        self.row_of: list[int] = table.row_of
        self.default: list[int] = table.default
        self.eager: bytes = table.eager
        self.length: bytes = table.length
        self.plain: list[int] = table.plain
        self.spliced: bytes = table.spliced
        self.rule_of: list[int] = table.rule_of
        self.gotos: list[tuple[int, dict[int, int]]] = table.gotos
        self.actions: list[Action | None] = []
        self.kinds = b""
        self.ways: dict[int, int] = {}
        self.act(bind(table, actions))

    def act(self, actions: list[Action | None]) -> None:
        """Take these actions, one for each rule."""
        self.actions = actions
        self.kinds = bytes(kind_of(self.table, rule, action is None) for rule, action in enumerate(actions))
        self.ways = self.table.ways.setdefault(self.kinds, {})

    def settle(self) -> None:
        """Make the reductions that need no look at the next token."""
        eager, default, states = self.eager, self.default, self.states
        while eager[states[-1]]:
            rule = default[states[-1]]
            if self.kinds[rule] == UNIT:
                self.through(SETTLING)
            else:
                self.reduce(rule)

    def push(self, terminal: int, value: Any, start: int, end: int) -> bool:
        """Reduce as the terminal wants it, then shift it; False if the state does not take it (nothing shifted then)."""
        states, rows, row_of = self.states, self.rows, self.row_of
        while True:
            state = states[-1]
            action = rows[row_of[state]].get(terminal)
            if action is None:
                rule = self.default[state]
                if rule == NO_DEFAULT:
                    return False
            elif action >= 0:
                states.append(action)
                self.values.append(value)
                self.starts.append(start)
                self.ends.append(end)
                return True
            else:
                rule = -1 - action
            if self.kinds[rule] == UNIT:
                self.through(terminal)
            else:
                self.reduce(rule)

    def through(self, terminal: int) -> None:
        """Make the unit reductions that follow upon each other here: values and places stay, and where they lead is remembered."""
        states = self.states
        below, state = states[-2], states[-1]
        key = below * BELOW + state * STATE + terminal
        target = self.ways.get(key, -1)
        if target < 0:
            target = self.ways[key] = self._way(below, state, terminal)
        states[-1] = target

    def _way(self, below: int, state: int, terminal: int) -> int:
        """The state behind all unit reductions."""
        while True:
            action = None if terminal == SETTLING else self.rows[self.row_of[state]].get(terminal)
            if (terminal == SETTLING and not self.eager[state]) or (action is not None and action >= 0):
                return state
            rule = self.default[state] if action is None else -1 - action
            if rule == NO_DEFAULT or self.kinds[rule] != UNIT:
                return state
            usual, others = self.gotos[self.rule_of[rule]]
            state = others.get(below, usual)

    @property
    def accepted(self) -> bool:
        """The end of the input has been shifted; the value of the start rule is ``values[0]``."""
        return self.states[-1] == self.goal

    def reduce(self, rule: int) -> None:
        """Replace a rule's symbols by its value."""
        values, starts, ends, states = self.values, self.starts, self.ends, self.states
        length = self.length[rule]
        if length == 1:
            start, end = starts.pop(), ends.pop()
            self.first, self.last = start, end
            states.pop()
            children = [values.pop()]
        elif length:
            children = values[-length:]
            start, end = starts[-length], ends[-1]
            self.first, self.last = start, end
            del values[-length:], states[-length:], starts[-length:], ends[-length:]
        else:
            children = []
            end = ends[-1] if ends else 0
            start = max(end - 1, 0)  # the last character before, as in nft
            self.first, self.last = start, end
        action = self.actions[rule]
        if self.spliced[rule]:
            value: Any = self._kept(rule, children)
            if action is not None:
                action(*value)
        elif action is None:
            plain = self.plain[rule]
            if plain >= 0:
                value = children[plain]
            else:
                kept = self._kept(rule, children)
                value = kept[0] if len(kept) == 1 else tuple(kept)
        elif self.kinds[rule] == WHOLE:
            value = action(*children)
        else:
            plain = self.plain[rule]
            value = action(children[plain]) if plain >= 0 else action(*self._kept(rule, children))
        values.append(value)
        starts.append(start)
        ends.append(end)
        usual, others = self.gotos[self.rule_of[rule]]
        states.append(others.get(states[-1], usual))

    def _kept(self, rule: int, children: list[Any]) -> list[Any]:
        """The children that count."""
        kind = self.kinds[rule]
        if kind == WHOLE:
            return children
        if kind == FIRST:
            kept: list[Any] = children[0]
            kept.extend(children[1:])
            return kept
        return gather(self.table.recipe[rule], children)

    def takes(self, terminal: int) -> bool:
        """Would `push` shift this terminal? A trial run on states alone; nothing is changed."""
        table = self.table
        depth = len(self.states)
        above: list[int] = []  # states pushed by the trial, on top of the first `depth` real ones
        while True:
            state = above[-1] if above else self.states[depth - 1]
            action = table.rows[table.row_of[state]].get(terminal)
            if action is not None and action >= 0:
                return True
            rule = table.default[state] if action is None else -1 - action
            if rule == NO_DEFAULT:
                return False
            length = table.length[rule]
            if length <= len(above):
                del above[len(above) - length :]
            else:
                depth -= length - len(above)
                above.clear()
            usual, others = table.gotos[table.rule_of[rule]]
            above.append(others.get(above[-1] if above else self.states[depth - 1], usual))

    def shifts(self) -> list[int]:
        """The terminals that the state itself names, as bison counts what it expected; in order of declaration."""
        row = self.table.rows[self.table.row_of[self.states[-1]]]
        return sorted(terminal for terminal in row if terminal != self.table.number.get(ERROR))

    def recover(self) -> bool:
        """Pop to a state that shifts the error token and shift it; False if there is none. The popped values are lost."""
        table = self.table
        error = table.number[ERROR]
        place = self.ends[-1] if self.ends else 0
        while True:
            action = table.rows[table.row_of[self.states[-1]]].get(error)
            if action is not None and action >= 0:
                self.states.append(action)
                self.values.append(None)
                self.starts.append(place)
                self.ends.append(place)
                return True
            if len(self.states) == 1:
                return False
            self.drop()

    def drop(self) -> None:
        """Forget the newest symbol."""
        for stack in (self.states, self.values, self.starts, self.ends):
            stack.pop()

    def symbols(self) -> list[str]:
        """The names of the symbols on the stack, oldest first; values stand beside them in ``values``."""
        return [self.table.symbol_of[state] for state in self.states[1:]]


def bind(table: Table, actions: Mapping[str, Action]) -> list[Action | None]:
    """Each rule's action, by alias or rule name; the action of a spliced rule is called for its effect alone."""
    return [actions.get(name) for name in table.names]


def kind_of(table: Table, rule: int, idle: bool) -> int:
    """PLAIN, UNIT, WHOLE or FIRST; idle: the rule has no action."""
    recipe = table.recipe[rule]
    if idle and table.plain[rule] == 0 and table.length[rule] == 1 and not table.spliced[rule]:
        return UNIT
    if table.length[rule] == len(recipe) and recipe.count(KEEP) == len(recipe):
        return WHOLE
    if table.length[rule] == len(recipe) > 1 and recipe[0] == SPLICE and recipe.count(KEEP) == len(recipe) - 1:
        return FIRST
    return PLAIN


def gather(recipe: bytes, children: list[Any]) -> list[Any]:
    """The children that count: dropped ones out, lists of spliced rules in (the first of them is grown in place)."""
    if recipe and recipe[0] == SPLICE:
        kept = children[0]
        at = 1
    else:
        kept, at = [], 0
    place = at
    for fate in recipe[at:]:
        if fate == KEEP:
            kept.append(children[place])
        elif fate == SPLICE:
            kept.extend(children[place])
        elif fate != DROP:
            kept.append(None)
            continue
        place += 1
    return kept if isinstance(kept, list) else list(kept)
