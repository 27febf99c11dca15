"""tc gate: a cyclic schedule, in capture time (net/sched/act_gate.c tcf_gate_act, gate_timer_func, gate_get_start_time).

::

    created      start              start + 1 cycle
    |  pending   | open | close …   | open | close …
                                      entries one behind the other, over and over

A gate begins with the first cycle behind its creation, or at its base time if that is yet to come; until then it is open. A capture that is older
than the gate finds it under way. All clocks are taken to show the capture's time, for which the machine's start is not known.
Source: assumed. As in the kernel, a cycle is as long as its entries: ``cycle-time`` only says where the first one begins.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import Bucket, Chain, Counter, Env, Op
from tcemu.ir.verdict import DROP
from tcemu.packet.packet import Packet

FAR: Final = 2_305_843_009_213_693_952  # 2 ** 61 ns, beyond which no time of a schedule may lie


class GateEntry:
    """One entry: open or not, how long (ns), how many bytes may pass (-1: any number)."""

    def __init__(self, opened: bool, interval: i64, octets: i64) -> None:
        self.opened: bool = opened
        self.interval: i64 = interval
        self.octets: i64 = octets
        self.next: GateEntry | None = None


class GateOp(Op):
    """The bucket holds when the schedule began (``checked``), the entry under way (``peak_tokens``: its begin) and its bytes (``tokens``)."""

    def __init__(
        self, then: i64, to: Chain | None, number: i64, counter: Counter | None, bucket: Bucket, first: GateEntry | None, created: i64
    ) -> None:
        super().__init__(then, to, number, counter)
        self.bucket: Bucket = bucket
        self.first: GateEntry | None = first
        self.created: i64 = created  # -1: not known
        self.base: i64 = 0
        self.cycle: i64 = 1
        self.total: i64 = 1  # all entries

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        bucket = self.bucket
        now = env.now
        if bucket.checked < 0:
            bucket.checked = self.start(now)
        if now < bucket.checked:
            return self.leave(env)
        begin = now - (now - bucket.checked) % self.total
        entry = self.first
        while entry is not None and begin + entry.interval <= now:
            begin += entry.interval
            entry = entry.next
        counter = self.counter
        if entry is not None and entry.opened and self.fits(bucket, begin, entry.octets, env.length):
            return self.leave(env)
        if counter is not None:
            counter.drops += 1
        p.reason = "gate: closed" if entry is None or not entry.opened else "gate: the entry's octets are used up"
        return DROP

    def start(self, now: i64) -> i64:
        """When the schedule begins, or a beginning of a cycle since when it runs."""
        since = self.created
        if self.base > now:
            return self.base
        if since < 0 or since > now:
            return self.base + (now - self.base) // self.cycle * self.cycle
        if self.base > since:
            return self.base
        return self.base + ((since - self.base) // self.cycle + 1) * self.cycle

    def fits(self, bucket: Bucket, begin: i64, octets: i64, length: i64) -> bool:
        """Count the packet's bytes in the entry that began then; may they pass?"""
        if octets < 0:
            return True
        if bucket.peak_tokens != begin:
            bucket.peak_tokens = begin
            bucket.tokens = 0
        bucket.tokens += length
        if bucket.tokens <= octets:
            return True
        if self.counter is not None:
            self.counter.overlimits += 1
        return False
