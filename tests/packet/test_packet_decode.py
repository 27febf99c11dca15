"""What decode makes of packets that scapy built: every slot against scapy's own reading of the field."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from packet_samples import digest, samples, scapies, taken
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.utils import mac2str

from tcemu import fields
from tcemu.packet.decode import load
from tcemu.packet.packet import BROADCAST, HOST, LINK_BARE, LINK_ETHER, LINK_IP, LINK_OTHER, MULTICAST, Conn, Packet

NAMES = sorted(scapies())
SHOWS_L4 = {"mpls", "vlan-mpls", "pppoe-mpls"}


def signed(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def mac(text: str) -> int:
    return int.from_bytes(mac2str(text), "big")


def ip4(text: str) -> int:
    return int.from_bytes(socket.inet_aton(text), "big")


def expect_link(raw: bytes) -> dict[int, int]:
    ether = Ether(raw)
    want = {fields.ETH_DST: mac(ether.dst), fields.ETH_SRC: mac(ether.src), fields.PROTOCOL: int.from_bytes(raw[12:14], "big")}
    tags = [layer for layer in (ether.getlayer(n) for n in range(1, 5)) if isinstance(layer, (Dot1Q, Dot1AD))]
    kinds = [int.from_bytes(raw[12 + 4 * n : 14 + 4 * n], "big") for n in range(len(tags) + 1)]
    want[fields.VLAN_COUNT] = len(tags)
    for tag, base, n in zip(tags, (fields.VLAN_ID, fields.CVLAN_ID), range(2), strict=False):
        want |= {
            base: tag.vlan,
            base + 1: tag.prio,
            base + 2: tag.dei,
            base + 3: kinds[n],
            base + 4: kinds[n + 1],
        }
    want[fields.NETPROTO] = kinds[-1]
    return want


def expect_mpls(raw: bytes) -> dict[int, int]:
    want = {}
    labels = [layer for layer in Ether(raw).iterpayloads() if isinstance(layer, MPLS)]
    for n, layer in enumerate(labels):
        want[fields.MPLS_LSE + n] = layer.label << 12 | layer.cos << 9 | layer.s << 8 | layer.ttl
    return want | {fields.MPLS_COUNT: len(labels)}


def expect_arp(raw: bytes) -> dict[int, int]:
    arp = Ether(raw)[ARP]
    return {
        fields.ARP_HTYPE: 1, fields.ARP_PTYPE: 0x0800, fields.ARP_HLEN: 6, fields.ARP_PLEN: 4, fields.ARP_OP: arp.op,
        fields.ARP_SHA: mac(arp.hwsrc), fields.ARP_SIP: ip4(arp.psrc), fields.ARP_THA: mac(arp.hwdst), fields.ARP_TIP: ip4(arp.pdst),
    }  # fmt: skip


def expect_ip4(raw: bytes) -> dict[int, int]:
    ip = Ether(raw)[IP]
    fragment = int.from_bytes(bytes(ip)[6:8], "big")
    flags = 1 if fragment & 0x1FFF else 3 if fragment & 0x2000 else 0
    return {
        fields.IP_SADDR: ip4(ip.src), fields.IP_DADDR: ip4(ip.dst), fields.IP_TOS: ip.tos, fields.IP_TTL: ip.ttl, fields.IP_LEN: ip.len, fields.IP_ID: ip.id,
        fields.IP_FRAG: fragment, fields.IP_IHL: ip.ihl, fields.IP_CSUM: ip.chksum, fields.L4PROTO: ip.proto, fields.FRAG_FLAGS: flags,
    }  # fmt: skip


def expect_ip6(raw: bytes) -> dict[int, int]:
    ip = Ether(raw)[IPv6]
    source, target = (socket.inet_pton(socket.AF_INET6, address) for address in (ip.src, ip.dst))
    layer, proto, flags = ip, ip.nh, 0
    while proto in (0, 43, 44, 60):
        layer = layer.payload
        proto = layer.nh
        if isinstance(layer, IPv6ExtHdrFragment):
            flags = 1 if layer.offset else 3
    return {
        fields.IP6_SADDR: signed(source[:8]), fields.IP6_SADDR + 1: signed(source[8:]), fields.IP6_DADDR: signed(target[:8]), fields.IP6_DADDR + 1: signed(target[8:]),
        fields.IP_TOS: ip.tc, fields.IP_TTL: ip.hlim, fields.IP6_FLOW: ip.fl, fields.IP6_PLEN: ip.plen, fields.IP6_NEXTHDR: ip.nh, fields.L4PROTO: proto, fields.FRAG_FLAGS: flags,
    }  # fmt: skip


def expect_tcp(raw: bytes) -> dict[int, int]:
    tcp = Ether(raw)[TCP]
    return {
        fields.SPORT: tcp.sport, fields.DPORT: tcp.dport, fields.TCP_SEQ: tcp.seq, fields.TCP_ACK: tcp.ack, fields.TCP_WINDOW: tcp.window, fields.TCP_DOFF: tcp.dataofs,
        fields.TCP_FLAGS: int(tcp.flags), fields.TCP_CSUM: tcp.chksum, fields.TCP_URG: tcp.urgptr,
    }  # fmt: skip


def expect_udp(raw: bytes) -> dict[int, int]:
    udp = Ether(raw)[UDP]
    return {fields.SPORT: udp.sport, fields.DPORT: udp.dport, fields.UDP_LEN: udp.len, fields.UDP_CSUM: udp.chksum}


def expect_icmp(raw: bytes) -> dict[int, int]:
    ether = Ether(raw)
    head = bytes(ether[ICMP] if ICMP in ether else ether[IPv6].payload)
    return {
        fields.ICMP_TYPE: head[0],
        fields.ICMP_CODE: head[1],
        fields.ICMP_ID: int.from_bytes(head[4:6], "big"),
        fields.ICMP_SEQ: int.from_bytes(head[6:8], "big"),
    }


def expect_gre(raw: bytes) -> dict[int, int]:
    gre = Ether(raw)[GRE]
    return {fields.GRE_FLAGS: int.from_bytes(bytes(gre)[:2], "big"), fields.GRE_KEY: gre.key if gre.key_present else 0}


def constant(**slots: int) -> Callable[[bytes], dict[int, int]]:
    return lambda raw: {getattr(fields, name): value for name, value in slots.items()}


IP4, IP6, L4 = (fields.G_IP4, expect_ip4), (fields.G_IP6, expect_ip6), (fields.G_L4, constant())
TCP_ALL = (L4, (fields.G_TCP | fields.G_PORTS, expect_tcp))
UDP_ALL = (L4, (fields.G_UDP | fields.G_PORTS, expect_udp))
ICMP_ALL, ICMP6_ALL = (L4, (fields.G_ICMP, expect_icmp)), (L4, (fields.G_ICMP6, expect_icmp))
VLAN = (fields.G_VLAN, constant())
FRAG = (fields.G_FRAG, constant())
PPP4, PPP6 = (constant(NETPROTO=0x0800), constant(NETPROTO=0x86DD))
# what each sample shows beside its Ethernet header: groups, and who says what their slots hold
WANT: dict[str, tuple[Any, ...]] = {
    "tcp": (IP4, *TCP_ALL), "tcp-data": (IP4, *TCP_ALL), "tcp-sack": (IP4, *TCP_ALL), "tcp-ip-options": (IP4, *TCP_ALL), "padded": (IP4, *TCP_ALL),
    "tcp-record-route": (IP4, *TCP_ALL), "udp": (IP4, *UDP_ALL), "udp-no-checksum": (IP4, *UDP_ALL), "udp-empty": (IP4, *UDP_ALL),
    "udplite": (IP4, L4, (fields.G_UDPLITE | fields.G_PORTS, constant(SPORT=5000, DPORT=5001, UDP_LEN=8, UDP_CSUM=0x1234))),
    "icmp-echo": (IP4, *ICMP_ALL), "icmp-error": (IP4, *ICMP_ALL),
    "sctp": (IP4, L4, (fields.G_SCTP | fields.G_PORTS, constant(SPORT=1000, DPORT=2000, SCTP_VTAG=0xCAFEBABE))),
    "dccp": (IP4, L4, (fields.G_DCCP | fields.G_PORTS, constant(SPORT=600, DPORT=601))),
    "gre-key": (IP4, L4, (fields.G_GRE, expect_gre)), "gre-all": (IP4, L4, (fields.G_GRE, expect_gre)), "pptp": (IP4, L4, (fields.G_GRE, constant(GRE_FLAGS=0x3001, GRE_KEY=0x00100099))),
    "esp": (IP4, L4, (fields.G_ESP, constant(SPI=0x11223344))), "ah": (IP4, L4, (fields.G_AH, constant(SPI=0x55667788))), "igmp": (IP4, L4, (fields.G_IGMP, constant())),
    "l2tp": (IP4, L4, (fields.G_L2TP, constant(L2TP_SID=0x65))), "ipip": (IP4, L4), "unknown-protocol": (IP4, L4),
    "first-fragment": (IP4, FRAG, *UDP_ALL), "later-fragment": (IP4, FRAG), "arp": ((fields.G_ARP, expect_arp),), "vlan": (VLAN, IP4, *TCP_ALL),
    "qinq": (VLAN, (fields.G_CVLAN, constant()), IP6, *UDP_ALL), "three-tags": (VLAN, (fields.G_CVLAN, constant()), IP4, *UDP_ALL),
    "vlan-arp": (VLAN, (fields.G_ARP, expect_arp)), "mpls": ((fields.G_MPLS, expect_mpls),), "vlan-mpls": (VLAN, (fields.G_MPLS, expect_mpls)),
    "pppoe-ip4": ((fields.G_PPPOE, constant(PPPOE_SID=0x11, PPP_PROTO=0x21, NETPROTO=0x0800)), IP4, *TCP_ALL),
    "pppoe-ip6": ((fields.G_PPPOE, constant(PPPOE_SID=0x12, PPP_PROTO=0x57, NETPROTO=0x86DD)), IP6, *UDP_ALL),
    "pppoe-lcp": ((fields.G_PPPOE, constant(PPPOE_SID=0x13, PPP_PROTO=0xC021)),),
    "pppoe-mpls": ((fields.G_PPPOE, constant(PPPOE_SID=0x14, PPP_PROTO=0x281, NETPROTO=0x8847)), (fields.G_MPLS, constant(MPLS_COUNT=1, MPLS_LSE=0x5103))),
    "llc": ((0, constant(PROTOCOL=4, NETPROTO=4)),), "novell": ((0, constant(PROTOCOL=1, NETPROTO=1)),),
    "cfm": ((fields.G_CFM, constant(CFM_MDL=5, CFM_OP=47)),), "unknown-ethertype": (), "tcp6": (IP6, *TCP_ALL), "udp6": (IP6, *UDP_ALL),
    "icmp6-echo": (IP6, *ICMP6_ALL), "icmp6-error": (IP6, *ICMP6_ALL), "sctp6": (IP6, L4, (fields.G_SCTP | fields.G_PORTS, constant(SPORT=1000, DPORT=2000, SCTP_VTAG=1))),
    "hop-by-hop": (IP6, *TCP_ALL), "routing": (IP6, *UDP_ALL), "first-fragment6": (IP6, FRAG, *UDP_ALL), "later-fragment6": (IP6, FRAG),
    "atomic-fragment6": (IP6, FRAG, *UDP_ALL), "ah6": (IP6, L4, (fields.G_AH, constant(SPI=0x01020304))), "no-next-header": (IP6,),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_slots_and_groups_are_what_scapy_reads(name: str) -> None:
    raw = samples()[name]
    p = taken(raw)
    slots: dict[int, int] = {
        fields.IIF: 3,
        fields.CT_STATE: fields.NCT_INVALID,
        fields.PKT_LEN: len(raw) - (18 if p.groups & fields.G_VLAN else 14),
        **expect_link(raw),
    }
    groups = fields.G_META | fields.G_ETH
    for group, expected in WANT[name]:
        groups |= group
        slots |= expected(raw)
    if name in ("llc", "novell", "unknown-ethertype"):
        slots[fields.PKTTYPE] = {"llc": MULTICAST, "novell": HOST, "unknown-ethertype": BROADCAST}[name]
    assert {slot: int(p.f[slot]) for slot in range(fields.SLOTS) if p.f[slot]} == {slot: value for slot, value in slots.items() if value}
    assert p.groups == groups
    assert p.broken == ""


def test_every_sample_says_what_it_wants() -> None:
    assert sorted(WANT) == NAMES


PLACES = {  # l3, l4, l3_end, payload
    "tcp": (14, 34, 62, 62),
    "tcp-data": (14, 34, 97, 54),
    "tcp-ip-options": (14, 38, 66, 66),
    "padded": (14, 34, 54, 54),
    "later-fragment": (14, -1, 77, 34),
    "hop-by-hop": (14, 70, 98, 98),
    "later-fragment6": (14, -1, 105, 62),
    "vlan": (18, 38, 66, 66),
    "pppoe-ip4": (22, 42, 70, 70),
    "gre-all": (14, 34, 93, 50),
    "ah": (14, 34, 70, 34),
    "mpls": (14, -1, 70, -1),
    "arp": (14, -1, 42, -1),
    "dccp": (14, 34, 58, 58),
    "no-next-header": (14, 54, 97, 54),
}


@pytest.mark.parametrize("name", sorted(PLACES))
def test_offsets_point_at_headers(name: str) -> None:
    p = taken(samples()[name])
    assert (p.l3, p.l4, p.l3_end, p.payload) == PLACES[name]


@pytest.mark.parametrize("name", NAMES)
def test_window_inside_a_chunk_decodes_as_alone(name: str) -> None:
    raw = samples()[name]
    p = Packet()
    load(p, b"\x45\x00" * 40 + raw + b"\x45\x11" * 40, 80, 80 + len(raw), len(raw), 1, LINK_ETHER, 3)
    assert digest(p) == digest(taken(raw))


@pytest.mark.parametrize("first", NAMES)
def test_nothing_of_the_packet_before_shines_through(first: str) -> None:
    p = Packet()
    for name in NAMES:
        for one in (first, name):
            raw = samples()[one]
            load(p, raw, 0, len(raw), len(raw), 1, LINK_ETHER, 3)
        assert digest(p) == digest(taken(raw)), f"{name} after {first}"


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("tcp", "udp", "icmp", "sctp", "gre"))])
def test_raw_ip_differs_only_in_the_link(name: str) -> None:
    raw = samples()[name]
    whole, bare = taken(raw), taken(raw[14:], LINK_IP)
    for slot in (fields.ETH_DST, fields.ETH_SRC):
        whole.f[slot] = 0
    assert [int(v) for v in bare.f] == [int(v) for v in whole.f]
    assert bare.groups == whole.groups & ~fields.G_ETH
    assert (bare.l3, bare.l4, bare.payload) == (whole.l3 - 14, whole.l4 - 14, whole.payload - 14)


def test_load_forgets_what_the_kernel_kept() -> None:
    p = taken(samples()["tcp"])
    p.ct, p.tracked, p.track_zone, p.mru, p.pieces, p.reason, p.loops, p.ctinfo = Conn(), True, 5, 1500, [8], "why", 2, 0
    p.groups |= fields.G_CT | fields.G_ENC
    for slot in (
        fields.MARK,
        fields.PRIORITY,
        fields.QUEUE,
        fields.TC_INDEX,
        fields.HASH,
        fields.L2_MISS,
        fields.OIF,
        fields.CT_FLOWER,
        fields.CT_ZONE,
        fields.CT_MARK,
        fields.CT_LABEL,
        fields.CT_LABEL + 1,
        fields.CT_STATE,
    ):
        p.f[slot] = 9
    for slot in range(fields.ENC_SRC4, fields.ENC_TTL + 1):
        p.f[slot] = 9
    p.f[fields.ENC_FLAGS] = 9
    raw = samples()["udp"]
    load(p, raw, 0, len(raw), len(raw), 1, LINK_ETHER, 3)
    assert digest(p) == digest(taken(raw))
    kept = [p.ct, p.tracked, p.track_zone, p.mru, p.pieces, p.reason, p.loops, p.ctinfo]
    assert kept == [None, False, 0, 0, None, "", 0, 2]


def test_other_links_are_counted_and_not_decoded() -> None:
    p = taken(samples()["tcp"], LINK_OTHER)
    assert (p.groups, p.f[fields.PROTOCOL], p.f[fields.PKT_LEN], p.broken) == (fields.G_META, 0, len(samples()["tcp"]), "")


def test_a_bare_packet_is_read_by_its_protocol_slot() -> None:
    p = taken(samples()["mpls"][14:], LINK_OTHER)
    p.f[fields.PROTOCOL], p.link = 0x8847, LINK_BARE
    from tcemu.packet.decode import decode

    decode(p)
    assert p.groups == fields.G_META | fields.G_MPLS
    assert p.f[fields.MPLS_COUNT] == 2


def test_what_the_capture_cut_is_not_called_a_lie() -> None:
    raw = samples()["tcp6"]
    p = Packet()
    load(p, raw, 0, len(raw) - 20, len(raw), 1, LINK_ETHER, 3)
    assert (p.broken, p.f[fields.PKT_LEN]) == ("", len(raw) - 14)
    load(p, raw, 0, len(raw) - 20, len(raw) - 20, 1, LINK_ETHER, 3)
    assert p.broken == "IPv6 payload length past the end"


def altered(name: str, at: int, new: str) -> bytes:
    raw = samples()[name]
    data = bytes.fromhex(new)
    return raw[:at] + data + raw[at + len(data) :]


# neither flower nor tc ct looks at the version, so what is there is shown
TCP4 = fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_L4 | fields.G_PORTS | fields.G_TCP
TCP6 = TCP4 ^ fields.G_IP4 ^ fields.G_IP6

BROKEN = [
    ("ethernet-cut", samples()["tcp"][:13], "Ethernet header cut", fields.G_META),
    ("vlan-cut", samples()["vlan"][:18], "VLAN tag cut", fields.G_META | fields.G_ETH),
    ("inner-vlan-cut", samples()["qinq"][:20], "VLAN tag cut", fields.G_META | fields.G_ETH | fields.G_VLAN),
    ("mpls-cut", samples()["mpls"][:20], "MPLS label stack cut", fields.G_META | fields.G_ETH | fields.G_MPLS),
    ("mpls-none", samples()["mpls"][:16], "MPLS label stack cut", fields.G_META | fields.G_ETH),
    ("pppoe-cut", samples()["pppoe-ip4"][:21], "PPPoE header cut", fields.G_META | fields.G_ETH),
    ("pppoe-version", altered("pppoe-ip4", 14, "21"), "PPPoE header is not of a session", fields.G_META | fields.G_ETH),
    ("ppp-compressed", altered("pppoe-ip4", 20, "2145"), "PPP protocol is not valid", fields.G_META | fields.G_ETH),
    ("arp-cut", samples()["arp"][:20], "ARP header cut", fields.G_META | fields.G_ETH),
    ("arp-addresses-cut", samples()["arp"][:30], "ARP addresses cut", fields.G_META | fields.G_ETH | fields.G_ARP),
    ("cfm-cut", samples()["cfm"][:17], "CFM header cut", fields.G_META | fields.G_ETH),
    ("ip4-cut", samples()["tcp"][:33], "IPv4 header cut", fields.G_META | fields.G_ETH),
    ("ip4-version", altered("tcp", 14, "65"), "IPv4 version is not 4", TCP4),
    ("ip4-ihl", altered("tcp", 14, "44"), "IPv4 header length below 20", fields.G_META | fields.G_ETH),
    ("ip4-options-cut", samples()["tcp-ip-options"][:36], "IPv4 options cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("ip4-short-total", altered("tcp", 16, "0013"), "IPv4 total length below the header's", fields.G_META | fields.G_ETH | fields.G_IP4),
    (
        "ip4-long-total",
        altered("udp", 16, "0200"),
        "IPv4 total length past the end",
        fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_L4 | fields.G_UDP | fields.G_PORTS,
    ),
    ("ip6-cut", samples()["tcp6"][:53], "IPv6 header cut", fields.G_META | fields.G_ETH),
    ("ip6-version", altered("tcp6", 14, "45"), "IPv6 version is not 6", TCP6),
    ("ip6-extension-cut", samples()["hop-by-hop"][:55], "IPv6 extension header cut", fields.G_META | fields.G_ETH | fields.G_IP6),
    ("ip6-fragment-cut", samples()["first-fragment6"][:60], "IPv6 fragment header cut", fields.G_META | fields.G_ETH | fields.G_IP6),
    ("tcp-cut", samples()["tcp"][:53], "TCP header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    ("tcp-ports-cut", samples()["tcp"][:37], "TCP header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("tcp-length-says-cut", altered("tcp", 16, "0018"), "TCP header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    ("tcp-offset", altered("tcp", 46, "40"), "TCP data offset below 5", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    (
        "tcp-options-cut",
        samples()["tcp"][:58],
        "TCP options cut",
        fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS | fields.G_TCP,
    ),
    ("udp-cut", samples()["udp"][:41], "UDP header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    ("icmp-cut", samples()["icmp-echo"][:41], "ICMP header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("sctp-cut", samples()["sctp"][:45], "SCTP header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    ("dccp-cut", samples()["dccp"][:45], "DCCP header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS),
    (
        "dccp-offset",
        altered("dccp", 38, "ff"),
        "DCCP data offset lies",
        fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_PORTS | fields.G_DCCP,
    ),
    ("gre-cut", samples()["gre-all"][:37], "GRE header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("gre-key-cut", samples()["gre-key"][:40], "GRE header cut", fields.G_META | fields.G_ETH | fields.G_IP4 | fields.G_GRE),
    ("esp-cut", samples()["esp"][:41], "ESP header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("ah-cut", samples()["ah"][:45], "AH header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("igmp-cut", samples()["igmp"][:40], "IGMP header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
    ("l2tp-cut", samples()["l2tp"][:37], "L2TP header cut", fields.G_META | fields.G_ETH | fields.G_IP4),
]


@pytest.mark.parametrize(("raw", "broken", "groups"), [pytest.param(*row, id=name) for name, *row in BROKEN])
def test_a_broken_header_says_why_and_shows_no_group(raw: bytes, broken: str, groups: int) -> None:
    p = taken(raw, wire=0 if "past the end" in broken else 1514)  # cut by the capture, unless it is the length that lies
    assert (p.broken, p.groups) == (broken, groups)


def test_extension_headers_without_end_stop() -> None:
    raw = bytearray(samples()["hop-by-hop"])
    chain = bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 40
    raw[18:21] = (len(chain)).to_bytes(2, "big") + bytes([60])
    assert taken(bytes(raw[:54]) + chain).broken == "IPv6 extension headers without end"


def test_jumbogram_reaches_to_the_end() -> None:
    raw = bytearray(samples()["hop-by-hop"])
    raw[18:20] = b"\0\0"
    p = taken(bytes(raw))
    assert p.groups & fields.G_TCP
    assert p.l3_end == len(raw)


def test_seven_labels_are_read_of_more() -> None:
    raw = samples()["mpls"][:14] + b"\x00\x01\x00\x40" * 9
    p = taken(raw)
    assert (p.f[fields.MPLS_COUNT], p.broken) == (7, "")


def test_sixteen_tags_are_counted_of_more() -> None:
    raw = samples()["tcp"][:12] + b"\x81\x00\x00\x05" * 20 + samples()["tcp"][12:]
    p = taken(raw)
    assert (p.f[fields.VLAN_COUNT], p.f[fields.NETPROTO], p.groups & fields.G_L3) == (16, 0x8100, 0)


@pytest.mark.parametrize(("at", "new"), [(15, "06"), (17, "dd"), (21, "03")], ids=["hardware", "protocol", "operation"])
def test_addresses_of_unusual_arp_stay_zero(at: int, new: str) -> None:
    # source: net/core/flow_dissector.c __skb_flow_dissect_arp
    p = taken(altered("arp", at, new))
    assert p.groups & fields.G_ARP
    assert [p.f[slot] for slot in (fields.ARP_SHA, fields.ARP_SIP, fields.ARP_THA, fields.ARP_TIP)] == [0, 0, 0, 0]
