"""Conversations for made-up captures: hosts, wires, TCP connections with losses, DNS, TLS, ping. Built with scapy.

Everything random comes from the seed of a `Wire`; times are microseconds.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tcemu.capture.writer import create_capture

ETHERNET = 1
SECOND = 1_000_000  # all times in this file are microseconds
MSS = 1448  # bytes of data in a full segment on Ethernet, beside headers and timestamps

FIN, SYN, RST, PSH, ACK = "F", "S", "R", "P", "A"


class End(NamedTuple):
    """One end of a conversation: a MAC and an IPv4 or IPv6 address."""

    mac: str
    address: str


class Wire:
    """The frames that pass one place, in any order; they are written by time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.frames: list[tuple[int, bytes]] = []
        self._ids: dict[str, int] = {}

    def put(self, when: int, frame: Packet | bytes) -> None:
        self.frames.append((when, bytes(frame)))

    def ip_id(self, address: str) -> int:
        """The next IPv4 identification of a host."""
        self._ids[address] = (self._ids.get(address, self.chance.randrange(1, 60_000)) + 1) & 0xFFFF
        return self._ids[address]

    def around(self, middle: int) -> int:
        """A time near one, long tail to the right, as delays have it."""
        return int(middle * (0.75 + self.chance.expovariate(4.0)))

    def save(self, path: Path) -> None:
        with create_capture(path, ETHERNET, nanoseconds=False) as writer:
            for when, frame in sorted(self.frames, key=lambda one: one[0]):
                writer.write(frame, 0, len(frame), len(frame), when * 1000)


def network(wire: Wire, source: End, target: End, ttl: int = 64, vlans: Iterable[int] = (), flags: str = "DF") -> Packet:
    """Ethernet, VLAN tags and IP from one end to the other."""
    frame: Packet = Ether(src=source.mac, dst=target.mac)
    for vlan in vlans:
        frame /= Dot1Q(vlan=vlan)
    if ":" in source.address:
        return frame / IPv6(src=source.address, dst=target.address, hlim=ttl, fl=0)
    return frame / IP(src=source.address, dst=target.address, ttl=ttl, id=wire.ip_id(source.address), flags=flags)


class Talk:
    """A TCP connection, seen from beside the client: its own packets at once, the server's after the round trip."""

    def __init__(
        self,
        wire: Wire,
        start: int,
        client: End,
        server: End,
        dport: int,
        sport: int = 0,
        rtt: int = 9_000,
        vlans: Iterable[int] = (),
        mss: int = 0,
    ) -> None:
        chance = wire.chance
        self.wire, self.now, self.rtt, self.mss = wire, start, rtt, mss or (MSS - 20 if ":" in client.address else MSS)
        self.ends = (client, server)
        self.ports = (sport or chance.randrange(32_768, 60_999), dport)
        self.seq = [chance.randrange(1 << 32), chance.randrange(1 << 32)]
        self.clock = (chance.randrange(1 << 31), chance.randrange(1 << 31))
        self.heard = [0, 0]  # the other's last timestamp
        self.ttl = (64, 64 - chance.randrange(7, 15))
        self.vlans = tuple(vlans)
        self.last = 0
        self.wires = (wire, wire)

    def segment(self, who: int, flags: str, data: bytes = b"", seq: int | None = None, ack: int | None = None, sack: Any = None) -> None:
        """One packet of the client (0) or the server (1); ``seq`` and ``ack`` when they are not the current ones."""
        self.now += self.wire.around(self.rtt // 2) if who != self.last else self.wire.around(45)
        self.last = who
        stamp = (self.clock[who] + self.now // 1000) & 0xFFFFFFFF
        times = ("Timestamp", (stamp, self.heard[who] if ACK in flags else 0))
        options: list[Any]
        if SYN in flags:
            options = [("MSS", self.mss + 12), ("SAckOK", b""), times, ("NOP", None), ("WScale", 7)]
        else:
            options = [("NOP", None), ("NOP", None), times]
            if sack:
                options += [("NOP", None), ("NOP", None), ("SAck", sack)]
        window = (64_240, 65_160)[who] if SYN in flags else (501, 509)[who]
        tcp = TCP(
            sport=self.ports[who],
            dport=self.ports[1 - who],
            flags=flags,
            seq=self.seq[who] if seq is None else seq,
            ack=(self.seq[1 - who] if ack is None else ack) if ACK in flags else 0,
            window=0 if RST in flags else window,
            options=[] if RST in flags else options,
        )
        frame = network(self.wires[who], self.ends[who], self.ends[1 - who], self.ttl[who], self.vlans) / tcp
        self.wires[who].put(self.now, frame / Raw(data) if data else frame)
        self.heard[1 - who] = stamp
        if seq is None:
            self.seq[who] = (self.seq[who] + len(data) + (SYN in flags) + (FIN in flags)) & 0xFFFFFFFF

    def open(self, retry: bool = False) -> Talk:
        """Handshake; with ``retry`` the first SYN is lost behind us and sent again after a second."""
        if retry:
            self.segment(0, SYN)
            self.seq[0] -= 1
            self.now += SECOND - 30_000
        self.segment(0, SYN)
        self.segment(1, SYN + ACK)
        self.segment(0, ACK)
        return self

    def send(self, who: int, data: bytes, lost: int = -1, swapped: int = -1) -> Talk:
        """Data in segments, acknowledged every second one.

        Segment ``lost`` does not arrive and is sent again after three duplicate acknowledgements; ``swapped`` comes
        behind the one after it. Either way the receiver says which ones it has (SACK).
        """
        start = self.seq[who]
        parts = [data[at : at + self.mss] for at in range(0, len(data), self.mss)]
        order = list(range(len(parts)))
        if swapped >= 0:
            order[swapped], order[swapped + 1] = order[swapped + 1], order[swapped]
        arrived: set[int] = set()
        for count, number in enumerate(order, 1):
            self.segment(who, (PSH if number == len(parts) - 1 else "") + ACK, parts[number], start + number * self.mss & 0xFFFFFFFF)
            if number != lost:
                arrived.add(number)
            self.seq[who] = start
            self._acknowledge(who, start, parts, arrived, must=count % 2 == 0 or count == len(order))
        if lost >= 0:
            self.now += self.rtt
            self.segment(who, ACK, parts[lost], start + lost * self.mss & 0xFFFFFFFF)
            arrived.add(lost)
            self._acknowledge(who, start, parts, arrived, must=True)
        self.seq[who] = (start + len(data)) & 0xFFFFFFFF
        return self

    def _acknowledge(self, who: int, start: int, parts: list[bytes], arrived: set[int], must: bool) -> None:
        hole = next((number for number in range(len(parts)) if number not in arrived), len(parts))
        beyond = [number for number in arrived if number > hole]
        if not must and not beyond:
            return
        sack = None
        if beyond:
            last = max(beyond)
            sack = ((start + min(beyond) * self.mss) & 0xFFFFFFFF, (start + last * self.mss + len(parts[last])) & 0xFFFFFFFF)
        self.segment(1 - who, ACK, ack=(start + sum(map(len, parts[:hole]))) & 0xFFFFFFFF, sack=sack)

    def wait(self, time: int) -> Talk:
        self.now += time
        return self

    def finish(self, who: int = 0) -> Talk:
        """Both close, that one first."""
        self.segment(who, FIN + ACK)
        self.segment(1 - who, FIN + ACK)
        self.segment(who, ACK)
        return self

    def reset(self, who: int = 0) -> Talk:
        """Hang up."""
        self.segment(who, RST + ACK if who else RST)
        return self


# ---------------------------------------------------------------- what they say


def http_get(host: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n".encode()


def http_ok(size: int, kind: str = "text/html") -> bytes:
    line = "<p>Opening hours: Monday to Friday 9:00 to 17:00; closed on public holidays.</p>\n"
    body = (line * (size // len(line) + 1))[:size]
    head = f"HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nDate: Tue, 17 Mar 2026 09:12:05 GMT\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    return (head + body).encode()


def tls_hello(chance: random.Random, name: str) -> bytes:
    """A ClientHello record (RFC 8446 4.1.2) with a server name."""
    host = name.encode()
    sni = struct.pack(">HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    groups = bytes.fromhex("000a00080006001d00170018") + bytes.fromhex("000d0008000604030804 0401".replace(" ", ""))
    extensions = sni + groups + bytes.fromhex("002b0005040304 0303".replace(" ", ""))
    body = b"\x03\x03" + chance.randbytes(32) + b"\x20" + chance.randbytes(32) + bytes.fromhex("0006130113021303") + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    return tls_record(22, b"\x01" + len(body).to_bytes(3, "big") + body, 0x0301)


def tls_record(kind: int, data: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BHH", kind, version, len(data)) + data


def tls_talk(talk: Talk, name: str, sizes: Iterable[int]) -> Talk:
    """Handshake and requests with answers of those sizes; encrypted bytes look random."""
    noise = talk.wire.chance.randbytes
    talk.open().send(0, tls_hello(talk.wire.chance, name))
    talk.send(1, tls_record(22, b"\x02\x00\x00\x76" + noise(118)) + tls_record(20, b"\1") + tls_record(23, noise(2350)))
    talk.send(0, tls_record(20, b"\1") + tls_record(23, noise(53)))
    for size in sizes:
        talk.send(0, tls_record(23, noise(180 + talk.wire.chance.randrange(90)))).wait(talk.wire.around(12_000))
        talk.send(1, tls_record(23, noise(size)))
    return talk


def exchange(
    wire: Wire, when: int, client: End, server: End, question: Packet, answer: Packet, delay: int, vlans: Iterable[int] = ()
) -> None:
    """A question and its answer, each everything behind the IP header."""
    wire.put(when, network(wire, client, server, 64, vlans, "") / question)
    wire.put(when + wire.around(delay), network(wire, server, client, 64, vlans, "") / answer)


def dns(wire: Wire, when: int, client: End, server: End, name: str, address: str, kind: str = "A", vlans: Iterable[int] = ()) -> None:
    number, sport = wire.chance.randrange(1 << 16), wire.chance.randrange(32_768, 60_999)
    asked = DNSQR(qname=name, qtype=kind)
    query = UDP(sport=sport, dport=53) / DNS(id=number, rd=1, qd=asked)
    record = DNSRR(rrname=name, type=kind, ttl=300, rdata=address)
    reply = UDP(sport=53, dport=sport) / DNS(id=number, qr=1, rd=1, ra=1, qd=asked, an=record)
    exchange(wire, when, client, server, query, reply, 14_000, vlans)


def ping(wire: Wire, when: int, client: End, server: End, count: int = 3) -> None:
    number = wire.chance.randrange(1 << 16)
    for seq in range(1, count + 1):
        data = Raw(struct.pack("<QQ", when // SECOND, when % SECOND) + bytes(range(16, 56)))
        if ":" in client.address:
            pair: tuple[Packet, Packet] = (ICMPv6EchoRequest(id=number, seq=seq) / data, ICMPv6EchoReply(id=number, seq=seq) / data)
        else:
            pair = (ICMP(type=8, id=number, seq=seq) / data, ICMP(type=0, id=number, seq=seq) / data)
        exchange(wire, when, client, server, *pair, 8_500)
        when += SECOND + wire.around(300)


def arp(wire: Wire, when: int, asker: End, answerer: End) -> None:
    ask = ARP(op=1, hwsrc=asker.mac, psrc=asker.address, hwdst="00:00:00:00:00:00", pdst=answerer.address)
    say = ARP(op=2, hwsrc=answerer.mac, psrc=answerer.address, hwdst=asker.mac, pdst=asker.address)
    pad = Raw(bytes(18))
    wire.put(when, Ether(src=asker.mac, dst="ff:ff:ff:ff:ff:ff") / ask / pad)
    wire.put(when + wire.around(260), Ether(src=answerer.mac, dst=asker.mac) / say / pad)
