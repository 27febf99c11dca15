"""Sequence numbers that a helper moved: it wrote an address of another length, and all that follows stands elsewhere.

Source: net/netfilter/nf_conntrack_seqadj.c. Numbers are those of the packet as it came in, offsets are added on its way out.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import SEQ_ADJUST, Entry, Extra
from tcemu.fields import G_TCP, TCP_ACK, TCP_FLAGS, TCP_SEQ
from tcemu.packet.packet import Packet
from tcemu.packet.rewrite import adjust_tcp

M32: Final = 0xFFFFFFFF
HALF: Final = 0x80000000
TH_ACK: Final = 0x10


def make_room(entry: Entry) -> None:
    """nfct_seqadj_ext_add: from now on sequence numbers may be moved."""
    extra = entry.extra
    if extra is None:
        extra = entry.extra = Extra()
    if len(extra.adjust) == 0:
        extra.adjust = [0, 0, 0, 0, 0, 0]


def move(entry: Entry, way: i64, seq: i64, by: i64) -> None:
    """nf_ct_seqadj_set: what follows ``seq`` in that direction stands ``by`` bytes further on."""
    extra = entry.extra
    if by == 0 or extra is None or len(extra.adjust) == 0:
        return
    entry.status |= SEQ_ADJUST
    adjust = extra.adjust
    at = way * 3
    position: i64 = adjust[at]
    if adjust[at + 1] == adjust[at + 2] or ((position - seq) & HALF) != 0:
        adjust[at] = seq
        adjust[at + 1] = adjust[at + 2]
        adjust[at + 2] = adjust[at + 2] + by


def begin_at(entry: Entry, way: i64, by: i64) -> None:
    """nf_ct_seqadj_init: all of that direction stands ``by`` bytes further on."""
    extra = entry.extra
    if by == 0 or extra is None or len(extra.adjust) == 0:
        return
    entry.status |= SEQ_ADJUST
    extra.adjust[way * 3 + 1] = by
    extra.adjust[way * 3 + 2] = by


def sequence_offset(entry: Entry, way: i64, seq: i64) -> i64:
    """nf_ct_seq_offset: how far a sequence number of that direction was moved."""
    extra = entry.extra
    if extra is None or len(extra.adjust) == 0:
        return 0
    position: i64 = extra.adjust[way * 3]
    return extra.adjust[way * 3 + 2] if ((position - seq) & HALF) != 0 else extra.adjust[way * 3 + 1]


def follow_sequence(p: Packet, entry: Entry, way: i64) -> bool:
    """nf_ct_seq_adjust: write the numbers as both ends expect them; False when the header cannot be changed."""
    extra = entry.extra
    if extra is None or len(extra.adjust) == 0 or (p.groups & G_TCP) == 0:
        return True
    f = p.f
    seq = sequence_offset(entry, way, f[TCP_SEQ])
    there = (1 - way) * 3
    position: i64 = extra.adjust[there]
    before: i64 = extra.adjust[there + 1]
    behind: i64 = extra.adjust[there + 2]
    ack: i64 = 0
    if (f[TCP_FLAGS] & TH_ACK) != 0:
        ack = behind if ((position - (f[TCP_ACK] - before)) & HALF) != 0 else before
    return adjust_tcp(p, seq, ack, position, before, behind)
