"""Sending packets elsewhere: tc mirred, and nft's dup and fwd on devices."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import AT_EGRESS, Chain, Counter, Env, Op
from tcemu.ir.verdict import DROP, QUEUE, REDIRECT, STOLEN, TRAP
from tcemu.packet.packet import Packet

NEST_LIMIT: Final = 4  # net/sched/act_mirred.c MIRRED_NEST_LIMIT


class OutputOp(Op):
    """tcf_mirred_act: a redirect hands the packet over, a mirror sends a copy and goes on."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, device: i64, ingress: bool, copy: bool) -> None:
        super().__init__(then, to, number, counter)
        self.device: i64 = device  # 0: it is gone
        self.ingress: bool = ingress
        self.copy: bool = copy

    def run(self, env: Env, p: Packet) -> i64:
        if env.nesting >= NEST_LIMIT:
            p.reason = "mirred nests deeper than 4"
            return DROP
        counter = self.counter
        assert counter is not None
        env.nesting += 1
        counter.hit(env.length, env.now)
        try:
            if self.device == 0 or not env.device_up(self.device):
                counter.overlimits += 1
                if env.observer is not None:
                    env.observer.say("output", "device is gone or down")
                if not self.copy:
                    p.reason = "mirred: device is gone or down"
                    return DROP
                return self.leave(env)
            then = self.then
            # tcf_mirred_can_reinsert: the packet itself can go when nobody looks at it afterwards
            if not self.copy and env.hook != AT_EGRESS and (then in (STOLEN, DROP, QUEUE, TRAP)):
                if env.forward(p, self.device, self.ingress, False) != 0:
                    counter.overlimits += 1
                return REDIRECT
            if env.forward(p, self.device, self.ingress, True) != 0:
                counter.overlimits += 1
                if not self.copy:
                    p.reason = "mirred: the device refused the packet"
                    return DROP
            elif not self.copy and then == STOLEN:
                return REDIRECT
            return self.leave(env)
        finally:
            env.nesting -= 1


class BlockOutputOp(Op):
    """tcf_blockcast of Linux 6.8: to each device of a shared block in the order of their indexes, but not to the one that the packet is on.

    All get copies; of a redirect the last gets the packet.
    """

    def __init__(
        self, then: i64, to: Chain | None, number: i64, counter: Counter | None, devices: list[int], ingress: bool, copy: bool
    ) -> None:
        super().__init__(then, to, number, counter)
        self.devices: list[int] = devices
        self.ingress: bool = ingress
        self.copy: bool = copy

    def run(self, env: Env, p: Packet) -> i64:
        if env.nesting >= NEST_LIMIT:
            p.reason = "mirred nests deeper than 4"
            return DROP
        counter = self.counter
        assert counter is not None
        env.nesting += 1
        counter.hit(env.length, env.now)
        try:
            if len(self.devices) == 0:
                counter.overlimits += 1
                if env.observer is not None:
                    env.observer.say("output", "no device has the block")
                return self.leave(env)
            here = env.device
            last: i64 = 0
            for number in self.devices:
                device: i64 = number
                if device == here:
                    continue
                if self.copy:
                    self.send(env, p, device)
                else:
                    if last != 0:
                        self.send(env, p, last)
                    last = device
            return self.redirect(env, p, last) if last != 0 else self.leave(env)
        finally:
            env.nesting -= 1

    def send(self, env: Env, p: Packet, device: i64) -> None:
        """A copy to a device."""
        counter = self.counter
        assert counter is not None
        if not env.device_up(device) or env.forward(p, device, self.ingress, True) != 0:
            counter.overlimits += 1

    def redirect(self, env: Env, p: Packet, device: i64) -> i64:
        """The packet itself, where nobody looks at it afterwards; see OutputOp."""
        counter = self.counter
        assert counter is not None
        if not env.device_up(device):
            counter.overlimits += 1
            p.reason = "mirred: device is gone or down"
            return DROP
        if env.forward(p, device, self.ingress, env.hook == AT_EGRESS) != 0:
            counter.overlimits += 1
        return REDIRECT
