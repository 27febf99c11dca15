"""The flow table that tc ct keeps per zone (net/sched/act_ct.c, net/netfilter/nf_flow_table_core.c).

A flow is a conntrack entry with its OFFLOADED bit set and an expiry of its own, so looking one up is looking the
connection up. The table remembers its flows only to collect them, once a second as the kernel's work item does::

    offer  -- ASSURED and ESTABLISHED (TCP), confirmed (UDP), plain and assured (GRE) -->  flow
    lookup -- FIN or RST --> teardown;  not yet assured --> refreshed, but conntrack sees the packet too
    collect -- expired or dying --> teardown --> gone
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.conntrack.entry import ASSURED, CONFIRMED, DYING, NAT_MASK, OFFLOADED, SEEN_REPLY, SEQ_ADJUST, Entry
from tcemu.conntrack.table import Conntrack
from tcemu.fields import G_FRAG, G_GRE, G_IP4, G_IP6, G_TCP, G_UDP, GRE_FLAGS, IP6_NEXTHDR, IP_IHL, IP_TTL, L4PROTO, TCP_FLAGS
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, NEW, Packet

TEARDOWN: Final = 1  # enum nf_flow_flags
BIDIRECTIONAL: Final = 2

TCP: Final = 6
UDP: Final = 17
GRE: Final = 47
TCP_ESTABLISHED: Final = 3  # enum tcp_conntrack
BE_LIBERAL: Final = 0x08  # IP_CT_TCP_FLAG_BE_LIBERAL
FIN_OR_RST: Final = 0x05
DAY: Final = 86_400 * SECOND


class ActCtTable:
    """The flow table of one zone; its ``number`` (zone + 1) stands on the entries that it holds."""

    def __init__(self, zone: i64) -> None:
        self.number: i64 = zone + 1
        self.zone: i64 = zone
        self.tcp_timeout: i64 = 30 * SECOND  # the machine puts the sysctls' values in
        self.udp_timeout: i64 = 30 * SECOND
        self.flows: list[Entry] = []
        self.started: i64 = -1  # when the gc work was first queued
        self.collected: i64 = 0  # the last tick that was run

    def take_over(self, old: ActCtTable) -> None:
        """Go on with the flows of the same zone before other rules changed."""
        self.flows = old.flows
        self.started = old.started
        self.collected = old.collected

    def resume(self, entry: Entry, now: i64) -> None:
        """A connection that a session kept goes on as a flow."""
        if self.started < 0:
            self.started = self.collected = now
        self.flows.append(entry)

    def clean(self, table: Conntrack, now: i64) -> None:
        """tcf_ct_flow_table_cleanup_work: the zone's last action went, and conntrack has its connections back."""
        for entry in self.flows:
            if entry.flow_table == self.number:
                if (entry.status & OFFLOADED) != 0:
                    self.teardown(table, entry, now)
                entry.flow_table = 0
        self.flows = []

    def lookup(self, table: Conntrack, p: Packet, now: i64) -> bool:
        """tcf_ct_flow_table_lookup: a hit gives the packet its connection and spares it conntrack."""
        if len(self.flows) == 0 or not self.eligible(p):
            return False
        self.collect(table, now)
        entry = table.lookup(p, self.zone)
        if entry is None or (entry.status & OFFLOADED) == 0 or entry.flow_table != self.number or (entry.flow_flags & TEARDOWN) != 0:
            return False
        if (entry.status & DYING) != 0:
            return False
        reply = table.found_reply
        if (p.groups & G_TCP) != 0 and (p.f[TCP_FLAGS] & FIN_OR_RST) != 0:
            self.teardown(table, entry, now)
            return False
        self.refresh(entry, now)
        if (entry.status & ASSURED) == 0:
            return False
        p.ct = entry
        if reply:
            p.ctinfo = ESTABLISHED_REPLY
        else:
            p.ctinfo = ESTABLISHED if (entry.status & SEEN_REPLY) != 0 else NEW
        table.account(entry, reply, p)
        return True

    def eligible(self, p: Packet) -> bool:
        """tcf_ct_flow_table_fill_tuple_ipv4/6: a whole TCP, UDP or plain GRE packet, no options, a TTL to spare."""
        f = p.f
        groups = p.groups
        if (groups & G_FRAG) != 0 or f[IP_TTL] <= 1:
            return False
        if (groups & G_IP4) != 0:
            if f[IP_IHL] != 5:
                return False
        elif (groups & G_IP6) != 0:
            if f[IP6_NEXTHDR] != f[L4PROTO]:
                return False
        else:
            return False
        if (groups & (G_TCP | G_UDP)) != 0:
            return True
        return (groups & G_GRE) != 0 and (f[GRE_FLAGS] & 7) == 0

    def offer(self, entry: Entry, ctinfo: i64, now: i64) -> bool:
        """tcf_ct_flow_table_process_conn: add the connection if it may be."""
        established = ctinfo in (ESTABLISHED, ESTABLISHED_REPLY)
        status = entry.status
        both = True
        if entry.proto == TCP:
            if not established or (status & ASSURED) == 0 or entry.state != TCP_ESTABLISHED:
                return False
        elif entry.proto == UDP:
            if (status & CONFIRMED) == 0:
                return False
            both = (status & ASSURED) != 0
        elif entry.proto == GRE:
            if not established or (status & ASSURED) == 0 or (status & NAT_MASK) != 0:
                return False
            if entry.orig.sport != 0 or entry.orig.dport != 0:
                return False
        else:
            return False
        if entry.helper != "" or (status & (SEQ_ADJUST | OFFLOADED)) != 0:
            return False
        entry.status = status | OFFLOADED
        if entry.proto == TCP:
            for side in (entry.orig_side, entry.reply_side):
                if side is not None:
                    side.flags |= BE_LIBERAL
        entry.flow_table = self.number
        entry.flow_flags = BIDIRECTIONAL if both else 0
        entry.flow_expires = now + self.timeout(entry)
        if entry.expires - now < DAY // 2:
            entry.expires = now + DAY  # nf_ct_offload_timeout
        if self.started < 0:
            self.started = now
        self.flows.append(entry)
        return True

    def timeout(self, entry: Entry) -> i64:
        """flow_offload_get_timeout: nf_flowtable_tcp_timeout and nf_flowtable_udp_timeout, else 30 s."""
        if entry.proto == TCP:
            return self.tcp_timeout
        return self.udp_timeout if entry.proto == UDP else 30 * SECOND

    def refresh(self, entry: Entry, now: i64) -> None:
        """flow_offload_refresh: only when it grows by more than a second, so a one second timeout never does."""
        fresh = now + self.timeout(entry)
        if fresh - entry.flow_expires > SECOND:
            entry.flow_expires = fresh

    def teardown(self, table: Conntrack, entry: Entry, now: i64) -> None:
        """flow_offload_teardown: conntrack has the connection back, with what its state's timeout leaves of it."""
        entry.status &= ~OFFLOADED
        entry.flow_flags |= TEARDOWN
        table.unoffload(entry, self.timeout(entry), now)

    def collect(self, table: Conntrack, now: i64) -> None:
        """nf_flow_offload_work_gc, at each second since the table was made: expired and dying flows go."""
        if self.started < 0:
            return
        tick = self.started + (now - self.started) // SECOND * SECOND
        if tick <= self.collected:
            return
        self.collected = tick
        kept: list[Entry] = []
        for entry in self.flows:
            if entry.flow_table != self.number:
                continue
            gone = (entry.flow_flags & TEARDOWN) != 0
            if not gone and (entry.flow_expires <= tick or (entry.status & DYING) != 0):
                self.teardown(table, entry, tick)
                gone = True
            if gone:
                if (entry.status & OFFLOADED) == 0:
                    entry.flow_table = 0
            else:
                kept.append(entry)
        self.flows = kept
