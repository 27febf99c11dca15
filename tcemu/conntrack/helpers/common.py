"""What all helpers do: read a payload, announce an expectation, write another address into the text.

Sources: net/netfilter/nf_conntrack_helper.c, nf_conntrack_expect.c nf_ct_expect_init, nf_nat_helper.c (nf_nat_mangle_tcp_packet,
nf_nat_mangle_udp_packet, nf_nat_follow_master, nf_nat_exp_find_port).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.chance import scale
from tcemu.conntrack.entry import NAT_MASK, Entry, Tuple
from tcemu.conntrack.expect import ADDED, CLASH, FOLLOW_MASTER, REASONS, Expectation
from tcemu.conntrack.nat import DST, SRC, NatRange, setup
from tcemu.conntrack.seqadj import move
from tcemu.conntrack.timeouts import SECOND
from tcemu.fields import G_L4, TCP_SEQ
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, Packet
from tcemu.packet.rewrite import replace_payload

if TYPE_CHECKING:
    from tcemu.conntrack.helper import Helper
    from tcemu.conntrack.table import Conntrack

NF_DROP: Final = 0
NF_ACCEPT: Final = 1
TCP: Final = 6
UDP: Final = 17
MOST_ATTEMPTS: Final = 128


def is_talking(p: Packet) -> bool:
    """Has there been traffic both ways?"""
    return p.ctinfo in (ESTABLISHED, ESTABLISHED_REPLY)


def is_translated(entry: Entry) -> bool:
    """Has one of its addresses been translated, so that text about it has to follow?"""
    return (entry.status & NAT_MASK) != 0


def payload(p: Packet) -> bytes:
    """What the transport header carries; nothing when it is cut."""
    if (p.groups & G_L4) == 0:
        return b""
    at = p.payload
    return bytes(p.data[at : p.l3_end]) if 0 <= at < p.l3_end else b""


def sequence(p: Packet) -> int:
    """The segment's sequence number."""
    return int(p.f[TCP_SEQ])


def side(entry: Entry, way: int) -> Tuple:
    """The tuple of a direction: 0 original, 1 reply."""
    return entry.reply if way else entry.orig


def announce(entry: Entry, proto: int, source: tuple[int, int] | None, target: tuple[int, int], port: int, sport: int = -1) -> Expectation:
    """nf_ct_expect_init: a connection to ``target`` and ``port``, from ``source`` (None: from anywhere)."""
    new = Expectation(entry, int(entry.family), proto)
    t = new.tuple
    if source is None:
        new.any_source = True
    else:
        t.src_high, t.src = source
    t.dst_high, t.dst = target
    t.dport = port
    if sport >= 0:
        t.sport = sport
        new.any_sport = False
    return new


def source_of(t: Tuple) -> tuple[int, int]:
    """A tuple's source address as two halves."""
    return (t.src_high, t.src)


def target_of(t: Tuple) -> tuple[int, int]:
    """A tuple's destination address as two halves."""
    return (t.dst_high, t.dst)


def relate(helper: Helper, table: Conntrack, p: Packet, new: Expectation) -> bool:
    """nf_ct_expect_related. False, with the packet's reason, when it may not be."""
    code = try_relate(helper, table, p, new)
    if code != ADDED:
        p.reason = f"{new.master.helper} helper: cannot add expectation: {REASONS[code]}"
    return code == ADDED


def try_relate(helper: Helper, table: Conntrack, p: Packet, new: Expectation, shared: bool = False) -> int:
    """The same, and how it went. shared: the like of another connection will do (NF_CT_EXP_F_SKIP_MASTER)."""
    table.expectations.expire(p.ts)
    new.expires = p.ts + helper.times[new.kind] * SECOND
    return int(table.expectations.relate(new, helper.limits[new.kind], table.settings.expect_max, shared))


def relate_somewhere(helper: Helper, table: Conntrack, p: Packet, new: Expectation, port: int) -> int:
    """`find_port`, with the packet's reason where there is none."""
    code, found = find_port(helper, table, p, new, port)
    if code == CLASH:
        p.reason = f"{new.master.helper} helper: all ports in use"
    elif code != ADDED:
        p.reason = f"{new.master.helper} helper: cannot add expectation: {REASONS[code]}"
    return found


def find_port(helper: Helper, table: Conntrack, p: Packet, new: Expectation, port: int) -> tuple[int, int]:
    """nf_nat_exp_find_port: the expectation under that port, or by chance under a higher one; how it went, and the port or 0."""
    behind = 0xFFFF - port
    new.tuple.dport = port
    for _ in range(min(behind, MOST_ATTEMPTS)):
        code = try_relate(helper, table, p, new)
        if code != CLASH:
            break
        new.tuple.dport = port + scale(table.chance.word(), behind)
    else:
        code = try_relate(helper, table, p, new)
    return code, int(new.tuple.dport) if code == ADDED else 0


def follow(new: Expectation, way: int, port: int) -> None:
    """The expected connection gets its master's translation: ``way`` is the one it comes from, ``port`` where it shall end."""
    new.follow = FOLLOW_MASTER
    new.saved_way, new.saved_port = way, port


def follow_master(table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
    """nf_nat_follow_master."""
    there = side(expected.master, 1 - expected.saved_way)
    source = NatRange()
    source.family = int(entry.family)
    source.low_high = source.high_high = there.dst_high
    source.low = source.high = there.dst
    setup(table, entry, source, SRC, now)
    target = NatRange()
    target.source = False
    target.family = int(entry.family)
    target.low_high = target.high_high = there.src_high
    target.low = target.high = there.src
    target.port_low = target.port_high = expected.saved_port
    setup(table, entry, target, DST, now)


def rewrite(p: Packet, entry: Entry, way: int, offset: int, length: int, text: bytes) -> bool:
    """Put text in place of ``length`` bytes of the payload; sequence numbers of what follows move along."""
    seq = int(p.f[TCP_SEQ]) if entry.proto == TCP else 0
    if not replace_payload(p, offset, length, text):
        p.reason = f"{entry.helper} helper: cannot mangle packet"
        return False
    if entry.proto == TCP:
        move(entry, way, seq, len(text) - length)
    return True


def give_up(table: Conntrack, new: Expectation) -> int:
    """nf_ct_unexpect_related, and the packet goes."""
    table.expectations.remove(new)
    return NF_DROP


def dotted(address: int) -> str:
    """An IPv4 address as text."""
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


__all__ = [
    "NF_ACCEPT", "NF_DROP", "TCP", "UDP", "announce", "dotted", "find_port", "follow", "follow_master", "give_up", "is_talking",
    "is_translated", "payload", "relate", "relate_somewhere", "rewrite", "sequence", "side", "source_of", "target_of", "try_relate",
]  # fmt: skip
