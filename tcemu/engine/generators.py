"""Numbers made for a packet: generators and hashes.

Sources: net/netfilter/nft_numgen.c, nft_hash.c; include/linux/jhash.h jhash. Where the kernel draws a random seed, ours is fixed, so that a
replay is the same each time.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.chance import jhash, scale
from tcemu.engine.program import Env, Memory
from tcemu.engine.values import Value
from tcemu.fields import DPORT, G_IP4, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, L4PROTO, SPORT
from tcemu.packet.packet import Packet

M32: Final = 0xFFFFFFFF


class State(Memory):
    """The next number of a generator."""

    def __init__(self) -> None:
        self.count: i64 = 0

    def adopt(self, old: Memory) -> None:
        if isinstance(old, State):
            self.count = old.count


class CountingValue(Value):
    """numgen inc: 0, 1, 2 … and again from 0."""

    def __init__(self, mod: i64, offset: i64, state: State) -> None:
        super().__init__()
        self.mod: i64 = mod
        self.offset: i64 = offset
        self.state: State = state

    def get(self, env: Env, p: Packet) -> i64:
        value = self.state.count % self.mod
        self.state.count = (value + 1) % self.mod
        return value + self.offset


class RandomValue(Value):
    """numgen random."""

    def __init__(self, mod: i64, offset: i64) -> None:
        super().__init__()
        self.mod: i64 = mod
        self.offset: i64 = offset

    def get(self, env: Env, p: Packet) -> i64:
        return env.draw(self.mod) + self.offset


class Part:
    """A part of what is hashed: its words in order, how many bytes it has, and whether these stand lowest first (host order)."""

    def __init__(self, first: Value, octets: i64, host: bool) -> None:
        self.first: Value = first
        self.octets: i64 = octets
        self.host: bool = host
        self.next: Part | None = None


class HashValue(Value):
    """jhash over the bytes of the parts as they stand in nft's registers, each filled up to four."""

    def __init__(self, part: Part, mod: i64, seed: i64, offset: i64) -> None:
        super().__init__()
        self.part: Part = part
        self.mod: i64 = mod
        self.seed: i64 = seed
        self.offset: i64 = offset

    def get(self, env: Env, p: Packet) -> i64:
        data: list[int] = []
        part: Part | None = self.part
        self.ok = True
        while part is not None:
            if not fill(data, part, env, p):
                self.ok = False
                return 0
            part = part.next
        return scale(jhash(words(data), self.seed), self.mod) + self.offset


def fill(data: list[int], part: Part, env: Env, p: Packet) -> bool:
    """Add the bytes of a part."""
    begin: i64 = len(data)
    value: Value | None = part.first
    left = part.octets
    while value is not None and left > 0:
        word = value.get(env, p)
        if not value.ok:
            return False
        size: i64 = left % 8 or 8
        step: i64 = size - 1
        while step >= 0:
            data.append((word >> (8 * step)) & 0xFF)
            step -= 1
        left -= size
        value = value.next
    if part.host:
        turned = data[begin:]
        turned.reverse()
        del data[begin:]
        data.extend(turned)
    while len(data) % 4 != 0:
        data.append(0)
    return True


def words(data: list[int]) -> list[i64]:
    """Bytes, of which there is a multiple of four, by fours, lowest first."""
    out: list[i64] = []
    at: i64 = 0
    while at < len(data):
        out.append(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24)
        at += 4
    return out


class SymmetricValue(Value):
    """symhash: the same for both directions of a flow. The kernel's hash has a random key, ours none."""

    def __init__(self, mod: i64, offset: i64) -> None:
        super().__init__()
        self.mod: i64 = mod
        self.offset: i64 = offset

    def get(self, env: Env, p: Packet) -> i64:
        f = p.f
        if (p.groups & G_IP4) != 0:
            ends = f[IP_SADDR] ^ f[IP_DADDR]
        else:
            mixed = f[IP6_SADDR] ^ f[IP6_DADDR] ^ f[IP6_SADDR + 1] ^ f[IP6_DADDR + 1]
            ends = (mixed ^ (mixed >> 32)) & M32
        value = ((ends & 0x7FFFFFFF) * 0x2545F491) & 0x3FFFFFFFFFFFFFF
        value ^= value >> 29
        value = (((value ^ f[SPORT] ^ f[DPORT] ^ f[L4PROTO] << 16) & 0x7FFFFFFF) * 0x1B873593) & 0x3FFFFFFFFFFFFFF
        return scale((value ^ (value >> 27)) & M32, self.mod) + self.offset
