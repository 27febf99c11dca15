"""Connections of tc ct's flow table across commands and across sessions' lives (net/sched/act_ct.c, nf_flow_table_core.c)."""

from __future__ import annotations

from pathlib import Path

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tcemu import Session

RULES = (
    "qdisc add dev eth0 clsact",
    "filter add dev eth0 ingress prio 1 protocol ip chain 0 flower ct_state -trk action ct pipe action goto chain 1",
    "filter add dev eth0 ingress prio 1 protocol ip chain 1 flower ct_state +trk+new action ct commit pipe action pass",
    "filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+est action pass",
)
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def segments(*rows: tuple[int, str, int, int]) -> list[object]:
    """(way, flags, seq, ack) each, a tenth of a second apart."""
    out = []
    for number, (way, flags, seq, ack) in enumerate(rows):
        source, target = ((CLIENT, SERVER), (SERVER, CLIENT))[way]
        ports = ((1000, 80), (80, 1000))[way]
        frame = Ether() / IP(src=source, dst=target) / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack)
        frame.time = 1_700_000_000 + number / 10
        out.append(frame)
    return out


def replay(session: Session, path: Path, frames: list[object]) -> None:
    wrpcap(str(path), frames)
    session.replay({"eth0": str(path)})


def made(session: Session) -> None:
    for rule in RULES:
        assert session.tc(rule).exit_code == 0


OPEN = ((0, "S", 100, 0), (1, "SA", 500, 101), (0, "A", 101, 501))


def test_an_offloaded_connection_of_a_kept_session_is_taken_out_by_its_fin(tmp_path: Path) -> None:
    with Session() as session:
        made(session)
        replay(session, tmp_path / "a.pcap", segments(*OPEN))
        assert "[OFFLOAD]" in session.conntrack("-L").stdout
        replay(session, tmp_path / "b.pcap", segments((0, "FA", 101, 501)))
        assert "FIN_WAIT" in session.conntrack("-L").stdout


def test_an_offloaded_connection_comes_back_when_no_rule_tracks_any_more(tmp_path: Path) -> None:
    with Session() as session:
        made(session)
        replay(session, tmp_path / "a.pcap", segments(*OPEN))
        assert session.tc("qdisc del dev eth0 clsact").exit_code == 0
        replay(session, tmp_path / "b.pcap", segments((0, "A", 101, 501)))
        listed = session.conntrack("-L").stdout
        assert "[OFFLOAD]" not in listed
        assert "ESTABLISHED" in listed
