"""Where the network layer begins, link type by link type. Source: https://www.tcpdump.org/linktypes.html and the pages behind it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from capture_bytes import epb, header, idb, put, record, shb

from tcemu.capture.link import LAYOUTS, UNKNOWN, locate
from tcemu.capture.linktypes import NAMES, link_name
from tcemu.capture.open import open_capture
from tcemu.packet.packet import LINK_ETHER, LINK_IP, LINK_OTHER

V4 = b"\x45\0\0\x1c\0\1\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2\0\x35\0\x35\0\x08\0\0"
V6 = b"\x60\0\0\0\0\x08\x11\x40" + bytes(32) + b"\0\x35\0\x35\0\x08\0\0"
ARP = b"\0\1\x08\0\6\4\0\1" + bytes(20)
SNAP = b"\xaa\xaa\x03\0\0\0"
DATA = b"\x08\x00\0\0" + bytes(20)  # 802.11: data, no flags, three addresses, sequence 0
QOS = b"\x88\x02\0\0" + bytes(20) + b"\0\0"


def be(number: int) -> bytes:
    return struct.pack(">H", number)


def radiotap(present: int = 0, fields: bytes = b"") -> bytes:
    return struct.pack("<BBHI", 0, 0, 8 + len(fields), present) + fields


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


IP4, IP6, OTHER = (LINK_IP, 0x0800), (LINK_IP, 0x86DD), (LINK_OTHER, 0)

# name: link type, link header, what follows it, (link kind, ethertype)
CASES = {
    "ethernet": (1, b"", bytes(12) + b"\x08\0" + V4, (LINK_ETHER, 0)),
    "raw": (101, b"", V4, (LINK_IP, 0)),
    "raw-12": (12, b"", V6, (LINK_IP, 0)),
    "raw-14": (14, b"", V6, (LINK_IP, 0)),
    "ipv4": (228, b"", V4, (LINK_IP, 0)),
    "ipv6": (229, b"", V6, (LINK_IP, 0)),
    "null-little": (0, b"\2\0\0\0", V4, IP4),
    "null-big": (0, b"\0\0\0\2", V4, IP4),
    "null-6-freebsd": (0, b"\x1c\0\0\0", V6, IP6),
    "null-6-macos": (0, b"\x1e\0\0\0", V6, IP6),
    "null-6-linux": (0, b"\x0a\0\0\0", V6, IP6),
    "null-osi": (0, b"\7\0\0\0", b"\x83\1\2\3", OTHER),
    "loop": (108, b"\0\0\0\x18", V6, IP6),
    "enc": (109, b"\2\0\0\0" + bytes(8), V4, IP4),
    "sll": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\x08\0", V4, IP4),
    "sll-6": (113, b"\0\4\3\4\0\0" + bytes(8) + b"\x86\xdd", V6, IP6),
    "sll-arp": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\x08\6", ARP, (LINK_OTHER, 0x0806)),
    "sll-llc": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\0\4" + SNAP + b"\x08\0", V4, IP4),
    "sll-stp": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\0\4", b"\x42\x42\3\0\0\0\0\0", OTHER),
    "sll-can": (113, b"\0\1\1\x18\0\0" + bytes(8) + b"\0\x0c", bytes(16), OTHER),
    "sll-netlink": (113, b"\0\0\3\x38\0\0" + bytes(8) + b"\x08\0", bytes(16), OTHER),
    "sll-radiotap": (113, b"\0\0\3\x23\0\6" + bytes(8) + b"\0\4" + radiotap() + DATA + SNAP + b"\x08\0", V4, IP4),
    "sll2": (276, b"\x08\0\0\0\0\0\0\2\0\1\0\6" + bytes(8), V4, IP4),
    "sll2-6": (276, b"\x86\xdd\0\0\0\0\0\2\0\1\4\6" + bytes(8), V6, IP6),
    "sll2-llc": (276, b"\0\4\0\0\0\0\0\2\0\1\0\6" + bytes(8), b"\x42\x42\3\0\0\0\0\0", OTHER),
    "ppp": (9, b"\0\x21", V4, IP4),
    "ppp-framed": (9, b"\xff\3\0\x57", V6, IP6),
    "ppp-compressed": (9, b"\x21", V4, IP4),
    "ppp-framed-compressed": (50, b"\xff\3\x57", V6, IP6),
    "ppp-lcp": (9, b"\xff\3\xc0\x21", b"\1\1\0\4", OTHER),
    "ppp-mpls": (9, b"\xff\3\2\x81", b"\0\0\1\x40" + V4, (LINK_OTHER, 0x8847)),
    "ppp-cisco": (50, b"\x0f\0\x08\0", V4, IP4),
    "ppp-cisco-slarp": (9, b"\x8f\0\x80\x35", bytes(18), (LINK_OTHER, 0x8035)),
    "ppp-pppd": (166, b"\1\3\0\x21", V4, IP4),
    "ppp-with-direction": (204, b"\1\xff\3\0\x57", V6, IP6),
    "pppoe": (51, b"\x11\0\0\7\0\x1e\0\x21", V4, IP4),
    "cisco-hdlc": (104, b"\x0f\0\x86\xdd", V6, IP6),
    "cisco-hdlc-with-direction": (205, b"\0\x0f\0\x08\0", V4, IP4),
    "frame-relay-nlpid": (107, b"\x18\x41\3\xcc", V4, IP4),
    "frame-relay-nlpid-6-padded": (107, b"\x18\x41\3\0\x8e", V6, IP6),
    "frame-relay-cisco": (107, b"\x18\x41\x08\0", V4, IP4),
    "frame-relay-snap": (107, b"\x18\x41\3\0\x80\0\0\0\x08\0", V4, IP4),
    "frame-relay-four-byte-address": (107, b"\x18\x40\0\1\3\xcc", V4, IP4),
    "frame-relay-with-direction": (206, b"\1\x18\x41\3\xcc", V4, IP4),
    "frame-relay-lmi": (107, b"\0\1\3\x08", bytes(10), OTHER),
    "slip": (8, b"\0\x40" + bytes(14), V4, IP4),
    "slip-compressed": (8, b"\0\x80" + bytes(14), b"\x45\1\2\3", OTHER),
    "slip-bsd": (102, b"\0\x40" + bytes(22), V4, IP4),
    "atm-rfc1483": (100, SNAP + b"\x08\0", V4, IP4),
    "atm-classical-ip": (106, b"", V4, IP4),
    "fibre-channel": (122, bytes(16) + SNAP + b"\x86\xdd", V6, IP6),
    "fddi": (10, b"\x57" + bytes(12) + SNAP + b"\x08\0", V4, IP4),
    "fddi-smt": (10, b"\x4f" + bytes(12), SNAP + b"\x08\0" + V4, OTHER),
    "token-ring": (6, b"\x10\x40" + bytes(12) + SNAP + b"\x08\0", V4, IP4),
    "token-ring-routed": (6, b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\6\0\0\0\0\0" + SNAP + b"\x08\0", V4, IP4),
    "llc-sap-of-ip": (100, b"\6\6\3", V4, IP4),
    "ipoib": (242, bytes(40) + b"\x08\0\0\0", V4, IP4),
    "ieee1394": (138, bytes(16) + b"\x08\0", V4, IP4),
    "wlan": (105, DATA + SNAP + b"\x08\0", V4, IP4),
    "wlan-qos": (105, QOS + SNAP + b"\x86\xdd", V6, IP6),
    "wlan-four-addresses": (105, b"\x08\3\0\0" + bytes(26) + SNAP + b"\x08\0", V4, IP4),
    "wlan-encrypted": (105, b"\x08\x41\0\0" + bytes(20), bytes(40), OTHER),
    "wlan-beacon": (105, b"\x80\0\0\0" + bytes(20), bytes(40), OTHER),
    "wlan-null-function": (105, b"\x48\1\0\0" + bytes(20), bytes(4), OTHER),
    "wlan-aggregated": (105, b"\x88\2\0\0" + bytes(20) + b"\x80\0", SNAP + b"\x08\0" + V4, OTHER),
    "wlan-later-fragment": (105, b"\x08\0\0\0" + bytes(18) + b"\1\0", SNAP + b"\x08\0" + V4, OTHER),
    "wlan-arp": (105, DATA + SNAP + b"\x08\6", ARP, (LINK_OTHER, 0x0806)),
    "radiotap": (127, radiotap() + DATA + SNAP + b"\x08\0", V4, IP4),
    "radiotap-padded": (127, radiotap(2, b"\x20\0\0\0") + QOS + b"\0\0" + SNAP + b"\x08\0", V4, IP4),
    "radiotap-clock-and-padded": (127, radiotap(3, bytes(8) + b"\x20\0") + QOS + b"\0\0" + SNAP + b"\x08\0", V4, IP4),
    "radiotap-more-presence": (127, radiotap(0x80000002, b"\0\0\0\0\x20\0") + QOS + b"\0\0" + SNAP + b"\x08\0", V4, IP4),
    "prism": (119, struct.pack("<II", 0x44, 144) + bytes(136) + DATA + SNAP + b"\x08\0", V4, IP4),
    "avs": (163, struct.pack(">II", 0x80211001, 64) + bytes(56) + DATA + SNAP + b"\x08\0", V4, IP4),
    "ppi-wlan": (192, struct.pack("<BBHI", 0, 0, 12, 105) + bytes(4) + DATA + SNAP + b"\x08\0", V4, IP4),
    "ppi-raw": (192, struct.pack("<BBHI", 0, 0, 8, 101), V4, (LINK_IP, 0)),
    "ppi-in-ppi-without-end": (192, b"", struct.pack("<BBHI", 0, 0, 8, 192) * 30, OTHER),
    "pktap-raw": (258, struct.pack("<III", 108, 1, 12) + bytes(96), V4, (LINK_IP, 0)),
    "pktap-null": (258, struct.pack("<III", 108, 1, 0) + bytes(96) + b"\2\0\0\0", V4, IP4),
    "nflog": (239, b"\2\0\0\0" + tlv(1, b"\x08\0\0\0") + struct.pack("<HH", 4 + len(V4), 9), V4, IP4),
    "nflog-6": (239, b"\x0a\0\0\5" + tlv(10, b"prefix\0") + struct.pack("<HH", 4 + len(V6), 9), V6, IP6),
    "nflog-bridge-arp": (239, b"\7\0\0\0" + tlv(1, b"\x08\6\0\0") + struct.pack("<HH", 4 + len(ARP), 9), ARP, (LINK_OTHER, 0x0806)),
    "nflog-bad-length": (239, b"\2\0\0\0" + struct.pack("<HH", 1, 9), V4, OTHER),
    "pflog": (117, b"\x3d\2\1\0" + bytes(60), V4, IP4),
    "pflog-6": (117, b"\x3d\x18\1\0" + bytes(60), V6, IP6),
    "ipnet": (226, b"\2\x1a" + bytes(22), V6, IP6),
    "juniper-ethernet": (178, b"MGC\1", bytes(12) + b"\x08\0" + V4, (LINK_ETHER, 0)),
    "juniper-ethernet-extended": (178, b"MGC\x81\0\4\1\2\3\4", bytes(12) + b"\x08\0" + V4, (LINK_ETHER, 0)),
    "juniper-ppp": (179, b"MGC\0\0\x21", V4, IP4),
    "juniper-cisco": (181, b"MGC\0\x0f\0\x08\0", V4, IP4),
    "juniper-no-link-header": (178, b"MGC\2\0\0\0\0", V4, IP4),
    "juniper-no-magic": (178, b"XYZ\1", bytes(20), OTHER),
    "mpls": (219, b"", b"\0\0\1\x40" + V4, (LINK_OTHER, 0x8847)),
    "switch-tag-before": (282, bytes(4), bytes(12) + b"\x08\0" + V4, (LINK_ETHER, 0)),
    "switch-tag-inside": (281, bytes(16) + b"\x08\0", V4, IP4),
    "switch-tag-dsa": (284, bytes(16) + b"\x86\xdd", V6, IP6),
    "switch-tag-edsa": (285, bytes(20) + b"\x08\0", V4, IP4),
    "netanalyzer": (240, bytes(4), bytes(12) + b"\x08\0" + V4 + bytes(4), (LINK_ETHER, 0)),
    "usb": (189, b"", bytes(64), OTHER),
    "unknown-number": (4711, b"", bytes(64), OTHER),
}


@pytest.mark.parametrize(("link", "head", "payload", "want"), CASES.values(), ids=CASES)
def test_the_window_begins_behind_the_link_header(tmp_path: Path, link: int, head: bytes, payload: bytes, want: tuple[int, int]) -> None:
    reader = open_capture(put(tmp_path, header(link=link) + record(head + payload)))
    assert reader.next()
    kind = locate(reader)
    found = (int(kind), int(reader.ethertype))
    assert found == want
    if want[0] != LINK_OTHER:
        assert reader.first - reader.start == len(head)
        assert reader.length == reader.last - reader.first
    reader.close()


@pytest.mark.parametrize(("link", "head", "payload", "want"), CASES.values(), ids=CASES)
def test_a_packet_cut_anywhere_is_looked_at_inside_its_bytes(
    tmp_path: Path, link: int, head: bytes, payload: bytes, want: tuple[int, int]
) -> None:
    """Every prefix, in a chunk that ends with it: a read behind the packet would be an IndexError."""
    whole = head + payload
    for size in range(len(whole)):
        reader = open_capture(put(tmp_path, header(link=link) + record(whole[:size], wire=len(whole))))
        assert reader.next()
        kind = locate(reader)
        assert kind in (LINK_ETHER, LINK_IP, LINK_OTHER)
        assert reader.start <= reader.first <= reader.last <= reader.end
        assert reader.length >= reader.last - reader.first
        reader.close()


def test_fcs_is_taken_off_a_whole_frame_only(tmp_path: Path) -> None:
    options = struct.pack("<HHBxxx", 13, 1, 4)
    reader = open_capture(put(tmp_path, shb() + idb(options=options) + epb(bytes(64)) + epb(bytes(60), wire=64) + epb(b"abc")))
    seen = []
    while reader.next():
        locate(reader)
        seen.append((reader.last - reader.first, reader.length))
    assert seen == [(60, 60), (60, 64), (0, 0)]


def test_link_types_that_are_only_counted_are_named_once(tmp_path: Path) -> None:
    reader = open_capture(put(tmp_path, shb() + idb(195) + idb(1) + idb(4711) + epb(b"a") + epb(b"b", 1) + epb(b"c", 2) + epb(b"d")))
    kinds = []
    while reader.next():
        kinds.append(locate(reader))
    assert kinds == [LINK_OTHER, LINK_ETHER, LINK_OTHER, LINK_OTHER]
    assert reader.undecoded == 3
    assert [line.removeprefix(f"{reader.name}: ") for line in reader.warnings] == [
        "packets of link type IEEE802_15_4_WITHFCS (195) are counted, not decoded",
        "packets of link type number 4711 are counted, not decoded",
    ]


def test_every_link_type_that_is_decoded_has_a_name_and_a_case() -> None:
    covered = {case[0] for case in CASES.values()}
    known = {number for number, layout in LAYOUTS.items() if layout.shape != UNKNOWN}
    assert known <= set(NAMES)
    assert known - covered == {180, 241}  # as 179 and 240


def test_link_names() -> None:
    assert link_name(1) == "ETHERNET (1)"
    assert link_name(12) == "RAW (12)"
    assert link_name(100_000) == "number 100000"
