"""tc csum and pedit, payload and sequence numbers, nft's payload statement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import ETHER, IP4, digest, frame, good, in_chunk, samples, taken
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from tcemu.fields import (
    ETH_DST,
    G_IP4,
    G_TCP,
    IP_TTL,
    SPORT,
    TCP_ACK,
    TCP_FLAGS,
    TCP_SEQ,
    UDP_CSUM,
)
from tcemu.packet.checksum import verify_header
from tcemu.packet.decode import decode, load
from tcemu.packet.packet import LINK_ETHER, Packet
from tcemu.packet.resum import CSUM_ICMP, CSUM_IGMP, CSUM_IPV4HDR, CSUM_SCTP, CSUM_TCP, CSUM_UDP, CSUM_UDPLITE
from tcemu.packet.rewrite import (
    PEDIT_ETH,
    PEDIT_IP4,
    PEDIT_NETWORK,
    PEDIT_TCP,
    PEDIT_UDP,
    adjust_tcp,
    decrement_ttl,
    pedit,
    replace_payload,
    set_bytes,
    set_payload,
    translate,
    update_checksums,
    vlan_pop,
    vlan_push,
)

ALL_SUMS = CSUM_IPV4HDR | CSUM_ICMP | CSUM_IGMP | CSUM_TCP | CSUM_UDP | CSUM_UDPLITE | CSUM_SCTP


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
