"""Connections made and changed by hand: `conntrack -I`, -U and -G (ctnetlink_create_conntrack, ctnetlink_change_conntrack)."""

from __future__ import annotations

from collections.abc import Iterable

from tcemu.conntrack.entry import (
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    SRC_NAT,
    SRC_NAT_DONE,
    ZONE_BOTH,
    ZONE_ORIGINAL,
    ZONE_REPLY,
    Entry,
    Side,
    Tuple,
)
from tcemu.conntrack.request import ComplaintError, Request
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import ICMP, ICMPV6, TCP, invert

CHANGEABLE = 1 << 2 | 1 << 1 | 1 << 10  # ASSURED, SEEN_REPLY, FIXED_TIMEOUT


def entry_of(request: Request) -> Entry:
    """An entry with the tuples and the zone that a command line gives; what it leaves out is the other direction turned round."""
    entry = Entry()
    entry.family, entry.proto = request.family or 4, request.proto or 0
    for zone, way in (("zone", ZONE_BOTH), ("orig-zone", ZONE_ORIGINAL), ("reply-zone", ZONE_REPLY)):
        if zone in request.zones:
            entry.zone, entry.zone_dir = request.zones[zone], way
    has_orig = "src" in request.addresses
    orig, reply = Tuple(), Tuple()
    if has_orig:
        _fill(orig, request, "")
        reply = Tuple() if half_reply(request) else _inverse(entry, orig)
    if "reply-src" in request.addresses or "reply-dst" in request.addresses:
        _fill(reply, request, "reply-")
        if not has_orig:
            orig = _inverse(entry, reply)
    entry.orig, entry.reply = orig, reply
    return entry


def half_reply(request: Request) -> bool:
    """One address of the reply alone: the tool does not make the reply out of the other direction then, and the other address is nought."""
    return len({"reply-src", "reply-dst"} & request.addresses.keys()) == 1


def _inverse(entry: Entry, t: Tuple) -> Tuple:
    out = Tuple()
    if not invert(int(entry.proto), t, out):
        raise ComplaintError("Operation failed: invalid parameters", 1)
    return out


def _fill(t: Tuple, request: Request, prefix: str) -> None:
    """One direction's tuple."""
    for side in ("src", "dst"):
        found = request.addresses.get(prefix + side)
        if found is not None and side == "src":
            t.src_high, t.src = found.high, found.low
        elif found is not None:
            t.dst_high, t.dst = found.high, found.low
    ports = request.ports
    if request.proto in (ICMP, ICMPV6):
        if not prefix:
            t.sport, t.dport = ports.get("id", 0), ports.get("type", 0) << 8 | ports.get("code", 0)
        return
    t.sport, t.dport = ports.get(f"{prefix}sport", int(t.sport)), ports.get(f"{prefix}dport", int(t.dport))


def find(entries: Iterable[Entry], wanted: Entry) -> Entry | None:
    """The connection one of whose tuples is the wanted one's original tuple."""
    for entry in entries:
        if (entry.family, entry.proto, entry.zone) != (wanted.family, wanted.proto, wanted.zone):
            continue
        if entry.has_orig(wanted.orig) or entry.has_reply(wanted.orig):
            return entry
    return None


def begin(entry: Entry, request: Request, now: int) -> None:
    """A new connection by hand."""
    entry.status = CONFIRMED
    if entry.stamped:
        entry.started = now
    if entry.proto == TCP:
        entry.orig_side, entry.reply_side = Side(), Side()
    reply = entry.reply
    for name in ("src-nat", "dst-nat"):
        wanted = request.nat.get(name)
        if wanted is None:
            continue
        source = name == "src-nat"
        if wanted.address is not None and source:
            reply.dst_high, reply.dst = wanted.address.high, wanted.address.low
        elif wanted.address is not None:
            reply.src_high, reply.src = wanted.address.high, wanted.address.low
        if wanted.port is not None and source:
            reply.dport = wanted.port
        elif wanted.port is not None:
            reply.sport = wanted.port
        entry.status |= SRC_NAT if source else DST_NAT
        entry.status |= SRC_NAT_DONE | DST_NAT_DONE
    entry.reply = reply
    change(entry, request, now)
    if request.mark is not None:
        entry.mark = request.mark[0]  # a mask does not matter to a new one


def change(entry: Entry, request: Request, now: int) -> None:
    """What -U may change: status bits, timeout, mark, protocol state."""
    entry.status |= request.status & CHANGEABLE
    if request.timeout is not None:
        entry.expires = now + request.timeout * SECOND
    if request.mark is not None:
        entry.mark = entry.mark & ~request.mark[1] & 0xFFFFFFFF ^ request.mark[0]
    if request.state is not None:
        entry.state = request.state
    entry.vtag_orig = request.vtags.get("vtag-orig", int(entry.vtag_orig))
    entry.vtag_reply = request.vtags.get("vtag-reply", int(entry.vtag_reply))
    if request.labels.keys() & {"label-add", "label-del"}:
        from tcemu.conntrack import labels

        labels.put(entry, (labels.mask_of(entry) | request.labels.get("label-add", 0)) & ~request.labels.get("label-del", 0))


def changes(entry: Entry, request: Request, now: int) -> bool:
    """Whether -U would ask the kernel for anything new (update_cb in src/conntrack.c leaves out what is so already, but for labels)."""
    if request.labels.keys() & {"label-add", "label-del"}:
        return True
    if request.status & ~int(entry.status) or (request.timeout is not None and entry.expires != now + request.timeout * SECOND):
        return True
    if request.mark is not None and entry.mark & ~request.mark[1] & 0xFFFFFFFF ^ request.mark[0] != entry.mark:
        return True
    if request.state is not None and request.state != entry.state:
        return True
    wanted = (request.vtags.get("vtag-orig", entry.vtag_orig), request.vtags.get("vtag-reply", entry.vtag_reply))
    return wanted != (entry.vtag_orig, entry.vtag_reply)


def filter_of(request: Request) -> Request:
    """The part of a -U that says which connections, not what becomes of them; verification tags are both, and so mean those that are there."""
    out = Request()
    out.command, out.family, out.proto, out.id = request.command, request.family, request.proto, request.id
    out.addresses, out.ports, out.nat, out.vtags = request.addresses, request.ports, request.nat, request.vtags
    out.labels = {"label": request.labels["label"]} if "label" in request.labels else {}
    return out
