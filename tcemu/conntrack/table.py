"""The connection table: packets go in, connections come out (net/netfilter/nf_conntrack_core.c, Linux 6.1).

::

    track    packet -> tuple -> found? else a new, unconfirmed entry -> the protocol's judgement -> packet.ct, packet.ctinfo
    confirm  the unconfirmed entry enters the table, under both tuples
    turn     capture time goes on: what has expired leaves

    Conntrack  packets, helpers   on  Confirming  confirmation, clashes   on  Lookups   on  Living  coming, staying, going

Times are nanoseconds and come from packets. An entry that is not confirmed is held by its packet alone.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.chance import Chance
from tcemu.conntrack.confirming import NF_ACCEPT, NF_DROP, Confirming
from tcemu.conntrack.entry import CONFIRMED, EXPECTED, FIXED_TIMEOUT, HELPER, SEEN_REPLY, SEQ_ADJUST, ZONE_BOTH, Counts, Entry, Tuple
from tcemu.conntrack.helper import Helping, Routes, load
from tcemu.conntrack.linux import FINISHED, IGNORED, REFUSED, REPEAT, dccp, generic, gre, icmp, icmpv6, sctp, tcp, udp
from tcemu.conntrack.linux.icmp_error import ABOUT, NEVER, PLAIN
from tcemu.conntrack.linux.icmp_error import judge as judge_icmp
from tcemu.conntrack.seqadj import follow_sequence
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, from_packet, invert, l3_length
from tcemu.fields import G_IP4, G_PORTS, L4PROTO
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, IS_REPLY, NEW, RELATED, RELATED_REPLY, UNTRACKED, Packet

__all__ = ["NF_ACCEPT", "NF_DROP", "Conntrack"]

TABLE_FULL: Final = "conntrack: the table is full: nf_conntrack_max"


class Conntrack(Confirming):
    """All connections of one host."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.chance: Chance = Chance()
        self.helping: Helping | None = None
        self.routes: Routes | None = None  # of the host, where there is one
        self.broadcast_mask: i64 = 0  # the packet in hand is the machine's own to all of a network with this mask
        self.other: Tuple = Tuple()  # of the packet inside an ICMP error, turned round
        self.scratch: Tuple = Tuple()

    # ------------------------------------------------------------------ packets

    def track(self, p: Packet, zone: i64, zone_dir: i64, prerouting: bool) -> i64:
        """nf_conntrack_in: find or begin the packet's connection; NF_ACCEPT or NF_DROP.

        Sets ``p.ct`` (None: invalid, or untracked as ``p.ctinfo`` then says), ``p.ctinfo`` and, when all is not well,
        ``p.reason``. A packet that has a connection, or is untracked, stays as it is.
        """
        if p.ct is not None or p.ctinfo == UNTRACKED:
            return NF_ACCEPT
        now = p.ts
        wheel = self.wheel
        if now >= wheel.due or now < wheel.low:
            self.turn(now)
        p.ctinfo = NEW
        groups = p.groups
        proto = p.f[L4PROTO]
        s = self.settings
        length = p.l3_end - p.l3
        verify = prerouting and s.checksum != 0
        if p.wire > p.end - p.start:
            length = l3_length(p)
            verify = False
        family: i64 = 4
        if (groups & G_IP4) == 0:
            family = 6
        entry: Entry | None = None
        if (groups & G_PORTS) != 0 and zone_dir == ZONE_BOTH:
            entry = self.flow(p, zone) if COMPILED else self.exact(p, zone)
        if entry is None:
            if not from_packet(p, self.key):
                return self.invalid(p)
            if (groups & G_PORTS) == 0:
                if proto == GRE and len(self.keys) > 0:
                    self.complete_key(family)
                if (proto == ICMP and family == 4) or (proto == ICMPV6 and family == 6):
                    judged = judge_icmp(p, family, verify, self.other, self.scratch)
                    if judged != PLAIN:
                        return self.relate(p, judged, family, zone, zone_dir, now)
            entry = self.seek(self.key, family, proto, zone, zone_dir, now)
        while True:
            way: i64 = 0
            info: i64 = NEW
            if entry is None:
                entry = self.begin(p, family, proto, zone, zone_dir, now)
                if entry is None:
                    return NF_DROP if p.reason.startswith(TABLE_FULL) else self.invalid(p)
            elif self.found_reply:
                way = 1
            status = entry.status
            if way != 0:
                info = ESTABLISHED_REPLY
            elif (status & SEEN_REPLY) != 0:
                info = ESTABLISHED
            elif (status & EXPECTED) != 0:
                info = RELATED
            if proto == TCP:
                code = tcp.packet(s, entry, p, way, length, verify, now)
            elif proto == UDP:
                code = udp.packet(s, entry, p, length, verify, now)
            else:
                code = self.judge(s, entry, p, way, length, verify, now)
            if code >= 0:
                if (status & (CONFIRMED | FIXED_TIMEOUT)) == CONFIRMED:
                    entry.expires = code + now
                elif (status & FIXED_TIMEOUT) == 0:
                    entry.expires = code
                if entry.counts is not None:
                    self.add(entry, way, length)
            elif code != IGNORED:
                if code != REPEAT:
                    return self.end(p, entry, info, code, way, length, now)
                self.kill_at(entry, now)
                from_packet(p, self.key)
                entry = self.seek(self.key, family, proto, zone, zone_dir, now)
                continue
            p.ct = entry
            p.ctinfo = info
            if way != 0 and (entry.status & SEEN_REPLY) == 0:
                entry.status |= SEEN_REPLY
            if code == IGNORED and self.watcher is not None:
                self.watcher.judged(p, True)
            return NF_ACCEPT

    def end(self, p: Packet, entry: Entry, info: i64, code: i64, way: i64, length: i64, now: i64) -> i64:
        """The packet ends its connection, or is not of it, or is dropped."""
        if code == FINISHED:
            if entry.counts is not None:
                self.add(entry, way, length)
            self.kill_at(entry, now)
            p.ct = entry
            p.ctinfo = info
            if way != 0:
                entry.status |= SEEN_REPLY
            return NF_ACCEPT
        if code == REFUSED:
            self.stats.drop += 1
            return NF_DROP
        return self.invalid(p)

    def judge(self, s: Settings, entry: Entry, p: Packet, way: i64, length: i64, verify: bool, now: i64) -> i64:
        """nf_conntrack_handle_packet: what the protocol thinks of the packet; `track` asks TCP and UDP itself."""
        proto = entry.proto
        if proto == ICMP:
            return icmp.packet(s, entry, p)
        if proto == ICMPV6:
            return icmpv6.packet(s, entry, p)
        if proto == GRE:
            return gre.packet(s, entry)
        if proto == SCTP:
            return sctp.packet(s, entry, p, way, length, verify)
        if proto == UDPLITE:
            return udp.lite_packet(s, entry, p, length, verify)
        if proto == DCCP:
            return dccp.packet(s, entry, p, way, length, verify)
        return generic.packet(s, entry)

    def begin(self, p: Packet, family: i64, proto: i64, zone: i64, zone_dir: i64, now: i64) -> Entry | None:
        """init_conntrack: a new entry for the tuple in `key`, not confirmed; None when there can be none."""
        s = self.settings
        key = self.key
        if proto in (ICMP, ICMPV6) and not invert(proto, key, self.scratch):
            p.reason = f"conntrack: nothing answers ICMP type {key.dport >> 8}, so it begins no connection"
            return None
        if s.max != 0 and self.count + 1 > s.max and not self.make_room(now):
            self.stats.drop += 1
            p.reason = f"conntrack: the table is full: nf_conntrack_max ({self.count} connections)"
            return None
        entry = Entry()
        entry.src = key.src
        entry.dst = key.dst
        entry.ports = key.sport << 16 | key.dport
        entry.src_high = key.src_high
        entry.dst_high = key.dst_high
        self.serial += 1
        serial: int = self.serial
        narrow_family: int = family
        narrow_proto: int = proto
        narrow_dir: int = zone_dir
        entry.id = serial
        entry.family = narrow_family
        entry.proto = narrow_proto
        entry.zone = zone
        entry.zone_dir = narrow_dir
        if s.acct != 0:
            entry.counts = Counts()
        if s.timestamp != 0:
            entry.stamped = True
        if len(self.expectations.all) > 0:
            expected = self.expectations.take(key, family, proto, zone, now)
            if expected is not None:
                entry.status |= EXPECTED
                entry.master = expected.master
                if expected.helper != "":
                    entry.helper = expected.helper
                    entry.status |= HELPER
                entry.mark = expected.master.mark
                if expected.follow != 0:
                    self.protocols().follow(self, entry, expected, now)
        return entry

    def relate(self, p: Packet, judged: i64, family: i64, zone: i64, zone_dir: i64, now: i64) -> i64:
        """The second half of nf_conntrack_inet_error: an ICMP error is RELATED to the connection that it is about.

        The packet inside must be of the connection that the error is sent back along.
        """
        if judged == NEVER:
            p.ctinfo = UNTRACKED
            p.reason = "conntrack: neighbour discovery and group messages are not tracked"
            return NF_ACCEPT
        entry: Entry | None = None
        if judged >= ABOUT:
            entry = self.seek(self.other, family, judged - ABOUT, zone, zone_dir, now)
            if entry is None:
                p.reason = "icmp: the error is about no connection that is known"
        if entry is None:
            self.stats.error += 1
            return self.invalid(p)
        t = entry.reply if self.found_reply else entry.orig
        if t.dst != self.key.dst or t.dst_high != self.key.dst_high:
            p.reason = "icmp: outer daddr != inner (the error does not go to the sender of what it is about)"
            self.stats.error += 1
            return self.invalid(p)
        p.ct = entry
        p.ctinfo = RELATED + IS_REPLY if self.found_reply else RELATED
        return NF_ACCEPT

    def invalid(self, p: Packet) -> i64:
        """Count a packet that belongs to no connection; it goes on, without one."""
        self.stats.invalid += 1
        watcher = self.watcher
        if watcher is not None:
            watcher.judged(p, False)
        return NF_ACCEPT

    def account(self, entry: Entry, reply: bool, p: Packet) -> None:
        """nf_ct_acct_update for a packet that conntrack does not see (a flow table took it)."""
        if entry.counts is not None:
            self.add(entry, 1 if reply else 0, l3_length(p))

    def add(self, entry: Entry, way: i64, length: i64) -> None:
        """Count a packet of the connection."""
        counts = entry.counts
        if counts is None:
            return
        if way != 0:
            counts.reply_packets += 1
            counts.reply_bytes += length
        else:
            counts.orig_packets += 1
            counts.orig_bytes += length

    # ------------------------------------------------------------------ helpers

    def protocols(self) -> Helping:
        """The helpers."""
        if self.helping is None:
            self.helping = load()
        return self.helping

    def finish(self, p: Packet) -> i64:
        """nf_confirm: the helper looks at the packet, sequence numbers follow what it changed before, then a new connection is confirmed."""
        entry = p.ct
        if isinstance(entry, Entry) and entry.extra is not None and p.ctinfo != RELATED_REPLY:
            moved = (entry.status & SEQ_ADJUST) != 0
            if self.ask(p, entry) != NF_ACCEPT or (moved and not self.follow(p, entry)):
                return NF_DROP
        return self.confirm(p)

    def help(self, p: Packet, entry: Entry) -> i64:
        """nf_ct_helper, as tc ct asks it: the helper, and then sequence numbers."""
        if entry.helper == "" or p.ctinfo == RELATED_REPLY or p.f[L4PROTO] != entry.proto:
            return NF_ACCEPT
        if self.ask(p, entry) != NF_ACCEPT or ((entry.status & SEQ_ADJUST) != 0 and not self.follow(p, entry)):
            return NF_DROP
        return NF_ACCEPT

    def ask(self, p: Packet, entry: Entry) -> i64:
        """The connection's helper looks at the packet."""
        if entry.helper == "":
            return NF_ACCEPT
        helper = self.protocols().helper(entry.helper, entry.proto)
        if helper is not None and p.l4 >= 0 and helper.help(self, p, entry, 1 if p.ctinfo >= IS_REPLY else 0) != NF_ACCEPT:
            p.reason = p.reason or f"{entry.helper} helper: the packet is dropped"
            if (entry.status & CONFIRMED) == 0:
                self.expectations.forget(entry)  # with its packet the connection is gone (nf_ct_destroy)
            return NF_DROP
        return NF_ACCEPT

    def follow(self, p: Packet, entry: Entry) -> bool:
        """Sequence numbers stand where the far end expects them; False, with the reason, when they cannot."""
        if follow_sequence(p, entry, 1 if p.ctinfo >= IS_REPLY else 0):
            return True
        self.stats.drop += 1
        p.reason = "conntrack: the sequence numbers cannot be adjusted"
        return False
