"""Connections as rows, so that a session keeps the table: `to_record` and `from_record`, and the whole table at once.

A record holds everything that an `Entry` does. The key is the entry's id, the rank too, so rows come in the order in
which connections began. A master is kept by its id and found again by `fill_table`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcemu.conntrack.entry import NAT_CLASH, Entry, Extra, Side, Tuple
from tcemu.conntrack.expect import Expectation
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.timeouts import Timeouts
from tcemu.packet.numbers import numbers
from tcemu.shelf import Record

Six = tuple[int, int, int, int, int, int]
NOTHING: Six = (0, 0, 0, 0, 0, 0)


class EntryRecord(Record):
    """One connection. Tuples are (src, dst, sport, dport, src_high, dst_high), times nanoseconds.

    sides: per direction (end, max_end, max_window, max_ack, scale, flags); last: (index, dir, seq, ack, end, win, wscale, flags);
    counters: packets and bytes of the original, then of the reply direction; policy: a timeout policy, see `_policy`.
    """

    family: int = 4
    proto: int = 0
    zone: int = 0
    zone_dir: int = 3
    orig: Six = NOTHING
    reply: Six = NOTHING
    status: int = 0
    mark: int = 0
    labels: tuple[int, int] | None = None  # two signed halves
    acct: bool = False
    stamped: bool = False
    expires: int = 0
    started: int = 0
    counters: tuple[int, int, int, int] = (0, 0, 0, 0)
    state: int = 0
    sides: tuple[Six, Six] | None = None
    retrans: int = 0
    last: tuple[int, int, int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0, 0, 0)
    vtags: tuple[int, int] = (0, 0)
    gre: tuple[int, int] = (0, 0)  # timeout, stream timeout
    master: int = 0
    helper: str = ""
    flow: tuple[int, int, int] = (0, 0, 0)  # which flow table, its expiry, its flags
    policy: tuple[int, ...] = ()
    extra: tuple[tuple[int, ...], ...] = ((), ())  # how far sequence numbers were moved, the helper's memory, the SYN proxy's


class ExpectationRecord(Record):
    """One expectation; the rank is its place among all. The tuple is as an `EntryRecord`'s."""

    family: int = 4
    proto: int = 0
    tuple: Six = NOTHING
    master: int = 0
    any_source: bool = False
    source_mask: int = 0xFFFFFFFF
    source_mask_high: int = -1
    any_sport: bool = True
    sport_mask: int = 0xFFFF
    zone: int = 0
    flags: int = 0
    kind: int = 0
    helper: str = ""
    expires: int = 0
    saved: Six = NOTHING  # follow, address (two halves), port, direction


def expectation_record(one: Expectation, rank: int) -> ExpectationRecord:
    """The row of an expectation."""
    return ExpectationRecord(
        key=str(rank),
        rank=rank,
        family=one.family,
        proto=one.proto,
        tuple=_six(one.tuple),
        master=one.master.id,
        any_source=one.any_source,
        source_mask=one.source_mask,
        source_mask_high=one.source_mask_high,
        any_sport=one.any_sport,
        sport_mask=one.sport_mask,
        zone=one.zone,
        flags=one.flags,
        kind=one.kind,
        helper=one.helper,
        expires=one.expires,
        saved=(one.follow, one.saved_high, one.saved, one.saved_port, one.saved_way, 0),
    )


def expectation_of(record: ExpectationRecord, master: Entry) -> Expectation:
    """The expectation of a row."""
    one = Expectation(master, record.family, record.proto)
    _fill_tuple(one.tuple, record.tuple)
    one.any_source, one.source_mask, one.source_mask_high = record.any_source, record.source_mask, record.source_mask_high
    one.any_sport, one.sport_mask = record.any_sport, record.sport_mask
    one.zone, one.flags, one.kind, one.helper, one.expires = record.zone, record.flags, record.kind, record.helper, record.expires
    one.follow, one.saved_high, one.saved, one.saved_port, one.saved_way = record.saved[:5]
    return one


def to_record(entry: Entry) -> EntryRecord:
    """The row of an entry."""
    a, b = entry.orig_side, entry.reply_side
    return EntryRecord(
        key=str(entry.id),
        rank=entry.id,
        family=entry.family,
        proto=entry.proto,
        zone=entry.zone,
        zone_dir=entry.zone_dir,
        orig=_six(entry.orig),
        reply=_six(entry.reply),
        status=entry.status,
        mark=entry.mark,
        labels=(entry.label_high, entry.label_low) if entry.has_labels else None,
        acct=entry.acct,
        stamped=entry.stamped,
        expires=entry.expires,
        started=entry.started,
        counters=(entry.orig_packets, entry.orig_bytes, entry.reply_packets, entry.reply_bytes),
        state=entry.state,
        sides=(_side(a), _side(b)) if a is not None and b is not None else None,
        retrans=entry.retrans,
        last=(
            entry.last_index,
            entry.last_dir,
            entry.last_seq,
            entry.last_ack,
            entry.last_end,
            entry.last_win,
            entry.last_wscale,
            entry.last_flags,
        ),
        vtags=(entry.vtag_orig, entry.vtag_reply),
        gre=(entry.timeout, entry.stream_timeout),
        master=entry.master.id if entry.master is not None else 0,
        helper=entry.helper,
        flow=(entry.flow_table, entry.flow_expires, entry.flow_flags),
        policy=_policy(entry.policy),
        extra=_extra(entry.extra) if entry.extra is not None else ((), ()),
    )


def from_record(record: EntryRecord) -> Entry:
    """The entry of a row, in no table yet and without its master."""
    entry = Entry()
    entry.id = record.rank
    entry.family, entry.proto, entry.zone, entry.zone_dir = record.family, record.proto, record.zone, record.zone_dir
    entry.orig, entry.reply = _new_tuple(record.orig), _new_tuple(record.reply)
    entry.status, entry.mark = record.status, record.mark
    if record.labels is not None:
        entry.has_labels = True
        entry.label_high, entry.label_low = record.labels
    entry.acct, entry.stamped = record.acct, record.stamped
    entry.expires, entry.started = record.expires, record.started
    entry.orig_packets, entry.orig_bytes, entry.reply_packets, entry.reply_bytes = record.counters
    entry.state, entry.retrans = record.state, record.retrans
    if record.sides is not None:
        entry.orig_side, entry.reply_side = _new_side(record.sides[0]), _new_side(record.sides[1])
    entry.last_index, entry.last_dir, entry.last_seq, entry.last_ack = record.last[:4]
    entry.last_end, entry.last_win, entry.last_wscale, entry.last_flags = record.last[4:]
    entry.vtag_orig, entry.vtag_reply = record.vtags
    entry.timeout, entry.stream_timeout = record.gre
    entry.helper = record.helper
    entry.flow_table, entry.flow_expires, entry.flow_flags = record.flow
    entry.policy = _new_policy(record.policy)
    if record.extra != ((), ()):
        extra = entry.rare()
        extra.adjust, extra.memory = list(record.extra[0]), list(record.extra[1])
        extra.proxied = list(record.extra[2]) if len(record.extra) > 2 else []
    return entry


def fill_table(table: Conntrack, records: Iterable[EntryRecord], expected: Iterable[ExpectationRecord] = ()) -> None:
    """Put kept connections, and what they expect, into a table. Masters are linked when they are there."""
    entries: dict[int, Entry] = {}
    children: list[tuple[Entry, int]] = []
    for record in records:
        entry = from_record(record)
        table.restore(entry, bool(entry.status & NAT_CLASH))
        entries[record.rank] = entry
        if record.master:
            children.append((entry, record.master))
    for entry, master in children:
        entry.master = entries.get(master)
    table.expectations.all += [expectation_of(one, entries[one.master]) for one in expected if one.master in entries]


def _six(t: Tuple) -> Six:
    return (t.src, t.dst, t.sport, t.dport, t.src_high, t.dst_high)


def _new_tuple(six: Six) -> Tuple:
    t = Tuple()
    _fill_tuple(t, six)
    return t


def _fill_tuple(t: Tuple, six: Six) -> None:
    t.src, t.dst, t.sport, t.dport, t.src_high, t.dst_high = six


def _side(side: Side) -> Six:
    return (side.end, side.max_end, side.max_window, side.max_ack, side.scale, side.flags)


def _new_side(six: Six) -> Side:
    side = Side()
    side.end, side.max_end, side.max_window, side.max_ack, side.scale, side.flags = six
    return side


def _policy(policy: Timeouts | None) -> tuple[int, ...]:
    """All timeouts of a policy one after the other: TCP, SCTP and DCCP by state, then the single ones."""
    if policy is None:
        return ()
    single = (policy.udp, policy.udp_stream, policy.icmp, policy.icmpv6, policy.gre, policy.gre_stream, policy.generic)
    return (*policy.tcp, *policy.sctp, *policy.dccp, *single)


def _extra(extra: Extra) -> tuple[tuple[int, ...], ...]:
    kept = (tuple(extra.adjust), tuple(extra.memory))
    return (*kept, tuple(extra.proxied)) if extra.proxied else kept


def _new_policy(values: tuple[int, ...]) -> Timeouts | None:
    if not values:
        return None
    policy = Timeouts()
    tcp, sctp = len(policy.tcp), len(policy.sctp)
    rest = tcp + sctp + len(policy.dccp)
    policy.tcp = numbers(list(values[:tcp]))
    policy.sctp = numbers(list(values[tcp : tcp + sctp]))
    policy.dccp = numbers(list(values[tcp + sctp : rest]))
    policy.udp, policy.udp_stream, policy.icmp, policy.icmpv6, policy.gre, policy.gre_stream, policy.generic = values[rest:]
    return policy
