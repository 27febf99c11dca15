"""FTP: PORT and EPRT of the client, 227 and 229 of the server (RFC 959, RFC 2428).

A command is looked for only where a line begins, so the ends of the last lines are remembered by sequence number. An address that is
not the speaker's own is not believed (the module's parameter ``loose`` is 0), and a command that is cut drops the packet.

Sources: net/netfilter/nf_conntrack_ftp.c, nf_nat_ftp.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.conntrack.entry import Entry, Extra
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import (
    NF_ACCEPT,
    NF_DROP,
    TCP,
    announce,
    dotted,
    follow,
    give_up,
    is_talking,
    is_translated,
    payload,
    relate,
    relate_somewhere,
    rewrite,
    sequence,
    side,
    source_of,
    target_of,
)
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

M32: Final = 0xFFFFFFFF
REMEMBERED: Final = 2  # ends of lines, a direction


class Place(NamedTuple):
    """An announced place, and where in the payload it is written. address: None when the text names none."""

    address: tuple[int, int] | None
    port: int
    at: int
    length: int


Reader = Callable[[bytes, int, int], "Place | None"]


class Pattern(NamedTuple):
    """A command: how it begins, what to skip up to, and who reads the rest."""

    kind: str
    begin: bytes
    skip: bytes
    read: Reader


def numbers(text: bytes, count: int, separator: bytes, end: bytes) -> tuple[list[int], int] | None:
    """try_number: ``count`` decimal numbers; ``end``: what must follow (empty: anything may)."""
    found = [0] * count
    at = 0
    for place, byte in enumerate(text):
        if 48 <= byte <= 57:
            found[at] = (found[at] * 10 + byte - 48) & M32
        elif byte == separator[0]:
            at += 1
            if at == count:
                return None
        else:
            return (found, place) if at == count - 1 and (not end or byte == end[0]) else None
    return None


def port_of(text: bytes, at: int, delimiter: int) -> tuple[int, int] | None:
    """get_port: a number and the delimiter behind it; the number and the place behind both."""
    port = 0
    for place in range(at, len(text)):
        byte = text[place]
        if byte == delimiter:
            return (port, place + 1) if port else None
        if not 48 <= byte <= 57:
            return None
        port = (port * 10 + byte - 48) & 0xFFFF
    return None


def read_port(text: bytes, at: int, family: int) -> Place | None:
    """h1,h2,h3,h4,p1,p2 and the end of the line (try_rfc959)."""
    return _six(text, at, b"\r")


def read_passive(text: bytes, at: int, family: int) -> Place | None:
    """The same, wherever the first digit is (try_rfc1123)."""
    while at < len(text) and not 48 <= text[at] <= 57:
        at += 1
    return _six(text, at, b"")


def _six(text: bytes, at: int, end: bytes) -> Place | None:
    found = numbers(text[at:], 6, b",", end)
    if found is None:
        return None
    parts, length = found
    address = (parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]) & M32
    return Place((0, address), (parts[4] << 8 | parts[5]) & 0xFFFF, at, length)


def read_extended_port(text: bytes, at: int, family: int) -> Place | None:
    """|1|address|port| or |2|…| (try_eprt)."""
    rest = text[at:]
    if len(rest) <= 3 or not _delimits(rest[0]) or rest[2] != rest[0]:
        return None
    if rest[1:2] != (b"1" if family == 4 else b"2"):
        return None
    delimiter = rest[:1]
    if family == 4:
        found = numbers(rest[3:], 4, b".", delimiter)
        if found is None or not found[1]:
            return None
        parts, length = found
        address = (0, (parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]) & M32)
    else:
        words = rest[3:].split(delimiter, 1)
        wide = _wide(words[0]) if len(words) == 2 else None
        if wide is None:
            return None
        address, length = wide, len(words[0])
    found_port = port_of(rest, 3 + length + 1, rest[0])
    return Place(address, found_port[0], at, found_port[1]) if found_port else None


def read_extended_passive(text: bytes, at: int, family: int) -> Place | None:
    """|||port| (try_epsv_response)."""
    rest = text[at:]
    if len(rest) <= 3 or not _delimits(rest[0]) or rest[1] != rest[0] or rest[2] != rest[0]:
        return None
    found = port_of(rest, 3, rest[0])
    return Place(None, found[0], at, found[1]) if found else None


def _delimits(byte: int) -> bool:
    return 33 <= byte <= 126 and not 48 <= byte <= 57


def _wide(text: bytes) -> tuple[int, int] | None:
    from socket import AF_INET6, inet_pton

    from tcemu.conntrack.names import signed

    try:
        raw = int.from_bytes(inet_pton(AF_INET6, text.decode("ascii")), "big")
    except (OSError, ValueError):
        return None
    return (signed(raw >> 64), signed(raw))


PATTERNS: Final = (
    (Pattern("PORT", b"PORT", b" ", read_port), Pattern("EPRT", b"EPRT", b" ", read_extended_port)),
    (Pattern("PASV", b"227 ", b"", read_passive), Pattern("EPSV", b"229 ", b"(", read_extended_passive)),
)


def find(text: bytes, pattern: Pattern, family: int) -> Place | bool:
    """find_pattern: the place; False when the text is none of this; True when it is but cannot be read."""
    begin = pattern.begin
    if len(text) <= len(begin):
        return text.upper() == begin[: len(text)].upper()
    if text[: len(begin)].upper() != begin:
        return False
    at = len(begin)
    if pattern.skip:
        at = text.find(pattern.skip, at, len(text) - 1)
        if at < 0:
            return True
        at += 1
    found = pattern.read(text, at, family)
    return found if found is not None and found.length > 0 else True


class Ftp(Helper):
    """memory of a connection: (how many, the ends of lines) of the original, then of the reply direction."""

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)
        if not is_talking(p) or not text:
            return NF_ACCEPT
        memory = _memory(ct)
        here = memory[way * 3 + 1 : way * 3 + 1 + memory[way * 3]]
        after = (sequence(p) + len(text)) & M32
        verdict = self.look(table, p, ct, way, text) if sequence(p) in here else NF_ACCEPT
        if text.endswith(b"\n") and verdict == NF_ACCEPT:
            _note(memory, way, after)
        return verdict

    def look(self, table: Conntrack, p: Packet, ct: Entry, way: int, text: bytes) -> int:
        """A line begins here: is it one of the four?"""
        for pattern in PATTERNS[way]:
            found = find(text, pattern, ct.family)
            if found is False:
                continue
            if not isinstance(found, Place):
                p.reason = f"ftp helper: partial matching of `{pattern.begin.decode().strip()}'"
                return NF_DROP
            return self.expect(table, p, ct, way, pattern.kind, found)
        return NF_ACCEPT

    def expect(self, table: Conntrack, p: Packet, ct: Entry, way: int, kind: str, place: Place) -> int:
        """The other side will come to that place."""
        back = side(ct, 1 - way)
        if place.address is not None and place.address != source_of(side(ct, way)):
            return NF_ACCEPT
        new = announce(ct, TCP, source_of(back), target_of(back), place.port)
        if not is_translated(ct):
            return NF_ACCEPT if relate(self, table, p, new) else NF_DROP
        follow(new, 1 - way, place.port)
        port = relate_somewhere(self, table, p, new, place.port)
        if not port:
            return NF_DROP
        good = rewrite(p, ct, way, place.at, place.length, spelled(kind, ct.family, target_of(back), port))
        return NF_ACCEPT if good else give_up(table, new)


def spelled(kind: str, family: int, address: tuple[int, int], port: int) -> bytes:
    """nf_nat_ftp_fmt_cmd."""
    if kind in ("PORT", "PASV"):
        return f"{dotted(address[1]).replace('.', ',')},{port >> 8},{port & 255}".encode()
    if kind == "EPSV":
        return f"|||{port}|".encode()
    if family == 4:
        return f"|1|{dotted(address[1])}|{port}|".encode()
    raw = ((address[0] & ((1 << 64) - 1)) << 64 | address[1] & ((1 << 64) - 1)).to_bytes(16, "big").hex()
    return f"|2|{':'.join(raw[at : at + 4] for at in range(0, 32, 4))}|{port}|".encode()


def _memory(ct: Entry) -> list[int]:
    if ct.extra is None:
        ct.extra = Extra()
    if not ct.extra.memory:
        ct.extra.memory = [0] * 6
    return ct.extra.memory


def _note(memory: list[int], way: int, after: int) -> None:
    """update_nl_seq: remember the end of a line instead of the older of two."""
    at = way * 3
    ends = memory[at + 1 : at + 1 + memory[at]]
    if after in ends:
        return
    if len(ends) < REMEMBERED:
        memory[at] += 1
        memory[at + memory[at]] = after
    elif (memory[at + 1] - memory[at + 2]) & 0x80000000:
        memory[at + 1] = after
    else:
        memory[at + 2] = after
