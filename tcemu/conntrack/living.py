"""The connections that there are: how they come into the table, how long they stay, how they go (net/netfilter/nf_conntrack_core.c, Linux 6.1).

The base of `tcemu.conntrack.table.Conntrack`. Times are nanoseconds.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, DYING, FIXED_TIMEOUT, NAT_CLASH, OFFLOADED, SEEN_REPLY, SRC_NAT_DONE, Entry, Tuple
from tcemu.conntrack.expect import Expectations
from tcemu.conntrack.hashing import Buckets
from tcemu.conntrack.linux import dccp, sctp, tcp_states
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.sources import Sources
from tcemu.conntrack.stats import EVENT_DESTROY, EVENT_NEW, Stats, Watcher
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import DCCP, GRE, SCTP, TCP, UDP
from tcemu.conntrack.wheel import Wheel

DAY: Final = 86_400 * SECOND
LOOKED_AT: Final = 256  # connections whose time may be over, a packet
EVICTION_RANGE: Final = 64  # slots that are searched for a victim: 8 lines, as NF_CT_EVICTION_RANGE is 8 chains


class Living:
    """Who is in the table."""

    def __init__(self, settings: Settings) -> None:
        self.settings: Settings = settings
        self.buckets: Buckets = Buckets()
        self.wheel: Wheel = Wheel()
        self.expectations: Expectations = Expectations()
        self.stats: Stats = Stats()
        self.expectations.stats = self.stats
        self.sources: Sources = Sources()  # for NAT
        self.watcher: Watcher | None = None
        # GRE of version 1 names only the receiver's call: family, addresses (halves) and that call -> the sender's (nf_ct_gre_keymap)
        self.keys: dict[tuple[int, int, int, int, int, int], int] = {}
        self.count: i64 = 0  # confirmed entries
        self.serial: i64 = 0  # the last id that was given
        self.found_reply: bool = False  # the last tuple that was found was a reply tuple
        self.key: Tuple = Tuple()  # of the packet in hand
        self.key_hash: i64 = 0

    # ------------------------------------------------------------------ coming

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

    def note_keys(self, entry: Entry) -> None:
        """A tunnel that a session kept: its calls are known."""
        for t in (entry.orig, entry.reply):
            if t.dport != 0:
                self.keys[(int(entry.family), t.src_high, t.src, t.dst_high, t.dst, t.dport)] = t.sport

    # ------------------------------------------------------------------ staying

    def entries(self, now: i64 = -1) -> list[Entry]:
        """All connections in the order in which they began, without those that have expired by ``now`` (-1: with them).

        What a clash put in under one tuple alone stays hidden, as in the kernel's listings.
        """
        return [entry for entry in self.buckets.all() if (entry.status & NAT_CLASH) == 0 and not (now >= 0 and self.is_over(entry, now))]

    def is_over(self, entry: Entry, now: i64) -> bool:
        """nf_ct_is_expired; the flow table keeps the time of what is offloaded."""
        return entry.expires <= now and (entry.status & OFFLOADED) == 0

    def set_timeout(self, entry: Entry, ns: i64, now: i64) -> None:
        """Give the connection that long from now on (while it is not confirmed: from its confirmation on)."""
        entry.expires = ns + now if (entry.status & CONFIRMED) != 0 else ns

    def set_closing(self, entry: Entry, now: i64) -> None:
        """nf_conntrack_tcp_set_closing: a rule answers the TCP connection by a reset, so it is over."""
        before = entry.state
        entry.state = tcp_states.CL
        if before == tcp_states.CL or (entry.status & FIXED_TIMEOUT) != 0:
            return
        policy = entry.policy
        timeouts = policy.tcp if policy is not None else self.settings.timeouts.tcp
        self.set_timeout(entry, timeouts[tcp_states.CL], now)

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

    # ------------------------------------------------------------------ going

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
        return tcp_states.FW <= state <= tcp_states.CL
    if entry.proto == SCTP:
        return sctp.SS <= state <= sctp.SA
    return entry.proto == DCCP and dccp.CR <= state <= dccp.TW
