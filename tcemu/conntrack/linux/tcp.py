"""TCP: what becomes of a segment (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1).

::

    packet   nearly all segments, in one stretch; else
             begin         the first segment of a connection
             tcp_states    the table; a cell of it
             tcp_turns     some cells get a second look
             tcp_window    the window
             settle        state and timeout
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY, SEQ_ADJUST, Entry, Side
from tcemu.conntrack.linux import FINISHED, IGNORED, INVALID
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.linux.tcp_options import read_options, read_sack
from tcemu.conntrack.linux.tcp_states import (
    ACK,
    CL,
    ES,
    FW,
    IG,
    IV,
    LA,
    NO,
    NONE,
    RST,
    S2,
    SR,
    SS,
    STATES,
    SYN,
    TH_ACK,
    TH_JUDGED,
    TH_RST,
    TW,
    VALID_FLAGS,
    index_of,
)
from tcemu.conntrack.linux.tcp_turns import is_challenge, note, out_of_turn, reset, shrink
from tcemu.conntrack.linux.tcp_window import (
    ACCEPTED,
    BE_LIBERAL,
    CLOSE_INIT,
    HALF,
    M32,
    MAX_ACK_SET,
    MAX_ACK_WINDOW,
    SACK_PERM,
    SIMULTANEOUS_OPEN,
    UNACKED,
    in_window,
)
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.timeouts import TCP_RETRANS, TCP_UNACK
from tcemu.fields import G_TCP, TCP_ACK, TCP_DOFF, TCP_FLAGS, TCP_SEQ, TCP_WINDOW
from tcemu.packet.packet import Packet


def packet(s: Settings, ct: Entry, p: Packet, way: i64, length: i64, verify: bool, now: i64) -> i64:
    """nf_conntrack_tcp_packet: judge one segment.

    Nearly all segments are done with here, in one stretch: a call costs CPython as much as ten of these lines.

    way: 0 original, 1 reply. length: bytes from the network header on. verify: look at the checksum. The answer is a
    timeout or a code of `tcemu.conntrack.linux`; what was wrong stands in ``p.reason``.
    """
    f = p.f
    size = length - (p.l4 - p.l3)
    doff = f[TCP_DOFF] * 4
    if (p.groups & G_TCP) == 0 or doff < 20 or size < doff:
        p.reason = f"tcp: truncated packet (header of {doff} bytes in {size})"
        return INVALID
    if verify and not is_intact(p):
        p.reason = "tcp: bad checksum"
        return INVALID
    flags = f[TCP_FLAGS] & 0xFF
    a = ct.orig_side
    b = ct.reply_side
    if (
        (flags & TH_JUDGED) == TH_ACK
        and ct.state == ES
        and (ct.status & (CONFIRMED | SEQ_ADJUST)) == CONFIRMED
        and a is not None
        and b is not None
    ):
        # An acknowledgement, perhaps with data, on an established connection and inside its window. This is what `in_window`, `learn`,
        # `recall` and `settle` would do; until all four inequalities hold, nothing is written.
        sender = a
        receiver = b
        if way != 0:
            sender = b
            receiver = a
        seq = f[TCP_SEQ]
        ack = f[TCP_ACK]
        sack = ack
        if doff > 20 and (receiver.flags & SACK_PERM) != 0:
            sack = read_sack(p, ack)
        end = (seq + size - doff) & M32
        mine = sender.max_window
        theirs = receiver.max_window
        sent = sender.end
        known = receiver.end
        reach = mine
        if reach < MAX_ACK_WINDOW:
            reach = MAX_ACK_WINDOW
        if (
            mine != 0
            and (seq - sender.max_end - 1) & HALF
            and (sack - known - 1) & HALF
            and (theirs == 0 or (sent - theirs - 1 - end) & HALF)
            and (known - reach - 1 - sack) & HALF
        ):
            raw = f[TCP_WINDOW]
            scale: int = sender.scale
            window = raw << scale
            reach = (window + sack - ack) & M32
            if reach > mine:
                sender.max_window = reach
            if (sent - end) & HALF:
                sender.end = end
                sender.flags |= UNACKED
            if (sender.flags & MAX_ACK_SET) == 0:
                sender.max_ack = ack
                sender.flags |= MAX_ACK_SET
            elif (sender.max_ack - ack) & HALF:
                sender.max_ack = ack
            if theirs != 0 and (sender.max_end - end) & HALF:
                receiver.max_window = (theirs + end - sender.max_end) & M32
            edge = (sack + window) & M32
            if (receiver.max_end - 1 - edge) & HALF:
                if window == 0:
                    edge = (edge + 1) & M32
                receiver.max_end = edge
            if ack == known and (receiver.flags & UNACKED) != 0:
                receiver.flags &= ~UNACKED
            segment = seq << 32 | ack
            end = end << 16 | raw
            retrans: int = 0
            if ct.last_segment == segment and ct.last_reach == end and ct.last_dir == way:
                retrans = (ct.retrans + 1) & 0xFF
            else:
                side: int = way
                ct.last_dir = side
                ct.last_segment = segment
                ct.last_reach = end
            ct.retrans = retrans
            ct.last_index = ACK
            timeouts = s.timeouts.tcp
            if ct.extra is not None:
                policy = ct.policy
                if policy is not None:
                    timeouts = policy.tcp
            timeout = timeouts[ES]
            if retrans >= s.tcp_max_retrans and timeout > timeouts[TCP_RETRANS]:
                timeout = timeouts[TCP_RETRANS]
            elif ((a.flags | b.flags) & UNACKED) != 0 and timeout > timeouts[TCP_UNACK]:
                timeout = timeouts[TCP_UNACK]
            elif raw == 0 and timeout > timeouts[TCP_RETRANS]:
                timeout = timeouts[TCP_RETRANS]
            status = ct.status
            if (status & SEEN_REPLY) == 0:
                if timeout > timeouts[TCP_UNACK]:
                    timeout = timeouts[TCP_UNACK]
            elif (status & ASSURED) == 0:
                ct.status = status | ASSURED
            return timeout
    if (VALID_FLAGS >> (flags & TH_JUDGED)) & 1 == 0:
        p.reason = f"tcp: invalid tcp flag combination 0x{int(flags):02x}"
        return INVALID
    end = (f[TCP_SEQ] + size - doff + ((flags >> 1) & 1) + (flags & 1)) & M32
    if (ct.status & CONFIRMED) == 0 and not begin(s, ct, p, flags, end):
        return INVALID
    return judge(s, ct, p, way, flags, end, now)


def judge(s: Settings, ct: Entry, p: Packet, way: i64, flags: i64, end: i64, now: i64) -> i64:
    """The table, second looks, the window, the end of it."""
    index = index_of(flags)
    old = ct.state
    new = STATES[(way * 6 + index) * 10 + old]
    if new != ES or old != ES:  # by far the commonest cell, and none that gets a second look
        if new in (IG, IV) or (new == SS and old >= TW):
            verdict = out_of_turn(ct, p, way, index, old, new, flags, end)
            if verdict != 0:
                return verdict
            old = SS  # a SYN+ACK that brings us back into step
            new = SR
        if new == TW and old == LA and index == ACK and is_challenge(ct, p, way):
            return IGNORED
        if new == S2:
            ct.last_flags |= SIMULTANEOUS_OPEN
        elif new == SR and way == 1 and index == ACK and (ct.last_flags & SIMULTANEOUS_OPEN) != 0:
            new = ES
        if new == CL and index == RST:
            new = reset(s, ct, p, way, old)
            if new < 0:
                return INVALID
            if new >= 16:  # the window is not looked at
                return settle(s, ct, p, way, index, flags, old, new - 16)
    verdict = in_window(s, ct, p, way, index, flags, end)
    if verdict != ACCEPTED:
        if verdict == INVALID:
            shrink(s, ct, p, way, index, now)
        return verdict
    return settle(s, ct, p, way, index, flags, old, new)


def begin(s: Settings, ct: Entry, p: Packet, flags: i64, end: i64) -> bool:
    """tcp_new: the first segment of a connection; False when none begins with it."""
    new = STATES[index_of(flags) * 10 + NO]
    if new >= IV:
        p.reason = f"tcp: no connection begins with flags 0x{int(flags):02x}"
        return False
    if new != SS and s.tcp_loose == 0:
        p.reason = "tcp: not picked up in the middle (nf_conntrack_tcp_loose is 0)"
        return False
    ct.state = NO
    ct.retrans = 0
    ct.last_segment = ct.last_reach = 0
    ct.last_dir = ct.last_wscale = ct.last_flags = 0
    ct.last_index = NONE
    side = Side()
    ct.orig_side = side
    ct.reply_side = other = Side()
    window = p.f[TCP_WINDOW]
    side.end = end
    side.max_window = window if window != 0 else 1
    if new == SS:
        side.max_end = end
        read_options(p, side)
    else:
        # its history is lost: believe it, and leave room for a scale that we have not seen
        side.max_end = (end + side.max_window) & M32
        side.flags = SACK_PERM | BE_LIBERAL
        other.flags = SACK_PERM | BE_LIBERAL
    return True


def settle(s: Settings, ct: Entry, p: Packet, way: i64, index: i64, flags: i64, old: i64, new: i64) -> i64:
    """The segment is good: take over the state and say for how long the connection is remembered."""
    note(ct, way, index)
    ct.state = new
    a = ct.orig_side
    b = ct.reply_side
    if a is None or b is None:
        return INVALID
    if old != new and new == FW:
        (b if way != 0 else a).flags |= CLOSE_INIT
    timeouts = s.timeouts.tcp
    if ct.extra is not None:
        policy = ct.policy
        if policy is not None:
            timeouts = policy.tcp
    timeout = timeouts[new]
    retrans: int = ct.retrans
    if retrans >= s.tcp_max_retrans and timeout > timeouts[TCP_RETRANS]:
        timeout = timeouts[TCP_RETRANS]
    elif index == RST:
        timeout = timeouts[CL]
    elif ((a.flags | b.flags) & UNACKED) != 0 and timeout > timeouts[TCP_UNACK]:
        timeout = timeouts[TCP_UNACK]
    elif ct.last_win == 0 and timeout > timeouts[TCP_RETRANS]:
        timeout = timeouts[TCP_RETRANS]
    if (ct.status & SEEN_REPLY) == 0:
        if (flags & TH_RST) != 0:
            return FINISHED  # nothing but a RST came back: no connection was made
        if index == SYN and old == SS:
            p.reason = f"tcp: SYN once more ({p.f[TCP_SEQ]}), which does not prolong the connection"
            return IGNORED  # a SYN once more does not prolong, or reuse of the port would keep it for ever
        if new == ES and timeout > timeouts[TCP_UNACK]:
            timeout = timeouts[TCP_UNACK]  # picked up in the middle and not answered yet
    elif (ct.status & ASSURED) == 0 and (old in (SR, ES)) and new == ES:
        ct.status |= ASSURED
    return timeout
