"""TCP: the cells of the state table that get a second look (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1, nf_conntrack_tcp_packet)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, FIXED_TIMEOUT, SEEN_REPLY, Entry, Side
from tcemu.conntrack.linux import IGNORED, INVALID, REPEAT
from tcemu.conntrack.linux.tcp_options import read_options
from tcemu.conntrack.linux.tcp_states import ACK, CL, ES, FIN, FW, IV, LA, RST, SS, STATE_NAMES, SYN, SYNACK
from tcemu.conntrack.linux.tcp_window import BE_LIBERAL, CLOSE_INIT, EXP_CHALLENGE_ACK, M32, MAX_ACK_SET, SACK_PERM, WINDOW_SCALE, before
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.timeouts import SECOND, TCP_UNACK
from tcemu.fields import TCP_ACK, TCP_SEQ, TCP_WINDOW
from tcemu.packet.packet import Packet

EARLY_SHRINK: Final = 120 * SECOND


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
