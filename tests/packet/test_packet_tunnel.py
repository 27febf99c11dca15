"""Headers from scratch and tunnels, against scapy; what devices refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from packet_samples import DATA, ETHER, IP4, IP6, samples, taken
from scapy.contrib import geneve
from scapy.layers import l2, vxlan
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from tcemu.fields import IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR
from tcemu.packet.build import arp_frame, ethernet, ip4_header, ip6_header, udp4, udp6
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.packet import LINK_IP, TunnelInfo
from tcemu.packet.tunnel import GENEVE, GRE, VXLAN, ecn_decapsulate, ecn_encapsulate, inner_protocol, unwrap, wrap

INNER = samples()["udp"]


def info4(**more: object) -> TunnelInfo:
    info = TunnelInfo()
    info.source, info.target, info.key, info.has_key, info.dport, info.ttl, info.tos = 0xC0000201, 0xC6336407, 0xABCDE, True, 4789, 64, 0x10
    for name, value in more.items():
        setattr(info, name, value)
    return info


def info6(**more: object) -> TunnelInfo:
    return info4(family=6, source_high=0x20010DB800000000, source=1, target_high=0x20010DB800000000, target=2, **more)


def test_ethernet_and_arp_are_scapys() -> None:
    frame = Ether(src="02:00:00:00:00:0a", dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc="02:00:00:00:00:0a", psrc="10.0.0.1", pdst="10.0.0.2")
    assert arp_frame(1, 0x02000000000A, 0x0A000001, 0, 0x0A000002) == bytes(frame)
    assert ethernet(1, 2, 0x88B5) == bytes(Ether(dst="00:00:00:00:00:01", src="00:00:00:00:00:02", type=0x88B5))


@pytest.mark.parametrize("df", [True, False])
def test_ip4_header_is_scapys(df: bool) -> None:
    want = IP(src="1.2.3.4", dst="5.6.7.8", proto=17, ttl=9, tos=0x2E, id=77, flags="DF" if df else 0) / Raw(b"x" * 30)
    assert ip4_header(0x01020304, 0x05060708, 17, 30, 9, 0x2E, 77, df) == bytes(want)[:20]


def test_ip6_header_is_scapys() -> None:
    want = IPv6(src="2001:db8::1", dst="ff02::8000:0:0:2", nh=17, hlim=9, tc=0xFE, fl=0xABCDE) / Raw(b"x" * 30)
    p = taken(bytes(want), LINK_IP)
    halves = (p.f[IP6_SADDR], p.f[IP6_SADDR + 1], p.f[IP6_DADDR], p.f[IP6_DADDR + 1])
    assert ip6_header(*halves, 17, 30, 9, 0xFE, 0xABCDE) == bytes(want)[:40]


@pytest.mark.parametrize("size", range(6))
def test_udp_is_scapys(size: int) -> None:
    body = b"\xfe\x03abc"[:size]
    p = taken(bytes(ETHER / IP4 / UDP(sport=7, dport=8) / Raw(body)))
    assert udp4(p.f[IP_SADDR], p.f[IP_DADDR], 7, 8, body, True) == p.data[p.l4 :]
    assert udp4(1, 2, 7, 8, body, False)[6:8] == b"\0\0"
    q = taken(bytes(ETHER / IP6 / UDP(sport=7, dport=8) / Raw(body)))
    assert udp6(q.f[IP6_SADDR], q.f[IP6_SADDR + 1], q.f[IP6_DADDR], q.f[IP6_DADDR + 1], 7, 8, body, True) == q.data[q.l4 :]


def test_udp_checksum_that_comes_to_zero_is_all_ones() -> None:
    assert {udp4(0, 0, sport, 0, b"", True)[6:8] for sport in range(0xFFD0, 0x10000)} >= {b"\xff\xff"}
    assert all(udp4(0, 0, sport, 0, b"", True)[6:8] != b"\0\0" for sport in range(0xFFD0, 0x10000))


@pytest.mark.parametrize("summed", [True, False], ids=["csum", "nocsum"])
@pytest.mark.parametrize("make", [info4, info6], ids=["ip4", "ip6"])
def test_vxlan_is_scapys(make: Callable[..., TunnelInfo], summed: bool) -> None:
    packet = wrap(INNER, VXLAN, make(csum=summed), 50000, 9)
    p = taken(packet, LINK_IP)
    assert verify_header(p)
    assert verify_l4(p)
    outer = (IPv6 if make is info6 else IP)(packet)
    assert (outer[UDP].sport, outer[UDP].chksum != 0, outer[vxlan.VXLAN].vni, bytes(outer[vxlan.VXLAN].payload)) == (
        50000,
        summed,
        0xABCDE,
        INNER,
    )
    back = TunnelInfo()
    assert p.data[unwrap(p, VXLAN, back) :] == INNER
    assert (back.family, back.source, back.target, back.key, back.dport, back.ttl, back.tos, back.csum) == (
        outer.version, *((1, 2) if make is info6 else (0xC0000201, 0xC6336407)), 0xABCDE, 4789, 64, 0x10, summed,
    )  # fmt: skip


@pytest.mark.parametrize(("policy", "flags"), [(0, 0x08000000), (0x1234, 0x88001234), (0x00480042, 0x88480042)])
def test_group_policy_is_in_the_vxlan_header(policy: int, flags: int) -> None:
    # source: draft-smith-vxlan-group-policy; drivers/net/vxlan vxlan_build_gbp_hdr
    info = info4(options=policy.to_bytes(4, "big"), options_kind="vxlan")
    packet = wrap(INNER, VXLAN, info, 50000, 9, 0x6558, True)
    assert packet[28:32] == flags.to_bytes(4, "big")
    back = TunnelInfo()
    assert unwrap(taken(packet, LINK_IP), VXLAN, back, True) == 36
    assert back.options == (policy.to_bytes(4, "big") if policy else b"")
    assert (unwrap(taken(packet, LINK_IP), VXLAN, back) == 36) == (policy == 0)


OPTIONS = bytes.fromhex("0102800211223344213141510408420100400076")


@pytest.mark.parametrize("make", [info4, info6], ids=["ip4", "ip6"])
def test_geneve_with_options_is_scapys(make: Callable[..., TunnelInfo]) -> None:
    info = make(dport=6081, options=OPTIONS, options_kind="geneve", oam=True, critical=True)
    packet = wrap(INNER, GENEVE, info, 50000, 9)
    header = geneve.GENEVE(packet[(40 if make is info6 else 20) + 8 :])
    assert (header.vni, header.oam, header.critical, header.proto, header.optionlen) == (0xABCDE, 1, 1, 0x6558, 5)
    p = taken(packet, LINK_IP)
    back = TunnelInfo()
    assert p.data[unwrap(p, GENEVE, back) :] == INNER
    assert (back.options, back.options_kind, back.oam, back.critical, inner_protocol(p, GENEVE)) == (OPTIONS, "geneve", True, True, 0x6558)


@pytest.mark.parametrize("summed", [True, False], ids=["csum", "nocsum"])
@pytest.mark.parametrize("keyed", [True, False], ids=["key", "nokey"])
@pytest.mark.parametrize(("proto", "inner"), [(0x6558, INNER), (0x0800, INNER[14:])], ids=["gretap", "gre"])
def test_gre_is_scapys(proto: int, inner: bytes, keyed: bool, summed: bool) -> None:
    packet = wrap(inner, GRE, info4(csum=summed, has_key=keyed), 0, 9, proto)
    header = IP(packet)[l2.GRE]
    assert (header.proto, header.chksum_present, header.key_present, bytes(header.payload)) == (proto, summed, keyed, inner)
    p = taken(packet, LINK_IP)
    back = TunnelInfo()
    assert p.data[unwrap(p, GRE, back) :] == inner
    assert (back.has_key, back.key, back.csum, inner_protocol(p, GRE)) == (keyed, 0xABCDE if keyed else 0, summed, proto)
    if summed:
        wrong = taken(packet[:-1] + bytes([packet[-1] ^ 1]), LINK_IP)
        assert (unwrap(wrong, GRE, back), wrong.reason) == (-1, "gre: bad checksum")


REFUSED = [
    ("vxlan-flag", VXLAN, "0000000000000700", "vxlan: the VNI flag is not set"),
    ("vxlan-reserved", VXLAN, "0900000000000700", "vxlan: reserved bits are set"),
    ("vxlan-reserved-byte", VXLAN, "0800000000000701", "vxlan: reserved bits are set"),
    ("vxlan-cut", VXLAN, "08000000000007", "tunnel: header cut"),
    ("geneve-version", GENEVE, "4000655800000700", "geneve: version is not 0"),
    ("geneve-protocol", GENEVE, "0000080600000700", "geneve: what it carries is not known"),
    ("geneve-options", GENEVE, "0200655800000700", "geneve: options cut"),
]


@pytest.mark.parametrize(("kind", "header", "reason"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_devices_refuse(kind: int, header: str, reason: str) -> None:
    p = taken(bytes(ETHER / IP4 / UDP(sport=1, dport=4789) / Raw(bytes.fromhex(header))))
    assert (unwrap(p, kind, TunnelInfo()), p.reason) == (-1, reason)


@pytest.mark.parametrize("flags", ["4000", "0001"], ids=["routing", "version"])
def test_gre_of_another_kind_is_refused(flags: str) -> None:
    p = taken(bytes(ETHER / IP(src="1.2.3.4", dst="5.6.7.8", proto=47) / Raw(bytes.fromhex(flags + "0800") + bytes(DATA))))
    assert (unwrap(p, GRE, TunnelInfo()), p.reason) == (-1, "gre: version is not 0, or routing is set")


@pytest.mark.parametrize("name", ["arp", "tcp", "later-fragment"])
def test_what_is_no_tunnel_is_refused(name: str) -> None:
    p = taken(samples()[name])
    assert unwrap(p, VXLAN, TunnelInfo()) == -1
    assert unwrap(p, GRE, TunnelInfo()) == -1


@pytest.mark.parametrize(("outer", "inner", "want"), [(0x13, 0, 0x10), (0x10, 1, 0x11), (0x10, 2, 0x12), (0x10, 3, 0x12)])
def test_congestion_marks_going_in(outer: int, inner: int, want: int) -> None:
    # source: include/net/inet_ecn.h INET_ECN_encapsulate
    assert ecn_encapsulate(outer, inner) == want


@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
def test_congestion_marks_coming_out(outer: int, inner: int) -> None:
    # source: RFC 6040, figure 4; include/net/inet_ecn.h __INET_ECN_decapsulate
    assert ecn_decapsulate(outer, inner) == ((0, 1, 1, 2)[outer] if inner == 0 else 0)
