"""UDP, UDP-Lite, ICMP, ICMPv6, GRE, SCTP, DCCP and what has no tracker of its own."""

from __future__ import annotations

import struct

import pytest

from tcemu.conntrack.entry import ASSURED, SEEN_REPLY
from tcemu.conntrack.linux import dccp, sctp
from tcemu.packet.checksum import checksum, pseudo4, sctp_checksum

from .builder import A6, B6, A, B, C, Tracker, icmp, inside, ip4, ip6, tcp, udp


def test_udp_becomes_a_stream_two_seconds_on() -> None:
    t = Tracker()
    assert t.send(udp(A, B)) == "new"
    assert t.send(udp(B, A, sport=53, dport=1000), after=1) == "est-reply"
    assert (t.left(), t.entry.status & ASSURED) == (30, 0)
    assert t.send(udp(A, B), after=1) == "est"
    assert (t.left(), t.entry.status & ASSURED) == (30, 0)
    assert t.send(udp(A, B), after=0.001) == "est"
    assert (t.left(), bool(t.entry.status & ASSURED)) == (120, True)


@pytest.mark.parametrize(
    ("frame", "want"),
    [
        (udp(A, B, bad_sum=True), "inv"),
        (udp(A, B, no_sum=True), "new"),
        (ip4(A, B, 17, struct.pack("!HHHH", 1, 2, 7, 0)), "inv"),
        (ip4(A, B, 17, struct.pack("!HHHH", 1, 2, 9, 0)), "inv"),
        (ip4(A, B, 17, struct.pack("!HHHH", 1, 2, 8, 0) + b"padding"), "new"),
        (ip4(A, B, 17, b"\0\1\0\2\0"), "inv"),
        (udp(A6, B6), "new"),
        (udp(A6, B6, bad_sum=True), "inv"),
    ],
    ids=["bad-sum", "no-sum", "length-too-small", "length-too-big", "shorter-than-packet", "cut", "ipv6", "ipv6-bad-sum"],
)
def test_udp_headers(frame: bytes, want: str) -> None:
    assert Tracker().send(frame) == want


def udplite(cover: int, total: int | None = None) -> bytes:
    body = struct.pack("!HHHH", 1, 2, cover, 0) + b"abcdefgh"
    reach = len(body) if cover == 0 else cover
    # the kernel sums with UDP's number (nf_conntrack_proto_udp.c udplite_error)
    good = checksum(body[:reach] if reach <= len(body) else body, 0, min(reach, len(body)), pseudo4(A, B, 17, len(body)))
    return ip4(A, B, 136, body[:6] + struct.pack("!H", good if total is None else total) + body[8:])


@pytest.mark.parametrize(
    ("cover", "total", "want"),
    [(0, None, "new"), (8, None, "new"), (7, None, "inv"), (17, None, "inv"), (0, 0, "inv"), (0, 1, "inv")],
    ids=["all", "header", "too-little", "too-much", "no-sum", "bad-sum"],
)
def test_udplite_headers(cover: int, total: int | None, want: str) -> None:
    assert Tracker().send(udplite(cover, total)) == want


@pytest.mark.parametrize(("kind", "back"), [(8, 0), (13, 14), (15, 16), (17, 18)], ids=["echo", "timestamp", "info", "mask"])
def test_icmp_requests_begin_and_answers_belong(kind: int, back: int) -> None:
    t = Tracker()
    assert t.send(icmp(A, B, kind)) == "new"
    assert t.send(icmp(B, A, back)) == "est-reply"
    assert t.left() == 30
    assert t.send(icmp(B, A, back, ident=8)) == "inv"


@pytest.mark.parametrize("kind", [0, 1, 2, 6, 7, 9, 10, 14, 16, 18, 19, 40, 255], ids=str)
def test_other_icmp_begins_nothing(kind: int) -> None:
    t = Tracker()
    assert t.send(icmp(A, B, kind)) == "inv"
    assert t.packet.reason
    assert t.table.count == 0


@pytest.mark.parametrize("kind", [130, 131, 132, 133, 134, 135, 136, 143], ids=str)
def test_neighbour_and_group_messages_are_not_tracked(kind: int) -> None:
    t = Tracker()
    assert t.send(icmp(A6, B6, kind)) == "untracked"
    assert t.table.count == 0


@pytest.mark.parametrize(("kind", "want"), [(128, "new"), (139, "new"), (129, "inv"), (140, "inv"), (138, "inv"), (200, "inv")], ids=str)
def test_icmpv6_requests(kind: int, want: str) -> None:
    assert Tracker().send(icmp(A6, B6, kind)) == want


def test_icmp_of_the_other_family_is_invalid() -> None:
    assert Tracker().send(ip4(A, B, 58, bytes((128, 0, 0, 0, 0, 1, 0, 1)))) == "inv"
    assert Tracker().send(ip6(A6, B6, 1, bytes((8, 0, 0, 0, 0, 1, 0, 1)))) == "inv"


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12], ids=["unreachable", "quench", "redirect", "time", "parameter"])
def test_an_error_is_related_to_what_it_quotes(kind: int) -> None:
    t = Tracker()
    asked = udp(A, B)
    t.send(asked)
    packets = t.entry.orig_packets + t.entry.reply_packets
    assert t.send(icmp(C, A, kind, 1, data=inside(asked))) == "rel-reply"
    assert t.entry.orig_packets + t.entry.reply_packets == packets
    assert t.send(icmp(C, B, kind, 1, data=inside(asked))) == "inv"
    assert "outer daddr" in t.packet.reason


def test_an_error_in_the_original_direction() -> None:
    t = Tracker()
    t.send(udp(A, B))
    answer = udp(B, A, sport=53, dport=1000)
    t.send(answer)
    assert t.send(icmp(A, B, 3, 3, data=inside(answer))) == "rel"


@pytest.mark.parametrize("keep", [0, 19, 20, 23], ids=str)
def test_an_error_that_quotes_too_little_is_invalid(keep: int) -> None:
    t = Tracker()
    asked = udp(A, B)
    t.send(asked)
    assert t.send(icmp(C, A, 3, 1, data=inside(asked, keep))) == "inv"
    assert t.send(icmp(C, A, 3, 1, data=inside(asked, 24))) == "rel-reply"


def test_errors_about_fragments_echoes_and_strangers() -> None:
    t = Tracker()
    echo = icmp(A, B, 8)
    t.send(echo)
    assert t.send(icmp(C, A, 11, data=inside(echo))) == "rel-reply"
    later = bytearray(inside(echo))
    later[7] = 5  # a later fragment
    assert t.send(icmp(C, A, 11, data=bytes(later))) == "inv"
    assert t.send(icmp(C, A, 11, data=inside(udp(A, C)))) == "inv"
    assert t.send(icmp(C, A, 11, data=inside(icmp(A, B, 5)))) == "inv"


def test_icmpv6_errors_and_redirects() -> None:
    t = Tracker()
    asked = tcp(A6, B6, "S", seq=1)
    t.send(asked)
    assert t.send(icmp(B6, A6, 1, data=inside(asked, 60))) == "rel-reply"
    assert t.send(icmp(B6, A6, 137, data=bytes(32) + bytes((4, 8)) + bytes(6) + inside(asked, 60))) == "inv"
    router = 0xFE80 << 112 | 1
    option = bytes((4, 8)) + bytes(6) + inside(asked, 60)
    body = struct.pack("!BBHI", 137, 0, 0, 0) + bytes(32) + option
    low = router & (1 << 64) - 1
    from tcemu.packet.checksum import pseudo6

    high = (router >> 64) - (1 << 64)
    total = checksum(body, 0, len(body), pseudo6(high, low, A6 >> 64, A6 & (1 << 64) - 1, 58, len(body)))
    frame = ip6(router, A6, 58, body[:2] + struct.pack("!H", total) + body[4:], hop=255)
    assert t.send(frame) == "rel-reply"


def test_errors_are_found_behind_extension_headers() -> None:
    t = Tracker()
    asked = udp(A6, B6)
    t.send(asked)
    quoted = inside(asked, 60)
    with_options = quoted[:6] + b"\0" + quoted[7:40] + bytes((60, 0)) + bytes(6) + bytes((17, 1)) + bytes(14) + quoted[40:]
    assert t.send(icmp(B6, A6, 3, data=with_options)) == "rel-reply"


def test_gre_has_two_timeouts_and_is_assured_by_an_answer() -> None:
    t = Tracker()
    gre = bytes((0, 0, 8, 0)) + b"payload."
    assert t.send(ip4(A, B, 47, gre)) == "new"
    assert t.left() == 30
    assert t.send(ip4(B, A, 47, gre)) == "est-reply"
    assert t.left() == 30
    assert t.send(ip4(A, B, 47, gre)) == "est"
    assert (t.left(), bool(t.entry.status & ASSURED)) == (180, True)


@pytest.mark.parametrize(
    ("header", "want"),
    [(struct.pack("!HHHH", 0x3001, 0x880B, 0, 77), 77), (struct.pack("!HHHH", 0x2000, 0x0800, 0, 77), 0)],
    ids=["pptp", "plain"],
)
def test_gre_keys(header: bytes, want: int) -> None:
    t = Tracker()
    assert t.send(ip4(A, B, 47, header + bytes(8))) == "new"
    assert (t.entry.orig.sport, t.entry.orig.dport) == (0, want)
    assert (t.entry.reply.sport, t.entry.reply.dport) == (want, 0)


def test_pptp_without_ppp_is_invalid() -> None:
    assert Tracker().send(ip4(A, B, 47, struct.pack("!HHHH", 0x3001, 0x0800, 0, 77) + bytes(8))) == "inv"


def test_other_protocols_are_two_addresses() -> None:
    t = Tracker()
    assert t.send(ip4(A, B, 89, b"hello")) == "new"
    assert t.left() == 600
    assert t.send(ip4(B, A, 89, b"")) == "est-reply"
    assert t.send(ip6(A6, B6, 59, b"")) == "inv"


# ---------------------------------------------------------------------- SCTP


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def association(src: int, dst: int, tag: int, *chunks: bytes, sport: int = 3000, dport: int = 4000, bad_sum: bool = False) -> bytes:
    body = struct.pack("!HHII", sport, dport, tag, 0) + b"".join(chunks)
    total = sctp_checksum(body, 0, len(body)) ^ (1 if bad_sum else 0)
    return ip4(src, dst, 132, body[:8] + struct.pack("!I", total) + body[12:])


def init(kind: int, tag: int) -> bytes:
    return chunk(kind, struct.pack("!IIHHI", tag, 1000, 1, 1, 1))


def test_an_sctp_life() -> None:
    t = Tracker()
    seen = []
    for frame in (
        association(A, B, 0, init(sctp.INIT, 11)),
        association(B, A, 11, init(sctp.INIT_ACK, 22), sport=4000, dport=3000),
        association(A, B, 22, chunk(sctp.COOKIE_ECHO, b"cook")),
        association(B, A, 11, chunk(sctp.COOKIE_ACK), sport=4000, dport=3000),
        association(A, B, 22, chunk(sctp.DATA, b"x" * 12)),
        association(A, B, 22, chunk(sctp.SHUTDOWN, bytes(4))),
        association(B, A, 11, chunk(sctp.SHUTDOWN_ACK), sport=4000, dport=3000),
        association(A, B, 22, chunk(sctp.SHUTDOWN_COMPLETE)),
    ):
        assert t.send(frame) != "inv", t.packet.reason
        seen.append((int(t.entry.state), t.left()))
    assert seen == [(1, 10), (2, 3), (3, 3), (4, 210), (4, 210), (5, 3), (7, 3), (1, 10)]
    assert t.entry.status & ASSURED
    assert (t.entry.vtag_orig, t.entry.vtag_reply) == (22, 11)


@pytest.mark.parametrize(
    "frame",
    [
        association(A, B, 5, init(sctp.INIT, 11)),
        association(A, B, 5, chunk(sctp.ABORT)),
        association(A, B, 5, chunk(sctp.COOKIE_ACK)),
        association(A, B, 5, chunk(sctp.DATA, b"x" * 12)),
        association(A, B, 0, init(sctp.INIT, 11), chunk(sctp.DATA, b"x" * 12)),
        association(A, B, 0, struct.pack("!BBH", sctp.INIT, 0, 0)),
        association(A, B, 0),
        association(A, B, 0, init(sctp.INIT, 11), bad_sum=True),
        ip4(A, B, 132, bytes(11)),
    ],
    ids=["init-with-tag", "abort", "cookie-ack", "data", "init-and-more", "zero-length", "no-chunk", "bad-crc", "short"],
)
def test_sctp_that_begins_nothing(frame: bytes) -> None:
    t = Tracker()
    assert t.send(frame) == "inv"
    assert t.packet.reason.startswith("sctp:")


def test_a_wrong_verification_tag_is_invalid() -> None:
    t = Tracker()
    t.send(association(A, B, 0, init(sctp.INIT, 11)))
    assert t.send(association(B, A, 12, init(sctp.INIT_ACK, 22), sport=4000, dport=3000)) == "inv"
    assert "verification tag check failed c vs b for dir 1" in t.packet.reason


SCTP_STATES = (
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
)
SCTP_CELLS = [(way, row, state) for way in (0, 1) for row in range(11) for state in range(9)]


@pytest.mark.parametrize(
    ("way", "row", "state"),
    SCTP_CELLS,
    ids=[f"{'orig' if w == 0 else 'reply'}-{sctp.ROW_NAMES[r]}-{SCTP_STATES[s]}" for w, r, s in SCTP_CELLS],
)
def test_sctp_chunk_does_what_its_cell_says(way: int, row: int, state: int) -> None:
    # source: net/netfilter/nf_conntrack_proto_sctp.c sctp_conntracks
    rows = SCTP_KERNEL.strip().splitlines()[1:]
    short = ("NO", "CL", "CW", "CE", "ES", "SS", "SR", "SA", "HS", "IV")
    want = short.index(rows[way * 11 + row].split()[2 + state])
    assert sctp.STATES[(way * 11 + row) * 9 + state] == want
    t = Tracker()
    t.send(association(A, B, 0, init(sctp.INIT, 22)))
    entry = t.entry
    entry.state, entry.vtag_orig, entry.vtag_reply, entry.last_flags = state, 11, 22, 0
    entry.status |= SEEN_REPLY
    kind = list(sctp.ROW_OF).index(row)
    body = init(kind, 22 if way == 0 else 11) if kind in (sctp.INIT, sctp.INIT_ACK) else chunk(kind)
    tag = 0 if kind == sctp.INIT else (11, 22)[way]
    got = t.send(association(B, A, tag, body, sport=4000, dport=3000) if way else association(A, B, tag, body))
    if want == sctp.IV:
        assert got == "inv"
        assert f"Invalid, old_state {state}, dir {way}, type {kind}" in t.packet.reason
    else:
        assert got == ("est-reply" if way else "est"), t.packet.reason
        assert entry.state == want


SCTP_KERNEL = """
                NO CL CW CE ES SS SR SA HS
O init          CL CL CW CE ES CL CL SA CW
O init_ack      CL CL CW CE ES SS SR SA CL
O abort         CL CL CL CL CL CL CL CL CL
O shutdown      CL CL CW CE SS SS SR SA CL
O shutdown_ack  SA CL CW CE ES SA SA SA SA
O error         CL CL CW CE ES SS SR SA CL
O cookie_echo   CL CL CE CE ES SS SR SA CL
O cookie_ack    CL CL CW ES ES SS SR SA CL
O shutdown_comp CL CL CW CE ES SS SR CL CL
O heartbeat     HS CL CW CE ES SS SR SA HS
O heartbeat_ack CL CL CW CE ES SS SR SA HS
R init          IV CL CW CE ES SS SR SA IV
R init_ack      IV CW CW CE ES SS SR SA IV
R abort         IV CL CL CL CL CL CL CL IV
R shutdown      IV CL CW CE SR SS SR SA IV
R shutdown_ack  IV CL CW CE ES SA SA SA IV
R error         IV CL CW CL ES SS SR SA IV
R cookie_echo   IV CL CE CE ES SS SR SA IV
R cookie_ack    IV CL CW ES ES SS SR SA IV
R shutdown_comp IV CL CW CE ES SS SR CL IV
R heartbeat     IV CL CW CE ES SS SR SA HS
R heartbeat_ack IV CL CW CE ES SS SR SA ES
"""


# ---------------------------------------------------------------------- DCCP


def datagram(
    src: int, dst: int, kind: int, seq: int, ack: int | None = None, *, sport: int = 500, dport: int = 600, wide: bool = True
) -> bytes:
    """A DCCP packet (RFC 4340, 5.1)."""
    own = b"" if ack is None else struct.pack("!HHI", 0, ack >> 32, ack & 0xFFFFFFFF)
    own += bytes(4) if kind in (0, 1, 7) else b""
    size = (16 if wide else 12) + len(own)
    head = struct.pack("!HHBBH", sport, dport, size // 4, 0, 0) + bytes((kind << 1 | (1 if wide else 0),))
    head += struct.pack("!BHI", 0, seq >> 32, seq & 0xFFFFFFFF) if wide else struct.pack("!BH", seq >> 16 & 255, seq & 0xFFFF)
    body = head + own
    total = checksum(body, 0, len(body), pseudo4(src, dst, 33, len(body)))
    return ip4(src, dst, 33, body[:6] + struct.pack("!H", total) + body[8:])


def test_a_dccp_life() -> None:
    t = Tracker()
    seen = []
    for frame in (
        datagram(A, B, 0, 1),
        datagram(B, A, 1, 1000, 1, sport=600, dport=500),
        datagram(A, B, 3, 2, 1000),
        datagram(B, A, 4, 1001, 2, sport=600, dport=500),
        datagram(A, B, 6, 3, 1001),
        datagram(B, A, 7, 1002, 3, sport=600, dport=500),
    ):
        assert t.send(frame) != "inv", t.packet.reason
        seen.append((int(t.entry.state), t.left()))
    assert seen == [(1, 240), (2, 480), (3, 480), (4, 43_200), (6, 64), (7, 240)]
    assert t.entry.status & ASSURED


@pytest.mark.parametrize(
    "frame",
    [datagram(A, B, 0, 1, wide=False), datagram(A, B, 10, 1), datagram(A, B, 1, 1, 1), datagram(A, B, 7, 1, 1)],
    ids=["short-numbers", "reserved-type", "response-first", "reset-first"],
)
def test_dccp_that_begins_nothing(frame: bytes) -> None:
    assert Tracker().send(frame) == "inv"


def test_dccp_table_is_whole() -> None:
    assert len(dccp.STATES) == 2 * 10 * 8
    assert all(0 <= cell <= dccp.IV for cell in dccp.STATES)


DCCP_KERNEL = """
            NO RQ RS PO OP CR CG TW
O request   RQ RQ RS IG IG IG IG RQ
O response  IV IG IG IG IG IG IG IV
O data      IV IV IV IV OP CR CG IV
O ack       IV IV PO PO OP CR CG IV
O dataack   IV IV PO PO OP CR CG IV
O closereq  IV IV IV IV IV IV IV IV
O close     IV IV IV CG CG CG IV IV
O reset     IV TW TW TW TW TW TW IG
O sync      IV IG IG IG IG IG IG IG
O syncack   IV IG IG IG IG IG IG IG
R request   IV IG IG IG IG IG IG RQ
R response  IV RS RS IG IG IG IG IV
R data      IV IV IV OP OP IV CG IV
R ack       IV IV IV OP OP IV CG IV
R dataack   IV IV IV OP OP IV CG IV
R closereq  IV IV IV CR CR CR CR IV
R close     IV IV IV CG CG IV CG IV
R reset     IV TW TW TW TW TW TW TW
R sync      IV IG IG IG IG IG IG IG
R syncack   IV IG IG IG IG IG IG IG
"""
DCCP_SHORT = ("NO", "RQ", "RS", "PO", "OP", "CR", "CG", "TW", "IG", "IV")
DCCP_CELLS = [
    (line.split()[0], kind % 10, state, line.split()[2 + state])
    for kind, line in enumerate(DCCP_KERNEL.strip().splitlines()[1:])
    for state in range(8)
]


@pytest.mark.parametrize(
    ("side", "kind", "state", "want"),
    DCCP_CELLS,
    ids=[f"{'orig' if s == 'O' else 'reply'}-{dccp.TYPE_NAMES[k]}-{DCCP_SHORT[n]}" for s, k, n, _ in DCCP_CELLS],
)
def test_dccp_packet_does_what_its_cell_says(side: str, kind: int, state: int, want: str) -> None:
    # source: net/netfilter/nf_conntrack_proto_dccp.c dccp_state_table (role client in the original direction)
    t = Tracker()
    t.send(datagram(A, B, 0, 1))
    entry = t.entry
    entry.state, entry.last_index = state, 2
    entry.status |= SEEN_REPLY
    ack = None if kind in (0, 2) else 1
    frame = datagram(A, B, kind, 5, ack) if side == "O" else datagram(B, A, kind, 5, ack, sport=600, dport=500)
    got = t.send(frame)
    if want == "IV":
        assert got == "inv"
        assert entry.state == state
    elif want == "IG":
        assert "ignored" in t.packet.reason
        assert entry.state == state
    else:
        assert got != "inv", t.packet.reason
        assert DCCP_SHORT[entry.state] == want
