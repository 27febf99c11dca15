"""Files of every kind: which one a file is, what is read of it, and that findings point to where it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcemu import Session
from tcemu.lint.reading import kind_of
from tcemu.lint.run import Choice
from tcemu.session.linting import Wanted, lint_paths, lint_text

SHADOWED = "add table ip f\nadd chain ip f c { type filter hook input priority 0; }\nadd rule ip f c ip saddr 10.0.0.0/8 accept\n"
SHADOWED += "add rule ip f c ip saddr 10.1.0.0/16 drop\n"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.nft", "table ip f {\n}\n", "nft"),
        ("nftables.conf", "#!/usr/sbin/nft -f\n\nflush ruleset\n", "nft"),
        ("x", "# a comment\ndefine LAN = 10.0.0.0/8\n", "nft"),
        ("x", "set -e\nnft flush ruleset\n", "script"),
        ("x", "#!/usr/bin/env bash\nfoo\n", "script"),
        ("x", "tc qdisc add dev eth0 clsact\n", "script"),
        ("x", "qdisc add dev eth0 clsact\n", "tc"),
        ("x.batch", "filter add dev eth0 ingress matchall action drop\n", "tc"),
        ("x", "link add dum0 type dummy\n", "ip"),
        ("x", '{"nftables": []}', "nft-json"),
        ("x", '[{"protocol": "ip", "pref": 1}]', "tc-json"),
        ("fw.service", "[Unit]\n[Service]\nExecStart=nft -f x\n", "unit"),
        ("x", "", "nft"),
        ("x", "some words of no tool\n", ""),
    ],
)
def test_a_file_is_known_by_its_first_line(name: str, text: str, kind: str) -> None:
    assert kind_of(name, text) == kind


def found(text: str, kind: str = "script") -> list[tuple[str, int]]:
    findings = lint_text(text, "file", kind)[1].findings
    return [(finding.rule, finding.spans[0].line) for finding in findings if finding.severity != "info"]


def test_a_script_keeps_its_lines() -> None:
    assert found("#!/bin/sh\n" + "".join(f"nft {line}\n" for line in SHADOWED.replace("{", "'{").replace("}", "}'").splitlines())) == [
        ("NF113", 5)
    ]


def test_variables_and_loops_are_followed() -> None:
    text = "#!/bin/sh\nNFT=/usr/sbin/nft\nNET=10.0.0.0/8\nnft add table ip f\n"
    text += "nft 'add chain ip f c { type filter hook input priority 0; }'\n"
    text += 'nft add rule ip f c ip saddr $NET accept\nfor n in 1 2; do\n  nft add rule ip f c ip saddr "10.$n.0.0/16" drop\ndone\n'
    assert found(text) == [("NF113", 8), ("NF113", 8)] or found(text) == [("NF113", 8)]


def test_what_only_a_shell_knows_is_passed_over_and_said() -> None:
    subject, report = lint_text(
        "#!/bin/sh\nnft add table ip f\nnft add rule ip f c ip saddr $(hostname -I) drop\nnft add rule ip f c ip saddr $1 drop\n", "file"
    )
    assert report.findings == []
    assert [doubt.span.line for doubt in report.doubts if doubt.span is not None] == [3, 4]
    assert len(subject.ruleset.tables) == 1


def test_here_documents_point_into_the_script() -> None:
    text = "#!/bin/sh\nNET=10.0.0.0/8\nnft -f - <<EOF\ntable ip f {\n  chain c {\n    type filter hook input priority 0\n    ip saddr $NET accept\n    ip saddr 10.1.0.0/16 drop\n  }\n}\nEOF\necho done\n"
    assert found(text) == [("NF113", 8)]


def test_a_batch_of_tc_keeps_its_lines_and_continuations() -> None:
    text = "qdisc add dev eth0 clsact\nfilter add dev eth0 ingress prio 1 protocol ip \\\n  flower dst_ip 10.0.0.0/8 action drop\n"
    text += "filter add dev eth0 ingress prio 2 protocol ip flower dst_ip 10.1.0.0/16 action pass\n"
    assert found(text, "tc") == [("NF113", 4)]


def test_a_unit_file_is_read() -> None:
    assert found("[Service]\nExecStart=/usr/sbin/nft add rule ip none c drop\n", "unit") == [("NF009", 2)]


def test_a_saved_session_is_linted(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Session(path) as session:
        assert session.nft_file(SHADOWED).exit_code == 0
    report = lint_paths(Wanted((str(path),)))[1]
    assert [(finding.rule, finding.key) for finding in report.findings if finding.severity == "warning"] == [("NF113", "ip f/c/3")]


def test_a_ruleset_in_json_is_linted() -> None:
    with Session() as session:
        session.nft_file(SHADOWED)
        dump = session.nft(["-j", "list", "ruleset"]).stdout
    findings = lint_text(dump, "dump.json")[1].findings
    assert "NF113" in [finding.rule for finding in findings]


def test_what_nft_cannot_load_of_its_own_listing_is_no_finding() -> None:
    chain = {"family": "netdev", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "ingress", "prio": 0, "policy": "accept"}
    table = {"table": {"family": "netdev", "name": "t", "handle": 1}}
    listed = [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, table, {"chain": chain}]
    report = lint_text(json.dumps({"nftables": listed}), "dump.json")[1]
    assert report.findings == []
    assert "Missing" in report.doubts[0].why
    written = lint_text(json.dumps({"nftables": listed[1:]}), "rules.json")[1]
    assert [finding.rule for finding in written.findings] == ["NF000"]


def test_filters_in_json_are_linted() -> None:
    with Session() as session:
        session.tc("filter add dev eth0 ingress prio 1 protocol ip flower dst_ip 10.0.0.0/8 action drop")
        session.tc("filter add dev eth0 ingress prio 2 protocol ip flower dst_ip 10.1.0.0/16 ip_proto tcp dst_port 80 action pass")
        session.tc("filter add dev eth0 ingress prio 3 protocol ip flower ct_state -trk action ct zone 2 pipe action goto chain 1")
        dump = session.tc("-j filter show dev eth0 ingress").stdout
    subject, report = lint_text(dump, "eth0.json")
    assert [line.error for line in subject.tc] == ["", "", ""]
    assert "NF113" in [finding.rule for finding in report.findings]


def test_what_is_there_already_is_not_linted_but_seen(tmp_path: Path) -> None:
    base = tmp_path / "base.nft"
    base.write_text(SHADOWED + "add chain ip f here\n")
    new = tmp_path / "new.nft"
    new.write_text("add rule ip f c tcp dport 22 jump here\n")
    assert [finding.rule for finding in lint_paths(Wanted((str(new),)))[1].findings] == ["NF009"]
    assert [
        finding.rule for finding in lint_paths(Wanted((str(new),), bases=(str(base),)))[1].findings if finding.severity == "error"
    ] == []


def test_flush_ruleset_beside_docker_is_found(tmp_path: Path) -> None:
    base = tmp_path / "base.nft"
    base.write_text("table ip nat {\n  chain DOCKER {\n  }\n}\n")
    new = tmp_path / "new.nft"
    new.write_text("flush ruleset\ntable inet f {\n}\n")
    assert "OP001" in [finding.rule for finding in lint_paths(Wanted((str(new),), bases=(str(base),)))[1].findings]
    assert "OP001" not in [finding.rule for finding in lint_paths(Wanted((str(new),)))[1].findings]


def test_a_host_says_which_interfaces_are_missing(tmp_path: Path) -> None:
    links = [
        {"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP"], "mtu": 65536, "link_type": "loopback", "address": "00:00:00:00:00:00"}
    ]
    links.append({"ifindex": 2, "ifname": "eth0", "flags": ["UP"], "mtu": 1500, "link_type": "ether", "address": "02:00:00:00:00:02"})
    host = tmp_path / "host.json"
    host.write_text(json.dumps(links))
    rules = tmp_path / "r.nft"
    rules.write_text("table inet f {\n  chain c {\n    iif eth0 accept\n    iif eth1 accept\n  }\n}\n")
    choice = Choice(select=("NF005",))
    findings = lint_paths(Wanted((str(rules),), hosts=(str(host),), choice=choice))[1].findings
    assert [finding.spans[0].line for finding in findings] == [4]
    assert lint_paths(Wanted((str(rules),), choice=choice))[1].findings == []
