"""What tc's printers share: addresses, masks, class ids, control words, indexes, times and counters.

Source: iproute2 6.1 tc/tc_util.c (print_action_control, print_tm, print_tcstats2_attr, print_masked_*), lib/ll_addr.c, lib/utils.c.
"""

from __future__ import annotations

from typing import Final

from tcemu.clock import SECOND
from tcemu.ir import verdict as v
from tcemu.ir.ruleset import Object
from tcemu.ir.stats import Stats
from tcemu.ir.verdict import Verdict
from tcemu.tc.hardware import show_split
from tcemu.tc.notes import ActionNote
from tcemu.tc.writer import Writer

CONTROL_NAME: Final = {
    v.CONTINUE: "continue",
    v.ACCEPT: "pass",
    v.DROP: "drop",
    v.RECLASSIFY: "reclassify",
    v.PIPE: "pipe",
    v.STOLEN: "stolen",
    v.TRAP: "trap",
    v.GOTO: "goto",
    v.STEP: "jump",
    v.QUEUE: "5",
    v.REDIRECT: "7",
}
DARK: Final = ("0", "1", "2", "3", "4", "5", "6", "8")  # backgrounds as $COLORFGBG counts them
USER_HZ: Final = 100


def mac_text(value: int) -> str:
    """Six bytes with colons."""
    text = f"{value:012x}"
    return ":".join((text[0:2], text[2:4], text[4:6], text[6:8], text[8:10], text[10:12]))


def ipv4_text(value: int) -> str:
    """A dotted quad."""
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def ipv6_text(value: int) -> str:
    """As inet_ntop has it."""
    from socket import AF_INET6, inet_ntop  # takes 3 ms, which most listings can save

    return inet_ntop(AF_INET6, value.to_bytes(16))


def address_text(family: int, value: int) -> str:
    """An address of family 4 or 6."""
    return ipv6_text(value) if family == 6 else ipv4_text(value)


def mask_length(mask: int, width: int) -> int:
    """The prefix length of a mask, -1 if it has holes or no bits (f_flower.c __mask_bits)."""
    holes = ~mask & ((1 << width) - 1)
    return width - holes.bit_length() if mask and holes & (holes + 1) == 0 else -1


def classid_text(value: int) -> str:
    """``1:2`` as print_tc_classid has it."""
    if value == 0xFFFFFFFF:
        return "root"
    if value == 0:
        return "none"
    major, minor = value >> 16, value & 0xFFFF
    return f":{minor:x}" if not major else f"{major:x}:" if not minor else f"{major:x}:{minor:x}"


def masked(out: Writer, name: str, value: int, mask: int, limit: int, line: bool = True) -> None:
    """A number with its mask, unless that is all ones (print_masked_type)."""
    if line:
        out.newline()
        out.text(" ")
    out.number(name, f" {name} %u", value)
    if mask != limit:
        out.hexadecimal(f"{name}_mask", "/0x%x", mask)


def show_control(out: Writer, prefix: str, then: Verdict | None, suffix: str) -> None:
    """A control word; None is the zero of an uninitialised one, which means pass."""
    if prefix:
        out.text(prefix)
    out.open("control_action")
    code = v.ACCEPT if then is None else then.code
    out.string("type", "%s", CONTROL_NAME[code])
    if then is not None and code == v.GOTO:
        out.number("chain", " chain %u", int(then.to.rpartition("/")[2]))
    if then is not None and code == v.STEP:
        out.number("jump", " %u", then.number)
    out.close()
    if suffix:
        out.text(suffix)


def show_index(out: Writer, form: str, action: Object, note: ActionNote, now: int, end: bool = True) -> None:
    """Index, references and, with -s, times; ends the line, unless told not to."""
    bound = action.bound
    out.number("index", form, action.rank)
    out.number("ref", " ref %d", bound + note.alone)
    out.number("bind", " bind %d", bound)
    if out.stats:
        show_times(out, action.stats, now)
    if end:
        out.newline()


def show_times(out: Writer, stats: Stats, now: int) -> None:
    """When it was installed and used, as seconds gone by (in JSON too: print_tm divides before it prints)."""
    installed = max(0, now - stats.installed) // SECOND
    out.number("installed", " installed %u sec", installed)
    used = installed if stats.last_used < 0 else max(0, now - stats.last_used) // SECOND
    out.number("last_used", " used %u sec", used)
    if stats.first_used >= 0:
        out.number("first_used", " firstused %u sec", max(0, now - stats.first_used) // SECOND)
    if "expires" in stats.extra:
        out.number("expires", " expires %u sec", max(0, stats.extra["expires"]) // SECOND)


def show_counters(out: Writer, stats: Stats, prefix: str) -> None:
    """Packets and bytes (print_tcstats2_attr)."""
    out.text(prefix)
    out.number("bytes", "Sent %u bytes", stats.bytes)
    out.number("packets", " %u pkt", stats.packets)
    out.number("drops", " (dropped %u", stats.drops)
    out.number("overlimits", ", overlimits %u", stats.overlimits)
    out.number("requeues", " requeues %u) ", 0)
    if stats.extra:
        show_split(out, stats, prefix)
    out.newline()
    out.text(prefix)
    out.number("backlog", "backlog %ub", 0)
    out.number("qlen", " %up", 0)
    out.text(" requeues 0")


def device_colour() -> str:
    """What turns on the colour of devices' names; on a dark background it is brighter (lib/color.c set_color_palette)."""
    from os import environ

    _, mark, background = environ.get("COLORFGBG", "").rpartition(";")
    return "\033[1;36m" if mark and background in DARK else "\033[36m"


def rate_text(rate: int, iec: bool = False) -> str:
    """Bytes a second as bits with a unit (tc_print_rate)."""
    kilo, letter = (1024, "i") if iec else (1000, "")
    bits, unit = rate << 3, 0
    while unit < 4:
        if bits < kilo or (bits % kilo and bits < 1000 * kilo):
            break
        bits //= kilo
        unit += 1
    return f"{bits}{'' if not unit else 'KMGT'[unit - 1] + letter}bit"


def size_text(size: int) -> str:
    """Bytes with a unit where they are near a round number of it (print_size)."""
    mega, kilo = 1 << 20, 1 << 10
    if size >= mega and abs(mega * round(size / mega) - size) < kilo:
        return f"{round(size / mega):g}Mb"
    if size >= kilo and abs(kilo * round(size / kilo) - size) < 16:
        return f"{round(size / kilo):g}Kb"
    return f"{size}b"


def time_text(nanoseconds: int) -> str:
    """A time with the largest unit that it reaches (sprint_time64)."""
    for unit, name in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if nanoseconds >= unit:
            return f"{nanoseconds / unit:.3g}{name}"
    return f"{nanoseconds}ns"
