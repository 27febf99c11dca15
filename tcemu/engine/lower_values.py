"""Operands to values: where numbers come from while packets run.

A value has words of 64 bits, linked by `Value.next`: addresses of IPv6, names and labels take two, the highest first. What cannot be
read yields no words, and whoever wanted it never matches or refuses to run.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from tcemu.engine import keys
from tcemu.engine.effects.classic import BpfValue
from tcemu.engine.generators import CountingValue, HashValue, Part, RandomValue, State, SymmetricValue
from tcemu.engine.headers import PRESENT, ChunkValue, ExtensionValue, IpOptionValue, PayloadValue, TcpOptionValue
from tcemu.engine.keys import BOTH, CtValue, FibValue, FingerValue, HelperValue, MetaValue, PortValue, RouteValue, SocketValue
from tcemu.engine.sets import MapValue, Search, SetTable
from tcemu.engine.values import BitsValue, ConstValue, SlotValue, Value
from tcemu.fields import BY_NAME, IIF, OIF
from tcemu.ir.operand import Bits, Concat, Const, Hash, Key, Load, Lookup, Number, Operand, Raw
from tcemu.packet.cbpf import Classic
from tcemu.packet.fingerprint import LOOSE, SKIP, STRICT

if TYPE_CHECKING:
    from tcemu.engine.program import Memory, Op, Program
    from tcemu.ir.effect import Effect
    from tcemu.ir.ruleset import Ruleset
    from tcemu.offload.flows import ActCtTable

M = TypeVar("M", bound="Memory")
HALF: Final = (1 << 64) - 1
BASES: Final = {"ll": 0, "nh": 1, "th": 2, "ih": 3}
PORTS: Final = {"th.sport": 0, "th.dport": 16}


class Making:
    """What lowering knows while it makes the values, tests and ops of a rule."""

    def __init__(self, ruleset: Ruleset, devices: dict[str, int], program: Program) -> None:
        self.ruleset = ruleset
        self.devices = devices
        self.program = program
        self.nft = False  # the rule is nft's, and an absent header ends it
        self.key = ""  # the rule's
        self.place = 0  # the step's
        self.transport = False  # a guard in front has settled which transport protocol it is
        self.table: Callable[[str], SetTable | None] = lambda _key: None  # the run-time form of a set
        self.object_op: Callable[[str], Op | None] = lambda _key: None
        self.element_ops: Callable[[list[Effect]], Op | None] = lambda _effects: None  # statements of an element

    def flows(self, zone: int) -> ActCtTable:
        """The flow table of a zone; one serves all ct actions of it (act_ct.c tcf_ct_flow_table_get)."""
        return self.program.flow_table(zone)

    def remember(self, memory: M) -> M:
        """A memory of the step at hand, kept when rules around it change."""
        key = f"{self.key} {self.place}"
        while key in self.program.memories:
            key += "+"
        self.program.memories[key] = memory
        return memory


def signed(value: int) -> int:
    """Sixty-four bits as i64 holds them."""
    value &= HALF
    return value - (1 << 64) if value >> 63 else value


def words(value: int, count: int) -> list[int]:
    """A number as so many words, the highest first."""
    return [signed(value >> 64 * place) for place in range(count - 1, -1, -1)]


def chain(parts: list[Value]) -> Value:
    """Values linked in order; the first."""
    for here, behind in pairwise(parts):
        here.next = behind
    return parts[0]


def values(operand: Operand, making: Making, count: int = 1) -> list[Value]:
    """The words that an operand is made of; ``count`` is how many a constant shall have."""
    if isinstance(operand, Load):
        return load(operand, making)
    if isinstance(operand, Const):
        return [ConstValue(word) for word in words(operand.value, count)]
    if isinstance(operand, Raw):
        return raw(operand)
    if isinstance(operand, Bits):
        return bits(operand, making)
    if isinstance(operand, Concat):
        joined = [values(part, making) for part in operand.parts]
        return [part for parts in joined for part in parts] if all(joined) else []
    if isinstance(operand, Key):
        maker = KEYS.get(operand.what)
        return maker(operand.args, making) if maker is not None else []
    if isinstance(operand, Lookup):
        return lookup(operand, making)
    if isinstance(operand, Hash):
        return hashed(operand, making)
    assert isinstance(operand, Number)
    if operand.kind == "random":
        return [RandomValue(operand.mod, operand.offset)]
    return [CountingValue(operand.mod, operand.offset, making.remember(State()))]


def load(operand: Load, making: Making) -> list[Value]:
    """A slot, or two; nft's conntrack keys are read from the connection, so that they are absent with it."""
    field = BY_NAME[operand.field]
    if making.nft:
        if field.name in CT_LOADS:
            return ct(CT_LOADS[field.name], making)
        if field.name in PORTS and not making.transport:
            return [PayloadValue(BASES["th"], PORTS[field.name], 16)]
    return [SlotValue(field.slot + part, field.group) for part in range(2 if field.bits > 64 else 1)]


def raw(operand: Raw) -> list[Value]:
    """Bits of a header."""
    parts: list[Value] = []
    at, left = operand.offset, operand.bits
    while left > 0:
        take = left % 64 or 64
        parts.append(PayloadValue(BASES[operand.base], at, take))
        at, left = at + take, left - take
    return parts


def bits(operand: Bits, making: Making) -> list[Value]:
    """Masked, moved and changed bits of one word, or masked and changed ones of several."""
    inner = values(operand.of, making)
    if len(inner) == 1:
        return [BitsValue(inner[0], signed(operand.mask), signed(operand.xor), operand.left, operand.right)]
    if not inner or operand.left or operand.right:
        return []
    masks, xors = words(operand.mask, len(inner)), words(operand.xor, len(inner))
    return [BitsValue(part, masks[at], xors[at], 0, 0) for at, part in enumerate(inner)]


def search(key: Operand, map_key: str, making: Making) -> Search | None:
    """A lookup in a map; None where its key cannot be read or the map is not there."""
    table = making.table(map_key)
    if table is None:
        return None
    parts = key.parts if isinstance(key, Concat) else (key,)
    found: list[Value] = []
    for place, part in enumerate(parts):
        count = table.words[place] if place < len(table.words) else 1
        made = values(part, making, count)
        if len(made) != count:
            return None
        found += made
    return Search(chain(found), table) if len(found) == table.width else None


def lookup(operand: Lookup, making: Making) -> list[Value]:
    """The words of what a map holds."""
    found = search(operand.key, operand.map, making)
    if found is None:
        return []
    count = max(found.table.data_words, 1)
    return [MapValue(found, word) for word in range(2 * count if found.table.spans else count)]


# ---------------------------------------------------------------------- hashes


def hashed(operand: Hash, making: Making) -> list[Value]:
    """jhash of something, or symhash."""
    if operand.of is None:
        return [SymmetricValue(operand.mod, operand.offset)]
    parts: list[Part] = []
    for part in operand.of.parts if isinstance(operand.of, Concat) else (operand.of,):
        made = values(part, making)
        if not made:
            return []
        parts.append(Part(chain(made), (width(part) + 7) // 8, host_order(part)))
    for here, behind in pairwise(parts):
        here.next = behind
    return [HashValue(parts[0], operand.mod, operand.seed, operand.offset)]


def width(operand: Operand) -> int:
    """How many bits an operand has."""
    if isinstance(operand, Load):
        return BY_NAME[operand.field].bits
    if isinstance(operand, Raw):
        return operand.bits
    if isinstance(operand, Bits):
        return width(operand.of)
    if isinstance(operand, Key):
        if operand.what == "exthdr":
            return int(operand.args[4])
        return KEY_BITS.get(operand.args[0], 32) if operand.args else 32
    return 32


def host_order(operand: Operand) -> bool:
    """Does it stand in nft's registers as the machine's numbers do, lowest byte first?"""
    if isinstance(operand, Load):
        return operand.field.startswith(("meta.", "ct.")) and operand.field not in ("meta.protocol", "meta.netproto")
    if isinstance(operand, Bits):
        return host_order(operand.of)
    if isinstance(operand, Key):
        return operand.what in ("meta", "ct") and operand.args[0] not in NETWORK_ORDER
    return isinstance(operand, (Number, Hash))


NETWORK_ORDER: Final = frozenset(
    [
        "iifname",
        "oifname",
        "iifkind",
        "oifkind",
        "ibrname",
        "obrname",
        "helper",
        "saddr",
        "daddr",
        "proto-src",
        "proto-dst",
        "protocol",
        "ip saddr",
        "ip daddr",
        "ip6 saddr",
        "ip6 daddr",
    ]
)
KEY_BITS: Final = {
    **dict.fromkeys(("iifname", "oifname", "iifkind", "oifkind", "ibrname", "obrname", "helper", "ip6 saddr", "ip6 daddr"), 128),
    **dict.fromkeys(("bytes", "packets", "avgpkt", "time"), 64),
    **dict.fromkeys(("proto-src", "proto-dst", "zone", "iiftype", "oiftype"), 16),
    **dict.fromkeys(("direction", "l3proto", "protocol", "nfproto", "day"), 8),
}

# ---------------------------------------------------------------------- keys

Args = tuple[str, ...]

META: Final[dict[str, tuple[int, int]]] = {
    "skuid": (keys.USER, 0),
    "skgid": (keys.USER, 0),
    "nftrace": (keys.TRACE, 0),
    "rtclassid": (keys.CLASS, 0),
    "secmark": (keys.CONSTANT, 0),
    "nfproto": (keys.FAMILY, 0),
    "cpu": (keys.CONSTANT, 0),
    "cgroup": (keys.ABSENT, 0),
    "random": (keys.RANDOM, 0),
    "ipsec": (keys.CONSTANT, 0),
    "time": (keys.TIME, 0),
    "hour": (keys.HOUR, 0),
    "day": (keys.WEEKDAY, 0),
    "sdif": (keys.ABSENT, 0),
    "ibrpvid": (keys.CONSTANT, 1),
    "ibrvproto": (keys.CONSTANT, 0x8100),
}
PORT_NAMES: Final = {
    "iifname": (IIF, keys.NAME),
    "oifname": (OIF, keys.NAME),
    "iifkind": (IIF, keys.KIND),
    "oifkind": (OIF, keys.KIND),
    "ibrname": (IIF, keys.MASTER),
    "obrname": (OIF, keys.MASTER),
}
PORT_NUMBERS: Final = {
    "iiftype": (IIF, keys.HARDWARE),
    "oiftype": (OIF, keys.HARDWARE),
    "iifgroup": (IIF, keys.GROUP),
    "oifgroup": (OIF, keys.GROUP),
}


def meta(args: Args, making: Making) -> list[Value]:
    """Keys of the meta expression that are no slots."""
    name = args[0]
    if name in PORT_NAMES:
        slot, what = PORT_NAMES[name]
        return [PortValue(slot, what, False), PortValue(slot, what, True)]
    if name in PORT_NUMBERS:
        slot, what = PORT_NUMBERS[name]
        return [PortValue(slot, what, False)]
    if name == "sdifname":
        return [MetaValue(keys.ABSENT, 0), MetaValue(keys.ABSENT, 0)]
    return [MetaValue(*META[name])] if name in META else []


WAYS: Final = {"original": 0, "reply": 1}
CT_KEYS: Final = {
    "mark": keys.CT_MARK,
    "status": keys.CT_STATUS,
    "direction": keys.CT_DIRECTION,
    "expiration": keys.CT_EXPIRATION,
    "l3proto": keys.CT_L3PROTO,
    "protocol": keys.CT_PROTOCOL,
    "bytes": keys.CT_BYTES,
    "packets": keys.CT_PACKETS,
    "avgpkt": keys.CT_AVERAGE,
    "zone": keys.CT_ZONE,
    "id": keys.CT_ID,
    "proto-src": keys.CT_SPORT,
    "proto-dst": keys.CT_DPORT,
    "event": keys.CT_ZERO,
    "secmark": keys.CT_ZERO,
}
CT_LOADS: Final[dict[str, Args]] = {"ct.mark": ("mark",), "ct.zone": ("zone",), "ct.label": ("label",)}


def ct(args: Args, making: Making) -> list[Value]:
    """Keys of the connection."""
    name = args[0]
    way = WAYS.get(args[1], BOTH) if len(args) > 1 else BOTH
    if name == "helper":
        return [HelperValue(0), HelperValue(1)]
    if name == "label":
        return [CtValue(keys.CT_LABEL, way, 0), CtValue(keys.CT_LABEL, way, 1)]
    if name.endswith(("saddr", "daddr")):
        what = keys.CT_SRC if name.endswith("saddr") else keys.CT_DST
        if name.startswith("ip6") or (name in ("saddr", "daddr") and making.key.startswith("ip6 ")):
            return [CtValue(what, way, 0), CtValue(what, way, 1)]
        return [CtValue(what, way, 1)]
    return [CtValue(CT_KEYS[name], way, 0)] if name in CT_KEYS else []


IP6_HEADERS: Final = {"hbh": 0, "rt": 43, "rt0": 43, "rt2": 43, "srh": 43, "frag": 44, "dst": 60, "mh": 135}
TCP_OPTIONS: Final = {
    "eol": 0,
    "nop": 1,
    "maxseg": 2,
    "window": 3,
    "sack-perm": 4,
    **dict.fromkeys(("sack", "sack1", "sack2", "sack3"), 5),
    "echo": 6,
    "timestamp": 8,
    "md5sig": 19,
    "mptcp": 30,
    "fastopen": 34,
}
IP_OPTIONS: Final = {"rr": 7, "lsrr": 131, "ssrr": 137, "ra": 148}
SCTP_CHUNKS: Final = {
    "data": 0,
    "init": 1,
    "init-ack": 2,
    "sack": 3,
    "heartbeat": 4,
    "heartbeat-ack": 5,
    "abort": 6,
    "shutdown": 7,
    "shutdown-ack": 8,
    "error": 9,
    "cookie-echo": 10,
    "cookie-ack": 11,
    "ecne": 12,
    "cwr": 13,
    "shutdown-complete": 14,
    "asconf-ack": 0x80,
    "forward-tsn": 0xC0,
    "asconf": 0xC1,
}


def number_of(header: str, known: dict[str, int]) -> int:
    """The number of a header or option, written as a name or a number."""
    return known[header] if header in known else int(header) if header.isdecimal() else -1


def exthdr(args: Args, making: Making) -> list[Value]:
    """Extension headers, options and chunks; an empty field asks for presence."""
    family, header, field, offset, size = args
    at, left = int(offset), int(size) if field else PRESENT
    made: list[Value] = []
    while True:
        take = left if left <= 64 else left % 64 or 64
        if family == "ip6":
            made.append(ExtensionValue(number_of(header, IP6_HEADERS), at, take))
        elif family == "tcp":
            made.append(TcpOptionValue(number_of(header, TCP_OPTIONS), at, take))
        elif family == "ip":
            made.append(IpOptionValue(number_of(header, IP_OPTIONS), at, take))
        elif family == "sctp":
            made.append(ChunkValue(number_of(header, SCTP_CHUNKS), at, take))
        else:
            return []
        at, left = at + take, left - take
        if left <= 0 or take == PRESENT:
            return made


def fib(args: Args, making: Making) -> list[Value]:
    """Route lookups: flags, then the result, then perhaps ``exists``."""
    exists = args[-1] == "exists"
    result = args[-2] if exists else args[-1]
    flags = args[: -2 if exists else -1]
    device = IIF if "iif" in flags else OIF if "oif" in flags else -1
    target = "daddr" in flags
    if result == "type":
        return [FibValue(target, device, 2)]
    if exists:
        return [FibValue(target, device, 1)]
    if result == "oif":
        return [FibValue(target, device, 0)]
    return [FibValue(target, device, 3), FibValue(target, device, 4)]


def rt(args: Args, making: Making) -> list[Value]:
    """Of the packet's route."""
    if args[0] == "nexthop":
        if args[-1] == "ip6":
            return [RouteValue(keys.NEXTHOP6, 0), RouteValue(keys.NEXTHOP6, 1)]
        return [RouteValue(keys.NEXTHOP4, 0)]
    if args[0] == "mtu":
        return [RouteValue(keys.MSS, 0)]
    return [MetaValue(keys.CLASS, 0)]  # classid and ipsec: nought where there is a route


def socket(args: Args, making: Making) -> list[Value]:
    """Of the local socket; none is in a cgroup."""
    what = {"transparent": keys.TRANSPARENT, "mark": keys.SOCKET_MARK, "wildcard": keys.WILDCARD}.get(args[0])
    return [MetaValue(keys.ABSENT, 0)] if what is None else [SocketValue(what)]


def osf(args: Args, making: Making) -> list[Value]:
    """The sender's system, a name of sixteen bytes."""
    how = {"loose": LOOSE, "skip": SKIP}.get(args[0], STRICT)
    return [FingerValue(how, args[1] == "version", low) for low in (False, True)]


def absent(args: Args, making: Making) -> list[Value]:
    """What no packet has here: no policy protects packets."""
    return [MetaValue(keys.ABSENT, 0) for _ in range(2 if args[-1].startswith("ip6") else 1)]


def classic(text: str) -> Classic:
    """A program out of the text that tc lists it by: ``N,code jt jf k,…``."""
    return Classic([int(word) for instruction in text.split(",")[1:] for word in instruction.split()])


def bpf(args: Args, making: Making) -> list[Value]:
    """The number that a classic BPF program returns."""
    return [BpfValue(classic(args[0]))]


KEYS: Final[dict[str, Callable[[Args, Making], list[Value]]]] = {
    "meta": meta,
    "ct": ct,
    "exthdr": exthdr,
    "fib": fib,
    "rt": rt,
    "socket": socket,
    "osf": osf,
    "ipsec": absent,
    "bpf": bpf,
}
