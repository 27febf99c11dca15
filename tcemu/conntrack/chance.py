"""What the kernel leaves to chance or to a hash: a seeded generator, and Jenkins' hash, which has no seed of its own.

Sources: include/linux/jhash.h jhash2, include/linux/kernel.h reciprocal_scale. The kernel's random numbers cannot be known;
ours come from a seed, so that a replay is the same each time.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

M32: Final = 0xFFFFFFFF
JHASH_INITVAL: Final = 0xDEADBEEF


class Chance:
    """Pseudo-random numbers (xorshift32)."""

    def __init__(self, seed: i64 = 1) -> None:
        self.state: i64 = 1
        self.sow(seed)

    def sow(self, seed: i64) -> None:
        """Begin anew."""
        self.state = (seed * 0x9E3779B1 + 0x7F4A7C15) & M32
        if self.state == 0:
            self.state = 1

    def word(self) -> i64:
        """32 bits."""
        x = self.state
        x ^= (x << 13) & M32
        x ^= x >> 17
        x ^= (x << 5) & M32
        self.state = x
        return x

    def short(self) -> i64:
        """16 bits (get_random_u16)."""
        return self.word() >> 16


def scale(value: i64, below: i64) -> i64:
    """reciprocal_scale: ``value * below >> 32`` for 32-bit numbers, without a product that needs more than 63 bits."""
    return ((value >> 16) * below + (((value & 0xFFFF) * below) >> 16)) >> 16


def swap(value: i64) -> i64:
    """A 32-bit number with its bytes the other way round: how a little-endian machine reads it from the wire."""
    return (value & 0xFF) << 24 | (value & 0xFF00) << 8 | (value >> 8) & 0xFF00 | (value >> 24) & 0xFF


def roll(value: i64, by: i64) -> i64:
    """rol32."""
    return (value << by | value >> (32 - by)) & M32


def jhash(words: list[i64], seed: i64) -> i64:
    """jhash2 over words of 32 bits, which is also jhash over the bytes that they stand for."""
    left: i64 = len(words)
    a = b = c = (JHASH_INITVAL + left * 4 + seed) & M32
    at: i64 = 0
    while left > 3:
        a = (a + words[at]) & M32
        b = (b + words[at + 1]) & M32
        c = (c + words[at + 2]) & M32
        # __jhash_mix
        a = ((a - c) & M32) ^ roll(c, 4)
        c = (c + b) & M32
        b = ((b - a) & M32) ^ roll(a, 6)
        a = (a + c) & M32
        c = ((c - b) & M32) ^ roll(b, 8)
        b = (b + a) & M32
        a = ((a - c) & M32) ^ roll(c, 16)
        c = (c + b) & M32
        b = ((b - a) & M32) ^ roll(a, 19)
        a = (a + c) & M32
        c = ((c - b) & M32) ^ roll(b, 4)
        b = (b + a) & M32
        at += 3
        left -= 3
    if left == 0:
        return c
    a = (a + words[at]) & M32
    if left > 1:
        b = (b + words[at + 1]) & M32
    if left > 2:
        c = (c + words[at + 2]) & M32
    # __jhash_final
    c = ((c ^ b) - roll(b, 14)) & M32
    a = ((a ^ c) - roll(c, 11)) & M32
    b = ((b ^ a) - roll(a, 25)) & M32
    c = ((c ^ b) - roll(b, 16)) & M32
    a = ((a ^ c) - roll(c, 4)) & M32
    b = ((b ^ a) - roll(a, 14)) & M32
    return ((c ^ b) - roll(b, 24)) & M32
