"""The parser's steps, remembered: a tree of parse stacks, so that the lines of a batch, which are much alike, are walked and not decided again.

What the automaton does with a word depends on its stack of states and on which keyword the word is, and on nothing else. A `Node` is such a
stack; its edges say which terminal a word is there, what is reduced before it and behind it, and which stack is left. An edge is
made by the driver of tcemu.syntax when it is first needed. `Walk.parse` gives None where no edge leads on: the caller lets
`tcemu.syntax.words.parse_words` find out what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tcemu.syntax.driver import Driver, gather
from tcemu.syntax.table import KEEP, NO_DEFAULT, Table
from tcemu.syntax.words import WORD, Word, _terminal as terminal_of

LIMIT: Final = 50_000  # edges; a tree that large has met more than lines that are alike
END: Final = 0
new: Final = str.__new__


class Reduction(NamedTuple):
    """What to do with the values on top: how many there are, which one is passed on (or 0, else counted from the top), whether all count,
    what becomes of each, and the action."""

    length: int
    plain: int
    whole: bool
    recipe: bytes
    spliced: bool
    action: Callable[..., Any] | None


class Edge(NamedTuple):
    """A word's way: reductions before it, its terminal, reductions that need no look at the next, and the stack then."""

    before: tuple[Reduction, ...]
    terminal: str
    behind: tuple[Reduction, ...]
    to: Node


class Node:
    """A stack of states, and where words lead from there: keywords by spelling, any other word by `other`."""

    __slots__ = ("edges", "other", "states")

    def __init__(self, states: tuple[int, ...]) -> None:
        self.states = states
        self.edges: dict[str, Edge] = {}
        self.other: Edge | None = None


class Walk:
    """A tree for one table and one set of actions."""

    def __init__(self, table: Table, actions: Mapping[str, Callable[..., Any]], start: str = "start") -> None:
        self.table = table
        self.actions = actions
        self.start = start
        self.spelt = table.spelling()
        self.plan: dict[int, Reduction | None] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.nodes: dict[tuple[int, ...], Node] = {}
        self.count = 0
        driver = Driver(self.table, {}, self.start)
        self.root = self.node(driver.states)

    def node(self, states: Sequence[int]) -> Node:
        """The node of a stack."""
        key = tuple(states)
        found = self.nodes.get(key)
        if found is None:
            found = self.nodes[key] = Node(key)
        return found

    def parse(self, words: Sequence[str]) -> Any:
        """The value of the words, or None if they are no sentence of the grammar."""
        node = self.root
        values: list[Any] = []
        spelt = self.spelt
        for place, text in enumerate(words):
            edge = node.edges.get(text)
            if edge is None:
                if text not in spelt:
                    edge = node.other
                if edge is None:
                    edge = self.edge(node, text)
                    if edge is None:
                        return None
            for reduction in edge.before:
                reduce(values, reduction)
            word = new(Word, text)
            word.place = place
            word.terminal = edge.terminal
            values.append(word)
            for reduction in edge.behind:
                reduce(values, reduction)
            node = edge.to
        edge = node.edges.get("") or self.edge(node, None)
        if edge is None:
            return None
        for reduction in edge.before:
            reduce(values, reduction)
        return values[0]

    def edge(self, node: Node, text: str | None) -> Edge | None:
        """Make an edge for a word, or for the end of the words."""
        table = self.table
        driver = Driver(table, {}, self.start)
        driver.states = list(node.states)
        if text is None:
            terminal = END if driver.takes(END) else -1
        else:
            terminal = terminal_of(driver, self.spelt, text)
        if terminal < 0:
            return None
        before, behind = self.shift(driver.states, terminal)
        made = Edge(before, table.terminals[terminal], behind, self.node(driver.states))
        if self.count >= LIMIT:
            self.clear()
            return made
        self.count += 1
        if text is None:
            node.edges[""] = made
        elif text not in self.spelt and terminal == table.number[WORD]:
            node.other = made
        elif text:
            node.edges[text] = made
        return made

    def shift(self, states: list[int], terminal: int) -> tuple[tuple[Reduction, ...], tuple[Reduction, ...]]:
        """Do with a stack what the driver does for a terminal that it takes: the reductions before and behind."""
        table = self.table
        before: list[Reduction] = []
        while True:
            state = states[-1]
            action = table.rows[table.row_of[state]].get(terminal)
            if action is not None and action >= 0:
                states.append(action)
                break
            rule = table.default[state] if action is None else -1 - action
            assert rule != NO_DEFAULT, "the trial run and the driver differ"
            self.reduced(states, rule, before)
        behind: list[Reduction] = []
        while table.eager[states[-1]]:
            self.reduced(states, table.default[states[-1]], behind)
        return tuple(before), tuple(behind)

    def reduced(self, states: list[int], rule: int, into: list[Reduction]) -> None:
        """Replace a rule's states by the one that follows, and note what it does with the values, if anything."""
        table = self.table
        length = table.length[rule]
        if length:
            del states[-length:]
        usual, others = table.gotos[table.rule_of[rule]]
        states.append(others.get(states[-1], usual))
        if rule not in self.plan:
            action = self.actions.get(table.names[rule])
            spliced, plain = table.spliced[rule], table.plain[rule]
            idle = action is None and not spliced and plain == 0 and length == 1
            recipe = table.recipe[rule]
            whole = not spliced and len(recipe) == length and all(fate == KEEP for fate in recipe)
            self.plan[rule] = None if idle else Reduction(length, plain - length if plain >= 0 and not spliced else 0, whole, recipe, spliced, action)
        reduction = self.plan[rule]
        if reduction is not None:
            into.append(reduction)


def reduce(values: list[Any], reduction: Reduction) -> None:
    """Replace values by the one that a rule makes of them."""
    length, plain, whole, recipe, spliced, action = reduction
    if plain:
        value = values[plain]
        if action is not None:
            value = action(value)
    elif whole and action is not None:
        value = action(*values[-length:]) if length else action()
    else:
        kept = gather(recipe, values[-length:] if length else [])
        if spliced:
            if action is not None:
                action(*kept)
            value = kept
        elif action is not None:
            value = action(*kept)
        else:
            value = kept[0] if len(kept) == 1 else tuple(kept)
    if length == 1:
        values[-1] = value
    elif length:
        del values[-length:]
        values.append(value)
    else:
        values.append(value)
