"""SIP: who registers will be called, and a session description names the ports of its media (RFC 3261, RFC 4566).

Media are expected where the speaker itself wants them (``sip_direct_media``), RTP on the even port and RTCP behind it; a registration
expects calls to the contact that it names, once the registrar has said yes. Addresses in the text are not translated: nf_nat_sip.c is
not here.

Source: net/netfilter/nf_conntrack_sip.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import EXPECTED, Entry, Extra
from tcemu.conntrack.expect import INACTIVE, PERMANENT, Expectation
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, NF_DROP, TCP, UDP, announce, is_talking, payload, relate, side, source_of
from tcemu.conntrack.names import signed
from tcemu.conntrack.timeouts import SECOND
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

SIGNALLING, AUDIO, VIDEO, IMAGE = 0, 1, 2, 3
CLASSES: Final = {b"audio": AUDIO, b"video": VIDEO, b"image": IMAGE}
TIMEOUT: Final = 3600  # sip_timeout, seconds
SHORTEST: Final = len("SIP/2.0 200")
LOWEST_PORT: Final = 1024
INVITE_SEQ, REGISTER_SEQ = 0, 1  # places in a connection's memory

CSEQ: Final = re.compile(rb"^CSeq\s*:\s*(\d+)\s+(\w+)", re.IGNORECASE | re.MULTILINE)
LENGTH: Final = re.compile(rb"^(?:Content-Length|l)\s*:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
EXPIRES: Final = re.compile(rb"^Expires\s*:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
CONTACT: Final = re.compile(
    rb"^(?:Contact|m)\s*:[^\r\n]*?sips?:(?:[^@\s>;]*@)?(\[[0-9a-f:.]+\]|[0-9.]+)(?::(\d+))?([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
CONTACT_EXPIRES: Final = re.compile(rb"expires=(\d+)", re.IGNORECASE)
CONNECTION: Final = re.compile(rb"^c=IN IP[46] ([0-9a-fA-F:.]+)", re.MULTILINE)
MEDIA: Final = re.compile(rb"^m=(\w+) (\d+)", re.MULTILINE)


class Sip(Helper):
    """memory of a connection: the sequence numbers of the last INVITE and REGISTER."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [1, 4, 4, 2]
        self.times = [180, 180, 180, 180]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if len(text) < SHORTEST or (ct.proto == TCP and not is_talking(p)):
            return NF_ACCEPT
        table.set_timeout(ct, TIMEOUT * SECOND, p.ts)
        if ct.extra is None:
            ct.extra = Extra()
        if not ct.extra.memory:
            ct.extra.memory = [0, 0]
        while len(text) >= SHORTEST:
            head, blank, rest = text.partition(b"\r\n\r\n")
            found = LENGTH.search(head)
            if ct.proto == TCP and (not blank or found is None or int(found[1]) > len(rest)):
                return NF_ACCEPT  # the rest of the message comes with another segment
            size = int(found[1]) if ct.proto == TCP and found is not None else len(rest)
            if self.message(table, p, ct, way, head, rest[:size]) == NF_DROP:
                return NF_DROP
            text = rest[size:]
        return NF_ACCEPT

    def message(self, table: Conntrack, p: Packet, ct: Entry, way: int, head: bytes, body: bytes) -> int:
        """process_sip_msg."""
        first = head.split(b"\r\n", 1)[0].split(b" ")
        seq = CSEQ.search(head)
        answer = first[0].upper() == b"SIP/2.0"
        method = (seq[2] if seq is not None else b"") if answer else first[0]
        if method.upper() not in (b"INVITE", b"UPDATE", b"ACK", b"PRACK", b"BYE", b"REGISTER"):
            return NF_ACCEPT
        if seq is None:
            p.reason = "sip helper: cannot parse cseq"
            return NF_DROP
        number, method = int(seq[1]), method.upper()
        if answer:
            code = int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
            return self.answered(table, p, ct, way, method, code, number, head, body)
        if method == b"REGISTER":
            return self.register(table, p, ct, way, number, head)
        if method in (b"INVITE", b"BYE"):
            forget(table, ct, media=True)
        if method == b"BYE":
            return NF_ACCEPT
        verdict = self.describe(table, p, ct, way, body)
        if method == b"INVITE" and verdict == NF_ACCEPT and ct.extra is not None:
            ct.extra.memory[INVITE_SEQ] = number
        return verdict

    def answered(
        self, table: Conntrack, p: Packet, ct: Entry, way: int, method: bytes, code: int, number: int, head: bytes, body: bytes
    ) -> int:
        """process_sip_response."""
        assert ct.extra is not None
        memory = ct.extra.memory
        if method == b"REGISTER":
            return self.registered(table, p, ct, code, number, head)
        if method in (b"ACK", b"BYE"):
            return NF_ACCEPT
        if 100 <= code <= 299:
            return self.describe(table, p, ct, way, body)
        if memory[INVITE_SEQ] == number:
            forget(table, ct, media=True)
        return NF_ACCEPT

    # ------------------------------------------------------------ media

    def describe(self, table: Conntrack, p: Packet, ct: Entry, way: int, body: bytes) -> int:
        """process_sdp: each medium, at its own address or at the session's."""
        starts = [found.start() for found in MEDIA.finditer(body)]
        session = CONNECTION.search(body, 0, starts[0]) if starts else None
        for start, end in zip(starts, [*starts[1:], len(body)], strict=False):
            medium = MEDIA.match(body, start)
            own = CONNECTION.search(body, start, end) or session
            kind = CLASSES.get(medium[1]) if medium is not None else None
            if medium is None or kind is None or int(medium[2]) == 0:
                continue
            port = int(medium[2])
            target = number_of(own[1], ct.family) if own is not None else None
            if not LOWEST_PORT <= port <= 0xFFFF or target is None:
                p.reason = f"sip helper: wrong port {port}" if target else "sip helper: cannot parse SDP message"
                return NF_DROP
            if self.expect(table, p, ct, way, kind, target, port) == NF_DROP:
                return NF_DROP
        return NF_ACCEPT

    def expect(self, table: Conntrack, p: Packet, ct: Entry, way: int, kind: int, target: tuple[int, int], port: int) -> int:
        """set_expected_rtp_rtcp."""
        if target != source_of(side(ct, way)):
            return NF_ACCEPT
        made: list[Expectation] = []
        for offset in (0, 1):
            new = announce(ct, UDP, source_of(side(ct, 1 - way)), target, (port & ~1) + offset)
            new.kind = kind
            if not relate(self, table, p, new):
                for other in made:
                    table.expectations.remove(other)
                return NF_DROP
            made.append(new)
        return NF_ACCEPT

    # ------------------------------------------------------------ registration

    def register(self, table: Conntrack, p: Packet, ct: Entry, way: int, number: int, head: bytes) -> int:
        """process_register_request: calls will come to the contact, when the registrar agrees."""
        assert ct.extra is not None
        contact = CONTACT.search(head)
        if ct.status & EXPECTED or contact is None:
            return NF_ACCEPT
        target = number_of(contact[1].strip(b"[]"), ct.family)
        if target != source_of(side(ct, way)):
            return NF_ACCEPT  # for somebody else
        if expiry(head, contact):
            new = announce(ct, ct.proto, source_of(side(ct, 1 - way)), target, int(contact[2] or 5060))
            new.flags, new.helper = PERMANENT | INACTIVE, ct.helper
            if not relate(self, table, p, new):
                return NF_DROP
        ct.extra.memory[REGISTER_SEQ] = number
        return NF_ACCEPT

    def registered(self, table: Conntrack, p: Packet, ct: Entry, code: int, number: int, head: bytes) -> int:
        """process_register_response."""
        assert ct.extra is not None
        if ct.extra.memory[REGISTER_SEQ] != number or 100 <= code <= 199:
            return NF_ACCEPT
        if 200 <= code <= 299:
            for contact in CONTACT.finditer(head):
                target, seconds = number_of(contact[1].strip(b"[]"), ct.family), expiry(head, contact)
                for one in table.expectations.of(ct):
                    same = one.kind == SIGNALLING and (one.tuple.dst_high, one.tuple.dst) == target
                    if same and one.tuple.dport == int(contact[2] or 5060) and seconds:
                        one.flags &= ~INACTIVE
                        one.expires = p.ts + seconds * SECOND
                        return NF_ACCEPT
        forget(table, ct, media=False)
        return NF_ACCEPT


def forget(table: Conntrack, ct: Entry, media: bool) -> None:
    """flush_expectations: those of media, or those of signalling."""
    for one in reversed(table.expectations.of(ct)):
        if (one.kind != SIGNALLING) == media:
            table.expectations.remove(one)


def expiry(head: bytes, contact: re.Match[bytes]) -> int:
    """For how many seconds a registration is: the contact's own word, else the header's, else an hour."""
    found = CONTACT_EXPIRES.search(contact[3] or b"") or EXPIRES.search(head)
    return int(found[1]) if found is not None else TIMEOUT


def number_of(text: bytes, family: int) -> tuple[int, int] | None:
    """An address as two halves; None when it is none of the family."""
    from socket import AF_INET, AF_INET6, inet_pton

    try:
        raw = int.from_bytes(inet_pton(AF_INET if family == 4 else AF_INET6, text.decode("ascii")), "big")
    except (OSError, ValueError):
        return None
    return (signed(raw >> 64), signed(raw)) if family == 6 else (0, raw)
