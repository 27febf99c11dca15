"""SCTP: associations by their chunks, guarded by verification tags (net/netfilter/nf_conntrack_proto_sctp.c).

Two-letter states, those of the connection and not of an end, in the order of enum sctp_conntrack::

    NO none  CL closed  CW INIT seen  CE COOKIE ECHO seen  ES established
    SS SHUTDOWN from the original side  SR SHUTDOWN from the other  SA SHUTDOWN ACK seen  HS HEARTBEAT of a new path
    IV invalid

A packet's chunks are taken one after the other; each may move the state. Sections named are those of RFC 4960.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, Entry
from tcemu.conntrack.linux import IGNORED, INVALID
from tcemu.conntrack.settings import Settings
from tcemu.fields import G_SCTP, SCTP_VTAG
from tcemu.packet.checksum import verify_l4
from tcemu.packet.numbers import numbers
from tcemu.packet.packet import Packet

NO: Final = 0
CL: Final = 1
CW: Final = 2
CE: Final = 3
ES: Final = 4
SS: Final = 5
SR: Final = 6
SA: Final = 7
HS: Final = 8
IV: Final = 9

# chunk types (include/linux/sctp.h)
DATA: Final = 0
INIT: Final = 1
INIT_ACK: Final = 2
HEARTBEAT: Final = 4
HEARTBEAT_ACK: Final = 5
ABORT: Final = 6
SHUTDOWN: Final = 7
SHUTDOWN_ACK: Final = 8
ERROR: Final = 9
COOKIE_ECHO: Final = 10
COOKIE_ACK: Final = 11
SHUTDOWN_COMPLETE: Final = 14
T_FLAG: Final = 0x01  # the sender had no association and reflects the tag

ROW_NAMES: Final = (
    "init",
    "init_ack",
    "abort",
    "shutdown",
    "shutdown_ack",
    "error",
    "cookie_echo",
    "cookie_ack",
    "shutdown_complete",
    "heartbeat",
    "heartbeat_ack",
)
ROWS: Final = (
    # from the original side
    # NO CL  CW  CE  ES  SS  SR  SA  HS
    (CL, CL, CW, CE, ES, CL, CL, SA, CW),  # init: the state waits for the answer; SS, SR anew before the end; HS a path becomes one
    (CL, CL, CW, CE, ES, SS, SR, SA, CL),  # init_ack: not from this side
    (CL, CL, CL, CL, CL, CL, CL, CL, CL),  # abort
    (CL, CL, CW, CE, SS, SS, SR, SA, CL),  # shutdown: only what is established can be shut
    (SA, CL, CW, CE, ES, SA, SA, SA, SA),  # shutdown_ack: NO out of the blue, answered by SHUTDOWN COMPLETE (8.4)
    (CL, CL, CW, CE, ES, SS, SR, SA, CL),  # error: a stale cookie comes from the other side
    (CL, CL, CE, CE, ES, SS, SR, SA, CL),  # cookie_echo
    (CL, CL, CW, ES, ES, SS, SR, SA, CL),  # cookie_ack: CE both sides began at once
    (CL, CL, CW, CE, ES, SS, SR, CL, CL),  # shutdown_complete
    (HS, CL, CW, CE, ES, SS, SR, SA, HS),  # heartbeat: NO a second path of an association elsewhere
    (CL, CL, CW, CE, ES, SS, SR, SA, HS),  # heartbeat_ack
    # from the reply side; nothing begins here
    # NO CL  CW  CE  ES  SS  SR  SA  HS
    (IV, CL, CW, CE, ES, SS, SR, SA, IV),  # init
    (IV, CW, CW, CE, ES, SS, SR, SA, IV),  # init_ack: CL the answer to INIT
    (IV, CL, CL, CL, CL, CL, CL, CL, IV),  # abort
    (IV, CL, CW, CE, SR, SS, SR, SA, IV),  # shutdown
    (IV, CL, CW, CE, ES, SA, SA, SA, IV),  # shutdown_ack
    (IV, CL, CW, CL, ES, SS, SR, SA, IV),  # error: CE the cookie was stale
    (IV, CL, CE, CE, ES, SS, SR, SA, IV),  # cookie_echo: CW both sides began at once
    (IV, CL, CW, ES, ES, SS, SR, SA, IV),  # cookie_ack: CE the handshake is complete
    (IV, CL, CW, CE, ES, SS, SR, CL, IV),  # shutdown_complete
    (IV, CL, CW, CE, ES, SS, SR, SA, HS),  # heartbeat
    (IV, CL, CW, CE, ES, SS, SR, SA, ES),  # heartbeat_ack: HS the second path works
)
# (direction * 11 + row) * 9 + state
STATES: Final = numbers([cell for row in ROWS for cell in row])
# chunk type -> row, -1 for those that move no state:  0  1  2   3  4   5  6  7  8  9 10 11  12  13 14
ROW_OF: Final = numbers([-1, 0, 1, -1, 9, 10, 2, 3, 4, 5, 6, 7, -1, -1, 8])

# last_flags
HEARTBEAT_FAILED: Final = 1  # a HEARTBEAT with a strange tag went by (SCTP_FLAG_HEARTBEAT_VTAG_FAILED)
INIT_SEEN: Final = 2  # << direction: that side sent an INIT and no COOKIE ACK has come since (ip_ct_sctp.init)
# with one of these the tag is judged chunk by chunk
OWN_TAG_RULES: Final = (
    1 << INIT | 1 << SHUTDOWN_COMPLETE | 1 << COOKIE_ECHO | 1 << ABORT | 1 << SHUTDOWN_ACK | 1 << HEARTBEAT | 1 << HEARTBEAT_ACK
)
OUT_OF_THE_BLUE: Final = 1 << ABORT | 1 << SHUTDOWN_COMPLETE | 1 << COOKIE_ACK  # begin nothing (8.4)


def next_state(way: i64, state: i64, kind: i64) -> i64:
    """sctp_new_state: where a chunk leads."""
    row = ROW_OF[kind] if kind < 15 else -1
    return state if row < 0 else STATES[(way * 11 + row) * 9 + state]


def packet(s: Settings, ct: Entry, p: Packet, way: i64, length: i64, verify: bool) -> i64:
    """nf_conntrack_sctp_packet: a timeout or a code."""
    if (p.groups & G_SCTP) == 0 or length - (p.l4 - p.l3) < 12:
        p.reason = f"sctp: short packet ({length - (p.l4 - p.l3)} bytes)"
        return INVALID
    if verify and not verify_l4(p):
        p.reason = "sctp: bad CRC"
        return INVALID
    kinds = chunks(p)
    if kinds < 0:
        return INVALID
    confirmed = (ct.status & CONFIRMED) != 0
    if not confirmed and ((kinds & OUT_OF_THE_BLUE) != 0 or not begin(ct, p)):
        p.reason = f"sctp: no association begins with such chunks (types 0x{int(kinds):x} as bits)"
        return INVALID
    tag = p.f[SCTP_VTAG]
    mine = ct.vtag_reply if way != 0 else ct.vtag_orig
    if (kinds & OWN_TAG_RULES) == 0 and tag != mine:
        p.reason = f"sctp: verification tag check failed {int(tag):x} vs {int(mine):x} for dir {way}"
        return INVALID
    new: i64 = NO
    ignore = False
    at = p.l4 + 12
    end = p.l3_end
    data = p.data
    while end - at >= 4:
        kind: i64 = data[at]
        flags: i64 = data[at + 1]
        size = i64(read_i16_be(data, at + 2)) & 0xFFFF
        verdict = check_tag(ct, way, kind, flags, tag, (kinds & (1 << DATA)) != 0 or ignore)
        if verdict < 0:
            p.reason = f"sctp: verification tag {int(tag):x} does not fit chunk type {kind} in dir {way}"
            return INVALID
        if verdict > 0:
            ignore = True
            p.reason = f"sctp: HEARTBEAT with verification tag {int(tag):x} instead of {int(mine):x} is let by once"
            at += (size + 3) & ~3
            continue
        old = ct.state
        new = next_state(way, old, kind)
        if new == IV:
            p.reason = f"sctp: Invalid, old_state {old}, dir {way}, type {kind}"
            return INVALID
        if kind in (INIT, INIT_ACK):
            if end - at < 20 or not take_tag(ct, way, kind, i64(read_i32_be(data, at + 4)) & 0xFFFFFFFF, old):
                p.reason = f"sctp: chunk type {kind} is cut, or answers no INIT that was seen"
                return INVALID
            if kind == INIT and new == CL and old == CL and confirmed:
                ignore = True  # else reuse of the port would keep it for ever
                p.reason = f"sctp: INIT once more (verification tag {int(tag):x}), which does not prolong the association"
        ct.state = new
        if old != new and new == ES:
            ct.status |= ASSURED
        at += (size + 3) & ~3
    if ignore:
        return IGNORED
    policy = ct.policy
    return (s.timeouts if policy is None else policy).sctp[new]


def chunks(p: Packet) -> i64:
    """do_basic_checks: the types that are there, as bits (those below 62); -1 when they do not go together."""
    at = p.l4 + 12
    end = p.l3_end
    data = p.data
    kinds: i64 = 0
    count: i64 = 0
    alone = False
    while end - at >= 4:
        kind: i64 = data[at]
        size = i64(read_i16_be(data, at + 2)) & 0xFFFF
        if kind in (INIT, INIT_ACK, SHUTDOWN_COMPLETE):
            alone = True
        if ((kind in (COOKIE_ACK, COOKIE_ECHO) or alone) and count != 0) or size == 0:
            p.reason = f"sctp: chunk num {count}, type {kind}, len {size} does not go with the others"
            return -1
        if kind < 62:
            kinds |= 1 << kind
        count += 1
        at += (size + 3) & ~3
    if count == 0:
        p.reason = "sctp: no chunks"
        return -1
    return kinds


def begin(ct: Entry, p: Packet) -> bool:
    """sctp_new: every chunk must be able to begin an association; tags are taken over (8.5.1)."""
    ct.state = NO
    ct.vtag_orig = ct.vtag_reply = 0
    ct.last_flags = ct.last_dir = 0
    tag = p.f[SCTP_VTAG]
    at = p.l4 + 12
    data = p.data
    while p.l3_end - at >= 4:
        kind: i64 = data[at]
        new = next_state(0, NO, kind)
        if new in (NO, IV):
            return False
        if kind == INIT:
            if tag != 0 or p.l3_end - at < 20:
                return False
            ct.vtag_reply = i64(read_i32_be(data, at + 4)) & 0xFFFFFFFF
        elif kind == HEARTBEAT:
            ct.vtag_orig = tag
        elif kind == SHUTDOWN_ACK:
            ct.vtag_reply = tag  # out of the blue: its SHUTDOWN COMPLETE reflects the tag (8.4)
        at += ((i64(read_i16_be(data, at + 2)) & 0xFFFF) + 3) & ~3
    return True


def take_tag(ct: Entry, way: i64, kind: i64, tag: i64, old: i64) -> bool:
    """Note the tag that an INIT or INIT ACK asks for; False for an INIT ACK that a collision of INITs has overtaken (5.2)."""
    known = ct.vtag_orig if way != 0 else ct.vtag_reply
    mine: int = INIT_SEEN << way
    theirs: int = INIT_SEEN << (1 - way)
    seen: int = ct.last_flags
    if kind == INIT:
        if old == NO or known != tag:
            if (seen & mine) != 0:
                seen &= ~theirs
            ct.last_flags = seen | mine
    elif (seen & theirs) == 0:
        if known not in (0, tag):
            return False
    elif (seen & mine) != 0 and known != tag:
        return False
    set_tag(ct, 1 - way, tag)
    return True


def set_tag(ct: Entry, way: i64, tag: i64) -> None:
    """Note the tag that packets in that direction carry."""
    if way != 0:
        ct.vtag_reply = tag
    else:
        ct.vtag_orig = tag


def check_tag(ct: Entry, way: i64, kind: i64, flags: i64, tag: i64, strict: bool) -> i64:
    """The rules of 8.5.1 and those for a second path: 0 good, 1 let by without effect, -1 invalid."""
    mine = ct.vtag_reply if way != 0 else ct.vtag_orig
    seen: int = ct.last_flags
    if kind == INIT:
        return 0 if tag == 0 else -1
    if kind in (ABORT, SHUTDOWN_COMPLETE):
        theirs = ct.vtag_orig if way != 0 else ct.vtag_reply
        return 0 if tag == (theirs if (flags & T_FLAG) != 0 else mine) else -1
    if kind == COOKIE_ECHO:
        return 0 if tag == mine else -1
    if kind == COOKIE_ACK:
        ct.last_flags = seen & ~(INIT_SEEN | INIT_SEEN << 1)
    if kind not in (HEARTBEAT, HEARTBEAT_ACK):
        return 0
    if mine == 0:
        set_tag(ct, way, tag)
        return 0
    if tag == mine:
        ct.last_flags = seen & ~HEARTBEAT_FAILED
        return 0
    if strict:
        return -1
    if kind == HEARTBEAT:
        ct.last_flags |= HEARTBEAT_FAILED
        side: int = way
        ct.last_dir = side
        return 1
    if (seen & HEARTBEAT_FAILED) == 0 or ct.last_dir == way:
        return -1
    ct.last_flags = seen & ~HEARTBEAT_FAILED
    set_tag(ct, way, tag)
    set_tag(ct, 1 - way, 0)
    return 0
