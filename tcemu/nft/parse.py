"""From text to commands: the loop of lexer and driver, its errors and recovery as bison's, defines and includes.

Actions live beside what they concern: commands and blocks in `tcemu.nft.blocks`, expressions and statements in the files of their
kind. An action is called with this parser and its rule's children; ``parser.at`` is the stretch of its rule.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from tcemu.nft.errors import NftError, closest
from tcemu.nft.lexer import Lexer
from tcemu.nft.members_fast import take
from tcemu.nft.tree import At, Body, Command, Expr
from tcemu.syntax.driver import Driver
from tcemu.syntax.table import load

MAX_ERRORS: Final = 10  # nft stops reading after as many
MAX_INCLUDES: Final = 16  # nftables include/parser.h MAX_INCLUDE_DEPTH

NAMES: Final = {
    "$END": "end of file",
    "_EOF": "end of file",
    "JUNK": "junk",
    "_NEWLINE": "newline",
    "COLON": "colon",
    "SEMICOLON": "semicolon",
    "COMMA": "comma",
    "NUM": "number",
    "STRING": "string",
    "QSTRING": "quoted string",
    "ASTRING": "string with a trailing asterisk",
    "SEQUENCE": "seq",
    **{
        name: f"'{sign}'"
        for name, sign in zip(("ASSIGN", "LBRACE", "RBRACE", "LPAR", "RPAR", "LSQB", "RSQB", "PIPE", "DOLLAR"), "={}()[]|$", strict=True)
    },
}

NEWER: Final = frozenset(
    ("destroy", "last", "vxlan", "geneve", "gre", "gretap", "taddr", "check")
)  # words of nft 1.0.7 and later, also names, of which messages do not speak

Action = Callable[..., Any]


class Stop(Exception):
    """No more is read."""


class Parser:
    """One run over a text and what it includes."""

    def __init__(self, name: str, text: str, include_dirs: list[str] | None = None) -> None:
        table = load("nft")
        self.lexer = Lexer(table, name, text)
        self.include_dirs = include_dirs or []
        self.commands: list[Command] = []
        self.errors: list[NftError] = []
        self.scopes: list[dict[str, Expr]] = [{}]
        self.pending: Any = None  # what the block that is being read is about (`tcemu.nft.blocks`)
        self.newest = True
        self._seen = 0
        self._quiet = 0
        self.driver = Driver(table, {})
        self.driver.act([action and partial(action, self) for action in _bound(table.names)])

    @property
    def at(self) -> At:
        """The stretch of the rule that is being reduced."""
        return self.driver.first, self.driver.last

    def error(self, message: str, *places: At) -> NftError:
        """An error to raise out of an action."""
        return NftError(message, *(places or (self.at,)))

    def newer(self, what: str) -> None:
        """Syntax that nft 1.0.6 does not have; an error where only that is wanted."""
        if not self.newest:
            raise self.error(f"{what} needs a newer nft than 1.0.6")

    def run(self) -> None:
        """Read everything; commands and errors are then in the lists of those names."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._loop()
        except Stop:
            pass
        finally:
            if collecting:
                gc.enable()

    def _loop(self) -> None:
        driver, lexer = self.driver, self.lexer
        ends, comma, names = driver.table.number["_EOF"], driver.table.number["COMMA"], driver.table.symbol_of
        terminal = -1
        while not driver.accepted:
            try:
                driver.settle()
                if terminal < 0:
                    terminal = lexer.next()
                if driver.push(terminal, lexer.value, lexer.start, lexer.end):
                    if terminal == comma and names[driver.states[-2]] == "element_list":
                        end = take(lexer, driver.values[-2])
                        driver.ends[-1] = max(end, driver.ends[-1])
                    terminal = 0 if terminal == ends else -1
                    self._quiet = max(self._quiet - 1, 0)
                    continue
                self._syntax_error(terminal)
                if self._quiet == 3:
                    if lexer.terminal == ends:
                        raise Stop
                    terminal = -1
            except NftError as error:
                self.errors.append(error)
                if len(self.errors) >= MAX_ERRORS * 2:
                    raise Stop from None
                if error.ends_block:
                    self._leave()
            self._quiet = 3
            if not driver.recover():
                raise Stop
            self._unwind()

    def _leave(self) -> None:
        """Drop what has been read of a block, down to its beginning, as bison does where the rule of a whole block fails."""
        driver = self.driver
        while driver.values and driver.values[-1] is not self.pending:
            driver.drop()
        if driver.values:
            driver.drop()

    def _unwind(self) -> None:
        """Leave the blocks that the mistake ended."""
        body = next((value for value in reversed(self.driver.values) if isinstance(value, Body)), None)
        while self.pending is not None and self.pending is not body:
            self.pending = self.pending.values.pop("outer")
            self.scopes.pop()

    def _syntax_error(self, terminal: int) -> None:
        if self._quiet:
            return
        names = self.driver.table.terminals
        text = f"syntax error, unexpected {display(names[terminal])}"
        expected = [word for word in (display(names[number]) for number in self.driver.shifts()) if word not in NEWER]
        if 1 <= len(expected) <= 4:
            text += ", expecting " + " or ".join(expected)
        self.errors.append(NftError(text, (self.lexer.start, self.lexer.end)))

    def recovered(self) -> None:
        """The error rule was reduced: speak again, unless there were too many."""
        self._quiet = 0
        self._seen += 1
        if self._seen == MAX_ERRORS:
            raise Stop

    # ------------------------------------------------------------ defines
    def lookup(self, name: str) -> Expr | None:
        """The value of a variable in the innermost scope that has it."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def unknown(self, name: str, at: At) -> NftError:
        """The error for a variable that nobody defined."""
        near = closest(name, [known for scope in reversed(self.scopes) for known in reversed(scope)])
        hint = f"; did you mean identifier ‘{near}’?" if near else ""
        return NftError(f"unknown identifier '{name}'{hint}", at)


def display(name: str) -> str:
    """A terminal's name in messages."""
    known = NAMES.get(name)
    if known is not None:
        return known
    table = load("nft")
    return table.keywords[table.number[name]][0]


_actions: list[Action | None] = []


def _bound(names: list[str]) -> list[Action | None]:
    """The action of each rule, by name; gathered once."""
    if not _actions:
        from tcemu.nft import blocks, expressions, frame, statements

        known: Mapping[str, Action] = {**frame.ACTIONS, **blocks.ACTIONS, **expressions.ACTIONS, **statements.ACTIONS}
        _actions.extend(known.get(name) or (_closer(name[7:]) if name.startswith("_close_") else None) for name in names)
    return _actions


def _closer(scope: str) -> Action:
    return lambda parser: parser.lexer.scopes.close(scope)
