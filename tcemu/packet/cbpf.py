"""Classic BPF: a small machine that looks at a packet and gives a number (Linux 6.1 net/core/filter.c bpf_convert_filter).

Programs were checked before: known instructions, jumps inside, a return at the end. A load from behind the packet's end, and a division
by an X of nought, end the program with 0. Numbers have 32 bits.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from tcemu.packet.edit import get16, get32
from tcemu.packet.numbers import numbers

M32: Final = 0xFFFFFFFF
NET_OFF: Final = -0x100000  # SKF_NET_OFF: from here on offsets count from the network header,
LL_OFF: Final = -0x200000  # SKF_LL_OFF: and here from the frame's start
AD_OFF: Final = -0x1000  # SKF_AD_OFF: what the kernel keeps beside the packet
XOR_X: Final = 0xFFFFF028  # SKF_AD_ALU_XOR_X: no load, an operation
EXTENSIONS: Final = 16  # of them, a number each 4

# classes, sizes and modes of instructions (include/uapi/linux/bpf_common.h)
LD: Final = 0
LDX: Final = 1
ST: Final = 2
STX: Final = 3
ALU: Final = 4
JMP: Final = 5
RET: Final = 6
WORD: Final = 0x00
HALF: Final = 0x08
BYTE: Final = 0x10
IMM: Final = 0x00
ABS: Final = 0x20
IND: Final = 0x40
MEM: Final = 0x60
LEN: Final = 0x80
MSH: Final = 0xA0
DIV: Final = 0x30
MOD: Final = 0x90
BY_X: Final = 0x08  # ALU and JMP: the other number is X


class Classic:
    """A program, an instruction in four numbers: code, jt, jf and k."""

    def __init__(self, instructions: list[int]) -> None:
        self.code: vec[i64] = numbers(instructions)
        self.memory: vec[i64] = numbers([0] * 16)
        self.looks_beside: bool = any(word >= AD_OFF & M32 for word in instructions[3::4])
        # what there is to look at: bytes, where the frame and its network header begin and where it ends, and what is beside it
        self.data: bytes = b""
        self.start: i64 = 0
        self.network: i64 = 0
        self.end: i64 = 0
        self.length: i64 = 0
        self.beside: vec[i64] = numbers([0] * EXTENSIONS)

    def load(self, size: i64, offset: i64) -> i64:
        """Bytes of the packet; -1 where it has none there."""
        if offset >= 0x80000000:
            offset -= 0x100000000
        at = self.start + offset
        if offset < 0:
            if offset >= NET_OFF:
                at = self.network + offset - NET_OFF
            elif offset >= LL_OFF:
                at = self.start + offset - LL_OFF
            else:
                return -1
        if size == BYTE:
            return self.data[at] if 0 <= at < self.end else -1
        if size == HALF:
            return get16(self.data, at) if 0 <= at <= self.end - 2 else -1
        return get32(self.data, at) if 0 <= at <= self.end - 4 else -1

    def run(self) -> i64:
        """The number that the program returns."""
        code = self.code
        a: i64 = 0
        x: i64 = 0
        at: i64 = 0
        while True:
            what = code[at]
            k = code[at + 3]
            kind = what & 7
            at += 4
            if what == ABS and k == XOR_X:
                a ^= x
            elif kind <= LDX:
                value = self._value(what, k, x)
                if value < 0:
                    return 0
                if kind == LD:
                    a = value
                else:
                    x = value
            elif kind == ST:
                self.memory[k] = a
            elif kind == STX:
                self.memory[k] = x
            elif kind == ALU:
                other = x if (what & BY_X) != 0 else k
                op = what & 0xF0
                if op in (DIV, MOD) and other == 0:
                    return 0
                a = calculate(op, a, other) & M32
            elif kind == JMP:
                if what == JMP:
                    at += k * 4
                elif holds(what & 0xF0, a, x if (what & BY_X) != 0 else k):
                    at += code[at - 3] * 4
                else:
                    at += code[at - 2] * 4
            elif kind == RET:
                return a if (what & 0x18) == 0x10 else k
            elif what == 0x07:  # TAX
                x = a
            else:  # TXA
                a = x

    def _value(self, what: i64, k: i64, x: i64) -> i64:
        """What is loaded; -1 where there is nothing."""
        mode = what & 0xE0
        if mode == ABS:
            beside = k - (AD_OFF & M32)
            if beside >= 0:
                return self.beside[beside >> 2]
            return self.load(what & 0x18, k)
        if mode == IND:
            return self.load(what & 0x18, (k + x) & M32)
        if mode == IMM:
            return k
        if mode == MEM:
            return self.memory[k]
        if mode == LEN:
            return self.length
        value = self.load(BYTE, k)  # MSH: the length of an IP header
        return value if value < 0 else (value & 0xF) * 4


def calculate(op: i64, a: i64, other: i64) -> i64:
    """An ALU instruction."""
    if op == 0x00:
        return a + other
    if op == 0x10:
        return a - other
    if op == 0x20:
        return ((a * (other >> 16) & 0xFFFF) << 16) + a * (other & 0xFFFF)  # the product has no more than 63 bits on the way
    if op == DIV:
        return a // other
    if op == 0x40:
        return a | other
    if op == 0x50:
        return a & other
    if op == 0x60:
        return a << (other & 31)
    if op == 0x70:
        return a >> (other & 31)
    if op == 0x80:
        return -a
    return a % other if op == MOD else a ^ other


def holds(op: i64, a: i64, other: i64) -> bool:
    """A condition of a jump."""
    if op == 0x10:
        return a == other
    if op == 0x20:
        return a > other
    if op == 0x30:
        return a >= other
    return (a & other) != 0
