"""Packets cut and put together: scapy joins what we cut, we join what scapy cuts, and the kernel's ways of cutting are kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import ETHER, IP4, IP6, frame, taken
from scapy.layers.inet import IP, UDP, IPOption_NOP, IPOption_Router_Alert, IPOption_RR
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from tcemu.fields import IP_ID
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.packet import LINK_IP
from tcemu.packet.rewrite import fragment, fragment_header, reassembled4, reassembled6

LONG = bytes(range(256)) * 8


def wide(size: int, *extensions: Scapy) -> bytes:
    packet = ETHER / IP6
    for extension in extensions:
        packet /= extension
    return bytes(packet / UDP(sport=1, dport=2) / Raw(LONG[:size]))


def narrow(size: int, **more: Any) -> bytes:
    return bytes(ETHER / IP(src="192.0.2.1", dst="198.51.100.7", id=77, **more) / UDP(sport=1, dport=2) / Raw(LONG[:size]))


def joined4(frames: list[bytes]) -> bytes:
    parts = {}
    for raw in frames:
        p = taken(raw)
        assert verify_header(p)
        assert p.broken in ("", "UDP header cut")
        start = Ether(raw)[IP].frag * 8
        parts[start] = raw[p.l3 + Ether(raw)[IP].ihl * 4 : p.l3_end]
    at = 0
    whole = b""
    for start in sorted(parts):
        assert start == at
        whole += parts[start]
        at += len(parts[start])
    return whole


@given(st.integers(0, 2000), st.integers(28, 1600))
def test_ip4_pieces_fit_and_hold_all(size: int, mtu: int) -> None:
    raw = narrow(size)
    frames = fragment(taken(raw), mtu, 0)
    assert joined4(frames) == raw[34:]
    assert [len(piece) - 14 <= mtu for piece in frames] == [True] * len(frames)
    flags = [int(Ether(piece)[IP].flags) for piece in frames]
    assert flags == [1] * (len(frames) - 1) + [0]
    assert {Ether(piece)[IP].id for piece in frames} == {77}
    assert {piece[:14] for piece in frames} == {raw[:14]}


def test_one_piece_is_the_packet() -> None:
    assert fragment(taken(narrow(100)), 1500, 0) == [narrow(100)]


@pytest.mark.parametrize("mtu", [0, 20, 27])
def test_no_room_for_eight_bytes_gives_nothing(mtu: int) -> None:
    assert fragment(taken(narrow(100)), mtu, 0) == []


def test_not_ip_gives_nothing() -> None:
    assert fragment(taken(bytes(ETHER / Raw(LONG))), 100, 0) == []


def test_tags_and_raw_ip_are_cut_alike() -> None:
    tagged = bytes(ETHER / Dot1Q(vlan=5) / IP4 / UDP() / Raw(LONG))
    assert [piece[:18] for piece in fragment(taken(tagged), 1000, 0)] == [tagged[:18]] * 3
    bare = narrow(2000)[14:]
    assert [len(piece) for piece in fragment(taken(bare, LINK_IP), 1000, 0)] == [996, 996, 76]


def test_a_fragment_is_cut_further_and_keeps_its_place() -> None:
    raw = narrow(496, frag=100, flags="MF")
    frames = [Ether(piece)[IP] for piece in fragment(taken(raw), 276, 0)]
    assert [(ip.frag, int(ip.flags), ip.len) for ip in frames] == [(100, 1, 276), (132, 1, 268)]


OPTIONS = [IPOption_NOP(), IPOption_Router_Alert(), IPOption_RR(routers=["1.2.3.4"])]


@pytest.mark.parametrize("by_stack", [True, False], ids=["stack", "tc"])
def test_options_that_are_not_copied_become_nops_where_the_stack_cuts(by_stack: bool) -> None:
    # source: net/ipv4/ip_options.c ip_options_fragment; net/sched/sch_frag.c clears IPCB, whose optlen it goes by
    raw = narrow(800, options=OPTIONS)
    frames = fragment(taken(raw), 300, 0, by_stack)
    header = Ether(raw)[IP].ihl * 4
    options = raw[34 : 14 + header]
    later = b"\1" + options[1:5] + b"\1" * 7 + options[12:]
    assert [piece[34 : 14 + header] for piece in frames] == [options] + [later if by_stack else options] * (len(frames) - 1)
    assert joined4(frames) == raw[14 + header :]


@pytest.mark.parametrize(("by_stack", "keep", "want"), [(True, True, 2), (True, False, 0), (False, True, 0)])
def test_df_is_kept_where_the_kernel_keeps_it(by_stack: bool, keep: bool, want: int) -> None:
    frames = fragment(taken(narrow(800, flags="DF")), 300, 0, by_stack, keep)
    assert {int(Ether(piece)[IP].flags) & 2 for piece in frames} == {want}


PIECES = [
    pytest.param([400, 208, 200], [420, 228, 220], id="as-they-came"),
    pytest.param([608, 200], [420, 420, 28], id="first-too-long"),
    pytest.param([404, 404], [420, 420, 28], id="not-multiples-of-eight"),
    pytest.param([400, 208], [420, 420, 28], id="other-length"),
]


@pytest.mark.parametrize(("pieces", "want"), PIECES)
def test_a_reassembled_packet_is_cut_where_it_was(pieces: list[int], want: list[int]) -> None:
    # source: net/ipv4/ip_output.c ip_do_fragment: the list of fragments goes out as it is when its geometry suits
    p = taken(narrow(800))
    p.pieces = pieces
    frames = fragment(p, 420, 0, True, True)
    assert [len(piece) - 14 for piece in frames] == want
    assert joined4(frames) == frame(p)[34:]
    if want[1] != 420:
        assert {int(Ether(piece)[IP].flags) & 2 for piece in frames} == {0}


def joined6(frames: list[bytes]) -> bytes:
    whole = b""
    for raw in frames:
        layer = Ether(raw)[IPv6ExtHdrFragment]
        assert layer.offset * 8 == len(whole)
        whole += bytes(layer.payload)
        assert taken(raw).broken == ""
    return whole


@given(st.integers(1300, 2000), st.integers(1000, 1500))
def test_ip6_pieces_fit_and_hold_all(size: int, mtu: int) -> None:
    # source: net/ipv6/ip6_output.c ip6_fragment: never below 1280
    raw = wide(size)
    frames = fragment(taken(raw), mtu, 0x01020304)
    assert joined6(frames) == raw[54:]
    assert max(len(piece) - 14 for piece in frames) <= max(mtu, 1280)
    layers = [Ether(piece)[IPv6ExtHdrFragment] for piece in frames]
    assert {layer.id for layer in layers} == {0x01020304}
    assert {layer.nh for layer in layers} == {17}
    assert [layer.m for layer in layers] == [1] * (len(frames) - 1) + [0]


@pytest.mark.parametrize(
    ("extensions", "before", "inside"),
    [
        ([], 40, 17),
        ([IPv6ExtHdrHopByHop()], 48, 17),
        ([IPv6ExtHdrHopByHop(), IPv6ExtHdrRouting(addresses=["2001:db8::5"]), IPv6ExtHdrDestOpt()], 72, 60),
        ([IPv6ExtHdrDestOpt()], 48, 17),
    ],
    ids=["none", "hop", "hop-routing-dest", "dest"],
)
def test_ip6_fragment_header_goes_behind_the_headers_of_each_hop(extensions: list[Scapy], before: int, inside: int) -> None:
    # source: net/ipv6/output_core.c ip6_find_1stfragopt
    raw = wide(2000, *extensions)
    frames = fragment(taken(raw), 1400, 5)
    for piece in frames:
        assert piece[14 + before] == inside
        assert piece[14 + 6] == (raw[20] if before > 40 else 44)
    assert b"".join(piece[14 + before + 8 :] for piece in frames) == raw[14 + before :]


def test_ip6_packet_with_a_cut_chain_gives_nothing() -> None:
    assert fragment(taken(wide(100, IPv6ExtHdrHopByHop())[:55]), 1280, 5) == []


@pytest.mark.parametrize("df", [True, False], ids=["df", "no-df"])
def test_ip4_put_together_again(df: bool) -> None:
    raw = narrow(1400)
    frames = fragment(taken(raw), 500, 0)
    whole = reassembled4(frames[0], 14, joined4(frames), df, 3)
    p = taken(whole)
    assert verify_header(p)
    assert verify_l4(p)
    assert p.f[IP_ID] == 77
    assert (Ether(whole)[IP].tos, int(Ether(whole)[IP].flags)) == (3, 2 if df else 0)
    assert whole[34:] == raw[34:]


def test_ip4_too_long_is_refused() -> None:
    assert reassembled4(narrow(8), 14, bytes(65520), False, 0) == b""


@pytest.mark.parametrize("extensions", [[], [IPv6ExtHdrHopByHop()]], ids=["none", "hop"])
def test_ip6_put_together_again(extensions: list[Scapy]) -> None:
    raw = wide(2000, *extensions)
    frames = fragment(taken(raw), 1300, 5)
    place = fragment_header(taken(frames[0]))
    assert place >> 16 == 54 + 8 * len(extensions)
    assert reassembled6(frames[0], 14, place, joined6(frames), 0) == raw
    marked = reassembled6(frames[0], 14, place, joined6(frames), 3)
    assert Ether(marked)[IPv6].tc == IP6.tc | 3


def test_a_whole_packet_has_no_fragment_header() -> None:
    assert fragment_header(taken(wide(10))) == -1
    assert fragment_header(taken(narrow(10))) == -1


def test_ip6_too_long_is_refused() -> None:
    first = fragment(taken(wide(2000)), 1300, 5)[0]
    assert reassembled6(first, 14, fragment_header(taken(first)), bytes(65536), 0) == b""
