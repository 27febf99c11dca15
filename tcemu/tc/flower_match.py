"""flower as the kernel takes it: which keys count, steps, masks and their books.

Source: Linux 6.1 net/sched/cls_flower.c (fl_set_key, fl_change, fl_tmplt_create).
"""

from __future__ import annotations

import errno
from hashlib import blake2b
from typing import Any, Final

from msgspec import to_builtins

from tcemu.host import profile
from tcemu.ir.operand import Key, Load
from tcemu.ir.step import Masked, Match, Range, Step
from tcemu.tc import names, readers, tunnel_options
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.flower_keys import IMPLIED, ORDER, PLACE, PORTED, PPP_INNER, SKIP_HW, SKIP_SW, TRANSPORT, VERBOSE, Keys
from tcemu.tc.names import (
    CT_STATES,
    ETH_8021AD,
    ETH_8021Q,
    ETH_ALL,
    ETH_ARP,
    ETH_IP,
    ETH_IPV6,
    ETH_MPLS_MC,
    ETH_MPLS_UC,
    ETH_PPP_SES,
    ETH_RARP,
)
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.work import Filter, Work

PPPOE: Final = ("pppoe.sid", "ppp.proto")
ADDRESSES: Final = ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr")


REMEMBERED: Final = 4096  # comparisons that filters share
UNFRAGMENTED: Final = Match(Load("frag.flags"), Masked(0, 1), True, True)


class Piece:
    """A masked comparison: its step, its part of the digests of mask and key, and whether it asks for a whole packet."""

    __slots__ = ("guarded", "mask", "raw", "step", "text")

    def __init__(self, field: str, value: int, bits: int) -> None:
        low = value & bits
        load = _loads.get(field)
        if load is None:
            load = _loads[field] = Load(field)
        self.step = Match(load, Masked(low, bits), field in IMPLIED, True)
        self.mask = f"{field}/{hex(bits)[2:]}"
        self.text = f"{field}={hex(low)[2:]}"
        self.raw = low != value
        self.guarded = low != 0 and field in TRANSPORT


_loads: Final[dict[str, Load]] = {}
_pieces: Final[dict[tuple[str, int, int], Piece]] = {}


def piece(field: str, value: int, bits: int) -> Piece:
    """The comparison; many filters have the same ones."""
    name = (field, value, bits)
    found = _pieces.get(name)
    if found is None:
        found = Piece(field, value, bits)
        if len(_pieces) < REMEMBERED:
            _pieces[name] = found
    return found


class Built:
    """A filter's match: steps, digests of mask and key, values as given (``raw``: those with bits outside the mask).

    ``values`` are those of the fields in ``mask``; None where these say less than the steps (ranges, options of tunnels, MPLS).
    """

    __slots__ = ("key", "mask", "raw", "steps", "values")

    def __init__(self, steps: list[Step], mask: str, key: str, raw: dict[str, str], values: list[int] | None) -> None:
        self.steps = steps
        self.mask = mask
        self.key = key
        self.raw = raw
        self.values = values


def build(keys: Keys, protocol: int, iif: int) -> Built:
    """Keys as the kernel keeps them (fl_set_key): a key that its protocol does not carry is dropped, the ethertype added."""
    values = _kept(keys, protocol)
    if "ct.flower" in values:
        _check_ct_state(values["ct.flower"][0] & values["ct.flower"][1])
    if keys.indev:
        values["meta.iif"] = (iif, readers.U32)
    steps: list[Step] = []
    masks: list[str] = []
    texts: list[str] = []
    raw: dict[str, str] = {}
    given: list[int] = []
    guarded = False
    ranges = keys.ranges if keys.ranges and values.get("meta.l4proto", (0, 0))[0] in PORTED else {}
    for field in in_order(values, ranges):
        if ranges and field in ranges:
            low, high = ranges[field]
            if not guarded and low and field in TRANSPORT:
                guarded = True
                steps.append(UNFRAGMENTED)
            steps.append(Match(Load(field), Range(low, high), False, True))
            masks.append(f"{field}/range")
            texts.append(f"{field}={low}-{high}")
            continue
        value, bits = values[field]
        given.append(value)
        one = piece(field, value, bits)
        if one.raw:
            raw[field] = hex(value)[2:]
        if one.guarded and not guarded:
            guarded = True
            steps.append(UNFRAGMENTED)
        steps.append(one.step)
        masks.append(one.mask)
        texts.append(one.text)
    for field, (_, bits) in keys.values.items():
        if not bits and field in ADDRESSES:
            # an address without a mask is not dumped, but the kernel compares the kind of addresses from then on
            steps.append(Match(Load(field), Masked(0, 0), True, True))
    if keys.options is not None:
        kind, key, mask = keys.options
        if kind == "geneve":
            tunnel_options.check_geneve(key)
        if kind == "erspan":
            tunnel_options.check_erspan(key)
            tunnel_options.check_erspan(mask)
        steps.append(Match(Key(f"{kind}_opts", (key, mask)), Masked(1, 1), False, True))
        masks.append(f"{kind}/{mask}")
        texts.append(f"{kind}={key}")
    mask = ",".join(masks)
    plain = not ranges and keys.options is None and "mpls." not in mask
    return Built(steps, mask, ",".join(texts), raw, given if plain else None)


def in_order(values: dict[str, tuple[int, int]], ranges: dict[str, tuple[int, int]]) -> list[str]:
    """Fields in printing order."""
    fields = tuple(values) if not ranges else tuple(values) + tuple([field for field in ranges if field not in values])
    found = _orders.get(fields)
    if found is None:
        found = sorted(fields, key=PLACE.__getitem__)
        if len(_orders) < REMEMBERED:
            _orders[fields] = found
    return found


_orders: Final[dict[tuple[str, ...], list[str]]] = {}


def _kept(keys: Keys, protocol: int) -> dict[str, tuple[int, int]]:
    """Values that the kernel takes, with what the ethertype says."""
    values = keys.values.copy()
    for field, (_, bits) in keys.values.items():
        if not bits and field != "frag.flags" and not field.startswith("mpls."):
            del values[field]
    vlans = keys.values.get("vlan.count", (0, 0))[0]
    ethertype = 0 if protocol == ETH_ALL else protocol
    outer = ethertype in (ETH_8021Q, ETH_8021AD) or vlans > 0
    network = 0
    if outer:
        if ethertype:
            values["vlan.tpid"] = (ethertype, readers.U16)
        inner = values.get("vlan.type", (0, 0))[0]
        if inner in (ETH_8021Q, ETH_8021AD) or vlans > 1:
            if inner:
                values["cvlan.tpid"] = (inner, readers.U16)
            network = values.get("cvlan.type", (0, 0))[0]
        else:
            network = inner
    else:
        network = ethertype
    if network == ETH_PPP_SES:
        network = PPP_INNER.get(values.get("ppp.proto", (0, 0))[0], 0)
    else:
        for field in PPPOE:
            values.pop(field, None)
    if network:
        values["meta.netproto"] = (network, readers.U16)
    return _of_protocol(values, network)


def _of_protocol(values: dict[str, tuple[int, int]], network: int) -> dict[str, tuple[int, int]]:
    """Without the keys that fl_set_key reads only for other protocols."""
    ip = network in (ETH_IP, ETH_IPV6)
    transport = values["meta.l4proto"][0] if ip and "meta.l4proto" in values else 0
    dropped = [field for field in values if field in _NEEDS and not _carries(_NEEDS[field], network, ip, transport)]
    for field in dropped:
        del values[field]
    return values


# what must be in a packet for a field
_NEEDS: Final[dict[str, str]] = {
    **dict.fromkeys(("meta.l4proto", "ip.tos", "ip.ttl"), "ip"),
    **dict.fromkeys(("th.dport", "th.sport"), "ports"),
    **{field: field.partition(".")[0] for field in ORDER if field.startswith(("tcp.", "icmp.", "mpls.", "arp."))},
}


def _carries(need: str, network: int, ip: bool, transport: int) -> bool:
    """Do packets of these protocols have it?"""
    if need == "ip":
        return ip
    if need == "ports":
        return transport in PORTED
    if need == "tcp":
        return transport == names.IPPROTO_TCP
    if need == "icmp":
        return transport == (names.IPPROTO_ICMP if network == ETH_IP else names.IPPROTO_ICMPV6)
    return network in ((ETH_MPLS_UC, ETH_MPLS_MC) if need == "mpls" else (ETH_ARP, ETH_RARP))


_STATE: Final = dict(CT_STATES)
_TRK: Final = _STATE["trk"]
_NEW: Final = _STATE["new"]
_EST: Final = _STATE["est"]
_INV: Final = _STATE["inv"]
_RPL: Final = _STATE["rpl"]


def _check_ct_state(state: int) -> None:
    """Combinations that no packet can have (fl_validate_ct_state)."""
    if state and not state & _TRK:
        raise RefusalError("no trk, so no other flag can be set")
    if state & _NEW and state & _EST:
        raise RefusalError("new and est are mutually exclusive")
    if state & _INV and state & ~(_TRK | _INV):
        raise RefusalError("when inv is set, only trk may be set")
    if state & _NEW and state & _RPL:
        raise RefusalError("new and rpl are mutually exclusive")


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's fl_change: checks, steps, and the books of masks."""
    keys = command.options or Keys({}, {}, None, "", 0, 0, ())
    if keys.flags & SKIP_HW and keys.flags & SKIP_SW:
        raise RefusalError()
    if "ct.zone" in keys.values and not profile.of(work.world).zones:
        raise RefusalError("Conntrack zones isn't enabled", errno.EOPNOTSUPP)
    built = build(keys, command.protocol, work.device_index(keys.indev) if keys.indev else 0)
    if template and not fits(template, built.mask):
        raise RefusalError("cls_flower: Mask does not fit the template")
    if old is not None and old.mask != built.mask:
        raise RefusalError()
    extra: dict[str, Any] = {"raw": built.raw} if built.raw and built.values is None else {}
    note = RuleNote(command.handle, keys.classid, keys.flags & ~VERBOSE, keys.indev, built.mask, extra, values=built.values)
    if old is None:
        order, users = slot.masks.get(built.mask, (slot.made, 0))
        slot.made = max(slot.made, order + 1)
        slot.masks[built.mask] = (order, users + 1)
    else:
        order = slot.masks[built.mask][0]
    return Filter(built.steps, note, order, blake2b(f"{built.mask};{built.key}".encode(), digest_size=12).hexdigest())


def template(work: Work, command: FilterCommand) -> RuleNote:
    """A chain's template (fl_tmplt_create): a mask that filters must fit, kept with the values that came along."""
    keys = command.options or Keys({}, {}, None, "", 0, 0, ())
    built = build(keys, command.protocol, work.device_index(keys.indev) if keys.indev else 0)
    found, mask = list(built.steps), built.mask
    if not command.protocol:  # which tc sends as the ethertype 0
        behind = (place for place, step in enumerate(found) if isinstance(step, Match) and _place(step) > PLACE["meta.netproto"])
        found.insert(next(behind, len(found)), Match(Load("meta.netproto"), Masked(0, readers.U16)))
        mask = f"meta.netproto/ffff,{mask}" if mask else "meta.netproto/ffff"
    steps = [to_builtins(step) for step in found]
    return RuleNote(mask=mask, indev=keys.indev, extra={"steps": steps, "raw": built.raw})


def _place(step: Match) -> int:
    """Where a step's key is printed."""
    return PLACE.get(step.left.field, -1) if isinstance(step.left, Load) else -1


def released(slot: SlotNote, note: RuleNote) -> None:
    """A filter went: its mask goes with its last user."""
    order, users = slot.masks[note.mask]
    if users > 1:
        slot.masks[note.mask] = (order, users - 1)
    else:
        del slot.masks[note.mask]


def fits(template: str, mask: str) -> bool:
    """Whether a mask has no bit outside a template's (fl_mask_fits_tmplt)."""
    allowed = dict(part.rsplit("/", 1) for part in template.split(",") if part)
    for part in mask.split(",") if mask else ():
        field, bits = part.rsplit("/", 1)
        if field not in allowed:
            return False
        if bits != allowed[field] and (not _is_hex(bits) or not _is_hex(allowed[field]) or int(bits, 16) & ~int(allowed[field], 16)):
            return False
    return True


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)
