"""Filters in hardware, where the session has an offload backend: what listings say of it, and what ``skip_sw`` asks for."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from tcemu.ir.step import Do
from tcemu.tc.complaint import RefusalError
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.world import Hardware, hardware_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.ir.ruleset import Object, Rule
    from tcemu.ir.stats import Stats
    from tcemu.tc.notes import RuleNote
    from tcemu.tc.work import Work
    from tcemu.tc.writer import Writer

IN_HW: Final = 1 << 2  # TCA_CLS_FLAGS_IN_HW
COUNT_AT: Final = 8  # where a listing's flags hold the number of devices
OFFERED: Final = ("flower", "matchall")  # kinds of filter that drivers are offered (cls_flower.c, cls_matchall.c)


def mark(judge: Hardware | None, find: Callable[[str], Object | None], rule: Rule, kind: str, note: RuleNote, count: int) -> None:
    """Set the flag of a filter that hardware has, for its listing, with the number of devices that have it."""
    if judge is None or note.flags & SKIP_HW or kind not in OFFERED:
        return
    if judge.refusal(rule, _actions(rule, find)) is None:
        note.flags |= IN_HW | max(count, 1) << COUNT_AT


def wish(note: RuleNote) -> str:
    """What a filter's flags ask of the IR: ``only`` in hardware, ``never``, or nothing."""
    return "only" if note.flags & SKIP_SW else "never" if note.flags & SKIP_HW else ""


def demand(work: Work, rule: Rule, kind: str, note: RuleNote) -> None:
    """``skip_sw``: hardware takes the filter, or it is refused with the driver's words (fl_hw_replace_filter)."""
    if not note.flags & SKIP_SW:
        return
    judge = hardware_of(work.world)
    if judge is None or kind not in OFFERED:
        raise RefusalError("", errno.EOPNOTSUPP)  # no hardware takes it
    why = judge.refusal(rule, _actions(rule, work.object))
    if why is not None:
        raise RefusalError(why, errno.EOPNOTSUPP)


def _actions(rule: Rule, find: Callable[[str], Object | None]) -> list[Object]:
    """A filter's actions."""
    found = [find(step.obj) for step in rule.steps if isinstance(step, Do) and step.obj]
    return [action for action in found if action is not None]


def show_place(out: Writer, flags: int) -> None:
    """``in_hw in_hw_count N`` or ``not_in_hw`` (f_flower.c, m_… flower_print_opt)."""
    if flags & IN_HW:
        out.flag("in_hw", "  in_hw")
        out.number("in_hw_count", " in_hw_count %u", flags >> COUNT_AT)
    else:
        out.flag("not_in_hw", "  not_in_hw")


def show_split(out: Writer, stats: Stats, prefix: str) -> None:
    """What of a counter software saw, and what hardware (iproute2 tc_util.c print_tcstats_basic_hw)."""
    packets = stats.extra.get("hw_packets", 0)
    octets = stats.extra.get("hw_bytes", 0)
    if not packets and not octets:
        return
    if stats.bytes >= octets and stats.packets >= packets:
        out.newline()
        out.text(prefix)
        out.number("sw_bytes", "Sent software %u bytes", stats.bytes - octets)
        out.number("sw_packets", " %u pkt", stats.packets - packets)
    out.newline()
    out.text(prefix)
    out.number("hw_bytes", "Sent hardware %u bytes", octets)
    out.number("hw_packets", " %u pkt", packets)
