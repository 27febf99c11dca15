#!/usr/bin/env python3
"""Make the captures under examples/captures: ``python examples/make_captures.py [FOLDER]``.

Everything is made up here with scapy, from fixed seeds and times, so that the same bytes come out on every machine;
addresses are those of the documentation (RFC 5737, RFC 3849) and of private networks.

    office.pcap     a morning on the inner port of an office's router: web, DNS, ping, IPv6, VLANs, losses, ICMP errors
    scan.pcap       a TCP SYN scan and a UDP scan of a server, between its customers' traffic
    eth0.pcap       what a virtual machine sends, for examples/cover-letter.tc
    uplink.pcap     what comes back to it, in VXLAN, from the other end of the tunnel
    ftp.pcap        somebody in the office fetches a file by FTP, and somebody outside tries the same port
    call.pcap       somebody in the office calls a friend by H.323; a third one sends to the port behind the agreed ones
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from conversations import ACK, MSS, RST, SECOND, SYN, End, Talk, Wire, arp, dns, http_get, http_ok, network, ping, tls_talk
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

START = 1_773_738_724 * SECOND  # Tuesday 17 March 2026, 09:12:04 UTC

# ---------------------------------------------------------------- the office

ROUTER = "02:00:5e:00:10:01"
GATEWAY = End(ROUTER, "192.168.10.1")
ANNA = End("02:00:5e:00:10:15", "192.168.10.21")
BORIS = End("02:00:5e:00:10:16", "192.168.10.22")
PRINTER = End("02:00:5e:00:10:50", "192.168.10.80")
PHONE = End("02:00:5e:00:20:31", "192.168.20.49")
ANNA6 = End(ANNA.mac, "2001:db8:10::21")
BORIS6 = End(BORIS.mac, "2001:db8:10::22")
RESOLVER = End(ROUTER, "192.168.10.1")
WEB = End(ROUTER, "198.51.100.80")  # what is outside has the router's MAC in here
SHOP = End(ROUTER, "203.0.113.44")
MAIL = End(ROUTER, "203.0.113.25")
EXCHANGE = End(ROUTER, "198.51.100.5")
PBX = End(ROUTER, "192.168.30.5")
WEB6 = End(ROUTER, "2001:db8:80::80")
RESOLVER6 = End(ROUTER, "2001:db8:53::53")


def office() -> Wire:
    wire = Wire(1)
    arp(wire, START, ANNA, GATEWAY)
    _office_web(wire, START + 40_000)
    _office_losses(wire, START + 700_000)
    _office_errors(wire, START + 2_300_000)
    _office_ipv6(wire, START + 3_100_000)
    _office_vlans(wire, START + 4_200_000)
    _office_fragments(wire, START + 5_500_000)
    ping(wire, START + 1_200_000, ANNA, WEB)
    ping(wire, START + 5_900_000, BORIS, GATEWAY, 2)
    arp(wire, START + 6_100_000, GATEWAY, PRINTER)
    return wire


def _office_web(wire: Wire, when: int) -> None:
    dns(wire, when, ANNA, RESOLVER, "www.example.com", WEB.address)
    talk = Talk(wire, when + 25_000, ANNA, WEB, 80).open()
    talk.send(0, http_get("www.example.com", "/")).send(1, http_ok(5_200))
    talk.wait(400_000).send(0, http_get("www.example.com", "/logo.svg")).send(1, http_ok(900, "image/svg+xml")).finish()
    dns(wire, when + 180_000, BORIS, RESOLVER, "shop.example.net", SHOP.address)
    tls_talk(Talk(wire, when + 205_000, BORIS, SHOP, 443, rtt=21_000), "shop.example.net", (4_100, 700, 9_800)).wait(900_000).finish(1)
    talk = Talk(wire, when + 2_000_000, BORIS, MAIL, 25, rtt=30_000).open()
    for who, line in (
        (1, "220 mx.example.org ESMTP"),
        (0, "EHLO boris.example.com"),
        (1, "250 mx.example.org"),
        (0, "QUIT"),
        (1, "221 Bye"),
    ):
        talk.send(who, line.encode() + b"\r\n")
    talk.finish(1)


def _office_losses(wire: Wire, when: int) -> None:
    """A first SYN that is lost, a segment that is lost, two that change places, and connections that end by RST."""
    talk = Talk(wire, when, ANNA, SHOP, 80, rtt=26_000).open(retry=True)
    talk.send(0, http_get("shop.example.net", "/catalogue.html")).send(1, http_ok(14_000), lost=3)
    talk.send(0, http_get("shop.example.net", "/prices.html")).send(1, http_ok(11_000), swapped=2).finish()
    talk = tls_talk(Talk(wire, when + 300_000, ANNA, WEB, 443), "api.example.com", (2_000,))
    talk.wait(150_000).reset(0)
    talk = Talk(wire, when + 900_000, BORIS, WEB, 8080).open()
    talk.send(0, http_get("www.example.com:8080", "/health")).reset(1)
    refused = Talk(wire, when + 1_100_000, BORIS, EXCHANGE, 5432)
    refused.segment(0, SYN)
    refused.segment(1, RST + ACK, seq=0)


def _office_errors(wire: Wire, when: int) -> None:
    """ICMP errors about packets that went before: port unreachable, and fragmentation needed, which is then heeded."""
    question = network(wire, BORIS, EXCHANGE, 64, (), "") / UDP(sport=40_123, dport=33_434) / Raw(b"are you there?".ljust(32, b"."))
    wire.put(when, question)
    quoted = Raw(bytes(question.payload)[:28])
    wire.put(when + wire.around(9_000), network(wire, EXCHANGE, BORIS, 55, (), "") / ICMP(type=3, code=3) / quoted)
    talk = Talk(wire, when + 100_000, ANNA, EXCHANGE, 8443, rtt=17_000).open()
    start, upload = talk.seq[0], wire.chance.randbytes(2 * MSS)
    router = End(ROUTER, "198.51.100.1")
    for number in range(2):
        talk.segment(0, ACK, upload[number * MSS : (number + 1) * MSS], start + number * MSS & 0xFFFFFFFF)
        sent = Raw(wire.frames[-1][1][14 : 14 + 28])
        error = network(wire, router, ANNA, 62, (), "") / ICMP(type=3, code=4, nexthopmtu=1400) / sent
        wire.put(talk.now + wire.around(4_000), error)
    talk.wait(12_000)
    for at in range(0, len(upload), 1348):
        talk.segment(0, ACK, upload[at : at + 1348])
    talk.segment(1, ACK)
    talk.send(1, b"HTTP/1.1 204 No Content\r\n\r\n").finish()


def _office_ipv6(wire: Wire, when: int) -> None:
    """Router and neighbour discovery, then DNS, a web page, ping and two errors."""
    router = End(ROUTER, "fe80::5eff:fe00:1001")
    local = End(ANNA.mac, "fe80::5eff:fe00:1015")
    ask = Ether(src=ANNA.mac, dst="33:33:00:00:00:02") / IPv6(src=local.address, dst="ff02::2", hlim=255)
    wire.put(when, ask / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=ANNA.mac))
    say = Ether(src=ROUTER, dst="33:33:00:00:00:01") / IPv6(src=router.address, dst="ff02::1", hlim=255)
    prefix = ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=1, validlifetime=86_400, preferredlifetime=14_400, prefix="2001:db8:10::")
    wire.put(when + 900, say / ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=ROUTER) / prefix)
    for number, (asker, target) in enumerate(((ANNA6, BORIS6), (BORIS6, ANNA6))):
        at = when + 40_000 + number * 5_000_000
        group = "ff02::1:ff00:" + target.address.rsplit(":", 1)[1]
        multicast = "33:33:ff:00:00:" + target.address.rsplit(":", 1)[1]
        ask = Ether(src=asker.mac, dst=multicast) / IPv6(src=asker.address, dst=group, hlim=255)
        wire.put(at, ask / ICMPv6ND_NS(tgt=target.address) / ICMPv6NDOptSrcLLAddr(lladdr=asker.mac))
        say = Ether(src=target.mac, dst=asker.mac) / IPv6(src=target.address, dst=asker.address, hlim=255)
        wire.put(at + 310, say / ICMPv6ND_NA(tgt=target.address, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=target.mac))
    ping(wire, when + 41_000, ANNA6, BORIS6, 2)
    dns(wire, when + 120_000, ANNA6, RESOLVER6, "www.example.com", WEB6.address, "AAAA")
    talk = Talk(wire, when + 150_000, ANNA6, WEB6, 80, rtt=11_000).open()
    talk.send(0, http_get("www.example.com", "/news.html")).send(1, http_ok(6_400), lost=2).finish()
    closed = network(wire, BORIS6, WEB6) / UDP(sport=41_000, dport=33_435) / Raw(b"x" * 32)
    wire.put(when + 400_000, closed)
    wire.put(when + 411_000, network(wire, WEB6, BORIS6, 56) / ICMPv6DestUnreach(code=4) / Raw(bytes(closed.payload)))
    big = network(wire, BORIS6, WEB6) / UDP(sport=41_001, dport=4500) / Raw(wire.chance.randbytes(1400))
    wire.put(when + 500_000, big)
    wire.put(when + 503_000, network(wire, GATEWAY6, BORIS6, 64) / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(big.payload)[:1232]))


GATEWAY6 = End(ROUTER, "2001:db8:10::1")


def _office_vlans(wire: Wire, when: int) -> None:
    """The telephones' VLAN 20, and one frame of a customer's VLAN inside a provider's."""
    dns(wire, when, PHONE, PBX, "pbx.example.com", PBX.address, vlans=(20,))
    talk = Talk(wire, when + 30_000, PHONE, PBX, 5060, rtt=1_500, vlans=(20,)).open()
    register = b"REGISTER sip:pbx.example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.20.49\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
    talk.send(0, register).send(1, b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n")
    voice = (16_384, 16_386)
    for number in range(24):  # RTP, 20 ms apart, both ways
        for way, (source, target) in enumerate(((PHONE, PBX), (PBX, PHONE))):
            head = struct.pack(">BBHII", 0x80, 0, 1000 + number, 160 * number, 0x1234 + way)
            packet = network(wire, source, target, 64, (20,)) / UDP(sport=voice[way], dport=voice[1 - way])
            wire.put(when + 300_000 + 20_000 * number + 7_000 * way + wire.around(200), packet / Raw(head + wire.chance.randbytes(40)))
    talk.wait(900_000).finish()
    twice = Ether(src=PHONE.mac, dst=ROUTER, type=0x88A8) / Dot1Q(vlan=300) / Dot1Q(vlan=20)
    wire.put(when + 1_400_000, twice / IP(src=PHONE.address, dst=PBX.address, id=7) / UDP(sport=123, dport=123) / Raw(b"\x23" + bytes(47)))


def _office_fragments(wire: Wire, when: int) -> None:
    """Datagrams longer than the link: IPv4 in three fragments, answered by one out of order, and IPv6 in two."""
    block = wire.chance.randbytes(3_400)
    for sport, dport, source, target, late in ((700, 2049, ANNA, EXCHANGE, -1), (2049, 700, EXCHANGE, ANNA, 1)):
        whole = IP(src=source.address, dst=target.address, id=wire.ip_id(source.address)) / UDP(sport=sport, dport=dport) / Raw(block)
        pieces = fragment(IP(bytes(whole)), fragsize=1480)  # type: ignore[no-untyped-call]
        if late >= 0:
            pieces[late], pieces[late + 1] = pieces[late + 1], pieces[late]
        for piece in pieces:
            when += wire.around(60)
            wire.put(when, Ether(src=source.mac, dst=target.mac) / piece)
        when += 11_000
    # scapy leaves the checksum of what it cuts to us: taken from the whole packet's own bytes
    whole6 = IPv6(src=ANNA6.address, dst=RESOLVER6.address) / UDP(sport=40777, dport=2055) / Raw(block[:2000])
    sums = IPv6(bytes(whole6))[UDP].chksum
    cut = IPv6(src=ANNA6.address, dst=RESOLVER6.address) / IPv6ExtHdrFragment(id=0x51AC) / UDP(sport=40777, dport=2055, chksum=sums)
    for piece in fragment6(cut / Raw(block[:2000]), 1280):  # type: ignore[no-untyped-call]
        when += wire.around(60)
        wire.put(when, Ether(src=ANNA.mac, dst=ROUTER) / piece)


# ---------------------------------------------------------------- the scan

SCANNER = End(ROUTER, "198.51.100.66")
SERVER = End("02:00:5e:00:10:c8", "192.168.10.200")
CUSTOMER = End(ROUTER, "203.0.113.77")
TCP_PORTS = (
    *(80, 443, 22, 21, 25, 23, 53, 110, 111, 135, 139, 143, 199, 256, 445, 554, 587, 993, 995, 1025, 1720, 1723, 3306, 3389, 5900),
    *(8080, 8888, 8443, 5432, 6379, 27017, 9200, 11211, 2049, 1433, 1521, 5000, 5060, 6000, 8000, 8081, 9090, 10000, 49152, 631, 113),
)
OPEN = (22, 80, 443)
SILENT = (135, 139, 445, 3389, 5900)  # a filter upstream throws these away
UDP_PORTS = (53, 67, 68, 69, 111, 123, 137, 161, 500, 514, 520, 623, 1194, 1434, 1900, 4500, 5353, 31337)


def scan() -> Wire:
    wire = Wire(2)
    start = START + 3600 * SECOND
    for number in range(3):
        talk = Talk(wire, start + 60_000 + number * 420_000, CUSTOMER, SERVER, 443, rtt=14_000)
        tls_talk(talk, "www.example.org", (1_500, 3_000)).wait(100_000).finish()
    talk = Talk(wire, start + 500_000, CUSTOMER, SERVER, 80, rtt=14_000).open()
    talk.send(0, http_get("www.example.org", "/")).send(1, http_ok(2_500)).finish()
    dns(wire, start + 30_000, SERVER, End(ROUTER, "192.168.10.1"), "time.example.org", "203.0.113.123")
    ports = list(TCP_PORTS)
    wire.chance.shuffle(ports)
    when = start
    for port in ports:
        when += wire.around(9_000)
        _probe_tcp(wire, when, port)
    for port in UDP_PORTS:
        when += wire.around(31_000)
        _probe_udp(wire, when, port)
    return wire


def _probe_tcp(wire: Wire, when: int, port: int) -> None:
    """As nmap -sS: SYN; SYN ACK is answered by RST, RST ACK is a closed port, nothing is a filter and tried twice."""
    sport, seq = 51_733, wire.chance.randrange(1 << 32)

    def head(source: End, target: End) -> Packet:
        return network(wire, source, target, 47 if source is SCANNER else 64, (), "" if source is SCANNER else "DF")

    syn = TCP(sport=sport, dport=port, flags=SYN, seq=seq, window=1024, options=[("MSS", 1460)])
    wire.put(when, head(SCANNER, SERVER) / syn)
    back = when + wire.around(150)
    if port in SILENT:
        wire.put(when + SECOND + wire.around(1_000), head(SCANNER, SERVER) / syn)
    elif port in OPEN:
        answer = TCP(sport=port, dport=sport, flags=SYN + ACK, seq=wire.chance.randrange(1 << 32), ack=seq + 1 & 0xFFFFFFFF, window=64_240)
        answer.options = [("MSS", 1460)]
        wire.put(back, head(SERVER, SCANNER) / answer)
        wire.put(
            back + wire.around(14_000), head(SCANNER, SERVER) / TCP(sport=sport, dport=port, flags=RST, seq=seq + 1 & 0xFFFFFFFF, window=0)
        )
    else:
        closed = TCP(sport=port, dport=sport, flags=RST + ACK, seq=0, ack=seq + 1 & 0xFFFFFFFF, window=0)
        wire.put(back, head(SERVER, SCANNER) / closed)


def _probe_udp(wire: Wire, when: int, port: int) -> None:
    """As nmap -sU: closed ports say so by ICMP, not all of them, as the kernel limits that; 123 answers."""
    probe = (
        network(wire, SCANNER, SERVER, 44, (), "") / UDP(sport=51_734, dport=port) / Raw(b"\xe3" + bytes(47) if port == 123 else bytes(12))
    )
    wire.put(when, probe)
    if port == 123:
        answer = UDP(sport=port, dport=51_734) / Raw(b"\x24\x02" + wire.chance.randbytes(46))
        wire.put(when + wire.around(200), network(wire, SERVER, SCANNER) / answer)
    elif port % 4:
        quoted = Raw(bytes(probe.payload)[: 28 + 12])
        wire.put(when + wire.around(140), network(wire, SERVER, SCANNER, 64, (), "") / ICMP(type=3, code=3) / quoted)


# ---------------------------------------------------------------- the cover letter

CLIENT = End("02:00:00:00:00:0a", "10.0.0.1")
PEER = End("02:00:00:00:00:0b", "10.0.0.2")
UPLINK = End("02:00:00:00:00:d1", "192.0.2.1")
REMOTE = End("02:00:00:00:00:22", "192.0.2.2")
VXLAN_PORT, VNI = 4789, 98
TUNNEL_MSS = MSS - 50  # leaves room for the tunnel's headers on a link of 1500 bytes


class Tunnel(Wire):
    """A wire on which every frame goes inside VXLAN (RFC 7348) from the remote end."""

    def put(self, when: int, frame: Packet | bytes) -> None:
        inner = bytes(frame)
        sport = 49_152 + sum(inner[26:38]) % 16_384  # by flow, as senders spread their tunnels
        outer = network(self, REMOTE, UPLINK) / UDP(sport=sport, dport=VXLAN_PORT, chksum=0)
        super().put(when, outer / Raw(struct.pack(">BxxxI", 8, VNI << 8) + inner))


def cover_letter() -> tuple[Wire, Wire]:
    """Both sides of the same conversations: the client's frames, and the server's as they come through the tunnel."""
    eth0, uplink = Wire(3), Tunnel(4)
    start = START + 7200 * SECOND

    def talk(after: int, dport: int) -> Talk:
        made = Talk(eth0, start + after, CLIENT, PEER, dport, rtt=900, mss=TUNNEL_MSS)
        made.wires = (eth0, uplink)
        return made

    web = talk(0, 80).open().send(0, http_get("10.0.0.2", "/index.html")).send(1, http_ok(6_000), lost=1)
    web.wait(250_000).send(0, http_get("10.0.0.2", "/status")).send(1, http_ok(300)).finish()
    tls_talk(talk(120_000, 443), "peer.example.com", (2_500, 600)).wait(300_000).reset(0)
    upload = (
        talk(300_000, 8080)
        .open()
        .send(0, b"PUT /backup HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + eth0.chance.randbytes(9_000), swapped=3)
    )
    upload.send(1, b"HTTP/1.1 201 Created\r\n\r\n").finish(1)
    arp(eth0, start - 1_000, CLIENT, PEER)
    del eth0.frames[-1]  # the answer comes through the tunnel and is none of the letter's filters' business
    for number in range(2):  # no TCP: passes the letter's first filter by
        data = Raw(struct.pack(">Q", number) + bytes(range(48)))
        eth0.put(start + 80_000 + number * SECOND, network(eth0, CLIENT, PEER) / ICMP(type=8, id=77, seq=number + 1) / data)
    unknown = TCP(sport=80, dport=40_000, flags=ACK, seq=1, ack=1, window=500)  # of a connection that nobody opened
    uplink.put(start + 200_000, network(uplink, PEER, CLIENT) / unknown)
    return eth0, uplink


# ---------------------------------------------------------------- a file by FTP


def ftp() -> Wire:
    """Active FTP: the client says where it waits, and the server connects to it from port 20."""
    wire = Wire(5)
    start = START + 10_800 * SECOND
    control = Talk(wire, start, ANNA, MAIL, 21).open().send(1, b"220 files\r\n")
    for asked, told in ((b"USER anna\r\n", b"331 password\r\n"), (b"PASS x\r\n", b"230 welcome\r\n")):
        control.send(0, asked).send(1, told)
    control.send(0, b"PORT 192,168,10,21,200,10\r\n").send(1, b"200 well\r\n").send(0, b"RETR prices.txt\r\n")
    data = Talk(wire, start + 2 * SECOND, MAIL, ANNA, 51_210)
    data.open().send(0, b"apples 3\npears 4\n").finish()
    Talk(wire, start + 3 * SECOND, SHOP, ANNA, 51_210).open()
    return wire


FRIEND = End(ROUTER, "203.0.113.60")
# messages of H.323 as two terminals say them, the addresses in them left out
SETUP = "0300002e080212340528036162637e001d050000060008914a000402" + "00" * 18
CONNECT = "03000034080212340728036162637e0023050240060008914a000400 {} 02" + "00" * 17
OPEN_CHANNEL = "03000017030000000c6013800a04000100 {}"
CHANNEL_OPENED = "0300001b22c000000280101c0000 {} 00 {}"


def call() -> Wire:
    """The friend answers with the place where its H.245 listens, and there both agree on where the voice goes."""
    wire = Wire(6)
    start = START + 14_400 * SECOND
    Talk(wire, start, ANNA, FRIEND, 1720).open().send(0, bytes.fromhex(SETUP)).send(1, bytes.fromhex(CONNECT.format(_place(FRIEND, 5700))))
    agree = Talk(wire, start + SECOND, ANNA, FRIEND, 5700).open()
    agree.send(0, bytes.fromhex(OPEN_CHANNEL.format(_place(ANNA, 6001))))
    agree.send(1, bytes.fromhex(CHANNEL_OPENED.format(_place(FRIEND, 7000), _place(FRIEND, 7001))))
    for number in range(4):
        when = start + 2 * SECOND + number * 20_000
        for source, target, sport, dport in ((ANNA, FRIEND, 6000, 7000), (FRIEND, ANNA, 7000, 6000)):
            voice = struct.pack("!BBHII", 0x80, 0, number, number * 160, 7) + bytes(160)
            wire.put(when, network(wire, source, target, 60) / UDP(sport=sport, dport=dport) / Raw(voice))
    wire.put(start + 3 * SECOND, network(wire, SHOP, ANNA, 60) / UDP(sport=7000, dport=6002) / Raw(bytes(12)))
    return wire


def _place(end: End, port: int) -> str:
    return bytes(int(part) for part in end.address.split(".")).hex() + f"{port:04x}"


def main(argv: list[str]) -> int:
    folder = Path(argv[1]) if len(argv) > 1 else Path(__file__).resolve().parent / "captures"
    folder.mkdir(parents=True, exist_ok=True)
    eth0, uplink = cover_letter()
    for name, wire in (("office", office()), ("scan", scan()), ("eth0", eth0), ("uplink", uplink), ("ftp", ftp()), ("call", call())):
        wire.save(folder / f"{name}.pcap")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
