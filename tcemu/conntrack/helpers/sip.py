"""SIP: who registers will be called, and a session description names the ports of its media (RFC 3261, RFC 4566).

Media are expected where the speaker itself wants them (``sip_direct_media``), RTP on the even port and RTCP behind it; a registration
expects calls to the contact that it names, once the registrar has said yes. Of a translated connection addresses and ports are written
anew: request line, Via with its parameters, Contact, From, To, and in the description o=, c= and m= (`tcemu.conntrack.helpers.sip_nat`).

Source: net/netfilter/nf_conntrack_sip.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import EXPECTED, Entry, Extra
from tcemu.conntrack.expect import ADDED, ALREADY, INACTIVE, PERMANENT, REASONS, Expectation
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers import sip_nat, sip_text
from tcemu.conntrack.helpers.common import (
    NF_ACCEPT,
    NF_DROP,
    TCP,
    UDP,
    announce,
    is_talking,
    is_translated,
    payload,
    relate,
    sequence,
    side,
    source_of,
    target_of,
    try_relate,
)
from tcemu.conntrack.helpers.sip_nat import Message
from tcemu.conntrack.seqadj import move
from tcemu.conntrack.timeouts import SECOND
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

SIGNALLING, AUDIO, VIDEO, IMAGE = 0, 1, 2, 3
MEDIA: Final = ((b"audio ", AUDIO), (b"video ", VIDEO), (b"image ", IMAGE))
TIMEOUT: Final = 3600  # sip_timeout, seconds
SHORTEST: Final = len("SIP/2.0 200")
ANSWER: Final = b"sip/2.0 "
INVITE_SEQ, REGISTER_SEQ, FORCED_PORT = 0, 1, 2  # places in a connection's memory
DESCRIBING: Final = (b"invite", b"update", b"ack", b"prack")  # requests that may carry a description
HANDLED: Final = (*DESCRIBING, b"bye", b"register")


class Sip(Helper):
    """memory of a connection: the sequence numbers of the last INVITE and REGISTER, and the port that a phone wants answers on."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [1, 4, 4, 2]
        self.times = [180, 180, 180, 180]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if not text or (ct.proto == TCP and not is_talking(p)):
            return NF_ACCEPT
        table.set_timeout(ct, TIMEOUT * SECOND, p.ts)
        if len(text) < SHORTEST:
            return NF_ACCEPT
        if ct.extra is None:
            ct.extra = Extra()
        if len(ct.extra.memory) < 3:
            ct.extra.memory = [0, 0, 0]
        if ct.proto != TCP:
            return self.message(Message(self, table, p, ct, way, ct.extra.memory, 0, len(text)))
        return self.stream(table, p, ct, way, ct.extra.memory)

    def stream(self, table: Conntrack, p: Packet, ct: Entry, way: int, memory: list[int]) -> int:
        """sip_help_tcp: each whole message of a segment; how much they grew is how far the sequence numbers move."""
        at, grown, seq, verdict = 0, 0, sequence(p), NF_ACCEPT
        while verdict == NF_ACCEPT:
            text = payload(p)[at:]
            found = sip_text.header(text, 0, sip_text.CONTENT_LENGTH, int(ct.family))
            blank = text.find(b"\r\n\r\n", found[0] + found[1]) if isinstance(found, tuple) else -1
            if not isinstance(found, tuple) or blank < 0:
                break
            size = blank + 4 + sip_text.number(text, found[0])
            if size > len(text):
                return NF_ACCEPT  # the rest of the message comes with another segment
            message = Message(self, table, p, ct, way, memory, at, size)
            verdict = self.message(message)
            grown += message.size - size
            at += message.size
        if verdict == NF_ACCEPT and is_translated(ct):
            move(ct, way, seq, grown)
        return verdict

    def message(self, m: Message) -> int:
        """process_sip_msg."""
        answer = m.text[: len(ANSWER)].lower() == ANSWER
        verdict = self.answered(m) if answer else self.asked(m)
        if verdict == NF_ACCEPT and is_translated(m.ct):
            verdict = sip_nat.translate(m, m.text[: len(ANSWER) - 1].lower() != ANSWER[:-1])
        return verdict

    def asked(self, m: Message) -> int:
        """process_sip_request."""
        via = sip_text.uri(m.text, sip_text.VIA_UDP, m.family)
        mine = side(m.ct, m.way)
        if isinstance(via, sip_text.Uri) and via.port != mine.sport and via.address == source_of(mine):
            m.memory[FORCED_PORT] = via.port  # many phones ask from one port and listen on another
        method = next((name for name in HANDLED if m.text[: len(name)].lower() == name), b"")
        if not method:
            return NF_ACCEPT
        number = m.sequence_number()
        if number is None:
            return NF_DROP
        if method == b"register":
            return self.register(m, number)
        if method in (b"invite", b"bye"):
            forget(m.table, m.ct, media=True)
        if method == b"bye":
            return NF_ACCEPT
        verdict = self.describe(m)
        if method == b"invite" and verdict == NF_ACCEPT:
            m.memory[INVITE_SEQ] = number
        return verdict

    def answered(self, m: Message) -> int:
        """process_sip_response."""
        code = sip_text.number(m.text, len(ANSWER))
        if not code:
            return m.drop("sip helper: cannot get code")
        number = m.sequence_number()
        if number is None:
            return NF_DROP
        found = sip_text.header(m.text, 0, sip_text.CSEQ, m.family)
        assert isinstance(found, tuple)
        rest = m.text[found[0] + found[1] + 1 :].lower()
        method = next((name for name in HANDLED if rest.startswith(name) and name not in (b"ack", b"bye")), b"")
        if not method:
            return NF_ACCEPT
        if method == b"register":
            return self.registered(m, code, number)
        if 100 <= code <= 299:
            return self.describe(m)
        if m.memory[INVITE_SEQ] == number:
            forget(m.table, m.ct, media=True)
        return NF_ACCEPT

    # ------------------------------------------------------------ media

    def describe(self, m: Message) -> int:
        """process_sdp: each medium, at its own address or at the session's."""
        version = sip_text.sdp(m.text, 0, sip_text.SDP_VERSION, m.family)
        if not isinstance(version, tuple):
            return NF_ACCEPT
        start = version[0]
        session = m.description_address(start)
        at, count, target = start, 0, (0, 0)
        while count < len(MEDIA):
            found = sip_text.sdp(m.text, at, sip_text.SDP_MEDIA, m.family)
            if not isinstance(found, tuple):
                break
            at, length = found
            kind = next((row for row in MEDIA if m.text.startswith(row[0], at) and len(row[0]) <= length), None)
            if kind is None:
                at += length
                continue
            at, length = at + len(kind[0]), length - len(kind[0])
            port = sip_text.number(m.text, at)
            if port == 0:
                continue
            if not sip_text.LOWEST_PORT <= port <= 0xFFFF:
                return m.drop(f"sip helper: wrong port {port}")
            own = m.description_address(at)
            wanted = own or session
            if wanted is None:
                return m.drop("sip helper: cannot parse SDP message")
            led = self.expect(m, kind[1], wanted, port, at, length)
            if led is None:
                return NF_DROP
            target = led
            if own is not None and is_translated(m.ct) and not sip_nat.write_medium_address(m, at, target):
                return m.drop("sip helper: cannot mangle SDP")
            count += 1
        if is_translated(m.ct) and count and not sip_nat.write_session(m, start, target):
            return m.drop("sip helper: cannot mangle SDP")
        return NF_ACCEPT

    def expect(self, m: Message, kind: int, target: tuple[int, int], port: int, at: int, length: int) -> tuple[int, int] | None:
        """set_expected_rtp_rtcp: where media will go to; None, with the packet's reason, when it may not be expected."""
        if target != source_of(side(m.ct, m.way)):
            return target
        source = source_of(side(m.ct, 1 - m.way))
        target, port, direct, known = direct_media(m, kind, source, target, port)
        base = port & ~1
        if direct and not sip_nat.write_port(m, at, length, base):
            return None
        if known:
            return target
        pair = [announce(m.ct, UDP, source, target, base + offset) for offset in (0, 1)]
        for new in pair:
            new.kind = kind
        if is_translated(m.ct) and not direct:
            return sip_nat.expect_media(m, pair, at, length)
        return target if self.relate_all(m, pair) else None

    def relate_all(self, m: Message, pair: list[Expectation]) -> bool:
        """Both, or none."""
        code = try_relate(self, m.table, m.p, pair[0], True)
        if code in (ADDED, ALREADY):
            second = try_relate(self, m.table, m.p, pair[1], True)
            if second in (ADDED, ALREADY):
                return True
            if code == ADDED:
                m.table.expectations.remove(pair[0])
            code = second
        m.drop(f"sip helper: cannot add expectation: {REASONS[code]}")
        return False

    # ------------------------------------------------------------ registration

    def register(self, m: Message, number: int) -> int:
        """process_register_request: calls will come to the contact, when the registrar agrees."""
        ct = m.ct
        if ct.status & EXPECTED:
            return NF_ACCEPT
        seconds = m.expires()
        contact = sip_text.uri(m.text, sip_text.CONTACT, m.family)
        if not isinstance(contact, sip_text.Uri):
            return m.drop("sip helper: cannot parse contact") if contact else NF_ACCEPT
        if contact.address != source_of(side(ct, m.way)):
            return NF_ACCEPT  # for somebody else
        behind = contact.place + contact.length
        proto = sip_text.transport(m.text, behind, int(ct.proto))
        if not proto:
            return NF_ACCEPT
        said = sip_text.number_parameter(m.text, behind, b"expires=")
        if said is not None:
            seconds = said[1]
        verdict = NF_ACCEPT
        if seconds:
            new = announce(ct, proto, source_of(side(ct, 1 - m.way)), contact.address, contact.port)
            new.flags, new.helper = PERMANENT | INACTIVE, ct.helper
            if is_translated(ct):
                verdict = sip_nat.expect_call(m, new, contact)
            else:
                verdict = NF_ACCEPT if relate(self, m.table, m.p, new) else NF_DROP
        if verdict == NF_ACCEPT:
            m.memory[REGISTER_SEQ] = number
        return verdict

    def registered(self, m: Message, code: int, number: int) -> int:
        """process_register_response."""
        if m.memory[REGISTER_SEQ] != number or 100 <= code <= 199:
            return NF_ACCEPT
        usual = m.expires()
        at, inside = 0, False
        while 200 <= code <= 299:
            contact = sip_text.uri(m.text, sip_text.CONTACT, m.family, at, inside)
            if not isinstance(contact, sip_text.Uri):
                if contact:
                    return m.drop("sip helper: cannot parse contact")
                break
            at, inside = contact.end, True
            behind = contact.place + contact.length
            proto = sip_text.transport(m.text, behind, int(m.ct.proto))
            if contact.address != target_of(side(m.ct, m.way)) or not proto:
                continue
            said = sip_text.number_parameter(m.text, behind, b"expires=")
            seconds = said[1] if said is not None else usual
            if seconds == 0:
                break
            if refresh(m, contact, proto, seconds):
                return NF_ACCEPT
        forget(m.table, m.ct, media=False)
        return NF_ACCEPT


def direct_media(
    m: Message, kind: int, source: tuple[int, int], target: tuple[int, int], port: int
) -> tuple[tuple[int, int], int, bool, bool]:
    """Another connection expects these media already: where they go in truth, if both are translated, and whether that is enough.

    (target, port, the text is to be changed, nothing more is to be expected)
    """
    direct = False
    while True:
        probe = announce(m.ct, UDP, source, target, port)
        other = next((one for one in m.table.expectations.all if one.fits(probe.tuple, probe.family, UDP, probe.zone)), None)
        if other is None or other.master is m.ct or other.master.helper != m.ct.helper or other.kind != kind:
            return target, port, direct, False
        saved = (other.saved_high, other.saved)
        moved = saved != target_of(other.tuple) or other.saved_port != other.tuple.dport
        if direct or not moved or not is_translated(m.ct):
            return target, port, direct, True
        target, port, direct = saved, int(other.saved_port), True


def refresh(m: Message, contact: sip_text.Uri, proto: int, seconds: int) -> bool:
    """refresh_signalling_expectation: the registrar agrees."""
    for one in m.table.expectations.of(m.ct):
        t = one.tuple
        if one.kind == SIGNALLING and target_of(t) == contact.address and one.proto == proto and t.dport == contact.port:
            one.flags &= ~INACTIVE
            one.expires = m.p.ts + seconds * SECOND
            return True
    return False


def forget(table: Conntrack, ct: Entry, media: bool) -> None:
    """flush_expectations: those of media, or the newest of signalling."""
    for one in reversed(table.expectations.of(ct)):
        if (one.kind != SIGNALLING) == media:
            table.expectations.remove(one)
            if not media:
                return
