"""nft's flow tables in software (net/netfilter/nf_flow_table_core.c, nf_flow_table_ip.c, nft_flow_offload.c).

::

    add      a rule offers a connection: both of its ways are known from now on
    lookup   a packet at ingress: a whole TCP, UDP or plain GRE packet of a flow, no options, a TTL to spare, below the MTU
             -- FIN or RST, or the route changed --> teardown: conntrack has the connection back
    collect  once a second: what waited too long, and dying connections, go

A way is found by the tuple that conntrack has for it and the device that its packets come in by.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.conntrack.entry import CONFIRMED, DST_NAT, DYING, NAT_CLASH, NAT_MASK, OFFLOADED, SEEN_REPLY, SEQ_ADJUST, Entry, Tuple
from tcemu.conntrack.living import DAY
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.tuples import GRE, TCP, UDP, hash_of, l3_length
from tcemu.fields import (
    DPORT,
    G_IP4,
    G_TCP,
    G_UDP,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_IHL,
    IP_SADDR,
    L4PROTO,
    SPORT,
    TCP_FLAGS,
)
from tcemu.offload.flows import eligible, why_slow
from tcemu.offload.watch import BY_CONNTRACK, BY_DEVICE, BY_END, BY_ROUTE, BY_TABLE, BY_TIME, Watch
from tcemu.packet.packet import Packet

TCP_ESTABLISHED: Final = 3  # enum tcp_conntrack
BE_LIBERAL: Final = 0x08  # IP_CT_TCP_FLAG_BE_LIBERAL
FIN_OR_RST: Final = 0x05
DEFAULT_TIMEOUT: Final = 30 * SECOND  # NF_FLOW_TIMEOUT
NUMBERS: Final = 1 << 20  # flow tables of nft have numbers from here on, those of tc ct have zone + 1


class Path:
    """One way of a flow: where its packets come in, where they go out, to whom, and how large they may be."""

    def __init__(self) -> None:
        self.iif: i64 = 0
        self.vlan: i64 = 0  # TPID << 16 | id of the tag that its packets have there, taken off on the fast path; 0 for none
        self.oif: i64 = 0
        self.via_high: i64 = 0
        self.via: i64 = 0
        self.has_via: bool = False
        self.mtu: i64 = 1500


class Flow:
    """A connection in a flow table."""

    def __init__(self, entry: Entry, there: Path, back: Path) -> None:
        self.entry: Entry = entry
        self.there: Path = there  # of the original direction
        self.back: Path = back
        self.expires: i64 = 0
        self.generation: i64 = 0  # of the routes that it was made with
        self.torn: bool = False


class FlowTable:
    """A flow table. ``found`` and ``reply`` are what the last lookup found, and for which way."""

    def __init__(self, key: str, number: i64, now: i64) -> None:
        self.key: str = key
        self.number: i64 = NUMBERS + number
        self.counts: bool = False
        self.first_form: bool = False  # the table of the 2017 patch set, see `refuses_first`
        self.hardware: bool = False  # flags offload: its flows go to a backend that is hardware too
        self.watch: Watch | None = None
        self.bytes: i64 = 0
        self.devices: set[int] = set()
        self.tcp_timeout: i64 = DEFAULT_TIMEOUT
        self.udp_timeout: i64 = DEFAULT_TIMEOUT
        self.flows: list[Flow] = []
        self.places: dict[int, list[Flow]] = {}
        self.started: i64 = now
        self.collected: i64 = now
        self.reply: bool = False
        self.tuple: Tuple = Tuple()
        self.hits: i64 = 0

    def take_over(self, old: FlowTable) -> None:
        """Go on with the flows of the same table before other rules changed."""
        self.number, self.flows, self.places = old.number, old.flows, old.places
        self.started, self.collected, self.hits, self.bytes = old.started, old.collected, old.hits, old.bytes

    # ------------------------------------------------------------ packets

    def lookup(self, p: Packet, iif: i64, vlan: i64) -> Flow | None:
        """nf_flow_tuple_ip, nf_flow_tuple_encap and flow_offload_lookup: the flow whose packet this is."""
        if len(self.flows) == 0 or not self.read(p):
            return None
        four = (p.groups & G_IP4) != 0
        family: i64 = 4 if four else 6
        proto = p.f[L4PROTO]
        found = self.places.get(place_of(self.tuple, family, proto, iif))
        if found is None:
            return None
        for flow in found:
            entry = flow.entry
            if flow.torn or entry.proto != proto or entry.family != family or (entry.status & DYING) != 0:
                continue
            if flow.there.iif == iif and flow.there.vlan == vlan and entry.has_orig(self.tuple):
                self.reply = False
                return flow
            if flow.back.iif == iif and flow.back.vlan == vlan and entry.has_reply(self.tuple):
                self.reply = True
                return flow
        return None

    def read(self, p: Packet) -> bool:
        """The packet's tuple, if it may take the fast path at all."""
        if not eligible(p):
            return False
        f = p.f
        t = self.tuple
        if (p.groups & G_IP4) != 0:
            t.src_high = t.dst_high = 0
            t.src = f[IP_SADDR]
            t.dst = f[IP_DADDR]
        else:
            t.src_high = f[IP6_SADDR]
            t.src = f[IP6_SADDR + 1]
            t.dst_high = f[IP6_DADDR]
            t.dst = f[IP6_DADDR + 1]
        t.sport = t.dport = 0
        if (p.groups & (G_TCP | G_UDP)) != 0:
            t.sport = f[SPORT]
            t.dport = f[DPORT]
        return True

    def tell_bypass(self, table: Conntrack, p: Packet, now: i64) -> None:
        """Tell why a packet of an offloaded connection does not find its flow."""
        watch = self.watch
        if watch is None or len(self.flows) == 0:
            return
        entry = table.lookup(p, 0)
        if entry is None or (entry.status & OFFLOADED) == 0 or entry.flow_table != self.number:
            return
        watch.passed(self.key, entry, why_slow(p) or "it came in by another device than the flow's", p, now)

    def passes(self, table: Conntrack, flow: Flow, p: Packet, length: i64, generation: i64, now: i64) -> bool:
        """May this packet of the flow take the fast path? What ends the flow does so here."""
        path = flow.back if self.reply else flow.there
        watch = self.watch
        if length > path.mtu:
            p.reason = "flow table: longer than the MTU of the way out"
            if watch is not None:
                watch.passed(self.key, flow.entry, f"its {length} bytes are longer than the MTU of the way out, {path.mtu}", p, now)
            return False
        if (p.groups & G_TCP) != 0 and (p.f[TCP_FLAGS] & FIN_OR_RST) != 0:
            if watch is not None:
                watch.passed(self.key, flow.entry, BY_END, p, now)
            self.teardown(table, flow, now, BY_END)
            return False
        if flow.generation != generation:
            if watch is not None:
                watch.passed(self.key, flow.entry, BY_ROUTE, p, now)
            self.teardown(table, flow, now, BY_ROUTE)
            return False
        self.refresh(flow, now)
        size = l3_length(p)
        self.hits += 1
        self.bytes += size
        if self.counts and flow.entry.acct:
            table.add(flow.entry, 1 if self.reply else 0, size)
        if watch is not None:
            watch.hit(self.key, flow.entry, self.reply, self.hardware, p, now)
        return True

    # ------------------------------------------------------------ flows

    def refuses(self, entry: Entry, p: Packet) -> str:
        """nft_flow_offload_eval's conditions but for the route; why not, or nothing."""
        if self.first_form:
            why = refuses_first(entry)
            if why != "":
                return why
        f = p.f
        status = entry.status
        if (p.groups & G_IP4) != 0 and f[IP_IHL] > 5:
            return "the packet has IP options"
        if entry.proto == TCP:
            if (p.groups & G_TCP) == 0 or (f[TCP_FLAGS] & FIN_OR_RST) != 0:
                return "the segment ends the connection"
            if entry.state != TCP_ESTABLISHED:
                return "the connection is not established"
        elif entry.proto == GRE:
            if (status & NAT_MASK) != 0 or entry.ports != 0:
                return "GRE with keys or translation"
        elif entry.proto != UDP:
            return "flow tables take TCP, UDP and GRE"
        if entry.helper != "":
            return "a helper looks into the connection"
        if (status & (SEQ_ADJUST | NAT_CLASH)) != 0:
            return "the connection's sequence numbers are moved, or it clashed with another"
        if (status & CONFIRMED) == 0:
            return "the connection is not confirmed yet"
        return "it is in a flow table already" if (status & OFFLOADED) != 0 else ""

    def add(self, entry: Entry, there: Path, back: Path, generation: i64, now: i64) -> Flow:
        """flow_offload_add."""
        flow = Flow(entry, there, back)
        flow.generation = generation
        flow.expires = now + self.timeout(entry)
        entry.status |= OFFLOADED
        entry.flow_table = self.number
        if entry.proto == TCP:
            for side in (entry.orig_side, entry.reply_side):
                if side is not None:
                    side.flags |= BE_LIBERAL
        if entry.expires - now < DAY // 2:
            entry.expires = now + DAY  # nf_ct_offload_timeout
        self.flows.append(flow)
        family: int = entry.family
        proto: int = entry.proto
        self.places.setdefault(place_of(entry.orig, family, proto, there.iif), []).insert(0, flow)
        self.places.setdefault(place_of(entry.reply, family, proto, back.iif), []).insert(0, flow)
        return flow

    def timeout(self, entry: Entry) -> i64:
        """flow_offload_get_timeout."""
        if entry.proto == TCP:
            return self.tcp_timeout
        return self.udp_timeout if entry.proto == UDP else DEFAULT_TIMEOUT

    def refresh(self, flow: Flow, now: i64) -> None:
        """flow_offload_refresh: only when it grows by more than a second."""
        fresh = now + self.timeout(flow.entry)
        if fresh - flow.expires > SECOND:
            flow.expires = fresh

    def teardown(self, table: Conntrack, flow: Flow, now: i64, why: str) -> None:
        """flow_offload_teardown."""
        if self.watch is not None:
            self.watch.torn(self.key, flow.entry, why, now)
        flow.torn = True
        entry = flow.entry
        entry.status &= ~OFFLOADED
        entry.flow_table = 0
        table.unoffload(entry, self.timeout(entry), now)
        self.forget(flow, entry.orig, flow.there.iif)
        self.forget(flow, entry.reply, flow.back.iif)

    def forget(self, flow: Flow, t: Tuple, iif: i64) -> None:
        """Take one way out of the places."""
        entry = flow.entry
        family: int = entry.family
        proto: int = entry.proto
        place: int = place_of(t, family, proto, iif)
        found = self.places.get(place)
        if found is None:
            return
        left = [other for other in found if other is not flow]
        if len(left) > 0:
            self.places[place] = left
        else:
            del self.places[place]

    def collect(self, table: Conntrack, now: i64) -> None:
        """nf_flow_offload_work_gc, at each second since the table was made."""
        tick = self.started + (now - self.started) // SECOND * SECOND
        if tick <= self.collected:
            return
        self.collected = tick
        kept: list[Flow] = []
        for flow in self.flows:
            if not flow.torn and (flow.expires <= tick or (flow.entry.status & DYING) != 0):
                dying = (flow.entry.status & DYING) != 0
                # of the ticks that went by since the last packet, the first behind its expiry was the one
                due = tick if dying else self.started + (flow.expires - self.started + SECOND - 1) // SECOND * SECOND
                self.teardown(table, flow, due, BY_CONNTRACK if dying else BY_TIME)
            if not flow.torn:
                kept.append(flow)
        self.flows = kept

    def clean(self, table: Conntrack, device: i64, now: i64) -> None:
        """nf_flow_table_cleanup: a device went down, or (0) the table goes."""
        for flow in self.flows:
            if not flow.torn and device in (0, flow.there.iif, flow.back.iif):
                self.teardown(table, flow, now, BY_TABLE if device == 0 else BY_DEVICE)
        self.flows = [flow for flow in self.flows if not flow.torn]


def refuses_first(entry: Entry) -> str:
    """What the 2017 patch set adds to the conditions: its cover letter's list of what is missing. Source: the letter, 3 December 2017."""
    if entry.family != 4:
        return "the first patch set knows IPv4 only"
    if (entry.status & SEEN_REPLY) == 0:
        return "no reply yet: the first patch set offloads what has been seen in both directions"
    if (entry.status & DST_NAT) != 0:
        return "the first patch set translates sources only"
    return ""


def place_of(t: Tuple, family: i64, proto: i64, iif: i64) -> i64:
    """A number for a tuple and a device; different ones may share it."""
    return hash_of(t, family, proto, iif & 0xFF)
