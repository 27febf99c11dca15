"""Classic BPF programs as tc takes them: ``N,code jt jf k,…``; checked as the kernel checks them. They list and do not run.

Source: iproute2 6.1 lib/bpf_legacy.c bpf_ops_parse; Linux 6.1 net/core/filter.c bpf_check_classic, chk_code_allowed.
"""

from __future__ import annotations

from typing import Final

from tcemu.tc import readers
from tcemu.tc.complaint import Unwilling

MAX: Final = 4096
RETURNS: Final = (0x06, 0x16)
JUMP: Final = 0x05
DIVISIONS: Final = (0x34, 0x94)  # by a constant
SHIFTS: Final = (0x64, 0x74)
MEMORY: Final = (0x60, 0x61, 0x02, 0x03)
ALLOWED: Final = frozenset(
    (0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x94, 0x9C, 0x54, 0x5C, 0x44, 0x4C, 0xA4, 0xAC, 0x64, 0x6C, 0x74, 0x7C, 0x84)
    + (0x20, 0x28, 0x30, 0x80, 0x40, 0x48, 0x50, 0x00, 0x60, 0x01, 0x81, 0xB1, 0x61, 0x02, 0x03, 0x07, 0x87, 0x06, 0x16)
    + (0x05, 0x15, 0x1D, 0x35, 0x3D, 0x25, 0x2D, 0x45, 0x4D)
)


def parse(text: str) -> list[tuple[int, int, int, int]] | None:
    """The instructions, or None if the text is none."""
    parts = text.strip().rstrip(",").split(",")
    count = readers.unsigned(parts[0].strip(), MAX)
    if not count or len(parts) - 1 != count:
        return None
    program = []
    for part in parts[1:]:
        words = part.split()
        if len(words) != 4:
            return None
        numbers = [readers.unsigned(word, limit) for word, limit in zip(words, (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF), strict=True)]
        if None in numbers:
            return None
        program.append(tuple(number for number in numbers if number is not None))
    return program  # type: ignore[return-value]


def check(program: list[tuple[int, int, int, int]]) -> None:
    """The kernel's verifier: known codes, no division by zero, jumps inside, a return at the end."""
    last = len(program) - 1
    for place, (code, yes, no, value) in enumerate(program):
        bad = code not in ALLOWED
        bad |= code in DIVISIONS and value == 0
        bad |= code in SHIFTS and value >= 32
        bad |= code in MEMORY and value >= 16
        bad |= code == JUMP and value >= last - place
        bad |= code & 7 == 5 and code != JUMP and place + 1 + max(yes, no) > last
        if bad:
            raise Unwilling()
    if not program or program[-1][0] not in RETURNS:
        raise Unwilling()


def text(program: list[tuple[int, int, int, int]]) -> str:
    """As tc lists it."""
    return f"{len(program)}," + ",".join("%d %d %d %d" % instruction for instruction in program)
