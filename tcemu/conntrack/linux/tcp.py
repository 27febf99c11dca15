"""TCP: the state machine and the window check (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1).

Two-letter states, in the order of enum tcp_conntrack::

    NO none  SS SYN sent  SR SYN+ACK seen  ES established  FW one FIN seen  CW that FIN acknowledged
    LA FINs of both sides  TW last ACK seen  CL closed by RST  S2 SYNs from both sides (simultaneous open)

    IG ignore: the packet may be good or bad and its receiver will tell; the tracker stays where it is
    IV invalid: no packet of this connection

A packet is looked up in `STATES`, some cells then get a second look (`packet`), then the window is checked
(`in_window`), then state and timeout are set (`settle`). The window follows "Real Stateful TCP Packet Filtering
in IP Filter" (G. van Rooij, 2000), with limits kept per side (`tcemu.conntrack.entry.Side`)::

    I    seq <= sender.max_end                              else over the receiver's window
    II   seq + length >= sender.end - receiver.max_window   else old data once more
    III  sack <= receiver.end                               else acknowledges what was never sent
    IV   sack >= receiver.end - max(max_window, 66000)      else an acknowledgement much too late

All sequence numbers are 32 bit and compared modulo 2**32.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, FIXED_TIMEOUT, SEEN_REPLY, SEQ_ADJUST, Entry, Side
from tcemu.conntrack.linux import FINISHED, IGNORED, INVALID, REPEAT
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.linux.tcp_options import read_options, read_sack
from tcemu.conntrack.seqadj import sequence_offset
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.timeouts import SECOND, TCP_RETRANS, TCP_UNACK
from tcemu.fields import G_TCP, TCP_ACK, TCP_DOFF, TCP_FLAGS, TCP_SEQ, TCP_WINDOW
from tcemu.packet.numbers import numbers
from tcemu.packet.packet import Packet

NO: Final = 0
SS: Final = 1
SR: Final = 2
ES: Final = 3
FW: Final = 4
CW: Final = 5
LA: Final = 6
TW: Final = 7
CL: Final = 8
S2: Final = 9
IV: Final = 10
IG: Final = 11

STATE_NAMES: Final = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)

# what a segment is, from its flags (enum tcp_bit_set)
SYN: Final = 0
SYNACK: Final = 1
FIN: Final = 2
ACK: Final = 3
RST: Final = 4
NONE: Final = 5
INDEX_NAMES: Final = ("syn", "synack", "fin", "ack", "rst", "none")

ROWS: Final = (
    # from the original side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (SS, SS, IG, IG, IG, IG, IG, SS, SS, S2),  # syn
    #   NO a connection begins; SS, S2 the SYN once more
    #   SR..LA a SYN does not belong here: the receiver answers with RST or a challenge ACK, or it is we who are out of step
    #   TW, CL the port is used again (RFC 1122 4.2.2.13)
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, SR, IV, IV, IV, IV, IV, IV, SR),  # synack
    #   S2 answers the SYN of a simultaneous open; SR that answer once more; a client has no other use for SYN+ACK
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # fin
    #   NO too late; SS, S2 nothing was opened yet; SR, ES the close begins
    #   FW, CW the other side's FIN was there, or the same one comes again; LA, TW, CL once more
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (ES, IV, ES, ES, CW, CW, TW, TW, CL, IV),  # ack
    #   NO taken up in the middle (nf_conntrack_tcp_loose); SS, S2 nothing to acknowledge yet; SR the handshake is complete
    #   FW acknowledges the FIN; LA the last ACK, if it is no challenge (RFC 5961)
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # rst
    (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),  # none
    # from the reply side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, S2, IV, IV, IV, IV, IV, SS, IV, S2),  # syn
    #   NO cannot be; SS simultaneous open; S2 its SYN once more; TW reopened, perhaps with the roles changed
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, SR, IG, IG, IG, IG, IG, IG, IG, SR),  # synack
    #   SS, S2 the normal answer; SR once more
    #   ES..CL late, or the answer to a SYN that was ignored: then we are out of step and fall in again
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # fin
    #   SS, S2 a server does not close what it has not opened; the others as from the original side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IG, SR, ES, CW, CW, TW, TW, CL, IG),  # ack
    #   SS, S2 perhaps a half-open connection's challenge; SR answers a late SYN, state stays; LA the last ACK, if no challenge
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # rst
    (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),  # none
)
# the rows one behind the other: (direction * 6 + index) * 10 + state
STATES: Final = numbers([cell for row in ROWS for cell in row])

# flags of the header, and those of a side (IP_CT_TCP_FLAG_*)
TH_FIN: Final = 0x01
TH_SYN: Final = 0x02
TH_RST: Final = 0x04
TH_ACK: Final = 0x10
TH_URG: Final = 0x20
TH_JUDGED: Final = TH_FIN | TH_SYN | TH_RST | TH_ACK | TH_URG  # PSH, ECE and CWR go with everything
WINDOW_SCALE: Final = 0x01
SACK_PERM: Final = 0x02
CLOSE_INIT: Final = 0x04
BE_LIBERAL: Final = 0x08
UNACKED: Final = 0x10
MAX_ACK_SET: Final = 0x20
EXP_CHALLENGE_ACK: Final = 0x40
SIMULTANEOUS_OPEN: Final = 0x80

# bit n is set when the judged flags with value n may stand together
VALID_FLAGS: Final = (
    1 << TH_SYN
    | 1 << (TH_SYN | TH_URG)
    | 1 << (TH_SYN | TH_ACK)
    | 1 << TH_RST
    | 1 << (TH_RST | TH_ACK)
    | 1 << (TH_FIN | TH_ACK)
    | 1 << (TH_FIN | TH_ACK | TH_URG)
    | 1 << TH_ACK
    | 1 << (TH_ACK | TH_URG)
)
MAX_ACK_WINDOW: Final = 66_000
EARLY_SHRINK: Final = 120 * SECOND

M32: Final = 0xFFFFFFFF
HALF: Final = 0x80000000
ACCEPTED: Final = 0  # of in_window; else IGNORED or INVALID


def before(a: i64, b: i64) -> bool:
    """Sequence number a lies before b, modulo 2**32."""
    return ((a - b) & HALF) != 0


def index_of(flags: i64) -> i64:
    """get_conntrack_index: which row of the table the flags lead to."""
    if flags & TH_RST:
        return RST
    if flags & TH_SYN:
        return SYNACK if flags & TH_ACK else SYN
    if flags & TH_FIN:
        return FIN
    return ACK if flags & TH_ACK else NONE


def packet(s: Settings, ct: Entry, p: Packet, way: i64, length: i64, verify: bool, now: i64) -> i64:
    """nf_conntrack_tcp_packet: judge one segment.

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
        # Nearly all segments: an acknowledgement, perhaps with data, on an established connection and inside its window. What
        # `in_window` and `settle` would do is done in one stretch; until all four inequalities hold, nothing is written.
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
    index = index_of(flags)
    old = ct.state
    new = STATES[(way * 6 + index) * 10 + old]
    if new == ES and old == ES:
        skip = False  # by far the commonest cell, and none that gets a second look
    else:
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
        skip = False
        if new == CL and index == RST:
            new = reset(s, ct, p, way, old)
            if new < 0:
                return INVALID
            if new >= 16:  # the window is not looked at
                skip = True
                new -= 16
    if not skip:
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


def out_of_turn(ct: Entry, p: Packet, way: i64, index: i64, old: i64, new: i64, flags: i64, end: i64) -> i64:
    """Cells IG and IV, and a SYN after the end: a code to return, or 0 when a SYN+ACK brought us back into step."""
    if new == IV:
        if old == SS and index == ACK and way == 0 and ct.last_dir == 0 and is_kept_alive(ct, p):
            p.reason = "tcp: a keepalive of a SYN proxy's client"
            return IGNORED
        p.reason = f"tcp: packet (index {index}) in dir {way} invalid, state {STATE_NAMES[old]}"
        return INVALID
    a = ct.orig_side
    b = ct.reply_side
    if a is None or b is None:
        return INVALID
    if new == SS and (((a.flags | b.flags) & CLOSE_INIT) != 0 or (ct.last_dir == way and ct.last_index == RST)):
        return REPEAT
    f = p.f
    if index == SYNACK and ct.last_index == SYN and ct.last_dir != way and f[TCP_ACK] == ct.last_end:
        # it acknowledges a SYN that was ignored: both ends are in step and we were not
        sender = b if ct.last_dir != 0 else a
        sender.end = sender.max_end = ct.last_end
        sender.max_window = ct.last_win if ct.last_win != 0 else 1
        wscale: int = ct.last_wscale
        sender.scale = wscale
        offered: int = ct.last_flags
        offered &= ~EXP_CHALLENGE_ACK
        ct.last_flags = offered
        sender.flags = offered
        forget(b if way != 0 else a)
        return 0
    note(ct, way, index)
    ct.last_seq = f[TCP_SEQ]
    ct.last_end = end
    ct.last_win = f[TCP_WINDOW]
    if index == SYN and way == 0:
        # remember what it offers, should its answer bring us back into step
        seen = Side()
        read_options(p, seen)
        offered = seen.flags & (WINDOW_SCALE | SACK_PERM)
        wscale = seen.scale if (offered & WINDOW_SCALE) != 0 else 0
        ct.last_flags = offered
        ct.last_wscale = wscale
        if old == LA:
            ct.last_flags |= EXP_CHALLENGE_ACK
    if old == SS and index == ACK and way == 1:
        ct.last_ack = f[TCP_ACK]
    p.reason = f"tcp: packet (index {index}) in dir {way} ignored, state {STATE_NAMES[old]}"
    return IGNORED


def is_kept_alive(ct: Entry, p: Packet) -> bool:
    """The SYN to the server, or its answer, was lost; the proxy's client has data to send and asks whether anybody is there."""
    extra, side = ct.extra, ct.orig_side
    return extra is not None and side is not None and len(extra.proxied) > 0 and (side.end - 1) & M32 == p.f[TCP_SEQ]


def forget(side: Side) -> None:
    """nf_ct_tcp_state_reset."""
    side.end = side.max_end = side.max_window = side.max_ack = side.scale = 0
    side.flags &= BE_LIBERAL


def is_challenge(ct: Entry, p: Packet, way: i64) -> bool:
    """An ACK in LAST_ACK that answers an ignored SYN (RFC 5961) does not acknowledge the FIN."""
    if ct.last_dir == way or ct.last_index != SYN or (ct.last_flags & EXP_CHALLENGE_ACK) == 0:
        return False
    flags: int = ct.last_flags
    ct.last_flags = flags & ~EXP_CHALLENGE_ACK
    p.reason = f"tcp: challenge-ack ignored (ACK {p.f[TCP_ACK]} in dir {way})"
    return True


def reset(s: Settings, ct: Entry, p: Packet, way: i64, old: i64) -> i64:
    """What a RST does: the new state, plus 16 when the window need not be looked at, or -1 when it is invalid."""
    if FW <= old <= CL:
        return CL + 16  # closing anyway; the tuple may have been used again and what we know be stale
    receiver = ct.orig_side if way != 0 else ct.reply_side
    if receiver is None:
        return -1
    seq = p.f[TCP_SEQ]
    new: i64 = CL
    if (receiver.flags & MAX_ACK_SET) != 0 and ct.last_index != SYN:
        established = old == ES and (ct.status & ASSURED) != 0
        if seq == 0 and not established:
            return CL  # most likely the answer to a SYN that was let through
        if before(seq, receiver.max_ack) and s.tcp_ignore_invalid_rst == 0:
            p.reason = f"tcp: invalid rst (sequence number {seq}, already acknowledged up to {receiver.max_ack})"
            return -1
        if not established or seq == receiver.max_ack:
            return CL
        if ct.last_index == ACK and ct.last_dir == way and seq == ct.last_end:
            return CL  # follows the sender's last segment directly
        new = old  # not exact: the receiver answers with a challenge ACK, so the connection may live on
    reply_to_syn = (ct.status & SEEN_REPLY) != 0 and ct.last_index == SYN
    half_open = (ct.status & ASSURED) == 0 and ct.last_index == ACK
    if (reply_to_syn or half_open) and p.f[TCP_ACK] == ct.last_end:
        return new + 16  # answers a SYN or ACK that was ignored
    if old == SS and ct.last_index == ACK and ct.last_dir == 1 and seq == ct.last_ack:
        return new + 16  # answers a challenge ACK that was let through
    return new


def in_window(s: Settings, ct: Entry, p: Packet, way: i64, index: i64, flags: i64, end: i64) -> i64:
    """tcp_in_window: the four inequalities and what the segment teaches us; ACCEPTED, IGNORED or INVALID."""
    a = ct.orig_side
    b = ct.reply_side
    if a is None or b is None:
        return INVALID
    sender = a
    receiver = b
    if way != 0:
        sender = b
        receiver = a
    f = p.f
    seq = f[TCP_SEQ]
    ack = f[TCP_ACK]
    sack = ack
    raw = f[TCP_WINDOW]
    window = raw
    scale: int = 0
    if (receiver.flags & SACK_PERM) != 0 and f[TCP_DOFF] > 5:
        sack = read_sack(p, ack)
    if (ct.status & SEQ_ADJUST) != 0:
        # what it acknowledges was moved on its way by a helper (nf_ct_seq_offset)
        moved = sequence_offset(ct, 1 - way, (ack - 1) & M32)
        ack = (ack - moved) & M32
        sack = (sack - moved) & M32
    state = ct.state
    if sender.max_window == 0:
        if (flags & TH_SYN) != 0:
            first_of(p, sender, receiver, way, end, window)
            if (flags & TH_ACK) == 0:
                return ACCEPTED  # simultaneous open
        else:
            sender.end = end
            scale = sender.scale
            scaled = (window << scale) & M32
            if scaled == 0:
                scaled = 1
            sender.max_window = scaled
            sender.max_end = (end + scaled) & M32
            if receiver.max_window == 0:
                receiver.end = receiver.max_end = sack  # nothing was seen that way yet: let III and IV hold
            elif sack == ((receiver.end + 1) & M32):
                receiver.end = sack  # likely the answer to a keepalive
    elif (flags & TH_SYN) != 0 and before(sender.end, end) and (state in (SS, SR)):
        # a fresh try may use other numbers and options
        first_of(p, sender, receiver, way, end, window)
        if way == 1 and (flags & TH_ACK) == 0:
            return ACCEPTED
    if (flags & TH_ACK) == 0 or ((flags & TH_RST) != 0 and ack == 0):
        ack = sack = receiver.end  # no acknowledgement, or the zero that broken stacks put into a RST
    if (flags & TH_RST) != 0 and seq == 0 and state == SS:
        seq = end = sender.end
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
    if (flags & TH_SYN) == 0:
        scale = sender.scale
        window = (window << scale) & M32
    reach = (window + sack - ack) & M32
    if reach > sender.max_window:  # not max(): mypyc would make objects of the numbers
        sender.max_window = reach
    if before(sender.end, end):
        sender.end = end
        sender.flags |= UNACKED
    if (flags & TH_ACK) != 0:
        if (sender.flags & MAX_ACK_SET) == 0:
            sender.max_ack = ack
            sender.flags |= MAX_ACK_SET
        elif before(sender.max_ack, ack):
            sender.max_ack = ack
    if receiver.max_window != 0 and before(sender.max_end, end):
        receiver.max_window = (receiver.max_window + end - sender.max_end) & M32
    edge = (sack + window) & M32
    if before((receiver.max_end - 1) & M32, edge):
        if window == 0:
            edge = (edge + 1) & M32
        receiver.max_end = edge
    if ack == receiver.end:
        receiver.flags &= ~UNACKED
    if index == ACK:
        segment = seq << 32 | ack
        end = end << 16 | raw
        if ct.last_dir == way and ct.last_segment == segment and ct.last_reach == end:
            ct.retrans = (ct.retrans + 1) & 0xFF
        else:
            side: int = way
            ct.last_dir = side
            ct.last_segment = segment
            ct.last_reach = end
            ct.retrans = 0
    return ACCEPTED


def first_of(p: Packet, sender: Side, receiver: Side, way: i64, end: i64, window: i64) -> None:
    """tcp_init_sender: the first SYN or SYN+ACK of a side. Scaling counts only when both offer it (RFC 7323 1.3)."""
    sender.end = sender.max_end = end
    sender.max_window = window if window != 0 else 1
    read_options(p, sender)
    if way == 1 and (sender.flags & receiver.flags & WINDOW_SCALE) == 0:
        sender.scale = 0
        receiver.scale = 0


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


def shrink(s: Settings, ct: Entry, p: Packet, way: i64, index: i64, now: i64) -> None:
    """nf_tcp_handle_invalid: FIN or RST out of window from both sides ends a connection sooner."""
    if (ct.status & ASSURED) == 0 or (ct.status & FIXED_TIMEOUT) != 0 or (index not in (RST, FIN)):
        return
    if ct.last_dir != way and (ct.last_index in (FIN, RST)):
        left = ct.expires - now
        policy = ct.policy
        timeout = (s.timeouts if policy is None else policy).tcp[TCP_UNACK]
        if left >= EARLY_SHRINK and left > timeout:
            p.reason += f"; packet (index {index}, dir {way}) response for index {ct.last_index} lowers timeout"
            ct.expires = now + timeout
    else:
        note(ct, way, index)


def note(ct: Entry, way: i64, index: i64) -> None:
    """Remember which way the last segment went, and what kind it was."""
    side: int = way
    row: int = index
    ct.last_dir = side
    ct.last_index = row


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
