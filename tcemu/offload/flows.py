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
from tcemu.conntrack.tuples import l3_length
from tcemu.fields import G_FRAG, G_GRE, G_IP4, G_IP6, G_TCP, G_UDP, GRE_FLAGS, IP6_NEXTHDR, IP_IHL, IP_TTL, L4PROTO, TCP_FLAGS
from tcemu.offload.watch import BY_CONNTRACK, BY_END, BY_TABLE, BY_TIME, Watch
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
NOT_ASSURED: Final = "not ASSURED yet: one direction is offloaded, conntrack sees the packet too"


class ActCtTable:
    """The flow table of one zone; its ``number`` (zone + 1) stands on the entries that it holds."""

    def __init__(self, zone: i64) -> None:
        self.number: i64 = zone + 1
        self.zone: i64 = zone
        self.name: str = f"ct zone {zone}"
        self.helps: bool = False  # some ct action of the zone gives connections a helper, so its ct actions ask helpers (since Linux 6.2)
        self.watch: Watch | None = None
        self.hits: i64 = 0  # packets that took the fast path
        self.bytes: i64 = 0
        self.in_hardware: bool = False  # a backend that is hardware had the last hit
        self.tcp_timeout: i64 = 30 * SECOND  # the machine puts the sysctls' values in
        self.udp_timeout: i64 = 30 * SECOND
        self.flows: list[Entry] = []
        self.started: i64 = -1  # when the gc work was first queued
        self.collected: i64 = 0  # the last tick that was run

    def take_over(self, old: ActCtTable) -> None:
        """Go on with the flows of the same zone before other rules changed."""
        self.flows, self.started, self.collected = old.flows, old.started, old.collected
        self.hits, self.bytes = old.hits, old.bytes

    def adopt(self, entry: Entry, now: i64) -> None:
        """Take a connection that was in the table when a session was kept."""
        if self.started < 0:
            self.started = self.collected = now
        self.flows.append(entry)

    def clean(self, table: Conntrack, now: i64) -> None:
        """tcf_ct_flow_table_cleanup_work: the zone's last action went, and conntrack has its connections back."""
        for entry in self.flows:
            if entry.flow_table == self.number:
                if (entry.status & OFFLOADED) != 0:
                    self.teardown(table, entry, now, BY_TABLE)
                entry.flow_table = 0
        self.flows = []

    def lookup(self, table: Conntrack, p: Packet, now: i64) -> bool:
        """tcf_ct_flow_table_lookup: a hit gives the packet its connection and spares it conntrack."""
        self.in_hardware = False
        if len(self.flows) == 0:
            return False
        watch = self.watch
        if not eligible(p):
            if watch is not None:
                self.tell_bypass(watch, table, p, now)
            return False
        self.collect(table, now)
        entry = table.lookup(p, self.zone)
        if entry is None or (entry.status & OFFLOADED) == 0 or entry.flow_table != self.number or (entry.flow_flags & TEARDOWN) != 0:
            return False
        if (entry.status & DYING) != 0:
            return False
        reply = table.found_reply
        if (p.groups & G_TCP) != 0 and (p.f[TCP_FLAGS] & FIN_OR_RST) != 0:
            if watch is not None:
                watch.passed(self.name, entry, BY_END, p, now)
            self.teardown(table, entry, now, BY_END)
            return False
        self.refresh(entry, now)
        if (entry.status & ASSURED) == 0:
            if watch is not None:
                watch.passed(self.name, entry, NOT_ASSURED, p, now)
            return False
        p.ct = entry
        if reply:
            p.ctinfo = ESTABLISHED_REPLY
        else:
            p.ctinfo = ESTABLISHED if (entry.status & SEEN_REPLY) != 0 else NEW
        table.account(entry, reply, p)
        self.hits += 1
        self.bytes += l3_length(p)
        if watch is not None:
            self.in_hardware = watch.hit(self.name, entry, reply, True, p, now)
        return True

    def tell_bypass(self, watch: Watch, table: Conntrack, p: Packet, now: i64) -> None:
        """Tell why a packet of an offloaded connection may not take the fast path."""
        entry = table.lookup(p, self.zone)
        if entry is not None and (entry.status & OFFLOADED) != 0 and entry.flow_table == self.number:
            watch.passed(self.name, entry, why_slow(p), p, now)

    def offer(self, entry: Entry, p: Packet, now: i64) -> bool:
        """tcf_ct_flow_table_process_conn: add the connection if it may be."""
        why = refusal(entry, p.ctinfo)
        if why != "":
            if self.watch is not None and (entry.status & OFFLOADED) == 0:
                self.watch.refused(self.name, entry, why, p, now)
            return False
        entry.status |= OFFLOADED
        if entry.proto == TCP:
            for side in (entry.orig_side, entry.reply_side):
                if side is not None:
                    side.flags |= BE_LIBERAL
        entry.flow_table = self.number
        entry.flow_flags = BIDIRECTIONAL if entry.proto != UDP or (entry.status & ASSURED) != 0 else 0
        entry.flow_expires = now + self.timeout(entry)
        if entry.expires - now < DAY // 2:
            entry.expires = now + DAY  # nf_ct_offload_timeout
        if self.started < 0:
            self.started = now
        self.flows.append(entry)
        if self.watch is not None:
            self.watch.added(self.name, entry, True, 0, 0, p, now)
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

    def teardown(self, table: Conntrack, entry: Entry, now: i64, why: str) -> None:
        """flow_offload_teardown: conntrack has the connection back, with what its state's timeout leaves of it."""
        if self.watch is not None:
            self.watch.torn(self.name, entry, why, now)
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
                dying = (entry.status & DYING) != 0
                # of the ticks that went by since the last packet, the first behind its expiry was the one
                due = tick if dying else self.started + (entry.flow_expires - self.started + SECOND - 1) // SECOND * SECOND
                self.teardown(table, entry, due, BY_CONNTRACK if dying else BY_TIME)
                gone = True
            if gone:
                if (entry.status & OFFLOADED) == 0:
                    entry.flow_table = 0
            else:
                kept.append(entry)
        self.flows = kept


def eligible(p: Packet) -> bool:
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


def why_slow(p: Packet) -> str:
    """What `eligible` finds wrong with a packet, in words; nothing if nothing is."""
    f = p.f
    groups = p.groups
    if (groups & (G_IP4 | G_IP6)) == 0:
        return "the packet is neither IPv4 nor IPv6"
    if (groups & G_FRAG) != 0:
        return "the packet is a fragment"
    if f[IP_TTL] <= 1:
        return f"its time to live is {f[IP_TTL]}: forwarding it takes the slow path"
    if (groups & G_IP4) != 0 and f[IP_IHL] != 5:
        return f"it has IP options (header of {4 * f[IP_IHL]} bytes)"
    if (groups & G_IP6) != 0 and f[IP6_NEXTHDR] != f[L4PROTO]:
        return f"it has IPv6 extension headers (first: {f[IP6_NEXTHDR]})"
    if (groups & (G_TCP | G_UDP | G_GRE)) == 0:
        return f"protocol {f[L4PROTO]}: a flow table looks at TCP, UDP and GRE"
    if (groups & G_GRE) != 0 and (f[GRE_FLAGS] & 7) != 0:
        return f"GRE of version {f[GRE_FLAGS] & 7}"
    return ""


def refusal(entry: Entry, ctinfo: i64) -> str:
    """Why act_ct does not offer a connection (tcf_ct_flow_table_process_conn, tcf_ct_flow_table_add); nothing if it does."""
    status = entry.status
    established = ctinfo in (ESTABLISHED, ESTABLISHED_REPLY)
    proto = entry.proto
    if (status & OFFLOADED) != 0:
        return "it is in a flow table already"
    if proto == TCP:
        if not established:
            return "no packet of an established connection: TCP is offered when the handshake is complete"
        if (status & ASSURED) == 0:
            return "not ASSURED yet: the handshake is not complete"
        if entry.state != TCP_ESTABLISHED:
            return "TCP, but not in state ESTABLISHED"
    elif proto == UDP:
        if (status & CONFIRMED) == 0:
            return "the connection is not confirmed: no rule committed it"
    elif proto == GRE:
        if not established or (status & ASSURED) == 0:
            return "GRE is offered when it is established and ASSURED"
        if (status & NAT_MASK) != 0:
            return "GRE with address translation"
        if entry.ports != 0:
            return "GRE with a key: only version 0 without key is offered"
    else:
        return "act_ct offloads TCP, UDP and GRE only"
    if entry.helper != "":
        return "a helper looks into the connection"
    if (status & SEQ_ADJUST) != 0:
        return "its sequence numbers are adjusted"
    return ""
