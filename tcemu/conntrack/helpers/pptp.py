"""PPTP: the control connection agrees on two call ids, and GRE with these ids is the tunnel (RFC 2637).

The control connection is taken to lead from the client (PNS) to the server (PAC). GRE of version 1 carries only the receiver's call id;
the sender's is remembered here (the kernel's key map), so that both directions are one connection.

Source: net/netfilter/nf_conntrack_pptp.c. Translated tunnels keep their call ids: nf_nat_pptp.c is not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import Entry, Extra
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, announce, is_talking, payload, relate, source_of, target_of
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

GRE: Final = 47
CONTROL: Final = b"\x00\x01\x1a\x2b\x3c\x4d"  # message type and magic cookie
# control message types
START_REQUEST, START_REPLY, STOP_REQUEST, STOP_REPLY = 1, 2, 3, 4
OUT_REQUEST, OUT_REPLY, CLEAR_REQUEST, DISCONNECT = 7, 8, 12, 13
NONE, REQUESTED, CONFIRMED = 0, 1, 2
SESSION, CALL, CLIENT_ID, SERVER_ID = 0, 1, 2, 3  # places in a connection's memory


class Pptp(Helper):
    """Two expectations: the tunnel, from either end."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [2]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if not is_talking(p) or len(text) < 12 or text[2:8] != CONTROL:
            return NF_ACCEPT
        if ct.extra is None:
            ct.extra = Extra()
        if not ct.extra.memory:
            ct.extra.memory = [NONE, NONE, 0, 0]
        kind, body = int.from_bytes(text[8:10], "big"), text[12:]
        if way:
            self.from_server(table, p, ct, kind, body)
        else:
            self.from_client(ct.extra.memory, kind, body)
        return NF_ACCEPT

    def from_client(self, memory: list[int], kind: int, body: bytes) -> None:
        """pptp_outbound_pkt."""
        if kind == START_REQUEST and memory[SESSION] == NONE:
            memory[SESSION] = REQUESTED
        elif kind == OUT_REQUEST and memory[SESSION] == CONFIRMED and len(body) >= 2:
            memory[CALL], memory[CLIENT_ID] = REQUESTED, int.from_bytes(body[:2], "big")
        elif kind == STOP_REQUEST:
            memory[SESSION] = NONE
        elif kind == CLEAR_REQUEST:
            memory[CALL] = NONE

    def from_server(self, table: Conntrack, p: Packet, ct: Entry, kind: int, body: bytes) -> None:
        """pptp_inbound_pkt."""
        assert ct.extra is not None
        memory = ct.extra.memory
        if kind == START_REPLY and memory[SESSION] >= REQUESTED and len(body) >= 3:
            memory[SESSION] = CONFIRMED if body[2] == 1 else NONE
        elif kind == STOP_REPLY:
            memory[SESSION] = NONE
        elif kind == DISCONNECT:
            memory[CALL] = NONE
        elif kind == OUT_REPLY and memory[CALL] >= REQUESTED and len(body) >= 5:
            server, client = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
            if client != memory[CLIENT_ID]:
                return
            if body[4] != 1:
                memory[CALL] = NONE
                return
            memory[CALL], memory[SERVER_ID] = CONFIRMED, server
            self.tunnel(table, p, ct, client, server)

    def tunnel(self, table: Conntrack, p: Packet, ct: Entry, client: int, server: int) -> None:
        """exp_gre: either end may send first, with the other's call id."""
        for t, mine, theirs in ((ct.orig, client, server), (ct.reply, server, client)):
            new = announce(ct, GRE, source_of(t), target_of(t), theirs, mine)
            if not relate(self, table, p, new):
                p.reason = ""
                return
            table.keys[(ct.family, *source_of(t), *target_of(t), theirs)] = mine
