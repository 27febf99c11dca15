"""Whole TCP lives: timeouts by state, pick-up in the middle, retransmissions, getting back into step."""

from __future__ import annotations

import pytest

from tcemu.conntrack.entry import ASSURED, SEEN_REPLY
from tcemu.conntrack.linux import tcp_states as machine
from tcemu.conntrack.linux import tcp_window

from .builder import A, B, Tracker, tcp


def back(flags: str, **fields: object) -> bytes:
    return tcp(B, A, flags, sport=80, dport=40000, **fields)  # type: ignore[arg-type]


def test_an_ordinary_connection() -> None:
    t = Tracker()
    seen = []

    def step(frame: bytes) -> None:
        assert t.send(frame) != "inv", t.packet.reason
        seen.append((machine.STATE_NAMES[t.entry.state], t.left()))

    step(tcp(A, B, "S", seq=1000))
    step(back("SA", seq=5000, ack=1001))
    step(tcp(A, B, "A", seq=1001, ack=5001))
    step(tcp(A, B, "PA", seq=1001, ack=5001, data=b"GET /"))
    step(back("A", seq=5001, ack=1006))
    step(back("FA", seq=5001, ack=1006))
    step(tcp(A, B, "A", seq=1006, ack=5002))
    step(tcp(A, B, "FA", seq=1006, ack=5002))
    step(back("A", seq=5002, ack=1007))
    # source: tcp_timeouts; data that nobody has acknowledged yet counts 300 s
    assert seen == [
        ("SYN_SENT", 120),
        ("SYN_RECV", 60),
        ("ESTABLISHED", 432_000),
        ("ESTABLISHED", 300),
        ("ESTABLISHED", 432_000),
        ("FIN_WAIT", 120),
        ("CLOSE_WAIT", 60),
        ("LAST_ACK", 30),
        ("TIME_WAIT", 120),
    ]
    assert t.entry.status & ASSURED
    assert t.entry.status & SEEN_REPLY


def test_a_syn_once_more_does_not_prolong() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1000))
    t.send(tcp(A, B, "S", seq=1000), after=10)
    assert t.left() == 110
    assert t.entry.orig_packets == 1


def test_an_unanswered_connection_is_gone_after_its_timeout() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1000))
    assert t.send(tcp(A, B, "S", seq=1000), after=119.9) == "new"
    first = t.entry
    assert t.send(tcp(A, B, "S", seq=1000), after=0.2) == "new"
    assert t.entry is not first
    assert t.table.count == 1


def test_three_retransmissions_shorten_the_timeout() -> None:
    t = Tracker(tcp_timeout_max_retrans=200)
    t.handshake()
    t.send(back("A", seq=5001, ack=1001))
    left = []
    for _ in range(5):
        t.send(tcp(A, B, "A", seq=1001, ack=5001))
        left.append(t.left())
    assert left == [432_000, 432_000, 432_000, 200, 200]


@pytest.mark.parametrize("limit", [0, 1, 255], ids=str)
def test_retransmission_limit_is_a_setting(limit: int) -> None:
    t = Tracker(tcp_max_retrans=limit, tcp_timeout_max_retrans=200)
    t.handshake()
    t.send(back("A", seq=5001, ack=1001))
    t.send(tcp(A, B, "A", seq=1001, ack=5001))
    t.send(tcp(A, B, "A", seq=1001, ack=5001))
    assert t.left() == (432_000 if limit == 255 else 200)


def test_a_window_of_nought_waits_less() -> None:
    t = Tracker(tcp_timeout_max_retrans=250)
    t.handshake()
    t.send(back("A", seq=5001, ack=1001, window=0))
    assert t.left() == 250


def test_pick_up_in_the_middle_is_liberal_and_short_lived() -> None:
    t = Tracker()
    assert t.send(tcp(A, B, "A", seq=7777, ack=8888)) == "new"
    assert (t.entry.state, t.left()) == (machine.ES, 300)
    assert t.send(back("A", seq=8888, ack=7777)) == "est-reply"
    assert not t.entry.status & ASSURED
    assert t.send(tcp(A, B, "A", seq=99_999_999, ack=8888)) == "est"
    assert t.entry.status & ASSURED
    assert t.left() == 432_000


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "SA", "R", "RA"], ids=str)
def test_without_loose_only_a_syn_begins(flags: str) -> None:
    t = Tracker(tcp_loose=0)
    assert t.send(tcp(A, B, flags, seq=1)) == "inv"
    assert t.table.count == 0


def test_simultaneous_open() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1000))
    assert t.send(back("S", seq=5000)) == "est-reply"
    assert t.entry.state == machine.S2
    assert t.send(tcp(A, B, "SA", seq=1000, ack=5001)) == "est"
    assert t.entry.state == machine.SR
    assert t.send(back("A", seq=5001, ack=1001)) == "est-reply"
    assert t.entry.state == machine.ES


def test_syn_ack_to_an_ignored_syn_brings_us_back_into_step() -> None:
    """Client and server have begun anew; what we held was stale."""
    t = Tracker()
    t.handshake()
    assert t.send(tcp(A, B, "S", seq=90_000, options=b"\x04\x02")) == "est"
    assert t.entry.state == machine.ES
    assert t.send(back("SA", seq=70_000, ack=90_001)) == "est-reply"
    assert t.entry.state == machine.SR
    assert t.send(tcp(A, B, "A", seq=90_001, ack=70_001)) == "est"
    assert t.entry.state == machine.ES
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.flags & tcp_window.SACK_PERM


def test_a_challenge_ack_does_not_acknowledge_the_fin() -> None:
    t = Tracker()
    t.handshake()
    t.send(tcp(A, B, "FA", seq=1001, ack=5001))
    t.send(back("FA", seq=5001, ack=1002))
    assert t.entry.state == machine.LA
    t.send(tcp(A, B, "S", seq=90_000))
    assert t.send(back("A", seq=5002, ack=1002)) == "est-reply"
    assert t.entry.state == machine.LA
    assert t.packet.reason == "tcp: challenge-ack ignored (ACK 1002 in dir 1)"
    t.send(tcp(A, B, "A", seq=1002, ack=5002))
    assert t.entry.state == machine.TW


def test_a_syn_reopens_from_time_wait() -> None:
    t = Tracker()
    t.handshake()
    t.send(tcp(A, B, "FA", seq=1001, ack=5001))
    t.send(back("FA", seq=5001, ack=1002))
    t.send(tcp(A, B, "A", seq=1002, ack=5002))
    old = t.entry
    assert old.state == machine.TW
    assert t.send(tcp(A, B, "S", seq=500_000)) == "new"
    assert t.entry is not old
    assert t.table.count == 1


def test_a_syn_reopens_after_the_senders_own_rst() -> None:
    t = Tracker()
    t.handshake()
    t.send(tcp(A, B, "R", seq=1001))
    assert t.entry.state == machine.CL
    assert t.send(tcp(A, B, "S", seq=500_000)) == "new"


@pytest.mark.parametrize("flags", ["", "P", "F", "SF", "SR", "FR", "SRA", "FSRPAU", "U"], ids=lambda f: f or "none")
def test_impossible_flags_are_invalid(flags: str) -> None:
    t = Tracker()
    assert t.send(tcp(A, B, flags, seq=1)) == "inv"
    assert t.packet.reason.startswith("tcp: invalid tcp flag combination 0x")


def test_a_wrong_checksum_is_invalid_unless_not_looked_at() -> None:
    frame = tcp(A, B, "S", seq=1, bad_sum=True)
    assert Tracker().send(frame) == "inv"
    assert Tracker(checksum=0).send(frame) == "new"


def test_a_policy_of_its_own_gives_other_timeouts() -> None:
    from tcemu.conntrack.timeouts import SECOND, Timeouts

    t = Tracker()
    t.handshake()
    policy = Timeouts()
    policy.tcp[machine.ES] = 77 * SECOND
    t.entry.policy = policy
    t.send(tcp(A, B, "A", seq=1001, ack=5001))
    assert t.left() == 77
