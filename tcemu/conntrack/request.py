"""The `conntrack` command line, read: which command, which table, what was given. Knows no connection.

Words, checks and their order are those of conntrack-tools 1.4.7 (src/conntrack.c and the protocol files extensions/*.c), whose texts
were taken from runs of it. Numbers are read as strtoul does: what is none counts as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.conntrack.linux.tcp import STATE_NAMES as TCP_STATES
from tcemu.conntrack.names import DCCP_STATES, SCTP_STATES, halves, signed
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tcemu.diagnostics import TcemuError

if TYPE_CHECKING:
    from tcemu.conntrack.labels import LabelMap

NAME: Final = "conntrack v1.4.7 (conntrack-tools)"
TRY_HELP: Final = "Try `conntrack -h' or 'conntrack --help' for more information.\n"


class ComplaintError(TcemuError):
    """What the tool says on stderr; a bad parameter is exit code 2, a failed operation 1."""

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text, exit_code=exit_code)
        self.text = f"{NAME}: {text}\n" + (TRY_HELP if exit_code == 2 else "")


class Address(NamedTuple):
    """An address as signed halves."""

    family: int
    high: int
    low: int


class Nat(NamedTuple):
    """Argument of -n, -g, -j: an address, a port, or neither."""

    address: Address | None = None
    port: int | None = None


class Request:
    """What a command line asks for. ``given`` holds the long names of the options that were there."""

    def __init__(self) -> None:
        self.command = ""  # its letter; that of -A is I
        self.adds = False  # -A: what is there already is no failure
        self.warnings = ""  # what the tool has said on standard error by then
        self.table = "conntrack"
        self.given: dict[str, None] = {}
        self.family = 0
        self.proto: int | None = None
        self.own: int = 0  # the protocol that -p named last, if it has options of its own
        self.options: dict[str, str] = {}  # these, and those of earlier ones
        self.addresses: dict[str, Address] = {}  # src, dst, reply-src, reply-dst, mask-src, mask-dst, tuple-src, tuple-dst
        self.ports: dict[str, int] = {}  # sport, dport, reply-sport, reply-dport; ICMP: type, code, id
        self.waited_ports: dict[str, int] = {}  # of expectations: mask-sport, mask-dport, tuple-sport, tuple-dport, as they were given
        self.state: int | None = None
        self.vtags: dict[str, int] = {}
        self.mark: tuple[int, int] | None = None  # value, mask
        self.status = 0
        self.unreplied = False
        self.events: set[str] = set()  # -e: NEW, UPDATE, DESTROY; empty: all
        self.inputs: dict[str, list[str]] = {}  # --in, which is tcemu's own: captures by device
        self.zones: dict[str, int] = {}  # zone, orig-zone, reply-zone
        self.timeout: int | None = None
        self.id: int | None = None
        self.nat: dict[str, Nat] = {}  # src-nat, dst-nat, any-nat
        self.output: set[str] = set()
        self.labels: dict[str, int] = {}  # label, label-add, label-del: bits
        self.label_map: LabelMap | None = None  # read when a word wants it

    def known_labels(self) -> LabelMap:
        """The names of labels. That there are none is said each time."""
        if self.label_map is not None:
            return self.label_map
        from tcemu.conntrack.labels import LabelMap

        found = LabelMap()
        self.warnings += found.complaint
        self.label_map = found if found.bits else None
        return found


COMMANDS: Final = {
    "L": ("dump",),
    "I": ("create",),
    "A": ("add",),
    "D": ("delete",),
    "U": ("update",),
    "G": ("get",),
    "F": ("flush",),
    "E": ("event",),
    "C": ("counter", "count"),
    "S": ("stats",),
    "V": ("version",),
    "h": ("help",),
}
LOAD: Final = ("-R", "--load-file")  # must be the first word
TABLES: Final = ("expect", "conntrack", "dying", "unconfirmed")
NO, MUST_HAVE, MAY_HAVE = 0, 1, 2

# short letter, names (the first is used in messages), argument
OPTIONS: Final = (
    ("s", ("src", "orig-src"), MUST_HAVE),
    ("d", ("dst", "orig-dst"), MUST_HAVE),
    ("r", ("reply-src",), MUST_HAVE),
    ("q", ("reply-dst",), MUST_HAVE),
    ("p", ("protonum",), MUST_HAVE),
    ("t", ("timeout",), MUST_HAVE),
    ("u", ("status",), MUST_HAVE),
    ("z", ("zero",), NO),
    ("e", ("event-mask",), MUST_HAVE),
    ("[", ("tuple-src",), MUST_HAVE),
    ("]", ("tuple-dst",), MUST_HAVE),
    ("{", ("mask-src",), MUST_HAVE),
    ("}", ("mask-dst",), MUST_HAVE),
    ("a", ("nat-range",), MUST_HAVE),
    ("m", ("mark",), MUST_HAVE),
    ("c", ("secmark",), MUST_HAVE),
    ("i", ("id",), MUST_HAVE),
    ("f", ("family",), MUST_HAVE),
    ("n", ("src-nat",), MAY_HAVE),
    ("g", ("dst-nat",), MAY_HAVE),
    ("o", ("output",), MUST_HAVE),
    ("b", ("buffer-size",), MUST_HAVE),
    ("j", ("any-nat",), MAY_HAVE),
    ("w", ("zone",), MUST_HAVE),
    ("l", ("label",), MUST_HAVE),
    ("<", ("label-add",), MUST_HAVE),
    (">", ("label-del",), MAY_HAVE),
    ("(", ("orig-zone",), MUST_HAVE),
    (")", ("reply-zone",), MUST_HAVE),
)
ALL: Final = tuple(names[0] for _, names, _ in OPTIONS)

PORT_OPTIONS: Final = {
    "orig-port-src": "sport",
    "source-port": "sport",
    "sport": "sport",
    "orig-port-dst": "dport",
    "destination-port": "dport",
    "dport": "dport",
    "reply-port-src": "reply-sport",
    "reply-port-dst": "reply-dport",
    "mask-port-src": "mask-sport",
    "mask-port-dst": "mask-dport",
    "tuple-port-src": "tuple-sport",
    "tuple-port-dst": "tuple-dport",
}
OWN_OPTIONS: Final = {
    TCP: {**PORT_OPTIONS, "state": "state"},
    UDP: PORT_OPTIONS,
    UDPLITE: PORT_OPTIONS,
    SCTP: {**PORT_OPTIONS, "state": "state", "orig-vtag": "vtag-orig", "reply-vtag": "vtag-reply"},
    DCCP: {**PORT_OPTIONS, "state": "state", "role": ""},
    GRE: {
        "srckey": "sport",
        "orig-key-src": "sport",
        "dstkey": "dport",
        "orig-key-dst": "dport",
        "reply-key-src": "reply-sport",
        "reply-key-dst": "reply-dport",
        "mask-key-src": "mask-sport",
        "mask-key-dst": "mask-dport",
        "tuple-key-src": "tuple-sport",
        "tuple-key-dst": "tuple-dport",
    },
    ICMP: {"icmp-type": "type", "icmp-code": "code", "icmp-id": "id"},
    ICMPV6: {"icmpv6-type": "type", "icmpv6-code": "code", "icmpv6-id": "id"},
}
# names of one option: the one that messages use
SAME: Final = {
    "orig-port-src": "sport",
    "source-port": "sport",
    "orig-port-dst": "dport",
    "destination-port": "dport",
    "orig-key-src": "srckey",
    "orig-key-dst": "dstkey",
}
STATE_WORDS: Final = {TCP: ("TCP", TCP_STATES), SCTP: ("SCTP", SCTP_STATES), DCCP: ("DCCP", DCCP_STATES)}
STATUS_WORDS: Final = {
    "ASSURED": 1 << 2,
    "SEEN_REPLY": 1 << 1,
    "UNSET": 0,
    "FIXED_TIMEOUT": 1 << 10,
    "EXPECTED": 1 << 0,
    "OFFLOAD": 1 << 14,
    "HW_OFFLOAD": 1 << 15,
}
EVENT_WORDS: Final = {"ALL": {"NEW", "UPDATE", "DESTROY"}, "NEW": {"NEW"}, "UPDATES": {"UPDATE"}, "DESTROY": {"DESTROY"}}
OUTPUT_WORDS: Final = ("xml", "extended", "timestamp", "id", "ktimestamp", "labels", "userspace", "save")
# Protocols that /etc/protocols names (netbase 6.4), and how it writes them besides. The tool has words of its own for eight others.
MORE_PROTOCOLS: Final = {
    "ip": 0,
    "hopopt": 0,
    "igmp": 2,
    "ggp": 3,
    "ipencap": 4,
    "st": 5,
    "egp": 8,
    "igp": 9,
    "pup": 12,
    "hmp": 20,
    "xns-idp": 22,
    "rdp": 27,
    "iso-tp4": 29,
    "xtp": 36,
    "ddp": 37,
    "idpr-cmtp": 38,
    "ipv6": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "idrp": 45,
    "rsvp": 46,
    "esp": 50,
    "ah": 51,
    "skip": 57,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "rspf": 73,
    "vmtp": 81,
    "eigrp": 88,
    "ospf": 89,
    "ax.25": 93,
    "ipip": 94,
    "etherip": 97,
    "encap": 98,
    "pim": 103,
    "ipcomp": 108,
    "vrrp": 112,
    "l2tp": 115,
    "isis": 124,
    "fc": 133,
    "mobility-header": 135,
    "mpls-in-ip": 137,
    "manet": 138,
    "hip": 139,
    "shim6": 140,
    "wesp": 141,
    "rohc": 142,
    "ethernet": 143,
    "mptcp": 262 & 0xFF,  # more than the tool's eight bits
}
# the second name, where it is not the first one in capitals ("" : there is none)
SECOND_NAMES: Final = {
    "ipencap": "IP-ENCAP",
    "ipv6": "IPv6",
    "ipv6-route": "IPv6-Route",
    "ipv6-frag": "IPv6-Frag",
    "esp": "IPSEC-ESP",
    "ipv6-icmp": "IPv6-ICMP",
    "ipv6-nonxt": "IPv6-NoNxt",
    "ipv6-opts": "IPv6-Opts",
    "rspf": "CPHB",
    "ospf": "OSPFIGP",
    "mobility-header": "Mobility-Header",
    "mpls-in-ip": "MPLS-in-IP",
    "manet": "",
    "shim6": "Shim6",
    "ethernet": "Ethernet",
}
OWN_PROTOCOLS: Final = {
    "tcp": TCP,
    "udp": UDP,
    "udplite": UDPLITE,
    "icmp": ICMP,
    "icmpv6": ICMPV6,
    "sctp": SCTP,
    "dccp": DCCP,
    "gre": GRE,
}


def parse(argv: list[str]) -> Request:
    """Read a command line (without the program's name); raises ComplaintError."""
    from tcemu.conntrack.legal import check

    request = Request()
    words = list(argv)
    try:
        while words:
            word = words.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                _long(request, word, words)
            elif word.startswith("-") and word != "-":
                _short(request, word, words)
        check(request)
    except ComplaintError as complaint:
        complaint.text = request.warnings + complaint.text
        raise
    return request


def _long(request: Request, word: str, words: list[str]) -> None:
    name, equals, value = word[2:].partition("=")
    if name == "in" and request.command == "E":
        device, _, path = (value if equals else _argument(word, words)).partition("=")
        request.inputs.setdefault(device, []).append(path)
        return
    own = request.options
    known = {text: letter for letter, texts in COMMANDS.items() for text in texts}
    known |= {text: names[0] for _, names, _ in OPTIONS for text in names}
    candidates = [name] if name in known or name in own else [text for text in (*known, *own) if text.startswith(name)]
    if len({known.get(text, own.get(text, "")) for text in candidates}) != 1:
        raise ComplaintError(f"unknown option `{word}'")
    chosen = candidates[0]
    if chosen in own and chosen not in known:
        _own(request, chosen, own[chosen], value if equals else _argument(word, words))
        return
    meaning = known[chosen]
    if meaning in COMMANDS:
        _command(request, meaning, words)
        return
    _option(request, meaning, value if equals else None, word, words)


def _short(request: Request, word: str, words: list[str]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in COMMANDS:
            _command(request, letter, [] if letters else words)
            if letter not in "Vh":
                return  # what is attached to a command is its optional argument, and not looked at
            continue
        found = next((row for row in OPTIONS if row[0] == letter), None)
        if found is None:
            raise ComplaintError(f"unknown option `{word}'")
        if found[2] == NO:
            request.given[found[1][0]] = None
            continue
        _option(request, found[1][0], letters or None, f"-{letter}", words)
        return


def _command(request: Request, letter: str, words: list[str]) -> None:
    request.adds = request.adds or letter == "A"
    letter = "I" if letter == "A" else letter
    if request.command:
        raise ComplaintError("Invalid commands combination")
    request.command = letter
    if words and not words[0].startswith(("-", "!")):
        table = words.pop(0)
        found = next((name for name in TABLES if name.startswith(table)), "")
        if not found:
            raise ComplaintError(f"unknown type `{table}'")
        request.table = found
        if found in ("dying", "unconfirmed") and letter != "L":
            raise ComplaintError("Can't do that command with tables `dying' and `unconfirmed'")
        if found == "expect" and (letter == "U" or request.adds):
            raise ComplaintError(f"Can't do --{'add' if request.adds else 'update'} on expectations")


def _argument(word: str, words: list[str]) -> str:
    if not words:
        raise ComplaintError(f"option `{word}' requires an argument")
    return words.pop(0)


def _option(request: Request, name: str, value: str | None, word: str, words: list[str]) -> None:
    kind = next(argument for _, names, argument in OPTIONS if names[0] == name)
    if kind == MUST_HAVE and value is None:
        value = _argument(word, words)
    elif kind == MAY_HAVE:  # what is attached to it is not looked at
        value = words.pop(0) if value is None and words and not words[0].startswith(("-", "!")) else None
    request.given[name] = None
    if name in ("src", "dst", "reply-src", "reply-dst", "mask-src", "mask-dst", "tuple-src", "tuple-dst"):
        _address_option(request, name, value or "")
    elif name in ("src-nat", "dst-nat", "any-nat"):
        request.nat[name] = Nat() if value is None else _nat(request, name, value)
    elif name in ("zone", "orig-zone", "reply-zone"):
        request.zones[name] = number(value or "") & 0xFFFF
    elif name == "protonum":
        _protocol(request, value or "")
    elif name == "family":
        _set_family(request, _family(value or ""))
    elif name == "mark":
        text, slash, mask = (value or "").partition("/")
        request.mark = (number(text) & 0xFFFFFFFF, number(mask) & 0xFFFFFFFF if slash else 0xFFFFFFFF)
    elif name == "status":
        _status(request, value or "")
        if request.mark is not None:  # so does the tool
            request.mark = (request.status, request.mark[1])
    elif name == "output":
        _output(request, value or "")
    elif name == "timeout":
        request.timeout = number(value or "")
    elif name == "id":
        request.id = number(value or "") & 0xFFFFFFFF
    elif name == "event-mask":
        parts = (value or "").split(",")
        for place, part in enumerate(parts):
            request.events |= EVENT_WORDS[_prefixed(part, tuple(EVENT_WORDS), ",".join(parts[place:]))]
    elif name in ("label", "label-add", "label-del"):
        _labels(request, name, value)
    elif name == "nat-range":
        request.warnings += "WARNING: ignoring -a, deprecated option.\n"
        del request.given[name]


def _labels(request: Request, name: str, value: str | None) -> None:
    """Names, or of --label-del none: all."""
    known = request.known_labels()
    if value is None:
        request.labels[name] = -1
        return
    for part in value.split(","):
        if part not in known.bits:
            raise ComplaintError(f"unknown label '{part}'")
        request.labels[name] = request.labels.get(name, 0) | 1 << known.bits[part]


def _own(request: Request, name: str, meaning: str, value: str) -> None:
    """An option of the protocol that -p named."""
    request.given[SAME.get(name, name)] = None
    if meaning == "state":
        kind, states = STATE_WORDS[request.own or TCP]
        value = {"LISTEN": "SYN_SENT2"}.get(value, value) if kind == "TCP" else value
        if value not in states:
            raise ComplaintError(f"{'Unknown' if kind == 'DCCP' else 'unknown'} {kind} state `{value}'")
        request.state = states.index(value)
    elif meaning.startswith("vtag"):
        request.vtags[meaning] = number(value) & 0xFFFFFFFF
    elif meaning.startswith(("mask-", "tuple-")):
        request.waited_ports.pop(meaning, None)
        request.waited_ports[meaning] = number(value) & 0xFFFF
    elif meaning:
        request.ports[meaning] = number(value) & (0xFF if meaning in ("type", "code") else 0xFFFF)


def _address_option(request: Request, name: str, value: str) -> None:
    found, length = _address_and_mask(request, value)
    if length is not None and name in ("reply-src", "reply-dst", "mask-src", "mask-dst"):
        raise ComplaintError(f"CIDR notation unavailable for `--{name}'")
    request.addresses[name] = found
    if length is not None:
        width = 32 if found.family == 4 else 128
        if length and not (_is_decimal(length) and int(length) <= width):
            raise ComplaintError("Invalid netmask")
        bits = ((1 << int(length or 0)) - 1) << (width - int(length or 0))
        high, low = halves(bits) if found.family == 6 else (0, bits)
        mask = f"mask-{name.removeprefix('tuple-')}"
        request.addresses[mask] = Address(found.family, high, low)
        request.given[mask] = None


def _address_and_mask(request: Request, value: str) -> tuple[Address, str | None]:
    """An address, which decides on the family, and what stands behind its slash; None without one."""
    text, slash, length = value.partition("/")
    found = address(text)
    if found is None:
        raise ComplaintError(f"Invalid IP address `{value}'")
    _set_family(request, found.family)
    return found, length if slash else None


def _set_family(request: Request, family: int) -> None:
    if request.family not in (0, family):
        raise ComplaintError("mismatched address family")
    request.family = family


def _family(word: str) -> int:
    if word not in ("ipv4", "ipv6"):
        raise ComplaintError(f"`{word}' unsupported protocol")
    return int(word[-1])


def _protocol(request: Request, word: str) -> None:
    """A word of the tool's own in any case; a name of /etc/protocols, which brings no options; a number (findproto in src/conntrack.c)."""
    proto = OWN_PROTOCOLS.get(word.lower())
    if proto is None:
        named = word if word in MORE_PROTOCOLS else _second_name(word)
        if named:
            request.proto, request.own = MORE_PROTOCOLS[named], 0
            return
        if not _is_number(word) or not 0 <= number(word) < 256:
            raise ComplaintError(f"`{word}' unsupported protocol")
        proto = number(word)
    request.proto, request.own = proto, proto if proto in OWN_OPTIONS else 0
    request.options = request.options | OWN_OPTIONS.get(proto, {})


def _second_name(word: str) -> str:
    return next((name for name in MORE_PROTOCOLS if word and SECOND_NAMES.get(name, name.upper()) == word), "")


def _status(request: Request, value: str) -> None:
    parts = value.split(",")
    for place, part in enumerate(parts):
        ignored = next((word for word in ("SRC_NAT", "DST_NAT") if part and word.startswith(part.upper())), "")
        if ignored:
            request.warnings += f"WARNING: ignoring {ignored}, use --{ignored.lower().replace('_', '-')} instead\n"
        elif part.upper() == "UNREPLIED":
            request.unreplied = True
        else:
            request.status |= STATUS_WORDS[_prefixed(part, tuple(STATUS_WORDS), ",".join(parts[place:]))]


def _output(request: Request, value: str) -> None:
    parts = value.split(",")
    for place, part in enumerate(parts):
        word = _prefixed(part, OUTPUT_WORDS, ",".join(parts[place:]))
        request.output.add(word)
        if word == "labels":
            request.known_labels()
    if "save" in request.output and len(request.output) > 1:
        raise ComplaintError("cannot combine save output with any other output type, use -o save only", 1)


def _prefixed(part: str, words: tuple[str, ...], rest: str = "") -> str:
    """A word or the beginning of one, in any case; of an empty one the tool complains with all that follows."""
    found = next((word for word in words if part and word.lower().startswith(part.lower())), None)
    if found is None:
        raise ComplaintError(f"Bad parameter `{part or rest}'")
    return found


def _nat(request: Request, name: str, value: str) -> Nat:
    """``address``, ``address:port`` or ``[address]:port`` (split_address_and_port and nat_parse in src/conntrack.c)."""
    text, colon, port = value, "", ""
    if value.startswith("["):
        text, closed, after = value[1:].partition("]")
        if not closed:
            raise ComplaintError("No closing ']' around IPv6 address")
        if not after.startswith(":"):
            raise ComplaintError(f"Invalid IP address `{value}'")
        colon, port = ":", after[1:]
    elif value.count(":") == 1:
        text, colon, port = value.partition(":")
    if colon and not port:
        raise ComplaintError("No port specified after `:'")
    found, mask = _address_and_mask(request, text)
    if mask is not None:
        raise ComplaintError(f"CIDR notation unavailable for `--{name}'")
    if colon and not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ComplaintError(f"Invalid port `{port}'")
    return Nat(found, int(port) if colon else None)


def address(text: str) -> Address | None:
    """inet_aton or inet_pton."""
    from socket import AF_INET6, inet_aton, inet_pton

    try:
        if ":" in text:
            raw = int.from_bytes(inet_pton(AF_INET6, text), "big")
            return Address(6, signed(raw >> 64), signed(raw))
        return Address(4, 0, int.from_bytes(inet_aton(text), "big")) if text else None
    except OSError:
        return None


def number(text: str) -> int:
    """strtoul with base 0: the leading number, or 0."""
    from re import match

    found = match(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if found is None:
        return 0
    digits = found[2]
    value = int(digits, 16) if digits[:2].lower() == "0x" else int(digits, 8) if digits[0] == "0" else int(digits)
    return -value if found[1] == "-" else value


def _is_number(text: str) -> bool:
    """Whether strtol with base 0 reads all of it."""
    from re import fullmatch

    return fullmatch(r"\s*[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text) is not None


def _is_decimal(text: str) -> bool:
    from re import fullmatch

    return fullmatch(r"\s*\+?[0-9]+", text) is not None
