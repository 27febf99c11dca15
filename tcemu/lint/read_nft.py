"""Texts of nft: parsed, evaluated and applied with the front end that `tcemu nft` is, keeping where everything was written."""

from __future__ import annotations

import gc
import os
import zlib
from collections.abc import Callable
from typing import Any, Final

from tcemu.host.devices import valid_name
from tcemu.lint.subject import NftText, Origin, Subject
from tcemu.nft.commands import Options, output
from tcemu.nft.evaluate import Scope
from tcemu.nft.friendly import make_device
from tcemu.nft.names import Names
from tcemu.nft.parse import Parser
from tcemu.nft.run import Run
from tcemu.nft.tree import Body, Command, Spec
from tcemu.world import World

NOUNS: Final = {"set": "set", "map": "set", "flowtable": "flowtable", "chain": ""}


class Guessed(Names):
    """Names of a machine that nobody described: devices, users, groups and labels are taken to be there."""

    def __init__(self, world: World) -> None:
        super().__init__(world.host)
        self.world = world

    def device_index(self, name: str) -> int | None:
        found = super().device_index(name)
        if found is None and valid_name(name):
            make_device(self.world, name)
            found = super().device_index(name)
        return found

    def user(self, name: str) -> int | None:
        found = super().user(name)
        return zlib.crc32(name.encode()) if found is None else found

    def group(self, name: str) -> int | None:
        found = super().group(name)
        return zlib.crc32(name.encode()) if found is None else found

    def label(self, name: str) -> int | None:
        return zlib.crc32(name.encode()) & 127


class LintRun(Run):
    """A run that keeps which rule came from where and does not stop at ten mistakes."""

    def __init__(self, subject: Subject, text: NftText) -> None:
        out = output(Options(), subject.world)
        if not subject.known_host:
            out.names = Guessed(subject.world)
        super().__init__(subject.world, out)
        self.subject, self.text_read = subject, text
        self.lists = False
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
        outer, self.scopes = self.scopes, []  # a rule may bring a chain with rules of its own
        super().attempt(act, command)
        scope = self.scopes[0] if self.scopes else None
        self.scopes = outer
        for key in watched.take():
            if key in self.subject.places:
                continue
            at = command.body.at if command.body is not None else command.at
            if at[0] >= 0:
                self.subject.places[key] = (self.text_read, at)
            if scope is not None:
                self.subject.written[key] = (self.text_read, scope.done)


def load_text(subject: Subject, path: str, content: str, origins: list[Origin] | None = None) -> None:
    """Read a text of nft commands."""
    folder = os.path.dirname(path)
    parser = Parser(path, content, [folder] if folder else [])
    parser.run()
    apply(subject, parser, list(parser.errors), origins)


def apply(subject: Subject, parser: Parser, errors: list[Any], origins: list[Origin] | None = None, lists: bool = False) -> None:
    """Do what a parser read; lists: keep how nft would list the rules."""
    text = NftText(parser, errors, origins)
    for source in parser.lexer.sources[1:]:
        subject.texts.setdefault(source.name, source.text.split("\n"))
    run = LintRun(subject, text)
    run.lists = lists
    collecting = gc.isenabled()
    gc.disable()  # what a command makes is let go by counting
    try:
        run.all(parser.commands)
    finally:
        if collecting:
            gc.enable()
    for error in list(text.errors):
        if "File not found" in error.message or "Could not open file" in error.message:
            text.errors.remove(error)  # what is on the machine that will load it, nobody knows here
            place = subject.span(text, error.places[0]) if error.places else None
            subject.doubt("what an include brings", error.message, place)
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
    if at[0] >= 0:
        subject.places.setdefault(key, (text, at))
    if command.what == "table" and isinstance(command.body, Body):
        for member in command.body.members:
            if isinstance(member, Command):
                _keep_places(subject, text, member, table)


def load_json(subject: Subject, path: str, content: str) -> None:
    """Read what ``nft -j list ruleset`` printed."""
    from tcemu.nft.read_json import fill

    parser = Parser(path, content, [])
    apply(subject, parser, fill(parser, content), lists=True)
    if '"metainfo"' in content[:400]:  # a listing of what is loaded: that nft cannot load its own words again is no fault of the ruleset
        text = subject.nft[-1]
        for error in text.errors:
            subject.doubt("a part of the listing", f"nft would not load it again: {error.message}")
        text.errors.clear()
