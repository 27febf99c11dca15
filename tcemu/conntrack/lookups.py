"""Whose tuple is this? The lookups of the connection table (net/netfilter/nf_conntrack_core.c, Linux 6.1).

Most packets are of a connection that is there, have ports, and nobody translates them: those are found by `flow`, or interpreted by `exact`.
What these do not find, `seek` does.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import OFFLOADED, ZONE_BOTH, Entry, Tuple
from tcemu.conntrack.hashing import hash_reply, zone_of
from tcemu.conntrack.living import Living
from tcemu.conntrack.tuples import GRE, from_packet, hash_ends, hash_entry, hash_of
from tcemu.fields import DPORT, G_IP4, G_PORTS, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, L4PROTO, SPORT
from tcemu.packet.packet import Packet


class Lookups(Living):
    """How the living are found. `found_reply` says of the last one by which of its tuples it was."""

    # ------------------------------------------------------------------ by a packet

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

    def exact(self, p: Packet, zone: i64) -> Entry | None:
        """`flow` in CPython, which finds fastest by the packet's own bytes.

        In IP without options or extension headers, addresses and ports stand side by side.
        """
        known = self.buckets.exact.get(zone << 8 | p.f[L4PROTO])
        if known is None:
            return None
        at = p.l4
        header = at - p.l3
        hit = None
        if header == 20:
            hit = known.get(p.data[at - 8 : at + 4])
        elif header == 40 and (p.groups & G_IP4) == 0:
            hit = known.get(p.data[at - 32 : at + 4])
        if hit is None:
            return None
        entry, way = hit
        if entry.expires <= p.ts and (entry.status & OFFLOADED) == 0:
            return None
        self.found_reply = way != 0
        return entry

    # ------------------------------------------------------------------ by a tuple

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

    def complete_key(self, family: i64) -> None:
        """gre_keymap_lookup: the sender's call id of the tuple in `key`."""
        t = self.key
        if t.dport != 0:
            t.sport = self.keys.get((family, t.src_high, t.src, t.dst_high, t.dst, t.dport), 0)

    # ------------------------------------------------------------------ who stands in the way

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
