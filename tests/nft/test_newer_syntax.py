"""Syntax newer than nft 1.0.6: taken, listed as written, and refused where only 1.0.6 is wanted."""

from __future__ import annotations

import pytest

from tcemu import Session

CHAIN = "table inet t { chain c { type filter hook input priority 0; }; chain gre { }; }\n"
# Source: rules of nftables 1.1.4 tests/py (inet/vxlan.t, geneve.t, gre.t, gretap.t, dccp.t, fib.t, any/last.t, ip/ip.t, any/meta.t) with
# their listings
LISTED = [
    "udp dport 4789 vxlan vni 10",
    "udp dport 4789 vxlan ip saddr 10.141.11.0/24",
    "udp dport 4789 vxlan ether saddr 62:87:4d:d6:19:05",
    "udp dport 6081 geneve icmp type echo-reply",
    "udp dport 6081 geneve vlan id 10",
    "gre version 0",
    "gre ip saddr . gre ip daddr { 1.2.3.4 . 4.3.2.1 }",
    "gretap ip protocol 1",
    "dccp option 43 missing",
    "fib daddr check missing",
    "last",
    "ip dscp set ip dscp | lephb",
    "meta mark set meta mark | iif | meta cpu",
]


def listed(session: Session) -> list[str]:
    """The rules of the chain, without state."""
    lines = session.nft(["-s", "list", "chain", "inet", "t", "c"]).stdout.split("\n")
    return [line.strip() for line in lines[3:-3]]


@pytest.fixture
def session() -> Session:
    made = Session(strict=True)
    assert made.nft(["-f", "-"], stdin=CHAIN).exit_code == 0
    return made


@pytest.mark.parametrize("rule", LISTED)
def test_newer_rule_is_listed_as_written(session: Session, rule: str) -> None:
    answer = session.nft(f"add rule inet t c {rule}")
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert listed(session) == [{"gretap ip protocol 1": "gretap ip protocol icmp"}.get(rule, rule)]


@pytest.mark.parametrize("rule", [*LISTED, "meta broute set 1"])
def test_newer_rule_is_refused_for_the_reference(session: Session, rule: str) -> None:
    words = ["add", "rule", "inet", "t", "c", *rule.split()]
    assert session.nft(["--profile", "1.0.6", *words]).exit_code == 1
    assert listed(session) == []


def test_rule_inside_a_tunnel_needs_what_carries_it(session: Session) -> None:
    answer = session.nft("add rule inet t c vxlan vni 10")  # refused by nftables 1.1.4 tests/py/inet/vxlan.t too
    assert answer.exit_code == 1
    assert "no transport layer protocol specified" in answer.stderr


@pytest.mark.parametrize(
    "command", ["add rule inet t c jump gre", "add rule inet t gre accept", "add rule inet t gre tcp dport 22", "add chain inet t vxlan"]
)
def test_names_of_tunnels_stay_names(session: Session, command: str) -> None:
    assert session.nft(command).exit_code == 0


def test_protocol_gre_stays_a_value(session: Session) -> None:
    assert session.nft("add rule inet t c ip protocol gre ip saddr 1.1.1.1").exit_code == 0
    assert listed(session) == ["ip protocol gre ip saddr 1.1.1.1"]


def test_json_of_a_field_inside_a_tunnel_names_the_tunnel(session: Session) -> None:
    session.nft("add rule inet t c udp dport 4789 vxlan ip saddr 10.1.1.1")
    assert '{"payload": {"tunnel": "vxlan", "protocol": "ip", "field": "saddr"}}' in session.nft(["-j", "list", "ruleset"]).stdout


def test_last_used_counts_from_now(session: Session) -> None:
    session.nft("add rule inet t c last used 300s")
    assert "last used 5m" in session.nft(["list", "chain", "inet", "t", "c"]).stdout
