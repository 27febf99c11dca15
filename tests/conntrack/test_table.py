"""The table: confirming, zones, clashes, expiry, fullness, forgetting, and who hears of it."""

from __future__ import annotations

import itertools

import pytest

from tcemu.conntrack.entry import CONFIRMED, DYING, EXPECTED, NAT_CLASH, NAT_DONE_MASK, OFFLOADED, Entry
from tcemu.conntrack.expect import PERMANENT, Expectation
from tcemu.conntrack.living import LOOKED_AT
from tcemu.conntrack.stats import EVENT_DESTROY, EVENT_NEW, EVENT_UPDATE, Watcher
from tcemu.conntrack.table import Conntrack
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import A6, B6, SECOND, START, A, B, C, Tracker, tcp, udp


def test_without_confirming_each_packet_is_new() -> None:
    t = Tracker()
    assert [t.send(udp(A, B), confirm=False) for _ in range(3)] == ["new"] * 3
    assert t.table.count == 0
    assert t.table.entries() == []


def test_an_unconfirmed_entry_has_its_timeout_from_its_confirmation_on() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    assert t.entry.expires == 30 * SECOND
    t.now += 5 * SECOND
    t.packet.ts = t.now
    t.table.confirm(t.packet)
    assert t.left() == 30


def test_a_dying_entry_is_not_confirmed() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    t.table.kill(t.entry)
    assert t.table.confirm(t.packet) == 0
    assert t.table.count == 0


def test_a_tracked_packet_stays_as_it_is() -> None:
    t = Tracker()
    t.send(udp(A, B))
    before = t.entry.orig_packets
    assert t.table.track(t.packet, 5, 3, True) == 1
    assert (t.entry.orig_packets, t.entry.zone) == (before, 0)


def test_bytes_are_counted_from_the_network_header() -> None:
    t = Tracker()
    t.send(udp(A, B, data=b"x" * 100) + b"trailer")
    t.send(udp(B, A, sport=53, dport=1000, data=b"y" * 50))
    e = t.entry
    assert (e.orig_packets, e.orig_bytes, e.reply_packets, e.reply_bytes) == (1, 128, 1, 78)


def test_without_acct_nothing_is_counted() -> None:
    t = Tracker(acct=0)
    t.send(udp(A, B))
    assert (t.entry.acct, t.entry.orig_packets) == (False, 0)


def test_a_packet_that_the_capture_cut_counts_whole() -> None:
    t = Tracker()
    p = t.packet
    frame = tcp(A, B, "S", seq=1000)
    load(p, frame, 0, len(frame), len(frame), START, LINK_ETHER, 1)
    assert t.table.track(p, 0, 3, True) == 1
    t.table.confirm(p)
    for cut_frame, keep in (
        (tcp(B, A, "SA", sport=80, dport=40000, seq=1, ack=1001), 54),
        (tcp(A, B, "PA", seq=1001, ack=2, data=b"z" * 400), 60),
    ):
        load(p, cut_frame[:keep], 0, keep, len(cut_frame), START, LINK_ETHER, 1)
        assert t.table.track(p, 0, 3, True) == 1
        assert isinstance(p.ct, Entry), p.reason
    assert t.entry.orig_side is not None
    assert t.entry.orig_side.end == 1401
    assert t.entry.orig_bytes == 40 + 440


def test_zones_keep_apart() -> None:
    t = Tracker()
    assert t.send(udp(A, B), zone=1) == "new"
    assert t.send(udp(B, A, sport=53, dport=1000), zone=2) == "new"
    assert t.send(udp(B, A, sport=53, dport=1000), zone=1) == "est-reply"
    assert t.table.count == 2


@pytest.mark.parametrize(("zone_dir", "answer"), [(1, "est-reply"), (2, "new")], ids=["original", "reply"])
def test_a_zone_may_count_for_one_direction(zone_dir: int, answer: str) -> None:
    """The answer comes without the zone; where that makes it another flow, its own
    answer's tuple is taken by the first, which it then joins (__nf_ct_resolve_clash looks at tuples only where NAT was)."""
    t = Tracker()
    assert t.send(udp(A, B), zone=7, zone_dir=zone_dir) == "new"
    assert t.send(udp(B, A, sport=53, dport=1000)) == answer


def test_an_original_zone_is_looked_up_both_ways() -> None:
    t = Tracker()
    t.send(udp(A, B), zone=7, zone_dir=1)
    assert t.send(udp(A, B), zone=7, zone_dir=1) == "new"
    assert t.table.count == 1
    assert t.send(udp(B, A, sport=53, dport=1000), zone=7, zone_dir=1) == "est-reply"


def test_two_packets_of_one_new_flow_join() -> None:
    """Both were tracked before one was confirmed (nf_ct_resolve_clash)."""
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    later = Packet()
    frame = udp(A, B)
    load(later, frame, 0, len(frame), len(frame), t.now, LINK_ETHER, 1)
    t.table.track(later, 0, 3, True)
    assert t.table.confirm(t.packet) == 1
    assert t.table.confirm(later) == 1
    assert later.ct is t.packet.ct
    assert (t.table.count, t.entry.orig_packets) == (1, 2)


def test_a_tcp_clash_drops() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1), confirm=False)
    later = Packet()
    frame = tcp(A, B, "S", seq=1)
    load(later, frame, 0, len(frame), len(frame), t.now, LINK_ETHER, 1)
    t.table.track(later, 0, 3, True)
    assert (t.table.confirm(t.packet), t.table.confirm(later)) == (1, 0)
    assert t.table.stats.insert_failed == 1


def test_a_udp_clash_with_another_answer_enters_by_its_reply_alone() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    later = Packet()
    frame = udp(A, B)
    load(later, frame, 0, len(frame), len(frame), t.now, LINK_ETHER, 1)
    t.table.track(later, 0, 3, True)
    t.entry.status |= NAT_DONE_MASK
    t.table.confirm(t.packet)
    assert isinstance(later.ct, Entry)
    answer = later.ct.reply
    answer.src = C  # translated elsewhere
    later.ct.reply = answer
    assert t.table.confirm(later) == 1
    assert later.ct.status & NAT_CLASH
    assert len(t.table.entries()) == 1
    assert t.send(udp(C, A, sport=53, dport=1000)) == "est-reply"
    assert t.send(udp(C, A, sport=53, dport=1000), after=1.1) == "new"


def test_expired_connections_go_when_met_or_when_the_wheel_comes() -> None:
    t = Tracker()
    for port in range(100):
        t.send(udp(A, B, sport=port))
    assert t.send(udp(A, B, sport=0), after=31) == "new"
    assert len(t.table.entries(t.now)) == 1
    t.send(udp(A, C), after=60)
    assert t.table.count == 1
    assert len(t.table.buckets.all()) == 1


def test_a_shortened_deadline_is_noticed_within_a_minute() -> None:
    t = Tracker()
    t.handshake()
    t.send(tcp(B, A, "R", sport=80, dport=40000, seq=5001))
    assert t.left() == 10
    t.table.expire(t.now + 11 * SECOND)
    assert t.table.entries(t.now + 11 * SECOND) == []
    for second in range(61):
        t.table.expire(t.now + second * SECOND)
    assert t.table.count == 0


def test_a_capture_that_begins_earlier_does_no_harm() -> None:
    t = Tracker()
    t.send(udp(A, B))
    t.now -= 1_000_000 * SECOND
    assert t.send(udp(A, C)) == "new"
    assert t.send(udp(A, C), after=31) == "new"
    assert t.table.count == 2


def test_what_is_offloaded_does_not_expire() -> None:
    t = Tracker()
    t.send(udp(A, B))
    t.entry.status |= OFFLOADED
    assert t.send(udp(A, B), after=1000) == "new"
    assert t.table.count == 1


def test_a_full_table_forgets_what_is_not_assured() -> None:
    t = Tracker(max=250)
    assert [t.send(udp(A, B, sport=port)) for port in range(1000)] == ["new"] * 1000
    assert t.table.count == 250
    assert t.table.stats.early_drop == 750


def test_a_full_table_of_assured_connections_drops() -> None:
    from tcemu.conntrack.entry import ASSURED

    t = Tracker(max=3)
    for port in range(3):
        t.send(udp(A, B, sport=port))
        t.entry.status |= ASSURED
    assert t.send(udp(A, C)) == "drop"
    assert t.packet.reason == "conntrack: the table is full: nf_conntrack_max (3 connections)"


def test_growing_loses_nobody() -> None:
    t = Tracker()
    for port in range(5000):
        t.send(udp(A + port % 7, B, sport=port))
    assert t.table.count == 5000
    for port in range(5000):
        assert t.send(udp(B, A + port % 7, sport=53, dport=port)) == "est-reply"


def test_forgetting_all() -> None:
    t = Tracker()
    for port in range(10):
        t.send(udp(A6, B6, sport=port))
    held = t.entry
    t.table.flush()
    assert (t.table.count, t.table.entries(), bool(held.status & DYING)) == (0, [], True)
    assert t.send(udp(A6, B6)) == "new"


def test_find_by_tuple() -> None:
    t = Tracker()
    t.send(tcp(A, B, "S", seq=1))
    assert t.table.find(4, 6, 0, A, 0, B, 40000, 80, 0, t.now) is t.entry
    assert t.table.find(4, 6, 0, B, 0, A, 80, 40000, 0, t.now) is t.entry
    assert t.table.found_reply
    assert t.table.find(4, 17, 0, A, 0, B, 40000, 80, 0, t.now) is None
    assert t.table.lookup(t.packet, 0) is t.entry


class Ear(Watcher):
    """Notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, int]] = []

    def event(self, kind: int, entry: Entry, now: int) -> None:
        self.heard.append((kind, int(entry.state)))

    def passed(self, entry: Entry, now: int) -> None:
        self.heard.append((EVENT_UPDATE, int(entry.state)))


def test_a_watcher_hears_of_beginnings_changes_and_ends() -> None:
    t = Tracker()
    ear = Ear()
    t.table.watcher = ear
    t.handshake()
    t.send(tcp(A, B, "PA", seq=1001, ack=5001, data=b"x"))
    t.table.kill(t.entry)
    assert ear.heard == [(EVENT_NEW, 1), (EVENT_UPDATE, 2), (EVENT_UPDATE, 3), (EVENT_UPDATE, 3), (EVENT_DESTROY, 3)]


def announce(table: Conntrack, master: Entry, flags: int = 0) -> None:
    expected = Expectation(master, 4, 17)
    expected.tuple.src, expected.tuple.dst, expected.tuple.dport = B, A, 9999
    expected.flags, expected.expires, expected.helper = flags, START + 100 * SECOND, "tftp"
    table.expectations.add(expected)


@pytest.mark.parametrize("flags", [0, PERMANENT], ids=["once", "permanent"])
def test_an_expected_connection_is_related(flags: int) -> None:
    t = Tracker()
    t.send(udp(A, B))
    master = t.entry
    master.mark = 5
    announce(t.table, master, flags)
    assert t.send(udp(B, A, sport=1, dport=9999)) == "rel"
    assert t.entry.status & EXPECTED
    assert (t.entry.master is master, t.entry.mark, t.entry.helper) == (True, 5, "tftp")
    assert t.send(udp(B, A, sport=1, dport=9999)) == "rel"
    assert t.send(udp(B, A, sport=2, dport=9999)) == ("rel" if flags else "new")


def test_nobody_is_expected_any_more() -> None:
    t = Tracker()
    t.send(udp(A, B))
    announce(t.table, t.entry)
    assert t.send(udp(B, A, sport=1, dport=9999), after=101) == "new"
    t.send(udp(A, B))
    announce(t.table, t.entry)
    t.table.kill(t.entry)
    assert t.table.expectations.all == []


def test_a_tuple_is_taken_unless_it_is_our_own() -> None:
    t = Tracker()
    t.send(udp(A, B))
    held = t.entry
    other = Entry()
    other.proto = 17
    other.reply = held.reply
    assert t.table.taken(held.reply, other, t.now)
    assert not t.table.taken(held.reply, held, t.now)
    other.orig = held.orig
    assert not t.table.taken(held.reply, other, t.now)
    assert held.status & CONFIRMED


def test_many_that_expire_at_once_are_let_go_a_few_a_packet() -> None:
    t = Tracker()
    for port in range(1000):
        t.send(udp(A, B, sport=1024 + port))
    t.now += 31 * SECOND
    left = []
    while t.table.count > 1:
        t.send(udp(A, C))
        left.append(int(t.table.count))
    assert all(before - after <= LOOKED_AT for before, after in itertools.pairwise(left))
    assert len(left) >= 1000 // LOOKED_AT
    assert t.table.entries() == [t.entry]


@pytest.mark.parametrize(("most", "left"), [(1000, 6), (600, 1)], ids=["room", "crowded"])
def test_from_95_percent_on_the_wheel_takes_what_is_not_assured(most: int, left: int) -> None:
    """gc_worker: an established connection stays, half-open and closed ones go when it comes by."""
    t = Tracker(max=most, udp_timeout=1000)
    t.handshake()
    for port in range(5):
        t.send(udp(A, B, sport=2000 + port))
    others = 594
    t.table.count += others  # as if so many more were there
    t.table.expire(t.now + 61 * SECOND)
    t.table.count -= others
    assert t.table.count == left
