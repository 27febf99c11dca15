"""Rewrites leave good checksums and change what they say; where the kernel refuses, nothing changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import DATA, ETHER, IP4, digest, frame, samples, taken
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPerror6, IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from tcemu.fields import (
    DPORT,
    ETH_DST,
    ETH_SRC,
    G_ETH,
    G_IP4,
    G_MPLS,
    G_TCP,
    ICMP_ID,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_SADDR,
    IP_TOS,
    IP_TTL,
    MPLS_LSE,
    NETPROTO,
    PKT_LEN,
    PROTOCOL,
    SPORT,
    TCP_ACK,
    TCP_FLAGS,
    TCP_SEQ,
    UDP_CSUM,
    VLAN_COUNT,
    VLAN_ID,
    VLAN_PRIO,
)
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import decode, load
from tcemu.packet.packet import LINK_BARE, LINK_ETHER, LINK_IP, Packet
from tcemu.packet.resum import CSUM_ICMP, CSUM_IGMP, CSUM_IPV4HDR, CSUM_SCTP, CSUM_TCP, CSUM_UDP, CSUM_UDPLITE
from tcemu.packet.rewrite import (
    PEDIT_ETH,
    PEDIT_IP4,
    PEDIT_NETWORK,
    PEDIT_TCP,
    PEDIT_UDP,
    adjust_tcp,
    decrement_ttl,
    eth_pop,
    eth_push,
    is_ip,
    mark_congestion,
    mpls_dec_ttl,
    mpls_mac_push,
    mpls_modify,
    mpls_pop,
    mpls_push,
    outer_tag,
    pedit,
    renew_icmp,
    replace_payload,
    set_address,
    set_bytes,
    set_ethertype,
    set_macs,
    set_payload,
    set_port,
    swap_macs,
    translate,
    translate_inner,
    trim_to_ip,
    update_checksums,
    vlan_modify,
    vlan_pop,
    vlan_push,
)

HIGH, LOW = 0x20010DB8_00000000, 0x42
IP_NAMES = [name for name in sorted(samples()) if taken(samples()[name]).groups & G_IP4]
IP6_NAMES = ["tcp6", "udp6", "icmp6-echo", "hop-by-hop", "qinq", "pppoe-ip6"]
SUMMED = ["tcp", "tcp-data", "tcp-ip-options", "udp", "padded", "icmp-echo", "sctp", "vlan", "three-tags", "pppoe-ip4"]
ALL_SUMS = CSUM_IPV4HDR | CSUM_ICMP | CSUM_IGMP | CSUM_TCP | CSUM_UDP | CSUM_UDPLITE | CSUM_SCTP


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


# ---------------------------------------------------------------- link headers
def test_macs_are_set_and_swapped() -> None:
    p = in_chunk(samples()["tcp"])
    assert set_macs(p, 0x0200000000AA, -1)
    assert (p.f[ETH_DST], p.f[ETH_SRC]) == (0x0200000000AA, 0x020000000001)
    assert swap_macs(p)
    assert (p.f[ETH_DST], p.f[ETH_SRC]) == (0x020000000001, 0x0200000000AA)
    assert good(p)


def test_macs_of_a_packet_without_ethernet_are_left_alone() -> None:
    p = taken(samples()["tcp"][14:], LINK_IP)
    assert set_macs(p, 1, 2)
    assert frame(p) == samples()["tcp"][14:]


@pytest.mark.parametrize(("name", "at"), [("tcp", 12), ("vlan", 16), ("qinq", 16)])
def test_the_written_ethertype_is_not_looked_at_again(name: str, at: int) -> None:
    p = in_chunk(samples()[name])
    before = digest(p)
    assert set_ethertype(p, 0xBEEF)
    assert frame(p)[at : at + 2] == b"\xbe\xef"
    assert digest(p) == before


@pytest.mark.parametrize("name", ["tcp", "tcp6", "arp", "mpls", "vlan"])
def test_push_and_pop_of_a_tag_leave_the_frame(name: str) -> None:
    p = in_chunk(samples()[name])
    count = p.f[VLAN_COUNT]
    assert vlan_push(p, 0x88A8, 3 << 13 | 200)
    assert (p.f[VLAN_COUNT], p.f[VLAN_ID], p.f[VLAN_PRIO], p.f[PROTOCOL], p.wire) == (count + 1, 200, 3, 0x88A8, len(samples()[name]) + 4)
    assert isinstance(Ether(frame(p)).payload, (Dot1Q, Dot1AD))
    assert vlan_pop(p)
    assert frame(p) == samples()[name]


def test_popping_no_tag_does_nothing() -> None:
    p = taken(samples()["tcp"])
    assert vlan_pop(p)
    assert frame(p) == samples()["tcp"]


def test_a_tag_cannot_be_pushed_on_raw_ip() -> None:
    assert not vlan_push(taken(samples()["tcp"][14:], LINK_IP), 0x8100, 1)


@pytest.mark.parametrize(("priority", "want"), [(-1, 5), (2, 2), (0, 0)])
def test_modify_changes_id_and_priority_of_the_outer_tag(priority: int, want: int) -> None:
    p = in_chunk(samples()["vlan"])
    assert vlan_modify(p, 0x88A8, 42, priority)
    tag = Ether(frame(p)).payload
    assert (p.f[PROTOCOL], p.f[VLAN_ID], p.f[VLAN_PRIO], tag.dei) == (0x88A8, 42, want, 1)
    assert outer_tag(p) == frame(p)[12:16]


def test_modify_without_a_tag_does_nothing() -> None:
    p = taken(samples()["tcp"])
    assert vlan_modify(p, 0x8100, 42, 0)
    assert frame(p) == samples()["tcp"]


def test_ethernet_header_off_and_on() -> None:
    p = in_chunk(samples()["tcp"])
    assert eth_pop(p)
    assert (p.link, p.groups & G_ETH, frame(p)) == (LINK_IP, 0, samples()["tcp"][14:])
    assert not eth_pop(p)
    assert eth_push(p, 0x020000000002, 0x020000000001)
    assert frame(p) == samples()["tcp"]
    assert not eth_push(p, 1, 2)


def test_tagged_frames_keep_their_ethernet_header() -> None:
    assert not eth_pop(taken(samples()["vlan"]))


def test_label_in_front_of_ip() -> None:
    p = in_chunk(samples()["tcp"])
    assert mpls_push(p, 0x8847, 1000, 3, -1, 64)
    label = Ether(frame(p))[MPLS]
    assert (label.label, label.cos, label.s, label.ttl, p.f[NETPROTO]) == (1000, 3, 1, 64, 0x8847)
    assert mpls_push(p, 0x8848, 1001, -1, -1, 7)
    assert (p.f[MPLS_LSE], p.f[PROTOCOL]) == (1001 << 12 | 7, 0x8848)
    assert mpls_pop(p, 0x8847)
    assert mpls_pop(p, 0x0800)
    assert frame(p) == samples()["tcp"]


def test_label_goes_behind_the_outer_tag() -> None:
    p = in_chunk(samples()["vlan"])
    assert mpls_push(p, 0x8847, 16, 0, -1, 9)
    assert frame(p) == samples()["vlan"][:16] + b"\x88\x47" + (16 << 12 | 0x109).to_bytes(4, "big") + samples()["vlan"][18:]
    assert mpls_pop(p, 0x0800)
    assert frame(p) == samples()["vlan"]


def test_label_in_front_of_the_frame_and_ethernet_around() -> None:
    raw = samples()["tcp"]
    p = in_chunk(raw)
    assert mpls_mac_push(p, 0x8847, 55, 0, -1, 255)
    assert (p.link, p.f[PROTOCOL], p.groups & G_MPLS != 0, p.f[MPLS_LSE]) == (LINK_BARE, 0x8847, True, 55 << 12 | 0x1FF)
    assert eth_push(p, 0x02000000000B, 0x02000000000A)
    assert frame(p) == bytes.fromhex("02000000000b02000000000a8847") + (55 << 12 | 0x1FF).to_bytes(4, "big") + raw
    assert eth_pop(p)
    assert mpls_pop(p, 0x6558)
    assert (frame(p), p.f[PROTOCOL]) == (raw, 0x6558)


def test_modify_and_count_down_of_a_label() -> None:
    p = in_chunk(samples()["mpls"])
    assert mpls_modify(p, 0x54321, 5, 0, 2)
    assert p.f[MPLS_LSE] == 0x54321 << 12 | 5 << 9 | 2
    assert mpls_modify(p, -1, -1, 1, 0)
    assert p.f[MPLS_LSE] == 0x54321 << 12 | 5 << 9 | 0x102
    assert mpls_dec_ttl(p)
    assert p.f[MPLS_LSE] & 0xFF == 1
    assert not mpls_dec_ttl(p)


@pytest.mark.parametrize("name", ["tcp", "qinq", "arp"])
def test_labels_are_wanted_where_there_are_none(name: str) -> None:
    p = taken(samples()[name])
    assert mpls_pop(p, 0x0800)
    assert not mpls_modify(p, 5, 0, 0, 1)
    assert not mpls_dec_ttl(p)
    assert not mpls_push(p, 0x0800, 5, 0, 0, 1)
    assert frame(p) == samples()[name]


# ---------------------------------------------------------------- checksums anew
RESUMMED = [
    "tcp",
    "tcp-data",
    "tcp-ip-options",
    "udp",
    "icmp-echo",
    "icmp-error",
    "igmp",
    "sctp",
    "vlan",
    "three-tags",
    "tcp6",
    "udp6",
    "icmp6-echo",
]
RESUMMED += ["sctp6", "hop-by-hop", "qinq"]


@pytest.mark.parametrize("name", RESUMMED)
def test_csum_repairs_what_was_broken(name: str) -> None:
    raw = bytearray(samples()[name])
    at = taken(bytes(raw))
    wrong = bytearray(raw)
    if at.groups & G_IP4:
        wrong[at.l3 + 10] ^= 0x5A
    place = {6: 16, 17: 6, 132: 8}.get(
        at.data[at.l3 + 9]
        if at.groups & G_IP4
        else 6
        if "tcp" in name or "hop" in name
        else 17
        if name in ("udp6", "qinq")
        else 132
        if name == "sctp6"
        else 0,
        2,
    )
    wrong[at.l4 + place] ^= 0x5A
    p = in_chunk(bytes(wrong))
    assert update_checksums(p, ALL_SUMS)
    assert frame(p) == bytes(raw)
    q = taken(bytes(wrong))
    assert update_checksums(q, 0)
    assert frame(q) == bytes(wrong)


def test_csum_leaves_udp_without_checksum_in_ip4() -> None:
    p = taken(samples()["udp-no-checksum"])
    assert update_checksums(p, ALL_SUMS)
    assert p.f[UDP_CSUM] == 0


def test_csum_gives_udp_over_ip6_a_checksum() -> None:
    raw = samples()["udp6"]
    p = taken(raw[:60] + b"\0\0" + raw[62:])
    assert update_checksums(p, CSUM_UDP)
    assert frame(p) == raw


@pytest.mark.parametrize("name", ["later-fragment", "first-fragment6", "later-fragment6", "arp", "mpls", "pppoe-ip4", "gre-key"])
def test_csum_leaves_alone(name: str) -> None:
    p = taken(samples()[name])
    assert update_checksums(p, ALL_SUMS & ~CSUM_IPV4HDR)
    assert frame(p) == samples()[name]


def test_csum_sums_up_the_first_fragment_of_ip4_alone() -> None:
    # source: net/sched/act_csum.c tcf_csum_ipv4: only a fragment offset stops it; UDP's length does not fit, so its checksum is left at zero
    p = taken(samples()["first-fragment"])
    assert update_checksums(p, ALL_SUMS)
    assert p.f[UDP_CSUM] == 0


@pytest.mark.parametrize(("coverage", "right"), [(0, False), (8, True), (9, True), (7, None), (200, None)])
def test_csum_of_udplite_by_coverage(coverage: int, right: bool | None) -> None:
    # source: tcf_csum_ipv4_udp: with coverage 0 all is summed up, but the pseudo header's length is 0 too
    raw = samples()["udplite"]
    p = taken(raw[:38] + coverage.to_bytes(2, "big") + raw[40:])
    assert update_checksums(p, CSUM_UDPLITE)
    assert (p.f[UDP_CSUM] == 0) == (right is None)


@pytest.mark.parametrize(
    "raw",
    [samples()["tcp"][:50], samples()["udp"][:-1], samples()["icmp-echo"][:40], samples()["hop-by-hop"][:57], samples()["tcp6"][:70]],
    ids=["tcp", "udp", "icmp", "extension", "tcp6"],
)
def test_csum_drops_what_is_cut(raw: bytes) -> None:
    p = taken(raw)
    assert not update_checksums(p, ALL_SUMS)
    assert frame(p) == raw


def test_csum_leaves_the_transport_of_a_cut_capture() -> None:
    raw = samples()["tcp-data"]
    p = Packet()
    load(p, raw[:24] + b"\0\0" + raw[26:60], 0, 60, len(raw), 1, LINK_ETHER, 3)
    assert update_checksums(p, ALL_SUMS)
    assert frame(p) == raw[:60]


# ---------------------------------------------------------------- pedit
def edit(p: Packet, header: int, offset: int, keep: int, value: int, add: bool = False) -> bool:
    return bool(pedit(p, header, offset, keep, value, add, 0, 0, 0))


def test_pedit_sets_a_byte_and_leaves_the_checksum() -> None:
    p = in_chunk(samples()["tcp"])
    check = frame(p)[24:26]
    assert edit(p, PEDIT_IP4, 8, 0x00FFFFFF, 0x07000000)
    assert (p.f[IP_TTL], frame(p)[24:26]) == (7, check)
    assert not verify_header(p)


@pytest.mark.parametrize(("start", "add", "want"), [(63, 255, 62), (0, 255, 255), (200, 100, 44)])
def test_pedit_adds_within_its_mask(start: int, add: int, want: int) -> None:
    # source: the usual "munge ip ttl add 255"
    raw = samples()["tcp"]
    p = taken(raw[:22] + bytes([start]) + raw[23:])
    assert edit(p, PEDIT_IP4, 8, 0x00FFFFFF, add << 24, True)
    assert (p.f[IP_TTL], frame(p)[23:26]) == (want, raw[23:26])


def test_pedit_carries_as_a_little_endian_machine_does() -> None:
    # source: act_pedit.c: (cur_val + tkey->val) & ~tkey->mask on a u32 as it lies in memory
    raw = samples()["udp"]
    p = taken(raw[:34] + bytes.fromhex("00ff0035") + raw[38:])
    assert edit(p, PEDIT_UDP, 0, 0x0000FFFF, 0x00010000, True)
    assert frame(p)[34:38] == bytes.fromhex("00000035")
    q = taken(raw[:34] + bytes.fromhex("ff000035") + raw[38:])
    assert edit(q, PEDIT_UDP, 0, 0x0000FFFF, 0x01000000, True)
    assert frame(q)[34:38] == bytes.fromhex("00010035")


@pytest.mark.parametrize(
    ("name", "header", "base"), [("vlan", PEDIT_ETH, 0), ("vlan", PEDIT_IP4, 18), ("vlan", PEDIT_TCP, 38), ("tcp6", PEDIT_TCP, 54)]
)
def test_pedit_finds_the_header(name: str, header: int, base: int) -> None:
    p = in_chunk(samples()[name])
    assert edit(p, header, 0, 0, 0x41424344 if header != PEDIT_IP4 else 0x45060708)
    assert frame(p)[base : base + 4] == (b"ABCD" if header != PEDIT_IP4 else b"\x45\x06\x07\x08")


def test_pedit_does_not_see_the_outer_tag() -> None:
    p = in_chunk(samples()["vlan"])
    before = digest(p)
    assert edit(p, PEDIT_ETH, 12, 0x0000FFFF, 0xBEEF0000)
    assert frame(p)[12:18] == samples()["vlan"][12:16] + b"\xbe\xef"
    assert digest(p) == before


def test_pedit_reaches_back_to_the_macs_from_the_network_header() -> None:
    p = taken(samples()["tcp"])
    assert edit(p, PEDIT_NETWORK, -14, 0, 0x0A0B0C0D)
    assert p.f[ETH_DST] >> 16 == 0x0A0B0C0D


@pytest.mark.parametrize(("header", "offset"), [(PEDIT_NETWORK, 2000), (PEDIT_NETWORK, -18), (PEDIT_TCP, 100), (PEDIT_NETWORK, 46)])
def test_pedit_outside_the_packet_is_refused(header: int, offset: int) -> None:
    p = taken(samples()["tcp"])
    assert not edit(p, header, offset, 0, 0)
    assert frame(p) == samples()["tcp"]


@pytest.mark.parametrize(("name", "header"), [("arp", PEDIT_TCP), ("qinq", PEDIT_UDP), ("tcp6", PEDIT_UDP)])
def test_pedit_without_that_header_is_refused(name: str, header: int) -> None:
    assert not edit(taken(samples()[name]), header, 0, 0, 0)


@pytest.mark.parametrize(("offmask", "shift", "place"), [(0xF0, 4, 18), (0x0C, 0, 18), (0x0F, 0, -1), (0xF0, 0, -1)])
def test_pedit_takes_an_offset_from_the_packet(offmask: int, shift: int, place: int) -> None:
    # source: tc-pedit(8), "at AT offmask MASK shift SHIFT"; the first byte of this header is 0x46
    raw = samples()["tcp-ip-options"]
    p = taken(raw)
    done = pedit(p, PEDIT_NETWORK, 0, 0, 0x41424344, False, 0, offmask, shift)
    assert done == (place >= 0)
    assert frame(p) == (raw if place < 0 else raw[:place] + b"ABCD" + raw[place + 4 :])


# ---------------------------------------------------------------- bytes, payload, sequence numbers
def test_bytes_are_written_inside_the_packet_only() -> None:
    p = in_chunk(samples()["tcp"])
    assert set_bytes(p, p.l4, b"\x12\x34")
    assert p.f[SPORT] == 0x1234
    assert not set_bytes(p, p.end - 1, b"ab")
    assert not set_bytes(p, -1, b"ab")


@pytest.mark.parametrize("new", [b"", b"x", b"PORT 10,0,0,1,4,5\r\n", b"y" * 300], ids=len)
@pytest.mark.parametrize("name", ["tcp-data", "udp", "udp-no-checksum", "tcp6", "udp6", "tcp-record-route"])
def test_replaced_payload_carries_lengths_and_checksums(name: str, new: bytes) -> None:
    p = in_chunk(samples()[name] + b"padding")
    old = p.data[p.payload : p.l3_end]
    assert replace_payload(p, 4, 5, new)
    assert p.data[p.payload : p.end] == old[:4] + new + old[9:]
    assert good(p)
    assert p.broken == ""


@pytest.mark.parametrize(("offset", "gone", "new"), [(-1, 1, b""), (40, 10, b""), (0, -1, b""), (0, 0, b"z" * 65536)])
def test_payload_that_is_not_there_cannot_be_replaced(offset: int, gone: int, new: bytes) -> None:
    p = taken(samples()["tcp-data"])
    assert not replace_payload(p, offset, gone, new)
    assert frame(p) == samples()["tcp-data"]


def test_sequence_numbers_and_sack_move() -> None:
    p = in_chunk(samples()["tcp-sack"])
    seq, ack = p.f[TCP_SEQ], p.f[TCP_ACK]
    assert adjust_tcp(p, 5, 3, 250, 0, 3)
    assert (p.f[TCP_SEQ], p.f[TCP_ACK]) == (seq + 5, ack - 3)
    assert dict(Ether(frame(p))[TCP].options)["SAck"] == (100, 200, 297, 397)
    assert good(p)


def test_sequence_numbers_wrap() -> None:
    p = taken(bytes(ETHER / IP4 / TCP(flags="A", seq=0xFFFFFFFE, ack=1)))
    assert adjust_tcp(p, 4, 3, 0, 0, 0)
    assert (p.f[TCP_SEQ], p.f[TCP_ACK]) == (2, 0xFFFFFFFE)
    assert good(p)


def test_without_ack_the_acknowledgement_stays() -> None:
    p = taken(samples()["tcp"])
    assert not p.f[TCP_FLAGS] & 0x10
    assert adjust_tcp(p, 4, 3, 0, 0, 0)
    assert p.f[TCP_ACK] == 0x01020304


def test_a_cut_option_refuses_the_adjustment() -> None:
    raw = bytearray(bytes(ETHER / IP4 / TCP(flags="A", options=[("MSS", 5)])))
    raw[55] = 40
    assert not adjust_tcp(taken(bytes(raw)), 1, 1, 0, 0, 0)


@pytest.mark.parametrize("name", ["tcp", "udp", "tcp6", "udp6", "icmp6-echo"])
@given(new=st.binary(min_size=2, max_size=2))
def test_payload_statement_keeps_both_checksums(name: str, new: bytes) -> None:
    # an address is covered by the header's checksum and the pseudo header
    p = in_chunk(samples()[name])
    at = p.l3 + (14 if p.groups & G_IP4 else 22)
    assert set_payload(p, at, new, p.l3 + 10 if p.groups & G_IP4 else -1, True, False)
    assert p.data[at - 30 : at - 28] == new  # the window begins at 0 now
    assert good(p)


def test_payload_statement_computes_sctp_anew() -> None:
    p = in_chunk(samples()["sctp"])
    assert set_payload(p, p.l4, b"\x12\x34", -1, False, True)
    assert p.f[SPORT] == 0x1234
    assert good(p)


def test_payload_statement_outside_refuses() -> None:
    p = taken(samples()["tcp"])
    assert not set_payload(p, p.end - 1, b"ab", -1, False, False)
    assert frame(p) == samples()["tcp"]


def test_rewrites_see_the_bytes_of_the_one_before() -> None:
    p = in_chunk(samples()["tcp-data"])
    translate(p, True, 0, 0x0A000001, 1)
    vlan_push(p, 0x8100, 5)
    decrement_ttl(p)
    translate(p, False, 0, 0x0A000002, 2)
    vlan_pop(p)
    decode(p)
    assert p.groups & G_TCP
    assert good(p)
    assert p.wire == len(samples()["tcp-data"])
