"""replay, trace, scenario and session as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("tcemu.engine.machine")

if TYPE_CHECKING:
    from conftest import Run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OFFICE = EXAMPLES / "captures" / "office.pcap"
RULES = """qdisc add dev eth0 ingress
filter add dev eth0 ingress prio 1 proto ip flower ip_proto tcp ct_state -trk action ct commit pipe action drop
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.tc"
    path.write_text(RULES)
    return str(path)


# ---------------------------------------------------------------- replay


def test_a_replay_says_what_became_of_the_packets(tcemu: Run, rules: str) -> None:
    done = tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", rules)
    assert done.code == 0
    assert done.out.startswith("278 packets, 103,350 bytes, ")
    assert "dropped" in done.out and "eth0 ingress chain 0 pref 1 handle 0x1" in done.out


def test_a_replay_with_rules_is_the_same_each_time_and_keeps_nothing(tcemu: Run, rules: str, home: Path) -> None:
    first = tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", rules, "--json")
    assert tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", rules, "--json").out == first.out
    assert json.loads(first.out)["packets"] == 278
    assert not (home / "tcemu").exists() or not list((home / "tcemu").iterdir())


def test_a_replay_with_rules_uses_the_sessions_machine(tcemu: Run, rules: str) -> None:
    tcemu("ip", "link", "add", "eth0", "type", "dummy")
    done = tcemu("--strict", "replay", "--in", f"eth0={OFFICE}", "--rules", rules, "--json")
    assert json.loads(done.out)["verdicts"]["dropped"] == 278
    assert "eth0 is down" in done.err
    assert "ingress" not in tcemu("qdisc", "show").out


def test_a_kept_replay_leaves_rules_and_connections_in_the_session(tcemu: Run, rules: str) -> None:
    assert tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", rules, "--keep").code == 0
    assert "pkt" in tcemu("-s", "filter", "show", "dev", "eth0", "ingress").out
    assert "dport=" in tcemu("conntrack", "-L").out
    done = tcemu("replay", "--in", f"eth0={OFFICE}", "--conntrack")
    assert "src=" in done.out


def test_what_leaves_is_written(tcemu: Run, tmp_path: Path) -> None:
    rules = tmp_path / "r.tc"
    rules.write_text(
        "qdisc add dev eth0 ingress\nfilter add dev eth0 ingress prio 1 proto all matchall action mirred egress redirect dev eth1\n"
    )
    done = tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", str(rules), "--out", str(tmp_path / "out"), "--json")
    document = json.loads(done.out)
    assert document["sent"] == {"eth1": 278}
    assert document["files"] == {"eth1": str(tmp_path / "out" / "eth1.pcap")}
    again = tcemu("replay", "--in", f"eth1={tmp_path}/out/eth1.pcap", "--json")
    assert json.loads(again.out)["packets"] == 278


def test_json_never_mixes_with_prose(tcemu: Run, rules: str) -> None:
    done = tcemu("replay", "--in", f"eth9={OFFICE}", "--rules", rules, "--json", "--verdicts", "--explain", "1", "--conntrack")
    document = json.loads(done.out)
    assert len(document["each"]) == 278 and len(document["ways"]) == 1
    assert document["conntrack_table"] == []
    assert "tcemu: device eth9 was not there and has been made\n" in done.err


def test_settings_of_the_machine(tcemu: Run, rules: str) -> None:
    words = ("replay", "--in", f"eth0={OFFICE}", "--rules", rules, "--json")
    assert json.loads(tcemu(*words, "--sysctl", "net.netfilter.nf_conntrack_tcp_loose=0").out)["packets"] == 278
    done = tcemu(*words, "--sysctl", "net.netfilter.nf_conntrack_tcp_lose=0")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: there is no setting net.netfilter.nf_conntrack_tcp_lose\nhint: did you mean net.netfilter.nf_conntrack_tcp_loose?\n"
    )
    assert tcemu(*words, "--sysctl", "net.netfilter.nf_conntrack_tcp_loose=maybe").code == 2


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["--in", "eth0"], 2, "is not of the form DEV=FILE"),
        (["--in", "eth0=/nowhere.pcap"], 1, "error: /nowhere.pcap: No such file or directory\n"),
        (["--in", f"eth0={__file__}"], 1, "neither pcap nor pcapng"),
        (["--in", f"eth0={OFFICE}", "--rules", "/nowhere.tc"], 1, "error: rules /nowhere.tc cannot be read: No such file or directory\n"),
        ([], 2, "Missing option '--in'"),
    ],
)
def test_a_replay_that_cannot_be(tcemu: Run, words: list[str], code: int, err: str) -> None:
    done = tcemu("replay", *words)
    assert (done.code, done.out) == (code, "")
    assert err in done.err


def test_rules_that_do_not_load_speak_in_their_tools_words(tcemu: Run, tmp_path: Path) -> None:
    rules = tmp_path / "r.tc"
    rules.write_text("filter add dev eth0 ingress protocol ip nosuch\n")
    done = tcemu("replay", "--in", f"eth0={OFFICE}", "--rules", str(rules))
    assert done.code == 1
    assert done.err.endswith(f"Command failed {rules}:1\n")


# ---------------------------------------------------------------- trace


def test_a_trace_of_a_scapy_expression(tcemu: Run) -> None:
    tcemu("filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "prio", "1", "flower", "ip_proto", "tcp", "action", "drop")
    done = tcemu("trace", "eth0", 'Ether()/IP(dst="10.0.0.2")/TCP(dport=80,flags="S")')
    assert done.code == 0
    assert done.out.endswith("verdict: drop\n")
    assert json.loads(tcemu("trace", "eth0", "Ether()/IP()/UDP()", "--json").out)["verdict"] == "accept"


# ---------------------------------------------------------------- scenario


def test_a_directory_that_is_no_scenario(tcemu: Run, tmp_path: Path) -> None:
    done = tcemu("scenario", "run", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done == (3, "", f"error: {tmp_path}/scenario.json cannot be read: No such file or directory\n")
    (tmp_path / "scenario.json").write_text("[]")
    assert tcemu("scenario", "run", str(tmp_path), "--out", str(tmp_path / "out")).code == 3


# ---------------------------------------------------------------- session


def test_sessions_are_listed_shown_and_removed(tcemu: Run, home: Path) -> None:
    assert tcemu("session", "list").out == "no sessions\n"
    tcemu("-n", "blue", "ip", "link")
    tcemu("ip", "link")
    assert [line.split()[0] for line in tcemu("session", "list").out.splitlines()[2:]] == ["blue", "session"]
    assert "devices    1" in tcemu("session", "show").out
    assert tcemu("session", "remove", "blue", "nosuch").code == 3
    assert tcemu("session", "remove", "blue").out == f"removed {home}/tcemu/blue.db\n"
    assert tcemu("session", "remove").code == 0
    assert tcemu("session", "list").out == "no sessions\n"


def test_a_session_is_exported_and_imported(tcemu: Run, tmp_path: Path) -> None:
    tcemu("ip", "link", "add", "eth0", "type", "dummy")
    tcemu("session", "export", str(tmp_path / "s.jsonl"))
    assert tcemu("-n", "copy", "session", "import", str(tmp_path / "s.jsonl")).out.endswith(" records\n")
    assert tcemu("-n", "copy", "ip", "link").out == tcemu("ip", "link").out
    assert tcemu("session", "import", str(tmp_path / "nosuch")).code == 1
