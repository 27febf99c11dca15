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
from tcemu.syntax.table import KEEP, NO_DEFAULT, SPLICE, Table
from tcemu.syntax.words import WORD, Word
from tcemu.syntax.words import _terminal as terminal_of

LIMIT: Final = 50_000  # edges; a tree that large has met more than lines that are alike
END: Final = 0
new: Final = str.__new__


class Reduction(NamedTuple):
    """What to do with the values on top: in which way, how many there are, which one is passed on, what becomes of each, and the action."""

    way: int
    length: int
    plain: int
    recipe: bytes
    action: Callable[..., Any] | None


PASS: Final = 0  # one value, through the action if there is one
CALL: Final = 1  # all values to the action
GROW: Final = 2  # a list gets another item
LIST: Final = 3  # a list of what counts
TUPLE: Final = 4  # what counts, through the action if there is one


class Node:
    """A stack of states, and where words lead from there: keywords by spelling, any other word by `other`."""

    __slots__ = ("edges", "other", "states")

    def __init__(self, states: tuple[int, ...]) -> None:
        self.states = states
        self.edges: dict[str, Edge] = {}
        self.other: Edge | None = None


class Edge:
    """A word's way: reductions before it, its terminal, reductions that need no look at the next, and the stack then."""

    __slots__ = ("before", "behind", "terminal", "to")

    def __init__(self, before: tuple[Reduction, ...], terminal: str, behind: tuple[Reduction, ...], to: Node) -> None:
        self.before = before
        self.terminal = terminal
        self.behind = behind
        self.to = to


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
            self.plan[rule] = self.planned(rule)
        reduction = self.plan[rule]
        if reduction is not None:
            into.append(reduction)

    def planned(self, rule: int) -> Reduction | None:
        """What a rule does with its values; None if it leaves them as they are."""
        table = self.table
        length, plain, recipe, action = table.length[rule], table.plain[rule], table.recipe[rule], self.actions.get(table.names[rule])
        if table.spliced[rule]:
            grows = action is None and bytes(recipe) == bytes((SPLICE, KEEP)) and length == 2
            return Reduction(GROW if grows else LIST, length, 0, recipe, action)
        if plain >= 0:
            return None if action is None and length == 1 else Reduction(PASS, length, plain - length, recipe, action)
        whole = action is not None and length > 0 and len(recipe) == length and all(fate == KEEP for fate in recipe)
        return Reduction(CALL if whole else TUPLE, length, 0, recipe, action)


def reduce(values: list[Any], reduction: Reduction) -> None:
    """Replace values by the one that a rule makes of them."""
    way, length, plain, recipe, action = reduction
    if way == GROW:
        item = values.pop()
        values[-1].append(item)
        return
    value: Any
    if way == PASS:
        value = values[plain] if action is None else action(values[plain])
    elif way == CALL:
        assert action is not None
        value = action(*values[-length:])
    else:
        value = gather(recipe, values[-length:] if length else [])
        if way == LIST:
            if action is not None:
                action(*value)
        elif action is not None:
            value = action(*value)
        else:
            value = value[0] if len(value) == 1 else tuple(value)
    if length == 1:
        values[-1] = value
    else:
        if length:
            del values[-length:]
        values.append(value)
