"""Sums against a plain reading of RFC 1071 and against scapy; incremental updates against computing anew."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import ETHER, IP4, IP6, samples, taken
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Raw
from scapy.utils import checksum as scapy_checksum

from tcemu.fields import G_L3, L4PROTO
from tcemu.packet.checksum import (
    checksum,
    crc32c,
    fold,
    pseudo,
    sctp_checksum,
    sum_bytes,
    update,
    update_wide,
    verify_header,
    verify_l4,
)
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

WORDS = st.integers(0, 0xFFFFFFFF)


def plain(data: bytes) -> int:
    """RFC 1071, 4.1, word by word."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(total)


@given(st.binary(max_size=200), st.integers(0, 9), st.integers(0, 9))
def test_sum_is_that_of_rfc_1071_and_keeps_to_its_window(data: bytes, before: int, behind: int) -> None:
    chunk = b"\xff" * before + data + b"\xff" * behind
    assert sum_bytes(chunk, before, before + len(data)) == plain(data)
    assert checksum(chunk, before, before + len(data), 0) == scapy_checksum(data)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"\xff\xff", b"\xff\xff\xff\xff", b"\0" * 9, b"\xff" * 9], ids=lambda data: data.hex() or "empty"
)
def test_only_zeros_sum_to_zero(data: bytes) -> None:
    assert sum_bytes(data, 0, len(data)) == (0 if not any(data) else 0xFFFF if len(data) % 2 == 0 else plain(data))


def test_sum_of_a_full_packet_does_not_overflow() -> None:
    assert sum_bytes(b"\xff" * 65535, 0, 65535) == plain(b"\xff" * 65535)


@given(st.binary(min_size=8, max_size=60), st.integers(0, 14), WORDS)
def test_update_is_computing_anew(data: bytes, at: int, new: int) -> None:
    at = at * 4 % (len(data) - 3)
    at -= at % 2
    old = int.from_bytes(data[at : at + 4], "big")
    after = data[:at] + new.to_bytes(4, "big") + data[at + 4 :]
    got, want = update(checksum(data, 0, len(data), 0), old, new), checksum(after, 0, len(data), 0)
    assert got == want or {got, want} == {0, 0xFFFF}


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF))
def test_wide_update_is_four_updates(old: bytes, new: bytes, check: int) -> None:
    halves = [int.from_bytes(part, "big", signed=True) for part in (old[:8], old[8:], new[:8], new[8:])]
    want = check
    for at in range(0, 16, 4):
        want = update(want, int.from_bytes(old[at : at + 4], "big"), int.from_bytes(new[at : at + 4], "big"))
    assert update_wide(check, *halves) % 0xFFFF == want % 0xFFFF


def test_update_never_gives_all_ones() -> None:
    # source: net/core/utils.c inet_proto_csum_replace4: 32-bit words keep the sum from nought
    assert update(0xFFFF, 0xFFFFFFFF, 0) == 0
    assert update(0xFFFF, 0xFFFF, 0) == 0


@given(st.integers(0, (1 << 50)))
def test_fold_keeps_the_value_modulo_ones(total: int) -> None:
    assert fold(total) % 0xFFFF == total % 0xFFFF
    assert 0 <= fold(total) <= 0xFFFF
    assert (fold(total) == 0) == (total == 0)


@pytest.mark.parametrize("name", ["tcp", "udp", "tcp6", "udp6", "icmp6-echo"])
def test_pseudo_header_makes_a_good_sum(name: str) -> None:
    p = taken(samples()[name])
    assert fold(pseudo(p, p.f[L4PROTO], p.l3_end - p.l4) + sum_bytes(p.data, p.l4, p.l3_end)) == 0xFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    # source: RFC 3720, B.4
    [(b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C)],
    ids=["zeros", "ones", "up", "down"],
)
def test_crc32c_gives_the_values_of_the_rfc(data: bytes, crc: int) -> None:
    assert crc32c(data, 0, len(data), 0xFFFFFFFF) ^ 0xFFFFFFFF == crc


def test_sctp_checksum_is_scapys() -> None:
    raw = bytes(SCTP(sport=1, dport=2, tag=3) / SCTPChunkInit(init_tag=4))
    assert sctp_checksum(raw, 0, len(raw)) == int.from_bytes(raw[8:12], "big")


CHECKED = ["tcp", "tcp-data", "tcp-sack", "tcp-ip-options", "udp", "udp-empty", "padded", "icmp-echo", "icmp-error", "sctp", "tcp6", "udp6"]
CHECKED += ["icmp6-echo", "icmp6-error", "sctp6", "hop-by-hop", "vlan", "qinq", "pppoe-ip4", "pppoe-ip6"]


@pytest.mark.parametrize("name", sorted(samples()))
def test_what_scapy_sums_up_is_right(name: str) -> None:
    p = taken(samples()[name])
    # a routing header's final address is in the checksum, and nf_ip6_checksum takes the header's
    assert verify_l4(p) == (name not in ("udplite", "dccp", "routing"))
    assert verify_header(p)


@pytest.mark.parametrize("name", CHECKED)
def test_a_changed_byte_is_found(name: str) -> None:
    raw = samples()[name]
    whole = taken(raw)
    for at in range(whole.l4 + 4, whole.l3_end):
        wrong = raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]
        p = taken(wrong)
        if p.l4 == whole.l4 and p.groups == whole.groups:
            assert not verify_l4(p), at


def test_a_wrong_header_checksum_is_found() -> None:
    raw = samples()["tcp"]
    assert not verify_header(taken(raw[:24] + b"\x12\x34" + raw[26:]))


@pytest.mark.parametrize(
    "name",
    ["udp-no-checksum", "first-fragment", "later-fragment", "first-fragment6", "esp", "gre-key", "unknown-protocol", "arp", "mpls", "igmp"],
)
def test_nothing_to_check_passes(name: str) -> None:
    assert verify_l4(taken(samples()[name]))


def test_a_packet_that_the_capture_cut_passes() -> None:
    raw = samples()["tcp-data"]
    p = Packet()
    load(p, raw, 0, len(raw) - 5, len(raw), 0, LINK_ETHER, 1)
    assert verify_l4(p)
    load(p, raw, 0, len(raw) - 5, len(raw) - 5, 0, LINK_ETHER, 1)
    assert not verify_l4(p)


def lite(coverage: int, proto: int, wide: bool = False) -> bytes:
    """UDP-Lite with a checksum made with a protocol number of choice in the pseudo header."""
    data = struct.pack(">HHHH", 7, 8, coverage, 0) + b"covered and not covered"
    base = IPv6(src="2001:db8::1", dst="2001:db8::2", nh=136) if wide else IP(src="192.0.2.1", dst="198.51.100.7", proto=136)
    p = taken(bytes(ETHER / base / Raw(data)))
    assert p.groups & G_L3
    check = int(checksum(data, 0, coverage or len(data), pseudo(p, proto, len(data))))
    return p.data[: p.l4 + 6] + check.to_bytes(2, "big") + p.data[p.l4 + 8 :]


@pytest.mark.parametrize("wide", [False, True], ids=["ip4", "ip6"])
@pytest.mark.parametrize("coverage", [0, 8, 15, 31])
def test_udplite_is_checked_with_the_number_of_udp(coverage: int, wide: bool) -> None:
    # source: net/netfilter/nf_conntrack_proto_udp.c udplite_error hands IPPROTO_UDP to nf_checksum_partial
    raw = lite(coverage, 17, wide)
    assert verify_l4(taken(raw))
    assert not verify_l4(taken(lite(coverage, 136, wide)))
    outside = raw[:-1] + b"?"
    assert verify_l4(taken(outside)) == (coverage in (8, 15))


@pytest.mark.parametrize("coverage", [1, 7, 32], ids=lambda value: f"coverage-{value}")
def test_udplite_with_a_coverage_that_lies_is_wrong(coverage: int) -> None:
    raw = lite(8, 17)
    assert not verify_l4(taken(raw[:38] + coverage.to_bytes(2, "big") + raw[40:]))


@pytest.mark.parametrize("coverage", [0, 1, 3])
def test_dccp_checksum_reaches_as_far_as_its_coverage(coverage: int) -> None:
    head = bytearray(bytes.fromhex("0258025904000000 0100000000000000".replace(" ", "")) + b"options!")
    head[5] = coverage
    base = taken(bytes(ETHER / IP(src="192.0.2.1", dst="198.51.100.7", proto=33) / Raw(bytes(head))))
    reach = len(head) if coverage == 0 else (coverage - 1) * 4
    head[6:8] = int(checksum(bytes(head), 0, reach, pseudo(base, 33, len(head)))).to_bytes(2, "big")
    raw = base.data[:34] + bytes(head)
    if coverage != 1:  # with coverage 1 not even the checksum field is covered
        assert verify_l4(taken(raw))
        assert verify_l4(taken(raw[:-1] + b"?")) == (coverage == 3)


@given(st.binary(max_size=120), st.sampled_from(["tcp", "udp"]), st.booleans())
def test_scapy_and_we_agree_on_any_payload(data: bytes, kind: str, wide: bool) -> None:
    base = IP6 if wide else IP4
    layer = TCP(sport=1, dport=2) if kind == "tcp" else UDP(sport=1, dport=2)
    assert verify_l4(taken(bytes(ETHER / base / layer / Raw(data))))
