"""Actions made, shared, bound and let go, as net/sched/act_api.c does.

An action is an Object ``tc <kind> <index>``; indexes are the lowest free ones (tcf_idr_check_alloc). A filter that names an existing index
shares it, whatever else it says. A goto holds its chain.
Source: Linux 6.1 net/sched/act_api.c (tcf_action_init_1, tcf_idr_check_alloc, tcf_action_check_ctrlact).
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.ir import verdict as v
from tcemu.ir.effect import Police, Random
from tcemu.ir.ruleset import Object, Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do
from tcemu.ir.verdict import Verdict
from tcemu.tc import kinds
from tcemu.tc.command import ActionName, ActionsCommand, ActionSpec, Control, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.tc.notes import ActionNote, ChainNote, give, pack, take, unpack
from tcemu.tc.places import Place, hold_chain, release_chain
from tcemu.tc.work import Work
from tcemu.world import World

CODES: Final = {
    "CONTINUE": v.CONTINUE,
    "DROP": v.DROP,
    "SHOT": v.DROP,
    "PASS": v.ACCEPT,
    "OK": v.ACCEPT,
    "RECLASSIFY": v.RECLASSIFY,
    "PIPE": v.PIPE,
    "STOLEN": v.STOLEN,
    "TRAP": v.TRAP,
    "JUMP": v.STEP,
}


NO_CHAIN: Final = "can't goto NULL proto/chain"


def object_key(kind: str, index: int) -> str:
    """The key of an action."""
    return f"tc {kind} {index}"


def bind(work: Work, spec: ActionSpec, table: str, command: FilterCommand | None) -> str:
    """An action for a filter: the one of that index, or a new one; its key."""
    if spec.kind not in kinds.ACTIONS:
        raise RefusalError("Failed to load TC action module", errno.ENOENT)
    if spec.index:
        found = work.object(object_key(spec.kind, spec.index))
        if found is not None:
            found.bound += 1
            note = unpack(ActionNote, found.note)
            check_skips(note.skip, note.alone, command)
            work.put("objects", found)
            return found.key
    made = make(work, spec, table, command, False)
    if spec.skip:
        check_skips(spec.skip, False, command)
    made.bound = 1
    work.put("objects", made)
    return made.key


def check_skips(skip: str, alone: bool, command: FilterCommand | None) -> None:
    """What an action was told of hardware must not contradict its filter (tcf_action_init)."""
    flags = getattr(command.options, "flags", 0) if command is not None and command.kind in ("flower", "matchall", "u32") else 0
    wanted = "skip_hw" if flags & SKIP_HW else "skip_sw" if flags & SKIP_SW else ""
    if skip != wanted and (alone or skip):
        raise RefusalError("Mismatch between action and filter offload flags")


def make(work: Work, spec: ActionSpec, table: str, command: FilterCommand | None, alone: bool) -> Object:
    """A new action; the caller writes it."""
    if spec.control.word == "GOTO" and not table and kinds.verdict_first(spec.kind):
        raise RefusalError(NO_CHAIN)
    effect = kinds.action_check(spec.kind)(work, spec, command)
    index = take(work.indexes(spec.kind).free, spec.index)
    if index < 0:
        raise RefusalError("", errno.EEXIST if spec.index else errno.ENOSPC)
    then = verdict_of(work, spec.control, table)
    otherwise = second_of(work, spec, table)
    return Object(
        key=object_key(spec.kind, index),
        parent=f"tc {spec.kind}",
        rank=index,
        kind=spec.kind,
        effect=effect,
        then=then,
        otherwise=otherwise,
        stats=Stats(installed=work.now),
        note=pack(spec.note(alone)),
    )


def second_of(work: Work, spec: ActionSpec, table: str) -> Random | None:
    """gact's random verdict."""
    if spec.otherwise is None:
        return None
    how, value, control = spec.otherwise
    if control.word == "GOTO":
        raise RefusalError("goto chain not allowed on fallback")
    return Random(how, value, verdict_of(work, control, table))


def verdict_of(work: Work, control: Control, table: str) -> Verdict:
    """A control word as a verdict; a goto takes hold of its chain."""
    if not control.word:
        raise RefusalError("invalid control action")
    if control.word == "GOTO":
        if not table:
            raise RefusalError(NO_CHAIN)
        return goto_target(work, table, control.number)
    return Verdict(CODES[control.word], number=control.number) if control.word == "JUMP" else PLAIN[control.word]


PLAIN: Final = {word: Verdict(code) for word, code in CODES.items()}


def goto_target(work: Work, table: str, number: int) -> Verdict:
    """GOTO a chain of a block, which is made if it is not there (tcf_chain_get_by_act)."""
    chain, note = hold_chain(work, Place(table, work.table(table), ""), number)
    note.acts += 1
    chain.note = pack(note)
    work.put("chains", chain)
    return Verdict(v.GOTO, chain.key)


def unbind(work: Work, rule: Rule) -> None:
    """A filter lets go of its actions."""
    let_go(work, [step.obj for step in rule.steps if isinstance(step, Do) and step.obj])


def let_go(work: Work, keys: list[str]) -> None:
    """Somebody lets go of actions, which are gone when that was the last who held them."""
    for key in keys:
        action = work.object(key)
        if action is not None:
            action.bound -= 1
            if action.bound <= 0 and not unpack(ActionNote, action.note).alone:
                drop(work, action)
            else:
                work.put("objects", action)


def drop(work: Work, action: Object) -> None:
    """An action goes, its index is free again, and a goto lets go of its chain."""
    work.delete("objects", action.key)
    give(work.indexes(action.kind).free, action.rank)
    if action.then.code == v.GOTO:
        _let_go(work, action.then.to)


def _let_go(work: Work, key: str) -> None:
    """A goto lets go of its chain."""
    chain = work.chain(key)
    if chain is not None:
        note = unpack(ChainNote, chain.note)
        note.acts -= 1
        release_chain(work, chain, note)


# ---------------------------------------------------------------- actions as objects
NOT_FOUND: Final = "TC action with specified index not found"


def modify(world: World, command: ActionsCommand) -> str:
    """add, change or replace; all or none. What the kernel warns of."""
    work = Work(world)
    warning = ""
    for spec in command.actions:
        if spec.kind not in kinds.ACTIONS:
            raise RefusalError("Failed to load TC action module", errno.ENOENT)
        old = work.object(object_key(spec.kind, spec.index)) if spec.index else None
        if spec.skip == "skip_sw" and getattr(world, "hardware", None) is None:
            raise RefusalError("", errno.EOPNOTSUPP)
        if old is not None and command.verb == "add":
            raise RefusalError("", errno.EEXIST)
        if old is None:
            made = make(work, spec, "", None, True)
            work.put("objects", made)
        else:
            made = old
            change(work, spec, old)
        if isinstance(made.effect, Police) and spec.skip != "skip_hw" and not offloads(made):
            warning = "act_api: Failed to setup tc actions for offload"
    work.commit()
    return warning


def offloads(action: Object) -> bool:
    """Whether a policer could be handed to hardware (tcf_police_act_to_flow_act)."""
    assert isinstance(action.effect, Police)
    return all(verdict is None or verdict.code in OFFLOADED for verdict in (action.then, action.effect.conform))


OFFLOADED: Final = (v.ACCEPT, v.DROP, v.PIPE, v.GOTO, v.STEP)


def change(work: Work, spec: ActionSpec, old: Object) -> None:
    """New parameters for an action that is there; its index, counters and users stay."""
    effect = kinds.action_check(spec.kind)(work, spec, None)
    note = unpack(ActionNote, old.note)
    then = verdict_of(work, spec.control, "")
    if old.then.code == v.GOTO:
        _let_go(work, old.then.to)
    old.effect, old.then = effect, then
    if spec.otherwise is not None:  # else it stays, as gact has it
        old.otherwise = second_of(work, spec, "")
    fresh = spec.note(note.alone)
    if not fresh.cookie:
        fresh.cookie = note.cookie
    fresh.no_percpu, fresh.skip = note.no_percpu, note.skip  # flags are those that it was made with
    old.note = pack(fresh)
    work.put("objects", old)


def delete(world: World, command: ActionsCommand) -> None:
    """Delete by kind and index; what a filter uses stays (tca_action_gd, tcf_del_notify)."""
    work = Work(world)
    for name in command.names:
        action = find(work, name)
        if action.bound:
            raise RefusalError("Failed to delete TC action", errno.EPERM)
        drop(work, action)
    work.commit()


def find(work: Work, name: ActionName) -> Object:
    """An action by kind and index."""
    if not name.number:  # which tc does not send
        raise RefusalError("Invalid TC action index value")
    action = work.object(object_key(name.kind, name.number))
    if action is None:
        raise RefusalError(NOT_FOUND, errno.ENOENT)
    return action


def flush(world: World, name: ActionName) -> str:
    """Remove the unused actions of a kind, up to the first in use. What the kernel warns of (tcf_del_walker)."""
    work = Work(world)
    if name.kind not in kinds.ACTIONS:
        raise RefusalError("Cannot flush unknown TC action")
    warning = ""
    for gone, action in enumerate(world.ruleset.objects.children(f"tc {name.kind}")):
        if action.bound:
            if not gone:
                raise RefusalError("", errno.EPERM)
            warning = "Unable to flush all TC actions"
            break
        drop(work, action)
    work.commit()
    return warning
