"""tc police: token buckets in capture time (net/sched/act_police.c tcf_police_act)."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.engine.program import Bucket, Chain, Counter, Env, Op
from tcemu.ir.verdict import DROP
from tcemu.packet.packet import Packet


class PoliceOp(Op):
    """`then` is what exceeding packets get, `conform` what the others get."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, bucket: Bucket) -> None:
        super().__init__(then, to, number, counter)
        self.bucket: Bucket = bucket
        self.conform: i64 = 0
        self.conform_to: Chain | None = None
        self.conform_number: i64 = 0
        self.rate: i64 = 0  # bytes a second
        self.burst: i64 = 0  # ns of sending at the rate
        self.mtu: i64 = 0xFFFFFFFF
        self.peak: i64 = 0
        self.peak_burst: i64 = 0
        self.packet_rate: i64 = 0
        self.packet_burst: i64 = 0
        self.overhead: i64 = 0
        self.atm: bool = False

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        counter = self.counter
        if env.length <= self.mtu and self._take(env):
            if self.conform == DROP and counter is not None and (self.rate > 0 or self.packet_rate > 0):
                counter.drops += 1
            if self.conform_to is not None:
                env.target = self.conform_to
            return self.conform
        if counter is not None:
            counter.overlimits += 1
            if self.then == DROP:
                counter.drops += 1
        return self.leave(env)

    def wire(self, length: i64) -> i64:
        """Bytes on the wire: with the overhead, on ATM in cells of 53 bytes that carry 48 (psched_l2t_ns)."""
        length += self.overhead
        return (length + 47) // 48 * 53 if self.atm else length

    def _take(self, env: Env) -> bool:
        """Take the packet's tokens if all the buckets hold enough."""
        if self.rate == 0 and self.packet_rate == 0:
            return True
        bucket = self.bucket
        now = env.now
        if bucket.checked < 0:
            bucket.checked, bucket.tokens, bucket.peak_tokens, bucket.packet_tokens = now, self.burst, self.peak_burst, self.packet_burst
        gone = now - bucket.checked
        tokens: i64 = 0
        peak: i64 = 0
        packets: i64 = 0
        length = self.wire(env.length)
        if self.peak > 0:
            peak = _least(_least(gone, self.burst) + bucket.peak_tokens, self.peak_burst) - length * SECOND // self.peak
        if self.rate > 0:
            tokens = _least(_least(gone, self.burst) + bucket.tokens, self.burst) - length * SECOND // self.rate
        elif self.packet_rate > 0:
            packets = _least(_least(gone, self.packet_burst) + bucket.packet_tokens, self.packet_burst) - SECOND // self.packet_rate
        if tokens < 0 or peak < 0 or packets < 0:
            return False
        bucket.checked, bucket.tokens, bucket.peak_tokens, bucket.packet_tokens = now, tokens, peak, packets
        return True


def _least(left: i64, right: i64) -> i64:
    return left if left < right else right
