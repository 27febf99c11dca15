"""nft in motion: bridges, traces, queues and logs, and what a machine sent itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session
from tcemu.capture.open import open_capture
from tcemu.capture.writer import create_capture

ETHERNET = 1
A, B = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
# UDP 10.0.1.2:9 > 10.0.2.2:1, as in the recorded scenario nft-trace
UDP = bytes.fromhex("4500002000010000401163c90a0001020a00020200090001000c100664617461")


def capture(path: Path, *frames: bytes) -> str:
    with create_capture(path, ETHERNET) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, 0, len(frame), len(frame), 1_700_000_000_000_000_000 + number)
    return str(path)


def frame(source: bytes, target: bytes, payload: bytes = UDP) -> bytes:
    return target + source + b"\x08\x00" + payload


def bridged(*rules: str) -> Session:
    session = Session()
    for line in (
        "link add br0 type bridge",
        *(f"tuntap add dev {name} mode tap" for name in ("d0", "d1", "d2")),
        *(f"link set {name} master br0" for name in ("d0", "d1", "d2")),
        *(f"link set {name} up" for name in ("d0", "d1", "d2", "br0")),
    ):
        assert session.ip(line).exit_code == 0, line
    for rule in rules:
        done = session.nft(rule)
        assert done.exit_code == 0, done.stderr
    return session


def test_a_bridge_floods_what_it_does_not_know_and_learns(tmp_path: Path) -> None:
    with bridged() as session:
        first = session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, out=tmp_path / "out")
        assert first.sent == {"d1": 1, "d2": 1}
        files = {"d0": capture(tmp_path / "a.pcap", frame(A, B)), "d1": capture(tmp_path / "b.pcap", frame(B, A), frame(B, A))}
        again = session.replay(files, out=tmp_path / "again")
        assert again.sent["d0"] == 2 and "d1" in again.sent


def test_reject_in_a_bridge_answers_the_port_that_the_frame_came_by(tmp_path: Path) -> None:
    table = "table bridge t { chain c { type filter hook prerouting priority 0; udp dport 1 counter reject; }; }"
    with bridged(table) as session:
        result = session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, out=tmp_path / "out")
        assert result.sent == {"d0": 1}
        reader = open_capture(tmp_path / "out" / "d0.pcap")
        assert reader.next()
        answer = reader.data[reader.start : reader.end]
        reader.close()
    assert answer[:14] == A + B + b"\x08\x00"
    assert answer[26:34] == UDP[16:20] + UDP[12:16] and answer[34:36] == b"\x03\x03"


TRACE = """\
trace id 00000001 inet t pre packet: iif "d0" ether saddr 02:00:00:00:00:0a ether daddr 02:00:00:00:00:0b ip saddr 10.0.1.2 ip daddr 10.0.2.2 \
ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 1 ip protocol udp ip length 32 udp sport 9 udp dport 1 udp length 12 @th,64,32 0x64617461\x20
trace id 00000001 inet t pre rule meta nftrace set 1 (verdict continue)
trace id 00000001 inet t pre rule udp dport 1-9 jump sub (verdict jump sub)
trace id 00000001 inet t sub verdict return\x20
trace id 00000001 inet t pre verdict continue\x20
trace id 00000001 inet t pre policy accept\x20
"""  # Source: the recording of nft-trace (Linux 6.1, nft 1.0.6), with another id, table and target


def test_a_replay_tells_what_nft_monitor_trace_would(tmp_path: Path) -> None:
    rules = "meta nftrace set 1; udp dport 1-9 jump sub;"
    table = f"table inet t {{ chain sub {{ udp dport 1 return; }}; chain pre {{ type filter hook prerouting priority 0; {rules} }}; }}"
    with Session() as session:
        session.ip("tuntap add dev d0 mode tap")
        session.ip("link set d0 up")
        assert session.nft(table).exit_code == 0
        assert session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, nft_trace=True).nft_trace == TRACE


@pytest.mark.parametrize(
    ("queue", "verdict"), [(None, "dropped"), ("accept", "accepted"), ("drop", "dropped")], ids=["nobody", "accept", "drop"]
)
def test_a_queue_says_what_the_program_behind_it_says(tmp_path: Path, queue: str | None, verdict: str) -> None:
    with Session() as session:
        session.nft("table ip t { chain c { type filter hook prerouting priority 0; udp dport 1 queue num 7; }; }")
        assert session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, queue=queue).verdicts[verdict] == 1


def test_a_function_decides_about_queued_packets(tmp_path: Path) -> None:
    seen: list[tuple[int, bytes]] = []

    def decide(number: int, packet: bytes) -> bool:
        seen.append((number, packet))
        return True

    with Session() as session:
        session.nft("table ip t { chain c { type filter hook prerouting priority 0; udp dport 1 queue num 7; }; }")
        assert session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, queue=decide).verdicts["accepted"] == 1
    assert seen == [(7, UDP)]


def test_logs_go_into_a_folder(tmp_path: Path) -> None:
    rules = 'log prefix "seen: "; log group 5 snaplen 24;'
    with Session() as session:
        session.nft(f"table ip t {{ chain c {{ type filter hook prerouting priority 0; {rules} }}; }}")
        result = session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))}, log_dir=tmp_path / "logs")
    assert result.logged == {"log.pcap": 1, "nflog-5.pcap": 1}
    assert (tmp_path / "logs" / "log.txt").read_text() == (
        "seen: IN=d0 OUT= MAC=02:00:00:00:00:0b:02:00:00:00:00:0a:08:00 SRC=10.0.1.2 DST=10.0.2.2 LEN=32 TOS=0x00 PREC=0x00 TTL=64 ID=1 "
        "PROTO=UDP SPT=9 DPT=1 LEN=12\n"
    )


def test_frames_that_the_machine_sent_go_through_output(tmp_path: Path) -> None:
    with Session() as session:
        for line in (
            "tuntap add dev d0 mode tap",
            "link set d0 address 02:00:00:00:00:0a",
            "link set d0 up",
            "addr add 10.0.1.2/24 dev d0",
        ):
            session.ip(line)
        session.ip("route add default via 10.0.1.1")
        session.nft("table ip t { chain out { type filter hook output priority 0; udp dport 1 counter; }; }")
        session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))})
        assert "counter packets 1 bytes 32" in session.nft("list ruleset").stdout


def test_what_mirred_hands_to_another_device_stays_whose_it_was(tmp_path: Path) -> None:
    """netif_receive_skb asks nobody again whose packet it is (act_mirred.c tcf_mirred_forward keeps skb->pkt_type)."""
    rules = "table netdev t { chain c { type filter hook ingress device d1 priority 0; meta pkttype host counter comment own; counter; }; }"
    with Session() as session:
        for line in (*(f"tuntap add dev {name} mode tap" for name in ("d0", "d1")), *(f"link set {name} up" for name in ("d0", "d1"))):
            assert session.ip(line).exit_code == 0, line
        assert session.nft(rules).exit_code == 0
        line = "filter add dev d0 ingress protocol ip matchall action skbedit ptype host pipe action mirred ingress redirect dev d1"
        assert session.tc(line).exit_code == 0
        session.replay({"d0": capture(tmp_path / "a.pcap", frame(A, B))})
        listing = session.nft("list ruleset").stdout
    assert [line.strip() for line in listing.splitlines() if "counter" in line] == [
        'meta pkttype host counter packets 1 bytes 32 comment "own"',
        "counter packets 1 bytes 32",
    ]
