"""Whole sessions out of a file and into another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session
from tcemu.diagnostics import StateError
from tcemu.session.transfer import copy_host, export, take_over


def filled() -> Session:
    session = Session()
    session.ip("link add eth0 type dummy")
    session.ip("link set eth0 up")
    session.ip("addr add 10.0.0.1/24 dev eth0")
    session.tc("filter add dev eth0 ingress protocol ip prio 1 flower dst_ip 10.0.0.1 action drop")
    session.set_now(77)
    return session


def test_what_was_exported_comes_back_whole(tmp_path: Path) -> None:
    lines = list(export(filled()))
    with Session(tmp_path / "s.db") as session:
        session.ip("link add other type dummy")
        assert take_over(session, lines) == f"{len(lines) - 1} records\n"
        assert session.now() == 77
        assert list(export(session)) == lines
        assert session.ip("link add x0 type dummy").exit_code == 0


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no exported session"),
        ([b"{}"], "no exported session"),
        ([b'{"format":"x","layout":1,"meta":{}}'], "no exported session"),
        ([b'{"format":"tcemu session","layout":99,"meta":{}}'], "newer tcemu"),
        ([b'{"format":"tcemu session","layout":1,"meta":{}}', b"{"], "line 2 is no record"),
        ([b'{"format":"tcemu session","layout":1,"meta":{}}', b'{"shelf":"x","key":"k","record":{}}'], "has no 'x'"),
    ],
)
def test_what_is_no_export_changes_nothing(lines: list[bytes], why: str) -> None:
    with filled() as session:
        before = list(export(session))
        with pytest.raises(StateError, match=why):
            take_over(session, lines)
        assert list(export(session)) == before


def test_a_copy_of_the_machine_has_no_rules() -> None:
    with filled() as source, Session() as target:
        copy_host(source, target)
        assert target.ip("-br addr").stdout == source.ip("-br addr").stdout
        assert target.ip("route").stdout == source.ip("route").stdout
        assert not len(target.ruleset.rules)
