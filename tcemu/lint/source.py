"""Looking through what was written: commands, rules and expressions of nft's parse trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.tree import (
    Binop,
    Body,
    Command,
    Element,
    Expr,
    Key,
    ListOf,
    MapOf,
    Prefix,
    Range,
    Rule,
    SetLiteral,
    Stmt,
    Symbol,
    Value,
    Variable,
    Verdict,
)

if TYPE_CHECKING:
    from tcemu.lint.subject import NftText, Subject


PLAIN: Final = frozenset((Key, Symbol, Value, Verdict, Prefix, Range, str, int, bool, type(None)))  # nothing is inside these


def commands(subject: Subject) -> Iterator[tuple[NftText, Command, Command]]:
    """Commands with their members: text, the command, and the command around it (itself where there is none)."""
    for text in subject.nft:
        for command in text.commands:
            yield text, command, command
            if isinstance(command.body, Body):
                for member in command.body.members:
                    inner: Any = member
                    if isinstance(inner, Command):
                        yield text, inner, command


def rules(subject: Subject) -> Iterator[tuple[NftText, Rule, Command]]:
    """Rules as written, with the command that they stand in."""
    for text, command, _outer in commands(subject):
        if command.what == "rule" and isinstance(command.body, Rule):
            yield text, command.body, command
        elif isinstance(command.body, Body):
            for member in command.body.members:
                inner: Any = member
                if isinstance(inner, Rule):
                    yield text, inner, command


def expressions(value: Any, depth: int = 0) -> Iterator[Expr]:
    """An expression and all inside it."""
    if depth > 20:
        return
    if isinstance(value, list | tuple):
        for item in value:
            yield from expressions(item, depth + 1)
    elif isinstance(value, Stmt):
        for item in value.args.values():
            yield from expressions(item, depth + 1)
    elif isinstance(value, Expr):
        yield value
        if isinstance(value, SetLiteral | ListOf):
            yield from expressions(value.items, depth + 1)
        elif isinstance(value, Binop):
            yield from expressions([value.left, value.right], depth + 1)
        elif isinstance(value, Element):
            yield from expressions([value.key, value.data, value.stmts], depth + 1)
        elif isinstance(value, MapOf):
            yield from expressions([value.key, value.mappings], depth + 1)
        elif isinstance(value, Variable):
            yield from expressions(value.value, depth + 1)


def set_literals(subject: Subject) -> Iterator[tuple[NftText, SetLiteral]]:
    """Set literals in rules and in elements of sets."""
    for text, rule, _command in rules(subject):
        for stmt in rule.stmts:
            for value in stmt.args.values():
                if type(value) in PLAIN:
                    continue
                for found in expressions(value):
                    if isinstance(found, SetLiteral):
                        yield text, found
    for text, command, _outer in commands(subject):
        if isinstance(command.body, SetLiteral):
            yield text, command.body
        elif isinstance(command.body, Body) and isinstance(command.body.values.get("elements"), SetLiteral):
            yield text, command.body.values["elements"]
