"""What a command does before its work: the session that it runs on, settings, rules, captures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tcemu.cli.main import Choice
    from tcemu.session.session import Session


def pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """NAME=VALUE words."""
    found = []
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise click.BadParameter(f"{value!r} is not of the form {option.metavar}", context, option)
        found.append((name, rest))
    return found


def open_for(choice: Choice, scratch: bool) -> Session:
    """The session, or a copy of its machine in memory."""
    if not scratch:
        return choice.open()
    from tcemu.session.session import Session
    from tcemu.session.transfer import copy_host

    made = Session(strict=choice.strict, profile=choice.profile)
    if choice.exists():
        with choice.open() as kept:
            copy_host(kept, made)
    return made


def prepare(session: Session, rules: Iterable[str], sysctl: Iterable[tuple[str, str]]) -> None:
    """Settings, then files of rules; what the tools say of these goes to standard error."""
    from tcemu.session import sysctl as settings
    from tcemu.session.rulesfile import load_rules

    for name, value in sysctl:
        settings.write(session.host, name, value)
    for path in rules:
        said = load_rules(session, path)
        if said:
            click.echo(said, err=True, nl=False)


def programs(session: Session, sockets: Iterable[str], fingerprints: str | None) -> None:
    """Sockets of local programs, and a fingerprint file. Raises Refused and StateError."""
    from tcemu.host import osf
    from tcemu.host.programs import socket

    with session.transaction():
        for words in sockets:
            socket(["add", *words.split()], session.host)
        if fingerprints is not None:
            osf.load(session.host, fingerprints)


def by_device(inputs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The captures of each device, in their order."""
    captures: dict[str, list[str]] = {}
    for device, path in inputs:
        captures.setdefault(device, []).append(path)
    return captures
