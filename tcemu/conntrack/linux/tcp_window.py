"""TCP's window check (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1, tcp_in_window).

After "Real Stateful TCP Packet Filtering in IP Filter" (G. van Rooij, 2000), with limits kept per side (`tcemu.conntrack.entry.Side`)::

    I    seq <= sender.max_end                              else over the receiver's window
    II   seq + length >= sender.end - receiver.max_window   else old data once more
    III  sack <= receiver.end                               else acknowledges what was never sent
    IV   sack >= receiver.end - max(max_window, 66000)      else an acknowledgement much too late

All sequence numbers are 32 bit and compared modulo 2**32.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import SEQ_ADJUST, Entry, Side
from tcemu.conntrack.linux import IGNORED, INVALID
from tcemu.conntrack.linux.tcp_options import read_options, read_sack
from tcemu.conntrack.linux.tcp_states import ACK, SR, SS, TH_ACK, TH_RST, TH_SYN
from tcemu.conntrack.seqadj import sequence_offset
from tcemu.conntrack.settings import Settings
from tcemu.fields import TCP_ACK, TCP_DOFF, TCP_SEQ, TCP_WINDOW
from tcemu.packet.packet import Packet

# flags of a side (IP_CT_TCP_FLAG_*)
WINDOW_SCALE: Final = 0x01
SACK_PERM: Final = 0x02
CLOSE_INIT: Final = 0x04
BE_LIBERAL: Final = 0x08
UNACKED: Final = 0x10
MAX_ACK_SET: Final = 0x20
EXP_CHALLENGE_ACK: Final = 0x40
SIMULTANEOUS_OPEN: Final = 0x80

MAX_ACK_WINDOW: Final = 66_000
M32: Final = 0xFFFFFFFF
HALF: Final = 0x80000000

ACCEPTED: Final = 0  # the answers of `in_window`; else IGNORED or INVALID
INSIDE: Final = 1  # of `place_in_window`: all four hold


def before(a: i64, b: i64) -> bool:
    """Sequence number a lies before b, modulo 2**32."""
    return ((a - b) & HALF) != 0


def in_window(s: Settings, ct: Entry, p: Packet, way: i64, index: i64, flags: i64, end: i64) -> i64:
    """tcp_in_window: the four inequalities and what the segment teaches us; ACCEPTED, IGNORED or INVALID."""
    sender = ct.orig_side if way == 0 else ct.reply_side
    receiver = ct.reply_side if way == 0 else ct.orig_side
    if sender is None or receiver is None:
        return INVALID
    f = p.f
    seq = f[TCP_SEQ]
    ack = f[TCP_ACK]
    raw = f[TCP_WINDOW]
    sack = ack
    if (receiver.flags & SACK_PERM) != 0 and f[TCP_DOFF] > 5:
        sack = read_sack(p, ack)
    if (ct.status & SEQ_ADJUST) != 0:
        # what it acknowledges was moved on its way by a helper (nf_ct_seq_offset)
        moved = sequence_offset(ct, 1 - way, (ack - 1) & M32)
        ack = (ack - moved) & M32
        sack = (sack - moved) & M32
    state = ct.state
    if sender.max_window == 0:
        meet(p, sender, receiver, way, flags, end, sack)
        if (flags & (TH_SYN | TH_ACK)) == TH_SYN:
            return ACCEPTED  # simultaneous open
    elif (flags & TH_SYN) != 0 and before(sender.end, end) and (state in (SS, SR)):
        # a fresh try may use other numbers and options
        first_of(p, sender, receiver, way, end, raw)
        if way == 1 and (flags & TH_ACK) == 0:
            return ACCEPTED
    if (flags & TH_ACK) == 0 or ((flags & TH_RST) != 0 and ack == 0):
        ack = sack = receiver.end  # no acknowledgement, or the zero that broken stacks put into a RST
    if (flags & TH_RST) != 0 and seq == 0 and state == SS:
        seq = end = sender.end
    where = place_in_window(s, p, sender, receiver, seq, end, sack)
    if where != INSIDE:
        return where
    window = raw
    if (flags & TH_SYN) == 0:
        scale: int = sender.scale
        window = (raw << scale) & M32
    learn(sender, receiver, ack, sack, end, window, (flags & TH_ACK) != 0)
    if index == ACK:
        recall(ct, way, seq << 32 | ack, end << 16 | raw)
    return ACCEPTED


def meet(p: Packet, sender: Side, receiver: Side, way: i64, flags: i64, end: i64, sack: i64) -> None:
    """The first segment of a side."""
    window = p.f[TCP_WINDOW]
    if (flags & TH_SYN) != 0:
        first_of(p, sender, receiver, way, end, window)
        return
    sender.end = end
    scale: int = sender.scale
    scaled = (window << scale) & M32
    if scaled == 0:
        scaled = 1
    sender.max_window = scaled
    sender.max_end = (end + scaled) & M32
    if receiver.max_window == 0:
        receiver.end = receiver.max_end = sack  # nothing was seen that way yet: let III and IV hold
    elif sack == ((receiver.end + 1) & M32):
        receiver.end = sack  # likely the answer to a keepalive


def first_of(p: Packet, sender: Side, receiver: Side, way: i64, end: i64, window: i64) -> None:
    """tcp_init_sender: the first SYN or SYN+ACK of a side. Scaling counts only when both offer it (RFC 7323 1.3)."""
    sender.end = sender.max_end = end
    sender.max_window = window if window != 0 else 1
    read_options(p, sender)
    if way == 1 and (sender.flags & receiver.flags & WINDOW_SCALE) == 0:
        sender.scale = 0
        receiver.scale = 0


def place_in_window(s: Settings, p: Packet, sender: Side, receiver: Side, seq: i64, end: i64, sack: i64) -> i64:
    """The four inequalities: INSIDE, or what becomes of a segment that is not (to a liberal tracker ACCEPTED all the same)."""
    reach = sender.max_window
    if reach < MAX_ACK_WINDOW:
        reach = MAX_ACK_WINDOW
    oldest = (receiver.end - reach - 1) & M32
    if not before(seq, (sender.max_end + 1) & M32):
        return over_window(s, p, sender, receiver, end, sack, oldest)
    if not before(sack, (receiver.end + 1) & M32):
        if is_liberal(s, sender):
            return ACCEPTED
        p.reason = f"tcp: ACK {sack} is over upper bound {(receiver.end + 1) & M32} (ACKed data not seen yet)"
        return INVALID
    if receiver.max_window != 0 and not before((sender.end - receiver.max_window - 1) & M32, end):
        if is_liberal(s, sender):
            return ACCEPTED
        low = (sender.end - receiver.max_window - 1) & M32
        p.reason = f"tcp: SEQ {end} is under lower bound {low} (already ACKed data retransmitted)"
        return IGNORED
    if not before(oldest, sack):
        if is_liberal(s, sender):
            return ACCEPTED
        p.reason = f"tcp: ignored ACK {sack} under lower bound {oldest} (possible overly delayed)"
        return IGNORED
    return INSIDE


def over_window(s: Settings, p: Packet, sender: Side, receiver: Side, end: i64, sack: i64, oldest: i64) -> i64:
    """Inequality I failed. A sender that only sends a little too much is let go on, or its peer's ACKs would all be invalid."""
    over = (end - sender.max_end + 1) & M32
    in_receive_window = receiver.max_window != 0 and before((sender.end - receiver.max_window - 1) & M32, end)
    if in_receive_window and before(oldest, sack) and over <= receiver.max_window and before(sack, (receiver.end + 1) & M32):
        sender.end = end
        sender.flags |= UNACKED
        if is_liberal(s, sender):
            return ACCEPTED
        p.reason = f"tcp: {over} bytes more than expected"
        return IGNORED
    if is_liberal(s, sender):
        return ACCEPTED
    p.reason = f"tcp: SEQ {p.f[TCP_SEQ]} is over upper bound {(sender.max_end + 1) & M32} (over the window of the receiver)"
    return INVALID


def is_liberal(s: Settings, sender: Side) -> bool:
    """Nothing is out of window for it (nf_conntrack_tcp_be_liberal, a pick-up, or an offloaded flow)."""
    return (sender.flags & BE_LIBERAL) != 0 or s.tcp_be_liberal != 0


def learn(sender: Side, receiver: Side, ack: i64, sack: i64, end: i64, window: i64, acknowledges: bool) -> None:
    """What a segment inside the window says of both sides; ``window`` is scaled."""
    reach = (window + sack - ack) & M32
    if reach > sender.max_window:  # not max(): mypyc would make objects of the numbers
        sender.max_window = reach
    if (sender.end - end) & HALF:
        sender.end = end
        sender.flags |= UNACKED
    if acknowledges:
        if (sender.flags & MAX_ACK_SET) == 0:
            sender.max_ack = ack
            sender.flags |= MAX_ACK_SET
        elif (sender.max_ack - ack) & HALF:
            sender.max_ack = ack
    if receiver.max_window != 0 and (sender.max_end - end) & HALF:
        receiver.max_window = (receiver.max_window + end - sender.max_end) & M32
    edge = (sack + window) & M32
    if (receiver.max_end - 1 - edge) & HALF:
        if window == 0:
            edge = (edge + 1) & M32
        receiver.max_end = edge
    if ack == receiver.end and (receiver.flags & UNACKED) != 0:
        receiver.flags &= ~UNACKED


def recall(ct: Entry, way: i64, segment: i64, reach: i64) -> None:
    """Is it the last acknowledgement once more? Then count it; else remember it."""
    if ct.last_segment == segment and ct.last_reach == reach and ct.last_dir == way:
        ct.retrans = (ct.retrans + 1) & 0xFF
        return
    side: int = way
    ct.last_dir = side
    ct.last_segment = segment
    ct.last_reach = reach
    ct.retrans = 0
