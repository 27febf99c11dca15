"""Listings: filters, chains, as tc prints them. Reads and edits nothing.

Source: iproute2 6.1 tc/tc_filter.c (print_filter, tc_filter_list, tc_filter_get), tc/m_action.c (tc_print_one_action).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from tcemu.ir.ruleset import Chain, Rule, Slot
from tcemu.shelf import HIGHEST, LOWEST
from tcemu.tc import hardware, kinds
from tcemu.tc.command import ChainCommand, FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError
from tcemu.tc.look import Filter, Look, action_note_of, actions_of, note_of
from tcemu.tc.names import protocol_name
from tcemu.tc.notes import ChainNote, RuleNote, SlotNote, unpack
from tcemu.tc.places import Place, block_of, find_qdisc, root_qdisc
from tcemu.tc.printers import classid_text
from tcemu.tc.reading import FilterRow
from tcemu.tc.show_actions import show_actions
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer
from tcemu.world import World

INGRESS: Final = 0xFFFFFFF2
EGRESS: Final = 0xFFFFFFF3


class View(NamedTuple):
    """What a listing was asked for, and so does not repeat."""

    device: str = ""
    block: int = 0
    parent: int = 0
    prio: int = 0
    protocol: int = 0
    chain: int = -1

    def wants(self, slot: Slot) -> bool:
        """Whether a slot's filters are asked for."""
        return not (self.prio and self.prio != slot.rank) and not (self.protocol and self.protocol != slot.protocol)


TOO_SMALL: Final = "Error: Buffer too small for object.\nDump terminated\n"  # of a kind without terse_dump (cls_api.c tcf_fill_node)
PRIO_SHIFT: Final = 47  # ranks of rules begin with their prio


def view_of(command: FilterCommand) -> View:
    """A list command's view."""
    chain = command.chain if "CHAIN" in command.seen else -1
    return View(command.dev, command.block, command.parent, command.prio, command.protocol, chain)


def filter_list(out: Writer, world: World, command: FilterCommand) -> None:
    """tc filter show."""
    found = places(world, command)
    out.start()
    out.terse = out.brief
    look = Look(world, out.stats)
    for place in found:
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
    ruleset = look.world.ruleset
    chains = [chain for chain in ruleset.chains.children(place.table) if view.chain < 0 or int(chain.name) == view.chain]
    look.expected += sum(ruleset.rules.count(chain.key) for chain in chains)
    for chain in chains:
        slots = [slot for slot in ruleset.slots.children(chain.key) if view.wants(slot)]
        for slot, rules in filters_of(look, chain, slots, view.prio) if slots else ():
            show_slot(out, look, place, view, chain, slot, rules)


def filters_of(look: Look, chain: Chain, slots: list[Slot], prio: int) -> Iterable[tuple[Slot, Iterable[Filter]]]:
    """The filters of a chain by slot, in the order of their listing; where one slot alone is wanted, no other's are read."""
    low, high = (prio << PRIO_SHIFT, (prio + 1 << PRIO_SHIFT) - 1) if prio else (LOWEST, HIGHEST)
    if look.hardware is None and all(getattr(kinds.shown_module(slot.kind), "NOTED", False) for slot in slots):
        return _noted(look.world.ruleset.rules.read(chain.key, FilterRow, low, high), slots)
    rules = look.world.ruleset.rules.between(chain.key, low, high)
    if any(slot.kind == "u32" for slot in slots):
        rules += look.world.ruleset.rules.between(f"{chain.key}/u32", low, high)
    return _whole(rules, slots)


def _noted(rows: Iterator[FilterRow], slots: list[Slot]) -> Iterator[tuple[Slot, Iterable[Filter]]]:
    """Filters of kinds that are printed from notes alone, as they are read: their ranks are in the order of handles but for masks."""
    groups = groupby(rows, attrgetter("slot"))
    ahead = next(groups, None)
    for slot in slots:
        while ahead is not None and ahead[0] < slot.rank:
            ahead = next(groups, None)
        found: Iterable[Filter] = ahead[1] if ahead is not None and ahead[0] == slot.rank else ()
        yield slot, found if unpack(SlotNote, slot.note).made <= 1 else sorted(found, key=_by_handle)


def _whole(rules: list[Rule], slots: list[Slot]) -> Iterator[tuple[Slot, Iterable[Filter]]]:
    """Filters of any kind in their kind's order."""
    by_slot: dict[int, list[Rule]] = {}
    for rule in rules:
        by_slot.setdefault(rule.slot, []).append(rule)
    for slot in slots:
        yield slot, kinds.listed(slot.kind, by_slot.get(slot.rank, []))


def show_slot(out: Writer, look: Look, place: Place, view: View, chain: Chain, slot: Slot, rules: Iterable[Filter]) -> None:
    """A slot's own line, then its filters."""
    mark = out.mark()
    show_head(out, place, view, chain, slot)
    head = "" if out.json else out.since(mark)
    out.newline()
    out.close()
    if out.terse and not getattr(kinds.shown_module(slot.kind), "TERSE", False):
        if slot.kind != "matchall" and any(True for _ in rules):  # mall_walk counts on, whatever became of the filter
            raise ComplaintError(TOO_SMALL)
        return
    devices = place.note.users if place.note.index else 1
    for rule in rules:
        if head:
            out.put(head)
        else:
            show_head(out, place, view, chain, slot)
        show_body(out, look, slot.kind, rule, devices)
        out.settle()


def _by_handle(rule: Filter) -> int:
    return rule.rank & 0xFFFFFFFF


def show_filter(out: Writer, look: Look, place: Place, view: View, chain: Chain, slot: Slot, rule: Rule) -> None:
    """One filter with its actions."""
    show_head(out, place, view, chain, slot)
    show_body(out, look, slot.kind, rule, place.note.users if place.note.index else 1)


def show_body(out: Writer, look: Look, kind: str, rule: Filter, devices: int) -> None:
    """What follows a filter's head. ``devices``: how many have it, if hardware does."""
    printer, note = look.filter_printer(kind), note_of(rule)
    keys = actions_of(rule, note)
    if look.hardware is not None and isinstance(rule, Rule):
        hardware.mark(look.hardware, look.object, rule, kind, note, devices)
    if printer.has_options is not None and not printer.has_options(rule, note):
        out.newline()
        out.close()
        return
    out.open("options")
    printer.show(out, rule, note)
    own = ""
    if note.police:
        if kind == "u32":
            out.newline()
        keys, own = keys[:-1], keys[-1]
        show_police(out, look, own)
        if printer.show_indev is not None:
            printer.show_indev(out, note)
    if keys and printer.actions_line:
        out.bare("\n")
    if keys:
        show_actions(out, look, keys, bool(note.flags & hardware.IN_HW))
    out.close()
    out.newline()
    if own and out.stats:
        show_old_counters(out, look, own)
    out.close()


def show_old_counters(out: Writer, look: Look, key: str) -> None:
    """What a filter's own policer counted, in the old form, which is bare text in JSON too (print_tcstats_attr)."""
    action = look.object(key)
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
        out.string("protocol", "protocol %s ", protocol_name(slot.protocol, out.numeric))
    if not view.prio:
        out.number("pref", "pref %u ", slot.rank)
    out.string("kind", "%s ", slot.kind)
    if view.chain < 0:
        out.number("chain", "chain %u ", int(chain.name))


def show_police(out: Writer, look: Look, key: str) -> None:
    """A policer that is the filter's own."""
    action = look.action(key)
    if action is not None:
        look.action_printer("police")(out, action, action_note_of(action), look.now)


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
    found = places(world, wanted)
    out.start()
    for place in found:
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
        kinds.shown_module(note.kind).show_template(out, unpack(RuleNote, note.template))
        out.close()
    out.newline()
    out.close()
