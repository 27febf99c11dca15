"""PPTP: the control connection agrees on two call ids, and GRE with these ids is the tunnel (RFC 2637).

The control connection is taken to lead from the client (PNS) to the server (PAC). GRE of version 1 carries only the receiver's call id;
the sender's is remembered here (the kernel's key map), so that both directions are one connection. Of a translated connection the
client's call id becomes the port that the connection has on the far side, because two clients may have chosen the same.

Source: net/netfilter/nf_conntrack_pptp.c, nf_nat_pptp.c (recorded, too).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import ORIGINAL, REPLY, Entry, Extra
from tcemu.conntrack.expect import FOLLOW_PPTP, Expectation
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import (
    NF_ACCEPT,
    NF_DROP,
    announce,
    is_talking,
    is_translated,
    payload,
    relate,
    rewrite,
    side,
    source_of,
    target_of,
)
from tcemu.conntrack.nat import DST, SRC, NatRange, setup
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

GRE: Final = 47
CONTROL: Final = b"\x00\x01\x1a\x2b\x3c\x4d"  # message type and magic cookie
BODY: Final = 12  # bytes in front of a message's own
# control message types
START_REQUEST, START_REPLY, STOP_REQUEST, STOP_REPLY, OUT_REQUEST, OUT_REPLY = 1, 2, 3, 4, 7, 8
IN_REQUEST, IN_REPLY, IN_CONNECTED, CLEAR_REQUEST, DISCONNECTED, WAN_ERROR, SET_LINK = 9, 10, 11, 12, 13, 14, 15
SIZES: Final = {1: 144, 2: 144, 3: 4, 4: 4, 5: 4, 6: 8, 7: 156, 8: 20, 9: 208, 10: 12, 11: 16, 12: 4, 13: 136, 14: 28, 15: 12}
# the session's states, then a call's
NONE, ERROR, STOPPING, REQUESTED, CONFIRMED = 0, 1, 2, 3, 4
OUT_ASKED, OUT_AGREED, IN_ASKED, IN_ANSWERED, IN_AGREED, CLEARING = 2, 3, 4, 5, 6, 7
# places in a connection's memory: the two states, the ids as the far end knows them, and as they were said
SESSION, CALL, PNS, PAC, SAID_PNS, SAID_PAC, KEYED = 0, 1, 2, 3, 4, 5, 6
OK: Final = 1  # the result of a request that was granted
# where the client's id stands in a message: from the client, from the server
FROM_CLIENT: Final = {OUT_REQUEST: 0, IN_REPLY: 0, CLEAR_REQUEST: 0}
FROM_SERVER: Final = {OUT_REPLY: 2, IN_CONNECTED: 0, WAN_ERROR: 0, DISCONNECTED: 0, SET_LINK: 0}


class Pptp(Helper):
    """Two expectations: the tunnel, from either end."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [2]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if not is_talking(p) or len(text) < BODY or text[2:8] != CONTROL:
            return NF_ACCEPT
        kind, body = _word(text, 8), text[BODY:]
        if len(body) < SIZES.get(kind, 0):
            return NF_ACCEPT
        if ct.extra is None:
            ct.extra = Extra()
        if len(ct.extra.memory) < 7:
            ct.extra.memory = [NONE, NONE, 0, 0, 0, 0, 0]
        memory = ct.extra.memory
        valid = self.from_server(table, p, ct, kind, body, memory) if way else from_client(kind, body, memory)
        if not valid or not is_translated(ct):
            return NF_ACCEPT
        if kind == OUT_REQUEST and not way:
            memory[SAID_PNS] = memory[PNS]
            memory[PNS] = int(ct.reply.dport)  # a free id cannot be kept, so it is the port
        place = (FROM_SERVER if way else FROM_CLIENT).get(kind)
        if place is None:
            return NF_ACCEPT
        new = memory[SAID_PNS if way else PNS].to_bytes(2, "big")
        return NF_ACCEPT if rewrite(p, ct, way, BODY + place, 2, new) else NF_DROP

    def from_server(self, table: Conntrack, p: Packet, ct: Entry, kind: int, body: bytes, memory: list[int]) -> bool:
        """pptp_inbound_pkt; False for a message that does not belong here."""
        ready = memory[SESSION] == CONFIRMED
        if kind == START_REPLY:
            ready = memory[SESSION] >= REQUESTED
            memory[SESSION] = (CONFIRMED if body[2] == OK else ERROR) if ready else memory[SESSION]
        elif kind == STOP_REPLY:
            ready = memory[SESSION] <= STOPPING
            memory[SESSION] = (NONE if body[0] == OK else ERROR) if ready else memory[SESSION]
        elif kind == OUT_REPLY:
            ready = ready and memory[CALL] in (OUT_ASKED, OUT_AGREED) and _word(body, 2) == memory[PNS]
            if ready:
                memory[CALL] = OUT_AGREED if body[4] == OK else NONE
            if ready and body[4] == OK:
                memory[PAC] = _word(body, 0)
                self.tunnel(table, p, ct, memory)
        elif kind == IN_REQUEST:
            memory[CALL], memory[PAC] = (IN_ASKED, _word(body, 0)) if ready else (memory[CALL], memory[PAC])
        elif kind == IN_CONNECTED:
            ready = ready and memory[CALL] in (IN_ANSWERED, IN_AGREED) and _word(body, 0) == memory[PNS]
            if ready:
                memory[CALL] = IN_AGREED
                self.tunnel(table, p, ct, memory)
        elif kind == DISCONNECTED:
            ready = True
            end(table, p, ct, memory)
        else:
            ready = kind in SIZES and kind not in (START_REQUEST, STOP_REQUEST, OUT_REQUEST, IN_REPLY, CLEAR_REQUEST)
        return ready

    def tunnel(self, table: Conntrack, p: Packet, ct: Entry, memory: list[int]) -> None:
        """exp_gre and pptp_exp_gre: either end may send first, with the other's call id."""
        pns, pac = memory[PNS], memory[PAC]
        there, back = ct.orig, ct.reply
        pair = (
            announce(ct, GRE, source_of(there), target_of(there), pac, pns),
            announce(ct, GRE, source_of(back), target_of(back), pns, pac),
        )
        if is_translated(ct):
            memory[SAID_PAC] = pac
            pair[0].tuple.sport = memory[SAID_PNS]
            pair[0].saved_port, pair[1].saved_port = pns, memory[SAID_PNS]
        for way, new in enumerate(pair):
            new.follow, new.saved_way = FOLLOW_PPTP, way
        reason = p.reason
        for place, new in enumerate(pair):
            if not relate(self, table, p, new):
                for other in pair[:place]:
                    table.expectations.remove(other)
                p.reason = reason
                return
        keys = {(int(ct.family), *source_of(new.tuple), *target_of(new.tuple), int(new.tuple.dport)): int(new.tuple.sport) for new in pair}
        if memory[KEYED] and any(table.keys.get(key) != value for key, value in keys.items()):
            for new in pair:  # nf_ct_gre_keymap_add: one call of a connection at a time
                table.expectations.remove(new)
            return
        table.keys |= keys
        memory[KEYED] = 1


def from_client(kind: int, body: bytes, memory: list[int]) -> bool:
    """pptp_outbound_pkt; False for a message that does not belong here."""
    ready = memory[SESSION] == CONFIRMED
    if kind == START_REQUEST:
        ready = memory[SESSION] == NONE
        memory[SESSION] = REQUESTED if ready else memory[SESSION]
    elif kind == STOP_REQUEST:
        ready, memory[SESSION] = True, STOPPING
    elif kind == OUT_REQUEST:
        memory[CALL], memory[PNS] = (OUT_ASKED, _word(body, 0)) if ready else (memory[CALL], memory[PNS])
    elif kind == IN_REPLY:
        ready = memory[CALL] in (IN_ASKED, IN_ANSWERED) and _word(body, 2) == memory[PAC]
        if ready:
            memory[CALL] = IN_ANSWERED if body[4] == OK else NONE
            memory[PNS] = _word(body, 0) if body[4] == OK else memory[PNS]
    elif kind == CLEAR_REQUEST:
        memory[CALL] = CLEARING if ready else memory[CALL]
    else:
        ready = kind in SIZES and kind not in (START_REPLY, STOP_REPLY, OUT_REPLY, IN_REQUEST, IN_CONNECTED, DISCONNECTED, WAN_ERROR)
    return ready


def end(table: Conntrack, p: Packet, ct: Entry, memory: list[int]) -> None:
    """pptp_destroy_siblings: the tunnel, or what is expected of it."""
    pns, pac, memory[KEYED] = memory[PNS], memory[PAC], 0
    for t, sport, dport in ((ct.orig, pns, pac), (ct.reply, pac, pns)):
        table.keys.pop((int(ct.family), *source_of(t), *target_of(t), dport), None)
        tunnel = table.find(int(ct.family), GRE, *source_of(t), *target_of(t), sport, dport, int(ct.zone), p.ts)
        if tunnel is not None:
            table.kill_at(tunnel, p.ts)
            continue
        probe = announce(ct, GRE, source_of(t), target_of(t), dport, sport)
        for one in table.expectations.of(ct):
            if one.fits(probe.tuple, probe.family, GRE, probe.zone):
                table.expectations.remove(one)
    table.keys = {key: value for key, value in table.keys.items() if key[1:5] not in (_ends(ct, ORIGINAL), _ends(ct, REPLY))}


def follow(table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
    """pptp_expectfn, pptp_nat_expected: the tunnel is there, so its other end expects no other; ids are those that each end knows.

    Where the server began a translated tunnel, the kernel looks for the other expectation under call ids of zero, and leaves it.
    """
    master, way = expected.master, int(expected.saved_way)
    translated = is_translated(master)
    for one in table.expectations.of(master) if way == ORIGINAL or not translated else ():
        if one.proto == GRE and int(one.saved_way) == 1 - way:
            table.expectations.remove(one)
    if not translated:
        return
    back = side(master, 1 - way)
    source, target = NatRange(), NatRange()
    target.source = False
    source.family = target.family = int(entry.family)
    source.low_high = source.high_high = back.dst_high
    source.low = source.high = back.dst
    target.low_high = target.high_high = back.src_high
    target.low = target.high = back.src
    led = target if way else source
    led.port_low = led.port_high = expected.saved_port
    setup(table, entry, source, SRC, now)
    setup(table, entry, target, DST, now)


def _ends(ct: Entry, way: int) -> tuple[int, int, int, int]:
    t = side(ct, way)
    return (*source_of(t), *target_of(t))


def _word(text: bytes, at: int) -> int:
    return int.from_bytes(text[at : at + 2], "big")
