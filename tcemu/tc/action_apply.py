"""Actions made, shared, bound and let go, as net/sched/act_api.c does.

An action is an Object ``tc <kind> <index>``; indexes are the lowest free ones (tcf_idr_check_alloc). A filter that names an existing index
shares it, whatever else it says. A goto holds its chain.
Source: Linux 6.1 net/sched/act_api.c (tcf_action_init_1, tcf_idr_check_alloc, tcf_action_check_ctrlact).
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.ir import verdict as v
from tcemu.ir.effect import Random
from tcemu.ir.ruleset import Object, Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do
from tcemu.ir.verdict import Verdict
from tcemu.tc import kinds
from tcemu.tc.command import ActionSpec, Control, FilterCommand
from tcemu.tc.complaint import Unwilling
from tcemu.tc.notes import ActionNote, ChainNote, give, pack, take, unpack
from tcemu.tc.places import Place, hold_chain, release_chain
from tcemu.tc.work import Work

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


def object_key(kind: str, index: int) -> str:
    """The key of an action."""
    return f"tc {kind} {index}"


def bind(work: Work, spec: ActionSpec, table: str, command: FilterCommand | None) -> str:
    """An action for a filter: the one of that index, or a new one; its key."""
    if spec.kind not in kinds.ACTIONS:
        raise Unwilling("Failed to load TC action module", errno.ENOENT)
    if spec.index:
        found = work.object(object_key(spec.kind, spec.index))
        if found is not None:
            found.bound += 1
            work.put("objects", found)
            return found.key
    made = make(work, spec, table, command, False)
    made.bound = 1
    work.put("objects", made)
    return made.key


def make(work: Work, spec: ActionSpec, table: str, command: FilterCommand | None, alone: bool) -> Object:
    """A new action; the caller writes it."""
    module = kinds.action_module(spec.kind)
    effect = spec.effect
    if hasattr(module, "check"):
        effect = module.check(work, spec, command)
    index = take(work.indexes(spec.kind).free, spec.index)
    if index < 0:
        raise Unwilling("", errno.EEXIST if spec.index else errno.ENOSPC)
    then = verdict_of(work, spec.control, table)
    otherwise = None
    if spec.otherwise is not None:
        how, value, control = spec.otherwise
        if control.word == "GOTO":
            raise Unwilling("goto chain not allowed on fallback")
        otherwise = Random(how, value, verdict_of(work, control, table))
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


def verdict_of(work: Work, control: Control, table: str) -> Verdict:
    """A control word as a verdict; a goto takes hold of its chain."""
    if control.word == "GOTO":
        if not table:
            raise Unwilling("can't goto NULL chain")
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
    for step in rule.steps:
        if isinstance(step, Do) and step.obj:
            action = work.object(step.obj)
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
        chain = work.chain(action.then.to)
        if chain is not None:
            note = unpack(ChainNote, chain.note)
            note.acts -= 1
            release_chain(work, chain, note)
