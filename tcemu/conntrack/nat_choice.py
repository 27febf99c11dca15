"""Network address translation: which address and port a connection gets (net/netfilter/nf_nat_core.c, Linux 6.1).

::

    find_unique   the tuple as it is -> that of a connection with the same source -> an address -> a port, until nobody else has it
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.chance import jhash, scale, swap
from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.hashing import zone_of
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.tuples import GRE, ICMP, ICMPV6, copy, has_ports, invert

SRC: Final = 0  # enum nf_nat_manip_type
DST: Final = 1

# NF_NAT_RANGE_* (include/uapi/linux/netfilter/nf_nat.h); MAP_IPS (1) and PROTO_SPECIFIED (2) follow from family and port_high
PROTO_RANDOM: Final = 4
PERSISTENT: Final = 8
PROTO_RANDOM_FULLY: Final = 16
PROTO_OFFSET: Final = 32
RANDOM_ALL: Final = PROTO_RANDOM | PROTO_RANDOM_FULLY

MAX_ATTEMPTS: Final = 128  # NF_NAT_MAX_ATTEMPTS
LEAST_ATTEMPTS: Final = 16
M32: Final = 0xFFFFFFFF
SIGN: Final = -0x8000000000000000


class NatRange:
    """Where a translation may lead: addresses and ports, inclusive; addresses are halves as in tuples.

    source: translate the source, else the destination. family: 0 keeps the address. port_high: 0 leaves the port free.
    """

    def __init__(self) -> None:
        self.source: bool = True
        self.family: i64 = 0
        self.low_high: i64 = 0
        self.low: i64 = 0
        self.high_high: i64 = 0
        self.high: i64 = 0
        self.port_low: i64 = 0
        self.port_high: i64 = 0
        self.port_base: i64 = 0  # PROTO_OFFSET: ports are shifted by port - base
        self.flags: i64 = 0  # PROTO_RANDOM, PERSISTENT, PROTO_RANDOM_FULLY, PROTO_OFFSET


def find_unique(table: Conntrack, entry: Entry, wanted: NatRange, manip: i64, current: Tuple, out: Tuple, now: i64) -> None:
    """get_unique_tuple: the tuple that ``current`` becomes, one that nobody has if there is one."""
    flags = wanted.flags
    if manip == SRC and (flags & RANDOM_ALL) == 0:
        if in_range(entry, current, wanted):
            if not is_used(table, entry, current, now):
                copy(current, out)
                return
        elif find_source(table, entry, current, wanted, out) and not is_used(table, entry, out, now):
            return  # a source keeps the translation that it has
    copy(current, out)
    choose_address(entry, wanted, manip, out)
    if (flags & RANDOM_ALL) == 0:
        if wanted.port_high != 0:
            fits = (flags & PROTO_OFFSET) == 0 and port_in_range(entry, out, manip, wanted)
            if fits and (wanted.port_low == wanted.port_high or not is_used(table, entry, out, now)):
                return
        elif not is_used(table, entry, out, now):
            return
    choose_port(table, entry, wanted, manip, out, now)


def is_used(table: Conntrack, entry: Entry, t: Tuple, now: i64) -> bool:
    """nf_nat_used_tuple: would the answers be taken for another connection's?"""
    answer = Tuple()
    proto: int = entry.proto
    invert(proto, t, answer)
    return table.taken(answer, entry, now)


def find_source(table: Conntrack, entry: Entry, current: Tuple, wanted: NatRange, out: Tuple) -> bool:
    """find_appropriate_src: is this source translated already, to where the range leads?"""
    family: int = entry.family
    proto: int = entry.proto
    found = table.sources.of(current, family, proto, zone_of(entry, 0))
    at = len(found) - 1
    while at >= 0:
        other = found[at]
        same = other.src == current.src and other.ports >> 16 == current.sport and other.src_high == current.src_high
        if same and other.proto == proto and other.family == family and zone_of(other, 0) == zone_of(entry, 0):
            invert(proto, other.reply, out)
            out.dst_high = current.dst_high
            out.dst = current.dst
            out.dport = current.dport
            if in_range(entry, out, wanted):
                return True
        at -= 1
    return False


def in_range(entry: Entry, t: Tuple, wanted: NatRange) -> bool:
    """Does the tuple's source lie in the range already?"""
    if wanted.family != 0 and not (
        not is_less(t.src_high, t.src, wanted.low_high, wanted.low) and not is_less(wanted.high_high, wanted.high, t.src_high, t.src)
    ):
        return False
    return wanted.port_high == 0 or port_in_range(entry, t, SRC, wanted)


def is_less(a_high: i64, a: i64, b_high: i64, b: i64) -> bool:
    """a < b as unsigned 128-bit numbers; unsigned order is signed order with the sign bits flipped."""
    if a_high != b_high:
        return (a_high ^ SIGN) < (b_high ^ SIGN)
    return (a ^ SIGN) < (b ^ SIGN)


def port_in_range(entry: Entry, t: Tuple, manip: i64, wanted: NatRange) -> bool:
    """l4proto_in_range."""
    proto: int = entry.proto
    if proto in (ICMP, ICMPV6):
        return wanted.port_low <= t.sport <= wanted.port_high
    if has_ports(proto) or proto == GRE:
        port = t.sport if manip == SRC else t.dport
        return wanted.port_low <= port <= wanted.port_high
    return True


def choose_address(entry: Entry, wanted: NatRange, manip: i64, t: Tuple) -> None:
    """find_best_ips_proto: an address of the range by hash, the same for a source each time it comes."""
    if wanted.family == 0:
        return
    if wanted.low == wanted.high and wanted.low_high == wanted.high_high:
        put_address(t, manip, wanted.low_high, wanted.low)
        return
    persistent = (wanted.flags & PERSISTENT) != 0
    last = word(t.dst_high, t.dst, 3) if entry.family == 6 else t.dst
    seed: i64 = 0 if persistent else swap(last) ^ entry.zone
    if entry.family == 4:
        j = jhash([swap(t.src), 0, 0, 0], seed)
        put_address(t, manip, 0, wanted.low + scale(j, (wanted.high - wanted.low + 1) & M32))
        return
    j = jhash(
        [
            swap(word(t.src_high, t.src, 0)),
            swap(word(t.src_high, t.src, 1)),
            swap(word(t.src_high, t.src, 2)),
            swap(word(t.src_high, t.src, 3)),
        ],
        seed,
    )
    words: list[i64] = []
    full = False
    for at in range(4):
        least = word(wanted.low_high, wanted.low, at)
        most = word(wanted.high_high, wanted.high, at)
        span = (most - least + 1) & M32
        if full:
            least = 0
            span = M32
        part = (least + scale(j, span)) & M32
        words.append(part)
        if part != most:
            full = True
        if not persistent:
            j ^= swap(part if manip == DST else word(t.dst_high, t.dst, at))
    put_address(t, manip, join(words[0], words[1]), join(words[2], words[3]))


def word(high: i64, low: i64, at: i64) -> i64:
    """One of the four 32-bit words of an address."""
    half = high if at < 2 else low
    return (half >> 32 if at in (0, 2) else half) & M32


def join(high: i64, low: i64) -> i64:
    """Two 32-bit words as a signed half."""
    return (high - 0x100000000 if high >= 0x80000000 else high) << 32 | low


def put_address(t: Tuple, manip: i64, high: i64, low: i64) -> None:
    if manip == SRC:
        t.src_high = high
        t.src = low
    else:
        t.dst_high = high
        t.dst = low


def choose_port(table: Conntrack, entry: Entry, wanted: NatRange, manip: i64, t: Tuple, now: i64) -> None:
    """nf_nat_l4proto_unique_tuple: try ports from a random one on, over ever smaller stretches, until a tuple is free."""
    proto: int = entry.proto
    given = wanted.port_high != 0
    is_id = proto in (ICMP, ICMPV6)
    on_source = is_id or manip == SRC
    key = t.sport if on_source else t.dport
    if given:
        least = min(wanted.port_low, wanted.port_high)
        size = max(wanted.port_low, wanted.port_high) - least + 1
    elif is_id:
        least = 0
        size = 65_536
    elif proto == GRE:
        least = 1
        size = 65_535
    elif manip == DST:
        return  # a destination port is not changed unasked
    elif key < 512:
        least = 1
        size = 511
    elif key < 1024:
        least = 600
        size = 424
    else:
        least = 1024
        size = 64_512
    if proto == GRE and entry.master is None:
        return  # not PPTP: there is nothing to choose
    if not is_id and proto != GRE and not has_ports(proto):
        return
    offset = (key - wanted.port_base) & 0xFFFF if (wanted.flags & PROTO_OFFSET) != 0 else table.chance.short()
    attempts = min(size, MAX_ATTEMPTS)
    while True:
        tried: i64 = 0
        while tried < attempts:
            port = (least + offset % size) & 0xFFFF
            if on_source:
                t.sport = port
            else:
                t.dport = port
            if not is_used(table, entry, t, now):
                return
            tried += 1
            offset = (offset + 1) & 0xFFFF
        if attempts >= size or attempts < LEAST_ATTEMPTS:
            return
        attempts = attempts // 2
        offset = table.chance.short()
