"""H.323 (net/netfilter/nf_conntrack_h323_main.c, nf_conntrack_h323_asn1.c; net/ipv4/netfilter/nf_nat_h323.c).

What a kernel does with the same messages is recorded under tests/conformance (nft-ct-helper-h323-*).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcemu.conntrack.expect import PERMANENT
from tcemu.conntrack.helper import Routes
from tcemu.conntrack.helpers.common import announce
from tcemu.conntrack.reasons import typed
from tcemu.fields import DPORT

from . import h323_messages as h323
from .builder import A, B, tcp, udp
from .h323_messages import at225, at245
from .talk import Talk

CLIENT, SERVER, PUBLIC, OTHER = "10.0.0.1", "10.0.0.2", "192.0.2.1", "10.0.0.9"
PUB = 0xC0000201


def call(public: int = 0) -> Talk:
    talk = Talk("Q.931", port=1720, public=public)
    talk.open()
    return talk


def gatekeeper(public: int = 0) -> Talk:
    return Talk("RAS", proto=17, port=1719, public=public)


def facility(**more: Any) -> bytes:
    return h323.q931("facility", h323.facility("undefinedReason", **more), 0x62)


# ---------------------------------------------------------------------- calls


def test_an_h245_address_is_expected_and_its_connection_has_the_helper() -> None:
    talk = call()
    talk.say(1, h323.q931("connect", h323.connect(h245Address=at225(SERVER, 5700)), 7))
    assert talk.expected() == [(A, B, 5700, -1)]
    assert talk.pass_through(tcp(A, B, "S", sport=41000, dport=5700), helper=False) == "rel"
    assert talk.entry.helper == "H.245"


@pytest.mark.parametrize("address", [at225(OTHER, 5700), at225(SERVER, 0), at225("fd00::2", 5700), {"netBios": bytes(16)}], ids=str)
def test_an_address_that_is_not_the_speakers_is_not_believed(address: dict[str, Any]) -> None:
    talk = call()
    assert talk.say(1, h323.q931("connect", h323.connect(h245Address=address), 7)) == "est-reply"
    assert talk.expected() == []


@pytest.mark.parametrize("kind", ["setup", "callProceeding", "connect", "alerting", "progress", "facility"])
def test_each_message_of_a_call_may_name_h245_and_media(kind: str) -> None:
    make = {"setup": h323.setup, "connect": h323.connect, "progress": h323.progress}.get(kind, h323.proceeding)
    fast = [h323.olc(h323.channel(at245(CLIENT, 6000))), h323.olc(None, h323.channel(None, at245(CLIENT, 6101)))]
    more = {"h245Address": at225(CLIENT, 2600), "fastStart": fast}
    talk = call()
    body = h323.facility("routeCallToMC", **more) if kind == "facility" else make(**more)
    assert talk.say(0, h323.q931(kind, body)) == "est"
    assert [port for _, _, port, _ in talk.expected()] == [2600, 6000, 6001, 6100, 6101]


def test_tunnelled_h245_is_read_too_in_a_message_without_a_call() -> None:
    talk = call()
    talk.say(0, h323.q931("empty", b"", h245Tunneling=b"\x80", h245Control=[h323.agreeing(h323.ack(h323.channel(at245(CLIENT, 6000))))]))  # type: ignore[arg-type]
    assert [port for _, _, port, _ in talk.expected()] == [6000, 6001]


def h245_talk(public: int = 0) -> Talk:
    talk = Talk("H.245", port=5700, public=public)
    talk.open()
    return talk


def test_media_and_their_control_are_expected_once() -> None:
    talk = h245_talk()
    talk.say(0, h323.control(h323.opening(h323.olc(h323.channel(at245(CLIENT, 6000), at245(CLIENT, 6001))))))
    assert talk.expected() == [(B, A, 6000, -1), (B, A, 6001, -1)]
    assert talk.pass_through(udp(B, A, sport=7000, dport=6000), helper=False) == "rel"


def test_t120_accepts_several_connections() -> None:
    talk = h245_talk()
    talk.say(1, h323.control(h323.opening(h323.t120(at245(SERVER, 1503)))))
    (one,) = talk.table.expectations.all
    assert (one.tuple.dport, one.flags) == (1503, PERMANENT)
    assert talk.pass_through(tcp(A, B, "S", sport=41000, dport=1503), helper=False) == "rel"
    assert len(talk.expected()) == 1


def test_what_does_not_open_a_channel_is_passed() -> None:
    talk = h245_talk()
    for value in ({"request": {"terminalCapabilitySet": b"\0"}}, {"response": {"openLogicalChannelReject": b"\0"}}, {"command": b"\0"}):
        assert talk.say(0, h323.control(value)) == "est"
    assert talk.expected() == []


class SameWay(Routes):
    """A host that reaches all of 10.0.0.0/30 by one router."""

    def same_way(self, family: int, high: int, low: int, other_high: int, other: int) -> bool:
        return low >> 2 == other >> 2


def test_a_forwarded_call_is_expected_unless_it_need_not_pass() -> None:
    talk = call()
    talk.table.routes = SameWay()
    for address in (at225(CLIENT, 1721), at225(OTHER, 1722), at225(OTHER, 0)):
        talk.say(1, h323.q931("facility", h323.facility("callForwarded", alternativeAddress=address, h245Address=at225(SERVER, 9)), 0x62))
    assert talk.expected() == [(A, 0x0A000009, 1722, -1)]
    assert talk.table.expectations.all[0].helper == "Q.931"


def test_a_message_that_cannot_be_acted_on_is_dropped_and_says_why() -> None:
    talk, other = call(), None
    talk.say(0, facility(h245Address=at225(CLIENT, 2600)))
    one = talk.table.expectations.all[0]
    other = Talk("Q.931", port=1720)
    other.table.expectations.all.append(one)
    other.open()
    assert other.say(0, facility(h245Address=at225(CLIENT, 2600))) == "drop"
    reason = typed(other.packet.reason)
    assert reason is not None
    assert reason.name == "helper-message"
    assert reason.numbers["helper"] == "Q.931"
    assert "Q.931 message" in str(reason.numbers["what"])


# ---------------------------------------------------------------------- RAS


def test_a_registration_expects_calls_from_the_gatekeeper() -> None:
    talk = gatekeeper()
    talk.say(0, h323.rrq([at225("127.0.0.1", 1720), at225(CLIENT, 1721)], [at225(CLIENT, 40000)], timeToLive=90))
    (one,) = talk.table.expectations.all
    assert (one.tuple.src, one.tuple.dport, one.flags, one.helper) == (B, 1721, PERMANENT, "Q.931")
    assert talk.left() == 30
    talk.say(1, h323.rcf([at225(CLIENT, 1721)]))
    assert talk.left() == 90
    talk.say(1, h323.rcf([at225(CLIENT, 1721)], timeToLive=50))
    assert talk.left() == 50
    assert round((one.expires - talk.now) / 10**9) == 240  # Linux does not find it: it looks for one from anywhere


def test_a_registration_without_a_time_lasts_as_the_module_says() -> None:
    talk = gatekeeper()
    talk.say(0, h323.rrq([], [at225(CLIENT, 40000)]))
    talk.say(1, h323.rcf([]))
    assert talk.left() == 300


def test_the_end_of_a_registration_forgets_what_was_expected() -> None:
    talk = gatekeeper()
    talk.say(0, h323.rrq([at225(CLIENT, 1720)], [at225(CLIENT, 40000)]))
    talk.say(1, b"\0")
    talk.say(0, h323.urq([at225(CLIENT, 1720)]))
    assert talk.expected() == []
    assert talk.left() == 30


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (h323.gcf(at225(OTHER, 1719)), [(A, 0x0A000009, 1719, -1)]),
        (h323.gcf(at225(SERVER, 1719)), []),
        (h323.acf(at225(OTHER, 1720)), [(A, 0x0A000009, 1720, -1)]),
        (h323.acf(at225(CLIENT, 1720)), []),
        (h323.lcf(at225(OTHER, 1720), at225(OTHER, 1719)), [(A, 0x0A000009, 1720, -1)]),
    ],
    ids=["other-gatekeeper", "this-gatekeeper", "admitted", "answering", "located"],
)
def test_answers_of_a_gatekeeper(message: bytes, expected: list[tuple[int, int, int, int]]) -> None:
    talk = gatekeeper()
    talk.say(0, h323.grq(at225(CLIENT, 40000)))
    assert talk.say(1, message) == "est-reply"
    assert talk.expected() == expected


# ---------------------------------------------------------------------- translated


def test_media_of_a_translated_connection_keep_their_ports_and_change_their_address() -> None:
    talk = h245_talk(PUB)
    message = h323.control(h323.opening(h323.olc(h323.channel(at245(CLIENT, 6000), at245(CLIENT, 6001)))))
    assert talk.say(0, message) == "est"
    assert talk.heard == message.replace(bytes((10, 0, 0, 1)), bytes((192, 0, 2, 1)))
    assert talk.expected() == [(B, PUB, 6000, -1), (B, PUB, 6001, -1)]
    assert talk.pass_through(udp(B, PUB, sport=7000, dport=6000), helper=False) == "rel"
    assert talk.addresses == (B, A)


def test_a_fifth_pair_of_media_is_not_remembered_and_not_translated() -> None:
    talk = h245_talk(PUB)
    for channel in range(5):
        message = h323.control(h323.opening(h323.olc(h323.channel(at245(CLIENT, 6000 + 2 * channel)))))
        talk.say(0, message)
    assert talk.heard == message
    assert len(talk.expected()) == 8


def test_both_ends_of_a_setup_are_written_anew() -> None:
    talk = call(PUB)
    body = h323.setup(destCallSignalAddress=at225(OTHER, 9), sourceCallSignalAddress=at225(CLIENT, 40000), h245Address=at225(CLIENT, 2600))
    message = h323.q931("setup", body)
    assert talk.say(0, message) == "est"
    want = message.replace(bytes((10, 0, 0, 1)), bytes((192, 0, 2, 1)))
    assert talk.heard == want.replace(bytes((10, 0, 0, 9, 0, 9)), bytes((10, 0, 0, 2)) + (1720).to_bytes(2, "big"))
    assert talk.expected() == [(B, PUB, 2600, -1)]


def test_ras_of_a_translated_connection() -> None:
    talk = gatekeeper(PUB)
    talk.say(0, h323.grq(at225(CLIENT, 40000)))
    assert talk.heard == h323.grq(at225(PUBLIC, 40000))
    talk.say(0, h323.rrq([at225("127.0.0.1", 1720), at225(CLIENT, 1720)], [at225(CLIENT, 40000)]))
    assert talk.heard == h323.rrq([at225(PUBLIC, 1720), at225(PUBLIC, 1720)], [at225(PUBLIC, 40000)])
    talk.say(1, h323.rcf([at225(PUBLIC, 1720)]))
    assert talk.heard == h323.rcf([at225(CLIENT, 1720)])
    talk.say(0, h323.arq(srcCallSignalAddress=at225(CLIENT, 40001)))
    assert talk.heard == h323.arq(srcCallSignalAddress=at225(PUBLIC, 40001))
    talk.say(1, h323.acf(at225(PUBLIC, 1720)))
    assert talk.heard == h323.acf(at225(CLIENT, 1720))


# ---------------------------------------------------------------------- anything

REAL = [
    h323.q931("setup", h323.setup(h245Address=at225(CLIENT, 2600), fastStart=[h323.olc(h323.channel(at245(CLIENT, 6000)))])),
    h323.q931("progress", h323.progress(fastStart=[h323.olc(None, h323.channel(at245(CLIENT, 6000)))]), 3),
    h323.control(h323.opening(h323.t120(at245(CLIENT, 1503)))),
    h323.control(h323.agreeing(h323.ack(h323.channel(at245(CLIENT, 6000)), h323.channel(at245(CLIENT, 6000))))),
    h323.rrq([at225(CLIENT, 1720)] * 3, [at225(CLIENT, 40000)], timeToLive=4_000_000_000),
    h323.rcf([at225(CLIENT, 1720)], timeToLive=2**32 - 1),
    h323.irr(at225(CLIENT, 40000), [at225(CLIENT, 1720)]),
    h323.acf(at225(OTHER, 1720)),
]
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255), st.sampled_from("xid")), max_size=4)


def changed(message: bytes, changes: list[tuple[int, int, str]]) -> bytes:
    """Bytes exchanged, put in and taken out."""
    out = bytearray(message)
    for wanted, byte, how in changes:
        at = wanted % (len(out) or 1)
        out[at : at + (how != "i")] = b"" if how == "d" else bytes((byte,))
    return bytes(out)


@pytest.mark.parametrize(("name", "proto"), [("RAS", 17), ("Q.931", 6), ("H.245", 6)], ids=["ras", "q931", "h245"])
@pytest.mark.parametrize("public", [0, PUB], ids=["plain", "translated"])
@given(said=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(REAL), CHANGES), max_size=8))
@settings(max_examples=60, deadline=None)
def test_mutated_messages_are_judged(name: str, proto: int, public: int, said: list[tuple[int, bytes, list[tuple[int, int, str]]]]) -> None:
    talk = Talk(name, proto=proto, port=1719, public=public)
    if proto == 6:
        talk.open()
    else:
        talk.say(0, b"x")
    helper = talk.table.protocols().helper(name, proto)
    assert helper is not None
    for way, message, changes in said:
        assert talk.say(way, changed(message, changes)) in ("new", "est", "est-reply", "drop", "inv")
        assert len(talk.heard) == len(changed(message, changes))
        assert len(talk.expected()) <= helper.limits[0]


# ---------------------------------------------------------------------- ports that are taken


def taken(talk: Talk, ports: list[int], proto: int) -> None:
    """Somebody else's expectations at the address that the far end knows."""
    other = Talk("ftp", public=PUB)
    other.open()
    for port in ports:
        new = announce(other.entry, proto, (0, B), (0, PUB), port)
        talk.table.expectations.all.append(new)


def test_media_ports_that_are_taken_give_way_to_the_next_pair() -> None:
    talk = h245_talk(PUB)
    taken(talk, [6001, 6002], 17)
    talk.say(0, h323.control(h323.opening(h323.olc(h323.channel(at245(CLIENT, 6000), at245(CLIENT, 6001))))))
    assert [port for _, _, port, _ in talk.expected()[2:]] == [6004, 6005]
    assert talk.heard.count(bytes((192, 0, 2, 1)) + (6004).to_bytes(2, "big")) == 1
    assert talk.heard.count(bytes((192, 0, 2, 1)) + (6005).to_bytes(2, "big")) == 1
    assert talk.pass_through(udp(B, PUB, sport=7000, dport=6004), helper=False) == "rel"
    assert (talk.addresses, talk.packet.f[DPORT]) == ((B, A), 6000)


@pytest.mark.parametrize(("port", "least"), [(1503, 1504), (65533, 65534)], ids=["free-ones-behind", "one-behind"])
def test_a_port_that_is_taken_gives_way_to_a_higher_one(port: int, least: int) -> None:
    talk = h245_talk(PUB)
    taken(talk, [port], 6)
    talk.say(0, h323.control(h323.opening(h323.t120(at245(CLIENT, port)))))
    found = talk.expected()[1:]
    assert all(least <= got <= 0xFFFF for _, _, got, _ in found)
    assert bool(found) == (bytes((192, 0, 2, 1)) in talk.heard)


def test_without_a_port_the_message_goes_as_it_is() -> None:
    talk = h245_talk(PUB)
    taken(talk, [65535], 6)
    message = h323.control(h323.opening(h323.t120(at245(CLIENT, 65535))))
    assert talk.say(0, message) == "est"
    assert talk.heard == message
    assert len(talk.expected()) == 1
