"""Which connections a `conntrack` command means (nfct_cmp and the filters of conntrack-tools 1.4.7 src/conntrack.c)."""

from __future__ import annotations

from tcemu.conntrack.entry import DST_NAT_DONE, OFFLOADED, SEEN_REPLY, SRC_NAT_DONE, ZONE_BOTH, ZONE_ORIGINAL, ZONE_REPLY, Entry
from tcemu.conntrack.names import number
from tcemu.conntrack.request import Address, Nat, Request
from tcemu.conntrack.show import left
from tcemu.conntrack.tuples import ICMP, ICMPV6

# options that make the tool compare at all; a timeout alone selects everything
COMPARING = {"src", "dst", "reply-src", "reply-dst", "protonum", "mark", "status", "id"}


def matches(request: Request, entry: Entry, now: int) -> bool:
    """Does the command mean this connection?"""
    if request.family and entry.family != request.family:
        return False
    return (
        _tuples(request, entry)
        and _zones(request, entry)
        and _marks(request, entry)
        and _state(request, entry)
        and _tags(request, entry)
        and _nat(request, entry)
        and _timeout(request, entry, now)
        and _labels(request, entry)
    )


def _tuples(request: Request, entry: Entry) -> bool:
    if request.proto is not None and entry.proto != request.proto:
        return False
    sides = {
        "src": (entry.orig.src_high, entry.orig.src),
        "dst": (entry.orig.dst_high, entry.orig.dst),
        "reply-src": (entry.reply.src_high, entry.reply.src),
        "reply-dst": (entry.reply.dst_high, entry.reply.dst),
    }
    for name, (high, low) in sides.items():
        wanted = request.addresses.get(name)
        if wanted is not None and not _same(entry.family, high, low, wanted, request.addresses.get(f"mask-{name}")):
            return False
    ports = {
        "sport": entry.orig.sport,
        "dport": entry.orig.dport,
        "reply-sport": entry.reply.sport,
        "reply-dport": entry.reply.dport,
    }
    if entry.proto in (ICMP, ICMPV6):
        ports = {"type": entry.orig.dport >> 8, "code": entry.orig.dport & 255, "id": entry.orig.sport}
    return all(ports.get(name) == value for name, value in request.ports.items())


def _same(family: int, high: int, low: int, wanted: Address, mask: Address | None) -> bool:
    if family != wanted.family:
        return False
    if mask is None:
        return (high, low) == (wanted.high, wanted.low)
    return not (number(high, low) ^ number(wanted.high, wanted.low)) & number(mask.high, mask.low)


def _zones(request: Request, entry: Entry) -> bool:
    own = {"zone": ZONE_BOTH, "orig-zone": ZONE_ORIGINAL, "reply-zone": ZONE_REPLY}
    return all((entry.zone if entry.zone_dir == own[name] else 0) == value for name, value in request.zones.items())


def _marks(request: Request, entry: Entry) -> bool:
    if request.mark is not None and entry.mark & request.mark[1] != request.mark[0]:
        return False
    if request.id is not None and entry.id != request.id:
        return False
    if request.unreplied and entry.status & SEEN_REPLY:
        return False
    return entry.status & request.status == request.status


def _tags(request: Request, entry: Entry) -> bool:
    """Verification tags, which only -U compares."""
    here = {"vtag-orig": entry.vtag_orig, "vtag-reply": entry.vtag_reply}
    return request.command != "U" or all(here[name] == value for name, value in request.vtags.items())


def _state(request: Request, entry: Entry) -> bool:
    return request.state is None or (not entry.status & OFFLOADED and entry.state == request.state)


def _timeout(request: Request, entry: Entry, now: int) -> bool:
    if request.timeout is None or request.command != "D" or not COMPARING & request.given.keys():
        return True
    return left(entry, now) == request.timeout


def _labels(request: Request, entry: Entry) -> bool:
    wanted = request.labels.get("label")
    if wanted is None:
        return True
    from tcemu.conntrack.labels import mask_of

    return mask_of(entry) & wanted == wanted


def _nat(request: Request, entry: Entry) -> bool:
    """filter_nat: both of -n and -g must hold, of -j one."""
    if "any-nat" in request.nat:
        wanted = request.nat["any-nat"]
        return _is_source_nat(entry, wanted) or _is_destination_nat(entry, wanted)
    if "src-nat" in request.nat and not _is_source_nat(entry, request.nat["src-nat"]):
        return False
    return "dst-nat" not in request.nat or _is_destination_nat(entry, request.nat["dst-nat"])


def _is_source_nat(entry: Entry, wanted: Nat) -> bool:
    orig, reply = entry.orig, entry.reply
    moved = (reply.dst_high, reply.dst) != (orig.src_high, orig.src)
    return bool(entry.status & SRC_NAT_DONE) and _fits(wanted, moved, orig.sport != reply.dport, reply.dst_high, reply.dst, reply.dport)


def _is_destination_nat(entry: Entry, wanted: Nat) -> bool:
    orig, reply = entry.orig, entry.reply
    moved = (reply.src_high, reply.src) != (orig.dst_high, orig.dst)
    return bool(entry.status & DST_NAT_DONE) and _fits(wanted, moved, orig.dport != reply.sport, reply.src_high, reply.src, reply.sport)


def _fits(wanted: Nat, moved: bool, port_moved: bool, high: int, low: int, port: int) -> bool:
    if wanted.address is None and wanted.port is None:
        return moved or port_moved
    if wanted.address is not None and moved and (high, low) == (wanted.address.high, wanted.address.low):
        return wanted.port is None or (port_moved and wanted.port == port)
    return wanted.address is None and port_moved and wanted.port == port
