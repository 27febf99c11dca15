"""Texts of nft: parsed, evaluated and applied with the front end that `tcemu nft` is, keeping where everything was written."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any, Final

from tcemu.lint.subject import NftText, Origin, Subject
from tcemu.nft.commands import Options, output
from tcemu.nft.evaluate import Scope
from tcemu.nft.parse import Parser
from tcemu.nft.run import Run
from tcemu.nft.tree import Body, Command, Spec

NOUNS: Final = {"set": "set", "map": "set", "flowtable": "flowtable", "chain": ""}


class LintRun(Run):
    """A run that keeps which rule came from where and does not stop at ten mistakes."""

    def __init__(self, subject: Subject, text: NftText) -> None:
        super().__init__(subject.world, output(Options(), subject.world))
        self.subject, self.text_read = subject, text
        self.scopes: list[Scope] = []

    def all(self, commands: list[Command]) -> None:
        """Do all commands, whatever is wrong with some."""
        for command in commands:
            self.one(command)
        self.kernel.save()

    def scope(self, spec: Spec) -> Scope:
        made = super().scope(spec)
        self.scopes.append(made)
        return made

    def attempt(self, act: Callable[[Run, Command], Any], command: Command) -> None:
        watched = getattr(self.subject.world, "watched", None)
        if command.what != "rule" or watched is None:
            super().attempt(act, command)
            return
        self.scopes.clear()
        super().attempt(act, command)
        scope = self.scopes[0] if self.scopes else None
        for key in watched.take():
            if key in self.subject.places:
                continue
            span = self.subject.span(self.text_read, command.body.at if command.body is not None else command.at)
            if span is not None:
                self.subject.places[key] = span
            if scope is not None:
                self.subject.written[key] = (self.text_read, scope.done)


def load_text(subject: Subject, path: str, content: str, origins: list[Origin] | None = None) -> None:
    """Read a text of nft commands."""
    folder = os.path.dirname(path)
    parser = Parser(path, content, [folder] if folder else [])
    parser.run()
    apply(subject, parser, list(parser.errors), origins)


def apply(subject: Subject, parser: Parser, errors: list[Any], origins: list[Origin] | None = None) -> None:
    """Do what a parser read."""
    text = NftText(parser, errors, origins)
    for source in parser.lexer.sources[1:]:
        subject.texts.setdefault(source.name, source.text.split("\n"))
    run = LintRun(subject, text)
    collecting = gc.isenabled()
    gc.disable()  # what a command makes is let go by counting
    try:
        run.all(parser.commands)
    finally:
        if collecting:
            gc.enable()
    text.errors += [*run.errors, *run.refusals, *run.unreachable]
    subject.nft.append(text)
    for command in parser.commands:
        _keep_places(subject, text, command, command.spec)


def _keep_places(subject: Subject, text: NftText, command: Command, table: Spec) -> None:
    """Where tables, chains, sets, flowtables and objects are written."""
    if command.op not in ("add", "create", "insert") or command.what in ("rule", "element"):
        return
    key = f"{table.family} {table.table}"
    spec = command.spec
    if command.what == "table":
        at = spec.table_at if spec.table_at[0] >= 0 else command.at
    else:
        name = spec.name
        kind = NOUNS.get(command.what, command.what)
        key = f"{key}/{kind} {name}" if kind else f"{key}/{name}"
        at = spec.name_at if spec.name_at[0] >= 0 else command.at
    span = subject.span(text, at)
    if span is not None:
        subject.places.setdefault(key, span)
    if command.what == "table" and isinstance(command.body, Body):
        for member in command.body.members:
            if isinstance(member, Command):
                _keep_places(subject, text, member, table)


def load_json(subject: Subject, path: str, content: str) -> None:
    """Read what ``nft -j list ruleset`` printed."""
    from tcemu.nft.read_json import fill

    parser = Parser(path, content, [])
    apply(subject, parser, fill(parser, content))
