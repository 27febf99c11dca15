"""Handles that the kernel gives. Source: nft 1.0.6 on Linux, observed; a recorded kernel for replace."""

from __future__ import annotations

import pytest

from tcemu import Session


@pytest.fixture
def session() -> Session:
    made = Session(strict=True)
    assert made.nft(["-f", "-"], stdin="table ip t { chain c { }; }\n").exit_code == 0
    return made


def handles(session: Session) -> list[str]:
    return [line.strip() for line in session.nft(["-a", "list", "ruleset"]).stdout.split("\n") if "handle" in line]


def test_checked_and_refused_rules_use_up_handles(session: Session) -> None:
    session.nft(["-c", "add rule ip t c counter"])
    session.nft(["-c", "add rule ip t c ip saddr { 1.1.1.1, 2.2.2.2 } counter"])
    session.nft("add rule ip t c accept")
    session.nft("add rule ip t c jump nowhere")
    session.nft("add rule ip t c drop")
    assert handles(session)[2:] == ["accept # handle 5", "drop # handle 7"]


def test_mistake_of_evaluation_uses_up_no_handle(session: Session) -> None:
    session.nft("add rule ip t c tcp dport 99999 accept")
    session.nft("add rule ip t c accept")
    assert handles(session)[2:] == ["accept # handle 2"]


def test_checked_table_uses_up_its_handle(session: Session) -> None:
    session.nft(["-c", "add table ip z"])
    session.nft("add table ip y")
    assert "table ip y { # handle 3" in handles(session)


def test_replaced_rule_keeps_its_handle(session: Session) -> None:
    session.nft("add rule ip t c accept")
    assert session.nft("replace rule ip t c handle 2 drop").exit_code == 0
    assert handles(session)[2:] == ["drop # handle 2"]


def test_table_goes_with_its_owner(session: Session) -> None:
    assert session.nft(["-f", "-"], stdin="table ip o { flags owner; chain c { }; }\n").exit_code == 0
    assert session.nft("list tables").stdout == "table ip t\n"


def test_table_without_flags_wakes_a_dormant_one(session: Session) -> None:
    session.nft("add table ip d { flags dormant; }")
    session.nft("add table ip d")
    assert session.nft("list table ip d").stdout == "table ip d {\n}\n"
