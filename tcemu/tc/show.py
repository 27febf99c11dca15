"""Listings: filters, chains, as tc prints them. Reads and edits nothing.

Source: iproute2 6.1 tc/tc_filter.c (print_filter, tc_filter_list, tc_filter_get), tc/m_action.c (tc_print_one_action).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tcemu.ir.ruleset import Chain, Object, Rule, Slot
from tcemu.ir.step import Do
from tcemu.tc import hardware, kinds
from tcemu.tc.action_apply import find
from tcemu.tc.command import ActionName, ChainCommand, FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.names import protocol_name
from tcemu.tc.notes import ActionNote, ChainNote, RuleNote, unpack
from tcemu.tc.places import Place, block_of, find_qdisc, root_qdisc
from tcemu.tc.printers import classid_text, show_counters
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World, hardware_of

INGRESS = 0xFFFFFFF2
EGRESS = 0xFFFFFFF3
TERSE = {"ct": "%s", "pedit": " %s "}  # kinds printed without a blank behind them, or with one before
HW_STATS = ((1, "immediate"), (2, "delayed"))


class View(NamedTuple):
    """What a listing was asked for, and so does not repeat."""

    device: str = ""
    block: int = 0
    parent: int = 0
    prio: int = 0
    protocol: int = 0
    chain: int = -1


MANY: Final = 100  # filters from which on their actions are read kind by kind


class Look:
    """What a listing asks of the world again and again: the time, the hardware, actions."""

    __slots__ = ("_kinds", "_known", "hardware", "many", "now", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now()
        self.hardware = hardware_of(world)
        self.many = False
        self._known: dict[str, Object] = {}
        self._kinds: set[str] = set()

    def action(self, key: str) -> Object | None:
        """An action by key."""
        if not self.many:
            return self.world.ruleset.objects.get(key)
        kind = key.rpartition(" ")[0]
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._known.update((action.key, action) for action in self.world.ruleset.objects.children(kind))
        return self._known.get(key)


def view_of(command: FilterCommand) -> View:
    """A list command's view."""
    chain = command.chain if "CHAIN" in command.seen else -1
    return View(command.dev, command.block, command.parent, command.prio, command.protocol, chain)


def filter_list(out: Writer, world: World, command: FilterCommand) -> None:
    """tc filter show."""
    out.start()
    look = Look(world)
    for place in places(world, command):
        show_block(out, look, place, view_of(command))
    out.finish()


def places(world: World, command: FilterCommand) -> Iterable[Place]:
    """The block that a list command is about, if there is one (tc_dump_tfilter leaves silently)."""
    work = Work(world)
    if command.block:
        key = f"tc block {command.block}"
        record = work.table(key)
        if record is None:
            raise ComplaintError(f'Cannot find block "{command.block}"\n')
        return [Place(key, record, "")]
    if not command.dev:
        return []
    try:
        qdisc = find_qdisc(work, command.dev, command.parent >> 16) if command.parent else root_qdisc(work, command.dev)
        key = block_of(qdisc, command.parent) if qdisc is not None else ""
    except RefusalError:
        return []
    record = work.table(key) if key else None
    return [] if record is None else [Place(key, record, command.dev)]


def show_block(out: Writer, look: Look, place: Place, view: View) -> None:
    """All filters of a block, chain by chain in the order in which chains were made."""
    world = look.world
    for chain in world.ruleset.chains.children(place.table):
        if view.chain >= 0 and int(chain.name) != view.chain:
            continue
        slots = world.ruleset.slots.children(chain.key)
        rules: dict[int, list[Rule]] = {}
        for parent in (chain.key, f"{chain.key}/u32") if slots else ():
            found = world.ruleset.rules.children(parent)
            look.many = look.many or len(found) > MANY
            for rule in found:
                rules.setdefault(rule.slot, []).append(rule)
        for slot in slots:
            if (view.prio and view.prio != slot.rank) or (view.protocol and view.protocol != slot.protocol):
                continue
            show_slot(out, look, place, view, chain, slot, rules.get(slot.rank, []))


def show_slot(out: Writer, look: Look, place: Place, view: View, chain: Chain, slot: Slot, rules: list[Rule]) -> None:
    """A slot's own line, then its filters in its kind's order."""
    show_head(out, place, view, chain, slot)
    out.newline()
    out.close()
    for rule in kinds.listed(slot.kind, rules):
        show_filter(out, look, place, view, chain, slot, rule)


def show_filter(out: Writer, look: Look, place: Place, view: View, chain: Chain, slot: Slot, rule: Rule) -> None:
    """One filter with its actions."""
    show_head(out, place, view, chain, slot)
    module, note = kinds.filter_module(slot.kind), unpack(RuleNote, rule.note)
    keys = [step.obj for step in rule.steps if isinstance(step, Do) and step.obj]
    hardware.mark(look.hardware, look.action, rule, slot.kind, note, place.note.users if place.note.index else 1)
    if hasattr(module, "has_options") and not module.has_options(rule, note):
        out.newline()
        out.close()
        return
    out.open("options")
    module.show(out, rule, note)
    own = ""
    if note.police:
        if slot.kind == "u32":
            out.newline()
        own = keys.pop()
        show_police(out, look, own)
        if hasattr(module, "show_indev"):
            module.show_indev(out, note)
    if keys and getattr(module, "ACTIONS_LINE", False):
        out.bare("\n")
    show_actions(out, look, keys, bool(note.flags & hardware.IN_HW))
    out.close()
    if not keys or not out.options.brief:
        out.newline()
    if own and out.stats:
        show_old_counters(out, look, own)
    out.close()


def show_old_counters(out: Writer, look: Look, key: str) -> None:
    """What a filter's own policer counted, in the old form, which is bare text in JSON too (print_tcstats_attr)."""
    action = look.action(key)
    if action is not None:
        stats = action.stats
        out.bare(f" Sent {stats.bytes} bytes {stats.packets} pkts (dropped {stats.drops}, overlimits {stats.overlimits}) ")
        out.newline()


def show_place(out: Writer, place: Place, view: View) -> None:
    """Block, or device and parent, as far as the command did not say them."""
    if place.note.index:
        if view.block != place.note.index:
            out.number("block", "block %u ", place.note.index)
        return
    if not view.device:
        out.string("dev", "dev %s ", place.device)
    parent = place.note.parent
    if view.parent and view.parent == parent:
        return
    if parent == 0xFFFFFFFF:
        out.flag("root", "root ")
    elif parent == INGRESS:
        out.flag("ingress", "ingress ")
    elif parent == EGRESS:
        out.flag("egress", "egress ")
    else:
        out.string("parent", "parent %s ", classid_text(parent))


def show_head(out: Writer, place: Place, view: View, chain: Chain, slot: Slot) -> None:
    """The beginning of a filter's line."""
    out.open()
    out.text("filter ")
    show_place(out, place, view)
    if not view.protocol:
        out.string("protocol", "protocol %s ", protocol_name(slot.protocol))
    if not view.prio:
        out.number("pref", "pref %u ", slot.rank)
    out.string("kind", "%s ", slot.kind)
    if view.chain < 0:
        out.number("chain", "chain %u ", int(chain.name))


def show_police(out: Writer, look: Look, key: str) -> None:
    """A policer that is the filter's own."""
    action = look.action(key)
    if action is not None:
        kinds.action_module("police").show(out, action, unpack(ActionNote, action.note), look.now)


def show_actions(out: Writer, look: Look, keys: list[str], in_hw: bool = False) -> None:
    """A filter's list of actions; of one in hardware each has its counters from there."""
    if not keys:
        return
    if out.options.brief:
        out.newline()
    out.open_array("actions")
    for order, key in enumerate(keys, 1):
        action = look.action(key)
        if action is not None:
            show_action(out, action, order, look.now, False, in_hw)
    out.close_array()


def show_action(out: Writer, action: Object, order: int, now: int, alone: bool = False, in_hw: bool = False) -> None:
    """One action of a list."""
    note = unpack(ActionNote, action.note)
    out.open()
    if out.options.brief and not alone:
        out.number("order", "\taction order %u: ", order)
        out.string("kind", TERSE.get(action.kind, "%s "), action.kind)
        out.newline()
    else:
        out.newline()
        out.number("order", "\taction order %u: ", order)
        kinds.action_module(action.kind).show(out, action, note, now)
    if out.stats:
        out.text("\tAction statistics:")
        out.newline()
        out.open("stats")
        show_counters(out, action.stats, "\t")
        out.close()
        out.newline()
    if note.cookie:
        out.string("cookie", "\tcookie %s", note.cookie)
        out.newline()
    if out.options.brief:
        out.close()
        return
    _show_flags(out, note, alone)
    if note.hw_stats >= 0:
        show_hw_stats(out, note.hw_stats)
    if in_hw and out.stats:
        show_hw_stats(out, 2, "used_hw_stats")
    out.close()


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
    actions = world.ruleset.objects.children(f"tc {kind}")
    out.start()
    if actions:
        _show_table(out, world, actions, len(actions), 0)
    out.finish()


def action_get(out: Writer, world: World, names: list[ActionName]) -> None:
    """tc actions get."""
    work = Work(world)
    actions = [find(work, name) for name in names]
    out.start()
    _show_table(out, world, actions, 0, 1)
    out.finish()


def _show_table(out: Writer, world: World, actions: list[Object], total: int, first: int) -> None:
    """print_action: a count, then the actions."""
    out.open()
    out.number("total acts", "total acts %u", total)
    out.newline()
    out.close()
    out.open()
    out.open_array("actions")
    now = world.now()
    for order, action in enumerate(actions, first):
        show_action(out, action, order, now, True)
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


def filter_get(out: Writer, world: World, command: FilterCommand, found: tuple[Place, Chain, Slot, Rule]) -> None:
    """tc filter get."""
    place, chain, slot, rule = found
    out.start()
    show_filter(out, Look(world), place, View(command.dev, command.block), chain, slot, rule)
    out.finish()


# ---------------------------------------------------------------- chains
def chain_list(out: Writer, world: World, command: ChainCommand) -> None:
    """tc chain show. The dump is asked again until it is empty, and its place is counted without the chains that only gotos
    hold: with one of those in front, chains come twice (tc_dump_chain of Linux 6.1, recorded in tc-chain-template)."""
    wanted = command.filter
    out.start()
    for place in places(world, wanted):
        chains = [chain for chain in world.ruleset.chains.children(place.table) if "CHAIN" not in wanted.seen or chain.rank == wanted.chain]
        start, more = 0, True
        while more:
            more, index = False, 0
            for chain in chains:
                if index < start:
                    index += 1
                    continue
                note = unpack(ChainNote, chain.note)
                if note.explicit or note.slots:
                    show_chain(out, place, view_of(wanted), chain, note)
                    more = True
                    index += 1
            start = index
    out.finish()


def chain_get(out: Writer, command: ChainCommand, found: tuple[Place, Chain]) -> None:
    """tc chain get."""
    place, chain = found
    out.start()
    show_chain(out, place, View(command.filter.dev, command.filter.block), chain, unpack(ChainNote, chain.note))
    out.finish()


def show_chain(out: Writer, place: Place, view: View, chain: Chain, note: ChainNote) -> None:
    """A chain, with its template."""
    out.open()
    out.text("chain ")
    if place.note.index:
        if view.block != place.note.index:
            out.number("block", "block %u ", place.note.index)
    else:
        if not view.device:
            out.string("dev", "dev %s ", place.device)
        out.string("parent", "parent %s ", "ffff:")
    if note.kind:
        out.string("kind", "%s ", note.kind)
    if view.chain < 0:
        out.number("chain", "chain %u ", int(chain.name))
    if note.kind:
        out.open("options")
        kinds.filter_module(note.kind).show_template(out, unpack(RuleNote, note.template))
        out.close()
    out.newline()
    out.close()
