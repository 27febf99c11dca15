"""The evaluator: one loop for tc classification and nft chains.

tc (net/sched/cls_api.c __tcf_classify, act_api.c tcf_action_exec) and nft (net/netfilter/nf_tables_core.c nft_do_chain)
differ only in which verdicts their rules yield: tc never jumps, nft never reclassifies.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import JUMP_DEPTH, JUMP_TTL, Chain, Env, Observer, Rule
from tcemu.ir.verdict import ACCEPT, CONTINUE, DROP, GOTO, JUMP, LEAVE, MISS, PIPE, RETURN, STEP
from tcemu.packet.packet import Packet


def evaluate(env: Env, p: Packet, entry: Chain) -> i64:
    """Run the packet through a chain and all that it leads to; the final verdict code, never a way inside the table."""
    stack = env.stack  # of the rules that jumped; one list for all, as chains of a nested hook come back before ours go on
    depth: i64 = 0
    restarts: i64 = 0
    f = p.f
    lacking = ~p.groups
    watch = env.observer
    if watch is not None:
        if watch.begin(env, p, entry.key):
            final = evaluate(env, p, entry)
            watch.end(env, p, entry.key, final)
            return final
        watch.chain(entry.key)
    entry.entered += 1
    rule = entry.first
    while True:
        if rule is None:
            if depth == 0:
                return entry.end
            depth -= 1
            rule = stack.pop().back if watch is None else stack.pop().next
            continue
        index = rule.index
        if index is not None and watch is None:
            found = index.rules.get(f[rule.guard_slot] & rule.guard_mask)
            if found is None:
                rule = index.after
                continue
            rule = found
        elif ((f[rule.guard_slot] & rule.guard_mask) == rule.guard_value) == rule.guard_fails:
            if watch is not None:
                watch.missed(rule.key)
            rule = rule.next
            continue
        if rule.need & lacking:
            if watch is not None:
                watch.missed(rule.key)
            rule = rule.next
            continue
        test = rule.tests
        while test is not None:
            if not test.test(env, p):
                break
            test = test.next
        if test is not None:
            if watch is not None:
                watch.missed(rule.key)
                rule = rule.next
            else:
                rule = rule.miss
            continue
        rule.hits += 1
        if watch is not None:
            watch.matched(rule.key)
        op = rule.short if watch is None else rule.ops
        code: i64 = PIPE
        in_hardware = env.in_hardware
        while op is not None:
            code = op.run(env, p)
            if watch is not None:
                watch.step(rule.key, rule.place_of(op), op.name, code)
            if code != PIPE:
                if code == STEP:
                    code = jump_ahead(env, p, rule, op.number, watch)
                break
            op = op.next
        if in_hardware:
            if rule.hardware and env.in_hardware:
                rule.hw_packets += 1
                rule.hw_bytes += env.length
            else:
                env.in_hardware = False
                rule.hw_left += 1
                if watch is not None:
                    watch.say("hardware", "a miss: software goes on with this rule" if rule.hardware else "the rule is not in hardware")
        if CONTINUE < code < GOTO:
            return code if depth == 0 else _unwind(stack, depth, code)
        lacking = ~p.groups
        if code <= MISS:
            rule = rule.over if watch is None else rule.next
        elif code == CONTINUE:
            rule = rule.go_on
        elif code == JUMP:
            if depth >= JUMP_DEPTH:  # nft_do_chain: NF_DROP with a warning
                p.reason = "jumps nest deeper than 16"
                return _unwind(stack, depth, DROP)
            stack.append(rule)
            depth += 1
            rule = _enter(env, watch)
        elif code == GOTO:
            if entry.max_restarts > 0:
                if restarts >= entry.max_restarts:
                    p.reason = "goto chain restarted classification more than 16 times"
                    return _unwind(stack, depth, DROP)
                restarts += 1
            rule = _enter(env, watch)
        elif code == RETURN:
            if depth == 0:
                return entry.end
            depth -= 1
            rule = stack.pop().back if watch is None else stack.pop().next
        elif code == LEAVE:
            rule = rule.next_slot
        else:  # RECLASSIFY
            if restarts >= entry.max_restarts:
                p.reason = "reclassify restarted classification more than 16 times"
                return _unwind(stack, depth, DROP)
            restarts += 1
            rule = entry.first


def _unwind(stack: list[Rule], depth: i64, code: i64) -> i64:
    """Forget the jumps that a final verdict left behind."""
    while depth > 0:
        stack.pop()
        depth -= 1
    return code


def _enter(env: Env, watch: Observer | None) -> Rule | None:
    """Enter the chain that the last verdict named."""
    target = env.target
    env.target = None
    if target is None:
        return None
    target.entered += 1
    if watch is not None:
        watch.chain(target.key)
    return target.first


def jump_ahead(env: Env, p: Packet, rule: Rule, number: i64, watch: Observer | None) -> i64:
    """tc "jump N": the action list again from its start, N actions skipped (tcf_action_exec).

    It ends in TC_ACT_OK when there are not that many, or after 32 jumps.
    """
    ttl: i64 = JUMP_TTL - 1
    while number > 0 and ttl > 0:
        op = rule.op_at(rule.lead + number)
        if op is None:
            return ACCEPT
        code: i64 = PIPE
        while op is not None:
            code = op.run(env, p)
            if watch is not None:
                watch.step(rule.key, rule.place_of(op), op.name, code)
            if code != PIPE:
                break
            op = op.next
        if op is None or code != STEP:
            return code
        number = op.number
        ttl -= 1
    return ACCEPT
