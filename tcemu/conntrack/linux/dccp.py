"""DCCP: its states by role and packet type (net/netfilter/nf_conntrack_proto_dccp.c; sections of RFC 4340).

Two-letter states, in the order of enum ct_dccp_states::

    NO none  RQ Request seen  RS Response seen  PO Ack after it seen  OP open
    CR CloseReq seen  CG Close seen  TW Reset seen          IG ignore  IV invalid

The side that asked is the client. Roles are exchanged when the other side opens anew from TW: `last_flags` is 1 then.
`last_index` is the type of the last packet, `last_ack` the sequence number of the Response.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY, Entry
from tcemu.conntrack.linux import FINISHED, IGNORED, INVALID, REFUSED
from tcemu.conntrack.linux.sums import is_intact
from tcemu.conntrack.settings import Settings
from tcemu.fields import G_DCCP
from tcemu.packet.numbers import numbers
from tcemu.packet.packet import Packet

NO: Final = 0
RQ: Final = 1
RS: Final = 2
PO: Final = 3
OP: Final = 4
CR: Final = 5
CG: Final = 6
TW: Final = 7
IG: Final = 8
IV: Final = 9

REQUEST: Final = 0
RESPONSE: Final = 1
ACK: Final = 3
RESET: Final = 7
SYNCACK: Final = 9  # the last type that is not reserved
TYPE_NAMES: Final = ("request", "response", "data", "ack", "dataack", "closereq", "close", "reset", "sync", "syncack")
# types whose sequence numbers must be long (5.1): all but Data, Ack and DataAck
LONG_ONLY: Final = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9

ROWS: Final = (
    # from the client
    # NO RQ  RS  PO  OP  CR  CG  TW
    (RQ, RQ, RS, IG, IG, IG, IG, RQ),  # request: RS the Response got lost behind us; PO..CG we may be out of step; TW anew
    (IV, IG, IG, IG, IG, IG, IG, IV),  # response: perhaps to a Request that was ignored
    (IV, IV, IV, IV, OP, CR, CG, IV),  # data: PO must be DataAck (8.1.5); CR, CG may still be processed (8.3)
    (IV, IV, PO, PO, OP, CR, CG, IV),  # ack: RS acknowledges the Response (8.1.5)
    (IV, IV, PO, PO, OP, CR, CG, IV),  # dataack
    (IV, IV, IV, IV, IV, IV, IV, IV),  # closereq: only a server asks
    (IV, IV, IV, CG, CG, CG, IV, IV),  # close
    (IV, TW, TW, TW, TW, TW, TW, IG),  # reset: TW once more does not prolong
    (IV, IG, IG, IG, IG, IG, IG, IG),  # sync
    (IV, IG, IG, IG, IG, IG, IG, IG),  # syncack
    # from the server
    # NO RQ  RS  PO  OP  CR  CG  TW
    (IV, IG, IG, IG, IG, IG, IG, RQ),  # request: TW the roles change
    (IV, RS, RS, IG, IG, IG, IG, IV),  # response
    (IV, IV, IV, OP, OP, IV, CG, IV),  # data: PO the connection is open; CR waits for Close
    (IV, IV, IV, OP, OP, IV, CG, IV),  # ack
    (IV, IV, IV, OP, OP, IV, CG, IV),  # dataack
    (IV, IV, IV, CR, CR, CR, CR, IV),  # closereq: CG both close at once
    (IV, IV, IV, CG, CG, IV, CG, IV),  # close: CR after CloseReq a server sends no Close
    (IV, TW, TW, TW, TW, TW, TW, TW),  # reset: TW the table of Linux 6.1 has a column too many here, so it stays TW
    (IV, IG, IG, IG, IG, IG, IG, IG),  # sync
    (IV, IG, IG, IG, IG, IG, IG, IG),  # syncack
)
# (role * 10 + type) * 8 + state
STATES: Final = numbers([cell for row in ROWS for cell in row])


def packet(s: Settings, ct: Entry, p: Packet, way: i64, length: i64, verify: bool) -> i64:
    """nf_conntrack_dccp_packet: a timeout or a code."""
    size = length - (p.l4 - p.l3)
    if size < 12 or p.end - p.l4 < 12:
        p.reason = f"dccp: header cut ({size} bytes)"
        return REFUSED
    data = p.data
    at = p.l4
    first: i64 = data[at + 8]
    kind = (first >> 1) & 15
    wide = (first & 1) != 0
    if not is_sane(p, at, size, verify, kind, wide):
        return INVALID
    room = p.end - at
    if room < (16 if wide else 12) + own_header(kind):
        p.reason = f"dccp: header cut ({size} bytes)"
        return REFUSED
    if (ct.status & CONFIRMED) == 0 and not begin(s, ct, p, kind):
        return INVALID
    if kind == RESET and (ct.status & SEEN_REPLY) == 0:
        return FINISHED
    server: int = ct.last_flags  # 1: the original direction is the server's
    side: int = way
    sort: int = kind
    role = way ^ server
    old = ct.state
    new = STATES[(role * 10 + kind) * 8 + old]
    if new == IV:
        p.reason = f"dccp: invalid state transition ({TYPE_NAMES[kind]} in dir {way}, state {old})"
        return INVALID
    if new == IG:
        if ct.last_dir == way or ct.last_index != REQUEST or kind != RESPONSE:
            ct.last_dir = side
            ct.last_index = sort
            p.reason = f"dccp: invalid packet ({TYPE_NAMES[kind]} in dir {way} ignored, state {old})"
            return IGNORED
        # the answer to a Request that was ignored: fall in with it
        ct.last_flags = 1 - side
        ct.last_segment = sequence(p, at, wide)
        new = RS
    elif new == RQ and old == TW and role == 1:
        ct.last_flags = server ^ 1
    elif new == RS and old == RQ:
        ct.last_segment = sequence(p, at, wide)
    elif new == PO and old == RS and kind == ACK and acknowledged(p, at, wide) == ct.last_segment:
        ct.status |= ASSURED
    ct.last_dir = side
    ct.last_index = sort
    ct.state = new
    policy = ct.policy
    return (s.timeouts if policy is None else policy).dccp[new]


def is_sane(p: Packet, at: i64, size: i64, verify: bool, kind: i64, wide: bool) -> bool:
    """dccp_error turned round."""
    data = p.data
    offset: i64 = data[at + 4] * 4
    if offset < 12 or offset > size:
        p.reason = f"dccp: truncated/malformed packet (data offset {offset} of {size})"
        return False
    cover: i64 = data[at + 5] & 15
    if cover != 0 and (cover - 1) * 4 > size:
        p.reason = f"dccp: bad checksum coverage ({cover} of {size} bytes)"
        return False
    if verify and (p.groups & G_DCCP) != 0 and not is_intact(p):
        p.reason = "dccp: bad checksum"
        return False
    if kind > SYNCACK:
        p.reason = f"dccp: reserved packet type {kind}"
        return False
    if not wide and (LONG_ONLY >> kind) & 1 != 0:
        p.reason = f"dccp: type {kind} lacks 48bit sequence numbers"
        return False
    return True


def own_header(kind: i64) -> i64:
    """dccp_packet_hdr_len: bytes behind the generic header that the type adds."""
    if kind == 2:
        return 0
    if kind == REQUEST:
        return 4
    return 12 if kind in (RESPONSE, RESET) else 8


def begin(s: Settings, ct: Entry, p: Packet, kind: i64) -> bool:
    """dccp_new."""
    state = STATES[kind * 8 + NO]
    if state == IV:
        p.reason = f"dccp: no connection begins with type {kind}"
        return False
    if state != RQ and s.dccp_loose == 0:
        p.reason = f"dccp: not picking up existing connection (type {kind})"
        return False
    ct.state = NO
    ct.last_flags = 0
    ct.last_index = REQUEST
    ct.last_dir = 0
    ct.last_segment = 0
    return True


def sequence(p: Packet, at: i64, wide: bool) -> i64:
    """dccp_hdr_seq."""
    high = i64(read_i32_be(p.data, at + 8)) & 0xFFFFFF
    return (high & 0xFFFF) << 32 | (i64(read_i32_be(p.data, at + 12)) & 0xFFFFFFFF) if wide else high


def acknowledged(p: Packet, at: i64, wide: bool) -> i64:
    """dccp_ack_seq: sixteen high bits and thirty-two low ones behind the generic header, also when they are short."""
    at += 16 if wide else 12
    if p.end - at < 8:
        return -1
    return (i64(read_i16_be(p.data, at + 2)) & 0xFFFF) << 32 | (i64(read_i32_be(p.data, at + 4)) & 0xFFFFFFFF)
