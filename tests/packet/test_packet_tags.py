"""MAC addresses, tags, labels and Ethernet headers put on, changed and taken off."""

from __future__ import annotations

import pytest
from packet_samples import digest, frame, good, in_chunk, samples, taken
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from tcemu.fields import (
    ETH_DST,
    ETH_SRC,
    G_ETH,
    G_MPLS,
    MPLS_LSE,
    NETPROTO,
    PROTOCOL,
    VLAN_COUNT,
    VLAN_ID,
    VLAN_PRIO,
)
from tcemu.packet.packet import LINK_BARE, LINK_IP
from tcemu.packet.rewrite import (
    eth_pop,
    eth_push,
    mpls_dec_ttl,
    mpls_mac_push,
    mpls_modify,
    mpls_pop,
    mpls_push,
    outer_tag,
    set_ethertype,
    set_macs,
    swap_macs,
    vlan_modify,
    vlan_pop,
    vlan_push,
)


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
