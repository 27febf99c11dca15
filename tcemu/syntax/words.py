"""The lexer for words from argv (tc): what a word is, the state of the parser decides.

An exact keyword that the state takes; else a plain word, if the state takes one; else the first keyword in order of declaration
that the state takes and that begins so. tc's own parsers compare in that order (iproute2 lib/utils.c
matches(); facts/parsing.md section 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tcemu.diagnostics import SyntaxFailure, near
from tcemu.syntax.driver import Action, Driver
from tcemu.syntax.table import Table

WORD: Final = "WORD"


class Word(str):
    """A word with its place in the argument list and the terminal that it became."""

    __slots__ = ("place", "terminal")
    place: int
    terminal: str

    def __new__(cls, text: str, place: int, terminal: str) -> Word:
        self = super().__new__(cls, text)
        self.place = place
        self.terminal = terminal
        return self


class WordFailure(SyntaxFailure):
    """A word that the grammar does not take (``index == len(words)``: the words ended too early).

    ``expected``: keywords that would do, in order of declaration, "WORD" last if any plain word would. ``symbols`` and
    ``values``: the parse stack, oldest first.
    """

    def __init__(self, words: Sequence[str], index: int, expected: Sequence[str], driver: Driver) -> None:
        self.index = index
        self.word = words[index] if index < len(words) else ""
        self.expected = tuple(expected)
        self.symbols = driver.symbols()
        self.values = list(driver.values)
        if index < len(words):
            hint = near(self.word, [word for word in expected if word != WORD])
            message = f'what is "{self.word}"?' + (f' (did you mean "{hint}"?)' if hint else "")
        else:
            message = "the command ends too early"
        super().__init__(message)


def parse_words(table: Table, words: Sequence[str], actions: Mapping[str, Action], start: str = "start") -> Any:
    """Parse words; the value of the start rule. Raises WordFailure, and whatever an action raises."""
    driver = Driver(table, actions, start)
    spelt = table.spelling()
    for index, text in enumerate(words):
        driver.settle()
        terminal = _terminal(driver, spelt, text)
        if terminal < 0:
            raise WordFailure(words, index, expected(driver), driver)
        shifted = driver.push(terminal, Word(text, index, table.terminals[terminal]), index, index + 1)
        assert shifted, "the trial run and the driver differ"
    driver.settle()
    if not driver.takes(0):
        raise WordFailure(words, len(words), expected(driver), driver)
    driver.push(0, None, len(words), len(words))
    return driver.values[0]


def expected(driver: Driver) -> list[str]:
    """The keywords (first spelling) that would do, and WORD if any word would; asked only when something failed."""
    table = driver.table
    found = [spellings[0] for terminal, spellings in enumerate(table.keywords) if spellings and driver.takes(terminal)]
    return [*found, WORD] if WORD in table.number and driver.takes(table.number[WORD]) else found


def _terminal(driver: Driver, spelt: dict[str, list[int]], text: str) -> int:
    """The terminal that a word is here, or -1."""
    for terminal in spelt.get(text, ()):
        if driver.takes(terminal):
            return terminal
    table = driver.table
    word = table.number.get(WORD, -1)
    if word >= 0 and driver.takes(word):
        return word
    for terminal, spellings in enumerate(table.keywords):
        if spellings and not table.whole[terminal]:
            for spelling in spellings:
                if spelling.startswith(text) and driver.takes(terminal):
                    return terminal
    return -1
