"""The flow map: its key's layout, its lookup mended and as the RFC had it, and mainline's lookup.

Sources: nf_flow_table_bpf_flowmap.c of the 2018 RFC; net/netfilter/nf_flow_table_bpf.c (since 6.11).
"""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

import net
import pytest

from tcemu.offload.flowmap import AF_INET, AF_INET6, RFC_SIZE, SIZE, Fib, FlowKey, FlowMap, Found, kfunc, pack, unpack

A, B = socket.inet_aton("10.0.0.1"), socket.inet_aton("198.51.100.7")


def key(sport: int = 40000, dport: int = 80, source: bytes = A, target: bytes = B, ifindex: int = 2, family: int = 4) -> FlowKey:
    return FlowKey(family, 6, source, target, sport, dport, ifindex)


def test_the_key_has_the_layout_of_the_structure() -> None:
    data = pack(key())
    assert len(data) == SIZE == 60
    assert data[4:6] == b"\x08\x00" and data[9] == 6
    assert struct.unpack_from("!HH", data, 12) == (40000, 80)
    assert data[16:24] == A + B and data[56:60] == struct.pack("=I", 2)
    assert len(pack(key(), True)) == RFC_SIZE == 52


@pytest.mark.parametrize("rfc", [False, True], ids=["mended", "rfc"])
@pytest.mark.parametrize("one", [key(), key(family=6, source=bytes(range(16)), target=bytes(range(16, 32)))], ids=["ipv4", "ipv6"])
def test_a_key_comes_back_from_its_bytes(one: FlowKey, rfc: bool) -> None:
    assert unpack(pack(one, rfc)) == one


@pytest.mark.parametrize(
    "arguments, code",
    [
        ({"max_entries": 0}, errno.EINVAL),
        ({"key_size": 16}, errno.EINVAL),
        ({"value_size": 8}, errno.EINVAL),
        ({"capable": False}, errno.EPERM),
    ],
    ids=["no entries", "another key", "another value", "not capable"],
)
def test_making_a_map_is_refused_as_the_kernel_refuses_it(arguments: dict[str, int], code: int) -> None:
    with pytest.raises(OSError) as caught:
        FlowMap(**arguments)  # type: ignore[arg-type]
    assert caught.value.errno == code


def test_a_hit_gives_the_key_itself_and_a_miss_nothing() -> None:
    flows = FlowMap()
    flows.snoop(key(), "there")
    flows.snoop(key(80, 40000, B, A, 3), "back")
    assert flows.lookup(pack(key())) == pack(key())
    assert flows.find(pack(key(80, 40000, B, A, 3))) == "back"
    assert flows.lookup(pack(key(40001))) is None
    assert flows.lookup(pack(key(ifindex=9))) is None
    flows.forget(key())
    assert flows.lookup(pack(key())) is None


def test_the_map_cannot_be_written_to_or_walked() -> None:
    flows = FlowMap()
    assert flows.get_next_key(None) == 0
    for change in (flows.update, flows.delete):
        with pytest.raises(OSError) as caught:
            change(pack(key()), pack(key()))
        assert caught.value.errno == errno.EOPNOTSUPP


RFC = {
    "ports in host order": (key(), key(), True, False),
    "the same on a big-endian machine": (key(), key(), False, True),
    "ports that read the same backwards": (key(0x5050, 0x3535), key(0x5050, 0x3535), True, True),
    "the way back, ports swapped and addresses not": (key(), key(80, 40000, B, A), True, False),
    "the way back with equal ports still has its own addresses": (key(123, 123), key(123, 123, B, A), True, False),
    "equal ports are found by the second try": (key(123, 123), key(123, 123), True, True),
    "what has its ports swapped, which is no packet of the flow": (key(), key(80, 40000), True, True),
}


@pytest.mark.parametrize("stored, asked, little, found", RFC.values(), ids=RFC)
def test_the_rfcs_lookup_finds_what_its_code_finds(stored: FlowKey, asked: FlowKey, little: bool, found: bool) -> None:
    flows = FlowMap(key_size=RFC_SIZE, value_size=RFC_SIZE, rfc_exact=True, little=little)
    flows.snoop(stored, "flow")
    assert (flows.lookup(pack(asked, True)) is not None) is found


def test_the_kfunc_finds_the_flow_or_says_which_error() -> None:
    flows = FlowMap()
    flows.snoop(key(), "flow")
    fib = Fib(AF_INET, 6, 40000, 80, A, B, 2)
    assert kfunc(flows, fib) == Found("flow")
    assert kfunc(flows, fib, opts_len=8) == Found(None, -errno.EINVAL)
    assert kfunc(flows, fib._replace(family=1)) == Found(None, -errno.EAFNOSUPPORT)
    assert kfunc(flows, fib._replace(family=AF_INET6)) == Found(None, -errno.ENOENT)
    assert kfunc(flows, fib, device_has_table=False) == Found(None, -errno.ENOENT)


def test_snoop_mode_mirrors_flows_and_takes_no_packet(tmp_path: Path) -> None:
    mended = net.play(net.fast_router(), tmp_path / "a", net.tcp(), "ebpf")
    plain = net.play(net.fast_router(), tmp_path / "b", net.tcp())
    assert (mended.verdicts, mended.sent) == (plain.verdicts, plain.sent)
    assert net.flow(mended)["backend"]["packets"] == 6
    assert mended.offload is not None
    ((name, lines),) = mended.offload["tables"]
    assert name.startswith("flow map (mended")
    assert [line for line in lines if line.startswith("#")] == [
        "# tcp 10.0.0.1:40000 > 198.51.100.7:80, original",
        "# tcp 10.0.0.1:40000 > 198.51.100.7:80, reply",
    ]


def test_with_the_rfcs_lookup_the_map_is_full_and_nothing_is_found(tmp_path: Path) -> None:
    profile = tmp_path / "rfc.toml"
    profile.write_text('backend = "ebpf"\n[driver]\nrfc_exact = true\n', encoding="utf-8")
    result = net.play(net.fast_router(), tmp_path / "play", net.tcp(), profile)
    assert net.flow(result)["fast"]["packets"] == 6
    assert net.flow(result)["backend"]["packets"] == 0
