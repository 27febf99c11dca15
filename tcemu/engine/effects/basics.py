"""Counting, plain verdicts, random verdicts, limits, quotas, and statements that do not run."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import PKT_LEN
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.packet import Packet


class CountOp(Op):
    """nft counter: packets and their length from the network header (nft_counter_eval: pkt->skb->len)."""

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        if counter is not None:
            counter.packets += 1
            counter.bytes += p.f[PKT_LEN]
        return PIPE


class VerdictOp(Op):
    """tc gact (net/sched/act_gact.c tcf_gact_act) and nft verdict statements."""

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        if counter is not None:
            counter.hit(env.length, env.now)
            if self.then == DROP:
                counter.drops += 1
        if self.to is not None:
            env.target = self.to
        return self.then


class RandomOp(Op):
    """gact with a second verdict: one packet in ``value`` at random, or each ``value``-th."""

    def __init__(
        self, then: i64, to: Chain | None, number: i64, counter: Counter | None, determ: bool, value: i64, other: VerdictOp
    ) -> None:
        super().__init__(then, to, number, counter)
        self.determ: bool = determ
        self.value: i64 = value
        self.other: VerdictOp = other  # its counter is this one's

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        assert counter is not None
        pick = (counter.packets + 1) % self.value if self.determ else env.draw(self.value)
        if pick == 0:
            return self.other.run(env, p)
        counter.hit(env.length, env.now)
        if self.then == DROP:
            counter.drops += 1
        return self.leave(env)


class LimitOp(Op):
    """nft limit: a token bucket in nanoseconds (net/netfilter/nft_limit.c nft_limit_eval)."""

    def __init__(self, counter: Counter | None, rate: i64, unit: i64, burst: i64, by_bytes: bool, invert: bool) -> None:
        super().__init__(PIPE, None, 0, counter)
        self.nsecs: i64 = unit * SECOND
        self.rate: i64 = rate
        self.by_bytes: bool = by_bytes
        self.invert: bool = invert
        total = rate + burst if by_bytes else burst
        self.max_tokens: i64 = self.nsecs * total // rate
        self.tokens: i64 = self.max_tokens
        self.last: i64 = -1

    def run(self, env: Env, p: Packet) -> i64:
        if self.last < 0:
            self.last = env.now
        cost = self.nsecs * p.f[PKT_LEN] // self.rate if self.by_bytes else self.nsecs // self.rate
        tokens = self.tokens + env.now - self.last
        tokens = min(tokens, self.max_tokens)
        self.last = env.now
        delta = tokens - cost
        if delta >= 0:
            self.tokens = delta
            return MISS if self.invert else PIPE
        self.tokens = tokens
        return PIPE if self.invert else MISS


class QuotaOp(Op):
    """nft quota (net/netfilter/nft_quota.c nft_quota_do_eval): the counter's bytes are what is used."""

    def __init__(self, counter: Counter | None, limit: i64, over: bool) -> None:
        super().__init__(PIPE, None, 0, counter)
        self.limit: i64 = limit
        self.over: bool = over

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        assert counter is not None
        counter.bytes += p.f[PKT_LEN]
        exceeded = counter.bytes >= self.limit
        return PIPE if exceeded == self.over else MISS


class RefusedOp(Op):
    """A statement that lists but does not run: the packet that meets it is dropped, with the reason."""

    def __init__(self, text: str) -> None:
        super().__init__(DROP, None, 0, None)
        self.text: str = text

    def run(self, env: Env, p: Packet) -> i64:
        p.reason = "tcemu does not run: " + self.text
        if env.observer is not None:
            env.observer.say("unsupported", self.text)
        return DROP
