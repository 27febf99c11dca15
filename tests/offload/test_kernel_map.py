"""The flow map in a real kernel: skipped, with the reason, where bpf(2) may not be used."""

from __future__ import annotations

import os
import socket
import uuid

import pytest

from tcemu.diagnostics import StateError
from tcemu.offload import kernel_map
from tcemu.offload.flowmap import FlowKey, pack
from tcemu.offload.kernel_map import XDP_DROP, XDP_PASS, KernelMap

WHY_NOT = kernel_map.usable()
needs_bpf = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
LOOPBACK = 1


def frame(source: str, target: str, sport: int, dport: int, proto: int = 17) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    ip = b"\x45\0\0\x2e\0\0\0\0\x40" + bytes([proto]) + b"\0\0" + addresses
    return bytes(12) + b"\x08\x00" + ip + sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + bytes(26)


def key(source: str, target: str, sport: int, dport: int, proto: int = 17) -> bytes:
    return pack(FlowKey(4, proto, socket.inet_aton(source), socket.inet_aton(target), sport, dport, LOOPBACK))


@needs_bpf
def test_a_kernel_map_gives_back_the_key_that_was_put_in() -> None:
    with KernelMap(4) as flows:
        known, other = key("10.0.0.1", "10.0.0.2", 40000, 53), key("10.0.0.1", "10.0.0.2", 40001, 53)
        flows.update(known)
        assert flows.lookup(known) == known
        assert flows.lookup(other) is None


@needs_bpf
def test_an_xdp_program_drops_packets_of_flows_in_the_map_and_passes_others() -> None:
    """The demo program of the 2018 RFC, run by BPF_PROG_TEST_RUN."""
    with KernelMap(4) as flows:
        flows.update(key("10.0.0.1", "10.0.0.2", 40000, 53))
        flows.update(key("10.0.0.2", "10.0.0.1", 53, 40000))
        flows.update(key("10.0.0.1", "10.0.0.2", 40000, 80, 6))
        fd = kernel_map.load_program(kernel_map.program(flows.fd))
        try:
            verdicts = [
                kernel_map.run_program(fd, one)
                for one in (
                    frame("10.0.0.1", "10.0.0.2", 40000, 53),
                    frame("10.0.0.2", "10.0.0.1", 53, 40000),
                    frame("10.0.0.1", "10.0.0.2", 40000, 80, 6),
                    frame("10.0.0.1", "10.0.0.2", 40000, 80),
                    frame("10.0.0.2", "10.0.0.1", 80, 40000, 6),
                    frame("10.0.0.1", "10.0.0.2", 40000, 53, 1),
                )
            ]
        finally:
            os.close(fd)
        assert verdicts == [XDP_DROP, XDP_DROP, XDP_DROP, XDP_PASS, XDP_PASS, XDP_PASS]


@needs_bpf
def test_a_pinned_map_stays_and_can_be_opened_again() -> None:
    folder = "/sys/fs/bpf"
    if not os.access(folder, os.W_OK) or not os.path.ismount(folder):
        pytest.skip(f"no bpf file system is mounted at {folder}")
    path = f"{folder}/tcemu-{uuid.uuid4().hex[:8]}"
    try:
        assert kernel_map.pin_rows(path, [key("10.0.0.1", "10.0.0.2", 1, 2)]) == 1
        assert os.path.exists(path)
    finally:
        if os.path.exists(path):
            os.unlink(path)


def test_a_place_that_is_no_bpf_file_system_is_an_error_with_a_hint(tmp_path: object) -> None:
    with pytest.raises(StateError) as caught:
        kernel_map.pin_rows(f"{tmp_path}/map", [key("10.0.0.1", "10.0.0.2", 1, 2)])
    assert "CAP_BPF" in caught.value.render()
