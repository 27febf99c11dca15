"""Reassembly: order, duplicates, overlaps, ends that contradict, time, memory, users, and captures that cut."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcemu.conntrack.defrag import BAD, HELD, WHOLE, Defrag
from tcemu.conntrack.settings import Settings
from tcemu.fields import G_FRAG, G_UDP, IP_FRAG, IP_LEN, IP_TOS
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import A6, B6, SECOND, START, A, B, Tracker, ip4, ip6, udp

MF, DF = 0x2000, 0x4000
BODY = udp(A, B, data=bytes(range(200)) * 5)[34:]
BODY6 = udp(A6, B6, data=bytes(range(200)) * 5)[54:]


def piece(offset: int, end: int, *, ident: int = 1, more: bool | None = None, df: bool = False, tos: int = 0, body: bytes = BODY) -> bytes:
    """Bytes ``offset`` to ``end`` of a datagram as an IPv4 fragment."""
    more = end < len(body) if more is None else more
    frag = offset // 8 | (MF if more else 0) | (DF if df else 0)
    return ip4(A, B, 17, body[offset:end], ident=ident, frag=frag, tos=tos)


def piece6(offset: int, end: int, *, ident: int = 1, more: bool | None = None) -> bytes:
    more = end < len(BODY6) if more is None else more
    return ip6(A6, B6, 44, struct.pack("!BBHI", 17, 0, offset | (1 if more else 0), ident) + BODY6[offset:end])


class Hands:
    """Puts frames into a reassembler, one after the other."""

    def __init__(self, **sysctls: int) -> None:
        settings = Settings()
        for name, value in sysctls.items():
            assert settings.set(name.replace("__", "."), value), name
        self.defrag = Defrag(settings)
        self.packet = Packet()
        self.now = START

    def add(self, frame: bytes, user: int = -1, *, keep: int | None = None, after: float = 0.0) -> int:
        self.now += round(after * SECOND)
        keep = len(frame) if keep is None else keep
        load(self.packet, frame[:keep], 0, keep, len(frame), self.now, LINK_ETHER, 1)
        return int(self.defrag.add(self.packet, user))


@pytest.mark.parametrize("cuts", [[0, 400, 800], [800, 400, 0], [400, 0, 800], [0, 800, 400]], ids=str)
@pytest.mark.parametrize("wide", [False, True], ids=["ipv4", "ipv6"])
def test_any_order(cuts: list[int], wide: bool) -> None:
    h = Hands()
    make, body = (piece6, BODY6) if wide else (piece, BODY)
    ends = {0: 400, 400: 800, 800: len(body)}
    results = [h.add(make(at, ends[at])) for at in cuts]
    assert results == [HELD, HELD, WHOLE]
    p = h.packet
    assert p.groups & (G_UDP | G_FRAG) == G_UDP
    assert verify_l4(p)
    assert verify_header(p)
    assert p.data[p.l4 : p.l3_end] == body
    assert p.pieces == [400, 400, len(body) - 800]
    assert p.mru == (40 + 8 + 400 if wide else 420)
    assert len(h.defrag.queues) == 0
    assert (h.defrag.memory4, h.defrag.memory6) == (0, 0)


@given(st.lists(st.integers(1, len(BODY) // 8 - 1), unique=True, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_cut_in_any_order_gives_the_packet_back(cuts: list[int], random: object) -> None:
    edges = [0, *sorted(8 * cut for cut in cuts), len(BODY)]
    frames = [piece(a, b) for a, b in pairwise(edges)]
    random.shuffle(frames)  # type: ignore[attr-defined]
    h = Hands()
    results = [h.add(frame) for frame in frames]
    assert results == [HELD] * (len(frames) - 1) + [WHOLE]
    assert h.packet.data[h.packet.l4 : h.packet.l3_end] == BODY


def test_what_is_no_fragment_passes() -> None:
    h = Hands()
    assert h.add(udp(A, B)) == WHOLE
    assert h.packet.mru == 0
    assert h.packet.pieces is None


def test_a_duplicate_is_bad_and_harmless_in_ipv4() -> None:
    h = Hands()
    assert h.add(piece(0, 400)) == HELD
    assert h.add(piece(0, 400)) == BAD
    assert h.add(piece(80, 160)) == BAD
    assert h.add(piece(400, len(BODY))) == WHOLE


def test_a_duplicate_is_held_and_harmless_in_ipv6() -> None:
    h = Hands()
    assert [h.add(piece6(0, 400)), h.add(piece6(0, 400)), h.add(piece6(400, len(BODY6)))] == [HELD, HELD, WHOLE]


@pytest.mark.parametrize("make", [piece, piece6], ids=["ipv4", "ipv6"])
def test_an_overlap_gives_the_packet_up(make: object) -> None:
    """RFC 5722, which Linux follows for IPv4 too."""
    h = Hands()
    assert callable(make)
    assert h.add(make(0, 400)) == HELD
    assert h.add(make(392, 800)) == BAD
    assert len(h.defrag.queues) == 0


@pytest.mark.parametrize(
    "second",
    [piece(800, 900, more=False), piece(1008, 1016, more=True, body=BODY + bytes(8)), piece(1008, 1008, more=False)],
    ids=["another-end", "past-the-end", "empty"],
)
def test_contradictions_give_the_packet_up(second: bytes) -> None:
    h = Hands()
    assert h.add(piece(400, len(BODY))) == HELD
    assert h.add(second) == BAD
    assert len(h.defrag.queues) == 0


def test_odd_lengths_in_the_middle_are_rounded_down() -> None:
    h = Hands()
    assert h.add(piece(0, 405, more=True)) == HELD
    assert h.add(piece(400, len(BODY))) == WHOLE


def test_an_odd_length_in_the_middle_of_ipv6_passes_as_it_is() -> None:
    """nf_ct_frag6_queue answers -EPROTO, and nf_ct_frag6_gather makes nothing of that."""
    h = Hands()
    assert h.add(piece6(0, 405, more=True)) == WHOLE
    assert h.packet.groups & G_FRAG


def test_an_ipv6_packet_of_one_fragment_loses_its_fragment_header() -> None:
    h = Hands()
    assert h.add(piece6(0, len(BODY6))) == WHOLE
    assert h.packet.groups & G_FRAG == 0
    assert h.packet.data[h.packet.l4 : h.packet.l3_end] == BODY6


@pytest.mark.parametrize(("make", "seconds"), [(piece, 30), (piece6, 60)], ids=["ipv4", "ipv6"])
def test_fragments_wait_so_long(make: object, seconds: int) -> None:
    assert callable(make)
    for after, want in ((seconds - 0.1, WHOLE), (seconds, HELD)):
        h = Hands()
        assert h.add(make(0, 400)) == HELD
        assert h.add(make(400, len(BODY)), after=after) == want
    h.defrag.expire(h.now + 100 * SECOND)
    assert len(h.defrag.queues) == 0
    assert h.defrag.memory4 == h.defrag.memory6 == 0


def test_users_do_not_share() -> None:
    h = Hands()
    assert h.add(piece(0, 400), user=1) == HELD
    assert h.add(piece(400, len(BODY)), user=2) == HELD
    assert h.add(piece(400, len(BODY)), user=1) == WHOLE


@pytest.mark.parametrize(("small_df", "kept"), [(False, True), (True, False)], ids=["largest-has-df", "small-has-df"])
def test_df_stays_when_the_largest_fragment_had_it(small_df: bool, kept: bool) -> None:
    h = Hands()
    h.add(piece(0, 800, df=not small_df))
    assert h.add(piece(800, len(BODY), df=small_df)) == WHOLE
    assert bool(h.packet.f[IP_FRAG] & DF) == kept
    assert h.packet.f[IP_LEN] == 20 + len(BODY)


# source: RFC 3168 5.3 and net/ipv4/ip_fragment.c ip_frag_ecn_table
@pytest.mark.parametrize(
    ("first", "second", "want"),
    [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (2, 3, 3), (1, 3, 3), (1, 2, 1), (0, 3, None), (0, 2, None), (1, 0, None)],
    ids=str,
)
def test_congestion_seen_by_one_is_seen_by_all(first: int, second: int, want: int | None) -> None:
    h = Hands()
    h.add(piece(0, 400, tos=first))
    result = h.add(piece(400, len(BODY), tos=second))
    assert result == (BAD if want is None else WHOLE)
    if want is not None:
        assert h.packet.f[IP_TOS] & 3 == want


def test_memory_is_limited() -> None:
    h = Hands(net__ipv4__ipfrag_high_thresh=5000)
    results = [h.add(piece(0, 400, ident=ident)) for ident in range(10)]
    assert results == [HELD] * 5 + [BAD] * 5


def test_too_many_packets_between_reuse_the_number() -> None:
    h = Hands()
    h.add(piece(0, 400))
    for ident in range(2, 70):
        h.add(piece(0, 400, ident=ident))
    assert h.add(piece(400, len(BODY))) == HELD


def test_tc_reassembles_before_it_trims() -> None:
    """Padding behind the last fragment makes the packet longer; the hooks see it trimmed."""
    for user, size in ((0, len(BODY) + 6), (-1, len(BODY))):
        h = Hands()
        h.add(piece(0, 800), user)
        assert h.add(piece(800, len(BODY)) + bytes(6), user) == WHOLE
        assert h.packet.f[IP_LEN] == 20 + size


def test_what_the_capture_cut_is_missing_at_the_end_only() -> None:
    h = Hands()
    assert h.add(piece(0, 400)) == HELD
    assert h.add(piece(400, 800), keep=60) == HELD
    assert h.add(piece(800, len(BODY))) == WHOLE
    p = h.packet
    assert p.wire == 34 + len(BODY)
    assert p.data[p.l4 : p.end] == BODY[: 400 + 26]
    assert verify_l4(p)


def test_a_broken_chain_of_headers_is_bad_for_tc_only() -> None:
    frame = ip6(A6, B6, 0, bytes((17, 200)))
    assert Hands().add(frame, 0) == BAD
    assert Hands().add(frame, -1) == WHOLE


def test_reassembled_packets_are_tracked() -> None:
    t = Tracker()
    h = Hands()
    h.add(piece(0, 400))
    assert h.add(piece(400, len(BODY))) == WHOLE
    assert t.table.track(h.packet, 0, 3, True) == 1
    assert h.packet.ct is not None
