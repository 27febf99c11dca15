"""The driver: shift, reduce, recover. Runs an exported table over tokens and hands values over as they are reduced.

An action is called with the children of its rule the moment the rule is reduced, with `Driver.first` and `Driver.last` telling
where in the input the rule begins and ends. A state that holds nothing but one reduction reduces before the next
token is lexed, so that a lexer sees what the reductions did (closed scopes, counted things).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tcemu.syntax.table import DROP, ERROR, KEEP, NO_DEFAULT, SPLICE, Table

Action = Callable[..., Any]


class Driver:
    """One parse. Feed it tokens; `settle` before lexing each, `push` to shift one.

    ``states``, ``values``, ``starts`` and ``ends`` are stacks; places are whatever the lexer counts in.
    """

    __slots__ = ("actions", "ends", "first", "goal", "last", "starts", "states", "table", "values")

    def __init__(self, table: Table, actions: Mapping[str, Action], start: str = "start") -> None:
        self.table = table
        self.goal = table.accept[start]
        self.states = [table.starts[start]]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.first = 0
        self.last = 0
        self.actions = bind(table, actions)

    def settle(self) -> None:
        """Make the reductions that need no look at the next token."""
        eager, default = self.table.eager, self.table.default
        while eager[self.states[-1]]:
            self.reduce(default[self.states[-1]])

    def push(self, terminal: int, value: Any, start: int, end: int) -> bool:
        """Reduce as the terminal wants it, then shift it; False if the state does not take it (nothing shifted then)."""
        table, states = self.table, self.states
        while True:
            state = states[-1]
            action = table.rows[table.row_of[state]].get(terminal)
            if action is None:
                rule = table.default[state]
                if rule == NO_DEFAULT:
                    return False
                self.reduce(rule)
            elif action >= 0:
                states.append(action)
                self.values.append(value)
                self.starts.append(start)
                self.ends.append(end)
                return True
            else:
                self.reduce(-1 - action)

    @property
    def accepted(self) -> bool:
        """The end of the input has been shifted; the value of the start rule is ``values[0]``."""
        return self.states[-1] == self.goal

    def reduce(self, rule: int) -> None:
        """Replace a rule's symbols by its value."""
        table, values = self.table, self.values
        length = table.length[rule]
        if length:
            children = values[-length:]
            self.first, self.last = self.starts[-length], self.ends[-1]
            del values[-length:], self.states[-length:], self.starts[-length:], self.ends[-length:]
        else:
            children = []
            self.last = self.ends[-1] if self.ends else 0
            self.first = max(self.last - 1, 0)  # as bison's parsers of nft have it: the last character before
        start, end = self.first, self.last
        values.append(self._value(rule, children))
        self.starts.append(start)
        self.ends.append(end)
        usual, others = table.gotos[table.rule_of[rule]]
        self.states.append(others.get(self.states[-1], usual))

    def _value(self, rule: int, children: list[Any]) -> Any:
        table = self.table
        plain, action = table.plain[rule], self.actions[rule]
        if table.spliced[rule]:
            kept = gather(table.recipe[rule], children)
            if action is not None:
                action(*kept)
            return kept
        if plain >= 0:
            return children[plain] if action is None else action(children[plain])
        kept = gather(table.recipe[rule], children)
        if action is not None:
            return action(*kept)
        return kept[0] if len(kept) == 1 else tuple(kept)

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
