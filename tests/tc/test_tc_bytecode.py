"""Which classic BPF programs the kernel takes (source: Linux 6.1 net/core/filter.c bpf_check_classic, check_load_and_stores)."""

from __future__ import annotations

import pytest

from tcemu.tc import bytecode
from tcemu.tc.complaint import RefusalError

Instruction = tuple[int, int, int, int]
RET: Instruction = (0x06, 0, 0, 1)

TAKEN: tuple[tuple[str, list[Instruction]], ...] = (
    ("memory that was written", [(0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]),
    ("memory that was written on both ways", [(0x15, 1, 0, 5), (0x02, 0, 0, 3), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]),
    ("what stands beside the packet", [(0x20, 0, 0, 0xFFFFF014), RET]),
)
REFUSED: tuple[tuple[str, list[Instruction]], ...] = (
    ("memory that nobody wrote", [(0x60, 0, 0, 3), RET]),
    ("memory that one way left unwritten", [(0x15, 0, 1, 5), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET]),
    ("nothing is known there beside the packet", [(0x20, 0, 0, 0xFFFFF040), RET]),
    ("a division by nought", [(0x34, 0, 0, 0), RET]),
    ("no return at the end", [(0x20, 0, 0, 0)]),
    ("a jump behind the end", [(0x05, 0, 0, 1), RET]),
)


@pytest.mark.parametrize("program", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_a_program_that_the_kernel_takes(program: list[Instruction]) -> None:
    bytecode.check(program)


@pytest.mark.parametrize("program", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_program_that_the_kernel_refuses(program: list[Instruction]) -> None:
    with pytest.raises(RefusalError):
        bytecode.check(program)
