"""Actions as tc lists them: those of a filter, and by themselves.

Source: iproute2 6.1 tc/m_action.c (tc_print_one_action, tc_print_action, print_action).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tcemu.ir.ruleset import Object
from tcemu.tc.action_apply import find
from tcemu.tc.command import ActionName
from tcemu.tc.look import Action, Look, action_note_of
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_counters
from tcemu.tc.reading import NOTHING
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World

# with -brief: the key and the text of kinds that do not print "kind" and a blank behind it; "" is nothing
TERSE: Final = {
    "ct": ("kind", "%s"),
    "pedit": ("kind", " %s "),
    "police": ("kind", ""),
    "nat": ("type", " %s "),
    "gate": ("", ""),
    "simple": ("", ""),
    "skbmod": ("", ""),
}
ORDER: Final = "\taction order %u: "
HW_STATS: Final = ((1, "immediate"), (2, "delayed"))


def show_actions(out: Writer, look: Look, keys: list[str], in_hw: bool = False) -> None:
    """A filter's list of actions; of one in hardware each has its counters from there."""
    out.open_array("actions")
    for order, key in enumerate(keys, 1):
        if out.plain and look.expected:
            text = look.texts.get(key) or _text(out, look, key)
            if text:
                out.newline()
                out.number("order", ORDER, order)
                out.put(text)
                continue
        action = look.action(key)
        if action is not None:
            show_action(out, look, action, order, False, in_hw)
    out.close_array()


def _text(out: Writer, look: Look, key: str) -> str:
    """An action as it is printed behind its order; nothing where actions are read one by one."""
    if look.shall_read_all():
        scratch = out.sibling()
        for action in look.all_actions():
            note = action_note_of(action)
            look.action_printer(action.kind)(scratch, action, note, look.now)
            if note is not NOTHING:
                _show_rest(scratch, note, False, False)
            look.texts[action.key] = scratch.taken()
    return look.texts.get(key, "")


def show_action(out: Writer, look: Look, action: Action, order: int, alone: bool = False, in_hw: bool = False) -> None:
    """One action of a list."""
    note = action_note_of(action)
    out.open()
    out.newline()
    out.number("order", ORDER, order)
    if out.terse:
        _show_terse(out, action, alone)
    else:
        look.action_printer(action.kind)(out, action, note, look.now)
    if out.stats and isinstance(action, Object):
        out.text("\tAction statistics:")
        out.newline()
        out.open("stats")
        show_counters(out, action.stats, "\t")
        out.close()
        out.newline()
    _show_rest(out, note, alone, in_hw)
    out.close()


def _show_terse(out: Writer, action: Action, alone: bool) -> None:
    """What the kernel tells of an action with -brief (tcf_action_dump_terse), as far as the kind's printer looks at it."""
    key, form = TERSE.get(action.kind, ("kind", "%s "))
    if key:
        out.string(key, form, action.kind)
    if alone:
        out.number("index", "\t index %u", action.rank)
        out.newline()


def _show_rest(out: Writer, note: ActionNote, alone: bool, in_hw: bool) -> None:
    """What stands behind an action's counters."""
    if note.cookie:
        out.string("cookie", "\tcookie %s", note.cookie)
        out.newline()
    if out.terse:
        return
    _show_flags(out, note, alone)
    if note.hw_stats >= 0:
        show_hw_stats(out, note.hw_stats)
    if in_hw and out.stats:
        show_hw_stats(out, 2, "used_hw_stats")


def _show_flags(out: Writer, note: ActionNote, alone: bool) -> None:
    """no_percpu, skip_hw, skip_sw and, in listings of actions, that no hardware has it."""
    if note.no_percpu:
        out.flag("no_percpu", "\tno_percpu")
    if note.skip:
        out.flag(note.skip, f"\t{note.skip}")
    if alone and note.skip != "skip_hw":
        out.flag("not_in_hw", "\tnot_in_hw")
    if note.no_percpu or note.skip or alone:
        out.newline()


def action_list(out: Writer, world: World, kind: str) -> None:
    """tc actions list."""
    look, parent = Look(world, out.stats), f"tc {kind}"
    total = world.ruleset.objects.count(parent)
    out.terse = out.brief
    out.start()
    if total:
        _show_table(out, look, look.actions(parent), total, 0)
    out.finish()


def action_get(out: Writer, world: World, names: list[ActionName]) -> None:
    """tc actions get."""
    work = Work(world)
    actions = [find(work, name) for name in names]
    out.start()
    _show_table(out, Look(world), actions, 0, 1)
    out.finish()


def _show_table(out: Writer, look: Look, actions: Iterable[Action], total: int, first: int) -> None:
    """print_action: a count, then the actions."""
    out.open()
    out.number("total acts", "total acts %u", total)
    out.newline()
    out.close()
    out.open()
    out.open_array("actions")
    for order, action in enumerate(actions, first):
        show_action(out, look, action, order, True)
        out.settle()
    out.close_array()
    out.close()


def show_hw_stats(out: Writer, bits: int, word: str = "hw_stats") -> None:
    """The kind of hardware statistics asked for, or used."""
    out.text(f"\t{word}")
    out.open_array(word)
    for name in [name for bit, name in HW_STATS if bits & bit] or ["disabled"]:
        out.text(f" {name}")
        out.item(name)
    out.close_array()
    out.newline()
