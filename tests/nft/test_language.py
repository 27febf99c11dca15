"""Corners of the language: variables, priorities, what is left out, what the kernel refuses. Source: each case names it."""

from __future__ import annotations

import pytest

from tcemu import Session

REFUSED = "Error: Could not process rule: Invalid argument"


def load(text: str) -> Session:
    session = Session(strict=True)
    answer = session.nft(["-f", "-"], stdin=text)
    assert answer.exit_code == 0, answer.stderr
    return session


def test_set_is_named_by_a_variable() -> None:
    """nftables 1.0.6 tests/shell/testcases/nft-f/0022variables_0."""
    text = "define s = @y\ntable ip x {\n\tset y { type ipv4_addr; flags dynamic,timeout; }\n\tchain z {\n\t\tadd $s { ip saddr }\n\t}\n}\n"
    assert "\t\tadd @y { ip saddr }\n" in load(text).nft("list chain ip x z").stdout


def test_elements_come_from_a_variable() -> None:
    """nftables 1.0.6 tests/shell/testcases/nft-f/0010variable_0."""
    text = "define w = { 1.1.1.1 }\ntable ip x {\n\tset y { type ipv4_addr; }\n}\nadd element ip x y $w\n"
    assert "elements = { 1.1.1.1 }" in load(text).nft("list set ip x y").stdout


def test_priority_is_a_quoted_sum() -> None:
    """nftables 1.0.6 tests/shell/testcases/chains/0032priority_variable_0."""
    text = 'define p = "filter - 100"\ntable inet x {\n\tchain c {\n\t\ttype filter hook prerouting priority $p\n\t}\n}\n'
    assert "hook prerouting priority dstnat;" in load(text).nft("list ruleset").stdout


@pytest.mark.parametrize(
    ("family", "rule", "listed"),
    [
        ("ip", "meta protocol ip counter", "counter packets 0 bytes 0"),
        ("ip", "meta protocol ip udp dport 1", "udp dport 1"),
        ("ip", "meta protocol ip", "meta protocol ip"),
        ("ip", "meta protocol != ip counter", "meta protocol != ip counter packets 0 bytes 0"),
        ("ip", "meta protocol ip6 counter", "meta protocol ip6 counter packets 0 bytes 0"),
        ("ip6", "meta protocol ip6 counter", "counter packets 0 bytes 0"),
        ("inet", "meta protocol ip counter", "meta protocol ip counter packets 0 bytes 0"),
    ],
)
def test_match_on_the_tables_own_protocol_is_left_out(family: str, rule: str, listed: str) -> None:
    """nft 1.0.6 --debug=netlink, observed."""
    session = load(f"table {family} t {{ chain c {{ type filter hook input priority 0; }}; }}\n")
    session.nft(f"add rule {family} t c {rule}")
    assert session.nft(f"list chain {family} t c").stdout.split("\n")[3].strip() == listed


@pytest.mark.parametrize(
    "command",
    ["add element ip t s { 1.2.3.4 timeout 5s }", "add element ip t m { 1.2.3.4 }", "add element ip t r { 3.3.3.3 : 4.4.4.4 }"],
    ids=["timeout without the flag", "no value", "one value among ranges"],
)
def test_element_that_does_not_fit_its_set_is_refused(command: str) -> None:
    """nft 1.0.6 on Linux, observed."""
    session = load(
        "table ip t { set s { type ipv4_addr; }; map m { type ipv4_addr : ipv4_addr; }; map r { type ipv4_addr : interval ipv4_addr; flags interval; }; }\n"
    )
    assert session.nft(command).stderr.split("\n")[0] == REFUSED


def test_new_member_of_an_old_set_has_its_sets_counter() -> None:
    """nftables 1.0.6 tests/shell/testcases/sets/0063set_catchall_0."""
    session = load("table ip x { set y { type ipv4_addr; counter; }; }\n")
    session.nft("add element ip x y { 1.1.1.1 }")
    assert "elements = { 1.1.1.1 counter packets 0 bytes 0 }" in session.nft("list set ip x y").stdout


def test_listing_inside_a_run_comes_when_all_is_done() -> None:
    """nft 1.0.6, observed."""
    session = load("table ip x { }\n")
    answer = session.nft(["-f", "-"], stdin="list tables\nadd table ip y\ndelete table ip x\n")
    assert answer.stdout == "table ip y\n"


def test_json_has_a_conntrack_address_as_it_was_written() -> None:
    """nft 1.0.6 -j, observed."""
    session = load("table ip t { chain c { ct original saddr 1.2.3.4; ct original ip saddr 1.2.3.4; }; }\n")
    shown = session.nft(["-j", "list", "ruleset"]).stdout
    assert shown.count('{"key": "saddr", "dir": "original"}') == 1
    assert shown.count('{"key": "ip saddr", "dir": "original"}') == 1


@pytest.mark.parametrize(("strict", "exit_code"), [(True, 1), (False, 0)], ids=["strict", "friendly"])
def test_security_context_needs_selinux(strict: bool, exit_code: int) -> None:
    """nft 1.0.6 on Linux without SELinux, observed: nftables tests/shell/testcases/json/0005secmark_objref_0."""
    session = Session(strict=strict)
    session.nft("add table ip t")
    assert session.nft('add secmark ip t s { "system_u:object_r:ssh_server_packet_t:s0" }').exit_code == exit_code
