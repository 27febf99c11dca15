"""SIP and SDP as the kernel reads them: where in a message a header's value stands (RFC 3261, RFC 4566).

Headers begin a line and may go on over several; a comma separates values of one header. Every function takes the message and places in
it, and gives places in it back: (place, length), or None when there is nothing, or `BAD` when there is something that cannot be read.

Source: net/netfilter/nf_conntrack_sip.c (ct_sip_get_header, ct_sip_parse_header_uri, ct_sip_parse_*_param, ct_sip_get_sdp_header,
ct_sip_parse_request), what it does with a message and not how.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tcemu.conntrack.names import signed

BAD: Final = -1
PORT: Final = 5060  # of an address without one
LOWEST_PORT: Final = 1024

Address = tuple[int, int]  # two halves
Found = tuple[int, int]  # place and length
Length = Callable[[bytes, int, int], Found]  # of a value that stands at a place: what to skip in front of it, and its length


class Uri(NamedTuple):
    """An address with a port, where it stands, and where its header may go on."""

    place: int
    length: int
    address: Address
    port: int
    end: int


class Header(NamedTuple):
    """A header's name and short name, what its value stands behind, and how its value is measured."""

    name: bytes
    short: bytes
    search: bytes
    measure: Length


_DOTTED: Final = re.compile(rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![0-9.])")
_COLONS: Final = re.compile(rb"[0-9a-fA-F:.]+")
_DIGITS: Final = re.compile(rb"\d*")
_LETTERS: Final = re.compile(rb"[A-Za-z]*")


def read_address(text: bytes, at: int, family: int, brackets: bool) -> tuple[Address, int] | None:
    """sip_parse_addr, sdp_parse_addr: an address and the place behind it; IPv6 may (``brackets``: must) stand in brackets."""
    if family == 4:
        found = _DOTTED.match(text, at)
        if found is None or any(int(part) > 255 for part in found.groups()):
            return None
        value = 0
        for part in found.groups():
            value = value << 8 | int(part)
        return (0, value), found.end()
    opened = text[at : at + 1] == b"["
    if brackets and not opened:
        return None
    found = _COLONS.match(text, at + opened)
    wide = _wide(found[0]) if found is not None else None
    if found is None or wide is None:
        return None
    closed = text[found.end() : found.end() + 1] == b"]"
    if brackets and not closed:
        return None
    return wide, found.end() + (closed and (opened or brackets))


def _wide(text: bytes) -> Address | None:
    from socket import AF_INET6, inet_pton

    try:
        raw = int.from_bytes(inet_pton(AF_INET6, text.decode("ascii")), "big")
    except (OSError, ValueError):
        return None
    return signed(raw >> 64), signed(raw)


def number(text: bytes, at: int) -> int:
    """The decimal number that stands there; 0 without one."""
    found = _DIGITS.match(text, at)
    return int(found[0]) if found is not None and found[0] else 0


def _digits(text: bytes, at: int, family: int) -> Found:
    found = _DIGITS.match(text, at)
    return 0, len(found[0]) if found is not None else 0


def _medium(text: bytes, at: int, family: int) -> Found:
    """A word, a space and digits."""
    word = _LETTERS.match(text, at)
    behind = word.end() if word is not None else at
    if text[behind : behind + 1] != b" ":
        return 0, 0
    return 0, behind + 1 - at + _digits(text, behind + 1, family)[1]


def _endpoint(text: bytes, at: int, family: int) -> Found:
    """An address and perhaps a port."""
    found = read_address(text, at, family, True)
    if found is None:
        return 0, 0
    end = found[1]
    if text[end : end + 1] == b":":
        end += 1 + _digits(text, end + 1, family)[1]
    return 0, end - at


def _user_endpoint(text: bytes, at: int, family: int) -> Found:
    """The same, behind a user's name on that line."""
    place = at
    while place < len(text) and text[place] not in b"@\r\n":
        place += 1
    skip = place + 1 - at if text[place : place + 1] == b"@" else 0
    return skip, _endpoint(text, at + skip, family)[1]


def _plain_address(text: bytes, at: int, family: int) -> Found:
    found = read_address(text, at, family, False)
    return 0, found[1] - at if found is not None else 0


CSEQ: Final = Header(b"CSeq", b"", b"", _digits)
FROM: Final = Header(b"From", b"f", b"sip:", _user_endpoint)
TO: Final = Header(b"To", b"t", b"sip:", _user_endpoint)
CONTACT: Final = Header(b"Contact", b"m", b"sip:", _user_endpoint)
VIA_UDP: Final = Header(b"Via", b"v", b"UDP ", _endpoint)
VIA_TCP: Final = Header(b"Via", b"v", b"TCP ", _endpoint)
EXPIRES: Final = Header(b"Expires", b"", b"", _digits)
CONTENT_LENGTH: Final = Header(b"Content-Length", b"l", b"", _digits)

SDP_VERSION: Final = Header(b"v=", b"", b"", _digits)
SDP_MEDIA: Final = Header(b"m=", b"", b"", _medium)
SDP_OWNER: Final = {family: Header(b"o=", b"", f"IN IP{family} ".encode(), _plain_address) for family in (4, 6)}
SDP_CONNECTION: Final = {family: Header(b"c=", b"", f"IN IP{family} ".encode(), _plain_address) for family in (4, 6)}


def _line_after(text: bytes, at: int) -> int:
    """The place behind the end of a line that stands at ``at``."""
    return at + 2 if text[at : at + 2] == b"\r\n" else at + 1


def _follow(text: bytes, at: int) -> int:
    """sip_follow_continuation: behind the end of the line at ``at``, where the next goes on with it; -1 where it does not."""
    at = _line_after(text, at)
    if at >= len(text) or text[at] not in b" \t":
        return -1
    while at < len(text) and text[at] in b" \t":
        at += 1
    return at


def _skip_blanks(text: bytes, at: int) -> int:
    """sip_skip_whitespace; -1 at the end of the header."""
    while at < len(text):
        if text[at] == 0x20:
            at += 1
        elif text[at] in b"\r\n":
            at = _follow(text, at)
            if at < 0:
                return -1
        else:
            return at
    return at


def search(text: bytes, at: int, needle: bytes, limit: int = -1) -> int:
    """ct_sip_header_search: where a header's value has it, in any case; -1 where it does not."""
    last = (len(text) if limit < 0 else limit) - len(needle)
    wanted = needle.lower()
    while at < last:
        if text[at] in b"\r\n":
            at = _follow(text, at)
            if at < 0:
                return -1
            continue
        if text[at : at + len(needle)].lower() == wanted:
            return at
        at += 1
    return -1


def header(text: bytes, at: int, kind: Header, family: int) -> Found | int:
    """ct_sip_get_header: the first of that name behind ``at``; 0 without one, `BAD` (and see `bad_place`) for one that cannot be read."""
    end = len(text)
    while at < end:
        if text[at] not in b"\r\n":
            at += 1
            continue
        at = _line_after(text, at)
        if at >= end:
            break
        if text[at] in b" \t":
            at += 1
            continue
        name = _name_length(text, at, kind)
        if not name:
            at += 1  # also past the second of two bare newlines, so the line behind is not seen
            continue
        at = _skip_blanks(text, at + name)
        if at < 0 or at >= end or text[at] != 0x3A or at + 1 >= end:
            break
        at = _skip_blanks(text, at + 1)
        if at < 0:
            break
        return _value(text, at, kind, family)
    return 0


def _name_length(text: bytes, at: int, kind: Header) -> int:
    if text[at : at + len(kind.name)].lower() == kind.name.lower():
        return len(kind.name)
    size = len(kind.short)
    if size and text[at : at + size].lower() == kind.short and not text[at + size : at + size + 1].isalpha():
        return size if at + size < len(text) else 0
    return 0


def _value(text: bytes, at: int, kind: Header, family: int) -> Found | int:
    place = at
    if kind.search:
        place = search(text, at, kind.search)
        if place < 0:
            return BAD - at
        place += len(kind.search)
    skip, length = kind.measure(text, place, family)
    return (place + skip, length) if length else BAD - at


def _next_value(text: bytes, at: int, kind: Header, family: int) -> Found | int:
    """ct_sip_next_header: the next of the values that commas separate."""
    comma = search(text, at, b",")
    place = search(text, comma, kind.search) if comma >= 0 else -1
    if place < 0:
        return 0
    place += len(kind.search)
    skip, length = kind.measure(text, place, family)
    return (place + skip, length) if length else BAD - place


def walk(text: bytes, at: int, kind: Header, family: int, inside: bool) -> Found | None:
    """ct_sip_walk_headers: the next value that can be read; ``inside``: ``at`` stands in a header of that name."""
    if inside:
        while True:
            found = _next_value(text, at, kind, family)
            if isinstance(found, tuple):
                return found
            if found == 0:
                break
            at += BAD - found
            if at >= len(text):
                return None
    while True:
        found = header(text, at, kind, family)
        if isinstance(found, tuple):
            return found
        if found == 0:
            return None
        at += BAD - found
        if at >= len(text):
            return None


def uri(text: bytes, kind: Header, family: int, at: int = 0, inside: bool = False) -> Uri | int:
    """ct_sip_parse_header_uri: an address in a header; 0 without one, `BAD` where it cannot be read."""
    found = walk(text, at, kind, family, inside)
    if found is None:
        return 0
    return _uri(text, found[0], family, found[1])


def _uri(text: bytes, at: int, family: int, length: int) -> Uri | int:
    read = read_address(text, at, family, True)
    if read is None:
        return BAD
    address, end = read
    port = PORT
    if text[end : end + 1] == b":":
        port = number(text, end + 1)
        end += 1 + _digits(text, end + 1, family)[1]
        if not LOWEST_PORT <= port <= 0xFFFF:
            return BAD
    return Uri(at, length if length >= 0 else end - at, address, port, end)


def request_uri(text: bytes, family: int) -> Uri | int:
    """ct_sip_parse_request: the address that a request's first line names."""
    method = _LETTERS.match(text)
    at = (method.end() if method is not None else 0) + 1
    if at == 1 or at >= len(text):
        return 0
    while at < len(text) - 4:
        if text[at] in b"\r\n":
            return BAD
        if text[at : at + 4].lower() == b"sip:":
            at += 4
            break
        at += 1
    skip, length = _user_endpoint(text, at, family)
    return _uri(text, at + skip, family, -1) if length else 0


def _parameter(text: bytes, at: int, name: bytes) -> tuple[int, int]:
    """Where a parameter's value begins, and where the header's value ends; -1 without the parameter."""
    limit = search(text, at, b",")
    if limit < 0:
        limit = len(text)
    start = search(text, at, name, limit)
    return (start + len(name) if start >= 0 else -1), limit


def address_parameter(text: bytes, at: int, name: bytes, family: int, brackets: bool) -> tuple[Found, Address] | None:
    """ct_sip_parse_address_param."""
    start, _ = _parameter(text, at, name)
    read = read_address(text, start, family, brackets) if start >= 0 else None
    return ((start, read[1] - start), read[0]) if read is not None else None


def number_parameter(text: bytes, at: int, name: bytes) -> tuple[Found, int] | None:
    """ct_sip_parse_numerical_param."""
    start, _ = _parameter(text, at, name)
    length = _digits(text, start, 4)[1] if start >= 0 else 0
    return ((start, length), number(text, start)) if length else None


def transport(text: bytes, at: int, proto: int) -> int:
    """ct_sip_parse_transport: the protocol that a contact wants, 0 for another than the connection's."""
    start, _ = _parameter(text, at, b"transport=")
    if start < 0:
        return proto
    wanted = {b"tcp": 6, b"udp": 17}.get(text[start : start + 3].lower(), 0)
    return wanted if wanted == proto else 0


def sdp(text: bytes, at: int, kind: Header, family: int, end: Header | None = None) -> Found | int:
    """ct_sip_get_sdp_header: the first line of that kind behind ``at`` and before one of the kind ``end``; 0 or `BAD`."""
    size = len(text)
    while at < size:
        if text[at] not in b"\r\n":
            at += 1
            continue
        at = _line_after(text, at)
        if at >= size:
            break
        if end is not None and text[at : at + 2].lower() == end.name:
            break
        if text[at : at + 2].lower() != kind.name:
            at += 1  # also past the second of two bare newlines, so the line behind is not seen
            continue
        return _sdp_value(text, at + 2, kind, family)
    return 0


def _sdp_value(text: bytes, at: int, kind: Header, family: int) -> Found | int:
    if kind.search:
        line = re.compile(rb"[\r\n]").search(text, at)
        last = min(line.start() if line is not None else len(text), len(text) - len(kind.search))
        at = text.find(kind.search, at, last + len(kind.search))
        if at < 0:
            return BAD
        at += len(kind.search)
    skip, length = kind.measure(text, at, family)
    return (at + skip, length) if length else BAD
