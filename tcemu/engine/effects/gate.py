"""tc gate: a schedule in capture time lets packets pass or not (net/sched/act_gate.c)."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import Bucket, Chain, Counter, Env, Op
from tcemu.packet.packet import Packet


class Phase:
    """An entry of the schedule, linked to the next."""

    def __init__(self, is_open: bool, interval: i64, octets: i64) -> None:
        self.is_open: bool = is_open
        self.interval: i64 = interval  # ns
        self.octets: i64 = octets  # that it lets pass, -1 for any
        self.next: Phase | None = None


class GateOp(Op):
    """tcf_gate_act. The schedule runs since its base time (the kernel begins with the first cycle after the action was made); before
    that, packets pass. It repeats when its entries are over (gate_timer_func), whatever the cycle time is."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, bucket: Bucket, base: i64, first: Phase) -> None:
        super().__init__(then, to, number, counter)
        self.bucket: Bucket = bucket  # `checked`: when the entry at hand began, `tokens`: octets since
        self.base: i64 = base
        self.first: Phase = first
        self.cycle: i64 = 0
        phase: Phase | None = first
        while phase is not None:
            self.cycle += phase.interval
            phase = phase.next

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        since = env.now - self.base
        if since < 0:
            return self.leave(env)
        left = since % self.cycle
        phase = self.first
        while left >= phase.interval and phase.next is not None:
            left -= phase.interval
            phase = phase.next
        if not phase.is_open:
            p.reason = "gate: closed"
            return self.drop(env)
        if phase.octets >= 0:
            bucket = self.bucket
            if bucket.checked != env.now - left:
                bucket.checked = env.now - left
                bucket.tokens = 0
            bucket.tokens += env.length
            if bucket.tokens > phase.octets:
                if self.counter is not None:
                    self.counter.overlimits += 1
                p.reason = "gate: more octets than the entry lets pass"
                return self.drop(env)
        return self.leave(env)
