"""What a connection expects outlives the replay in which it was announced (net/netfilter/nf_conntrack_ftp.c, nf_conntrack_expect.c)."""

from __future__ import annotations

from pathlib import Path

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tcemu import Session

RULES = """
table ip t {
    ct helper ftp-std {
        type "ftp" protocol tcp
        l3proto ip
    }
    chain pre {
        type filter hook prerouting priority filter
        tcp dport 21 ct helper set "ftp-std"
    }
    chain through {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        tcp dport 21 accept
    }
}
"""
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def segment(way: int, ports: tuple[int, int], flags: str, seq: int, ack: int, data: bytes = b"") -> object:
    source, target = ((CLIENT, SERVER), (SERVER, CLIENT))[way]
    return Ether() / IP(src=source, dst=target) / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack) / data


def save(path: Path, frames: list[object], start: float) -> str:
    for number, frame in enumerate(frames):
        frame.time = start + number / 10  # type: ignore[attr-defined]
    wrpcap(str(path), frames)
    return str(path)


def test_an_announced_connection_is_related_in_the_next_replay(tmp_path: Path) -> None:
    up, down = (4000, 21), (21, 4000)
    port = b"PORT 10,0,0,1,200,10\r\n"
    control = [
        segment(0, up, "S", 99, 0),
        segment(1, down, "SA", 499, 100),
        segment(0, up, "A", 100, 500),
        segment(1, down, "PA", 500, 100, b"220 ready\r\n"),
        segment(0, up, "PA", 100, 511, b"USER x\r\n"),
        segment(0, up, "PA", 108, 511, port),
    ]
    with Session() as session:
        assert session.nft_file(RULES).exit_code == 0
        first = session.replay({"eth0": save(tmp_path / "a.pcap", control, 1_700_000_000)})
        assert first.verdicts["dropped"] == 0
        listed = session.conntrack("-L expect").stdout
        assert "dport=51210" in listed
        assert listed.endswith("class=0 helper=ftp\n")
        second = session.replay({"eth0": save(tmp_path / "b.pcap", [segment(1, (20, 51210), "S", 1, 0)], 1_700_000_010)})
        assert second.verdicts["dropped"] == 0
        assert session.conntrack("-C expect").stdout == "0\n"
        assert session.conntrack("-S expect").stdout == "cpu=0   \texpect_new=1 expect_create=1 expect_delete=1 \n"
        again = session.replay({"eth0": save(tmp_path / "c.pcap", [segment(1, (20, 51211), "S", 1, 0)], 1_700_000_020)})
        assert again.verdicts["dropped"] == 1


def test_events_of_a_replay_come_from_the_tool_too(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", [segment(0, (4000, 21), "S", 99, 0)], 1_700_000_000)
    with Session() as session:
        assert session.nft_file(RULES).exit_code == 0
        said = session.conntrack(["-E", "-o", "timestamp", "--in", f"eth0={capture}"])
        assert said.stdout.startswith("[1700000000.0     ]\t    [NEW] tcp      6 120 SYN_SENT src=10.0.0.1")
        assert "helper=ftp" in said.stdout
        assert said.stderr.endswith("1 flow events have been shown.\n")
        assert session.conntrack("-E").exit_code == 1
