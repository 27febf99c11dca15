"""Captures through a session, and what stays of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("tcemu.engine.machine")

from tcemu import Session
from tcemu.clock import SECOND
from tcemu.diagnostics import CaptureError, Refused
from tcemu.engine.replay import Progress
from tcemu.session import replayed
from tcemu.session.labels import place_of
from tcemu.session.rulesfile import RulesError, kind_of, load_rules

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
START = 1_600_000_000

RULES = """
qdisc add dev eth0 ingress
filter add dev eth0 ingress prio 1 proto ip flower ip_proto udp dst_port 53 action drop
filter add dev eth0 ingress prio 2 proto ip flower ip_proto udp action ct commit pipe action mirred egress redirect dev eth1
"""


def udp(sport: int, dport: int) -> bytes:
    """A UDP frame of ten bytes of payload."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 38, 1, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[12:]
    ethernet = bytes.fromhex("02000000000202000000000108 00".replace(" ", ""))
    return ethernet + header + struct.pack("!HHHH", sport, dport, 18, 0) + b"0123456789"


def capture(path: Path, packets: Sequence[tuple[float, bytes]]) -> Path:
    """A pcap file of (seconds behind START, frame)."""
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for at, frame in packets:
        data += struct.pack("<IIII", START + int(at), round(at % 1 * 1e9), len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


@pytest.fixture
def session() -> Session:
    made = Session(strict=True)
    for name in ("eth0", "eth1"):
        made.ip(f"link add {name} type dummy")
        made.ip(f"link set {name} up")
    assert made.tc(["-batch", "-"], RULES).exit_code == 0
    return made


@pytest.fixture
def trio(tmp_path: Path) -> Path:
    return capture(tmp_path / "a.pcap", [(0, udp(1000, 53)), (0.5, udp(1000, 80)), (1.25, udp(1001, 80))])


def test_counts_verdicts_rules_and_frames(session: Session, trio: Path, tmp_path: Path) -> None:
    result = session.replay({"eth0": trio}, tmp_path / "out", verdicts=True)
    assert (result.packets, result.bytes, result.inputs) == (3, 156, {"eth0": 3})
    assert result.verdicts == {"accepted": 0, "dropped": 1, "redirected": 2, "held": 0, "trapped": 0}
    assert result.each == ["drop", "redirect", "redirect"]
    assert [(rule.label.place, rule.hits) for rule in result.rules] == [
        ("eth0 ingress chain 0 pref 1 handle 0x1", 1),
        ("eth0 ingress chain 0 pref 2 handle 0x1", 2),
    ]
    assert result.rules[0].label.text == "flower ip_proto udp dst_port 53 action gact action drop"
    assert result.sent == {"eth1": 2}
    sent = (tmp_path / "out" / "eth1.pcap").read_bytes()
    assert sent[24 + 16 :].startswith(udp(1000, 80))
    assert struct.unpack_from("<II", sent, 24) == (START, 500_000_000)
    assert (result.first, result.last) == (START * SECOND, START * SECOND + 1_250_000_000)
    assert repr(result) == "<ReplayResult: 3 packets: 1 dropped, 2 redirected; 2 connections>"


def test_a_session_keeps_counters_connections_and_the_clock(session: Session, trio: Path) -> None:
    session.replay({"eth0": trio})
    assert session.now() == START * SECOND + 1_250_000_000
    assert "Sent 38 bytes 1 pkt (dropped 1" in session.tc("-s filter show dev eth0 ingress prio 1").stdout
    assert session.conntrack("-L").stdout.count("dport=80") == 2
    assert session.tracker_stats.insert == 2
    again = session.replay({"eth0": trio})
    assert again.connections == 2
    assert again.tracker["insert"] == 0
    assert "2 pkt" in session.tc("-s filter show dev eth0 ingress prio 1").stdout


def test_rules_of_today_seem_new_to_a_capture_of_years_ago(session: Session, trio: Path) -> None:
    session.replay({"eth0": trio})
    listed = session.tc("-s filter show dev eth0 ingress prio 1").stdout
    assert "installed 1 sec used 1 sec" in listed or "installed 2 sec used 1 sec" in listed


def test_captures_on_two_devices_are_merged_by_time(session: Session, tmp_path: Path) -> None:
    one = capture(tmp_path / "1.pcap", [(0, udp(1, 53)), (2, udp(2, 53))])
    other = capture(tmp_path / "2.pcap", [(1, udp(3, 53))])
    seen: list[int] = []

    class Clock(replayed.Verdicts):
        def packet(self, machine: object, reader: int) -> None:
            seen.append(reader)

    replayed_verdicts, replayed.Verdicts = replayed.Verdicts, Clock  # type: ignore[misc]
    try:
        result = session.replay({"eth0": one, "eth1": [other]}, verdicts=True)
    finally:
        replayed.Verdicts = replayed_verdicts  # type: ignore[misc]
    assert seen == [0, 1, 0]
    assert result.inputs == {"eth0": 2, "eth1": 1}


def test_an_interrupted_replay_changes_nothing(session: Session, tmp_path: Path) -> None:
    path = capture(tmp_path / "long.pcap", [(number / 1000, udp(1000, 80)) for number in range(20000)])

    class Stop(Progress):
        def update(self, packets: int) -> bool:
            raise KeyboardInterrupt

    before = list(session.ruleset.objects)
    with pytest.raises(KeyboardInterrupt):
        replayed.replay(session, {"eth0": path}, tmp_path / "out", progress=Stop())
    assert list(session.ruleset.objects) == before
    assert len(session.connections) == 0
    assert session.now() > (START + 10_000_000) * SECOND
    assert list((tmp_path / "out").iterdir()) == []


def test_a_replay_may_be_told_to_stop(session: Session, tmp_path: Path) -> None:
    path = capture(tmp_path / "long.pcap", [(number / 1000, udp(1000, 80)) for number in range(20000)])

    class Stop(Progress):
        def update(self, packets: int) -> bool:
            return False

    result = replayed.replay(session, {"eth0": path}, progress=Stop())
    assert result.stopped and result.packets == 1 << 14


def test_the_first_packets_may_be_explained(session: Session, trio: Path) -> None:
    result = session.replay({"eth0": trio}, explain=2)
    assert [(way.number, way.device, way.verdict) for way in result.ways] == [(1, "eth0", "drop"), (2, "eth0", "redirect")]
    assert [event.kind for event in result.ways[0].events][:3] == ["in", "chain", "matched"]
    assert result.packets == 3
    assert result.document()["ways"][0]["verdict"] == "drop"


def test_a_strict_session_wants_its_devices(session: Session, trio: Path) -> None:
    with pytest.raises(Refused, match='Cannot find device "eth9"'):
        session.replay({"eth9": trio})


def test_a_friendly_session_makes_the_device(trio: Path) -> None:
    with Session() as session:
        result = session.replay({"eth9": trio})
        assert result.notes == ["device eth9 was not there and has been made"]
        assert result.verdicts["accepted"] == 3
        assert "eth9" in session.ip("-br link").stdout


def test_packets_of_a_device_that_is_down_are_lost_with_a_note(session: Session, trio: Path) -> None:
    session.ip("link set eth0 down")
    result = session.replay({"eth0": trio})
    assert result.verdicts["dropped"] == 3
    assert result.notes == ["device eth0 is down: its packets are lost (ip link set eth0 up)"]


def test_no_capture_is_an_error(session: Session) -> None:
    with pytest.raises(CaptureError, match="no capture"):
        session.replay({})


def test_a_file_that_is_no_capture_changes_nothing(session: Session, trio: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(CaptureError):
        session.replay({"eth0": [trio, bad]})
    assert len(session.connections) == 0


def test_other_shells_go_on_while_packets_run(tmp_path: Path) -> None:
    path = capture(tmp_path / "long.pcap", [(number / 1000, udp(1000, 80)) for number in range(20000)])
    with Session(tmp_path / "s.db") as session, Session(tmp_path / "s.db") as other:
        session.tc("filter add dev eth0 ingress prio 1 proto ip flower action pass")

        class Meanwhile(Progress):
            def update(self, packets: int) -> bool:
                other.tc("filter add dev eth0 ingress prio 2 proto ip flower action drop")
                return True

        replayed.replay(session, {"eth0": path}, progress=Meanwhile())
        listed = other.tc("-s filter show dev eth0 ingress").stdout
        assert "20000 pkt" in listed and "pref 2" in listed


# ---------------------------------------------------------------- trace


def test_a_trace_changes_nothing(session: Session) -> None:
    before = list(session.ruleset.objects), session.store.meta("clock")
    way = session.trace(udp(1000, 80), "eth0")
    assert way.verdict == "redirect"
    assert [one.device for one in way.sent] == ["eth1"]
    assert "+    eth0 ingress chain 0 pref 2 handle 0x1: flower ip_proto udp" in str(way)
    assert (list(session.ruleset.objects), session.store.meta("clock")) == before
    assert len(session.connections) == 0


def test_a_trace_sees_the_connections_of_a_replay(session: Session, trio: Path) -> None:
    session.tc("filter add dev eth0 ingress prio 3 proto ip flower ip_proto tcp action pass")
    session.replay({"eth0": trio})
    assert "conntrack: established" not in str(session.trace(udp(1000, 53), "eth0"))
    assert len(session.connections) == 2


# ---------------------------------------------------------------- rule files


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("r.nft", "", "nft"),
        ("r.tc", "", "tc"),
        ("r.batch", "filter add", "tc"),
        ("r.ip", "", "ip"),
        ("r", "# x\n\ntable ip t {\n}\n", "nft"),
        ("r", "#!/usr/sbin/nft -f\nflush ruleset\n", "nft"),
        ("r", "qdisc add dev eth0 ingress\n", "tc"),
        ("r", "link add eth0 type dummy\n", "ip"),
        ("r.sh", "#!/bin/sh\nset -e\nsudo tc qdisc add dev eth0 ingress\n", "script"),
        ("r.tc", "tc qdisc add dev eth0 ingress\n", "script"),
        ("r.nft", "table inet t {\n\tchain c {\n\t\tip saddr 10.0.0.1 accept\n\t}\n}\n", "nft"),
        ("r", "hello\n", ""),
        ("r", "\n", "tc"),
    ],
)
def test_a_rule_file_is_known_by_name_or_first_line(name: str, text: str, kind: str) -> None:
    assert kind_of(name, text) == kind


def test_a_scripts_lines_run_in_order(tmp_path: Path) -> None:
    path = tmp_path / "r.sh"
    path.write_text(
        "#!/bin/bash\nset -e\nip link add eth0 type dummy  # the port\ntcemu-tc qdisc add dev eth0 clsact\n"
        "/sbin/tc filter add dev eth0 ingress \\\n  protocol ip prio 1 flower action drop\n"
    )
    with Session(strict=True) as session:
        assert load_rules(session, str(path)) == ""
        assert len(session.ruleset.rules) == 1


def test_a_script_is_read_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """POSIX.1-2017 Shell Command Language: variables, the environment's too, loops, here-documents, lists, commands whose failure is expected."""
    monkeypatch.setenv("MARK", "7")
    path = tmp_path / "setup.sh"
    path.write_text(
        'DEV=eth0\nTC=/sbin/tc\nPORTS="22 23"\nmodprobe act_ct || true\n'
        "tc qdisc del dev $DEV clsact 2>/dev/null\ntc qdisc del dev $DEV clsact || :\n"
        "ip link add ${DEV} type dummy && $TC qdisc add dev $DEV clsact || tc qdisc add dev none clsact\n"
        "for port in $PORTS; do\n"
        '  tc filter add dev "$DEV" ingress prio 1 protocol ip flower ip_proto tcp dst_port $port action drop\ndone\n'
        "cat <<EOF | nft -f -\ntable ip filter {\n  chain c { meta mark $MARK accept; }\n}\nEOF\nexit 0\nno such command\n"
    )
    with Session(strict=True) as session:
        assert load_rules(session, str(path)) == 'Cannot find device "eth0"\n'
        assert [session.ruleset.rules.get(rule.key) is not None for rule in session.ruleset.rules] == [True] * 3
        assert "meta mark 0x00000007 accept" in session.nft("list ruleset").stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "tc qdisc add dev eth9 ingress\n",
            '{path}:1:1: error: Cannot find device "eth9"\ntc qdisc add dev eth9 ingress\n' + "^" * 29 + "\n",
        ),
        (
            "tc qdisc show\ntc qdisc del dev $1 root\n",
            "{path}:2:1: error: a value in it is not in the script\ntc qdisc del dev $1 root\n" + "^" * 24 + "\n",
        ),
        (
            "tc qdisc show\n[ -n x ] && tc qdisc show\n",
            "{path}:2:1: error: whether it runs depends on a command that is not run here\n[ -n x ] && tc qdisc show\n" + "^" * 25 + "\n",
        ),
        (
            "nft -f - <<EOF\ntable ip $NOBODY_SET {{\n}}\nEOF\n",
            "{path}:2:1: error: a value in it is not in the script\ntable ip $NOBODY_SET {{\n" + "^" * 22 + "\n",
        ),
        (
            "ip link\niptables -F\n",
            "{path}:2:1: error: a line that is neither tc, nft, ip, conntrack nor sysctl\niptables -F\n^^^^^^^^^^^\n",
        ),
    ],
)
def test_a_scripts_failure_points_at_its_line(tmp_path: Path, text: str, shown: str) -> None:
    path = tmp_path / "r.sh"
    path.write_text(text.replace("{{", "{").replace("}}", "}"))
    with Session(strict=True) as session, pytest.raises(RulesError) as caught:
        load_rules(session, str(path))
    assert caught.value.render() == shown.replace("{{", "{").replace("}}", "}").replace("{path}", str(path))


def test_a_batch_that_fails_speaks_in_the_tools_words(tmp_path: Path) -> None:
    path = tmp_path / "r.tc"
    path.write_text("qdisc add dev eth9 ingress\n")
    with Session(strict=True) as session, pytest.raises(RulesError) as caught:
        load_rules(session, str(path))
    assert caught.value.render() == f'Cannot find device "eth9"\nCommand failed {path}:1\n'


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("tc dev eth0 ingress/0/1/00000001", "eth0 ingress chain 0 pref 1 handle 0x1"),
        ("tc block 7/3/49152/0000000a", "block 7 chain 3 pref 49152 handle 0xa"),
        ("inet t/forward/5", "inet t forward handle 5"),
    ],
)
def test_a_rules_place_in_words(key: str, place: str) -> None:
    assert place_of(key) == place
