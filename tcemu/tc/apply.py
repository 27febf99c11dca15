"""Commands applied to a ruleset, as net/sched/cls_api.c and act_api.c apply them; the kernel's words when they refuse.

Only what a command names is read and written: records by key, never the siblings of one.
Source: Linux 6.1 net/sched/cls_api.c (tc_new_tfilter, tc_del_tfilter, tc_get_tfilter, tc_ctl_chain), net/sched/cls_flower.c.
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.ir.effect import Nothing
from tcemu.ir.operand import Load
from tcemu.ir.ruleset import Chain, Rule, Slot
from tcemu.ir.step import Do, Masked, Match, Step
from tcemu.ir.verdict import ACCEPT, Verdict
from tcemu.tc import hardware, kinds
from tcemu.tc.action_apply import bind, let_go, unbind
from tcemu.tc.command import ChainCommand, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.names import ETH_ALL
from tcemu.tc.notes import ChainNote, RuleNote, SlotNote, give, look, pack, take, unpack
from tcemu.tc.places import Place, find_block, hold_chain, release_chain
from tcemu.tc.work import Work
from tcemu.world import World

MAX_CHAIN: Final = 0x0FFFFFFF  # TC_ACT_EXT_VAL_MASK
AUTO_FIRST: Final = 0xC000
AUTO_FROM: Final = 0x8000
BACKWARDS: Final = 1 << 46  # ranks of kinds that put new filters in front
MAX_HANDLE: Final = 0x7FFFFFFF  # cls_flower.c fl_change: INT_MAX
ACCEPTED: Final = Do(Nothing(), Verdict(ACCEPT), implied=True)

NO_SLOT: Final = "Filter with specified priority/protocol not found"
NO_CREATE: Final = "Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter"
OTHER_KIND: Final = "Specified filter kind does not match existing one"
NO_CHAIN: Final = "Cannot find specified filter chain"
DEEP_CHAIN: Final = "Specified chain index exceeds upper limit"
PRIO_ZERO: Final = "Invalid filter command with priority of zero"


def rank_of(prio: int, order: int, handle: int) -> int:
    """A rule's place: slots by prio, masks in order of appearance, then handles."""
    return prio << 47 | (order & 0x7FFF) << 32 | handle


def rule_key(slot: Slot, handle: int) -> str:
    """The key of a slot's filter."""
    return f"{slot.key}/{hex(handle)[2:].zfill(8)}"


def filter_modify(world: World, command: FilterCommand) -> None:
    """add, change or replace."""
    work = Work(world)
    create = command.verb in ("add", "replace")
    if not command.prio and not create:
        raise RefusalError(PRIO_ZERO, errno.ENOENT)
    place = find_block(work, command)
    parent = command.parent or place.default_parent
    if place.record is None or place.note.parent != parent:
        place.note.parent = parent
        place.save(work)
    if command.chain > MAX_CHAIN:
        raise RefusalError(DEEP_CHAIN)
    chain, chain_note = hold_chain(work, place, command.chain)
    work.block, work.place, work.chain_key = place, place.table, chain.key
    slots = chain_note.slots
    slot, slot_note = _slot_for(work, command, chain, chain_note, create)
    rule = work.rule(rule_key(slot, command.handle)) if command.handle else None
    if rule is None and not create:
        raise RefusalError(NO_CREATE, errno.ENOENT)
    if rule is not None and command.verb == "add":
        raise RefusalError("Filter already exists", errno.EEXIST)
    if chain_note.kind and chain_note.kind != slot.kind:
        raise RefusalError("Chain template is set to a different filter kind")
    _change(work, command, place, chain, chain_note, slot, slot_note, rule)
    if chain_note.slots != slots or work.touched("chains", chain.key):
        chain.note = pack(chain_note)
        work.put("chains", chain)
    slot.note = pack(slot_note)
    work.put("slots", slot)
    work.commit()


def _slot_for(work: Work, command: FilterCommand, chain: Chain, chain_note: ChainNote, create: bool) -> tuple[Slot, SlotNote]:
    """The slot of a command's prio, made if need be."""
    prio = command.prio
    if not prio:
        if chain_note.auto == AUTO_FROM:
            raise RefusalError(NO_SLOT, errno.ENOSPC)
        prio = (chain_note.auto or AUTO_FIRST + 1) - 1
    slot = work.slot(f"{chain.key}/{prio}")
    if slot is None:
        if not command.kind or not command.protocol:
            raise RefusalError("Filter kind and protocol must be specified")
        if not create:
            raise RefusalError(NO_CREATE, errno.ENOENT)
        if command.kind not in kinds.FILTERS:
            raise RefusalError("TC classifier not found", errno.ENOENT)
        chain_note.slots += 1
        if prio >= AUTO_FROM - 1 and (not chain_note.auto or prio < chain_note.auto):
            chain_note.auto = prio
        slot = Slot(key=f"{chain.key}/{prio}", parent=chain.key, rank=prio, protocol=command.protocol, kind=command.kind)
        note = SlotNote(free=[(1, MAX_HANDLE)])
        module = kinds.filter_module(command.kind)
        if hasattr(module, "opened"):
            work.slot_key = slot.key
            module.opened(work, note)
        return slot, note
    if command.protocol and slot.protocol != command.protocol:
        raise RefusalError(NO_SLOT)
    if command.kind and command.kind != slot.kind:
        raise RefusalError(OTHER_KIND)
    return slot, unpack(SlotNote, slot.note)


def _change(
    work: Work,
    command: FilterCommand,
    place: Place,
    chain: Chain,
    chain_note: ChainNote,
    slot: Slot,
    note: SlotNote,
    old: Rule | None,
) -> None:
    """The kind's change(): actions first, then the match, then the handle."""
    module = kinds.filter_module(slot.kind)
    work.slot_key, work.protocol = slot.key, slot.protocol
    if kinds.needs_handle(slot.kind) and not command.handle and command.options is not None and command.options.given:
        raise RefusalError()
    specs = command.actions if command.police is None else [command.police]  # the kernel takes one or the other (tcf_exts_validate)
    bound = [bind(work, spec, place.table, command) for spec in specs]
    old_note = unpack(RuleNote, old.note) if old is not None else None
    made = module.configure(work, command, note, old_note, unpack_template(chain_note) if chain_note.kind else "")
    if made.nothing:  # before actions are looked at
        let_go(work, bound)
        return
    made.note.police = command.police is not None
    handle = made.note.handle if made.whole or old is not None else take(note.free, command.handle)
    if handle < 0:
        handle = command.handle
    note.count += old is None
    tag = f"{slot.rank} {made.tag}" if made.tag else ""
    twin = work.twin(chain.key, tag) if tag else None
    if twin is not None and old is None:
        raise RefusalError("", errno.EEXIST)
    made.note.handle = handle
    made.note.acts = bound
    steps: list[Step] = []
    if slot.protocol != ETH_ALL:
        steps.append(carried(slot.protocol))
    steps += made.steps
    steps += [Do(obj=key) for key in bound]
    steps.append(ACCEPTED)
    rule = Rule(
        key=rule_key(slot, handle),
        parent=made.parent or chain.key,
        rank=rank_of(slot.rank, made.order, handle) if made.order >= 0 else (slot.rank << 47) + BACKWARDS + made.order,
        tag="" if twin is not None and old is not None and twin.key != old.key else tag,
        slot=slot.rank,
        steps=steps,
        hardware=hardware.wish(made.note),
        note=pack(made.note),
    )
    hardware.demand(work, rule, slot.kind, made.note)
    work.put("rules", rule)
    if old is not None:
        unbind(work, old)


_carried: Final[dict[int, Match]] = {}


def carried(protocol: int) -> Match:
    """The guard of a slot's protocol; one object for all filters."""
    found = _carried.get(protocol)
    if found is None:
        found = _carried[protocol] = Match(Load("meta.protocol"), Masked(protocol, 0xFFFF), True)
    return found


def unpack_template(note: ChainNote) -> str:
    """A chain's template as a mask, empty if it has none."""
    return look(RuleNote, note.template).mask if note.kind else ""


def filter_delete(world: World, command: FilterCommand) -> None:
    """A filter by handle, a slot, or all of a chain."""
    work = Work(world)
    if not command.prio and (command.protocol or command.handle or command.kind):
        raise RefusalError("Cannot flush filters with protocol, handle or kind set", errno.ENOENT)
    place = find_block(work, command)
    if command.chain > MAX_CHAIN:
        raise RefusalError(DEEP_CHAIN)
    chain = work.chain(f"{place.table}/{command.chain}")
    if chain is None:
        if not command.prio:
            return
        raise RefusalError(NO_CHAIN, errno.ENOENT)
    note = unpack(ChainNote, chain.note)
    if not command.prio:
        for slot in world.ruleset.slots.children(chain.key):
            drop_slot(work, chain, note, slot)
    else:
        _delete_one(work, command, chain, note)
    release_chain(work, chain, note)
    work.commit()


def _delete_one(work: Work, command: FilterCommand, chain: Chain, note: ChainNote) -> None:
    slot = find_slot(work, command, chain)
    if not command.handle:
        drop_slot(work, chain, note, slot)
        return
    rule = work.rule(rule_key(slot, command.handle))
    if rule is None:
        raise RefusalError("Specified filter handle not found", errno.ENOENT)
    slot_note = unpack(SlotNote, slot.note)
    if slot.kind == "u32":
        _check_u32(rule, slot_note)
    if slot_note.count == 1 and (slot.kind != "u32" or int(rule.key[-3:], 16)):
        drop_slot(work, chain, note, slot)
        return
    _drop_rule(work, slot, slot_note, rule)
    slot.note = pack(slot_note)
    work.put("slots", slot)


def _check_u32(rule: Rule, note: SlotNote) -> None:
    """A root table cannot be deleted."""
    own = unpack(RuleNote, rule.note)
    if "divisor" in own.extra and own.handle == note.extra["root"]:
        raise RefusalError("cls_u32: Not allowed to delete root node")


def find_slot(work: Work, command: FilterCommand, chain: Chain) -> Slot:
    """The slot that a command names, of the protocol and kind that it names."""
    slot = work.slot(f"{chain.key}/{command.prio}")
    if slot is None or (command.protocol and slot.protocol != command.protocol):
        raise RefusalError(NO_SLOT, errno.ENOENT)
    if command.kind and command.kind != slot.kind:
        raise RefusalError(OTHER_KIND)
    return slot


def _drop_rule(work: Work, slot: Slot, note: SlotNote, rule: Rule) -> None:
    """Take a filter away, with what it holds."""
    own = unpack(RuleNote, rule.note)
    module = kinds.filter_module(slot.kind)
    if hasattr(module, "released"):
        module.released(note, own)
    if "divisor" not in own.extra:
        give(note.free, own.handle)
        note.count -= 1
    unbind(work, rule)
    work.delete("rules", rule.key)


def drop_slot(work: Work, chain: Chain, note: ChainNote, slot: Slot) -> None:
    """Take a slot away with all its filters."""
    for rule in rules_of(work.world, chain.key, slot.rank):
        unbind(work, rule)
        work.delete("rules", rule.key)
    work.delete("slots", slot.key)
    note.slots -= 1
    if slot.kind == "u32":
        _drop_tables(work, chain.parent, slot.key)
    if note.auto == slot.rank:
        others = [other.rank for other in work.world.ruleset.slots.between(chain.key, AUTO_FROM - 1, 0xFFFF) if other.rank != slot.rank]
        note.auto = min(others, default=0)


def _drop_tables(work: Work, table: str, slot: str) -> None:
    """The hash tables of a u32 slot go with it."""
    place = Place(table, work.table(table), "")
    if place.record is not None:
        place.note.u32 = {number: owner for number, owner in place.note.u32.items() if owner != slot}
        place.save(work)


def rules_of(world: World, chain: str, prio: int) -> list[Rule]:
    """The filters of a slot, in order of evaluation; what u32 keeps apart too."""
    low, high = rank_of(prio, 0, 0), rank_of(prio + 1, 0, 0) - 1
    return world.ruleset.rules.between(chain, low, high) + world.ruleset.rules.between(f"{chain}/u32", low, high)


def find_filter(world: World, command: FilterCommand) -> tuple[Place, Chain, Slot, Rule]:
    """What `filter get` names."""
    work = Work(world)
    if not command.prio:
        raise RefusalError(PRIO_ZERO, errno.ENOENT)
    place = find_block(work, command)
    if command.chain > MAX_CHAIN:
        raise RefusalError(DEEP_CHAIN)
    chain = work.chain(f"{place.table}/{command.chain}")
    if chain is None:
        raise RefusalError(NO_CHAIN)
    slot = find_slot(work, command, chain)
    rule = work.rule(rule_key(slot, command.handle))
    if rule is None:
        raise RefusalError("Specified filter handle not found", errno.ENOENT)
    return place, chain, slot, rule


def chain_modify(world: World, command: ChainCommand) -> None:
    """chain add and del (tc_ctl_chain)."""
    work = Work(world)
    wanted = command.filter
    place = find_block(work, wanted)
    if wanted.chain > MAX_CHAIN:
        raise RefusalError(DEEP_CHAIN)
    chain = work.chain(f"{place.table}/{wanted.chain}")
    note = unpack(ChainNote, chain.note) if chain is not None else None
    if wanted.verb == "add":
        if chain is not None and note is not None and (note.explicit or note.slots):
            raise RefusalError("Filter chain already exists", errno.EEXIST)
        chain, note = hold_chain(work, place, wanted.chain)
        note.explicit = True
        if wanted.kind:
            _set_template(work, wanted, note)
        chain.note = pack(note)
        work.put("chains", chain)
        place.save(work)
    else:
        if chain is None or note is None or not (note.explicit or note.slots):
            raise RefusalError(NO_CHAIN)
        for slot in world.ruleset.slots.children(chain.key):
            drop_slot(work, chain, note, slot)
        note.explicit, note.kind, note.template = False, "", ChainNote().template
        release_chain(work, chain, note)
    work.commit()


def _set_template(work: Work, command: FilterCommand, note: ChainNote) -> None:
    """A chain's template: a filter of flower's that holds nothing."""
    if command.kind not in kinds.FILTERS:
        raise RefusalError("TC classifier not found", errno.ENOENT)
    module = kinds.filter_module(command.kind)
    if not hasattr(module, "template"):
        raise RefusalError("Chain templates are not supported with specified classifier", errno.EOPNOTSUPP)
    note.kind = command.kind
    note.template = pack(module.template(work, command))


def find_chain(world: World, command: ChainCommand) -> tuple[Place, Chain]:
    """What `chain get` names."""
    work = Work(world)
    place = find_block(work, command.filter)
    if command.filter.chain > MAX_CHAIN:
        raise RefusalError(DEEP_CHAIN)
    chain = work.chain(f"{place.table}/{command.filter.chain}")
    if chain is None or not _shown(unpack(ChainNote, chain.note)):
        raise RefusalError(NO_CHAIN)
    return place, chain


def _shown(note: ChainNote) -> bool:
    return note.explicit or note.slots > 0
