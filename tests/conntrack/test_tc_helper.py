"""`action ct helper` on packets: FTP through tc alone, with and without translation (net/sched/act_ct.c tcf_ct_act of Linux 6.2)."""

from __future__ import annotations

import struct
from pathlib import Path

from tcemu import Session

from .builder import SECOND, START, A, B, tcp

RULES = """\
filter add dev d0 ingress prio 1 proto ip flower ct_state -trk action ct nat pipe action goto chain 1
filter add dev d0 ingress prio 1 chain 1 proto ip flower ct_state +trk+new ip_proto tcp dst_port 21 action ct commit helper ipv4-tcp-ftp {nat} pipe action mirred egress redirect dev d1
filter add dev d0 ingress prio 2 chain 1 proto ip flower ct_state +trk+est action mirred egress redirect dev d1
filter add dev d1 ingress prio 1 proto ip flower ct_state -trk action ct nat pipe action goto chain 1
filter add dev d1 ingress prio 1 chain 1 proto ip flower ct_state +trk+rel action ct commit nat {back} pipe action mirred egress redirect dev d0
filter add dev d1 ingress prio 2 chain 1 proto ip flower ct_state +trk+est action mirred egress redirect dev d0
filter add dev d1 ingress prio 3 chain 1 proto ip flower ct_state +trk+new action drop
"""
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
PUBLIC = 0xC0000263  # 192.0.2.99


def talk(tmp_path: Path, to: int) -> tuple[Session, dict[str, list[bytes]]]:
    """A tells B a port; B comes. With ``to`` other than A, A is translated to that address."""
    session = Session()
    for line in ("qdisc add dev d0 ingress", "qdisc add dev d1 ingress"):
        assert session.tc(line).exit_code == 0
    nat = "" if to == A else "nat src addr 192.0.2.99"
    back = "" if to == A else "dst addr 10.0.0.1"
    for line in RULES.format(nat=nat, back=back).replace("ct commit nat  pipe", "ct commit pipe").splitlines():
        reply = session.tc(line)
        assert reply.exit_code == 0, (line, reply.stderr)
    more = 2 if to != A else 0  # PORT 10,0,0,1 is PORT 192,0,2,99 on the other side
    frames = (
        ("d0", tcp(A, B, "S", dport=21, seq=999)),
        ("d1", tcp(B, to, "SA", sport=21, dport=40000, seq=4999, ack=1000)),
        ("d0", tcp(A, B, "A", dport=21, seq=1000, ack=5000)),
        ("d1", tcp(B, to, "PA", sport=21, dport=40000, seq=5000, ack=1000, data=b"220 hi\r\n")),
        ("d0", tcp(A, B, "PA", dport=21, seq=1000, ack=5008, data=b"USER x\r\n")),
        ("d1", tcp(B, to, "PA", sport=21, dport=40000, seq=5008, ack=1008, data=b"200 ok\r\n")),
        ("d0", tcp(A, B, "PA", dport=21, seq=1008, ack=5016, data=b"PORT 10,0,0,1,200,10\r\n")),
        ("d1", tcp(B, to, "PA", sport=21, dport=40000, seq=5016, ack=1030 + more, data=b"200 ok\r\n")),
        ("d1", tcp(B, to, "S", sport=20, dport=51210, seq=7000)),
    )
    sent: dict[str, list[bytes]] = {"d0": [], "d1": []}
    for number, (device, frame) in enumerate(frames):
        path = tmp_path / f"{number}.pcap"
        path.write_bytes(HEADER + struct.pack("<IIII", START // SECOND + number, 0, len(frame), len(frame)) + frame)
        out = tmp_path / f"out{number}"
        session.replay({device: path}, out)
        for name in sent:
            written = out / f"{name}.pcap"
            sent[name] += [written.read_bytes()[40:]] if written.exists() else []
    return session, sent


def test_ftp_helper_of_tc_expects_the_data_connection(tmp_path: Path) -> None:
    session, sent = talk(tmp_path, A)
    listed = session.conntrack("-L").stdout
    assert "dport=21 src=10.0.0.2 dst=10.0.0.1 sport=21 dport=40000 [ASSURED] mark=0 helper=ftp use=" in listed
    assert "sport=20 dport=51210 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2" in listed
    assert len(sent["d0"]) == 5  # SYN+ACK, 220, two times 200, and the data connection's SYN


def test_ftp_helper_of_tc_translates_what_is_said(tmp_path: Path) -> None:
    session, sent = talk(tmp_path, PUBLIC)
    assert sent["d1"][-1].endswith(b"PORT 192,0,2,99,200,10\r\n")
    # the answer acknowledges what B has seen, and A what A has sent
    assert struct.unpack("!I", sent["d0"][-2][42:46])[0] == 1030
    assert sent["d0"][-1][30:34] == bytes((10, 0, 0, 1))  # B asked for 192.0.2.99
    assert "src=10.0.0.2 dst=192.0.2.99 sport=20 dport=51210 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2" in session.conntrack("-L").stdout


def test_connections_with_a_helper_stay_out_of_the_flow_table(tmp_path: Path) -> None:
    session, _ = talk(tmp_path, A)
    assert "OFFLOAD" not in session.conntrack("-L").stdout
