"""Whatever comes, the table stays whole: everybody is found by both tuples, counts are right, nobody is lost, time only takes.

Beside the table runs a model of it in a dictionary, for UDP, where every packet's fate is plain.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.hashing import Buckets
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import A6, B6, SECOND, START, A, B, Tracker, icmp, tcp, udp
from .traffic import check_table

Flow = tuple[int, int, int, int, int]  # zone, source, target, sport, dport


class TableMachine(RuleBasedStateMachine):
    """Random UDP traffic, deletions and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.t = Tracker(udp_timeout=7, udp_timeout_stream=20)
        self.model: dict[Flow, float] = {}  # original tuple -> when it expires, s

    def known(self, flow: Flow) -> Flow | None:
        zone, source, target, sport, dport = flow
        for candidate in (flow, (zone, target, source, dport, sport)):
            if self.model.get(candidate, -1.0) > self.now:
                return candidate
        return None

    @property
    def now(self) -> float:
        return (self.t.now - START) / SECOND

    @rule(zone=st.integers(0, 1), way=st.booleans(), port=st.integers(1, 6), confirm=st.booleans())
    def packet(self, zone: int, way: bool, port: int, confirm: bool) -> None:
        source, target, sport, dport = (A, B, port, 53) if way else (B, A, 53, port)
        flow = (zone, source, target, sport, dport)
        known = self.known(flow)
        got = self.t.send(udp(source, target, sport=sport, dport=dport), zone=zone, confirm=confirm)
        if known is None:
            assert got == "new"
            if confirm:
                self.model = {k: v for k, v in self.model.items() if k != (zone, target, source, dport, sport)}
                self.model[flow] = self.now + 7
        else:
            assert got in ("new", "est") if known == flow else got == "est-reply"
            self.model[known] = self.now + self.t.left()

    @rule(tenths=st.integers(0, 80))
    def wait(self, tenths: int) -> None:
        self.t.now += tenths * SECOND // 10
        self.t.table.expire(self.t.now)

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        entries = self.t.table.entries(self.t.now)
        if entries:
            entry = data.draw(st.sampled_from(entries))
            self.t.table.kill(entry)
            self.model.pop((int(entry.zone), int(entry.orig.src), int(entry.orig.dst), int(entry.orig.sport), int(entry.orig.dport)), None)

    @rule()
    def sweep(self) -> None:
        self.t.table.sweep(self.t.now)
        assert self.t.table.count == len(self.t.table.entries(self.t.now))

    @invariant()
    def whole(self) -> None:
        check_table(self.t.table)

    @invariant()
    def same_as_the_model(self) -> None:
        got = {
            (int(e.zone), int(e.orig.src), int(e.orig.dst), int(e.orig.sport), int(e.orig.dport)) for e in self.t.table.entries(self.t.now)
        }
        assert got == {flow for flow, expires in self.model.items() if expires > self.now}


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


FRAMES = st.one_of(
    st.builds(
        lambda way, flags, seq, ack, window, data: (
            tcp(A, B, flags, seq=seq, ack=ack, window=window, data=data)
            if way
            else tcp(B, A, flags, sport=80, dport=40000, seq=seq, ack=ack, window=window, data=data)
        ),
        st.booleans(),
        st.text("FSRPAU", max_size=4),
        st.integers(0, 2**32 - 1) | st.integers(0, 3000),
        st.integers(0, 2**32 - 1) | st.integers(0, 3000),
        st.integers(0, 65535),
        st.binary(max_size=20),
    ),
    st.builds(lambda kind, data: icmp(A, B, kind, data=data), st.integers(0, 255), st.binary(max_size=40)),
    st.builds(lambda kind, data: icmp(A6, B6, kind, data=data), st.integers(0, 255), st.binary(max_size=80)),
    st.builds(lambda port: udp(A6, B6, sport=port), st.integers(0, 3)),
)


@given(st.lists(st.tuples(FRAMES, st.integers(0, 200)), max_size=30))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_traffic_leaves_the_table_whole(traffic: list[tuple[bytes, int]]) -> None:
    t = Tracker()
    for frame, after in traffic:
        got = t.send(frame, after=(after - 20) / 10)  # captures of several devices are not quite in order
        assert got in ("new", "est", "est-reply", "rel", "rel-reply", "inv", "untracked", "drop")
        if got in ("inv", "untracked", "drop"):
            assert t.packet.reason
    check_table(t.table)
    for entry in t.table.entries():
        for side in (entry.orig_side, entry.reply_side):
            if side is not None:
                assert all(0 <= value < 1 << 32 for value in (side.end, side.max_end, side.max_window, side.max_ack))
                assert 0 <= side.scale <= 14


@given(st.binary(max_size=120), st.sampled_from([1, 6, 17, 33, 47, 58, 132, 136, 89]), st.booleans(), st.integers(0, 40))
@settings(max_examples=400, deadline=None)
def test_garbage_is_judged_and_never_raises(body: bytes, proto: int, wide: bool, cut: int) -> None:
    from .builder import ip4, ip6

    frame = ip6(A6, B6, proto, body) if wide else ip4(A, B, proto, body)
    t = Tracker(checksum=0)
    p = Packet()
    for keep in (len(frame), max(len(frame) - cut, 0)):
        load(p, frame[:keep], 0, keep, len(frame), START, LINK_ETHER, 1)
        if p.l3 >= 0 and p.groups & 0x180:
            verdict = t.table.track(p, 0, 3, True)
            assert verdict in (0, 1)
            if p.ct is not None:
                assert isinstance(p.ct, Entry)
                t.table.confirm(p)
    check_table(t.table)


@given(st.lists(st.tuples(st.integers(0, 2**30 - 1), st.integers(1, 7)), max_size=80), st.data())
@settings(max_examples=200, deadline=None)
def test_slots_close_up_when_others_go(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    """Removal from lines that are full, and from those behind them: all others stay where a lookup finds them."""
    buckets = Buckets()
    first = data.draw(st.sampled_from((0, 0x3E0)))  # all want to be in the table's first four lines, or in its last four
    slots = [((1 << 59 | h >> 15 << 30 | h & 0x1F | first) << 3 | way, Entry()) for h, way in rows]
    for slot, entry in slots:
        buckets.put(slot, entry)
    gone = set(data.draw(st.lists(st.sampled_from(range(len(slots))), unique=True))) if slots else set()
    for n in gone:
        buckets.take(slots[n][0] >> 3, slots[n][1])
    for n, (slot, entry) in enumerate(slots):
        at = buckets.place(slot >> 3)
        while at >= 0 and buckets.beside[at] is not entry:
            at = buckets.search(slot >> 3, buckets.after(slot >> 3, at))
        assert (at >= 0 and buckets.slots[at] == slot) == (n not in gone)
    assert buckets.used == len(slots) - len(gone) == sum(1 for slot in buckets.slots if slot)
