"""Connections as text: the lines of `conntrack -L` and of /proc/net/nf_conntrack.

Sources: libnetfilter_conntrack 1.0.9 src/conntrack/snprintf_default.c, conntrack-tools 1.4.7 (run), Linux
net/netfilter/nf_conntrack_standalone.c ct_seq_show. Times are whole seconds that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tcemu.conntrack.entry import ASSURED, CONFIRMED, HW_OFFLOADED, OFFLOADED, SEEN_REPLY, ZONE_BOTH, ZONE_ORIGINAL, Entry, Tuple
from tcemu.conntrack.names import address, protocol, raw, state
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import GRE, ICMP, ICMPV6, has_ports

if TYPE_CHECKING:
    from tcemu.conntrack.labels import LabelMap


class Output(NamedTuple):
    """What `conntrack -o` chooses."""

    extended: bool = False
    id: bool = False
    ktimestamp: bool = False
    labels: LabelMap | None = None  # their names, where they are to be shown


PLAIN = Output()
_Show = Callable[[int, int, int], str]


def line(entry: Entry, now: int, output: Output = PLAIN) -> str:
    """One line of `conntrack -L`, without its end."""
    words = [f"{'ipv4' if entry.family == 4 else 'ipv6':<8} {2 if entry.family == 4 else 10}"] if output.extended else []
    words.append(f"{protocol(entry):<8} {entry.proto}")
    if not entry.status & OFFLOADED:
        words.append(str(left(entry, now)))
    words += filter(None, (state(entry),))
    words += _both(entry, _address)
    words.append(f"mark={entry.mark}")
    if entry.zone and entry.zone_dir == ZONE_BOTH:
        words.append(f"zone={entry.zone}")
    if entry.stamped:
        words.append(f"delta-time={max(now - entry.started, 0) // SECOND}")
        if output.ktimestamp:
            words.append(_moment("start", entry.started))
    if entry.helper:
        words.append(f"helper={entry.helper}")
    words.append(f"use={uses(entry)}")
    if output.id:
        words.append(f"id={entry.id}")
    if output.labels is not None:
        words += filter(None, (output.labels.text(entry),))
    return " ".join(words)


def event_line(entry: Entry, now: int, output: Output, ended: bool, protocol_too: bool) -> str:
    """What `conntrack -E` says behind the kind of event: what was not sent is not said (counters and times come with the end)."""
    words = [f"{'ipv4' if entry.family == 4 else 'ipv6':<8} {2 if entry.family == 4 else 10}"] if output.extended else []
    words.append(f"{protocol(entry):<8} {entry.proto}")
    time = left(entry, now)
    if not entry.status & OFFLOADED and (time or not ended):
        words.append(str(time))
    if protocol_too:
        words += filter(None, (state(entry),))
    words += _both(entry, _address, ended)
    if entry.mark:
        words.append(f"mark={entry.mark}")
    if entry.zone and entry.zone_dir == ZONE_BOTH:
        words.append(f"zone={entry.zone}")
    if ended and entry.stamped:
        words.append(f"delta-time={max(now - entry.started, 0) // SECOND}")
        if output.ktimestamp:
            words += [_moment("start", entry.started), _moment("stop", now)]
    if entry.helper:
        words.append(f"helper={entry.helper}")
    if output.id:
        words.append(f"id={entry.id}")
    if output.labels is not None:
        words += filter(None, (output.labels.text(entry),))
    return " ".join(words)


def stamp(now: int) -> str:
    """What `-o timestamp` puts before a line: the parts of a time, each filled up with spaces."""
    return f"[{now // SECOND:<8}.{now % SECOND // 1000:<6}]\t"


def _moment(word: str, now: int) -> str:
    from time import gmtime, strftime

    return f"[{word}={strftime('%a %b %e %H:%M:%S %Y', gmtime(now // SECOND))}]"


def proc_line(entry: Entry, now: int) -> str:
    """One line of /proc/net/nf_conntrack, without its end."""
    words = [f"{'ipv4' if entry.family == 4 else 'ipv6':<8} {2 if entry.family == 4 else 10} {protocol(entry):<8} {entry.proto}"]
    if not entry.status & OFFLOADED:
        words.append(str(left(entry, now)))
    if entry.proto == GRE:
        words.append(f"timeout={entry.timeout // SECOND}, stream_timeout={entry.stream_timeout // SECOND}")
    words += filter(None, (state(entry),))
    words += _both(entry, _full_address)
    words.append(f"mark={entry.mark}")
    if entry.zone_dir == ZONE_BOTH:
        words.append(f"zone={entry.zone}")
    if entry.stamped:
        words.append(f"delta-time={max(now - entry.started, 0) // SECOND}")
    words.append(f"use={uses(entry) + 1}")
    return " ".join(words)


def left(entry: Entry, now: int) -> int:
    """nf_ct_expires in whole seconds; for an entry that is not confirmed, all of its timeout."""
    time = entry.expires - now if entry.status & CONFIRMED else entry.expires
    return max(time, 0) // SECOND


def uses(entry: Entry) -> int:
    """The reference count that a dump shows: one, and one for the flow table. (References of children are not counted.)"""
    return 2 if entry.status & OFFLOADED else 1


def ports(entry: Entry, t: Tuple) -> str:
    """The transport half of a tuple."""
    if entry.proto in (ICMP, ICMPV6):
        return f"type={t.dport >> 8} code={t.dport & 255} id={t.sport}"
    if entry.proto == GRE:
        return f"srckey=0x{int(t.sport):x} dstkey=0x{int(t.dport):x}"
    return f"sport={t.sport} dport={t.dport}" if has_ports(int(entry.proto)) else ""


def _both(entry: Entry, show: _Show, counters: bool = True) -> list[str]:
    """Tuples, zones and counters of both directions with the bracketed words between and behind."""
    status = entry.status
    words = _direction(entry, entry.orig, True, show, counters)
    if not status & SEEN_REPLY:
        words.append("[UNREPLIED]")
    words += _direction(entry, entry.reply, False, show, counters)
    if status & HW_OFFLOADED:
        words.append("[HW_OFFLOAD]")
    elif status & OFFLOADED:
        words.append("[OFFLOAD]")
    elif status & ASSURED:
        words.append("[ASSURED]")
    return words


def _direction(entry: Entry, t: Tuple, original: bool, show: _Show, counters: bool) -> list[str]:
    words = [f"src={show(entry.family, t.src_high, t.src)}", f"dst={show(entry.family, t.dst_high, t.dst)}"]
    words += filter(None, (ports(entry, t),))
    if entry.zone and entry.zone_dir != ZONE_BOTH and (entry.zone_dir == ZONE_ORIGINAL) == original:
        words.append(f"zone-{'orig' if original else 'reply'}={entry.zone}")
    if entry.acct and counters:
        packets = entry.orig_packets if original else entry.reply_packets
        words.append(f"packets={packets} bytes={entry.orig_bytes if original else entry.reply_bytes}")
    return words


def _address(family: int, high: int, low: int) -> str:
    return address(family, high, low)


def _full_address(family: int, high: int, low: int) -> str:
    """%pI6: eight groups of four digits."""
    return address(family, high, low) if family == 4 else raw(family, high, low).hex(":", 2)
