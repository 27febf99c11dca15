"""Which options go with which command of `conntrack`, in which the tool finds what is wrong.

First the general options in the order of `request.ALL`, each either needed, allowed or refused; then whole pairs of addresses; then the
same for the options of the protocol that -p names. Source: conntrack-tools 1.4.7 src/conntrack.c commands_v_options, generic_opt_check
and extensions/*.c, held to runs of the tool with every option of every command.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tcemu.conntrack.request import ComplaintError, Request
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP
from tcemu.conntrack.words import ALL, OWN_OPTIONS


class Row(NamedTuple):
    """Names that a command cannot do without, and those that it refuses; all others it takes."""

    needed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def _only(*names: str) -> tuple[str, ...]:
    """All but these."""
    return tuple(name for name in ALL if name not in names)


_TUPLES: Final = ("tuple-src", "tuple-dst")
_LABELS: Final = ("label-add", "label-del")
ROWS: Final = {
    "L": Row((), ("timeout", "event-mask", "id", "buffer-size", *_TUPLES, *_LABELS)),
    "G": Row(("protonum",), _only("src", "dst", "reply-src", "reply-dst", "protonum", "id", "output", "label")),
    "D": Row((), ("zero", "event-mask", "secmark", "buffer-size", "any-nat", *_TUPLES, *_LABELS)),
    "U": Row((), ("zero", "event-mask", "secmark", "buffer-size", "any-nat", *_TUPLES, "zone", "orig-zone", "reply-zone")),
    "I": Row(
        ("protonum", "timeout"),
        (
            "zero",
            "event-mask",
            *_TUPLES,
            "mask-src",
            "mask-dst",
            "secmark",
            "id",
            "family",
            "output",
            "buffer-size",
            "any-nat",
            "label-del",
        ),
    ),
    "E": Row((), ("timeout", "status", "zero", "id", *_TUPLES, *_LABELS)),
    "F": Row((), _only("family")),
    "C": Row((), ALL),
    "S": Row((), ALL),
    "V": Row((), ALL),
    "h": Row((), _only("protonum")),
}
_PLACES: Final = ("src", "dst", "reply-src", "reply-dst", "protonum")
EXPECT_ROWS: Final = {
    "L": Row((), _only("family", "output")),
    "G": Row(("src", "dst", "protonum"), _only(*_PLACES)),
    "D": Row(("src", "dst", "protonum"), _only(*_PLACES)),
    "I": Row(
        ("src", "dst", "protonum", "timeout", *_TUPLES, "mask-src", "mask-dst"),
        _only(*_PLACES, "timeout", "status", *_TUPLES, "mask-src", "mask-dst"),
    ),
    "E": Row((), _only("output")),
    "F": Row((), ALL),
    "C": Row((), ALL),
    "S": Row((), ALL),
    "V": Row((), ALL),
    "h": Row((), ALL),
}


def check(request: Request) -> None:
    """Raises the complaint that the tool has about the command line as a whole."""
    command = request.command or "h"
    expects = request.table == "expect"
    _compare((EXPECT_ROWS if expects else ROWS)[command], ALL, request.given)
    if command in "GI" and not expects:
        _addresses(request)
    for side in ("src", "dst"):
        if not expects and f"mask-{side}" in request.given and side not in request.given:
            raise ComplaintError(f"Can't use --mask-{side} without --{side}")
    proto = request.own
    if proto in OWN_OPTIONS:
        names = _own_names(proto)
        row = _expect_row(proto, names, command) if expects else _own_row(proto, names, command)
        _compare(row, names, request.given)
        if command in "GI" and not expects and proto not in (ICMP, ICMPV6):
            _ports(request, proto)
    if "zero" in request.given and request.given.keys() - {"zero", "output", "family"}:
        raise ComplaintError("Can't use -z with filtering parameters")


def _compare(row: Row, order: tuple[str, ...], given: dict[str, None]) -> None:
    """generic_opt_check: the first option, in that order, that is missing or should not be there."""
    for name in order:
        if name in row.needed and name not in given:
            raise ComplaintError(f"You need to supply the `--{name}' option for this command")
        if name in row.refused and name in given:
            raise ComplaintError(f"Illegal option `--{name}' with this command")


def _addresses(request: Request) -> None:
    """-G and -I need one direction's addresses whole."""
    _pair(request.addresses.keys(), ("src", "dst"), ("reply-src", "reply-dst"), ("--reply-src", "--reply-dst"), ("--src", "--dst"))


def _ports(request: Request, proto: int) -> None:
    """And so for ports."""
    own, back = ("--sport", "--dport"), ("--reply-src-port", "--reply-dst-port")
    if proto == GRE:
        own, back = ("--srckey", "--dstkey"), ("--reply-src-key", "--reply-dst-key")
    elif proto == DCCP:
        back = ("--reply-port-src", "--report-port-dst")  # as the tool writes it
    _pair(request.ports.keys(), ("sport", "dport"), ("reply-sport", "reply-dport"), back, own)


def _pair(there: object, one: tuple[str, str], other: tuple[str, str], other_words: tuple[str, str], words: tuple[str, str]) -> None:
    assert isinstance(there, type({}.keys()))
    if set(one) <= there or set(other) <= there:
        return
    named = other_words if set(other) & there and not set(one) & there else words
    raise ComplaintError(f"you have to specify `{named[0]}' and `{named[1]}'")


def _own_names(proto: int) -> tuple[str, ...]:
    """The protocol's options by the names that messages use, in the tool's order."""
    if proto in (ICMP, ICMPV6):
        return tuple(OWN_OPTIONS[proto])
    if proto == GRE:
        return tuple(name for name in OWN_OPTIONS[proto] if not name.startswith("orig-"))
    names = ("sport", "dport", "reply-port-src", "reply-port-dst", "mask-port-src", "mask-port-dst", "tuple-port-src", "tuple-port-dst")
    more = {TCP: ("state",), SCTP: ("state", "orig-vtag", "reply-vtag"), DCCP: ("state", "role")}
    return (*names, *more.get(proto, ()))


def _own_row(proto: int, names: tuple[str, ...], command: str) -> Row:
    """Commands on connections."""
    if proto in (ICMP, ICMPV6):
        return Row(names[:2]) if command in "GI" else Row()
    lax = command == "I" and proto in (TCP, SCTP, DCCP)
    refused = [name for name in names if name.startswith("mask-") or (name.startswith("tuple-") and not lax)]
    needed: tuple[str, ...] = ()
    if command == "I":
        needed = tuple(name for name in names if name in ("state", "orig-vtag", "reply-vtag", "role"))
    elif command in "LDE":
        refused += ["orig-vtag", "reply-vtag", "role"]
    else:
        refused.append("role")
    return Row(needed, tuple(refused))


def _expect_row(proto: int, names: tuple[str, ...], command: str) -> Row:
    """Commands on expectations."""
    if command not in "GDI" or proto in (ICMP, ICMPV6):
        return Row((), names)
    ports, more = names[:8], names[8:]
    needed = (*ports[:2], *ports[4:]) if command == "I" else ports[:4]
    return Row(needed, (*(name for name in ports if name not in needed), *more))
