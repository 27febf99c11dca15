#!/usr/bin/env python3
"""Make the captures of the routers' examples: ``python examples/make_router_captures.py [FOLDER]``.

Each holds what arrives on one port of a router, so that the router has the answering to do. Addresses, seeds and times are as in
make_captures.py.

    home-lan.pcap, home-wan.pcap         a home: surfing, a name server, a web server at home that others visit, and somebody who tries ports
    docker-eth0.pcap, docker-web.pcap    a host of containers: visitors of a published port, and what its container sends
    server.pcap                          a server's own port, both ways: customers, an administrator, and the same knocking
"""

from __future__ import annotations

import sys
from pathlib import Path

from conversations import ACK, SECOND, SYN, End, Talk, Wire, dns, http_get, http_ok, network, ping, tls_talk
from make_captures import START
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

PROVIDER = "02:00:5e:00:20:fe"  # the next router outside


class Outside(Wire):
    """The port to the outside: what is meant for somebody inside comes by the provider's router, for the router's own address."""

    def __init__(self, seed: int, mac: str, address: str, inside: str) -> None:
        super().__init__(seed)
        self.mac, self.address, self.inside = mac, address, inside

    def put(self, when: int, frame: Packet | bytes) -> None:
        packet = Ether(bytes(frame))
        packet.src, packet.dst = PROVIDER, self.mac
        ip = packet[IP]
        if ip.dst.startswith(self.inside):
            ip.dst = self.address
        ip.ttl -= 7
        for layer in (IP, TCP, UDP):
            if layer in packet:
                del packet[layer].chksum
        super().put(when, packet)


# ---------------------------------------------------------------- at home

HOME_LAN, HOME_WAN, HOME = "02:00:5e:00:20:01", "02:00:5e:00:20:02", "192.0.2.2"
LAPTOP = End("02:00:5e:00:20:15", "192.168.1.21")
PHONE = End("02:00:5e:00:20:16", "192.168.1.22")
NAS = End("02:00:5e:00:20:50", "192.168.1.10")
WEB = End(HOME_LAN, "198.51.100.80")
SHOP = End(HOME_LAN, "203.0.113.44")
RESOLVER = End(HOME_LAN, "198.51.100.53")
VISITOR = End(HOME_LAN, "203.0.113.9")
KNOCKER = End(PROVIDER, "198.51.100.66")


def between(inside: Wire, outside: Wire, when: int, client: End, server: End, dport: int) -> Talk:
    """A connection whose client is inside."""
    talk = Talk(inside, when, client, server, dport)
    talk.wires = (inside, outside)
    return talk


def home() -> tuple[Wire, Wire]:
    lan, wan = Wire(11), Outside(12, HOME_WAN, HOME, "192.168.1.")
    both = Wire(13)
    dns(both, START, LAPTOP, RESOLVER, "www.example.com", WEB.address)
    for place, (when, frame) in enumerate(both.frames):
        (wan if place % 2 else lan).put(when, frame)
    talk = between(lan, wan, START + 30_000, LAPTOP, WEB, 80).open()
    talk.send(0, http_get("www.example.com", "/")).send(1, http_ok(6_200)).finish()
    tls_talk(between(lan, wan, START + 200_000, PHONE, SHOP, 443), "shop.example.net", (3_000, 900)).finish(1)
    visit = Talk(wan, START + 400_000, VISITOR, NAS, 443)
    visit.wires = (wan, lan)
    tls_talk(visit, "nas.example.org", (2_000,)).finish()
    knock(wan, START + 500_000, KNOCKER, End(HOME_WAN, HOME), (22, 23, 80, 445, 3389, 8080))
    lan.put(START + 600_000, network(lan, LAPTOP, End(HOME_LAN, "192.168.1.1")) / UDP(sport=40_001, dport=53) / Raw(b"?" * 24))
    forged = network(wan, End(PROVIDER, "192.168.1.99"), End(HOME_WAN, HOME)) / UDP(sport=53, dport=53) / Raw(b"!" * 24)
    wan.put(START + 700_000, forged)
    return lan, wan


def knock(wire: Wire, when: int, source: End, target: End, ports: tuple[int, ...]) -> None:
    """One SYN a port."""
    for number, port in enumerate(ports):
        syn = TCP(sport=51_733 + number, dport=port, flags=SYN, seq=wire.chance.randrange(1 << 32), window=1024)
        wire.put(when + number * 9_000, network(wire, source, target) / syn)


# ---------------------------------------------------------------- containers

HOST_ETH0, HOST, DOCKER0 = "02:00:5e:00:30:14", "203.0.113.20", "02:00:5e:00:30:01"
CONTAINER = End("02:00:5e:00:30:02", "172.17.0.2")
CUSTOMERS = tuple(End(DOCKER0, f"198.51.100.{number}") for number in (101, 102, 103))
REGISTRY = End(DOCKER0, "198.51.100.200")


def docker() -> tuple[Wire, Wire]:
    eth0, web = Outside(21, HOST_ETH0, HOST, "172.17.0."), Wire(22)
    for number, customer in enumerate(CUSTOMERS):
        visit = Talk(web, START + number * 150_000, customer, CONTAINER, 80)
        visit.wires = (Published(eth0), web)
        visit.open().send(0, http_get("www.example.org", "/")).send(1, http_ok(1_500)).finish()
    tls_talk(between(web, eth0, START + 100_000, CONTAINER, REGISTRY, 443), "registry.example.net", (4_000,)).finish()
    knock(eth0, START + 300_000, KNOCKER, CONTAINER, (80, 6379, 9000))
    ask = network(web, CONTAINER, End(DOCKER0, "172.18.0.7"), 64, (), "") / ICMP(type=8, id=5, seq=1) / Raw(b"another network?")
    web.put(START + 500_000, ask)
    return eth0, web


class Published(Wire):
    """Visitors know the port that is published, 8080, and not the container's."""

    def __init__(self, wire: Outside) -> None:
        super().__init__(0)
        self._wire = wire

    def put(self, when: int, frame: Packet | bytes) -> None:
        packet = Ether(bytes(frame))
        packet[TCP].dport = 8080
        self._wire.put(when, packet)


# ---------------------------------------------------------------- a server

SERVER = End("02:00:5e:00:40:0a", "203.0.113.10")
CUSTOMER = End(PROVIDER, "198.51.100.77")
ADMIN = End(PROVIDER, "192.0.2.7")


def server() -> Wire:
    wire = Wire(31)
    for number in range(3):
        tls_talk(Talk(wire, START + number * 300_000, CUSTOMER, SERVER, 443), "www.example.org", (1_500,)).finish()
    talk = Talk(wire, START + 100_000, ADMIN, SERVER, 22).open()
    talk.send(1, b"SSH-2.0-OpenSSH_9.2\r\n").send(0, b"SSH-2.0-OpenSSH_9.6\r\n").finish()
    ping(wire, START + 200_000, CUSTOMER, SERVER, 4)
    knock(wire, START + 400_000, KNOCKER, SERVER, (22, 22, 22, 22, 23, 25, 110, 445, 3306, 5432))
    dns(wire, START + 900_000, SERVER, End(PROVIDER, "198.51.100.53"), "time.example.org", "203.0.113.123")
    stray = TCP(sport=443, dport=50_000, flags=ACK, seq=1, ack=1, window=500)
    wire.put(START + SECOND, network(wire, CUSTOMER, SERVER) / stray)
    return wire


def main(argv: list[str]) -> int:
    folder = Path(argv[1]) if len(argv) > 1 else Path(__file__).resolve().parent / "captures"
    folder.mkdir(parents=True, exist_ok=True)
    (lan, wan), (eth0, web) = home(), docker()
    named = (("home-lan", lan), ("home-wan", wan), ("docker-eth0", eth0), ("docker-web", web), ("server", server()))
    for name, wire in named:
        wire.save(folder / f"{name}.pcap")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
