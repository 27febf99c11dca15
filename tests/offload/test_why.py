"""`tcemu offload why` and its kin: the packet and the condition, for tc ct and for nft alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import net
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from tcemu import Session
from tcemu.offload.flows import ActCtTable

ROOT = Path(__file__).resolve().parents[2]


def tracked(rule: str = "action ct commit pipe action pass") -> Session:
    """A machine whose lan and wan have an action ct."""
    session = net.router()
    for device in ("lan", "wan"):
        assert not session.tc(f"qdisc add dev {device} clsact").exit_code
        assert not session.tc(f"filter add dev {device} ingress prio 1 proto ip flower {rule}").exit_code
    return session


def reasons(story: dict[str, Any], name: str = "refused") -> list[str]:
    return [reason["text"] for reason in story[name]]


def test_tcp_is_offered_with_the_packet_that_completes_the_handshake(tmp_path: Path) -> None:
    """act_ct and nft alike; recorded in tc-ct-offload-cover-letter and flowtable-tcp."""
    by_tc = net.play(tracked(), tmp_path / "tc", net.tcp())
    by_nft = net.play(net.fast_router(), tmp_path / "nft", net.tcp())
    assert net.events(by_tc)[:4] == [("seen", 1), ("ready", 3), ("added", 3), ("taken", 3)]
    assert net.events(by_nft)[:4] == [("seen", 1), ("ready", 3), ("added", 3), ("taken", 3)]


def test_udp_is_offered_by_tc_when_it_is_committed_and_by_nft_when_it_is_confirmed(tmp_path: Path) -> None:
    by_tc = net.play(tracked(), tmp_path / "tc", net.udp())
    by_nft = net.play(net.fast_router(), tmp_path / "nft", net.udp())
    assert ("added", 1) in net.events(by_tc)
    assert ("added", 2) in net.events(by_nft)
    assert reasons(net.flow(by_nft)) == ["the connection is not confirmed yet"]
    assert reasons(net.flow(by_tc), "slow") == ["not ASSURED yet: one direction is offloaded, conntrack sees the packet too"]


def test_icmp_is_told_which_protocols_go(tmp_path: Path) -> None:
    """ovn-kubernetes#3861: users see pings on the slow path only."""
    ping = [net.out(IP(src=net.CLIENT, dst=net.SERVER) / ICMP(id=7)), net.back(IP(src=net.SERVER, dst=net.CLIENT) / ICMP(type=0, id=7))]
    assert reasons(net.flow(net.play(tracked(), tmp_path / "tc", ping))) == ["act_ct offloads TCP, UDP and GRE only"]
    assert "flow tables take TCP, UDP and GRE" in reasons(net.flow(net.play(net.fast_router(), tmp_path / "nft", ping)))


def test_a_connection_that_no_rule_commits_is_never_confirmed(tmp_path: Path) -> None:
    """The classical mistake: ct without commit, so each packet is new."""
    result = net.play(tracked("action ct pipe action pass"), tmp_path, net.udp())
    assert result.offload is not None
    assert {text for story in result.offload["flows"] for text in reasons(story)} == {
        "the connection is not confirmed: no rule committed it"
    }


def test_a_connection_that_no_rule_offers_is_told_so(tmp_path: Path) -> None:
    result = net.play(net.fast_router(rule="tcp dport 22 flow add @f"), tmp_path, net.tcp())
    assert net.flow(result)["status"] == "ready"
    from tcemu.cli.offloading import NO_RULE, why
    from tcemu.session.offloading import stories

    assert result.offload is not None
    assert NO_RULE in why(stories(result.offload), result.first)


def test_a_rst_out_of_the_window_takes_the_flow_out_and_offers_it_again(tmp_path: Path) -> None:
    """Recorded in tc-ct-offload-teardown: a RST that the tracker finds inexact does not end the connection."""
    frames = net.tcp()
    odd = net.out(IP(src=net.CLIENT, dst=net.SERVER) / TCP(sport=40000, dport=80, flags="R", seq=90000))
    more = net.out(IP(src=net.CLIENT, dst=net.SERVER) / TCP(sport=40000, dport=80, flags="A", seq=131, ack=531, window=60000))
    result = net.play(tracked(), tmp_path, [*frames, odd, more])
    assert net.events(result)[-3:] == [("left", 10), ("added", 10), ("taken", 10)]


def test_an_unused_flow_leaves_by_time_and_says_so(tmp_path: Path) -> None:
    """openwrt#17915: UDP behind a flow table lives by nf_flowtable_udp_timeout."""
    session = net.fast_router(**{"net.netfilter.nf_flowtable_udp_timeout": "5"})
    late = [net.out(IP(src=net.CLIENT, dst="198.51.100.9") / UDP(sport=1, dport=2) / Raw(b"x"))]
    result = net.play(session, tmp_path, [*net.udp(), net.wait(20), *late])
    left = net.flow(result)["events"][-1]
    assert (left["kind"], left["packet"], left["text"]) == ("left", 0, "no packet for the flow table's timeout")
    assert 5 <= (left["ts"] - net.START) / net.SECOND <= 7


@pytest.mark.parametrize(
    "command, text",
    [
        (("conntrack", "-F"), "conntrack forgot the connection"),
        (("ip", "link set wan down"), "a device of it went down"),
        (("nft", "flush chain inet t forward; delete flowtable inet t f"), "the flow table was deleted"),
    ],
    ids=["conntrack -F", "device down", "table deleted"],
)
def test_what_ends_a_flow_between_packets_is_told(tmp_path: Path, command: tuple[str, str], text: str) -> None:
    """flow_offload_teardown's callers, by commands between two packets of one run."""
    from tcemu.offload.profile import choose
    from tcemu.session.running import Running

    session = net.fast_router()
    running = Running(session, offload=choose("software"))
    machine = running.machine
    numbers = {name: number for number, name in running.names.items()}
    now = net.START
    for device, packet in net.tcp():
        data = bytes(packet)
        machine.receive(data, 0, len(data), len(data), now, 0, numbers[device])
        now += net.SECOND // 100
    done = running.command(command[0], [command[1]] if command[0] == "nft" else command[1].split())
    assert not done.exit_code, done.stderr
    machine.settle(now + 2 * net.SECOND)
    assert running.offloading is not None
    (story,) = running.offloading.desk.journal.stories
    assert text in [mark.text for mark in story.marks]


def test_a_flow_table_tells_nobody_when_nobody_asks() -> None:
    assert ActCtTable(0).watch is None


# ---------------------------------------------------------------- the commands


def tcemu(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TCEMU_SESSION": str(folder / "session.db"), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "tcemu", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=ROOT)


SOURCE = ("--in", "eth0=examples/captures/office.pcap", "--rules", "examples/cover-letter.tc", "--offload", "mlx5")


@pytest.mark.parametrize(
    "words, count",
    [("tcp", 9), ("udp", 0), (":5432", 2), ("192.168.10.22 203.0.113.44:443", 1), ("zone=0 tcp -> 198.51.100.5:8443", 1), ("zone=1", 0)],
)
def test_flow_chooses_connections_by_all_its_words(tmp_path: Path, words: str, count: int) -> None:
    done = tcemu("offload", "why", *SOURCE, "--json", "--flow", words, folder=tmp_path)
    assert len(json.loads(done.stdout)) == count


def test_why_without_a_replay_says_how_to_make_one(tmp_path: Path) -> None:
    done = tcemu("offload", "why", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "tcemu replay --offload software" in done.stderr


def test_a_replay_that_is_kept_answers_later_commands(tmp_path: Path) -> None:
    assert not tcemu("offload", "use", "mlx5", folder=tmp_path).returncode
    assert "in use:   mlx5" in tcemu("offload", "backends", folder=tmp_path).stdout
    assert not tcemu("tc", "-batch", "examples/cover-letter.tc", folder=tmp_path).returncode
    assert not tcemu("replay", "--in", "eth0=examples/captures/office.pcap", folder=tmp_path).returncode
    listing = tcemu("offload", "list", folder=tmp_path).stdout
    assert listing == tcemu("offload", "list", *SOURCE, folder=tmp_path).stdout
    assert "tcp 192.168.10.21:48242 > 198.51.100.80:80" in " ".join(listing.split())
    stats = json.loads(tcemu("offload", "stats", "--json", folder=tmp_path).stdout)
    assert [(share["path"], share["packets"]) for share in stats["shares"]] == [
        ("flow table ct zone 0", 112),
        ("mlx5", 112),
        ("mlx5, from wire to wire", 112),
    ]
    tables = json.loads(tcemu("offload", "tables", "--json", folder=tmp_path).stdout)
    assert {"CT", "CT-NAT", "post action"} < set(tables["tables"])
    times = [event["ts"] for event in json.loads(tcemu("offload", "timeline", "--json", folder=tmp_path).stdout)]
    assert times == sorted(times)
    assert times
    pinned = tcemu("offload", "pin", "/sys/fs/bpf/none", folder=tmp_path)
    assert (pinned.returncode, "and not ebpf" in pinned.stderr) == (2, True)


def test_a_backend_that_is_not_there_is_an_error_with_its_names(tmp_path: Path) -> None:
    done = tcemu("offload", "use", "mlx6", folder=tmp_path)
    assert done.returncode == 3
    assert "there are: software, mlx5" in done.stderr
