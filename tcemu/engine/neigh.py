"""Neighbours: who answers to an address on a wire, asked by ARP and neighbour discovery, and what waits for the answer.

::

    unknown -- ask at once, after 1 s and after 2 s --> answered: what waited goes out
                                                   \\-> 3 s: it is lost, and its senders are told (host unreachable)

Sources: net/core/neighbour.c (neigh_event_send, neigh_timer_handler), net/ipv4/arp.c arp_solicit, arp_process; net/ipv6/ndisc.c
ndisc_solicit, ndisc_recv_ns; include/net/if_inet6.h, RFC 4861. Entries that were learned do not age here. Source of that: assumed.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.packet.packet import Packet

PROBES: Final = 3  # mcast_solicit
MOST_PEERS: Final = 65_536
BURST: Final = 6  # XRLIM_BURST_FACTOR
ROUTE_BURST: Final = 5  # ip_rt_error_burst
QUEUE: Final = 101  # packets that wait at most; unres_qlen_bytes allows about as many


class Pending:
    """An address that was asked for, and the packets that wait, oldest first."""

    def __init__(self, device: i64, family: i64, high: i64, low: i64, now: i64) -> None:
        self.device: i64 = device
        self.family: i64 = family
        self.high: i64 = high
        self.low: i64 = low
        self.probes: i64 = 1
        self.due: i64 = now + SECOND
        self.waiting: list[Packet] = []

    def hold(self, p: Packet) -> Packet | None:
        """Let a packet wait; the oldest, if there are too many."""
        self.waiting.append(p)
        if len(self.waiting) > QUEUE:
            return self.waiting.pop(0)
        return None


class Neighbours:
    """All that is pending."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.next_due: i64 = 1 << 62

    def find(self, device: i64, family: i64, high: i64, low: i64) -> Pending | None:
        """The pending entry of an address."""
        for one in self.pending:
            if one.low == low and one.device == device and one.high == high and one.family == family:
                return one
        return None

    def ask(self, device: i64, family: i64, high: i64, low: i64, now: i64) -> Pending:
        """A new pending entry."""
        made = Pending(device, family, high, low, now)
        self.pending.append(made)
        self.next_due = min(self.next_due, made.due)
        return made

    def take(self, one: Pending) -> None:
        """It is answered, or given up."""
        self.pending = [other for other in self.pending if other is not one]
        self.reckon()

    def due(self, now: i64) -> Pending | None:
        """The entry whose timer ran out first, up to now."""
        first: Pending | None = None
        for one in self.pending:
            if one.due <= now and (first is None or one.due < first.due):
                first = one
        return first

    def reckon(self) -> None:
        """Find the next timer."""
        self.next_due = 1 << 62
        for one in self.pending:
            self.next_due = min(self.next_due, one.due)


class Peers:
    """Who was sent how many errors lately (net/ipv4/inetpeer.c): a bucket of time for each address, in ns."""

    def __init__(self) -> None:
        self.tokens: dict[int, int] = {}
        self.last: dict[int, int] = {}

    def gained(self, address: i64, now: i64) -> i64:
        """What is in the bucket; a new one is as full as may be."""
        if len(self.last) > MOST_PEERS:
            self.tokens.clear()
            self.last.clear()
        last: i64 = self.last.get(address, now - 60 * SECOND)
        self.last[address] = now
        tokens: i64 = self.tokens.get(address, 0)
        return tokens + now - last

    def allow(self, address: i64, now: i64, timeout: i64) -> bool:
        """inet_peer_xrlim_allow: one error each ``timeout`` ns, six in a burst."""
        tokens = min(self.gained(address, now), BURST * timeout)
        allowed = tokens >= timeout
        self.tokens[address] = tokens - timeout if allowed else tokens
        return allowed

    def spend(self, address: i64, now: i64) -> bool:
        """ip_error: one error a second about packets that no route leads, five in a burst."""
        tokens = min(self.gained(address, now), ROUTE_BURST * SECOND)
        allowed = tokens >= SECOND
        self.tokens[address] = tokens - SECOND if allowed else tokens
        return allowed
