"""Classic BPF programs as tc takes them: ``N,code jt jf k,…``; checked as the kernel checks them.

Source: iproute2 6.1 lib/bpf_legacy.c bpf_ops_parse; Linux 6.1 net/core/filter.c bpf_check_classic, chk_code_allowed, check_load_and_stores.
"""

from __future__ import annotations

from typing import Final

from tcemu.tc import readers
from tcemu.tc.complaint import RefusalError
from tcemu.tc.writer import Writer

MAX: Final = 4096
MAX_TEXT: Final = 1 << 20  # of a file; more than any program of 4096 instructions
RETURNS: Final = (0x06, 0x16)
JUMP: Final = 0x05
DIVISIONS: Final = (0x34, 0x94)  # by a constant
SHIFTS: Final = (0x64, 0x74)
MEMORY: Final = (0x60, 0x61, 0x02, 0x03)
STORES: Final = (0x02, 0x03)
ABSOLUTE: Final = (0x20, 0x28, 0x30)  # loads
EXTENSIONS: Final = range(0xFFFFF000, 0xFFFFF040, 4)  # SKF_AD_OFF: what absolute loads find beside the packet
ALL: Final = 0xFFFF  # of the 16 words of memory
ALLOWED: Final = frozenset(
    bytes.fromhex("040c141c242c343c949c545c444ca4ac646c747c842028308040480050006001")
    + bytes.fromhex("81b16102030787061605151d353d252d454d")
)


def read_file(name: str) -> str:
    """The text of a bytecode file, up to what tc takes. Raises OSError."""
    with open(name.partition("\0")[0], encoding="utf-8", errors="replace") as file:
        return file.read(MAX_TEXT)


def parse(text: str) -> list[tuple[int, int, int, int]] | str:
    """The instructions; or, where the text is none, what tc says of it, which may be nothing (bpf_ops_parse)."""
    parts = text.strip().split(",")
    count = readers.unsigned(parts[0].strip(), MAX)
    if not count or len(parts) == 1:
        return ""
    program: list[tuple[int, int, int, int]] = []
    for number, part in enumerate(parts[1:]):
        if not part and number == len(parts) - 2:
            break
        if number >= count:
            return "Real program length exceeds encoded length parameter!\n"
        words = part.split()
        numbers = [readers.unsigned(word, limit) for word, limit in zip(words, (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF), strict=False)]
        if len(words) != 4 or None in numbers:
            return f"Error at instruction {number}!\n"
        code, yes, no, value = (number or 0 for number in numbers)
        program.append((code, yes, no, value))
    return program if len(program) == count else "Parsed program length is less than encoded length parameter!\n"


def check(program: list[tuple[int, int, int, int]]) -> None:
    """The kernel's verifier: known codes, no division by zero, jumps inside, a return at the end, no word of memory read unwritten."""
    last = len(program) - 1
    for place, (code, yes, no, value) in enumerate(program):
        bad = code not in ALLOWED
        bad |= code in DIVISIONS and value == 0
        bad |= code in SHIFTS and value >= 32
        bad |= code in MEMORY and value >= 16
        bad |= code in ABSOLUTE and value >= EXTENSIONS.start and value not in EXTENSIONS
        bad |= code == JUMP and value >= last - place
        bad |= code & 7 == 5 and code != JUMP and place + 1 + max(yes, no) > last
        if bad:
            raise RefusalError()
    if not program or program[-1][0] not in RETURNS or not _written_first(program):
        raise RefusalError()


def _written_first(program: list[tuple[int, int, int, int]]) -> bool:
    """Is each word of memory written, on every way, before it is read? Jumps only lead forward."""
    known = [ALL] * (len(program) + 1)
    here = 0
    for place, (code, yes, no, value) in enumerate(program):
        here &= known[place]
        if code in STORES:
            here |= 1 << value
        elif code in MEMORY:
            if not here >> value & 1:
                return False
        elif code & 7 == JUMP:
            for jump in (value,) if code == JUMP else (yes, no):
                known[place + 1 + jump] &= here
            here = ALL
    return True


def text(program: list[tuple[int, int, int, int]]) -> str:
    """As tc lists it."""
    return f"{len(program)}," + ",".join(" ".join(map(str, instruction)) for instruction in program)


def show(out: Writer, text: str) -> None:
    """Print a program (bpf_print_ops)."""
    out.text(f"bytecode '{text}'")
    if not out.json:
        return
    count, _, rest = text.partition(",")
    out.open("bytecode")
    out.number("length", "", int(count))
    out.open_array("insns")
    for instruction in rest.split(","):
        out.open()
        for name, word in zip(("code", "jt", "jf", "k"), instruction.split(), strict=False):
            out.number(name, "", int(word))
        out.close()
    out.close_array()
    out.close()
