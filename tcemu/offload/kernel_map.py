"""The flow map as a real BPF hash map of the running kernel, and an XDP program that looks flows up in it.

Nothing of libbpf is needed: four commands of bpf(2) by ctypes, and forty instructions assembled here. It takes CAP_BPF and CAP_NET_ADMIN
(root), and a bpf file system to pin in; `usable` says why not. Sources: man bpf(2), include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from typing import Final, Self

from tcemu.diagnostics import Diagnostic, StateError
from tcemu.offload.flowmap import SIZE

SYSCALL: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
MAP_CREATE: Final = 0  # enum bpf_cmd
MAP_LOOKUP: Final = 1
MAP_UPDATE: Final = 2
PROG_LOAD: Final = 5
OBJ_PIN: Final = 6
PROG_TEST_RUN: Final = 10
HASH: Final = 1  # BPF_MAP_TYPE_HASH
XDP: Final = 6  # BPF_PROG_TYPE_XDP
XDP_DROP: Final = 1
XDP_PASS: Final = 2
LOG_SIZE: Final = 1 << 16


def bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """bpf(2): what it gives, and the attributes as it left them. Raises OSError."""
    number = SYSCALL.get(platform.machine())
    if number is None or not hasattr(os, "uname") or os.uname().sysname != "Linux":
        raise OSError(errno.ENOSYS, "there is no bpf(2) here")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    given = libc.syscall(number, command, buffer, len(attributes))
    if given < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return given, buffer.raw


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Where a buffer lies."""
    return ctypes.addressof(buffer)


class KernelMap:
    """A hash map with keys and values of ``struct bpf_flow_map``."""

    def __init__(self, max_entries: int, size: int = SIZE) -> None:
        self.size = size
        self.fd, _ = bpf(MAP_CREATE, struct.pack("=IIIII", HASH, size, size, max_entries, 0) + bytes(52))

    def update(self, key: bytes) -> None:
        """Put a key in; its value is the key."""
        buffer = ctypes.create_string_buffer(key, len(key))
        bpf(MAP_UPDATE, struct.pack("=IIQQQ", self.fd, 0, address(buffer), address(buffer), 0))

    def lookup(self, key: bytes) -> bytes | None:
        """The value of a key."""
        buffer, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(self.size)
        try:
            bpf(MAP_LOOKUP, struct.pack("=IIQQQ", self.fd, 0, address(buffer), address(value), 0))
        except OSError as slip:
            if slip.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def pin(self, path: str) -> None:
        """Give it a name in a bpf file system."""
        name = ctypes.create_string_buffer(os.fsencode(path))
        bpf(OBJ_PIN, struct.pack("=QII", address(name), self.fd, 0))

    def close(self) -> None:
        """Let go of it; a pinned map stays."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---------------------------------------------------------------- a program

DATA: Final = 0  # struct xdp_md
DATA_END: Final = 4
INGRESS_IFINDEX: Final = 12
KEY: Final = -SIZE - SIZE % 8  # where the key lies on the stack
# places in the key
ADDR_PROTO: Final = 4
IP_PROTO: Final = 9
SPORT: Final = 12
SOURCE: Final = 16
IFINDEX: Final = SIZE - 4


def op(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


def load(width: int, target: int, source: int, offset: int) -> bytes:
    """``target = *(width *)(source + offset)``."""
    return op(0x61 | {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}[width], target, source, offset)


def store(width: int, base: int, offset: int, source: int) -> bytes:
    """``*(width *)(base + offset) = source``."""
    return op(0x63 | {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}[width], base, source, offset)


def program(map_fd: int) -> bytes:
    """XDP: drop IPv4 TCP and UDP packets whose flow is in the map, pass all others: the demo of the RFC."""
    parts: list[tuple[str, bytes]] = []  # (where a jump leads, instruction)

    def add(code: bytes, to: str = "") -> None:
        parts.append((to, code))

    add(op(0xBF, 6, 1))  # r6 = ctx
    add(load(4, 2, 6, DATA))
    add(load(4, 3, 6, DATA_END))
    add(op(0xBF, 4, 2))
    add(op(0x07, 4, 0, 0, 14 + 20 + 8))
    add(op(0x2D, 4, 3), "pass")  # too short
    add(load(2, 5, 2, 12))
    add(op(0xDC, 5, 0, 0, 16))  # to host order
    add(op(0x55, 5, 0, 0, 0x0800), "pass")
    add(load(1, 5, 2, 14))
    add(op(0x55, 5, 0, 0, 0x45), "pass")  # version 4, no options
    add(op(0xB7, 1, 0, 0, 0))
    for at in range(0, SIZE + SIZE % 8, 8):
        add(store(8, 10, KEY + at, 1))
    add(op(0xB7, 1, 0, 0, int.from_bytes((0x0800).to_bytes(2, "big"), "little")))
    add(store(2, 10, KEY + ADDR_PROTO, 1))
    add(load(1, 5, 2, 23))
    add(op(0x15, 5, 0, 1, 6))  # TCP: skip the next
    add(op(0x55, 5, 0, 0, 17), "pass")
    add(store(1, 10, KEY + IP_PROTO, 5))
    for width, place, at in ((4, SOURCE, 26), (4, SOURCE + 4, 30), (2, SPORT, 34), (2, SPORT + 2, 36)):
        add(load(width, 5, 2, at))
        add(store(width, 10, KEY + place, 5))
    add(load(4, 5, 6, INGRESS_IFINDEX))
    add(store(4, 10, KEY + IFINDEX, 5))
    add(op(0x18, 1, 1, 0, map_fd))  # r1 = map (BPF_PSEUDO_MAP_FD), two slots
    add(op(0))
    add(op(0xBF, 2, 10))
    add(op(0x07, 2, 0, 0, KEY))
    add(op(0x85, 0, 0, 0, 1))  # map_lookup_elem
    add(op(0x15, 0, 0, 0, 0), "pass")
    add(op(0xB7, 0, 0, 0, XDP_DROP))
    add(op(0x95))
    add(op(0xB7, 0, 0, 0, XDP_PASS), "here")
    add(op(0x95))
    end = next(place for place, (to, _) in enumerate(parts) if to == "here")
    done = []
    for place, (to, code) in enumerate(parts):
        done.append(code[:2] + struct.pack("=h", end - place - 1) + code[4:] if to == "pass" else code)
    return b"".join(done)


def load_program(code: bytes) -> int:
    """A descriptor of the program; OSError with the verifier's last words."""
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(LOG_SIZE)
    attributes = struct.pack("=IIQQIIQII", XDP, len(code) // 8, address(instructions), address(licence), 1, LOG_SIZE, address(log), 0, 0)
    try:
        return bpf(PROG_LOAD, attributes + bytes(72))[0]
    except OSError as slip:
        said = log.value.decode(errors="replace").strip().split("\n")[-1]
        raise OSError(slip.errno, f"{slip.strerror}: {said}" if said else slip.strerror) from slip


def run_program(fd: int, frame: bytes) -> int:
    """What the program says of a frame that comes in by the loopback device (BPF_PROG_TEST_RUN)."""
    data = ctypes.create_string_buffer(frame, len(frame))
    attributes = struct.pack("=IIIIQQII", fd, 0, len(frame), 0, address(data), 0, 1, 0)
    _, after = bpf(PROG_TEST_RUN, attributes + bytes(40))
    return int(struct.unpack_from("=I", after, 4)[0])


# ---------------------------------------------------------------- for commands


def usable() -> str:
    """Why no map can be made here; nothing where one can."""
    try:
        KernelMap(1).close()
    except OSError as slip:
        return f"bpf(2) makes no map here: {slip.strerror}"
    return ""


def pin_rows(path: str, keys: Iterable[bytes]) -> int:
    """Make a map of these keys and pin it; how many there are. StateError where the kernel will not."""
    rows = list(keys)
    sizes = {len(row) for row in rows} or {SIZE}
    try:
        with KernelMap(max(len(rows), 1), sizes.pop()) as made:
            for row in rows:
                made.update(row)
            made.pin(path)
    except OSError as slip:
        hint = "it takes CAP_BPF and a bpf file system, as /sys/fs/bpf is where it is mounted"
        sentence = f"the map cannot be pinned at {path}: {slip.strerror}"
        raise StateError(sentence, (Diagnostic(sentence, hint=hint),)) from slip
    return len(rows)
