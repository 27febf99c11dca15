"""The `conntrack` command line, read: which command, which table, what was given. Knows no connection.

Words, checks and their order are those of conntrack-tools 1.4.7 (src/conntrack.c and the protocol files extensions/*.c), whose texts
were taken from runs of it. Numbers are read as strtoul does: what is none counts as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.conntrack.names import halves, signed
from tcemu.conntrack.strtoul import is_decimal, is_number, number
from tcemu.conntrack.tuples import TCP
from tcemu.conntrack.words import (
    COMMANDS,
    EVENT_WORDS,
    MAY_HAVE,
    MORE_PROTOCOLS,
    MUST_HAVE,
    NO,
    OPTIONS,
    OUTPUT_WORDS,
    OWN_OPTIONS,
    OWN_PROTOCOLS,
    SAME,
    SECOND_NAMES,
    STATE_WORDS,
    STATUS_WORDS,
    TABLES,
)
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
        if length and not (is_decimal(length) and int(length) <= width):
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
        if not is_number(word) or not 0 <= number(word) < 256:
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
