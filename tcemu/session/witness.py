"""A packet out of a box: a frame, and the circumstances (device, mark, connection) under which the engine shall meet it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.lint.boxes import dim_of
from tcemu.lint.space import Box, Values, meet
from tcemu.packet.checksum import checksum, pseudo4, pseudo6

if TYPE_CHECKING:
    from tcemu.lint.boxes import Members

TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132
WITH_PORTS: Final = (TCP, UDP, SCTP, 33, 136)
SYN, ACK = 2, 16
INV, EST, REL, NEW, UNTRACKED = 1, 2, 4, 8, 64  # bits of ct.state
LOOPBACK4 = 0x7F000001
MAC: Final = bytes.fromhex("020000000002020000000001")
IN, OUT = "in0", "out0"
PORTS: Final = (8, 33333, 443, 9)  # targets where a box says nothing of them
CAST: Final = {1: "ffffffffffff", 2: "01005e000001"}  # destinations by meta.pkttype: broadcast, multicast


class Sample(NamedTuple):
    """ip: the packet from its network header; states: the ct state bit wanted (0: any)."""

    ip: bytes
    family: int
    proto: int
    source: int
    target: int
    sport: int
    dport: int
    iif: str
    oif: str
    mark: int
    state: int
    ether: bytes

    @property
    def frame(self) -> bytes:
        """With its Ethernet header."""
        return self.ether + struct.pack("!H", 0x0800 if self.family == 4 else 0x86DD) + self.ip


class NoSampleError(Exception):
    """No packet can be made: why."""


def sample(box: Box, members: Members, hook: str, names: dict[int, str], turn: int = 0) -> Sample:
    """A packet of a box, another one at each turn. Raises NoSampleError."""
    dims = _resolved(box, members)
    family = _family(dims)
    state = _state(dims)
    proto = _proto(dims, family, state, turn)
    prefix = "ip" if family == 4 else "ip6"
    iif = _name(dims, "iif", names) or ("" if hook == "output" else IN)
    oif = _name(dims, "oif", names) or OUT
    home = LOOPBACK4 if family == 4 else 1
    source = home if iif == "lo" and f"{prefix}.saddr" not in dims else _address(dims.get(f"{prefix}.saddr"), family, 7, turn)
    target = home if iif == "lo" and f"{prefix}.daddr" not in dims else _address(dims.get(f"{prefix}.daddr"), family, 9, turn)
    mark = _pick(dims.get("meta.mark"), 0, turn)
    sport, dport = _pick(dims.get("th.sport"), 40001 + turn, turn), _pick(dims.get("th.dport"), PORTS[turn % len(PORTS)], turn)
    tos, ttl = _pick(dims.get("ip.tos"), 0), _pick(dims.get("ip.ttl"), 255 if state in (UNTRACKED, 0) and proto == ICMP6 else 64)
    make = _ip4 if family == 4 else _ip6
    if state == REL:
        quoted = make(target, source, TCP, 0, 64, struct.pack("!HHI", dport, sport, 1000))
        inner = (
            struct.pack("!BBHI", _pick(dims.get("icmp.type"), 3 if family == 4 else 1), _pick(dims.get("icmp.code"), 0), 0, 1280) + quoted
        )
    else:
        inner = _transport(dims, proto, state, sport, dport, target)
    ether = _ether(dims)
    return Sample(make(source, target, proto, tos, ttl, inner), family, proto, source, target, sport, dport, iif, oif, mark, state, ether)


def _ether(dims: dict[str, Values]) -> bytes:
    ether = bytearray(MAC)
    cast = dims.get("meta.pkttype")
    if cast is not None and not meet(cast, ((0, 0),)):
        word = next((word for kind, word in CAST.items() if meet(cast, ((kind, kind),))), "")
        if not word:
            raise NoSampleError("it is for another machine")
        ether[:6] = bytes.fromhex(word)
    for name, start in (("ether.daddr", 0), ("ether.saddr", 6)):
        if name in dims:
            ether[start : start + 6] = _pick(dims[name], 0).to_bytes(6, "big")
    return bytes(ether)


def _resolved(box: Box, members: Members) -> dict[str, Values]:
    """Dimensions with tests on sets turned into one of the set's elements."""
    dims = dict(box.dims)
    for name in box.dims:
        known = members.opaque.get(name.split("#")[0])
        if known is None or box.dims[name] != ((1, 1),):
            continue
        left, test = known
        key = getattr(test, "set", "")
        if not key:
            continue
        parts = getattr(left, "parts", (left,))
        for low, high in members.of(key)[:20]:
            trial = dict(dims)
            for part, start, end in zip(parts, low, high, strict=False):
                dim = dim_of(part)[0]
                trial[dim] = meet(trial.get(dim, ((start, end),)), ((start, end),))
            if all(trial.values()):
                dims = trial
                break
        else:
            raise NoSampleError("it depends on a set that has no elements in the text")
    return dims


def _pick(values: Values | None, default: int, turn: int = 0) -> int:
    if values is None:
        return default
    if not values:
        raise NoSampleError("no value is left")
    if turn:
        return _turned(values, turn)
    if any(low <= default <= high for low, high in values):
        return default
    return values[0][0]


def _turned(values: Values, turn: int) -> int:
    """Another value at each turn: ends and middles of the intervals."""
    low, high = values[(turn - 1) // 3 % len(values)]
    return (low, high, (low + high) // 2)[(turn - 1) % 3]


def _family(dims: dict[str, Values]) -> int:
    kinds = dims.get("meta nfproto")
    ether = dims.get("meta.netproto") or dims.get("meta.protocol")
    six = any(dim.startswith("ip6.") for dim in dims) or dims.get("meta.l4proto") == ((58, 58),)
    if kinds is not None and not meet(kinds, ((2, 2),)):
        six = True
    if ether is not None and not meet(ether, ((0x800, 0x800),)):
        if not meet(ether, ((0x86DD, 0x86DD),)):
            raise NoSampleError("it is neither IPv4 nor IPv6")
        six = True
    return 6 if six else 4


def _proto(dims: dict[str, Values], family: int, state: int, turn: int = 0) -> int:
    wanted = dims.get("meta.l4proto") or dims.get("ip6.nexthdr")
    usual = ICMP if family == 4 else ICMP6
    if state == REL:
        if wanted is not None and not meet(wanted, ((usual, usual),)):
            raise NoSampleError("it wants a related connection, not an ICMP error")
        return usual
    first = usual if any(dim.startswith("icmp.") for dim in dims) else TCP
    if wanted is None:
        bare = not any(dim.startswith(("tcp.", "icmp.", "udp.")) for dim in dims)
        return UDP if bare and turn > 2 else first
    for proto in (first, UDP, usual, SCTP):
        if meet(wanted, ((proto, proto),)):
            return proto
    return _pick(wanted, first)


def _address(values: Values | None, family: int, last: int, turn: int = 0) -> int:
    """A unicast address, where there is one to choose."""
    bad: Values
    if family == 4:
        default, bad = 0xC0000200 | last, ((0, 0xFFFFFF), (0x7F000000, 0x7FFFFFFF), (0xE0000000, 0xFFFFFFFF))
    else:
        default, bad = 0x20010DB8 << 96 | last, ((0, 1), (0xFF << 120, (1 << 128) - 1))
    if values is None:
        return default
    from tcemu.lint.space import less

    good = less(values, bad) or values
    if not good:
        raise NoSampleError("no address is left")
    if turn:
        return _turned(good, turn)
    low, high = good[0]
    return default if any(start <= default <= end for start, end in good) else low + (1 if high > low else 0)


def _state(dims: dict[str, Values]) -> int:
    values = dims.get("ct.state")
    if values is None:
        return 0
    for state in (NEW, EST, INV, REL):
        if meet(values, ((state, state),)):
            return state
    raise NoSampleError("it wants an untracked packet")


def _name(dims: dict[str, Values], side: str, names: dict[int, str]) -> str:
    values = dims.get(f"meta.{side}")
    if values:
        found = next((names[low] for low, high in values if low == high and low in names), "")
        return found or next((name for index, name in names.items() if meet(values, ((index, index),)) and name != "lo"), "")
    values = dims.get(f"meta {side}name")
    if not values:
        return ""
    default = int.from_bytes((IN if side == "iif" else OUT).encode().ljust(16, b"\0"), "big")
    value = _pick(values, default)
    raw = value.to_bytes(16, "big").split(b"\0")[0]
    low, high = next((low, high) for low, high in values if low <= value <= high)
    if low != high and len(raw) < 15 and low <= int.from_bytes((raw + b"0").ljust(16, b"\0"), "big") <= high and value != default:
        raw += b"0"
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as slip:
        raise NoSampleError("no interface has such a name") from slip


def _transport(dims: dict[str, Values], proto: int, state: int, sport: int, dport: int, target: int) -> bytes:
    if proto == TCP:
        default = SYN if state in (0, NEW) else ACK
        flags = _pick(dims.get("tcp.flags"), default)
        return struct.pack("!HHIIBBHHH", sport, dport, 1000, 0 if flags == SYN else 1, 5 << 4, flags & 0xFF, 8192, 0, 0)
    if proto in (UDP, 136):
        return struct.pack("!HHHH", sport, dport, 12, 0) + b"tcem"
    if proto in (ICMP, ICMP6):
        kind = _pick(dims.get("icmp.type"), 8 if proto == ICMP else 128)
        if proto == ICMP6 and kind in (135, 136):  # neighbour discovery: about the target's own address
            return struct.pack("!BBHI", kind, 0, 0, 0) + target.to_bytes(16, "big")
        return (
            struct.pack(
                "!BBHHH", kind, _pick(dims.get("icmp.code"), 0), 0, _pick(dims.get("icmp.id"), 1), _pick(dims.get("icmp.sequence"), 1)
            )
            + b"tcemu-lint-0123456789abcdefghijkl"
        )
    if proto in WITH_PORTS:
        return struct.pack("!HHII", sport, dport, 1, 0) + b"\0" * 12
    return b"\0" * 16


SUM_AT: Final = {TCP: 16, UDP: 6, 136: 6, ICMP: 2, ICMP6: 2}


def _summed(inner: bytes, proto: int, seed: int) -> bytes:
    at = SUM_AT.get(proto)
    if at is None:
        return inner
    value = checksum(inner, 0, len(inner), 0 if proto == ICMP else seed) or 0xFFFF
    return inner[:at] + struct.pack("!H", value) + inner[at + 2 :]


def _ip4(source: int, target: int, proto: int, tos: int, ttl: int, inner: bytes) -> bytes:
    body = _summed(inner, proto, pseudo4(source, target, proto, len(inner)))
    head = struct.pack("!BBHHHBBHII", 0x45, tos, 20 + len(body), 1, 0, ttl, proto, 0, source, target)
    return head[:10] + struct.pack("!H", checksum(head, 0, 20, 0)) + head[12:] + body


def halves(address: int) -> tuple[int, int]:
    """Signed halves of an IPv6 address."""
    high, low = address >> 64, address & (1 << 64) - 1
    return high - (1 << 64) if high >> 63 else high, low - (1 << 64) if low >> 63 else low


def _ip6(source: int, target: int, proto: int, tos: int, ttl: int, inner: bytes) -> bytes:
    body = _summed(inner, proto, pseudo6(*halves(source), *halves(target), proto, len(inner)))
    return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), proto, ttl) + source.to_bytes(16, "big") + target.to_bytes(16, "big") + body
