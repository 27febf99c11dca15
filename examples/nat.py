#!/usr/bin/env python3
"""Source translation, seen from Python: ``python3 examples/nat.py``.

Two clients ask one resolver, from the same port. Behind one address their questions would look alike, so one of them gets
another port. The answers to what left are made here, and are shown to find their way back; one that nobody asked for does not.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import rdpcap, wrpcap

from tcemu import Session

HERE = Path(__file__).resolve().parent
RESOLVER = "198.51.100.53"


def question(client: str) -> Packet:
    return Ether(src="02:00:00:00:00:0a") / IP(src=client, dst=RESOLVER) / UDP(sport=5353, dport=53) / Raw(b"where is it?")


def answer(sent: Packet) -> Packet:
    ip, udp = sent[IP], sent[UDP]
    return Ether(src="02:00:00:00:00:35") / IP(src=ip.dst, dst=ip.src) / UDP(sport=udp.dport, dport=udp.sport) / Raw(b"here!")


def ends(packet: Packet) -> str:
    return f"{packet[IP].src}:{packet[UDP].sport} > {packet[IP].dst}:{packet[UDP].dport}"


def through(session: Session, device: str, packets: list[Packet], folder: Path) -> list[Packet]:
    """Let packets arrive on a device, a second apart from what went before; the frames that left."""
    start = session.now() / 1e9 + 1
    for number, packet in enumerate(packets):
        packet.time = start + number
    wrpcap(str(folder / "in.pcap"), packets)
    done = session.replay({device: folder / "in.pcap"}, out=folder / "out")
    return [packet for path in done.files.values() for packet in rdpcap(path)]


def main() -> None:
    with TemporaryDirectory() as name, Session() as session:
        folder = Path(name)
        session.ip(["-batch", str(HERE / "nat.ip")])
        loaded = session.tc(["-batch", str(HERE / "nat.tc")])
        assert loaded.exit_code == 0, loaded.stderr

        asked = [question("10.0.0.1"), question("10.0.0.2")]
        left = through(session, "lan", asked, folder)
        for before, after in zip(asked, left, strict=True):
            print(f"out   {ends(before)}  as  {ends(after)}")

        back = [answer(packet) for packet in left]
        stray = IP(src=RESOLVER, dst="192.0.2.1") / UDP(sport=53, dport=9) / Raw(b"here!")
        arrived = through(session, "wan", [*back, Ether() / stray], folder)
        for before, after in zip(back, arrived, strict=True):
            print(f"back  {ends(before)}  as  {ends(after)}")
        print(f"{3 - len(arrived)} answer that nobody asked for was dropped")
        print(session.conntrack("-L").stdout, end="")


if __name__ == "__main__":
    main()
