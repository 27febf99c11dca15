"""Reassembly before conntrack: fragments are held until the packet is whole, one set of queues per user.

::

    add    fragment -> its queue -> last one missing? held (1), bad (-1), or all there: the packet holds the whole (0)
    expire queues that have waited too long

A user is a zone of tc ct, or -1 for the netfilter hooks. Sources, Linux 6.1: net/ipv4/ip_fragment.c, net/ipv4/inet_fragment.c
(inet_frag_queue_insert), net/ipv6/netfilter/nf_conntrack_reasm.c, net/ipv4/netfilter/nf_defrag_ipv4.c, net/sched/act_ct.c
(tcf_ct_handle_fragments).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from tcemu.conntrack.pieces import BAD_ECN, DUPLICATE, FIRST_IN, FITS, OVERLAP, Piece, Queue, ecn_of
from tcemu.conntrack.settings import Settings
from tcemu.fields import (
    G_FRAG,
    G_IP4,
    G_IP6,
    IP6_DADDR,
    IP6_PLEN,
    IP6_SADDR,
    IP_DADDR,
    IP_FRAG,
    IP_ID,
    IP_IHL,
    IP_LEN,
    IP_SADDR,
    IP_TOS,
    L4PROTO,
    NETPROTO,
)
from tcemu.packet.edit import replace
from tcemu.packet.network import skip_extensions
from tcemu.packet.packet import UNTRACKED, Packet
from tcemu.packet.protocols import (
    ETH_P_IP,
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMPV6,
    IPPROTO_ROUTING,
    IPPROTO_TCP,
    IPPROTO_UDP,
)
from tcemu.packet.rewrite import fragment_header, reassembled4, reassembled6
from tcemu.packet.tags import net_offset

WHOLE: Final = 0
HELD: Final = 1
BAD: Final = -1

DF: Final = 0x4000
MF: Final = 0x2000
OFFSET: Final = 0x1FFF
MF6: Final = 1
MAX_LENGTH: Final = 65_535
MAX_PEERS: Final = 65_536
OVERHEAD: Final = 768  # bytes that the kernel spends on a held fragment besides its data. Source: assumed

Key = tuple[int, int, int, int, int, int, int, int]


class Defrag:
    """All queues of all users. Times are nanoseconds, lengths bytes."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings: Settings = Settings() if settings is None else settings
        self.queues: dict[Key, Queue] = {}
        self.memory4: i64 = 0
        self.memory6: i64 = 0
        self.next_expiry: i64 = 0
        self.peers: dict[int, int] = {}  # fragments seen per IPv4 source (struct inet_peer's rid)

    def add(self, p: Packet, user: i64) -> i64:
        """WHOLE: the packet is no fragment, or it is whole now (``p.mru`` is then its largest fragment's size). HELD or BAD: it is gone.

        A packet that has been tracked already, or shall not be, passes as it is.
        """
        groups = p.groups
        if p.ct is not None or p.ctinfo == UNTRACKED:
            return WHOLE
        if (groups & G_FRAG) == 0:
            if (groups & G_IP6) != 0 and user >= 0 and (p.l4 < 0 or is_cut_ah(p)):
                p.reason = p.broken or "the chain of IPv6 headers is broken"
                return BAD  # tcf_ct_ipv6_is_fragment: -EPROTO
            return WHOLE
        if (groups & G_IP6) != 0 and user >= 0 and is_veiled(p):
            p.reason = "fragment: behind its header stands another of IPv6"
            return BAD
        if len(self.queues) > 0 and p.ts >= self.next_expiry:
            self.expire(p.ts)
        return self.add4(p, user) if (groups & G_IP4) != 0 else self.add6(p, user)

    def expire(self, now: i64) -> None:
        """Forget what has waited too long; the kernel tells nobody when it was for conntrack."""
        if len(self.queues) == 0 or now < self.next_expiry:
            return
        self.next_expiry = now + self.settings.frag6_time + self.settings.frag4_time
        old: list[Key] = []
        for key, queue in self.queues.items():
            if queue.expires <= now:
                old.append(key)
            elif queue.expires < self.next_expiry:
                self.next_expiry = queue.expires
        for key in old:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """inet_frag_kill."""
        queue = self.queues.pop(key, None)
        if queue is None:
            return
        if queue.family == 4:
            self.memory4 -= queue.memory
        else:
            self.memory6 -= queue.memory

    def queue_of(self, key: Key, family: i64, now: i64) -> Queue | None:
        """ip_find, fq_find: the queue, a new one if need be; None when there is no memory for another."""
        queue = self.queues.get(key)
        if queue is not None:
            return queue
        s = self.settings
        used, limit = (self.memory4, s.frag4_high) if family == 4 else (self.memory6, s.frag6_high)
        if limit == 0 or used > limit:
            return None
        expires = now + (s.frag4_time if family == 4 else s.frag6_time)
        queue = Queue(family, expires)
        if len(self.queues) == 0 or expires < self.next_expiry:
            self.next_expiry = expires
        self.queues[key] = queue
        return queue

    # ------------------------------------------------------------------ IPv4

    def add4(self, p: Packet, user: i64) -> i64:
        """ip_defrag, ip_frag_queue."""
        f = p.f
        key: Key = (4, user, 0, f[IP_SADDR], 0, f[IP_DADDR], f[IP_ID], f[L4PROTO])
        queue = self.queue_of(key, 4, p.ts)
        if queue is None:
            p.reason = (
                f"fragment: no memory for another packet ({self.memory4} bytes are held, ipfrag_high_thresh is {self.settings.frag4_high})"
            )
            return BAD
        if self.is_too_far(queue, f[IP_SADDR]):
            self.forget(key)
            queue = self.queue_of(key, 4, p.ts)
            if queue is None:
                self.hold(p, "the source has sent too many other fragments meanwhile")
                return BAD
        field = f[IP_FRAG]
        ihl = f[IP_IHL] * 4
        offset = (field & OFFSET) * 8
        at = p.l3 + ihl
        end = offset + self.payload_end(p, user) - at
        if (field & MF) == 0:
            if not queue.ends_at(end):
                return self.give_up(p, key, f"another end was seen ({queue.length}, and now {end})")
        else:
            end &= ~7
            if not queue.reaches(end):
                return self.give_up(p, key, f"it reaches past the end ({end} of {queue.length} bytes)")
        if end <= offset:
            return self.give_up(p, key, f"it is empty (offset {offset}, end {end})")
        size = end - offset
        placed = queue.insert(Piece(offset, size, slice_of(p, at, size)))
        if placed == DUPLICATE:
            p.reason = f"fragment: bytes {offset} to {end} were seen before"
            return BAD
        if placed == OVERLAP:
            return self.give_up(p, key, f"bytes {offset} to {end} overlap another")
        queue.ecn |= 1 << (f[IP_TOS] & 3)
        self.account(queue, size)
        if offset == 0:
            queue.flags |= FIRST_IN
            queue.first = p.data[p.start : at]
            queue.l3 = p.l3 - p.start
        queue.max_size = max(queue.max_size, size + ihl)
        if (field & DF) != 0 and size + ihl > queue.max_df:
            queue.max_df = size + ihl
        if not queue.is_whole():
            p.reason = f"fragment: held until the packet is whole ({queue.meat} bytes are there)"
            return HELD
        self.forget(key)
        ecn = ecn_of(queue.ecn)
        if ecn == BAD_ECN:
            self.hold(p, "the ECN fields contradict each other")
            return BAD
        frame = reassembled4(queue.first, queue.l3, queue.payload(), queue.max_df == queue.max_size, ecn)
        return self.become(p, queue, frame, max(queue.max_df, queue.max_size))

    def is_too_far(self, queue: Queue, source: i64) -> bool:
        """ip_frag_too_far: so many fragments of the source's other packets came between that the number may be in use again."""
        distance = self.settings.frag4_distance
        if distance == 0:
            return False
        if len(self.peers) > MAX_PEERS:
            self.peers.clear()
        count = self.peers.get(source, 0) + 1
        self.peers[source] = count
        before = queue.peer_count
        queue.peer_count = count
        return len(queue.pieces) > 0 and count - before > distance

    def payload_end(self, p: Packet, user: i64) -> i64:
        """Where the fragment's data ends: tc ct reassembles before it trims, so there padding behind the packet counts."""
        whole = p.wire - (p.end - p.start)  # bytes that the capture left out
        if user >= 0:
            return p.end + whole
        return p.l3_end if whole <= 0 else min(p.l3 + p.f[IP_LEN], p.end + whole)

    # ------------------------------------------------------------------ IPv6

    def add6(self, p: Packet, user: i64) -> i64:
        """nf_ct_frag6_gather, nf_ct_frag6_queue. What is wrong with a fragment drops it; with the whole packet, it counts as held."""
        place = fragment_header(p)
        if place < 0:
            return WHOLE
        if is_thin(p, place >> 16):
            p.reason = "fragment: the first one does not hold all headers; it passes as it is"
            return WHOLE
        f = p.f
        at = place >> 16
        data = p.data
        key = key_of6(p, user, at)
        queue = self.queue_of(key, 6, p.ts)
        if queue is None:
            p.reason = f"fragment: no memory for another packet ({self.memory6} bytes are held, nf_conntrack_frag6_high_thresh is {self.settings.frag6_high})"
            return BAD
        field = i64(read_i16_be(data, at + 2)) & 0xFFFF
        offset = field & ~7
        size = f[IP6_PLEN] - (at + 8 - p.l3 - 40)
        end = offset + size
        if end > MAX_LENGTH or size < 0:
            return self.lose(p, f"it reaches past 65535 bytes ({end})")
        if (field & MF6) == 0:
            if not queue.ends_at(end):
                return self.lose(p, f"another end was seen ({queue.length}, and now {end})")
        else:
            if (end & 7) != 0:
                self.forget(key)
                p.reason = f"fragment: its length {size} is no multiple of eight; the packet passes as it is"
                return WHOLE  # -EPROTO
            if not queue.reaches(end):
                return self.lose(p, f"it reaches past the end ({end} of {queue.length} bytes)")
        if size == 0:
            return self.lose(p, f"it is empty (offset {offset}, end {end})")
        if at + 8 + size > p.end + max(p.wire - (p.end - p.start), 0):
            return self.hold(p, f"it is cut (offset {offset}, end {end})")
        placed = queue.insert(Piece(offset, size, slice_of(p, at + 8, size)))
        if placed != FITS:
            if placed == OVERLAP:
                self.forget(key)
                return self.lose(p, f"bytes {offset} to {end} overlap another")
            return self.hold(p, f"bytes {offset} to {end} were seen before")
        queue.ecn |= 1 << (f[IP_TOS] & 3)
        self.account(queue, size)
        queue.max_size = max(queue.max_size, f[IP6_PLEN])
        if offset == 0:
            queue.flags |= FIRST_IN
            queue.first = data[p.start : at + 8]
            queue.l3 = p.l3 - p.start
            queue.place = (at - p.start) << 16 | (place & 0xFFFF)
        if not queue.is_whole():
            p.reason = f"fragment: held until the packet is whole ({queue.meat} bytes are there)"
            return HELD
        self.forget(key)
        ecn = ecn_of(queue.ecn)
        if ecn == BAD_ECN:
            return self.hold(p, "the ECN fields contradict each other")
        frame = reassembled6(queue.first, queue.l3, queue.place, queue.payload(), ecn)
        return self.become(p, queue, frame, 40 + queue.max_size)

    # ------------------------------------------------------------------ ends

    def account(self, queue: Queue, size: i64) -> None:
        """Count the memory of a held fragment."""
        queue.memory += size + OVERHEAD
        if queue.family == 4:
            self.memory4 += size + OVERHEAD
        else:
            self.memory6 += size + OVERHEAD

    def give_up(self, p: Packet, key: Key, why: str) -> i64:
        """The whole packet is lost (discard_qp)."""
        self.forget(key)
        p.reason = f"fragment: {why}; the packet is given up"
        return BAD

    def lose(self, p: Packet, why: str) -> i64:
        """The fragment is dropped; what is held stays."""
        p.reason = f"fragment: {why}"
        return BAD

    def hold(self, p: Packet, why: str) -> i64:
        """The fragment is lost without a word."""
        p.reason = f"fragment: {why}"
        return HELD

    def become(self, p: Packet, queue: Queue, frame: bytes, mru: i64) -> i64:
        """The last fragment becomes the whole packet. What the capture has not kept of it is missing at its end."""
        if len(frame) == 0:
            p.reason = "fragment: the whole packet would be longer than 65535 bytes"
            return BAD if queue.family == 4 else HELD
        missing = queue.missing()
        size: i64 = len(frame)
        p.wire = missing + p.end - p.start  # `replace` goes by the difference of lengths
        replace(p, frame[: size - missing] if missing > 0 else frame)
        p.mru = mru
        p.pieces = queue.sizes()
        return WHOLE


def key_of6(p: Packet, user: i64, at: i64) -> Key:
    """What the fragments of one IPv6 packet have in common; ``at``: where the fragment header is."""
    f = p.f
    number = i64(read_i32_be(p.data, at + 4)) & 0xFFFFFFFF
    return (6, user, f[IP6_SADDR], f[IP6_SADDR + 1], f[IP6_DADDR], f[IP6_DADDR + 1], number, 0)


def slice_of(p: Packet, at: i64, size: i64) -> bytes:
    """Data of the packet, as far as the capture has it."""
    end = min(at + size, p.end)
    return p.data[at:end]


def is_cut_ah(p: Packet) -> bool:
    """An authentication header that says it is longer than the packet (recorded: tc ct drops it, as it does with other extension headers)."""
    at = p.l4
    return p.f[L4PROTO] == IPPROTO_AH and (p.l3_end - at < 2 or at + (p.data[at + 1] + 2) * 4 > p.l3_end)


def is_veiled(p: Packet) -> bool:
    """tcf_ct_ipv6_is_fragment by way of ipv6_find_hdr, which finds no transport protocol: a later fragment of extension headers, or a cut chain."""
    place = fragment_header(p)
    if place < 0:
        return False
    at = place >> 16
    if (i64(read_i16_be(p.data, at + 2)) & 0xFFF8) == 0:
        return p.l4 < 0
    return p.data[at] in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_DSTOPTS)


def is_thin(p: Packet, at: i64) -> bool:
    """ipv6frag_thdr_truncated: a first fragment whose transport header is not all there (RFC 8200, 4.5); ``at`` is its fragment header."""
    found = skip_extensions(p.data, at, p.end, IPPROTO_FRAGMENT)
    if found < 0:
        return False
    proto: i64 = found & 0xFF
    size: i64 = 20 if proto == IPPROTO_TCP else 8 if proto in (IPPROTO_UDP, IPPROTO_ICMPV6) else 1
    return (found >> 8) + size > p.end + max(p.wire - (p.end - p.start), 0)


def is_odd_fragment(p: Packet) -> bool:
    """A header whose length field is too small for a header: ip_defrag does not look at that, and keeps what says it is a fragment."""
    at = net_offset(p)
    if p.f[NETPROTO] != ETH_P_IP or (p.data[at + 6] & 0x3F == 0 and p.data[at + 7] == 0):
        return False
    p.reason = "fragment: its header is broken; it is held, and never whole"
    return True
