"""pedit: rewrite words of headers.

A key is a 32-bit word: where, what to do, value and the bits to keep. Source: iproute2 6.1 tc/m_pedit.c (pack_key8 … pack_ipv6, parse_cmd),
tc/p_ip.c, p_ip6.c, p_eth.c, p_tcp.c, p_udp.c, p_icmp.c; man tc-pedit(8); net/sched/act_pedit.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

from tcemu.ir.effect import Edit
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import OK, ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError, incomplete
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

ALL: Final = 0xFFFFFFFF
INT, ADDRESS4, ADDRESS6, HARDWARE = range(4)


class Field(NamedTuple):
    """A header field: offset, bytes, kind of value, bits that may change, whether it can be decremented."""

    offset: int
    length: int
    kind: int = INT
    retain: int = ALL
    decrement: bool = False


# header -> (base of the extended form, needs the extended form, fields); words are compared whole unless a prefix is said below
HEADERS: Final[dict[str, tuple[str, bool, dict[str, Field]]]] = {
    "IP": (
        "ip4",
        False,
        {
            "src": Field(12, 4, ADDRESS4),
            "dst": Field(16, 4, ADDRESS4),
            "tos": Field(1, 1, INT, 0xFF),
            "dsfield": Field(1, 1, INT, 0xFF),
            "ihl": Field(0, 1, INT, 0x0F),
            "ttl": Field(8, 1, INT, 0xFF, True),
            "protocol": Field(9, 1, INT, 0xFF),
            "precedence": Field(1, 1, INT, 0xFF),
            "nofrag": Field(6, 1, INT, 0x3F),
            "firstfrag": Field(6, 1, INT, 0x1F),
            "ce": Field(6, 1, INT, 0x80),
            "df": Field(6, 1, INT, 0x40),
            "mf": Field(6, 1, INT, 0x20),
            "dport": Field(22, 2, INT, 0xFFFF),
            "sport": Field(20, 2, INT, 0xFFFF),
            "icmp_type": Field(20, 1, INT, 0xFF),
            "icmp_code": Field(20, 1, INT, 0xFF),
        },
    ),
    "IP6": (
        "ip6",
        True,
        {
            "src": Field(8, 16, ADDRESS6),
            "dst": Field(24, 16, ADDRESS6),
            "flow_lbl": Field(0, 4, INT, 0x0007FFFF),
            "payload_len": Field(4, 2, INT, 0xFFFF),
            "nexthdr": Field(6, 1, INT, 0xFF),
            "hoplimit": Field(7, 1, INT, 0xFF, True),
            "traffic_class": Field(1, 1, INT, 0xFF),
        },
    ),
    "ETH": (
        "eth",
        True,
        {"type": Field(12, 2, INT, 0xFFFF), "dst": Field(0, 6, HARDWARE), "src": Field(6, 6, HARDWARE)},
    ),
    "TCP": (
        "tcp",
        True,
        {"sport": Field(0, 2, INT, 0xFFFF), "dport": Field(2, 2, INT, 0xFFFF), "flags": Field(13, 1, INT, 0xFF)},
    ),
    "UDP": ("udp", True, {"sport": Field(0, 2, INT, 0xFFFF), "dport": Field(2, 2, INT, 0xFFFF)}),
    "ICMP": ("icmp", True, {}),
}
NOT_EXTENDED: Final = ("dport", "sport", "icmp_type", "icmp_code")  # of ip: only the old form, which counts from the network header
PREFIXED: Final = ("dsfield", "precedence")
SHOWN: Final = {"eth": "eth", "ip4": "ipv4", "ip6": "ipv6", "tcp": "tcp", "udp": "udp"}
MAX_KEYS: Final = 128


class PeditReader(ActionReader):
    """Reads pedit."""

    KIND = "pedit"
    DEFAULT = OK
    ILLEGAL_INDEX = 'Pedit: Illegal "index"'

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.extended = False
        self.munged = 0
        self.keys: list[tuple[str, str, int, int, int, int, int, int]] = []

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        if self.munged:
            self.explain("'ex' must be before first 'munge'\n")
        if self.ends_early(word):
            raise incomplete()
        self.extended = True

    def bad(self, head: Word, text: str = "", at: int = -1) -> NoReturn:
        """A munge that does not parse. tc names the header, or where it stopped in a raw one (``at``, a place among the words)."""
        if head.terminal == "OFFSET":
            words = self.parse.words
            at = head.place + 1 if at < 0 else at
            self.explain(f"{text}Bad pedit construct ({words[at] if at < len(words) else '(null)'})\n")
        self.explain(f"{text}bad pedit parsing\nBad pedit construct ({head})\n")

    def munge(self, words: tuple[Word, ...]) -> None:
        """``HEADER FIELD CMD [VALUE] [retain MASK]``."""
        self.munged += 1
        head, name, command = words[0], words[1], words[2]
        base, extended, fields = HEADERS[head.terminal.removesuffix("_HEADER")]
        field = fields.get(name) or next((fields[full] for full in PREFIXED if full in fields and full.startswith(name)), None)
        if field is None or (extended and not self.extended) or (self.extended and base == "ip4" and name in NOT_EXTENDED):
            self.bad(head)
        place = base if self.extended or base == "eth" else "network"
        self.pack(head, place, field, command, words[3:], (0, 0, 0))
        if name == "traffic_class":
            *before, (base, op, offset, value, keep, *rest) = self.keys
            self.keys = [*before, (base, op, offset, value << 4 & ALL, (keep << 4 | 0xF) & ALL, rest[0], rest[1], rest[2])]

    def raw(self, words: tuple[Word, ...]) -> None:
        """``offset N u8|u16|u32 [at A MASK SHIFT] CMD [VALUE] [retain MASK]``."""
        self.munged += 1
        head, offset, width = words[0], _integer(words[1]), words[2]
        length = {"U8": 1, "U16": 2, "U32_WIDTH": 4}[width.terminal]
        rest = words[3:]
        at = (0, 0, 0)
        if rest[0].terminal == "AT":
            numbers = (
                readers.unsigned(rest[1], readers.U32, 0),
                readers.unsigned(rest[2], readers.U32, 16),
                readers.unsigned(rest[3], readers.U32, 0),
            )
            if numbers[0] is None or numbers[1] is None or numbers[2] is None:
                self.bad(head)
            at = (numbers[0], numbers[1], numbers[2])
            rest = rest[4:]
        if offset is None:
            self.bad(head)
        retain = (1 << 8 * length) - 1
        self.pack(head, "network", Field(offset, length, INT, retain), rest[0], rest[1:], at)

    def pack(self, head: Word, base: str, field: Field, command: Word, rest: tuple[Word, ...], at: tuple[int, int, int]) -> None:
        """Make the keys of one command (parse_cmd)."""
        retain, value, mask, op = field.retain, 0, 0, "set"
        here, behind = command.place, (rest[-1] if rest else command).place + 1
        full = {1: 0xFF, 2: 0xFFFF, 4: ALL}.get(field.length, 0xFF)
        words = list(rest)
        name = command.terminal
        if name == "INVERT":
            value = mask = full
            if field.length > 4:
                value = full << 8 * (field.length - 1)  # the first byte, as the first word is written in the machine's order
        elif name in ("SET_CMD", "ADD_CMD"):
            op = "add" if name == "ADD_CMD" else "set"
            if op == "add" and not self.extended:
                self.bad(head, "Non extended mode. only 'set' command is supported\n", here)
            value = self.read(head, field.kind, words.pop(0), here)
        elif name == "DECREMENT":
            if not field.decrement:
                self.bad(head, "decrement command is not supported for this field\n", here)
            if not self.extended:
                self.bad(head, "Non extended mode. only 'set' command is supported\n", here)
            op, value = "add", retain
        elif name == "PRESERVE":
            retain = 0
        if words:
            kept = readers.unsigned(words[1], readers.U32, 0)
            if kept is None:
                self.bad(head, "", here)
            retain = kept
        if field.length > 4 and retain != ALL:
            self.bad(head, "retain is not supported for fields longer the 32 bits\n")
        if not self.extended and base != "network":
            self.bad(head, "Munge parameters not supported. Use 'pedit ex munge ...'.\n")
        for offset, number, keep in self.words(head, field, value, mask, retain, behind):
            if offset % 4:
                self.bad(head, "offsets MUST be in 32 bit boundaries\n", behind)
            if len(self.keys) >= MAX_KEYS:
                self.bad(head, "", behind)
            self.keys.append((base, op, offset, number, keep, *at))

    def read(self, head: Word, kind: int, word: Word, here: int) -> int:
        """A value of a kind."""
        value: int | None = None
        if kind == INT:
            value = readers.unsigned(word, readers.U32, 0)
        elif kind == HARDWARE:
            try:
                value = readers.mac(word) if word.count(":") == 5 else None
            except ComplaintError as slip:
                self.bad(head, slip.text, here)
        else:
            try:
                value = readers.prefix(word, 6 if kind == ADDRESS6 else 4).address
            except ComplaintError:
                value = None
        if value is None:
            self.bad(head, "", here)
        return value

    def words(self, head: Word, field: Field, value: int, mask: int, retain: int, behind: int) -> list[tuple[int, int, int]]:
        """Offset, value and bits to keep of each word that a field covers (pack_key8 …)."""
        offset, length = field.offset, field.length
        if length == 16:
            return [(offset + 4 * n, value >> 32 * (3 - n) & ALL, 0) for n in range(4)]
        if length == 6 and offset % 4 == 0:
            return [(offset, value >> 16, 0), (offset + 4, (value & 0xFFFF) << 16, 0xFFFF)]
        if length == 6:
            return [(offset - 2, value >> 32, 0xFFFF0000), (offset + 2, value & ALL, 0)]
        if length == 4:
            if offset % 4:
                self.bad(head, "pack_key32: 32 bit offsets must begin in 32bit boundaries\n", behind)
            return [(offset, value & retain, (mask | ~retain) & ALL)]
        width = 8 * length
        limit = (1 << width) - 1
        if value > limit or mask > limit:
            text = "pack_key16 bad value\n" if length == 2 else f"pack_key8 bad value (val {value:x} mask {mask:x}\n"
            self.bad(head, text, behind)
        place = offset & 3
        if length == 2 and place == 3:
            self.bad(head, f"pack_key16 bad index value {place}\n", behind)
        shift = 8 * (4 - length - place)
        outside = ~(limit << shift) & ALL
        return [(offset & ~3, (value & retain) << shift & ALL, ((mask | ~retain) << shift | outside) & ALL)]

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        munge = max((place for place, value in enumerate(words) if value.terminal == "MUNGE"), default=-1)
        rest = words[munge + 1 :] if munge >= 0 else []
        if last == "MUNGE":
            at = words[-1].place + 2
            if at >= len(self.parse.words):
                raise incomplete()
            self.explain(
                f'Unknown action  hence option "{self.parse.words[at]}" is unparsable\nbad pedit parsing\nBad pedit construct ({word})\n'
            )
        if rest:
            self.bad(rest[0], "", rest[-1].place + 1 if len(rest) > 2 else -1)
        return False

    def ended(self, symbols: Sequence[str], values: Sequence[Any]) -> None:
        """The words end inside a munge: a field without a command is a bad construct, else a value is missing."""
        if "MUNGE" not in symbols:
            return
        place = len(symbols) - symbols[::-1].index("MUNGE")
        words = [value for value in values[place:] if isinstance(value, Word)]
        if len(words) == 2 and words[0].terminal.endswith("_HEADER"):
            self.munged += 1
            self.bad(words[0])
        if len(words) == 2:
            self.bad(words[0])

    def finish(self) -> ActionSpec:
        return self.spec(Edit(tuple(self.keys), self.extended))


READER = PeditReader


def _integer(word: Word) -> int | None:
    return readers.signed(word, 32)


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Edit:
    """What the kernel wants (tcf_pedit_init)."""
    edit = spec.effect
    assert isinstance(edit, Edit)
    if not edit.keys:
        raise RefusalError("Pedit requires keys to be passed")
    return edit


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a pedit."""
    edit = action.effect
    assert isinstance(edit, Edit)
    out.string("kind", " %s ", "pedit")
    show_control(out, "action ", action.then, " ")
    out.number("nkeys", "keys %d\n", len(edit.keys))
    show_index(out, " \t index %u", action, note, now, end=False)
    out.open_array("keys")
    for number, (base, op, offset, value, keep, *_at) in enumerate(edit.keys):
        out.open()
        out.text(f"\n\t key #{number}  at ")
        if base == "network":
            out.string("htype", "", "network")
            out.number("offset", "%d", offset)
        else:
            out.string("htype", "%s", SHOWN.get(base, base))
            out.number("offset", "%+d", offset)
        out.text(": add" if op == "add" else ": val")
        out.string("cmd", "", op)
        out.hexadecimal("val", " %08x", value)
        out.hexadecimal("mask", " mask %08x", keep)
        out.close()
    out.close_array()
    out.newline()
