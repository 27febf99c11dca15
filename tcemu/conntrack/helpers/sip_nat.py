"""What SIP says of addresses and ports, written as the far end of a translated connection has to read it.

A change moves what stands behind it, so a `Message` reads its packet anew after each. Lengths that the text itself tells
(Content-Length) follow, the segment's sequence numbers too (`tcemu.conntrack.helpers.sip`).

Source: net/netfilter/nf_nat_sip.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.conntrack.entry import REPLY, Entry
from tcemu.conntrack.expect import ADDED, CLASH, FOLLOW_SIP, Expectation
from tcemu.conntrack.helpers import sip_text
from tcemu.conntrack.helpers.common import NF_ACCEPT, NF_DROP, TCP, find_port, payload, side, source_of, target_of, try_relate
from tcemu.conntrack.names import address as spell
from tcemu.conntrack.nat import DST, SRC, NatRange, setup
from tcemu.fields import G_IP6, IP6_DADDR, IP_DADDR
from tcemu.packet.packet import Packet
from tcemu.packet.rewrite import replace_payload
from tcemu.packet.rewrite import translate as rewrite

if TYPE_CHECKING:
    from tcemu.conntrack.helpers.sip import Sip
    from tcemu.conntrack.table import Conntrack

FORCED_PORT: Final = 2  # place in a connection's memory


class Message:
    """One message of a packet's payload: from ``at`` on, ``size`` bytes long."""

    def __init__(self, helper: Sip, table: Conntrack, p: Packet, ct: Entry, way: int, memory: list[int], at: int, size: int) -> None:
        self.helper, self.table, self.p, self.ct, self.way, self.memory = helper, table, p, ct, way, memory
        self.at, self.size = at, size
        self.family = int(ct.family)
        self.text = payload(p)[at : at + size]

    def drop(self, why: str) -> int:
        """nf_ct_helper_log, and the packet goes."""
        self.p.reason = self.p.reason or why
        return NF_DROP

    def replace(self, place: int, length: int, text: str) -> bool:
        """mangle_packet."""
        raw = text.encode()
        if not replace_payload(self.p, self.at + place, length, raw):
            return False
        self.size += len(raw) - length
        self.text = payload(self.p)[self.at : self.at + self.size]
        return True

    def sequence_number(self) -> int | None:
        """That of CSeq; None, with the packet's reason, without it."""
        found = sip_text.header(self.text, 0, sip_text.CSEQ, self.family)
        if not isinstance(found, tuple):
            self.drop("sip helper: cannot parse cseq")
            return None
        return sip_text.number(self.text, found[0])

    def expires(self) -> int:
        """The header Expires; 0 without it."""
        found = sip_text.header(self.text, 0, sip_text.EXPIRES, self.family)
        return sip_text.number(self.text, found[0]) if isinstance(found, tuple) else 0

    def description_address(self, at: int) -> tuple[int, int] | None:
        """The c= line behind ``at`` and before the next medium."""
        found = sip_text.sdp(self.text, at, sip_text.SDP_CONNECTION[self.family], self.family, sip_text.SDP_MEDIA)
        read = sip_text.read_address(self.text, found[0], self.family, False) if isinstance(found, tuple) else None
        return read[0] if read is not None else None

    def spelled(self, address: tuple[int, int], brackets: bool) -> str:
        """sip_sprintf_addr."""
        text = spell(self.family, *address)
        return f"[{text}]" if brackets and self.family == 6 else text


# ---------------------------------------------------------------------- headers


def translate(m: Message, request: bool) -> int:
    """nf_nat_sip: request line, Via, Contact, From and To."""
    if request:
        named = sip_text.request_uri(m.text, m.family)
        if isinstance(named, sip_text.Uri) and not map_address(m, named):
            return m.drop("sip helper: cannot mangle SIP message")
    if not _via(m, request):
        return m.drop("sip helper: cannot mangle Via header")
    at, inside = 0, False
    while True:
        before = len(m.text)
        contact = sip_text.uri(m.text, sip_text.CONTACT, m.family, at, inside)
        if not isinstance(contact, sip_text.Uri):
            break
        if not map_address(m, contact):
            return m.drop("sip helper: cannot mangle contact")
        at, inside = contact.end + min(len(m.text) - before, 0), True
    for kind in (sip_text.FROM, sip_text.TO):
        found = sip_text.uri(m.text, kind, m.family)
        if isinstance(found, sip_text.Uri) and not map_address(m, found):
            return m.drop("sip helper: cannot mangle SIP from/to")
    if m.way == REPLY and m.memory[FORCED_PORT] and not _redirect(m.p, m.memory[FORCED_PORT]):
        return m.drop("sip helper: cannot mangle packet")
    return NF_ACCEPT


def map_address(m: Message, found: sip_text.Uri) -> bool:
    """map_addr: an end of the connection, as the other side knows it; what is neither stays."""
    mine, back = side(m.ct, m.way), side(m.ct, 1 - m.way)
    if (found.address, found.port) == (source_of(mine), mine.sport):
        new, port = target_of(back), int(back.dport)
    elif (found.address, found.port) == (target_of(mine), mine.dport):
        new, port = source_of(back), m.memory[FORCED_PORT] or int(back.sport)
    else:
        return True
    if (new, port) == (found.address, found.port):
        return True
    return m.replace(found.place, found.length, f"{m.spelled(new, True)}:{port}")


def _redirect(p: Packet, port: int) -> bool:
    """Another destination port."""
    f = p.f
    high, low = (f[IP6_DADDR], f[IP6_DADDR + 1]) if p.groups & G_IP6 else (0, f[IP_DADDR])
    return rewrite(p, False, high, low, port)


def _via(m: Message, request: bool) -> bool:
    """The topmost Via, if it is about this connection, and its parameters maddr, received and rport (RFC 3581)."""
    kind = sip_text.VIA_TCP if m.ct.proto == TCP else sip_text.VIA_UDP
    via = sip_text.uri(m.text, kind, m.family)
    if not isinstance(via, sip_text.Uri):
        return True
    mine, back = side(m.ct, m.way), side(m.ct, 1 - m.way)
    end = (source_of(mine), mine.sport) if request else (target_of(mine), mine.dport)
    if (via.address, via.port) != end:
        return True
    before = len(m.text)
    if not map_address(m, via):
        return False
    at = via.place + via.length + len(m.text) - before
    for name, brackets, old, new in (
        (b"maddr=", True, source_of(mine), target_of(back)),
        (b"received=", False, target_of(mine), source_of(back)),
    ):
        found = sip_text.address_parameter(m.text, at, name, m.family, brackets)
        if found is not None and found[1] == old and old != new and not m.replace(*found[0], m.spelled(new, brackets)):
            return False
    port = sip_text.number_parameter(m.text, at, b"rport=")
    if port is not None and port[1] == mine.dport and port[1] != back.sport:
        return m.replace(*port[0], str(int(back.sport)))
    return True


# ---------------------------------------------------------------------- descriptions


def write_port(m: Message, at: int, length: int, port: int) -> bool:
    """nf_nat_sdp_port."""
    return m.replace(at, length, str(port)) and _content_length(m)


def write_medium_address(m: Message, at: int, target: tuple[int, int]) -> bool:
    """nf_nat_sdp_addr: the c= of a medium."""
    return _sdp(m, at, sip_text.SDP_CONNECTION[m.family], target) == 1 and _content_length(m)


def write_session(m: Message, at: int, target: tuple[int, int]) -> bool:
    """nf_nat_sdp_session: o=, and c= where the session has one."""
    if _sdp(m, at, sip_text.SDP_OWNER[m.family], target) != 1 or _sdp(m, at, sip_text.SDP_CONNECTION[m.family], target) < 0:
        return False
    return _content_length(m)


def _sdp(m: Message, at: int, kind: sip_text.Header, target: tuple[int, int]) -> int:
    """mangle_sdp_packet: 1 done, 0 there is none, -1 it cannot be done."""
    found = sip_text.sdp(m.text, at, kind, m.family, sip_text.SDP_MEDIA)
    if not isinstance(found, tuple):
        return 0
    return 1 if m.replace(*found, m.spelled(target, False)) else -1


def _content_length(m: Message) -> bool:
    """mangle_content_len: from v= to the end."""
    version = sip_text.sdp(m.text, 0, sip_text.SDP_VERSION, m.family)
    found = sip_text.header(m.text, 0, sip_text.CONTENT_LENGTH, m.family)
    if not isinstance(version, tuple) or not isinstance(found, tuple):
        return False
    return m.replace(*found, str(len(m.text) - version[0] + 2))


# ---------------------------------------------------------------------- expectations


def expect_call(m: Message, new: Expectation, contact: sip_text.Uri) -> int:
    """nf_nat_sip_expect: calls come to the address that the far end knows, on the same port or on one that is free."""
    mine, back = side(m.ct, m.way), side(m.ct, 1 - m.way)
    place = new.tuple
    wanted = int(place.dport)
    first = int(back.dport) if wanted == (m.memory[FORCED_PORT] or mine.sport) else wanted
    _lead(m, new)
    if not find_port(m.helper, m.table, m.p, new, first)[1]:
        return m.drop("sip helper: all ports in use for SIP")
    if (target_of(place), place.dport) == ((new.saved_high, new.saved), new.saved_port):
        return NF_ACCEPT
    if m.replace(contact.place, contact.length, f"{m.spelled(target_of(place), True)}:{int(place.dport)}"):
        return NF_ACCEPT
    m.table.expectations.remove(new)
    return m.drop("sip helper: cannot mangle packet")


def expect_media(m: Message, pair: list[Expectation], at: int, length: int) -> tuple[int, int] | None:
    """nf_nat_sdp_media: the same two ports if they are free, else the next two that are; the address that the far end shall use."""
    first = int(pair[0].tuple.dport)
    for new in pair:
        _lead(m, new)
    for port in range(first, 0x10000, 2):
        codes: list[int] = []
        for offset, new in enumerate(pair):
            new.tuple.dport = port + offset
            codes.append(try_relate(m.helper, m.table, m.p, new, True))
            if codes[-1] != ADDED:
                break
        if codes == [ADDED, ADDED]:
            break
        if len(codes) == 2:
            m.table.expectations.remove(pair[0])
        if codes[-1] != CLASH:
            m.drop("sip helper: all ports in use for SDP media")
            return None
    else:
        m.drop("sip helper: all ports in use for SDP media")
        return None
    if pair[0].tuple.dport != pair[0].saved_port and not write_port(m, at, length, int(pair[0].tuple.dport)):
        for new in pair:
            m.table.expectations.remove(new)
        m.drop("sip helper: cannot mangle SDP message")
        return None
    return target_of(pair[0].tuple)


def _lead(m: Message, new: Expectation) -> None:
    """Who comes to the address that the far end knows is led to the one that was said."""
    mine, back = side(m.ct, m.way), side(m.ct, 1 - m.way)
    t = new.tuple
    new.saved_high, new.saved, new.saved_port = t.dst_high, t.dst, t.dport
    new.saved_way, new.follow = 1 - m.way, FOLLOW_SIP
    if source_of(mine) != target_of(back):
        t.dst_high, t.dst = target_of(back)


def follow(table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
    """nf_nat_sip_expected: to where it was expected, and from where the far end's own media are expected, or from the master's address."""
    wanted = NatRange()
    wanted.source, wanted.family = False, int(entry.family)
    wanted.low_high = wanted.high_high = expected.saved_high
    wanted.low = wanted.high = expected.saved
    wanted.port_low = wanted.port_high = expected.saved_port
    setup(table, entry, wanted, DST, now)
    came = entry.orig
    source = NatRange()
    source.family = int(entry.family)
    for one in table.expectations.of(expected.master) if expected.kind else ():
        if one.proto == entry.proto and (one.saved_high, one.saved, one.saved_port) == (came.src_high, came.src, came.sport):
            source.port_low = source.port_high = one.tuple.dport
            source.low_high = source.high_high = one.tuple.dst_high
            source.low = source.high = one.tuple.dst
            setup(table, entry, source, SRC, now)
            return
    if source_of(came) == source_of(side(expected.master, int(expected.saved_way))):
        there = side(expected.master, 1 - int(expected.saved_way))
        source.low_high = source.high_high = there.dst_high
        source.low = source.high = there.dst
        setup(table, entry, source, SRC, now)
