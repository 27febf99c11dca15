"""The parser's steps, remembered: lines of a batch, which are much alike, are followed along a tree and not parsed again.

    words --Walk: a tree of paths--> Path --Plan: the actions' calls, one after the other--> value

What the automaton does with a word depends on its stack of states and on which keyword the word is, and on nothing else. A `Node` is such a
stack; its edges say which terminal a word is there, what is reduced before it and behind it, and which stack is left. An edge is
made by the driver of tcemu.syntax when it is first needed. A `Path` is a line's beginning: keywords as they are spelt, and places where any
word stands. What all the reductions along a path come to is a `Plan`: which actions are called, and which words and results they get.
`Walk.parse` gives None where no path leads on, before any action was called: the caller lets `tcemu.syntax.words.parse_words` find out
what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tcemu.syntax.driver import Driver
from tcemu.syntax.table import DROP, KEEP, NO_DEFAULT, SPLICE, Table
from tcemu.syntax.words import WORD, Word
from tcemu.syntax.words import _terminal as terminal_of

LIMIT: Final = 50_000  # paths; a tree that large has met more than lines that are alike
REPEATED: Final = 256  # words kept for a place where any word may stand
ALL: Final = 1 << 30
END: Final = 0
new: Final = str.__new__


class Reduction(NamedTuple):
    """What to do with the values on top: in which way, how many there are, which one is passed on, what becomes of each.

    The action gets no more than the first ``heard`` of them.
    """

    way: int
    length: int
    plain: int
    recipe: bytes
    action: Callable[..., Any] | None
    heard: int = ALL


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


class Path:
    """A line's beginning: the keyword it ends with (``word``), or the words met so far at a place where any word may stand."""

    __slots__ = ("before", "edge", "edges", "node", "other", "place", "plan", "word", "words")

    def __init__(self, before: Path | None, edge: Edge | None, node: Node, place: int, word: Word | None) -> None:
        self.before = before
        self.edge = edge
        self.node = node
        self.place = place  # of the last word
        self.word = word
        self.words: dict[str, Word] = {}
        self.edges: dict[str, Path] = {}
        self.other: Path | None = None
        self.plan: Plan | None = None

    def spell(self, text: str) -> Word:
        """The word that a text is here."""
        found = self.words.get(text)
        if found is None:
            assert self.edge is not None
            found = spelt_as(text, self.place, self.edge.terminal)
            if len(self.words) < REPEATED:
                self.words[text] = found
        return found


def spelt_as(text: str, place: int, terminal: str) -> Word:
    """A word, without the detour of its class."""
    word: Word = new(Word, text)
    word.place = place
    word.terminal = terminal
    return word


class Walk:
    """A tree for one table and one set of actions. ``heard`` says of some actions how many of the values they look at."""

    def __init__(
        self,
        table: Table,
        actions: Mapping[str, Callable[..., Any]],
        heard: Mapping[str, int],
        start: str = "start",
    ) -> None:
        self.table = table
        self.actions = actions
        self.heard = heard
        self.spelt = table.spelling()
        self.driver = Driver(table, {}, start)
        self.first: list[int] = list(self.driver.states)
        self.reductions: dict[int, Reduction | None] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.nodes: dict[tuple[int, ...], Node] = {}
        self.count = 0
        self.root = Path(None, None, self.node(self.first), -1, None)

    def node(self, states: Sequence[int]) -> Node:
        """The node of a stack."""
        key = tuple(states)
        found = self.nodes.get(key)
        if found is None:
            found = self.nodes[key] = Node(key)
        return found

    def parse(self, words: Sequence[str]) -> Any:
        """The value of the words, or None if they are no sentence of the grammar."""
        path = self.root
        said: list[Word] = []
        spelt = self.spelt
        for text in words:
            after = path.edges.get(text)
            if after is None:
                if text not in spelt:
                    after = path.other
                if after is None:
                    after = self.grown(path, text)
                    if after is None:
                        return None
            word = after.word
            said.append(after.spell(text) if word is None else word)
            path = after
        plan = path.plan
        if plan is None:
            plan = self.planned(path)
            if plan is None:
                return None
        return plan.run(said)

    def grown(self, path: Path, text: str) -> Path | None:
        """The path that a word leads to, made now; None if the word cannot stand there."""
        node = path.node
        edge = node.edges.get(text)
        if edge is None and text not in self.spelt:
            edge = node.other
        if edge is None:
            edge = self.edge(node, text)
            if edge is None:
                return None
        place = path.place + 1
        anything = text not in self.spelt and edge.terminal == WORD
        made = Path(path, edge, edge.to, place, None if anything else spelt_as(text, place, edge.terminal))
        self.count += 1
        if self.count >= LIMIT:
            self.clear()
        elif anything:
            path.other = made
        else:
            path.edges[text] = made
        return made

    def planned(self, path: Path) -> Plan | None:
        """What a whole line comes to; None if more words are wanted."""
        end = path.node.edges.get("") or self.edge(path.node, None)
        if end is None:
            return None
        edges: list[Edge] = []
        at: Path | None = path
        while at is not None:
            if at.edge is not None:
                edges.append(at.edge)
            at = at.before
        making = Making()
        for place, edge in enumerate(reversed(edges)):
            for reduction in edge.before:
                making.reduce(reduction)
            making.values.append(Source(ONE_WORD, place, ()))
            for reduction in edge.behind:
                making.reduce(reduction)
        for reduction in end.before:
            making.reduce(reduction)
        path.plan = Plan(making.calls, making.values[0])
        return path.plan

    def edge(self, node: Node, text: str | None) -> Edge | None:
        """Make an edge for a word, or for the end of the words."""
        table = self.table
        driver = self.driver
        driver.states = list(node.states)
        if text is None:
            terminal = END if driver.takes(END) else -1
        else:
            terminal = terminal_of(driver, self.spelt, text)
        if terminal < 0:
            return None
        before, behind = self.shift(driver.states, terminal)
        made = Edge(before, table.terminals[terminal], behind, self.node(driver.states))
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
        if rule not in self.reductions:
            self.reductions[rule] = self.reduction(rule)
        reduction = self.reductions[rule]
        if reduction is not None:
            into.append(reduction)

    def reduction(self, rule: int) -> Reduction | None:
        """What a rule does with its values; None if it leaves them as they are."""
        table = self.table
        length, plain, recipe = table.length[rule], table.plain[rule], table.recipe[rule]
        action, heard = self.actions.get(table.names[rule]), self.heard.get(table.names[rule], ALL)
        if table.spliced[rule]:
            grows = action is None and bytes(recipe) == bytes((SPLICE, KEEP)) and length == 2
            return Reduction(GROW if grows else LIST, length, 0, recipe, action, heard)
        if plain >= 0:
            return None if action is None and length == 1 else Reduction(PASS, length, plain - length, recipe, action)
        whole = action is not None and length > 0 and len(recipe) == length and all(fate == KEEP for fate in recipe)
        return Reduction(CALL if whole else TUPLE, length, 0, recipe, action, heard)


# ---------------------------------------------------------------- plans
ONE_WORD: Final = 0  # sources of arguments: the word at a place,
RESULT: Final = 1  # what a call gave,
NOTHING: Final = 2  # a child that is not there,
SEVERAL: Final = 3  # a tuple of other sources,
ROW: Final = 4  # a list of them, which goes into another one or is passed over


class Source:
    """Where an argument comes from: a word or a result by number, or several other sources together."""

    __slots__ = ("number", "parts", "way")

    def __init__(self, way: int, number: int, parts: tuple[Source, ...]) -> None:
        self.way = way
        self.number = number
        self.parts = parts

    def value(self, words: list[Word], results: list[Any]) -> Any:
        """The argument."""
        if self.way == ONE_WORD:
            return words[self.number]
        if self.way == RESULT:
            return results[self.number]
        if self.way == NOTHING:
            return None
        parts = [part.value(words, results) for part in self.parts]
        return parts if self.way == ROW else tuple(parts)


class Call:
    """A call of an action: with one word, with two, or with anything."""

    __slots__ = ("action", "first", "second", "sources")

    def __init__(self, action: Callable[..., Any], sources: list[Source]) -> None:
        self.action = action
        self.sources = sources
        plain = len(sources) in (1, 2) and all(source.way == ONE_WORD for source in sources)
        self.first = sources[0].number if plain else -1
        self.second = sources[1].number if plain and len(sources) == 2 else -1


class Plan:
    """The calls that a line makes, and where its value comes from."""

    __slots__ = ("calls", "end")

    def __init__(self, calls: list[Call], end: Source) -> None:
        self.calls = calls
        self.end = end

    def run(self, words: list[Word]) -> Any:
        """Call the actions for a line; its value."""
        results: list[Any] = []
        for call in self.calls:
            if call.second >= 0:
                results.append(call.action(words[call.first], words[call.second]))
            elif call.first >= 0:
                results.append(call.action(words[call.first]))
            else:
                results.append(call.action(*[source.value(words, results) for source in call.sources]))
        return self.end.value(words, results)


class Making:
    """A plan in the making: the parser's stack of values, of which it is only known where they come from."""

    __slots__ = ("calls", "values")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.values: list[Source] = []

    def reduce(self, reduction: Reduction) -> None:
        """Replace values by the one that a rule makes of them."""
        way, length, plain, recipe, action, heard = reduction
        taken = self.values[-length:] if length else []
        value: Source
        if way == GROW:
            value = Source(ROW, 0, (*taken[0].parts, taken[1]))
        elif way == PASS:
            value = taken[length + plain] if action is None else self.call(action, [taken[length + plain]])
        elif way == CALL:
            assert action is not None
            value = self.call(action, taken[:heard])
        else:
            kept = gathered(recipe, taken)
            if way == LIST:
                value = Source(ROW, 0, tuple(kept))
                if action is not None:
                    self.call(action, kept[:heard])
            elif action is not None:
                value = self.call(action, kept[:heard])
            else:
                value = kept[0] if len(kept) == 1 else Source(SEVERAL, 0, tuple(kept))
        if length:
            del self.values[-length:]
        self.values.append(value)

    def call(self, action: Callable[..., Any], sources: list[Source]) -> Source:
        """Another call; what it gives."""
        self.calls.append(Call(action, sources))
        return Source(RESULT, len(self.calls) - 1, ())


def gathered(recipe: bytes, children: list[Source]) -> list[Source]:
    """The children that count (`tcemu.syntax.driver.gather`)."""
    kept: list[Source] = []
    place = 0
    for fate in recipe:
        if fate == KEEP:
            kept.append(children[place])
        elif fate == SPLICE:
            kept.extend(children[place].parts)
        elif fate != DROP:
            kept.append(Source(NOTHING, 0, ()))
            continue
        place += 1
    return kept
