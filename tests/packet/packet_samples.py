"""Packets that scapy builds, by name, for every test of the packet layer; and `digest`, what a decoded packet looks like to a rule.

`digest` is for comparing runs: interpreted against compiled, or before against after a rewrite.
"""

from __future__ import annotations

from functools import cache

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, UDPerror
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import ARP, GRE, GRE_PPTP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from tcemu.fields import FIELDS, PROTOCOL, SLOTS
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_BARE, LINK_ETHER, Packet

SOURCE, TARGET = "02:00:00:00:00:01", "02:00:00:00:00:02"
ETHER = Ether(src=SOURCE, dst=TARGET)
IP4 = IP(src="192.0.2.1", dst="198.51.100.7", id=0x1234, ttl=63, tos=0x2E)
IP6 = IPv6(src="2001:db8::1", dst="2001:db8:ffff::8000:7", hlim=61, tc=0xB9, fl=0x54321)
SYN = TCP(
    sport=40000, dport=443, seq=0xDEADBEEF, ack=0x01020304, flags="SECN", window=64240, urgptr=9, options=[("MSS", 1460), ("SAckOK", b"")]
)
DATA = Raw(b"The quick brown fox jumps over the lazy dog")


def scapies() -> dict[str, Scapy]:
    """All samples, as scapy has them."""
    return {
        "tcp": ETHER / IP4 / SYN,
        "tcp-data": ETHER / IP4 / TCP(sport=40000, dport=443, flags="PA", seq=1, ack=2) / DATA,
        "tcp-sack": ETHER / IP4 / TCP(flags="A", seq=7, ack=9, options=[("NOP", None), ("NOP", None), ("SAck", (100, 200, 300, 400))]),
        "tcp-ip-options": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", options=[IPOption_NOP()] * 4) / SYN,
        "tcp-record-route": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", options=[IPOption_RR(routers=["1.2.3.4"])]) / SYN / DATA,
        "udp": ETHER / IP4 / UDP(sport=5353, dport=53) / DATA,
        "udp-no-checksum": ETHER / IP4 / UDP(sport=5353, dport=53, chksum=0) / DATA,
        "udp-empty": ETHER / IP4 / UDP(sport=1, dport=2),
        "udplite": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", proto=136) / Raw(bytes.fromhex("1388138900081234") + b"partial"),
        "icmp-echo": ETHER / IP4 / ICMP(type=8, id=0x77, seq=3) / DATA,
        "icmp-error": ETHER
        / IP4
        / ICMP(type=3, code=4, nexthopmtu=1400)
        / IP(src="198.51.100.7", dst="192.0.2.9")
        / UDPerror(sport=9, dport=10)
        / DATA,
        "sctp": ETHER / IP4 / SCTP(sport=1000, dport=2000, tag=0xCAFEBABE) / SCTPChunkInit(init_tag=5),
        "dccp": ETHER
        / IP(src="192.0.2.1", dst="198.51.100.7", proto=33)
        / Raw(bytes.fromhex("02580259060000000100000000000000") + b"options!"),
        "gre-key": ETHER / IP4 / GRE(key_present=1, key=0xABCD1234, proto=0x0800) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(),
        "gre-all": ETHER / IP4 / GRE(chksum_present=1, key_present=1, key=77, seqnum_present=1, sequence_number=5) / DATA,
        "pptp": ETHER / IP4 / GRE_PPTP(seqnum_present=1, payload_len=16, call_id=0x99, sequence_number=1) / DATA,
        "esp": ETHER / IP4 / ESP(spi=0x11223344, seq=1, data=b"x" * 24),
        "ah": ETHER / IP4 / AH(spi=0x55667788, seq=1, nh=6, payloadlen=4) / Raw(b"y" * 24),
        "igmp": ETHER / IP(src="192.0.2.1", dst="224.0.0.1", proto=2) / Raw(bytes.fromhex("1164ee9b00000000")),
        "l2tp": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", proto=115) / Raw(bytes.fromhex("00000065") + b"frame"),
        "ipip": ETHER / IP4 / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(),
        "unknown-protocol": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", proto=253) / DATA,
        "first-fragment": ETHER
        / IP(src="192.0.2.1", dst="198.51.100.7", flags="MF", id=7)
        / UDP(sport=9, dport=8, len=2000, chksum=5)
        / DATA,
        "later-fragment": ETHER / IP(src="192.0.2.1", dst="198.51.100.7", frag=100, id=7, proto=17) / DATA,
        "padded": ETHER / IP4 / TCP(sport=1, dport=2, flags="A") / Raw(b""),
        "arp": ETHER / ARP(op=2, hwsrc="02:00:00:00:00:0a", psrc="192.0.2.5", hwdst="02:00:00:00:00:0b", pdst="192.0.2.6"),
        "vlan": ETHER / Dot1Q(vlan=100, prio=5, dei=1) / IP4 / SYN,
        "qinq": ETHER / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=300, prio=6) / IP6 / UDP(sport=3, dport=4) / DATA,
        "three-tags": ETHER / Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / IP4 / UDP(),
        "vlan-arp": ETHER / Dot1Q(vlan=7) / ARP(op=1, psrc="192.0.2.5", pdst="192.0.2.6"),
        "mpls": ETHER / MPLS(label=0x12345, cos=3, s=0, ttl=64) / MPLS(label=99, cos=0, s=1, ttl=2) / IP4 / SYN,
        "vlan-mpls": ETHER / Dot1Q(vlan=9) / MPLS(label=77, s=1, ttl=9) / IP4 / UDP(),
        "pppoe-ip4": ETHER / PPPoE(sessionid=0x11) / PPP(proto=0x0021) / IP4 / SYN,
        "pppoe-ip6": ETHER / PPPoE(sessionid=0x12) / PPP(proto=0x0057) / IP6 / UDP(sport=1, dport=2),
        "pppoe-lcp": ETHER / PPPoE(sessionid=0x13) / PPP(proto=0xC021) / Raw(b"\x09\x01\x00\x08abcd"),
        "pppoe-mpls": ETHER / PPPoE(sessionid=0x14) / PPP(proto=0x0281) / MPLS(label=5, s=1, ttl=3) / DATA,
        "llc": Ether(src=SOURCE, dst="01:80:c2:00:00:00", type=38) / Raw(b"\x42\x42\x03" + bytes(35)),
        "novell": Ether(src=SOURCE, dst=TARGET, type=30) / Raw(b"\xff\xff" + bytes(28)),
        "cfm": Ether(src=SOURCE, dst=TARGET, type=0x8902) / Raw(bytes([0xA1, 47, 0, 4]) + bytes(20)),
        "unknown-ethertype": Ether(src=SOURCE, dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / DATA,
        "tcp6": ETHER / IP6 / SYN / DATA,
        "udp6": ETHER / IP6 / UDP(sport=546, dport=547) / DATA,
        "icmp6-echo": ETHER / IP6 / ICMPv6EchoRequest(id=0x99, seq=4, data=b"ping"),
        "icmp6-error": ETHER
        / IP6
        / ICMPv6PacketTooBig(mtu=1280)
        / IPv6(src="2001:db8::9", dst="2001:db8::1")
        / UDP(sport=5, dport=6)
        / DATA,
        "sctp6": ETHER / IP6 / SCTP(sport=1000, dport=2000, tag=1),
        "hop-by-hop": ETHER / IP6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / SYN,
        "routing": ETHER / IP6 / IPv6ExtHdrRouting(addresses=["2001:db8::5"]) / UDP(sport=11, dport=12) / DATA,
        "first-fragment6": ETHER / IP6 / IPv6ExtHdrFragment(m=1, id=9) / UDP(sport=9, dport=8, len=2000, chksum=5) / DATA,
        "later-fragment6": ETHER / IP6 / IPv6ExtHdrFragment(offset=100, id=9, nh=17) / DATA,
        "atomic-fragment6": ETHER / IP6 / IPv6ExtHdrFragment(id=9) / UDP(sport=9, dport=8) / DATA,
        "ah6": ETHER / IP6 / AH(spi=0x01020304, seq=1, nh=6, payloadlen=4) / Raw(b"y" * 24),
        "no-next-header": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2", nh=59) / DATA,
    }


@cache
def samples() -> dict[str, bytes]:
    """All samples as bytes, checksums filled in; "padded" with trailing bytes that the IP length does not count."""
    raw = {name: bytes(packet) for name, packet in scapies().items()}
    raw["padded"] += b"\xee" * 6
    return raw


def taken(raw: bytes, link: int = LINK_ETHER, iif: int = 3, wire: int = 0) -> Packet:
    """A packet just loaded; ``wire`` bytes long where the capture cut it."""
    p = Packet()
    load(p, raw, 0, len(raw), max(wire, len(raw)), 1, link, iif)
    return p


def frame(p: Packet) -> bytes:
    """The packet's bytes."""
    return p.data[p.start : p.end]


def digest(p: Packet) -> dict[str, int | str]:
    """All that a decoded packet shows: slots that are not zero by field name (or number), groups, offsets from the window's start."""
    names = {field.slot: field.name for field in FIELDS}
    seen: dict[str, int | str] = {names.get(slot, str(slot)): int(p.f[slot]) for slot in range(SLOTS) if p.f[slot]}
    for name in ("l3", "l4", "l3_end", "payload"):
        place = int(getattr(p, name))
        seen[name] = place - int(p.start) if place >= 0 else -1
    seen |= {"groups": int(p.groups), "length": int(p.end - p.start), "wire": int(p.wire), "broken": str(p.broken)}
    return seen


def good(p: Packet) -> bool:
    """Are all checksums right, and do the slots say what the bytes say?"""
    mine, fresh = digest(p), digest(decoded(frame(p), p))
    return bool(verify_header(p) and verify_l4(p)) and mine == fresh


def decoded(raw: bytes, like: Packet) -> Packet:
    p = Packet()
    if like.link == LINK_BARE:
        p.f[PROTOCOL] = like.f[PROTOCOL]
    load(p, raw, 0, len(raw), like.wire, 1, like.link, 3)
    return p


def in_chunk(raw: bytes) -> Packet:
    """Loaded from the middle of a chunk, as captures are."""
    p = Packet()
    load(p, b"\xaa" * 30 + raw + b"\xbb" * 30, 30, 30 + len(raw), len(raw), 1, LINK_ETHER, 3)
    return p
