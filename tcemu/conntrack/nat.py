"""Network address translation: choosing a connection's other face, and giving its packets that face.

::

    setup      an unconfirmed connection gets its translation: range -> address -> port -> a reply tuple nobody else has
    translate  a packet's addresses and ports become those of the other direction's tuple, turned round
    relate     the same for an ICMP error, inside and outside
    act_nat    what tc ct does with all that

A connection is translated by its reply tuple alone: ``orig`` is what comes in, ``reply`` what the answer will look
like. Sources: net/netfilter/nf_nat_core.c, nf_nat_proto.c, net/sched/act_ct.c (tcf_ct_act_nat, ct_nat_execute), Linux 6.1.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, DST_NAT, DST_NAT_DONE, NAT_DONE_MASK, NAT_MASK, SRC_NAT, SRC_NAT_DONE, Entry, Tuple
from tcemu.conntrack.linux import icmp, icmpv6
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.nat_choice import DST, PERSISTENT, PROTO_OFFSET, PROTO_RANDOM, PROTO_RANDOM_FULLY, SRC, NatRange, find_unique
from tcemu.conntrack.seqadj import make_room
from tcemu.conntrack.table import NF_ACCEPT, NF_DROP, Conntrack
from tcemu.conntrack.tuples import ICMP, ICMPV6, equal, invert
from tcemu.fields import G_IP4, ICMP_TYPE, L4PROTO
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, IS_REPLY, NEW, RELATED, RELATED_REPLY, Packet
from tcemu.packet.rewrite import renew_icmp, translate_inner
from tcemu.packet.rewrite import translate as rewrite

__all__ = [
    "DST", "PERSISTENT", "PROTO_OFFSET", "PROTO_RANDOM", "PROTO_RANDOM_FULLY", "SRC", "NatRange", "act_nat", "is_set_up", "null_binding", "setup",
    "translate", "translate_error",
]  # fmt: skip

KEEP: Final = -1


# ---------------------------------------------------------------------- choosing


def is_set_up(entry: Entry, manip: i64) -> bool:
    """nf_nat_initialized: has this half of the connection been decided?"""
    return (entry.status & (SRC_NAT_DONE if manip == SRC else DST_NAT_DONE)) != 0


def setup(table: Conntrack, entry: Entry, wanted: NatRange, manip: i64, now: i64) -> bool:
    """nf_nat_setup_info: decide one half of a connection's translation. False: drop the packet.

    A confirmed connection stays as it is. When no tuple is free the last one tried stays, and confirming drops the packet.
    """
    if (entry.status & CONFIRMED) != 0:
        return True
    if is_set_up(entry, manip):
        return False
    current = Tuple()
    chosen = Tuple()
    proto: int = entry.proto
    invert(proto, entry.reply, current)
    find_unique(table, entry, wanted, manip, current, chosen, now)
    if not equal(chosen, current):
        answer = Tuple()
        invert(proto, chosen, answer)
        entry.reply = answer
        entry.status |= SRC_NAT if manip == SRC else DST_NAT
        if entry.helper != "":
            make_room(entry)
    entry.status |= SRC_NAT_DONE if manip == SRC else DST_NAT_DONE
    return True


def null_binding(table: Conntrack, entry: Entry, manip: i64, now: i64) -> bool:
    """nf_nat_alloc_null_binding: keep the address; the port changes only when the tuple is taken."""
    wanted = NatRange()
    family: int = entry.family
    wanted.family = family
    reply = entry.reply
    wanted.low_high = wanted.high_high = reply.dst_high if manip == SRC else reply.src_high
    wanted.low = wanted.high = reply.dst if manip == SRC else reply.src
    return setup(table, entry, wanted, manip, now)


# ---------------------------------------------------------------------- packets


def translate(p: Packet, entry: Entry, ctinfo: i64, manip: i64) -> i64:
    """nf_nat_packet: give a packet the face that its connection says; NF_ACCEPT or NF_DROP."""
    reply = ctinfo >= IS_REPLY
    bit = SRC_NAT if (manip == SRC) != reply else DST_NAT
    if (entry.status & bit) == 0:
        return NF_ACCEPT
    # the other direction's tuple turned round, without making one
    translated = entry.translated
    if not reply and translated is not None:
        src_high = translated.dst_high
        src = translated.dst
        sport = translated.dport
        dst_high = translated.src_high
        dst = translated.src
        dport = translated.sport
        if entry.proto in (ICMP, ICMPV6):
            sport = dport
    else:
        # the reply direction, or a connection that is marked as translated and is not
        src_high = entry.src_high
        dst_high = entry.dst_high
        src = entry.src
        dst = entry.dst
        sport = entry.ports >> 16
        dport = entry.ports & 0xFFFF
        if reply:
            src, dst = dst, src
            src_high, dst_high = dst_high, src_high
            if entry.proto not in (ICMP, ICMPV6):
                sport, dport = dport, sport
    if entry.proto in (ICMP, ICMPV6):
        dport = sport  # the id belongs to both halves
    if manip == SRC:
        good = rewrite(p, True, src_high, src, sport)
    else:
        good = rewrite(p, False, dst_high, dst, dport)
    if good:
        return NF_ACCEPT
    p.reason = "nat: the packet is cut or cannot be translated"
    return NF_DROP


def port_of(proto: i64, t: Tuple, manip: i64) -> i64:
    """What stands for the port when that half of a tuple goes into a packet; an ICMP id belongs to both halves."""
    if proto in (ICMP, ICMPV6) or manip == SRC:
        return t.sport
    return t.dport


def translate_error(p: Packet, entry: Entry, ctinfo: i64, manip: i64) -> i64:
    """nf_nat_icmp_reply_translation and its IPv6 sibling: an ICMP error, and in it the packet that it is about."""
    wide = (p.groups & G_IP4) == 0
    if p.l3_end - p.l4 < (48 if wide else 28):
        p.reason = f"nat: the ICMP error is too short ({p.l3_end - p.l4} bytes)"
        return NF_DROP
    if not is_intact(p):
        p.reason = "nat: the ICMP error has a bad checksum"
        return NF_DROP
    status = entry.status
    redirect = p.f[ICMP_TYPE] == (icmpv6.REDIRECT if wide else icmp.REDIRECT)
    if redirect and ((status & NAT_DONE_MASK) != NAT_DONE_MASK or (status & NAT_MASK) != 0):
        p.reason = "nat: a redirect of a translated connection would mislead"
        return NF_DROP
    reply = ctinfo >= IS_REPLY
    bit = SRC_NAT if (manip == SRC) != reply else DST_NAT
    if (status & bit) == 0:
        return NF_ACCEPT
    other = entry.orig if reply else entry.reply
    inside = DST if manip == SRC else SRC
    proto: int = entry.proto
    port = port_of(proto, other, inside)
    if inside == SRC:
        good = translate_inner(p, p.l4 + 8, True, other.src_high, other.src, port)
    else:
        good = translate_inner(p, p.l4 + 8, False, other.dst_high, other.dst, port)
    if not good or not renew_icmp(p):
        p.reason = "nat: the packet inside the ICMP error is cut"
        return NF_DROP
    target = Tuple()
    invert(proto, other, target)
    if manip == SRC:
        good = rewrite(p, True, target.src_high, target.src, KEEP)
    else:
        good = rewrite(p, False, target.dst_high, target.dst, KEEP)
    if good:
        return NF_ACCEPT
    p.reason = "nat: the ICMP error is cut"
    return NF_DROP


# ---------------------------------------------------------------------- tc ct


def act_nat(table: Conntrack, p: Packet, wanted: NatRange | None, commit: bool) -> i64:
    """tcf_ct_act_nat: ``action ct nat``; NF_ACCEPT or NF_DROP.

    A connection that is translated already goes on as it is; a new one gets what the rule wants, or nothing.
    """
    entry = p.ct
    if not isinstance(entry, Entry):
        return NF_ACCEPT
    info = p.ctinfo
    reply = info >= IS_REPLY
    status = entry.status
    if info != NEW and (status & NAT_MASK) != 0 and (info != RELATED or commit):
        manip: i64 = SRC if ((status & SRC_NAT) != 0) != reply else DST
    elif wanted is not None:
        manip = SRC if wanted.source else DST
    else:
        return NF_ACCEPT
    verdict = execute(table, p, entry, info, wanted, manip)
    status = entry.status
    if verdict != NF_ACCEPT or (status & DST_NAT) == 0:
        return verdict
    if (status & SRC_NAT) != 0:
        return execute(table, p, entry, info, wanted, DST if manip == SRC else SRC)
    return execute(table, p, entry, info, None, SRC) if not reply else verdict


def execute(table: Conntrack, p: Packet, entry: Entry, info: i64, wanted: NatRange | None, manip: i64) -> i64:
    """ct_nat_execute."""
    if info in (RELATED, RELATED_REPLY):
        proto = p.f[L4PROTO]
        if proto == (ICMP if (p.groups & G_IP4) != 0 else ICMPV6):
            return translate_error(p, entry, info, manip)
    if info not in (ESTABLISHED, ESTABLISHED_REPLY) and not is_set_up(entry, manip):
        if wanted is not None and wanted.family != 0:
            good = setup(table, entry, wanted, manip, p.ts)
        else:
            good = null_binding(table, entry, manip, p.ts)
        if not good:
            p.reason = "nat: the connection has its translation already"
            return NF_DROP
    return translate(p, entry, info, manip)
