"""Classic BPF in tc: a program's number as a value (net/sched/cls_bpf.c) and as a verdict (net/sched/act_bpf.c)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.effects.u32 import network
from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.engine.values import Value
from tcemu.fields import G_ETH, HASH, MARK, PKTTYPE, PROTOCOL, QUEUE
from tcemu.ir.verdict import ACCEPT, CONTINUE, DROP, PIPE, RECLASSIFY, STOLEN, TRAP
from tcemu.packet.cbpf import Classic
from tcemu.packet.edit import get16
from tcemu.packet.packet import Packet
from tcemu.packet.protocols import ETH_P_8021AD, ETH_P_8021Q

# enum of include/uapi/linux/pkt_cls.h, as a program returns it
OK: Final = 0
AGAIN: Final = 1
SHOT: Final = 2
ON: Final = 3
STOLE: Final = 4
REDIRECTED: Final = 7
TRAPPED: Final = 8
DEFAULT: Final = 0xFFFFFFFF

NOWHERE: Final = "bpf: the program redirects the packet to no device"  # a classic program cannot say which
ETHERNET: Final = 1  # ARPHRD_ETHER
TAG: Final = 4


def answer(program: Classic, env: Env, p: Packet) -> i64:
    """What a program says of a packet. The kernel keeps the outermost VLAN tag beside the frame: the program does not see it."""
    start = p.start
    tagged = False
    program.data = p.data
    program.end = p.end
    program.start = start
    program.network = network(p)
    if (p.groups & G_ETH) != 0:
        kind = get16(p.data, start + 12)
        if kind in (ETH_P_8021Q, ETH_P_8021AD) and p.end - start >= 18:
            tagged = True
            program.data = p.data[start : start + 12] + p.data[start + 12 + TAG : p.end]
            program.start = 0
            program.end = p.end - start - TAG
            program.network = 14
    program.length = p.wire - TAG if tagged else p.wire
    if program.looks_beside:
        note_beside(program, env, p, tagged)
    return program.run()


def note_beside(program: Classic, env: Env, p: Packet, tagged: bool) -> None:
    """What the kernel keeps beside the packet, by number (SKF_AD_PROTOCOL …); the CPU is 0, and netlink attributes are nowhere."""
    f = p.f
    beside = program.beside
    beside[0] = f[PROTOCOL]
    beside[1] = f[PKTTYPE]
    beside[2] = env.device
    beside[5] = f[MARK]
    beside[6] = f[QUEUE]
    beside[7] = ETHERNET
    beside[8] = f[HASH]
    beside[11] = get16(p.data, p.start + 14) if tagged else 0
    beside[12] = 1 if tagged else 0
    beside[13] = max(p.payload - p.start - (TAG if tagged else 0), 0)
    beside[14] = env.draw(0x7FFFFFFF)
    beside[15] = get16(p.data, p.start + 12) if tagged else 0


class BpfValue(Value):
    """The number that a program returns."""

    def __init__(self, program: Classic) -> None:
        super().__init__()
        self.program: Classic = program

    def get(self, env: Env, p: Packet) -> i64:
        return answer(self.program, env, p)


class DirectOp(Op):
    """A filter with direct-action: what the program returns is the verdict (cls_bpf_exec_opcode)."""

    def __init__(self, program: Classic) -> None:
        super().__init__(PIPE, None, 0, None)
        self.program: Classic = program

    def run(self, env: Env, p: Packet) -> i64:
        said = answer(self.program, env, p)
        if said in (SHOT, REDIRECTED):
            p.reason = "bpf: the program drops the packet" if said == SHOT else NOWHERE
            return DROP
        if said == OK:
            return ACCEPT
        return STOLEN if said == STOLE else TRAP if said == TRAPPED else CONTINUE


class BpfOp(Op):
    """tcf_bpf_act: what the program returns is the verdict, -1 stands for the action's own, and what is no verdict for continue."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, program: Classic) -> None:
        super().__init__(then, to, number, counter)
        self.program: Classic = program

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        said = answer(self.program, env, p)
        if said == DEFAULT:
            return self.leave(env)
        if said == SHOT:
            return self.drop(env)
        if said == REDIRECTED:
            p.reason = NOWHERE
            return DROP
        if said == OK:
            return ACCEPT
        if said == ON:
            return PIPE
        return RECLASSIFY if said == AGAIN else CONTINUE
