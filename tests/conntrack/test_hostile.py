"""Whoever sends what it likes gets no more memory than Linux would give it: fragments, connections, expectations, keys."""

from __future__ import annotations

import random
import re
import struct
from contextlib import closing
from pathlib import Path

import pytest

from tcemu.capture.link import locate
from tcemu.capture.open import open_capture
from tcemu.conntrack.defrag import MAX_PEERS, OVERHEAD, WHOLE, Defrag
from tcemu.conntrack.settings import Settings
from tcemu.diagnostics import CaptureError
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import SECOND, START, A, B, Tracker, udp
from .talk import Talk
from .test_defrag import BODY, piece, piece6
from .test_helpers import control, tunnel

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "captures"
WANTED = re.compile("frag|checksum|bad|malformed|overlap|invalid|garbage|defrag", re.IGNORECASE)
FOUND = sorted(path for path in CAPTURES.glob("*") if WANTED.search(path.name)) if CAPTURES.is_dir() else []


def held(defrag: Defrag) -> int:
    """Bytes of data that wait in queues."""
    return sum(len(one.data) for queue in defrag.queues.values() for one in queue.pieces)


@pytest.mark.parametrize(("make", "limit"), [(piece, "net.ipv4.ipfrag_high_thresh"), (piece6, "net.netfilter.nf_conntrack_frag6_high_thresh")], ids=["ipv4", "ipv6"])  # fmt: skip
def test_a_flood_of_first_fragments_is_held_to_the_limit(make: object, limit: str) -> None:
    assert callable(make)
    settings = Settings()
    assert settings.set(limit, 100_000)
    defrag, p = Defrag(settings), Packet()
    for ident in range(3000):
        frame = make(0, 400, ident=ident)
        load(p, frame, 0, len(frame), len(frame), START + ident, LINK_ETHER, 1)
        assert defrag.add(p, 0) != WHOLE
        assert defrag.memory4 + defrag.memory6 <= 100_000 + 400 + OVERHEAD
    assert held(defrag) <= 100_000
    assert len(defrag.queues) <= 100_000 // OVERHEAD + 1
    # when their time is over nothing is left
    defrag.expire(START + 100 * SECOND)
    assert (len(defrag.queues), defrag.memory4, defrag.memory6) == (0, 0, 0)


def test_the_same_fragment_again_and_again_takes_no_more() -> None:
    defrag, p = Defrag(), Packet()
    for n in range(2000):
        frame = piece(0, 400)
        load(p, frame, 0, len(frame), len(frame), START + n, LINK_ETHER, 1)
        defrag.add(p, 0)
    assert defrag.memory4 == 400 + OVERHEAD


def test_a_fragment_of_every_place_takes_one_packets_room_at_most() -> None:
    defrag, p, random_ = Defrag(), Packet(), random.Random(4)
    places = list(range(0, len(BODY) - 8, 8))
    random_.shuffle(places)
    for n, at in enumerate(places):
        frame = piece(at, at + 8)
        load(p, frame, 0, len(frame), len(frame), START + n, LINK_ETHER, 1)
        defrag.add(p, 0)
    assert held(defrag) <= 65_535


def test_sources_of_fragments_are_not_remembered_for_ever() -> None:
    defrag, p = Defrag(), Packet()
    frame = bytearray(piece(0, 8))
    settings = defrag.settings
    settings.set("net.ipv4.ipfrag_high_thresh", 2000)
    for n in range(MAX_PEERS + 100):
        frame[26:30] = (0x0B000000 + n).to_bytes(4, "big")
        defrag.peers[0x0B000000 + n] = 1
    load(p, bytes(frame), 0, len(frame), len(frame), START, LINK_ETHER, 1)
    defrag.add(p, 0)
    assert len(defrag.peers) <= MAX_PEERS


def test_a_flood_of_connections_is_held_to_the_limit() -> None:
    t = Tracker(max=100)
    for n in range(5000):
        t.send(udp(A + n % 7, B, sport=n % 60_000))
        assert t.table.count <= 100
    assert len(t.table.buckets.beside) <= 1024


@pytest.mark.parametrize("helper", ["ftp", "irc", "sip"])
def test_announcements_without_end_are_held_to_the_helpers_limit(helper: str) -> None:
    talk = Talk(helper, proto=17 if helper == "sip" else 6)
    if helper != "sip":
        talk.open()
    talk.say(1, b"220 hi\r\n")
    talk.say(0, b"USER x\r\n")
    for n in range(300):
        port = 2000 + 2 * n
        media = b"m=audio %d RTP/AVP 0\r\nm=video %d RTP/AVP 0\r\n" % (port, port + 1000)
        said = {
            "ftp": b"PORT 10,0,0,1,%d,%d\r\n" % (port >> 8, port & 255),
            "irc": b"PRIVMSG bob :\x01DCC SEND x %d %d\x01\r\n" % (A, port),
            "sip": b"ACK sip:b SIP/2.0\r\nCSeq: %d ACK\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\n" % (n + 1) + media,
        }[helper]
        assert talk.say(0, said) != "drop"
    limits = talk.table.protocols().helper(helper, talk.proto)
    assert limits is not None
    assert 0 < len(talk.table.expectations.all) <= sum(limits.limits)


def test_the_table_of_expectations_is_limited_for_all_together() -> None:
    talk = Talk("irc", expect_max=5)
    talk.open()
    verdicts = [talk.say(0, b"PRIVMSG bob :\x01DCC SEND x %d %d\x01\r\n" % (A, 3000 + n)) for n in range(8)]
    assert verdicts == ["est"] * 5 + ["drop"] * 3
    assert talk.packet.reason == "irc helper: cannot add expectation: the table of expectations is full (nf_conntrack_expect_max)"


def test_one_control_connection_keeps_the_keys_of_one_call() -> None:
    talk = Talk("pptp", port=1723)
    tunnel(talk)
    for n in range(50):
        talk.say(0, control(7, struct.pack("!H", 100 + n) + bytes(154)))
        talk.say(1, control(8, struct.pack("!HHBB", 900 + n, 100 + n, 1, 0) + bytes(16)))
        assert len(talk.table.keys) == 2
        assert len(talk.table.expectations.all) <= 2


@pytest.mark.skipif(not FOUND, reason="the shared corpora are not here")
@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_real_broken_traffic_stays_within_the_limits(path: Path) -> None:
    t = Tracker(max=50)
    t.settings.set("net.ipv4.ipfrag_high_thresh", 20_000)
    t.settings.set("net.netfilter.nf_conntrack_frag6_high_thresh", 20_000)
    defrag, p = Defrag(t.settings), t.packet
    try:
        with closing(open_capture(path)) as reader:
            while reader.next():
                if locate(reader) != LINK_ETHER:
                    continue
                load(p, reader.data, reader.start, reader.end, reader.wire, reader.ts, LINK_ETHER, 1)
                before = defrag.memory4 + defrag.memory6
                if defrag.add(p, 0) == WHOLE and p.l3 >= 0:
                    t.table.track(p, 0, 3, True)
                    t.table.confirm(p)
                after = defrag.memory4 + defrag.memory6
                assert after <= 40_000 or after <= before + 65_535 + OVERHEAD
                assert t.table.count <= 50
    except CaptureError:
        return
    defrag.expire(1 << 62)
    assert (len(defrag.queues), defrag.memory4, defrag.memory6) == (0, 0, 0)
