"""A router between two networks, and conversations through it: what the tests of offload have in common."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tcemu import Session
from tcemu.capture.writer import create_capture
from tcemu.host.model import Sysctl
from tcemu.session.replayed import ReplayResult

MACS = {"lan": "02:00:00:00:00:01", "wan": "02:00:00:00:00:02"}
CLIENT, SERVER, ROUTER = "10.0.0.1", "198.51.100.7", "192.0.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::7"
HOST = (
    *(f"link add name {name} type tap" for name in MACS),
    *(f"link set {name} address {mac} up" for name, mac in MACS.items()),
    "addr add 10.0.0.254/24 dev lan",
    "addr add 192.0.2.1/24 dev wan",
    "addr add 2001:db8:1::fe/64 dev lan nodad",
    "addr add 2001:db8:2::fe/64 dev wan nodad",
    "neigh add 10.0.0.1 lladdr 02:00:00:00:00:11 dev lan nud permanent",
    "neigh add 192.0.2.2 lladdr 02:00:00:00:00:12 dev wan nud permanent",
    "neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:11 dev lan nud permanent",
    "neigh add 2001:db8:2::7 lladdr 02:00:00:00:00:12 dev wan nud permanent",
    "route add 198.51.100.0/24 via 192.0.2.2 dev wan",
)
FLOWTABLE = "flowtable f { hook ingress priority filter; devices = { lan, wan }; %s }"
FORWARD = "chain forward { type filter hook forward priority filter; policy accept; %s; }"
SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND

Frame = tuple[str, Any]  # device and scapy packet


def router(**sysctls: str) -> Session:
    """A session that is a router."""
    session = Session()
    for name, value in {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", **sysctls}.items():
        session.host.sysctls.put(Sysctl(key=name, value=value))
    for line in HOST:
        done = session.ip(line)
        assert not done.exit_code, (line, done.stderr)
    return session


def rules(session: Session, text: str) -> Session:
    """Load nft rules."""
    done = session.nft_file(text.replace("} }", "}\n}"))
    assert not done.exit_code, done.stderr
    return session


def fast_router(flags: str = "", rule: str = "flow add @f", more: str = "", **sysctls: str) -> Session:
    """A router whose forward chain offers all connections."""
    return rules(router(**sysctls), f"table inet t {{ {FLOWTABLE % flags}; {FORWARD % rule}; {more} }}")


def out(packet: Any) -> Frame:
    """From the client."""
    return "lan", Ether(src="02:00:00:00:00:11", dst=MACS["lan"]) / packet


def back(packet: Any) -> Frame:
    """From the server."""
    return "wan", Ether(src="02:00:00:00:00:12", dst=MACS["wan"]) / packet


def tcp(
    rounds: int = 3, fin: bool = False, six: bool = False, target: str = SERVER, answers: str = CLIENT, port: int = 40000
) -> list[Frame]:
    """A TCP conversation: handshake, questions and answers of ten bytes, and the end if asked for."""
    there = IPv6(src=CLIENT6, dst=SERVER6) if six else IP(src=CLIENT, dst=target, id=1)
    here = IPv6(src=SERVER6, dst=CLIENT6) if six else IP(src=SERVER, dst=answers, id=2)
    sport, dport = port, 80
    found = [out(there / TCP(sport=sport, dport=dport, flags="S", seq=100, window=60000))]
    found.append(back(here / TCP(sport=dport, dport=sport, flags="SA", seq=500, ack=101, window=60000)))
    found.append(out(there / TCP(sport=sport, dport=dport, flags="A", seq=101, ack=501, window=60000)))
    seq, ack = 101, 501
    for _ in range(rounds):
        found.append(out(there / TCP(sport=sport, dport=dport, flags="PA", seq=seq, ack=ack, window=60000) / Raw(b"0123456789")))
        seq += 10
        found.append(back(here / TCP(sport=dport, dport=sport, flags="PA", seq=ack, ack=seq, window=60000) / Raw(b"9876543210")))
        ack += 10
    if fin:
        found.append(out(there / TCP(sport=sport, dport=dport, flags="FA", seq=seq, ack=ack, window=60000)))
        found.append(back(here / TCP(sport=dport, dport=sport, flags="FA", seq=ack, ack=seq + 1, window=60000)))
        found.append(out(there / TCP(sport=sport, dport=dport, flags="A", seq=seq + 1, ack=ack + 1, window=60000)))
    return found


def udp(rounds: int = 3, port: int = 5000) -> list[Frame]:
    """Questions and answers by UDP."""
    found = []
    for _ in range(rounds):
        found.append(out(IP(src=CLIENT, dst=SERVER, id=1) / UDP(sport=port, dport=53) / Raw(b"question")))
        found.append(back(IP(src=SERVER, dst=CLIENT, id=2) / UDP(sport=53, dport=port) / Raw(b"answer")))
    return found


def captures(folder: Path, frames: Iterable[Frame], gap: float = 0.01, start: int = START) -> dict[str, str]:
    """Captures of the frames by device, ``gap`` seconds apart; None in the place of a frame lets a second pass."""
    writers: dict[str, Any] = {}
    now = start
    for device, packet in frames:
        if not device:
            now += int(packet * SECOND)
            continue
        if device not in writers:
            writers[device] = create_capture(folder / f"{device}.pcap", 1, device)
        data = bytes(packet)
        writers[device].write(data, 0, len(data), len(data), now)
        now += int(gap * SECOND)
    for writer in writers.values():
        writer.close()
    return {device: str(folder / f"{device}.pcap") for device in writers}


def wait(seconds: float) -> Frame:
    """Time passes."""
    return "", seconds


def play(
    session: Session, folder: Path, frames: Iterable[Frame], offload: str | Path | None = "software", start: int = START
) -> ReplayResult:
    """The frames through the session's machine; what leaves is written to ``folder/out``."""
    folder.mkdir(exist_ok=True)
    return session.replay(captures(folder, frames, start=start), folder / "out", offload=offload)


def flow(result: ReplayResult, number: int = 0) -> dict[str, Any]:
    """The story of a connection."""
    assert result.offload is not None
    story: dict[str, Any] = result.offload["flows"][number]
    return story


def events(result: ReplayResult, number: int = 0) -> list[tuple[str, int]]:
    """What befell a connection, and at which packet."""
    return [(event["kind"], event["packet"]) for event in flow(result, number)["events"]]


def fast(result: ReplayResult) -> int:
    """Packets that took a flow table."""
    return sum(share.packets for share in result.shares if share.path.startswith("flow table"))


def sent(folder: Path, device: str) -> list[Any]:
    """The frames that left by a device, for scapy."""
    from scapy.utils import rdpcap

    path = folder / "out" / f"{device}.pcap"
    return list(rdpcap(str(path))) if path.exists() else []
