"""SIP (net/netfilter/nf_conntrack_sip.c)."""

from __future__ import annotations

import pytest

from tcemu.conntrack.expect import INACTIVE

from .builder import A, B, udp
from .talk import Talk

OFFER = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n%s"


def offer(address: bytes = b"10.0.0.1", port: int = 4000, more: bytes = b"", method: bytes = b"INVITE") -> bytes:
    body = OFFER % (address, port, more)
    return b"%s sip:b@10.0.0.2 SIP/2.0\r\nCSeq: 1 %s\r\nContent-Length: %d\r\n\r\n%s" % (method, method, len(body), body)


def sip() -> Talk:
    return Talk("sip", proto=17, port=5060)


def test_media_are_expected_on_an_even_port_and_the_next() -> None:
    talk = sip()
    assert talk.say(0, offer()) == "new"
    assert talk.expected() == [(B, A, 4000, -1), (B, A, 4001, -1)]
    assert talk.left() == 3600
    assert talk.pass_through(udp(B, A, sport=9000, dport=4000), helper=False) == "rel"


def test_each_medium_has_its_class_and_perhaps_its_address() -> None:
    talk = sip()
    talk.say(0, offer(b"10.0.0.9", 4000, b"m=video 5001 RTP/AVP 31\r\nc=IN IP4 10.0.0.1\r\nm=text 6000 x\r\nm=image 0 udptl t38\r\n"))
    assert [(one.kind, one.tuple.dport) for one in talk.table.expectations.all] == [(2, 5000), (2, 5001)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (offer(port=99), "wrong port"),
        (offer().replace(b"c=IN IP4 10.0.0.1\r\n", b""), "cannot parse SDP"),
        (offer().replace(b"CSeq: 1 INVITE\r\n", b""), "cseq"),
    ],
    ids=["port", "no-connection", "no-cseq"],
)
def test_what_cannot_be_read_is_dropped(text: bytes, why: str) -> None:
    talk = sip()
    assert talk.say(0, text) == "drop"
    assert why in talk.packet.reason


def test_the_end_of_a_call_and_a_refusal_forget_its_media() -> None:
    for end in (b"BYE sip:b@10.0.0.2 SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n", b""):
        talk = sip()
        talk.say(0, offer())
        if end:
            talk.say(0, end)
        else:
            talk.say(1, b"SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\n\r\n")
        assert talk.expected() == []


REGISTER = b"REGISTER sip:10.0.0.2 SIP/2.0\r\nCSeq: 7 REGISTER\r\nContact: <sip:me@10.0.0.1:5062>;expires=%d\r\n\r\n"


def test_a_registration_expects_calls_once_it_is_granted() -> None:
    talk = sip()
    talk.say(0, REGISTER % 600)
    (one,) = talk.table.expectations.all
    assert one.flags & INACTIVE
    assert talk.pass_through(udp(B, A, sport=5060, dport=5062), helper=False) == "new"
    talk.table.kill(talk.entry)
    talk.say(1, b"SIP/2.0 200 OK\r\nCSeq: 7 REGISTER\r\nContact: <sip:me@10.0.0.1:5062>;expires=300\r\n\r\n")
    assert (one.expires - talk.now) / 10**9 == 300
    assert talk.pass_through(udp(B, A, sport=5060, dport=5062), helper=False) == "rel"
    assert talk.entry.helper == "sip"


@pytest.mark.parametrize("answer", [b"SIP/2.0 403 Forbidden\r\nCSeq: 7 REGISTER\r\n\r\n"], ids=["refused"])
def test_a_refused_registration_expects_nothing(answer: bytes) -> None:
    talk = sip()
    talk.say(0, REGISTER % 600)
    talk.say(1, answer)
    assert talk.expected() == []


def test_a_registration_for_no_time_or_for_another_expects_nothing() -> None:
    talk = sip()
    talk.say(0, REGISTER % 0)
    talk.say(0, (REGISTER % 600).replace(b"10.0.0.1", b"10.0.0.9"))
    assert talk.expected() == []


def test_messages_of_a_stream_are_taken_one_by_one() -> None:
    talk = Talk("sip", port=5060)
    talk.open()
    talk.say(0, offer() + offer(port=4100, method=b"UPDATE"))
    assert [port for _, _, port, _ in talk.expected()] == [4000, 4001, 4100, 4101]
    talk.say(0, offer(port=4200, method=b"UPDATE")[:-5])  # not whole yet
    assert len(talk.expected()) == 4


def test_an_answer_without_a_description_expects_nothing() -> None:
    talk = sip()
    talk.say(0, offer())
    assert talk.say(1, b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n") == "est-reply"
    assert len(talk.expected()) == 2
