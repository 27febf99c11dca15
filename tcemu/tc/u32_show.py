"""u32 printed: tables, nodes, keys, and the same in words with -p.

Source: iproute2 6.1 tc/f_u32.c (u32_print_opt).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Count
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Do
from tcemu.tc import readers
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.tc.names import ETH_IP, ETH_IPV6
from tcemu.tc.notes import RuleNote
from tcemu.tc.printers import classid_text, ipv4_text, mask_length
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    pass

from tcemu.tc.u32_read import handle_text

TERMINAL: Final = 1
ROOT: Final = 0xFFF00000


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print a table or a node."""
    handle, extra = note.handle, note.extra
    out.string("fh", "fh %s ", f"{handle_text(handle)}[{handle:08x}]" if out.raw else handle_text(handle))
    if handle & 0xFFF:
        out.number("order", "order %d ", handle & 0xFFF)
    if "divisor" in extra:
        out.number("ht_divisor", "ht divisor %d ", extra["divisor"])
        return
    out.hexadecimal("key_ht", "key ht %x ", handle >> 20)
    out.hexadecimal("bkt", "bkt %x ", handle >> 12 & 0xFF)
    if note.classid:
        out.text("*" if extra.get("terminal") else "")
        out.string("flowid", "flowid %s ", classid_text(note.classid))
    elif extra.get("terminal"):
        out.text("terminal flowid ")
    if extra.get("link"):
        out.string("link", "link %s ", handle_text(extra["link"]))
    for flag, name in ((SKIP_HW, "skip_hw"), (SKIP_SW, "skip_sw")):
        if note.flags & flag:
            out.flag(name, f"{name} ")
    out.flag("not_in_hw", "not_in_hw ")
    _show_body(out, rule, note)


def _show_body(out: Writer, rule: Rule, note: RuleNote) -> None:
    extra = note.extra
    hits = [step.effect.stats.packets for step in rule.steps if isinstance(step, Do) and isinstance(step.effect, Count)]
    marked = hits.pop(1) if extra.get("mark") and len(hits) == len(extra["keys"]) + 3 else 0  # older sessions do not count it
    if out.stats:
        out.number("rule_hit", "(rule hit %u ", hits[0])
        out.number("success", "success %u)", hits[-1] if extra.get("terminal") else 0)
    if extra.get("mark"):
        value, mask = extra["mark"]
        out.newline()
        out.string("fwmark_value", f"  mark 0x{value:04x} ", _alternate(value))
        out.string("fwmark_mask", f"0x{mask:04x} ", _alternate(mask))
        out.number("fwmark_success", "(success %d)", marked)
    for place, (offset, behind, value, mask) in enumerate(extra["keys"]):
        _show_key(out, extra.get("protocol", 0), offset, behind, value, mask)
        if out.stats:
            out.number("success", " (success %u ) ", hits[1 + place])
    _show_offset(out, extra.get("offset", {}), "offset" in extra)
    if "hash" in extra and extra["hash"].get("mask"):
        out.newline()
        out.hexadecimal("hash_mask", "    hash mask %08x ", extra["hash"]["mask"])
        out.number("hash_off", "at %d ", extra["hash"].get("at", 0))
    if not note.police:
        show_indev(out, note)


def show_indev(out: Writer, note: RuleNote) -> None:
    """The input device, which stands behind a policer."""
    if note.indev:
        out.newline()
        out.string("input_dev", "  input dev %s", note.indev)
        out.newline()


def _alternate(value: int) -> str:
    """As C's %#x prints it: zero has no 0x."""
    return f"{value:#x}" if value else "0"


def _show_offset(out: Writer, offset: dict[str, Any], given: bool) -> None:
    moving = {"at", "mask", "shift"} & offset.keys()
    if given and (moving or "plus" in offset):
        out.newline()
        out.text("    offset ")
        out.item("    offset ")  # a value without a key: so tc prints it
        if moving:
            out.hexadecimal("offset_mask", "%04x", offset.get("mask", 0))
            out.number("offset_shift", ">>%d ", offset.get("shift", 0))
            out.number("offset_off", "at %d ", offset.get("at", 0))
        if offset.get("plus"):
            out.number("plus", "plus %d ", offset["plus"])
    if offset.get("eat"):
        out.text(" eat ")
        out.item(" eat ")


def _show_key(out: Writer, protocol: int, offset: int, behind: bool, value: int, mask: int) -> None:
    """A key; with -pretty IPv4 and IPv6 keys are named, as far as tc knows them."""
    if out.pretty and protocol in (ETH_IP, ETH_IPV6):
        out.open("match")
        _show_pretty(out, protocol, offset, value, mask)
        out.close()
        return
    out.open("match")
    out.newline()
    out.hexadecimal("value", "  match %08x", value)
    out.hexadecimal("mask", "/%08x ", mask)
    out.string("offmask", "at %s", "nexthdr+" if behind else "")
    out.number("off", "%d", offset)
    out.close()


def _show_pretty(out: Writer, protocol: int, offset: int, value: int, mask: int) -> None:
    line = (offset, mask)
    if line == (0, 0x0F000000):
        out.newline()
        out.number("ip_ihl", "  match IP ihl %u", value >> 24)
    elif line == (0, 0x00FF0000):
        out.newline()
        out.string("ip_dsfield", f"  match IP dsfield {_alternate(value >> 16)}", _alternate(value >> 16))
    elif line == (8, 0x00FF0000):
        out.newline()
        out.number("ip_protocol", "  match IP protocol %d", value >> 16)
    elif offset in (12, 16):
        bits = mask_length(mask, 32) if mask else 0
        if bits >= 0:
            side = "src" if offset == 12 else "dst"
            out.newline()
            out.text(f"  match IP {side} ")
            out.open(side)
            out.string("address", "%s", ipv4_text(value))
            out.number("prefixlen", "/%d", bits)
            out.close()
    elif offset == 20:
        _show_ports(out, protocol, value, mask)


def _show_ports(out: Writer, protocol: int, value: int, mask: int) -> None:
    low, high = ("dport", "sport") if protocol == ETH_IP else ("sport", "dport")
    if mask == 0x0000FFFF:
        if low == "sport":
            out.newline()
        out.number(low, f"{'  ' if low == 'sport' else ''}match {low} %u", value & 0xFFFF)
    elif mask == 0xFFFF0000:
        if high == "sport":
            out.newline()
        out.number(high, f"{'  ' if high == 'sport' else ''}match {high} %u", value >> 16)
    elif mask == readers.U32:
        out.newline()
        out.number(low, f"  match {low} %u, ", value & 0xFFFF)
        out.number(high, f"match {high} %u", value >> 16)
