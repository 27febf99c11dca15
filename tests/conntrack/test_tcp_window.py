"""The four inequalities of the window check, at their borders, and what widens or narrows the window.

Numbers: after `handshake` A has sent 1001, B 5001, both windows are 8192.
"""

from __future__ import annotations

import struct

import pytest

from tcemu.conntrack.linux import tcp_states as machine
from tcemu.conntrack.linux import tcp_window

from .builder import A, B, Tracker, tcp

SCALE_7 = b"\x03\x03\x07\x01"
SACK_PERMITTED = b"\x04\x02\x01\x01"


def back(flags: str, **fields: object) -> bytes:
    return tcp(B, A, flags, sport=80, dport=40000, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seq", "want", "reason"),
    [
        (1001 + 8192, "est", ""),  # I: seq <= max_end
        (1001 + 8193, "est", "2 bytes more than expected"),  # one too many: let by, the sender's end moves
        (1001 + 8192 + 8192, "inv", "SEQ 17385 is over upper bound 9194 (over the window of the receiver)"),
        (1000, "est", ""),  # keepalive
    ],
    ids=["last", "one-over", "far-over", "keepalive"],
)
def test_upper_bound_of_data(seq: int, want: str, reason: str) -> None:
    t = Tracker()
    t.handshake()
    assert t.send(tcp(A, B, "A", seq=seq, ack=5001)) == want
    assert reason in t.packet.reason


@pytest.mark.parametrize(
    ("low", "want"),
    [(0, "accepted"), (-8192, "accepted"), (-8193, "ignored")],
    ids=["next", "oldest", "older"],
)
def test_lower_bound_of_data(low: int, want: str) -> None:
    """II: seq + len >= sender.end - receiver.max_window; older data is let by without effect."""
    t = Tracker()
    t.handshake()
    before = t.entry.orig_packets
    assert t.send(tcp(A, B, "A", seq=1001 + low, ack=5001)) == "est"
    assert (t.entry.orig_packets > before) == (want == "accepted")
    assert ("under lower bound" in t.packet.reason) == (want == "ignored")


@pytest.mark.parametrize(("ack", "want"), [(5001, "est"), (5002, "inv")], ids=["all-seen", "one-unseen"])
def test_upper_bound_of_acknowledgements(ack: int, want: str) -> None:
    t = Tracker()
    t.handshake()
    assert t.send(tcp(A, B, "A", seq=1001, ack=ack)) == want
    if want == "inv":
        assert t.packet.reason == "tcp: ACK 5002 is over upper bound 5002 (ACKed data not seen yet)"


@pytest.mark.parametrize(("ack", "counted"), [(5001 - 66000, True), (5001 - 66001, False)], ids=["oldest", "older"])
def test_lower_bound_of_acknowledgements(ack: int, counted: bool) -> None:
    """IV: MAXACKWINDOW is at least 66000."""
    t = Tracker()
    t.handshake()
    before = t.entry.orig_packets
    assert t.send(tcp(A, B, "A", seq=1001, ack=ack)) == "est"
    assert (t.entry.orig_packets > before) == counted
    assert ("possible overly delayed" in t.packet.reason) != counted


def test_sequence_numbers_wrap() -> None:
    t = Tracker()
    first = 2**32 - 3
    assert t.send(tcp(A, B, "S", seq=first)) == "new"
    assert t.send(back("SA", seq=2**32 - 1, ack=first + 1)) == "est-reply"
    assert t.send(tcp(A, B, "A", seq=first + 1, ack=0)) == "est"
    assert t.send(tcp(A, B, "PA", seq=first + 1, ack=0, data=b"x" * 100)) == "est"
    assert t.send(back("A", seq=0, ack=first + 101)) == "est-reply"
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.end == (first + 101) & 0xFFFFFFFF


@pytest.mark.parametrize(("options", "want"), [(SCALE_7, "est"), (b"", "inv")], ids=["scaled", "unscaled"])
def test_window_scale_counts_when_both_offer_it(options: bytes, want: str) -> None:
    t = Tracker()
    t.handshake(options=options)
    t.send(back("A", seq=5001, ack=1001, window=8192))
    assert t.send(tcp(A, B, "A", seq=1001 + 8192 * 100, ack=5001)) == want


def test_window_scale_of_one_side_does_not_count() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1000, options=SCALE_7))
    t.send(back("SA", seq=5000, ack=1001))
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.scale == 0
    assert t.entry.orig_side.flags & tcp_window.WINDOW_SCALE


@pytest.mark.parametrize(("shift", "kept"), [(14, 14), (15, 14), (255, 14)], ids=str)
def test_window_scale_is_at_most_14(shift: int, kept: int) -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1000, options=bytes((3, 3, shift))))
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.scale == kept


def test_selective_acknowledgement_may_be_over_the_plain_one() -> None:
    t = Tracker()
    t.handshake(options=SACK_PERMITTED)
    t.send(tcp(A, B, "PA", seq=1001, ack=5001, data=b"x" * 100))
    block = b"\x01\x01\x05\x0a" + struct.pack("!II", 1051, 1101)
    assert t.send(back("A", seq=5001, ack=1001, options=block)) == "est-reply"
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.max_end == 1101 + 8192
    beyond = b"\x01\x01\x05\x0a" + struct.pack("!II", 1051, 1102)
    assert t.send(back("A", seq=5001, ack=1001, options=beyond)) == "inv"


def test_blocks_without_permission_are_not_read() -> None:
    t = Tracker()
    t.handshake()
    block = b"\x01\x01\x05\x0a" + struct.pack("!II", 10_000, 20_000)
    assert t.send(back("A", seq=5001, ack=1001, options=block)) == "est-reply"


@pytest.mark.parametrize(
    "options",
    [b"\x03", b"\x03\x00", b"\x03\x01", b"\x03\x28\x07", b"\x05\x0a\x01", b"\xfe\x02", b"\x00\x03\x03\x07"],
    ids=["no-length", "length-0", "length-1", "past-the-end", "sack-cut", "unknown", "behind-the-end"],
)
def test_odd_options_are_left_alone(options: bytes) -> None:
    t = Tracker()
    assert t.send(tcp(A, B, "S", seq=1000, options=options)) == "new"
    assert t.entry.orig_side is not None
    assert (t.entry.orig_side.scale, t.entry.orig_side.flags) == (0, 0)


def test_liberal_passes_everything_but_learns_nothing() -> None:
    t = Tracker(tcp_be_liberal=1)
    t.handshake()
    assert t.entry.orig_side is not None
    end = t.entry.orig_side.max_end
    assert t.send(tcp(A, B, "A", seq=900_000, ack=5001)) == "est"
    assert t.send(tcp(A, B, "A", seq=1001, ack=900_000)) == "est"
    assert t.entry.orig_side.max_end == end


def test_a_rst_below_what_was_acknowledged_is_invalid() -> None:
    t = Tracker()
    t.handshake()
    assert t.send(back("R", seq=5000)) == "inv"
    assert t.packet.reason == "tcp: invalid rst (sequence number 5000, already acknowledged up to 5001)"


def test_invalid_rsts_may_be_ignored() -> None:
    t = Tracker(tcp_ignore_invalid_rst=1)
    t.handshake()
    assert t.send(back("R", seq=5000)) == "est-reply"
    assert t.entry.state == machine.ES


def test_an_inexact_rst_leaves_the_connection_established() -> None:
    """It may be a blind one; the receiver answers with a challenge ACK (RFC 5961)."""
    t = Tracker()
    t.handshake()
    assert t.send(back("R", seq=5100)) == "est-reply"
    assert t.entry.state == machine.ES
    assert t.left() == 10
    assert t.send(back("R", seq=5001)) == "est-reply"
    assert t.entry.state == machine.CL


def test_a_rst_behind_the_last_segment_closes() -> None:
    t = Tracker()
    t.handshake()
    t.send(back("PA", seq=5001, ack=1001, data=b"bye"))
    assert t.send(back("RA", seq=5004, ack=1001)) == "est-reply"
    assert t.entry.state == machine.CL


def test_nothing_but_a_rst_ends_the_connection_at_once() -> None:
    t = Tracker()
    assert t.send(tcp(A, B, "S", seq=1000)) == "new"
    assert t.send(back("RA", seq=0, ack=1001)) == "est-reply"
    assert t.table.count == 0


def test_fin_and_rst_out_of_window_from_both_sides_shorten_the_timeout() -> None:
    t = Tracker()
    t.handshake()
    t.send(back("A", seq=5001, ack=1001))
    assert t.left() == 432_000
    t.send(tcp(A, B, "FA", seq=900_000, ack=5001))
    held = t.table.entries()[0]
    assert t.send(back("FA", seq=900_000, ack=1001)) == "inv"
    assert held.expires - t.now == 300_000_000_000
