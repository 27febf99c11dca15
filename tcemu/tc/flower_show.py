"""flower printed in tc's order: from the values in its note, or from its steps where these say more.

Source: iproute2 6.1 tc/f_flower.c (flower_print_opt); net/sched/cls_flower.c (fl_dump_key).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import convert

from tcemu.ir.operand import Key, Load
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Masked, Match, Range, Step
from tcemu.tc import names, readers, tunnel_options
from tcemu.tc.actions.ct import label_text
from tcemu.tc.hardware import show_place
from tcemu.tc.names import CT_STATES, ETH_ARP, ETH_IP, ETH_IPV6, ETH_RARP
from tcemu.tc.notes import RuleNote
from tcemu.tc.printers import address_text, classid_text, mac_text, mask_length, masked
from tcemu.tc.reading import FilterRow, steps_of
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    pass


from tcemu.tc.flower_keys import IP_PROTOS, LSE, PLACE, PPP_PROTOS, SKIP_HW, SKIP_SW, TC_BASE, TC_MAX
from tcemu.tc.flower_newer import ENC_FLAGS

TERSE: Final = True  # the kernel lists it with -brief
NOTED: Final = True  # the note says all that a listing prints, but where keys have ranges, options or labels
KNOWN: Final = 1024  # values of a key whose text is remembered
MASKS: Final = 256  # and masks


class Shown:
    """A key of a mask: which of the filter's values it is, how it is printed, and what was printed of values before."""

    __slots__ = ("known", "mask", "name", "place", "printer")

    def __init__(self, place: int, field: str, mask: int) -> None:
        self.place = place
        self.printer, self.name = SHOW[field]
        self.mask = mask
        self.known: dict[int, str] = {}


_shown: Final[dict[str, list[Shown]]] = {}


def keys_of(mask: str, oneline: bool, numeric: bool) -> list[Shown]:
    """The keys of a mask (`tcemu.tc.notes.RuleNote.mask`) that tc prints, in order. The options are those that texts depend on."""
    kept = f"{oneline} {numeric} {mask}" if oneline or numeric else mask
    found = _shown.get(kept)
    if found is None:
        fields = [part.rpartition("/") for part in mask.split(",")] if mask else []
        network = any(field in NETWORKS for field, _, _ in fields)  # tc tells addresses by the ethertype
        found = [
            Shown(place, field, int(bits, 16))
            for place, (field, _, bits) in enumerate(fields)
            if field in SHOW and (network or field not in ADDRESSES)
        ]
        if len(_shown) >= MASKS:
            _shown.clear()
        _shown[kept] = found
    return found


def show_values(out: Writer, mask: str, values: list[int]) -> None:
    """Print keys by mask and values."""
    for key in keys_of(mask, out.oneline, out.numeric):
        value = values[key.place]
        text = key.known.get(value) if not out.json else None
        if text is not None:
            out.put(text)
            continue
        mark = out.mark()
        key.printer(out, key.name, value, key.mask)
        if not out.json and len(key.known) < KNOWN:
            key.known[value] = out.since(mark)


def show(out: Writer, rule: Rule | FilterRow, note: RuleNote) -> None:
    """Print handle, class id, keys and flags."""
    if note.handle:
        out.number("handle", "handle 0x%x ", note.handle)
    if note.classid and not out.terse:
        show_classid(out, note.classid)
    if note.indev and not out.terse:
        out.newline()
        out.string("indev", "  indev %s", note.indev)
    out.open("keys")
    if not out.terse:
        if note.values is not None:
            show_values(out, note.mask, note.values)
        else:
            show_keys(out, steps_of(rule), note.extra.get("raw", {}))
    out.close()
    show_flags(out, note.flags)


def show_template(out: Writer, note: RuleNote) -> None:
    """Print a template's keys."""
    if note.indev:
        out.newline()
        out.string("indev", "  indev %s", note.indev)
    out.open("keys")
    show_keys(out, convert(note.extra["steps"], list[Step]), note.extra["raw"])
    out.close()


def show_classid(out: Writer, classid: int) -> None:
    """A class id, or the traffic class that stands for it."""
    minor = classid & 0xFFFF
    if TC_BASE <= minor < TC_BASE + TC_MAX:
        out.number("hw_tc", "hw_tc %u ", minor - TC_BASE)
    else:
        out.string("classid", "classid %s ", classid_text(classid))


def show_flags(out: Writer, flags: int) -> None:
    """skip_hw, skip_sw, and that no hardware has it."""
    if flags & SKIP_HW:
        out.newline()
        out.flag("skip_hw", "  skip_hw")
    if flags & SKIP_SW:
        out.newline()
        out.flag("skip_sw", "  skip_sw")
    out.newline()
    show_place(out, flags)


def show_keys(out: Writer, steps: list[Step], raw: dict[str, str]) -> None:
    """The keys, in the order of the steps, which is tc's."""
    mpls = False
    ranges: list[tuple[str, Range]] = []
    network = any(isinstance(step, Match) and isinstance(step.left, Load) and step.left.field in NETWORKS for step in steps)
    steps = _with_options_first(steps)
    for step in steps:
        if not isinstance(step, Match) or step.implied:
            continue
        left, test = step.left, step.test
        if isinstance(left, Key):
            _show_ranges(out, ranges)
            tunnel_options.show_key(out, left.what.removesuffix("_opts"), *left.args)
            continue
        assert isinstance(left, Load)
        field = left.field
        if field.startswith("mpls."):
            if not mpls:
                mpls = True
                _show_mpls(out, steps, raw)
        elif field in ADDRESSES and not network:
            continue  # tc tells them by the ethertype
        elif isinstance(test, Range):
            ranges.append((SHOW[field][1], test))
        elif isinstance(test, Masked) and field in SHOW:
            if ranges and PLACE[field] > PLACE["th.sport"]:
                _show_ranges(out, ranges)
            value = int(raw[field], 16) if field in raw else test.value
            printer, name = SHOW[field]
            printer(out, name, value, test.mask)
    _show_ranges(out, ranges)


def _with_options_first(steps: list[Step]) -> list[Step]:
    """Options of tunnels stand in front of the flags of fragments and what follows them."""
    options = [step for step in steps if isinstance(step, Match) and isinstance(step.left, Key)]
    if not options:
        return steps
    others = [step for step in steps if step not in options]
    at = next((place for place, step in enumerate(others) if isinstance(step, Match) and _behind_options(step)), len(others))
    return [*others[:at], *options, *others[at:]]


def _behind_options(step: Match) -> bool:
    return not step.implied and isinstance(step.left, Load) and PLACE.get(step.left.field, -1) >= PLACE["frag.flags"]


def _show_ranges(out: Writer, ranges: list[tuple[str, Range]]) -> None:
    for name, test in ranges:
        if out.json:
            out.open(name)
            out.number("start", "", test.low)
            out.number("end", "", test.high)
            out.close()
        else:
            out.newline()
            out.text(f"  {name} {test.low}-{test.high}")
    ranges.clear()


NETWORKS: Final = frozenset(("meta.netproto", "vlan.type", "cvlan.type"))
ADDRESSES: Final = ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr")


def _line(out: Writer, name: str, text: str) -> None:
    out.newline()
    out.string(name, f"  {name} %s", text)


def _number(out: Writer, name: str, value: int, _mask: int) -> None:
    out.newline()
    out.number(name, f"  {name} %u", value)


def _mac(out: Writer, name: str, value: int, mask: int) -> None:
    bits = mask_length(mask, 48)
    tail = f"/{mac_text(mask)}" if bits < 0 else "" if bits == 48 else f"/{bits}"
    _line(out, name, mac_text(value) + tail)


def _ipv4(out: Writer, name: str, value: int, mask: int) -> None:
    _address(out, name, 4, value, mask, 32)


def _ipv6(out: Writer, name: str, value: int, mask: int) -> None:
    _address(out, name, 6, value, mask, 128)


def _address(out: Writer, name: str, family: int, value: int, mask: int, width: int) -> None:
    bits = mask_length(mask, width)
    tail = f"/{address_text(family, mask)}" if bits < 0 else "" if bits == width else f"/{bits}"
    _line(out, name, address_text(family, value) + tail)


def _protocol(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, names.protocol_name(value, out.numeric))


def _eth_type(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, {ETH_IP: "ipv4", ETH_IPV6: "ipv6", ETH_ARP: "arp", ETH_RARP: "rarp"}.get(value) or f"{value:04x}")


def _ip_proto(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, next((word for word, number, _ in IP_PROTOS if number == value), f"{value:02x}"))


def _u8(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U8)


def _u16(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U16)


def _u32(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U32)


def _byte(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, str(value) if mask == readers.U8 else f"{value}/{mask}")


def _arp_op(out: Writer, name: str, value: int, mask: int) -> None:
    word = {1: "request", 2: "reply"}.get(value) if mask == readers.U8 else None
    if word is None:
        _byte(out, name, value, mask)
    else:
        _line(out, name, word)


def _tcp_flags(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, f"0x{value:x}/{mask:x}")


def _ppp(out: Writer, name: str, value: int, _mask: int) -> None:
    word = None if out.numeric else next((word for word, number in PPP_PROTOS if number == value), None)
    _line(out, name, word or f"[{value}]")


def _ip_flags(out: Writer, name: str, value: int, mask: int) -> None:
    given = [(word, bit) for word, bit in (("frag", 1), ("firstfrag", 2)) if mask & bit]
    if given:
        out.newline()
        out.text(f"  {name} " + "/".join(word if value & bit else f"no{word}" for word, bit in given))
        out.open(name)
        for word, bit in given:
            out.flag(word, "", bool(value & bit))
        out.close()


def _enc_flags(out: Writer, name: str, value: int, mask: int) -> None:
    given = [word if value & bit else f"no{word}" for word, bit in ENC_FLAGS if mask & bit]
    _line(out, name, "/".join(given))


def _ct_state(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, "".join(("+" if value & flag else "-") + word for word, flag in CT_STATES if mask & flag))


def _ct_label(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, label_text(value, mask))


def _show_mpls(out: Writer, steps: list[Step], raw: dict[str, str]) -> None:
    """The label stack: old keys where they can say it (fl_dump_key_mpls)."""
    found = []
    for step in steps:
        if (
            isinstance(step, Match)
            and isinstance(step.left, Load)
            and step.left.field.startswith("mpls.")
            and isinstance(step.test, Masked)
        ):
            field = step.left.field
            value = int(raw[field], 16) if field in raw else step.test.value
            parts = [(part, value >> shift & bits) for part, (shift, bits) in LSE.items() if step.test.mask >> shift & bits]
            found.append((int(field[8:]) + 1, parts))
    if [depth for depth, _ in found] == [1] and found[0][1]:
        for part, value in found[0][1]:
            if part == "label":
                _number(out, "mpls_label", value, 0)
            else:
                _line(out, f"mpls_{part}", str(value))
        return
    out.newline()
    out.text("  mpls")
    out.open_array("mpls")
    for depth, parts in found:
        out.newline()
        out.text("    lse")
        out.open()
        out.number("depth", " depth %u", depth)
        for part, value in parts:
            out.number(part, f" {part} %u", value)
        out.close()
    out.close_array()


SHOW: Final[dict[str, tuple[Any, str]]] = {
    "vlan.count": (_number, "num_of_vlans"),
    "vlan.id": (_number, "vlan_id"),
    "vlan.pcp": (_number, "vlan_prio"),
    "vlan.type": (_protocol, "vlan_ethtype"),
    "cvlan.id": (_number, "cvlan_id"),
    "cvlan.pcp": (_number, "cvlan_prio"),
    "cvlan.type": (_protocol, "cvlan_ethtype"),
    "ether.daddr": (_mac, "dst_mac"),
    "ether.saddr": (_mac, "src_mac"),
    "meta.netproto": (_eth_type, "eth_type"),
    "meta.l4proto": (_ip_proto, "ip_proto"),
    "ip.tos": (_u8, "ip_tos"),
    "ip.ttl": (_u8, "ip_ttl"),
    "ip.daddr": (_ipv4, "dst_ip"),
    "ip6.daddr": (_ipv6, "dst_ip"),
    "ip.saddr": (_ipv4, "src_ip"),
    "ip6.saddr": (_ipv6, "src_ip"),
    "th.dport": (_u16, "dst_port"),
    "th.sport": (_u16, "src_port"),
    "tcp.flags": (_tcp_flags, "tcp_flags"),
    "icmp.type": (_byte, "icmp_type"),
    "icmp.code": (_byte, "icmp_code"),
    "arp.saddr ip": (_ipv4, "arp_sip"),
    "arp.daddr ip": (_ipv4, "arp_tip"),
    "arp.operation": (_arp_op, "arp_op"),
    "arp.saddr ether": (_mac, "arp_sha"),
    "arp.daddr ether": (_mac, "arp_tha"),
    "pppoe.sid": (_number, "pppoe_sid"),
    "ppp.proto": (_ppp, "ppp_proto"),
    "enc.daddr4": (_ipv4, "enc_dst_ip"),
    "enc.daddr6": (_ipv6, "enc_dst_ip"),
    "enc.saddr4": (_ipv4, "enc_src_ip"),
    "enc.saddr6": (_ipv6, "enc_src_ip"),
    "enc.key": (_number, "enc_key_id"),
    "enc.dport": (_u16, "enc_dst_port"),
    "enc.tos": (_u8, "enc_tos"),
    "enc.ttl": (_u8, "enc_ttl"),
    "frag.flags": (_ip_flags, "ip_flags"),
    "ct.flower": (_ct_state, "ct_state"),
    "ct.zone": (_u16, "ct_zone"),
    "ct.mark": (_u32, "ct_mark"),
    "ct.label": (_ct_label, "ct_label"),
    "l2tp.sid": (_number, "l2tpv3_sid"),
    "esp.spi": (_number, "spi"),
    "meta.l2_miss": (_number, "l2_miss"),
    "enc.flags": (_enc_flags, "enc_flags"),
    "cfm.mdl": (_number, "cfm mdl"),
    "cfm.op": (_number, "cfm op"),
}
