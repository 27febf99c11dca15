"""The connection table: packets go in, connections come out (net/netfilter/nf_conntrack_core.c, Linux 6.1).

::

    track    packet -> tuple -> found? else a new, unconfirmed entry -> the protocol's judgement -> packet.ct, packet.ctinfo
    confirm  the unconfirmed entry enters the table, under both tuples
    turn     capture time goes on: what has expired leaves

Times are nanoseconds and come from packets. An entry that is not confirmed is held by its packet alone.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.chance import Chance
from tcemu.conntrack.entry import (
    ASSURED,
    CONFIRMED,
    DYING,
    EXPECTED,
    FIXED_TIMEOUT,
    HELPER,
    NAT_CLASH,
    NAT_DONE_MASK,
    OFFLOADED,
    SEEN_REPLY,
    SEQ_ADJUST,
    SRC_NAT_DONE,
    ZONE_BOTH,
    Counts,
    Entry,
    Tuple,
)
from tcemu.conntrack.expect import Expectations
from tcemu.conntrack.hashing import Buckets, hash_reply, zone_of
from tcemu.conntrack.helper import Helping, Routes, load
from tcemu.conntrack.linux import FINISHED, IGNORED, REFUSED, REPEAT, dccp, generic, gre, icmp, icmpv6, sctp, tcp, udp
from tcemu.conntrack.linux.icmp_error import ABOUT, NEVER, PLAIN
from tcemu.conntrack.linux.icmp_error import judge as judge_icmp
from tcemu.conntrack.seqadj import follow_sequence
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.sources import Sources
from tcemu.conntrack.stats import EVENT_DESTROY, EVENT_NEW, Stats, Watcher
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import (
    DCCP,
    GRE,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    from_packet,
    hash_ends,
    hash_entry,
    hash_of,
    invert,
    l3_length,
)
from tcemu.conntrack.wheel import Wheel
from tcemu.fields import DPORT, G_IP4, G_PORTS, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, L4PROTO, SPORT
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, IS_REPLY, NEW, RELATED, RELATED_REPLY, UNTRACKED, Packet

NF_DROP: Final = 0  # include/uapi/linux/netfilter.h
NF_ACCEPT: Final = 1

TCP_CLOSE: Final = 8
NO_CLASH: Final = (TCP, ICMP, ICMPV6, SCTP, DCCP, GRE)  # trackers without allow_clash
DAY: Final = 86_400 * SECOND
LOOKED_AT: Final = 256  # connections whose time may be over, a packet
EVICTION_RANGE: Final = 64  # slots that are searched for a victim: 8 lines, as NF_CT_EVICTION_RANGE is 8 chains


class Conntrack:
    """All connections of one host."""

    def __init__(self, settings: Settings) -> None:
        self.settings: Settings = settings
        self.buckets: Buckets = Buckets()
        self.wheel: Wheel = Wheel()
        self.expectations: Expectations = Expectations()
        self.stats: Stats = Stats()
        self.expectations.stats = self.stats
        self.sources: Sources = Sources()  # for NAT
        self.chance: Chance = Chance()
        self.watcher: Watcher | None = None
        self.helping: Helping | None = None
        self.routes: Routes | None = None  # of the host, where there is one
        # GRE of version 1 names only the receiver's call: family, addresses (halves) and that call -> the sender's (nf_ct_gre_keymap)
        self.keys: dict[tuple[int, int, int, int, int, int], int] = {}
        self.broadcast_mask: i64 = 0  # the packet in hand is the machine's own to all of a network with this mask
        self.count: i64 = 0  # confirmed entries
        self.serial: i64 = 0  # the last id that was given
        self.found_reply: bool = False  # the last tuple that was found was a reply tuple
        self.key: Tuple = Tuple()  # of the packet in hand
        self.key_hash: i64 = 0
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
        f = p.f
        groups = p.groups
        proto = f[L4PROTO]
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
        way: i64 = 0
        if not COMPILED and (groups & G_PORTS) != 0 and zone_dir == ZONE_BOTH:
            # Most packets are of a connection that is there. CPython finds it fastest by the packet's own bytes: in IP without options
            # or extension headers, addresses and ports stand side by side.
            known = self.buckets.exact.get(zone << 8 | proto)
            if known is not None:
                at = p.l4
                header = at - p.l3
                hit = None
                if header == 20:
                    hit = known.get(p.data[at - 8 : at + 4])
                elif header == 40 and family == 6:
                    hit = known.get(p.data[at - 32 : at + 4])
                if hit is not None:
                    entry, way = hit
                    if entry.expires <= now and (entry.status & OFFLOADED) == 0:
                        entry = None
                        way = 0
        elif (groups & G_PORTS) != 0 and zone_dir == ZONE_BOTH:
            entry = self.flow(p, zone)
            if entry is not None and self.found_reply:
                way = 1
        if entry is None:
            if not from_packet(p, self.key):
                return self.invalid(p)
            if proto == GRE and len(self.keys) > 0:
                self.complete_key(family)
            if (proto == ICMP and family == 4) or (proto == ICMPV6 and family == 6):
                judged = judge_icmp(p, family, verify, self.other, self.scratch)
                if judged != PLAIN:
                    return self.relate(p, judged, family, zone, zone_dir, now)
            entry = self.seek(self.key, family, proto, zone, zone_dir, now)
            if entry is not None and self.found_reply:
                way = 1
        while True:
            info: i64 = NEW
            if entry is None:
                entry = self.begin(p, family, proto, zone, zone_dir, now)
                if entry is None:
                    return NF_DROP if p.reason.startswith(TABLE_FULL) else self.invalid(p)
                if (entry.status & EXPECTED) != 0:
                    info = RELATED
            elif way != 0:
                info = ESTABLISHED_REPLY
            elif (entry.status & SEEN_REPLY) != 0:
                info = ESTABLISHED
            elif (entry.status & EXPECTED) != 0:
                info = RELATED
            status = entry.status
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
            elif code == FINISHED:
                if entry.counts is not None:
                    self.add(entry, way, length)
                self.kill_at(entry, now)
            elif code == REPEAT:
                self.kill_at(entry, now)
                from_packet(p, self.key)
                entry = self.seek(self.key, family, proto, zone, zone_dir, now)
                way = 1 if entry is not None and self.found_reply else 0
                continue
            elif code == REFUSED:
                self.stats.drop += 1
                return NF_DROP
            elif code != IGNORED:
                return self.invalid(p)
            p.ct = entry
            p.ctinfo = info
            if way != 0 and (entry.status & SEEN_REPLY) == 0:
                entry.status |= SEEN_REPLY
            if code == IGNORED and self.watcher is not None:
                self.watcher.judged(p, True)
            return NF_ACCEPT

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

    def invalid(self, p: Packet) -> i64:
        """Count a packet that belongs to no connection; it goes on, without one."""
        self.stats.invalid += 1
        watcher = self.watcher
        if watcher is not None:
            watcher.judged(p, False)
        return NF_ACCEPT

    def confirm(self, p: Packet) -> i64:
        """nf_conntrack_confirm: the packet's new connection enters the table; NF_DROP when it may not."""
        entry = p.ct
        if not isinstance(entry, Entry):
            return NF_ACCEPT
        if (entry.status & CONFIRMED) != 0 or p.ctinfo >= IS_REPLY:
            watcher = self.watcher
            if watcher is not None and (entry.status & (CONFIRMED | DYING)) == CONFIRMED:
                watcher.passed(entry, p.ts)
            return NF_ACCEPT
        now = p.ts
        if (entry.status & DYING) != 0:
            self.stats.insert_failed += 1
            p.reason = "conntrack: the connection was deleted before it was confirmed"
            return NF_DROP
        other = self.rival_of(entry, now)
        if other is not None:
            return self.resolve_clash(p, entry, other, now)
        entry.expires += now
        self.enter(entry, False, now)
        return NF_ACCEPT

    def rival_of(self, entry: Entry, now: i64) -> Entry | None:
        """A living entry that already has one of the tuples."""
        first = hash_entry(entry, zone_of(entry, 0))
        second = hash_reply(entry, first)
        buckets = self.buckets
        if first == second and buckets.place(first) < 0:
            return None
        other = self.other_of(entry, entry.orig, first, now)
        return self.other_of(entry, entry.reply, second, now) if other is None else other

    def other_of(self, entry: Entry, t: Tuple, h: i64, now: i64) -> Entry | None:
        """A living entry that already has the tuple."""
        family: int = entry.family
        proto: int = entry.proto
        found = self.buckets.find(h, t, family, proto, zone_of(entry, 0), zone_of(entry, 1))
        if found is not None and self.is_over(found, now):
            self.kill_at(found, now)
            return None
        return found

    def enter(self, entry: Entry, only_reply: bool, now: i64) -> None:
        """Insert a confirmed entry."""
        if entry.extra is not None and entry.stamped:
            entry.started = now
        entry.status |= CONFIRMED
        self.restore(entry, only_reply)
        self.stats.insert += 1
        watcher = self.watcher
        if watcher is not None:
            watcher.event(EVENT_NEW, entry, now)

    def restore(self, entry: Entry, only_reply: bool = False) -> None:
        """Insert an entry as it is: one that a session kept, or one that was just confirmed. Its id must be new."""
        serial: int = entry.id
        if serial > self.serial:
            self.serial = serial
        if entry.proto == GRE and (entry.ports & 0xFFFF) != 0:
            self.note_keys(entry)
        self.buckets.insert(entry, only_reply)
        self.wheel.place(entry)
        if (entry.status & SRC_NAT_DONE) != 0:
            self.sources.add(entry)
        self.count += 1

    def resolve_clash(self, p: Packet, mine: Entry, other: Entry, now: i64) -> i64:
        """nf_ct_resolve_clash: join the connection that was there first, or enter under the reply tuple alone, or drop."""
        if mine.proto not in NO_CLASH:
            if self.join(p, mine, other):
                return NF_ACCEPT
            rival = self.other_of(mine, mine.reply, hash_reply(mine, hash_entry(mine, zone_of(mine, 0))), now)
            if rival is None:
                mine.expires = now + SECOND
                mine.status |= FIXED_TIMEOUT | NAT_CLASH
                self.enter(mine, True, now)
                self.stats.clash_resolve += 1
                return NF_ACCEPT
            if self.join(p, mine, rival):
                return NF_ACCEPT
        self.stats.drop += 1
        self.stats.insert_failed += 1
        p.reason = f"conntrack: another connection (id {other.id}) has the same tuple"
        return NF_DROP

    def join(self, p: Packet, mine: Entry, other: Entry) -> bool:
        """__nf_ct_resolve_clash: the same tuples both ways are the same connection, and without translation one tuple is enough."""
        if (other.status & DYING) != 0:
            return False
        if (other.status & NAT_DONE_MASK) != 0:
            if mine.zone != other.zone or mine.zone_dir != other.zone_dir:
                return False
            if not other.has_orig(mine.orig) or not other.has_reply(mine.reply):
                return False
        theirs = other.counts
        if mine.counts is not None and theirs is not None:
            theirs.orig_packets += 1
            theirs.orig_bytes += mine.counts.orig_bytes
        p.ct = other
        self.stats.clash_resolve += 1
        return True

    # ------------------------------------------------------------------ looking things up

    def seek(self, t: Tuple, family: i64, proto: i64, zone: i64, zone_dir: i64, now: i64) -> Entry | None:
        """nf_conntrack_find_get: the living entry that has the tuple; `found_reply` says which way. Expired ones go."""
        zone_orig = zone_reply = zone
        if zone_dir != ZONE_BOTH:
            if (zone_dir & 1) == 0:
                zone_orig = 0
            if (zone_dir & 2) == 0:
                zone_reply = 0
        h = hash_of(t, family, proto, zone_orig)
        self.key_hash = h
        found = self.buckets.find(h, t, family, proto, zone_orig, zone_reply)
        if found is None and zone_orig != zone_reply:
            found = self.buckets.find(hash_of(t, family, proto, zone_reply), t, family, proto, zone_orig, zone_reply)
        if found is None:
            return None
        if self.is_over(found, now):
            self.kill_at(found, now)
            return None
        self.found_reply = self.buckets.reply
        return found

    def flow(self, p: Packet, zone: i64) -> Entry | None:
        """What `seek` finds for a packet with ports, where that can be found fast; otherwise None."""
        f = p.f
        src_high: i64 = 0
        dst_high: i64 = 0
        family: i64 = 4
        if (p.groups & G_IP4) != 0:
            src = f[IP_SADDR]
            dst = f[IP_DADDR]
        else:
            family = 6
            src_high = f[IP6_SADDR]
            src = f[IP6_SADDR + 1]
            dst_high = f[IP6_DADDR]
            dst = f[IP6_DADDR + 1]
        proto = f[L4PROTO]
        sport = f[SPORT]
        dport = f[DPORT]
        buckets = self.buckets
        key = hash_ends(src_high, src, sport, dst_high, dst, dport, family, proto, zone)
        entry = buckets.flow(key, family, proto, src_high, src, dst_high, dst, sport << 16 | dport, zone)
        if entry is None or (entry.expires <= p.ts and (entry.status & OFFLOADED) == 0):
            return None
        self.found_reply = buckets.reply
        return entry

    def lookup(self, p: Packet, zone: i64) -> Entry | None:
        """The packet's connection, if it has one; nothing is judged, counted or begun."""
        if (p.groups & G_PORTS) != 0:
            entry = self.flow(p, zone)
            if entry is not None:
                return entry
        if not from_packet(p, self.key):
            p.reason = ""
            return None
        if p.f[L4PROTO] == GRE and len(self.keys) > 0:
            self.complete_key(4 if (p.groups & G_IP4) != 0 else 6)
        return self.seek(self.key, 4 if (p.groups & G_IP4) != 0 else 6, p.f[L4PROTO], zone, ZONE_BOTH, p.ts)

    def complete_key(self, family: i64) -> None:
        """gre_keymap_lookup: the sender's call id of the tuple in `key`."""
        t = self.key
        if t.dport != 0:
            t.sport = self.keys.get((family, t.src_high, t.src, t.dst_high, t.dst, t.dport), 0)

    def note_keys(self, entry: Entry) -> None:
        """A tunnel that a session kept: its calls are known."""
        for t in (entry.orig, entry.reply):
            if t.dport != 0:
                self.keys[(int(entry.family), t.src_high, t.src, t.dst_high, t.dst, t.dport)] = t.sport

    def end_tunnels(self, master: Entry) -> None:
        """pptp_destroy_siblings: with the control connection its tunnels end."""
        for entry in self.buckets.all():
            if entry.proto == GRE and entry.master is master:
                self.kill_at(entry, -1)
        a = master.orig
        b = master.reply
        self.keys = {
            key: value
            for key, value in self.keys.items()
            if key[1:5] not in ((a.src_high, a.src, a.dst_high, a.dst), (b.src_high, b.src, b.dst_high, b.dst))
        }

    def find(
        self, family: i64, proto: i64, src_high: i64, src: i64, dst_high: i64, dst: i64, sport: i64, dport: i64, zone: i64, now: i64
    ) -> Entry | None:
        """The living connection that has this tuple in either direction."""
        t = self.key
        t.src_high = src_high
        t.src = src
        t.dst_high = dst_high
        t.dst = dst
        t.sport = sport
        t.dport = dport
        return self.seek(t, family, proto, zone, ZONE_BOTH, now)

    def taken(self, t: Tuple, mine: Entry, now: i64) -> bool:
        """nf_conntrack_tuple_taken: does the tuple belong to another connection (but one with the same original tuple)?"""
        family: int = mine.family
        proto: int = mine.proto
        h = hash_of(t, family, proto, zone_of(mine, 1))
        other = self.buckets.find(h, t, family, proto, zone_of(mine, 0), zone_of(mine, 1))
        if other is None or other is mine:
            return False
        if self.is_over(other, now):
            self.kill_at(other, now)
            return False
        if other.has_orig(mine.orig) and zone_of(other, 0) == zone_of(mine, 0):
            return False
        self.stats.found += 1
        return True

    def entries(self, now: i64 = -1) -> list[Entry]:
        """All connections in the order in which they began, without those that have expired by ``now`` (-1: with them).

        What a clash put in under one tuple alone stays hidden, as in the kernel's listings.
        """
        return [entry for entry in self.buckets.all() if (entry.status & NAT_CLASH) == 0 and not (now >= 0 and self.is_over(entry, now))]

    # ------------------------------------------------------------------ time, counters, the end

    def is_over(self, entry: Entry, now: i64) -> bool:
        """nf_ct_is_expired; the flow table keeps the time of what is offloaded."""
        return entry.expires <= now and (entry.status & OFFLOADED) == 0

    def turn(self, now: i64) -> None:
        """gc_worker: let go what expired until ``now``, of what the wheel comes by."""
        wheel = self.wheel
        wheel.turn(now)
        most = self.settings.max // 100 * 95  # nf_conntrack_max95: from here on those go that may
        for _ in range(LOOKED_AT):
            entry = wheel.next()
            if entry is None:
                break
            if entry.index < 0:
                continue
            if (entry.status & OFFLOADED) != 0:
                if entry.expires - now < DAY // 2:
                    entry.expires = now + DAY  # nf_ct_offload_timeout
            elif entry.expires <= now:
                self.kill_at(entry, entry.expires)
                continue
            elif 0 < most <= self.count and may_go(entry):
                self.kill_at(entry, now)
                continue
            wheel.place(entry)
        wheel.hurry()

    def expire(self, now: i64) -> None:
        """Let time pass without a packet. What has just expired may stay up to a minute, unseen: lookups and listings know."""
        if now >= self.wheel.due or now < self.wheel.low:
            self.turn(now)
            self.expectations.expire(now)

    def sweep(self, now: i64) -> None:
        """Let go all that has expired, looking at every connection: before a session keeps the table."""
        self.turn(now)
        for entry in self.buckets.all():
            if self.is_over(entry, now):
                self.kill_at(entry, entry.expires)
        self.expectations.expire(now)

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

    def set_timeout(self, entry: Entry, ns: i64, now: i64) -> None:
        """Give the connection that long from now on (while it is not confirmed: from its confirmation on)."""
        entry.expires = ns + now if (entry.status & CONFIRMED) != 0 else ns

    def set_closing(self, entry: Entry, now: i64) -> None:
        """nf_conntrack_tcp_set_closing: a rule answers the TCP connection by a reset, so it is over."""
        before = entry.state
        entry.state = TCP_CLOSE
        if before == TCP_CLOSE or (entry.status & FIXED_TIMEOUT) != 0:
            return
        policy = entry.policy
        timeouts = policy.tcp if policy is not None else self.settings.timeouts.tcp
        self.set_timeout(entry, timeouts[TCP_CLOSE], now)

    def unoffload(self, entry: Entry, timeout: i64, now: i64) -> None:
        """flow_offload_fixup_ct: the connection comes back from a flow table whose own timeout is ``timeout``.

        What it missed there makes its window useless, and it may live no longer than its state allows, less the time
        that the flow table had waited.
        """
        policy = self.settings.timeouts
        if entry.proto == TCP:
            if entry.orig_side is not None and entry.reply_side is not None:
                entry.orig_side.max_window = 0
                entry.reply_side.max_window = 0
            left = policy.tcp[entry.state] - timeout
        elif entry.proto == UDP:
            left = (policy.udp_stream if (entry.status & SEEN_REPLY) != 0 else policy.udp) - timeout
        else:
            return
        left = max(left, 0)
        if entry.expires - now > left:
            entry.expires = now + left

    def kill(self, entry: Entry) -> None:
        """nf_ct_kill: forget the connection."""
        self.kill_at(entry, -1)

    def kill_at(self, entry: Entry, now: i64) -> None:
        """Forget the connection at that time; -1 when nobody asks for the time."""
        if (entry.status & DYING) != 0:
            return
        entry.status |= DYING
        if len(self.expectations.all) > 0:
            if now >= 0:
                self.expectations.now = now
            self.expectations.forget(entry)
        if len(self.keys) > 0 and entry.helper == "pptp":
            self.end_tunnels(entry)
        if entry.index < 0:
            return
        self.buckets.remove(entry)
        if (entry.status & SRC_NAT_DONE) != 0:
            self.sources.remove(entry)
        self.count -= 1
        watcher = self.watcher
        if watcher is not None:
            watcher.event(EVENT_DESTROY, entry, now)

    def flush(self) -> None:
        """Forget all connections (conntrack -F)."""
        for entry in self.buckets.all():
            self.kill_at(entry, -1)

    def make_room(self, now: i64) -> bool:
        """early_drop: the table is full; forget a connection nearby that is not assured, or several that expired."""
        buckets = self.buckets
        at = self.key_hash & buckets.mask
        dropped = False
        for _ in range(EVICTION_RANGE):
            entry = buckets.beside[at]
            at = (at + 1) & buckets.mask
            if not isinstance(entry, Entry) or (entry.status & OFFLOADED) != 0:
                continue
            if self.is_over(entry, now):
                self.kill_at(entry, entry.expires)
                dropped = True
            elif (entry.status & ASSURED) == 0:
                self.kill_at(entry, now)
                self.stats.early_drop += 1
                return True
        return dropped


def may_go(entry: Entry) -> bool:
    """gc_worker_can_early_drop: it is not assured, or both ends are closing it."""
    if (entry.status & ASSURED) == 0:
        return True
    state = entry.state
    if entry.proto == TCP:
        return tcp.FW <= state <= tcp.CL
    if entry.proto == SCTP:
        return sctp.SS <= state <= sctp.SA
    return entry.proto == DCCP and dccp.CR <= state <= dccp.TW


TABLE_FULL: Final = "conntrack: the table is full: nf_conntrack_max"
