"""Connections as data: what a netlink dump of the table holds (net/netfilter/nf_conntrack_netlink.c ctnetlink_fill_info).

Keys and their order are those of the recorded scenarios: ``orig`` and ``reply`` (src, dst, proto, sport, dport or id, type, code,
zone, packets, bytes), zone, status, state, wscale, flags, vtag, timeout, mark, use, id, labels, helper, master.
"""

from __future__ import annotations

from typing import Any

from tcemu.conntrack.entry import OFFLOADED, SEQ_ADJUST, STATUS_NAMES, ZONE_BOTH, ZONE_ORIGINAL, ZONE_REPLY, Entry, Tuple
from tcemu.conntrack.expect import Expectation, Expectations
from tcemu.conntrack.names import PROTOCOLS, address, number, state
from tcemu.conntrack.show import left, uses
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import GRE, ICMP, ICMPV6, SCTP, TCP, has_ports


def dump(entry: Entry, now: int) -> dict[str, Any]:
    """One connection."""
    out: dict[str, Any] = {"orig": _tuple(entry, entry.orig, ZONE_ORIGINAL), "reply": _tuple(entry, entry.reply, ZONE_REPLY)}
    if entry.acct:
        out["orig"] |= {"packets": entry.orig_packets, "bytes": entry.orig_bytes}
        out["reply"] |= {"packets": entry.reply_packets, "bytes": entry.reply_bytes}
    if entry.zone and entry.zone_dir == ZONE_BOTH:
        out["zone"] = entry.zone
    out["status"] = [name for bit, name in enumerate(STATUS_NAMES) if entry.status >> bit & 1]
    if not entry.status & OFFLOADED:
        out |= _protocol(entry)
        out["timeout"] = left(entry, now)
    out |= {"mark": entry.mark, "use": uses(entry), "id": entry.id}
    labels = number(entry.label_high, entry.label_low)
    if labels:
        out["labels"] = f"{int.from_bytes(labels.to_bytes(16, 'big'), 'little'):x}"
    if entry.helper:
        out["helper"] = entry.helper
    if entry.status & SEQ_ADJUST and entry.extra is not None and entry.extra.adjust:
        adjust = [number & 0xFFFFFFFF for number in entry.extra.adjust]
        out |= {"seqadj_orig": adjust[:3], "seqadj_reply": adjust[3:]}
    if entry.master is not None:
        out["master"] = _tuple(entry.master, entry.master.orig, ZONE_ORIGINAL)
    if entry.status & SEQ_ADJUST and entry.extra is not None:
        numbers = [one & 0xFFFFFFFF for one in entry.extra.adjust]
        out |= {"seqadj_orig": numbers[:3], "seqadj_reply": numbers[3:]}
    return out


def dump_all(entries: list[Entry], now: int) -> list[dict[str, Any]]:
    """All connections, sorted as the recordings are."""
    return sorted((dump(entry, now) for entry in entries), key=sort_key)


def dump_expectations(expectations: Expectations, now: int) -> list[dict[str, Any]]:
    """All expectations that have not timed out, sorted as the recordings are (ctnetlink_exp_fill_info)."""
    return sorted((_expectation(one, now) for one in expectations.all if not 0 < one.expires <= now), key=str)


def _expectation(one: Expectation, now: int) -> dict[str, Any]:
    family, proto = one.family, PROTOCOLS.get(one.proto, one.proto)
    full = -1 if family == 6 else 0xFFFFFFFF
    source = (0, 0) if one.any_source else (one.source_mask_high, one.source_mask)
    t = one.tuple
    out: dict[str, Any] = {
        "tuple": {
            "src": address(family, t.src_high, t.src),
            "dst": address(family, t.dst_high, t.dst),
            "proto": proto,
            "sport": 0 if one.any_sport else t.sport,
            "dport": t.dport,
        },
        "mask": {
            "src": address(family, *source),
            "dst": address(family, full, full),
            "proto": proto,
            "sport": 0 if one.any_sport else one.sport_mask,
            "dport": 0xFFFF,
        },
        "master": _tuple(one.master, one.master.orig, ZONE_ORIGINAL),
        "timeout": max(one.expires - now, 0) // SECOND,
    }
    if one.zone:
        out["zone"] = one.zone
    out |= {"flags": one.flags, "class": one.kind}
    if one.master.helper:
        out["helper"] = one.master.helper
    return out


def sort_key(dumped: dict[str, Any]) -> tuple[Any, ...]:
    """Zone, then the values of both tuples as text."""
    both = dumped["orig"] | dumped["reply"]
    return (dumped.get("zone", 0), *map(str, both.values()), *map(str, dumped["orig"].values()))


def _tuple(entry: Entry, t: Tuple, way: int) -> dict[str, Any]:
    family = entry.family
    out: dict[str, Any] = {"src": address(family, t.src_high, t.src), "dst": address(family, t.dst_high, t.dst)}
    out["proto"] = PROTOCOLS.get(entry.proto, entry.proto)
    if entry.proto in (ICMP, ICMPV6):
        out |= {"id": t.sport, "type": t.dport >> 8, "code": t.dport & 255}
    elif has_ports(int(entry.proto)) or entry.proto == GRE:
        out |= {"sport": t.sport, "dport": t.dport}
    if entry.zone and entry.zone_dir == way:
        out["zone"] = entry.zone
    return out


def _protocol(entry: Entry) -> dict[str, Any]:
    if entry.proto == TCP and entry.orig_side is not None and entry.reply_side is not None:
        sides = (entry.orig_side, entry.reply_side)
        return {"state": state(entry), "wscale": [side.scale for side in sides], "flags": [side.flags for side in sides]}
    if entry.proto == SCTP:
        return {"state": state(entry), "vtag": [entry.vtag_orig, entry.vtag_reply]}
    return {}
