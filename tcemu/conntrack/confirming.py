"""A new connection enters the table with its first packet's confirmation (net/netfilter/nf_conntrack_core.c, Linux 6.1)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, DYING, FIXED_TIMEOUT, NAT_CLASH, NAT_DONE_MASK, Entry
from tcemu.conntrack.hashing import hash_reply, zone_of
from tcemu.conntrack.lookups import Lookups
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, hash_entry
from tcemu.packet.packet import IS_REPLY, Packet

NF_DROP: Final = 0  # include/uapi/linux/netfilter.h
NF_ACCEPT: Final = 1
NO_CLASH: Final = (TCP, ICMP, ICMPV6, SCTP, DCCP, GRE)  # trackers without allow_clash


class Confirming(Lookups):
    """Confirmation, and what happens when two are first."""

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
