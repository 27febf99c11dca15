"""Lint of files and sessions: everything that `tcemu lint` does, from paths to a report. The engine proves what the checks claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tcemu.lint.finding import Finding
from tcemu.lint.profile import Profile
from tcemu.lint.reading import kind_of, load, read
from tcemu.lint.run import Choice, Report, check_choice, lint
from tcemu.lint.subject import Subject


class Wanted(NamedTuple):
    """What to lint and against what."""

    paths: tuple[str, ...]
    bases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    profile: Profile = Profile()
    choice: Choice = Choice()
    asserts: tuple[tuple[str, str], ...] = ()
    peak: int = 0
    prove: bool = True
    kind: str = ""


def lint_paths(wanted: Wanted) -> tuple[Subject, Report]:
    """Read everything and ask the rules. Raises TcemuError (2) for what cannot be read."""
    check_choice(wanted.choice)
    subject = open_subject(wanted)
    for path in wanted.paths:
        load_path(subject, path, wanted.kind)
    return subject, ask(subject, wanted)


def lint_text(text: str, name: str = "-", kind: str = "", wanted: Wanted | None = None) -> tuple[Subject, Report]:
    """Lint one text."""
    given = wanted or Wanted(())
    subject = open_subject(given)
    load(subject, name, text, kind)
    return subject, ask(subject, given)


def ask(subject: Subject, wanted: Wanted) -> Report:
    """The rules' answers, proved where they can be."""
    return lint(subject, wanted.choice, _proved if wanted.prove else None)


def _proved(subject: Subject, findings: list[Finding]) -> list[Finding]:
    """Prove what claims something; without a claim the engine is not needed."""
    if not any(finding.claim is not None for finding in findings):
        return findings
    from tcemu.session.proving import prove

    return prove(subject, findings)


def open_subject(wanted: Wanted) -> Subject:
    """An empty subject on the host, with what is there already."""
    subject = Subject(profile=wanted.profile, known_host=bool(wanted.hosts))
    subject.asserts = list(wanted.asserts)
    subject.peak = wanted.peak
    texts = [(path, read(path)) for path in wanted.hosts if path != "-"]
    if texts:
        from tcemu.host.ip.dumps import load as load_host

        load_host(subject.host, texts)
    for path in wanted.bases:
        load_path(subject, path)
    subject.based = {table.key for table in subject.ruleset.tables}
    subject.owners = {table.name for table in subject.ruleset.tables} | {chain.name for chain in subject.ruleset.chains}
    subject.nft.clear()
    subject.tc.clear()
    subject.calls.clear()
    return subject


def load_path(subject: Subject, path: str, kind: str = "") -> None:
    """A file, or a session's."""
    if path != "-" and _is_session(path):
        _load_session(subject, path)
        return
    text = read(path)
    load(subject, path, text, kind or kind_of(path, text))


def _is_session(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(15) == b"SQLite format 3"
    except OSError:
        return False


def _load_session(subject: Subject, path: str) -> None:
    """A saved session: its ruleset and its machine, without texts."""
    from tcemu.ir.codec import SHELVES
    from tcemu.session.session import Session
    from tcemu.session.transfer import HOST

    subject.texts.setdefault(path, [])  # it has none, but findings are about it
    with Session(path) as session:
        for name in SHELVES:
            shelf = getattr(subject.ruleset, name)
            for record in getattr(session.ruleset, name):
                shelf.put(record)
        for name in HOST:
            shelf = getattr(subject.host, name)
            for record in getattr(session.host, name):
                shelf.put(record)
    subject.known_host = True


def report_of(paths: Sequence[str]) -> Report:
    """A report on files with the defaults."""
    return lint_paths(Wanted(tuple(paths)))[1]
