"""TFTP, IRC, Amanda and SANE (net/netfilter/nf_conntrack_*.c, nf_nat_*.c)."""

from __future__ import annotations

import struct

import pytest

from .builder import A, B, ip4, udp
from .talk import Talk

PUBLIC = 0xC0000201


@pytest.mark.parametrize("opcode", [1, 2], ids=["read", "write"])
@pytest.mark.parametrize("public", [0, PUBLIC], ids=["plain", "translated"])
def test_tftp_expects_an_answer_from_any_port(opcode: int, public: int) -> None:
    talk = Talk("tftp", proto=17, port=69, public=public)
    assert talk.say(0, struct.pack("!H", opcode) + b"file\0octet\0") == "new"
    assert talk.expected() == [(B, public or A, 40000, -1)]
    assert talk.pass_through(udp(B, public or A, sport=3000, dport=40000, data=b"\0\3\0\1"), helper=False) == "rel"
    assert talk.addresses == (B, A)


def test_tftp_data_announces_nothing() -> None:
    talk = Talk("tftp", proto=17, port=69)
    talk.say(0, b"\0\3\0\1data")
    assert talk.expected() == []


def irc(public: int = 0) -> Talk:
    talk = Talk("irc", port=6667, public=public)
    talk.open()
    return talk


@pytest.mark.parametrize("word", [b"SEND", b"CHAT", b"MOVE", b"TSEND", b"SCHAT"], ids=lambda word: word.decode())
def test_irc_offers_are_expected_from_anywhere(word: bytes) -> None:
    talk = irc()
    talk.say(0, b"PRIVMSG you :\x01DCC " + word + b" file.txt 167772161 5000\x01\r\n")
    assert talk.expected() == [(-1, A, 5000, -1)]


@pytest.mark.parametrize(
    "text",
    [
        b"PRIVMSG you :\x01DCC SEND f 167772169 5000\x01\r\n",
        b"PRIVMSG you :DCC SEND f 167772161 5000\r\n",
        b"NOTICE :\x01DCC SEND f 167772161 5\r\n",
    ],
    ids=["forged", "no-marker", "no-message"],
)
def test_irc_that_offers_nothing(text: bytes) -> None:
    talk = irc()
    talk.say(0, text)
    assert talk.expected() == []


def test_irc_offers_are_translated() -> None:
    talk = irc(PUBLIC)
    talk.say(0, b"PRIVMSG you :\x01DCC SEND file.txt 167772161 5000 1234\x01\r\n")
    assert talk.heard == b"PRIVMSG you :\x01DCC SEND file.txt 3221225985 5000 1234\x01\r\n"


def test_irc_has_room_for_eight_offers() -> None:
    talk = irc()
    for port in range(5000, 5010):
        talk.say(0, b"PRIVMSG you :\x01DCC SEND f 167772161 %d\x01\r\n" % port)
    assert [port for _, _, port, _ in talk.expected()] == list(range(5002, 5010))


CONNECT = b"Amanda 2.5 REP HANDLE 1 SEQ 2\nCONNECT DATA 5001 MESG 5002 INDEX 5003\nOPTIONS;\n"


def test_amanda_expects_its_streams_and_waits_longer() -> None:
    talk = Talk("amanda", proto=17, port=10080)
    talk.say(0, b"REQ")
    assert talk.say(1, CONNECT) == "est-reply"
    assert talk.expected() == [(A, B, port, -1) for port in (5001, 5002, 5003)]
    assert talk.left() == 300


def test_sane_expects_the_port_of_a_good_start() -> None:
    talk = Talk("sane", port=6566)
    talk.open()
    talk.say(0, struct.pack("!II", 7, 0))
    talk.say(1, struct.pack("!IHH", 0, 0, 7777) + b"\0" * 8)
    assert talk.expected() == [(A, B, 7777, -1)]


@pytest.mark.parametrize(
    "answer", [struct.pack("!IHH", 1, 0, 7777), struct.pack("!IHH", 0, 1, 7777), b"\0\0"], ids=["failed", "odd", "short"]
)
def test_sane_that_did_not_start(answer: bytes) -> None:
    talk = Talk("sane", port=6566)
    talk.open()
    talk.say(0, struct.pack("!II", 7, 0))
    talk.say(1, answer)
    assert talk.expected() == []


@pytest.mark.parametrize("name", ["RAS", "nobody"], ids=str)
def test_a_helper_that_is_not_there_looks_at_nothing(name: str) -> None:
    talk = Talk(name)
    talk.open()
    assert talk.say(0, b"PORT 10,0,0,1,200,10\r\n") == "est"


CONTROL = b"\x00\x01\x1a\x2b\x3c\x4d"


def control(kind: int, body: bytes) -> bytes:
    message = CONTROL + struct.pack("!HH", kind, 0) + body
    return struct.pack("!H", len(message) + 2) + message


def tunnel(talk: Talk, client: int = 5, server: int = 9, result: int = 1) -> None:
    """A control connection that agrees on two call ids."""
    talk.open()
    talk.say(0, control(1, bytes(144)))
    talk.say(1, control(2, b"\1\0\1\0" + bytes(140)))
    talk.say(0, control(7, struct.pack("!H", client) + bytes(154)))
    talk.say(1, control(8, struct.pack("!HHBB", server, client, result, 0) + bytes(16)))


def gre(src: int, dst: int, call: int) -> bytes:
    return ip4(src, dst, 47, struct.pack("!HHHHI", 0x3001, 0x880B, 4, call, 1) + b"data")


def test_pptp_expects_the_tunnel_both_ways() -> None:
    talk = Talk("pptp", port=1723)
    tunnel(talk)
    assert talk.expected() == [(A, B, 9, 5), (B, A, 5, 9)]


def test_pptp_tunnel_is_one_related_connection() -> None:
    talk = Talk("pptp", port=1723)
    tunnel(talk)
    control_connection = talk.entry
    assert talk.send(gre(A, B, 9)) == "rel"
    assert talk.entry.master is control_connection
    assert talk.send(gre(B, A, 5)) == "est-reply"
    talk.table.kill(control_connection)
    assert talk.table.count == 0
    assert talk.table.keys == {}


@pytest.mark.parametrize(("client", "result"), [(5, 2), (6, 1)], ids=["refused", "another-call"])
def test_pptp_calls_that_are_not_made(client: int, result: int) -> None:
    talk = Talk("pptp", port=1723)
    talk.open()
    talk.say(0, control(1, bytes(144)))
    talk.say(1, control(2, b"\1\0\1\0" + bytes(140)))
    talk.say(0, control(7, struct.pack("!H", 5) + bytes(154)))
    talk.say(1, control(8, struct.pack("!HHBB", 9, client, result, 0) + bytes(16)))
    assert talk.expected() == []


@pytest.mark.parametrize(("name", "port", "seconds"), [("netbios-ns", 137, 3), ("snmp", 161, 30)], ids=["netbios-ns", "snmp"])
def test_answers_to_a_broadcast_come_from_the_whole_network(name: str, port: int, seconds: int) -> None:
    talk = Talk(name, proto=17, port=port)
    talk.table.broadcast_mask = 0xFFFFFF00
    assert talk.pass_through(udp(A, 0x0A0000FF, sport=port, dport=port)) == "new"
    talk.table.broadcast_mask = 0
    assert talk.left() == seconds
    assert talk.pass_through(udp(B, A, sport=port, dport=port), helper=False) == "rel"
    assert talk.pass_through(udp(0x0A000003, A, sport=port, dport=port), helper=False) == "rel"
    assert talk.pass_through(udp(0x0A000103, A, sport=port, dport=port), helper=False) == "new"


def test_a_broadcast_of_another_machine_announces_nothing() -> None:
    talk = Talk("snmp", proto=17, port=161)
    talk.pass_through(udp(A, 0x0A0000FF, sport=161, dport=161))
    assert talk.expected() == []
