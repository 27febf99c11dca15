"""The flow map of the 2018 RFC "netfilter: expose flow offload tables as an ebpf map", and the lookup that mainline has instead.

`FlowMap` is BPF_MAP_TYPE_FLOWMAP (net/netfilter/nf_flow_table_bpf_flowmap.c of the RFC): key and value are a ``struct bpf_flow_map``, a
hit gives the key itself, there is no update and no walk. Its lookup has two slips, kept with ``rfc_exact``:

1. the first try turns the ports into host order, while the table has them in network order: on a little-endian machine it finds only
   flows whose two ports read the same backwards;
2. the second, "reverse" try swaps the ports and not the addresses: it finds only flows whose two ports are equal.

Without ``rfc_exact`` the map finds what it is asked for: the table has both directions of each flow, so one try is enough.

`kfunc` is ``bpf_xdp_flow_lookup`` (net/netfilter/nf_flow_table_bpf.c, since 6.11).
"""

from __future__ import annotations

import errno
import struct
import sys
from typing import Final, NamedTuple

ETH_P_IP: Final = 0x0800
ETH_P_IPV6: Final = 0x86DD
AF_INET: Final = 2
AF_INET6: Final = 10
OPTS_SIZE: Final = 4  # NF_BPF_FLOWTABLE_OPTS_SZ
# struct bpf_flow_keys: nhoff, thoff, addr_proto, is_frag, is_first_frag, is_encap, ip_proto | n_proto, sport, dport | addresses
HEAD: Final = struct.Struct("=HHHBBBB")
PORTS: Final = struct.Struct("!HHH")
FLAGS: Final = struct.Struct("=II")  # flags and flow_label, which the structure has had since 5.4
INDEX: Final = struct.Struct("=I")
RFC_SIZE: Final = HEAD.size + PORTS.size + 32 + INDEX.size  # 52
SIZE: Final = RFC_SIZE + FLAGS.size  # 60


class FlowKey(NamedTuple):
    """What a packet's key holds; addresses are 4 or 16 bytes as on the wire."""

    family: int
    proto: int
    source: bytes
    target: bytes
    sport: int
    dport: int
    ifindex: int


def pack(key: FlowKey, rfc: bool = False) -> bytes:
    """The key as a ``struct bpf_flow_map``: 60 bytes, or the 52 of the RFC's time."""
    kind = ETH_P_IP if key.family == 4 else ETH_P_IPV6
    swapped = int.from_bytes(kind.to_bytes(2, "big"), sys.byteorder)  # addr_proto is in network order
    addresses = (key.source + key.target).ljust(32, b"\0")
    head = HEAD.pack(0, 0, swapped, 0, 0, 0, key.proto) + PORTS.pack(0, key.sport, key.dport)
    return head + addresses + (b"" if rfc else FLAGS.pack(0, 0)) + INDEX.pack(key.ifindex)


def unpack(data: bytes) -> FlowKey | None:
    """The other way; None for a kind of address that the map does not know."""
    if len(data) not in (RFC_SIZE, SIZE):
        raise OSError(errno.EINVAL, f"a key has {SIZE} bytes, or {RFC_SIZE} as the RFC has it, not {len(data)}")
    _, _, swapped, _, _, _, proto = HEAD.unpack_from(data)
    _, sport, dport = PORTS.unpack_from(data, HEAD.size)
    kind = int.from_bytes(swapped.to_bytes(2, sys.byteorder), "big")
    at = HEAD.size + PORTS.size
    (ifindex,) = INDEX.unpack_from(data, len(data) - INDEX.size)
    if kind == ETH_P_IP:
        return FlowKey(4, proto, data[at : at + 4], data[at + 4 : at + 8], sport, dport, ifindex)
    if kind == ETH_P_IPV6:
        return FlowKey(6, proto, data[at : at + 16], data[at + 16 : at + 32], sport, dport, ifindex)
    return None


class FlowMap:
    """Flows by both their tuples. ``little``: the byte order of the machine that the RFC's code is thought to run on."""

    def __init__(
        self,
        max_entries: int = 1,
        key_size: int = SIZE,
        value_size: int = SIZE,
        rfc_exact: bool = False,
        capable: bool = True,
        little: bool = sys.byteorder == "little",
    ) -> None:
        size = RFC_SIZE if rfc_exact else SIZE
        if not capable:
            raise OSError(errno.EPERM, "a flow map needs CAP_NET_ADMIN")
        if max_entries == 0 or key_size not in (SIZE, size) or value_size != key_size:
            raise OSError(errno.EINVAL, "max_entries is 0, or key and value are no struct bpf_flow_map")
        self.rfc_exact, self.little = rfc_exact, little
        self.flows: dict[FlowKey, object] = {}

    def snoop(self, way: FlowKey, flow: object) -> None:
        """A flow table in snoop mode mirrors one direction of a flow here; forwarding stays where it was."""
        self.flows[way] = flow

    def forget(self, way: FlowKey) -> None:
        """The flow left the table."""
        self.flows.pop(way, None)

    def lookup(self, key: bytes) -> bytes | None:
        """map_lookup_elem: the key itself where its flow is here, else None."""
        return key if self.find(key) is not None else None

    def find(self, key: bytes) -> object | None:
        """The flow that a lookup hits."""
        asked = unpack(key)
        if asked is None:
            return None
        if not self.rfc_exact:
            found = self.flows.get(asked)
            return found if found is not None else self.flows.get(asked._replace(ifindex=0))
        first = asked._replace(sport=self._host(asked.sport), dport=self._host(asked.dport))
        found = self.flows.get(first)
        if found is None:
            found = self.flows.get(asked._replace(sport=asked.dport, dport=asked.sport))
        return found

    def _host(self, port: int) -> int:
        """ntohs on a number that a structure in network order holds, read as network order again."""
        return (port & 0xFF) << 8 | port >> 8 if self.little else port

    def get_next_key(self, _key: bytes | None) -> int:
        """map_get_next_key: 0 and no key, so whoever walks the map walks for ever."""
        return 0

    def update(self, _key: bytes, _value: bytes) -> None:
        """There is no map_update_elem: flows come from the flow table alone."""
        raise OSError(errno.EOPNOTSUPP, "a flow map cannot be written to")

    delete = update

    def items(self) -> list[tuple[bytes, bytes]]:
        """All keys with their values, which are the keys: what a walk would give if there were one."""
        return [(data, data) for data in (pack(key, self.rfc_exact) for key in self.flows)]


class Fib(NamedTuple):
    """The part of ``struct bpf_fib_lookup`` that the kfunc reads."""

    family: int
    l4_protocol: int
    sport: int
    dport: int
    source: bytes
    target: bytes
    ifindex: int


class Found(NamedTuple):
    """The flow, or None with ``opts.error``."""

    flow: object | None
    error: int = 0


def kfunc(flows: FlowMap, fib: Fib, device_has_table: bool = True, opts_len: int = OPTS_SIZE) -> Found:
    """bpf_xdp_flow_lookup: the tuple of the flow, whose timeout the kernel refreshes; else -EINVAL, -EAFNOSUPPORT or -ENOENT."""
    if opts_len != OPTS_SIZE:
        return Found(None, -errno.EINVAL)
    if fib.family not in (AF_INET, AF_INET6):
        return Found(None, -errno.EAFNOSUPPORT)
    key = FlowKey(4 if fib.family == AF_INET else 6, fib.l4_protocol, fib.source, fib.target, fib.sport, fib.dport, fib.ifindex)
    flow = flows.flows.get(key) if device_has_table else None
    return Found(flow, 0) if flow is not None else Found(None, -errno.ENOENT)
