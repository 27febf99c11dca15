"""FTP (net/netfilter/nf_conntrack_ftp.c, nf_nat_ftp.c); the scenarios nft-ct-helper-ftp* are the kernel's own word."""

from __future__ import annotations

import pytest

from tcemu.conntrack.helpers.ftp import PATTERNS, Place, find, spelled

from .builder import A, B, tcp
from .talk import Talk

PUBLIC = 0xC0000201


def ready(public: int = 0) -> Talk:
    """Logged in: the ends of both sides' last lines are known."""
    talk = Talk("ftp", public=public)
    talk.open()
    assert talk.say(1, b"220 ready\r\n") == "est-reply"
    assert talk.say(0, b"USER x\r\n") == "est"
    return talk


@pytest.mark.parametrize(
    ("way", "text", "want"),
    [
        (0, b"PORT 10,0,0,1,200,10\r\n", (B, A, 51210)),
        (0, b"port 10,0,0,1,0,21\r\n", (B, A, 21)),
        (0, b"EPRT |1|10.0.0.1|51210|\r\n", (B, A, 51210)),
        (0, b"EPRT !1!10.0.0.1!7!\r\n", (B, A, 7)),
        (1, b"227 Entering Passive Mode (10,0,0,2,4,1)\r\n", (A, B, 1025)),
        (1, b"227 =10,0,0,2,4,1\r\n", (A, B, 1025)),
        (1, b"229 Entering Extended Passive Mode (|||2000|)\r\n", (A, B, 2000)),
    ],
    ids=["PORT", "lower-case", "EPRT", "EPRT-delimiter", "227", "227-without-bracket", "229"],
)
def test_an_announced_place_is_expected(way: int, text: bytes, want: tuple[int, int, int]) -> None:
    talk = ready()
    assert talk.say(way, text) == ("est", "est-reply")[way]
    assert talk.expected() == [(*want, -1)]


@pytest.mark.parametrize(
    ("way", "text"),
    [
        (0, b"PORT 10,0,0,9,200,10\r\n"),
        (1, b"227 Entering Passive Mode (10,0,0,9,4,1)\r\n"),
        (0, b"RETR PORT 10,0,0,1,200,10\r\n"),
        (1, b"PORT 10,0,0,1,200,10\r\n"),
        (0, b"EPRT |2|10.0.0.1|51210|x"[:4] + b"X\r\n"),
    ],
    ids=["another-address", "another-servers", "not-at-the-beginning", "from-the-server", "another-word"],
)
def test_what_announces_nothing_goes_on(way: int, text: bytes) -> None:
    talk = ready()
    talk.say(way, text)
    assert talk.expected() == [] or text.startswith(b"EPRT")


@pytest.mark.parametrize("text", [b"PORT 10,0,0,1,2", b"PO", b"PORT 10,0,0,1,200,10\n", b"EPRT |1|10.0.0.1|0|\r\n"], ids=str)
def test_a_cut_command_drops_the_packet(text: bytes) -> None:
    talk = ready()
    assert talk.say(0, text) == "drop"
    assert "partial matching" in talk.packet.reason


def test_a_command_in_the_middle_of_a_line_is_not_read() -> None:
    talk = ready()
    talk.say(0, b"STOR ")  # no end of line
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    assert talk.expected() == []


def test_the_oldest_expectation_gives_way_to_the_next() -> None:
    talk = ready()
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    talk.say(0, b"PORT 10,0,0,1,200,11\r\n")
    assert [port for _, _, port, _ in talk.expected()] == [51211]


def test_the_expected_connection_is_related_and_has_its_master() -> None:
    talk = ready()
    control = talk.entry
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    assert talk.pass_through(tcp(B, A, "S", sport=20, dport=51210, seq=1), helper=False) == "rel"
    assert talk.entry.master is control
    assert talk.expected() == []


def test_an_expectation_times_out_after_five_minutes() -> None:
    talk = ready()
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    talk.now += 301 * 10**9
    assert talk.pass_through(tcp(B, A, "S", sport=20, dport=51210, seq=1), helper=False) == "new"


def test_a_full_table_of_expectations_drops_the_command() -> None:
    talk = ready()
    talk.settings.expect_max = 0
    assert talk.say(0, b"PORT 10,0,0,1,200,10\r\n") == "drop"
    assert "nf_conntrack_expect_max" in talk.packet.reason


def test_translated_commands_name_the_public_address_and_later_numbers_follow() -> None:
    talk = ready(PUBLIC)
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    assert talk.heard == b"PORT 192,0,2,1,200,10\r\n"
    assert talk.expected() == [(B, PUBLIC, 51210, -1)]
    before = talk.seqs[0]
    talk.say(0, b"LIST\r\n")
    assert talk.numbers[0] == before + 1  # the text grew by one
    talk.say(1, b"150 here\r\n")
    assert talk.numbers[1] == talk.seqs[0]  # B acknowledges one more than A sent, A hears its own number


def test_the_expected_connection_is_led_to_the_hidden_client() -> None:
    talk = ready(PUBLIC)
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    assert talk.pass_through(tcp(B, PUBLIC, "S", sport=20, dport=51210, seq=1), helper=False) == "rel"
    assert talk.addresses == (B, A)


@pytest.mark.parametrize(
    ("kind", "family", "want"),
    [
        ("PORT", 4, b"192,0,2,1,4,0"),
        ("EPRT", 4, b"|1|192.0.2.1|1024|"),
        ("EPSV", 4, b"|||1024|"),
        ("EPRT", 6, b"|2|0000:0000:0000:0000:0000:0000:c000:0201|1024|"),
    ],
    ids=["PORT", "EPRT", "EPSV", "EPRT-6"],
)
def test_spelling(kind: str, family: int, want: bytes) -> None:
    assert spelled(kind, family, (0, PUBLIC), 1024) == want


def test_extended_port_of_ipv6_is_read() -> None:
    found = find(b"EPRT |2|2001:db8::1|5282|\r\n", PATTERNS[0][1], 6)
    assert isinstance(found, Place)
    assert found.port == 5282
    assert found.address == (0x20010DB800000000, 1)
