"""Rewrites leave good checksums and change what they say; where the kernel refuses, nothing changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import DATA, ETHER, IP4, digest, frame, good, in_chunk, samples, taken
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPerror6, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tcemu.fields import (
    DPORT,
    G_IP4,
    ICMP_ID,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    PKT_LEN,
    SPORT,
    UDP_CSUM,
)
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, LINK_IP, Packet
from tcemu.packet.resum import CSUM_ICMP, CSUM_IGMP, CSUM_IPV4HDR, CSUM_SCTP, CSUM_TCP, CSUM_UDP, CSUM_UDPLITE
from tcemu.packet.rewrite import (
    decrement_ttl,
    is_ip,
    mark_congestion,
    renew_icmp,
    set_address,
    set_port,
    translate,
    translate_inner,
    trim_to_ip,
)

HIGH, LOW = 0x20010DB8_00000000, 0x42
IP_NAMES = [name for name in sorted(samples()) if taken(samples()[name]).groups & G_IP4]
IP6_NAMES = ["tcp6", "udp6", "icmp6-echo", "hop-by-hop", "qinq", "pppoe-ip6"]
SUMMED = ["tcp", "tcp-data", "tcp-ip-options", "udp", "padded", "icmp-echo", "sctp", "vlan", "three-tags", "pppoe-ip4"]
ALL_SUMS = CSUM_IPV4HDR | CSUM_ICMP | CSUM_IGMP | CSUM_TCP | CSUM_UDP | CSUM_UDPLITE | CSUM_SCTP


# ---------------------------------------------------------------- addresses and ports
@pytest.mark.parametrize("source", [True, False], ids=["source", "target"])
@pytest.mark.parametrize("name", SUMMED)
@given(address=st.integers(0, 0xFFFFFFFF), port=st.integers(0, 0xFFFF))
def test_translating_ip4_keeps_checksums_right(name: str, source: bool, address: int, port: int) -> None:
    p = in_chunk(samples()[name])
    before = digest(p)
    assert translate(p, source, 0, address, port)
    assert p.f[IP_SADDR if source else IP_DADDR] == address
    if name == "icmp-echo":
        assert p.f[ICMP_ID] == port
    else:
        assert p.f[SPORT if source else DPORT] == port
    assert good(p)
    assert len(frame(p)) == before["length"]


@pytest.mark.parametrize("source", [True, False], ids=["source", "target"])
@pytest.mark.parametrize("name", IP6_NAMES)
@given(high=st.integers(-(1 << 63), (1 << 63) - 1), low=st.integers(-(1 << 63), (1 << 63) - 1), port=st.integers(0, 0xFFFF))
def test_translating_ip6_keeps_checksums_right(name: str, source: bool, high: int, low: int, port: int) -> None:
    p = in_chunk(samples()[name])
    assert translate(p, source, high, low, port)
    at = IP6_SADDR if source else IP6_DADDR
    assert (p.f[at], p.f[at + 1]) == (high, low)
    assert good(p)


def test_udp_without_checksum_keeps_none() -> None:
    p = taken(samples()["udp-no-checksum"])
    assert translate(p, True, 0, 1, 2)
    assert p.f[UDP_CSUM] == 0


def test_udp_checksum_that_comes_to_zero_is_all_ones() -> None:
    for port in range(0x10000):
        p = taken(samples()["udp-empty"])
        translate(p, True, 0, p.f[IP_SADDR], port)
        assert p.f[UDP_CSUM] != 0
        if p.f[UDP_CSUM] == 0xFFFF:
            break
    assert verify_l4(p)


def test_address_and_port_alone() -> None:
    p = taken(samples()["tcp"])
    assert set_address(p, False, 0, 0x0A000001)
    assert (p.f[IP_DADDR], p.f[DPORT]) == (0x0A000001, 443)
    assert set_port(p, False, 8080)
    assert (p.f[IP_DADDR], p.f[DPORT]) == (0x0A000001, 8080)
    assert good(p)
    q = taken(samples()["udp6"])
    assert set_port(q, True, 999)
    assert q.f[SPORT] == 999
    assert good(q)


@pytest.mark.parametrize("name", ["later-fragment", "esp", "igmp", "unknown-protocol", "gre-key"])
def test_addresses_change_where_there_are_no_ports(name: str) -> None:
    p = taken(samples()[name])
    l4 = frame(p)[34:]
    assert translate(p, True, 0, 0x0A000001, 77)
    assert (p.f[IP_SADDR], frame(p)[34:]) == (0x0A000001, l4)
    assert verify_header(p)


def test_pptp_call_id_is_the_targets_port() -> None:
    p = taken(samples()["pptp"])
    assert translate(p, False, 0, 1, 0x4321)
    assert frame(p)[40:42] == b"\x43\x21"
    q = taken(samples()["pptp"])
    assert translate(q, True, 0, 1, 0x4321)
    assert frame(q)[40:42] == b"\x00\x99"


@pytest.mark.parametrize("name", ["tcp", "udp", "sctp", "dccp"])
def test_a_transport_header_below_eight_bytes_refuses(name: str) -> None:
    p = taken(samples()[name][:40])
    before = digest(p)
    assert not translate(p, True, 0, 1, 2)
    assert digest(p) == before


def test_a_tcp_header_of_eight_bytes_gets_ports_without_checksum() -> None:
    p = taken(samples()["tcp"][:42])
    assert translate(p, True, 0, 1, 2)
    assert (p.f[IP_SADDR], p.f[SPORT]) == (1, 2)


def test_not_ip_is_not_translated() -> None:
    assert not translate(taken(samples()["arp"]), True, 0, 1, 2)


@pytest.mark.parametrize(
    "inner", [UDP(sport=9, dport=10) / DATA, TCP(sport=9, dport=10), ICMP(id=9), Raw(b"x" * 20)], ids=["udp", "tcp", "icmp", "raw"]
)
def test_the_packet_inside_an_icmp_error_is_translated(inner: Raw) -> None:
    quoted = IP(bytes(IP(src="198.51.100.7", dst="192.0.2.9") / inner))
    p = in_chunk(bytes(ETHER / IP4 / ICMP(type=3, code=1) / quoted))
    at = p.payload
    assert translate_inner(p, at, False, 0, 0x0A000001, 4711)
    assert renew_icmp(p)
    assert good(p)
    outer = Ether(frame(p))
    error = IP(bytes(outer[IPerror]))
    assert error.dst == "10.0.0.1"
    fresh = error.copy()
    fresh.chksum = None
    assert IP(bytes(fresh)).chksum == error.chksum
    if UDP in quoted or UDPerror in outer:
        inside = taken(bytes(error), LINK_IP)
        assert inside.f[DPORT] == 4711
        assert verify_l4(inside)


def test_the_packet_inside_an_icmpv6_error_is_translated() -> None:
    quoted = IPv6(src="2001:db8::9", dst="2001:db8::1") / UDP(sport=5, dport=6) / DATA
    p = in_chunk(bytes(ETHER / IPv6(src="2001:db8::2", dst="2001:db8::9") / ICMPv6PacketTooBig(mtu=1280) / quoted))
    assert translate_inner(p, p.payload, True, HIGH, LOW, 99)
    assert renew_icmp(p)
    assert good(p)
    error = IPv6(bytes(Ether(frame(p))[IPerror6]))
    assert (error.src, error.sport) == ("2001:db8::42", 99)
    assert verify_l4(taken(bytes(error), LINK_IP))


@pytest.mark.parametrize("name", ["icmp-error", "icmp6-error"])
def test_a_cut_quotation_refuses(name: str) -> None:
    whole = taken(samples()[name])
    size = 60 if name.startswith("icmp6") else 38
    p = taken(samples()[name][: whole.payload + size - 20])
    before = digest(p)
    assert not translate_inner(p, p.payload, True, 0, 1, 2)
    assert digest(p) == before


# ---------------------------------------------------------------- TTL, ECN, trimming
@pytest.mark.parametrize("name", SUMMED + IP6_NAMES)
def test_ttl_counts_down_to_zero_with_a_good_checksum(name: str) -> None:
    p = in_chunk(samples()[name])
    for ttl in range(p.f[IP_TTL] - 1, -1, -1):
        assert decrement_ttl(p)
        assert p.f[IP_TTL] == ttl
        assert good(p)
    assert not decrement_ttl(p)


@given(st.integers(0, 0xFFFF))
def test_ttl_checksum_is_right_for_every_header(ident: int) -> None:
    p = taken(bytes(ETHER / IP(src="1.2.3.4", dst="5.6.7.8", id=ident, ttl=7) / UDP()))
    decrement_ttl(p)
    assert verify_header(p)


@pytest.mark.parametrize("tos", range(8))
@pytest.mark.parametrize("wide", [False, True], ids=["ip4", "ip6"])
def test_congestion_is_marked_on_capable_packets_only(tos: int, wide: bool) -> None:
    base = IPv6(tc=tos, src="2001:db8::1", dst="2001:db8::2") if wide else IP(tos=tos, src="1.2.3.4", dst="5.6.7.8")
    p = in_chunk(bytes(ETHER / base / UDP(sport=1, dport=2) / DATA))
    assert mark_congestion(p) == (tos & 3 != 0)
    assert p.f[IP_TOS] == (tos | 3 if tos & 3 else tos)
    assert good(p)


def test_congestion_is_not_marked_inside_pppoe() -> None:
    assert not mark_congestion(taken(samples()["pppoe-ip4"]))


def test_trimming_takes_padding_off() -> None:
    p = in_chunk(samples()["padded"])
    assert trim_to_ip(p)
    assert (len(frame(p)), p.wire, p.f[PKT_LEN]) == (54, 54, 40)
    assert good(p)


@pytest.mark.parametrize("name", ["tcp", "tcp6", "qinq"])
def test_trimming_leaves_a_fitting_packet_alone(name: str) -> None:
    p = taken(samples()[name])
    before = digest(p)
    assert trim_to_ip(p)
    assert digest(p) == before


def test_trimming_below_the_header_leaves_no_header() -> None:
    raw = samples()["tcp"]
    p = taken(raw[:16] + b"\x00\x0a" + raw[18:])
    assert trim_to_ip(p)
    assert (p.broken, p.groups & G_IP4, len(frame(p))) == ("IPv4 header cut", 0, 24)


@pytest.mark.parametrize("raw", [samples()["arp"], samples()["tcp"][:30]], ids=["arp", "cut"])
def test_trimming_refuses_without_an_ip_header(raw: bytes) -> None:
    assert not trim_to_ip(taken(raw))


def test_trimming_a_cut_capture_forgets_only_padding() -> None:
    raw = samples()["tcp-data"]
    p = Packet()
    load(p, raw, 0, 60, len(raw) + 6, 1, LINK_ETHER, 3)
    assert trim_to_ip(p)
    assert (p.wire, p.end - p.start, p.f[PKT_LEN]) == (len(raw), 60, len(raw) - 14)


@pytest.mark.parametrize(("name", "want"), [("tcp", True), ("qinq", True), ("pppoe-ip4", False), ("mpls", False), ("arp", False)])
def test_ip_for_tc_is_what_stands_behind_tags_alone(name: str, want: bool) -> None:
    # source: net/sched/act_ct.c tcf_ct_skb_nf_family
    assert is_ip(taken(samples()[name])) == want
