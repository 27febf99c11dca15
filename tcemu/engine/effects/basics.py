"""Counting, plain verdicts, random verdicts, limits, quotas, and statements that do not run."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import PKT_LEN
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.packet import Packet

DEFAULT_BURST: Final = 5  # NFT_LIMIT_PKT_BURST_DEFAULT


class CountOp(Op):
    """nft counter: packets and their length from the network header (nft_counter_eval: pkt->skb->len)."""

    def fresh(self) -> Op:
        return CountOp(self.then, self.to, self.number, Counter())

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


class CountedVerdictOp(Op):
    """A counter and the plain verdict behind it in one, for packets that nobody watches."""

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        assert counter is not None
        counter.packets += 1
        counter.bytes += p.f[PKT_LEN]
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
    """nft limit: a token bucket in nanoseconds (net/netfilter/nft_limit.c nft_limit_init, nft_limit_eval); its state is in the counter."""

    def __init__(self, counter: Counter, rate: i64, unit: i64, burst: i64, by_bytes: bool, invert: bool) -> None:
        super().__init__(PIPE, None, 0, counter)
        self.nsecs: i64 = unit * SECOND
        self.rate: i64 = rate
        self.burst: i64 = burst if burst > 0 or by_bytes else DEFAULT_BURST
        self.by_bytes: bool = by_bytes
        self.invert: bool = invert
        self.max_tokens: i64 = self.cost(rate + burst) if by_bytes else self.nsecs // rate * self.burst

    def cost(self, octets: i64) -> i64:
        """Nanoseconds that so many bytes take; in two steps, so that the product stays below 2^63."""
        return self.nsecs // self.rate * octets + self.nsecs % self.rate * octets // self.rate

    def fresh(self) -> Op:
        unit = self.nsecs // SECOND
        return LimitOp(Counter(), self.rate, unit, self.burst, self.by_bytes, self.invert)

    def run(self, env: Env, p: Packet) -> i64:
        bucket = self.counter
        assert bucket is not None
        cost = self.cost(p.f[PKT_LEN]) if self.by_bytes else self.nsecs // self.rate
        tokens = self.max_tokens
        if bucket.tokens >= 0:
            tokens = min(bucket.tokens + env.now - bucket.checked, tokens)
        bucket.checked = env.now
        delta = tokens - cost
        if delta >= 0:
            bucket.tokens = delta
            return MISS if self.invert else PIPE
        bucket.tokens = tokens
        return PIPE if self.invert else MISS


class QuotaOp(Op):
    """nft quota (net/netfilter/nft_quota.c nft_quota_do_eval): the counter's bytes are what is used."""

    def __init__(self, counter: Counter, limit: i64, over: bool) -> None:
        super().__init__(PIPE, None, 0, counter)
        self.limit: i64 = limit
        self.over: bool = over

    def fresh(self) -> Op:
        return QuotaOp(Counter(), self.limit, self.over)

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        assert counter is not None
        counter.bytes += p.f[PKT_LEN]
        exceeded = counter.bytes >= self.limit
        return PIPE if exceeded == self.over else MISS


class LastOp(Op):
    """nft last: when a packet was here (nft_last_eval)."""

    def fresh(self) -> Op:
        return LastOp(PIPE, None, 0, Counter())

    def run(self, env: Env, p: Packet) -> i64:
        counter = self.counter
        if counter is not None:
            counter.last_used = env.now
        return PIPE


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
