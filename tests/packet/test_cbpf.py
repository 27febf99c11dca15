"""Classic BPF programs, instruction by instruction (source: Linux 6.1 net/core/filter.c, Documentation/networking/filter.rst)."""

from __future__ import annotations

import pytest

from tcemu.packet.cbpf import Classic

DATA = bytes(range(64))
RET_A = (0x16, 0, 0, 0)
M32 = 0xFFFFFFFF


def run(*instructions: tuple[int, int, int, int]) -> int:
    """What a program says of 64 bytes whose network header stands at 14."""
    program = Classic([word for instruction in instructions for word in instruction])
    program.data, program.end, program.network, program.length = DATA, len(DATA), 14, 100
    program.beside[5] = 77
    return program.run()


def ld(value: int) -> tuple[int, int, int, int]:
    return (0x00, 0, 0, value)


def ldx(value: int) -> tuple[int, int, int, int]:
    return (0x01, 0, 0, value)


LOADS = (
    ("word", (0x20, 0, 0, 4), 0x04050607),
    ("half", (0x28, 0, 0, 62), 0x3E3F),
    ("byte", (0x30, 0, 0, 63), 63),
    ("length", (0x80, 0, 0, 0), 100),
    ("from the network header", (0x30, 0, 0, 0xFFF00001), 15),
    ("from the frame's start", (0x28, 0, 0, 0xFFE00000), 1),
    ("mark", (0x20, 0, 0, 0xFFFFF014), 77),
)


@pytest.mark.parametrize(("instruction", "value"), [row[1:] for row in LOADS], ids=[row[0] for row in LOADS])
def test_a_load(instruction: tuple[int, int, int, int], value: int) -> None:
    assert run(instruction, RET_A) == value


@pytest.mark.parametrize("offset", [61, 64, 1000, 0x7FFFFFFF, 0x80000000, 0xFFDFFFFF, 0xFFF00040])
def test_a_load_that_the_packet_does_not_have_ends_the_program_with_nought(offset: int) -> None:
    assert run((0x20, 0, 0, offset), (0x06, 0, 0, 1)) == 0


def test_indirect_loads_and_header_lengths() -> None:
    assert run(ldx(10), (0x50, 0, 0, 5), RET_A) == 15
    assert run((0xB1, 0, 0, 21), (0x87, 0, 0, 0), RET_A) == (21 & 0xF) * 4
    assert run(ldx(M32), (0x40, 0, 0, 1), RET_A) == 0x00010203  # the sum has 32 bits


ARITHMETIC = (
    ("add", 0x04, 0xFFFFFFFF, 2, 1),
    ("sub", 0x14, 1, 2, 0xFFFFFFFF),
    ("mul", 0x24, 0xFFFFFFFF, 0xFFFFFFFF, 1),
    ("mul wide", 0x24, 0x12345678, 0x9ABCDEF0, 0x12345678 * 0x9ABCDEF0 & M32),
    ("div", 0x34, 0xFFFFFFFF, 2, 0x7FFFFFFF),
    ("or", 0x44, 0xF0, 0x0F, 0xFF),
    ("and", 0x54, 0xF0, 0x3F, 0x30),
    ("lsh", 0x64, 0xFFFFFFFF, 31, 0x80000000),
    ("rsh", 0x74, 0x80000000, 31, 1),
    ("neg", 0x84, 1, 0, 0xFFFFFFFF),
    ("mod", 0x94, 10, 4, 2),
    ("xor", 0xA4, 0xFF, 0x0F, 0xF0),
)


@pytest.mark.parametrize("by_x", [False, True], ids=["k", "x"])
@pytest.mark.parametrize(("code", "a", "other", "value"), [row[1:] for row in ARITHMETIC], ids=[row[0] for row in ARITHMETIC])
def test_arithmetic_has_32_bits(code: int, a: int, other: int, value: int, by_x: bool) -> None:
    assert run(ld(a), ldx(other), (code | (8 if by_x else 0), 0, 0, other), RET_A) == value


@pytest.mark.parametrize("code", [0x3C, 0x9C], ids=["div", "mod"])
def test_a_division_by_an_x_of_nought_ends_the_program_with_nought(code: int) -> None:
    assert run(ld(8), ldx(0), (code, 0, 0, 0), (0x06, 0, 0, 1)) == 0


JUMPS = (
    (0x15, 5, 5, True),
    (0x15, 5, 6, False),
    (0x25, 6, 5, True),
    (0x25, 5, 5, False),
    (0x35, 5, 5, True),
    (0x45, 6, 2, True),
    (0x45, 6, 1, False),
)


@pytest.mark.parametrize(("code", "a", "other", "taken"), JUMPS)
def test_a_jump(code: int, a: int, other: int, taken: bool) -> None:
    assert run(ld(a), (code, 1, 0, other), (0x06, 0, 0, 0), (0x06, 0, 0, 1)) == int(taken)
    assert run(ld(a), ldx(other), (code | 8, 1, 0, 0), (0x06, 0, 0, 0), (0x06, 0, 0, 1)) == int(taken)


def test_memory_and_transfers() -> None:
    assert run(ld(3), (0x02, 0, 0, 15), ld(0), (0x61, 0, 0, 15), (0x87, 0, 0, 0), RET_A) == 3
    assert run(ldx(4), (0x03, 0, 0, 0), (0x60, 0, 0, 0), (0x07, 0, 0, 0), (0x0C, 0, 0, 0), RET_A) == 8
    assert run(ld(1), (0x05, 0, 0, 1), ld(2), RET_A) == 1
    assert run(ld(6), ldx(3), (0x20, 0, 0, 0xFFFFF028), RET_A) == 5  # SKF_AD_ALU_XOR_X
