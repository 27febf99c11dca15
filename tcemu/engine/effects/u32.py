"""tc u32: words of the packet compared, and hash tables behind links (net/sched/cls_u32.c u32_classify).

A word that the packet does not have ends the whole slot, not the node. Slots without links run as rules of their chain, whose words are
a `WordOp` each; a slot with a link is one rule with a `TableOp`, which goes through nodes and tables as the kernel does.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import Env, Observer, Op, Rule
from tcemu.engine.run import jump_ahead
from tcemu.fields import G_ETH
from tcemu.ir.verdict import CONTINUE, LEAVE, MISS, PIPE, STEP
from tcemu.packet.edit import get16, get32
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import ETH_P_8021AD, ETH_P_8021Q

MAX_DEPTH: Final = 8  # TC_U32_MAXDEPTH


class Place:
    """Where words are counted from, in bytes behind the network header; off2 stays what the last link made it, as in the kernel."""

    def __init__(self) -> None:
        self.off: i64 = 0
        self.off2: i64 = 0
        self.depth: i64 = 0


def network(p: Packet) -> i64:
    """skb_network_offset: behind the outermost VLAN tag, which the kernel keeps beside the packet; -1 where there is none."""
    if p.l3 < 0 or (p.groups & G_ETH) == 0:
        return p.l3
    kind = get16(p.data, p.start + 12)
    at = p.start + (18 if kind in (ETH_P_8021Q, ETH_P_8021AD) else 14)
    return at if at <= p.end else -1


class WordOp(Op):
    """One key: ``word & mask == value``."""

    def __init__(self, rule: Rule, place: Place, offset: i64, behind: bool, value: i64, mask: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.rule: Rule = rule  # was counted as met before it was asked
        self.place: Place = place
        self.offset: i64 = offset
        self.behind: bool = behind
        self.value: i64 = value
        self.mask: i64 = mask

    def run(self, env: Env, p: Packet) -> i64:
        place = self.place
        start = network(p)
        at = start + self.offset + place.off
        if self.behind:
            at += place.off2
        if start < 0 or at < p.start or at + 4 > p.end:
            self.rule.hits -= 1
            return LEAVE
        if (get32(p.data, at) & self.mask) == self.value:
            return PIPE
        self.rule.hits -= 1
        return MISS


class DescendOp(Op):
    """A link: on in the bucket that the packet's word hashes to, and back to the node where nothing there decides."""

    def __init__(self, place: Place, buckets: list[Rule | None], hash_at: i64, hash_mask: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.place: Place = place
        self.buckets: list[Rule | None] = buckets
        self.hash_at: i64 = hash_at
        self.hash_mask: i64 = hash_mask
        self.hash_shift: i64 = 0
        self.moves: bool = False  # off2 is worked out anew
        self.plus: i64 = 0
        self.at: i64 = -1  # of the 16 bits that say how long a header is; see ``varies``
        self.varies: bool = False
        self.mask: i64 = 0
        self.shift: i64 = 0
        self.eat: bool = False

    def run(self, env: Env, p: Packet) -> i64:
        place = self.place
        if place.depth >= MAX_DEPTH:
            p.reason = "u32: links lead deeper than 8 tables"
            return LEAVE
        start = network(p)
        off = place.off
        bucket: i64 = 0
        if len(self.buckets) > 1:
            at = start + off + self.hash_at
            if at < p.start or at + 4 > p.end:
                return LEAVE
            word = get32(p.data, at)
            bucket = ((word & self.hash_mask) >> self.hash_shift) & (len(self.buckets) - 1)
        inner = off
        if self.moves:
            off2 = self.plus + 3
            if self.varies:
                at = start + off + self.at
                if at < p.start or at + 2 > p.end:
                    return LEAVE
                off2 += (get16(p.data, at) & self.mask) >> self.shift
            place.off2 = off2 & ~3
        if self.eat:
            inner += place.off2
            place.off2 = 0
        code: i64 = MISS
        if start + inner < p.end:
            place.depth += 1
            code = through(env, p, place, self.buckets[bucket], inner)
            place.depth -= 1
            place.off = off
        return PIPE if code == MISS else code


class TableOp(Op):
    """A slot with links: its root table."""

    def __init__(self, place: Place, first: Rule | None) -> None:
        super().__init__(PIPE, None, 0, None)
        self.place: Place = place
        self.first: Rule | None = first

    def run(self, env: Env, p: Packet) -> i64:
        place = self.place
        off, off2, depth = place.off, place.off2, place.depth  # of a packet whose action sent this one here
        place.off = place.off2 = place.depth = 0
        code = through(env, p, place, self.first, 0)
        place.off, place.off2, place.depth = off, off2, depth
        return LEAVE if code == MISS else code


def through(env: Env, p: Packet, place: Place, rule: Rule | None, off: i64) -> i64:
    """The nodes of a bucket: the verdict of the first that has one, LEAVE where the packet ends, MISS where none decides."""
    watch = env.observer
    while rule is not None:
        place.off = off
        code = node(env, p, rule, watch)
        if code > CONTINUE:
            return code
        rule = rule.next
    return MISS


def node(env: Env, p: Packet, rule: Rule, watch: Observer | None) -> i64:
    """What one node says."""
    rule.hits += 1
    if watch is not None:
        watch.matched(rule.key)
    op = rule.ops
    code: i64 = PIPE
    while op is not None:
        code = op.run(env, p)
        if watch is not None:
            watch.step(rule.key, rule.place_of(op), op.name, code)
        if code != PIPE:
            return jump_ahead(env, p, rule, op.number, watch) if code == STEP else code
        op = op.next
    return code
