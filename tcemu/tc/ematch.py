"""Extended matches: the expressions of basic, cgroup and flow.

    EXPR := TERM [ and|or EXPR ]     TERM := [ not ] KIND(ARGS) | [ not ] ( EXPR )

tc's lexer takes word after word from the command line and its parser looks one piece ahead; how many words it took decides where the filter
goes on, and what is pointed at when something is wrong. What stands behind ``and`` or ``or`` is one: ``a and b or c`` is ``a and (b or c)``.
Source: iproute2 6.1 tc/m_ematch.c, emp_ematch.l, emp_ematch.y, em_cmp.c, em_u32.c, em_meta.c, em_nbyte.c, em_canid.c; man tc-ematch(8);
net/sched/ematch.c (__tcf_em_tree_match), em_*.c.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn

from tcemu.ir.operand import Bits, Const, Load, Operand, Raw
from tcemu.ir.step import AnyOf, Compare, Masked, Match, Step, Unsupported
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError
from tcemu.tc.usage import usage

ALIGN: Final = {"u8": 8, "u16": 16, "u32": 32}
LAYERS: Final = {"link": 0, "network": 1, "transport": 2, "header": 1, "tcp": 2}
TOP_LAYER: Final = 2
BASES: Final = ("ll", "nh", "th")
OPERATORS: Final = {"eq": "==", "lt": "<", "gt": ">"}
META: Final = {  # id -> field, where packets here have it; in the order of meta(list)
    **dict.fromkeys(("random", "loadavg_1", "loadavg_5", "loadavg_15"), ""),
    "dev": "meta.iif",
    "priority": "meta.priority",
    "protocol": "meta.protocol",
    "pkt_type": "meta.pkttype",
    "pkt_len": "meta.length",
    **dict.fromkeys(("data_len", "mac_len"), ""),
    **dict.fromkeys(("nf_mark", "fwmark"), "meta.mark"),
    "tc_index": "meta.tcindex",
    "rt_classid": "",
    "rt_iif": "meta.iif",
    **dict.fromkeys(("vlan", "sk_family", "sk_state", "sk_reuse", "sk_bind_if", "sk_refcnt", "sk_shutdown", "sk_proto", "sk_type"), ""),
    **dict.fromkeys(("sk_rcvbuf", "sk_rmem", "sk_wmem", "sk_omem", "sk_wmem_queue", "sk_snd_queue", "sk_rcv_queue", "sk_err_queue"), ""),
    **dict.fromkeys(("sk_fwd_alloc", "sk_sndbuf"), ""),
}
NAMED: Final = ("dev", "sk_bind_if")  # ids that may be compared with a name
CAN_SFF: Final = 0x7FF
CAN_EFF: Final = 0x1FFFFFFF
WITH_VALUE: Final = ("at", "layer", "mask", "eq", "lt", "gt")
ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
ESCAPES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v", b"f": b"\f"}
QUOTE: Final = re.compile(r'(?<!\\)"')
PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')


class Term(NamedTuple):
    """A term: its text (empty for a group), how it is joined to the one before, whether negated, what it tests (None: it does not run), and
    the terms of a group."""

    text: str
    join: str
    negated: bool
    match: Match | None
    inner: tuple[Term, ...] = ()


class _Piece(NamedTuple):
    """A term before its arguments are looked at."""

    kind: str
    args: list[str]
    join: str
    negated: bool
    inner: list[_Piece]


class _Tokens:
    """The words behind ``match``, cut into pieces as they are asked for; ``taken`` counts words."""

    def __init__(self, words: list[str]) -> None:
        self.words = [word.replace("\0", "") for word in words]
        self.taken = 0
        self.ready: list[str] = []
        self.buffer = bytearray()

    def peek(self) -> str:
        """The next piece, or nothing; takes as many words as that needs."""
        while not self.ready:
            if self.taken == len(self.words):
                return ""
            said = self.words[self.taken]
            while len(QUOTE.findall(said)) % 2 and self.taken + 1 < len(self.words):  # a string goes on in the next word
                self.taken += 1
                said += f" {self.words[self.taken]}"
            self.ready = PIECE.findall(said)
            for piece in self.ready:
                if piece.startswith('"'):
                    text = _unquoted(piece)
                    self.buffer[: len(text)] = text
            self.taken += 1
        return self.ready[0]

    def next(self) -> str:
        """Take the next piece."""
        piece = self.peek()
        if piece:
            del self.ready[0]
        return piece

    def read(self) -> str:
        """The words taken, the last one pointed at."""
        words = self.words[: self.taken]
        return " ".join([*words[:-1], f">>{words[-1]}<<", "..."]) if words else "..."

    def broken(self) -> NoReturn:
        """The expression ends too early or has a word out of place."""
        raise ComplaintError(f'Parse error: syntax error\n... {self.read()}\n{usage("ematch")}Illegal "ematch"\n')


def _unquoted(piece: str) -> bytes:
    """The bytes of a string, with C's escapes."""
    return ESCAPE.sub(_escaped, piece.strip('"').encode(errors="surrogateescape"))


def _escaped(found: re.Match[bytes]) -> bytes:
    """What a backslash and what follows stand for."""
    text = found[1]
    if text[:1] == b"x":
        return bytes([int(text[1:], 16)])
    if text.isdigit():
        return bytes([int(text, 8) & 0xFF])
    return ESCAPES.get(text, text)


def parse(words: list[str]) -> tuple[list[Term], int]:
    """The expression that words begin with, and how many of them tc is then through with."""
    tokens = _Tokens(words)
    pieces = _expression(tokens)
    tokens.taken -= 1  # tc takes back the piece that it looked ahead, also where there was none
    return _read(pieces, tokens), tokens.taken


def _expression(tokens: _Tokens) -> list[_Piece]:
    pieces: list[_Piece] = []
    join = ""
    while True:
        negated = tokens.peek().lower() == "not"
        if negated:
            tokens.next()
        pieces.append(_piece(tokens, join, negated))
        join = tokens.peek().lower()
        if join not in ("and", "or"):
            return pieces
        tokens.next()


def _piece(tokens: _Tokens, join: str, negated: bool) -> _Piece:
    kind = tokens.next()
    if kind == "(":
        inner = _expression(tokens)
        if tokens.next() != ")":
            tokens.broken()
        return _Piece("", [], join, negated, inner)
    if not kind or kind == ")" or kind.lower() in ("and", "or", "not") or tokens.next() != "(":
        tokens.broken()
    args: list[str] = []
    while (word := tokens.next()) != ")" or not args:
        if not word or word in ("(", ")"):
            tokens.broken()
        args.append(word)
    return _Piece(kind, args, join, negated, [])


def _read(pieces: list[_Piece], tokens: _Tokens) -> list[Term]:
    """Look at the arguments."""
    terms: list[Term] = []
    for piece in pieces:
        if piece.inner:
            terms.append(Term("", piece.join, piece.negated, None, tuple(_read(piece.inner, tokens))))
            continue
        reader = KINDS.get(piece.kind)
        if reader is None:
            raise ComplaintError(f'Unknown ematch "{piece.kind}"\nIllegal "ematch"\n')
        text, match = reader(_Args(piece.kind, piece.args, tokens))
        terms.append(Term(f"{piece.kind}({text})", piece.join, piece.negated, match))
    return terms


class _Args:
    """The arguments of one term, and how to say that one is wrong."""

    def __init__(self, kind: str, args: list[str], tokens: _Tokens) -> None:
        self.kind = kind
        self.args = args
        self.plain = [_unquoted(word).decode(errors="surrogateescape") if word.startswith('"') else word for word in args]
        self.tokens = tokens

    def word(self, place: int) -> str:
        """An argument without quotes, or nothing."""
        return self.plain[place] if place < len(self.plain) else ""

    def written(self, place: int) -> str:
        """An argument as it was written."""
        return self.args[place] if place < len(self.args) else ""

    def needle(self, word: str) -> bytes:
        """The bytes to look for. Strings share one buffer in tc's lexer: those behind overwrite the beginning of those in front."""
        if not word.startswith('"'):
            return word.encode()
        return bytes(self.tokens.buffer[: len(_unquoted(word))])

    def wrong(self, text: str, place: int = -1, shown: bool = True, start: int = 0) -> NoReturn:
        """em_parse_error; ``shown``: with the arguments from ``start`` on, of which that at ``place`` is pointed at."""
        words = list(self.plain)
        if 0 <= place < len(words):
            words[place] = f">>{words[place]}<<"
        words = words[start:]
        told = f"... {self.kind}({' '.join(words)})...\n" if shown else ""
        raise ComplaintError(f'{text}\n... {self.tokens.read()}\n{told}{usage(f"em_{self.kind}")}Illegal "ematch"\n')


def _cmp(args: _Args) -> tuple[str, Match | None]:
    bits = ALIGN.get(args.word(0))
    if bits is None:
        args.wrong("cmp: invalid alignment", 0)
    layer, mask = LAYERS["network"], 0
    offset: int | None = None
    operator, value, swapped = "", None, False
    place = 1
    while place < len(args.args):
        word, behind = args.word(place), args.word(place + 1)
        if word == "trans":
            swapped = True
            place += 1
            continue
        if word not in WITH_VALUE:
            args.wrong("nbyte: unknown parameter", place)  # as tc says here, too
        if not behind:
            args.wrong("cmp: missing argument", place)
        number = LAYERS.get(behind, _number(behind)) if word == "layer" else _number(behind)
        if number is None:
            what = {"at": "offset, must be numeric", "layer": "layer", "mask": "mask"}.get(word, "value")
            args.wrong(f"cmp: invalid {what}", place + 1)
        if word == "at":
            offset = number
        elif word == "layer":
            layer = number
            if layer > TOP_LAYER:
                args.wrong("cmp: illegal layer, must be in 0..2", place + 1)
        elif word == "mask":
            mask = number
        else:
            operator, value = word, number
        place += 2
    if offset is None or value is None:
        args.wrong("cmp: offset and value required")
    text = f"{args.word(0)} at {offset} layer {layer} "
    text += f"mask 0x{mask:x} " if mask else ""
    text += f"{'trans ' if swapped else ''}{operator} {value}"
    left: Operand = Raw(BASES[layer], 8 * offset, bits)
    if mask:
        left = Bits(left, mask)
    return text, None if swapped and bits > 8 else Match(left, Compare(OPERATORS[operator], value))


def _number(text: str) -> int | None:
    """bstrtoul: any base, unsigned."""
    return readers.unsigned(text, readers.U32, 0) if text else None


def _u32(args: _Args) -> tuple[str, Match | None]:
    bits = ALIGN.get(args.word(0))
    if bits is None:
        args.wrong("u32: invalid alignment", 0)
    key, mask = _number(args.word(1)), _number(args.word(2))
    if key is None:
        args.wrong("u32: missing key" if not args.word(1) else "u32: invalid key, must be numeric", 1)
    if mask is None:
        args.wrong("u32: missing mask" if not args.word(2) else "u32: invalid mask, must be numeric", 2)
    if args.word(3) != "at":
        args.wrong('u32: missing "at"', 3)
    if not args.word(4):
        args.wrong("u32: missing offset")
    offset, place, next_header = _u32_offset(args)
    if args.word(place + 1):
        args.wrong("u32: unexpected trailer", place + 1)
    limit = (1 << bits) - 1
    if key > limit:
        args.wrong(f"Illegal key (>0x{limit:X})", 4)
    if mask > limit:
        args.wrong(f"Illegal mask (>0x{limit:X})", 4)
    shift = 0
    if bits == 8:
        shift = 8 * (3 - (offset & 3))
    elif bits == 16:
        shift = 0 if offset & 3 else 16
    offset = offset if bits == 32 else offset & ~3
    key, mask = (key & mask) << shift, mask << shift
    text = f"{key:08x}/{mask:08x} at {'nexthdr+' if next_header else ''}{offset}"
    return text, Match(Raw("nh", 8 * offset, 32), Masked(key & mask, mask))


def _u32_offset(args: _Args) -> tuple[int, int, bool]:
    """``[nexthdr+]N``, in one word or two: the number, the place of its word, and whether it counts from the next header."""
    word = args.word(4)
    if word.startswith("nexthdr+") and word != "nexthdr+":
        found = readers.strtoul(word[8:], 0)  # whatever it is
        number = readers.U32 & (found[0] if found is not None else 0)
        return number - (1 << 32) if number >> 31 else number, 4, True
    place = 5 if word == "nexthdr+" else 4
    if not args.word(place):
        args.wrong("u32: missing offset")
    offset = readers.signed(args.word(place), 32)
    if offset is None:
        args.wrong("u32: invalid offset", place)
    return offset, place, place == 5


def _meta(args: _Args) -> tuple[str, Match | None]:
    place, left, left_text = _meta_object(args, 0)
    operator = args.written(place)
    if not operator:
        args.wrong("meta: missing operand", 0)
    if operator not in OPERATORS:
        args.wrong("meta: invalid operand", place)
    if not args.written(place + 1):
        args.wrong("meta: missing rvalue", 0)
    place, right, right_text = _meta_object(args, place + 1)
    if args.written(place):
        args.wrong("meta: unexpected trailer", place)
    match = None
    if isinstance(left, (Load, Bits)) and isinstance(right, int):
        if left == Load("meta.protocol"):
            right = int.from_bytes(right.to_bytes(4)[2:], "little") if operator == "eq" and right <= readers.U16 else None
        elif isinstance(left, Bits) and left.of == Load("meta.protocol"):
            right = None  # the kernel compares the bytes as they are in the packet (em_meta.c int_protocol)
        match = Match(left, Compare(OPERATORS[operator], right)) if right is not None else None
    return f"{left_text} {operator} {right_text}", match


def _meta_object(args: _Args, place: int) -> tuple[int, Operand | int | None, str]:
    """``ID [shift N] [mask N]`` or a number or, in quotes, a name."""
    word = args.written(place)
    number = _number(word)
    if number is not None:
        return place + 1, number, str(number)
    if word.startswith('"'):
        return place + 1, None, word
    if word not in META:
        if word == "list":
            raise ComplaintError(usage("meta list") + 'Illegal "ematch"\n')
        args.wrong("meta: unknown meta id\n", place)
    amounts = {"shift": 0, "mask": 0}
    place += 1
    while (name := args.written(place)) in amounts:
        if not args.written(place + 1):
            args.wrong("meta: missing argument", place)
        amount = _number(args.written(place + 1))
        if amount is None:
            args.wrong(f"meta: invalid {name}, must be numeric", place + 1)
        amounts[name] = amount
        place += 2
    shift, mask = amounts["shift"], amounts["mask"]
    text = "nf_mark" if word == "fwmark" else word
    text += f" shift {shift}" if shift else ""
    text += f" mask 0x{mask:08x}" if mask else ""
    field = META[word]
    if not field:
        return place, None, text
    operand: Operand = Load(field)
    if shift or mask:
        operand = Bits(operand, mask or readers.U32, 0, 0, shift)
    return place, operand, text


def _nbyte(args: _Args) -> tuple[str, Match | None]:
    needle = args.needle(args.written(0))
    if not needle:
        args.wrong("nbyte: needle length is 0", 0)
    offset: int | None = None
    layer = LAYERS["network"]
    for place in range(1, len(args.args), 2):
        word, behind = args.word(place), args.word(place + 1)
        if word not in ("at", "layer"):
            args.wrong("nbyte: unknown parameter", place)
        if not behind:
            args.wrong("nbyte: missing argument", place)
        if word == "at":
            offset = _number(behind)
            if offset is None:
                args.wrong("nbyte: invalid offset, must be numeric", place + 1)
            continue
        found = LAYERS.get(behind, _number(behind))
        if found is None:
            args.wrong("nbyte: invalid layer", place + 1)
        if found > TOP_LAYER:
            args.wrong("nbyte: illegal layer, must be in 0..2", place + 1)
        layer = found
    if offset is None:
        args.wrong("nbyte: offset required")
    text = f'{needle.hex(" ")} "{"".join(chr(byte) if 32 <= byte < 127 else "." for byte in needle)}" at {offset} layer {layer}'
    value = int.from_bytes(needle)
    width = 8 * len(needle)
    if not 0 < width <= 32:
        return text, None
    return text, Match(Raw(BASES[layer], 8 * offset, width), Masked(value, (1 << width) - 1))


def _canid(args: _Args) -> tuple[str, Match | None]:
    """``sff|eff ID[:MASK]``, several of them; of what a kernel here never sees. Extended ones are listed behind the others."""
    short: list[str] = []
    long: list[str] = []
    place = 0
    while word := args.word(place):
        if word not in ("sff", "eff"):
            args.wrong("canid: invalid key", place)
        if not args.word(place + 1):
            args.wrong("canid: missing argument", -1, False)
        limit = CAN_SFF if word == "sff" else CAN_EFF
        number, _, mask_text = args.word(place + 1).partition(":")
        found, mask = _number(number), _number(mask_text) if mask_text else limit
        if found is None or mask is None:
            args.wrong("canid: Improperly formed CAN ID & mask\n", place + 1, start=place + 1)
        text = f"{word} 0x{found & limit:X}"
        text += f":0x{mask & limit:X}" if mask & limit != limit else ""
        (short if word == "sff" else long).append(text)
        place += 2
    return " ".join([*long, *short]), None


def _ipset(args: _Args) -> NoReturn:
    args.wrong(f"ipset: unknown set name '{args.word(0)}'", 0)


def _ipt(args: _Args) -> NoReturn:
    name = args.word(args.args.index("-m") + 1) if "-m" in args.args else ""
    raise ComplaintError(f' failed to find match {name}\n\nIllegal "ematch"\n')


KINDS: Final = {
    "cmp": _cmp,
    "u32": _u32,
    "meta": _meta,
    "nbyte": _nbyte,
    "canid": _canid,
    "ipset": _ipset,
    "ipt": _ipt,
}


def listed(terms: list[Term]) -> str:
    """The expression as tc lists it behind a line break (print_ematch_seq); nothing for none."""
    return f"\n  {_sequence(terms, 1)}" if terms else ""


def _sequence(terms: list[Term] | tuple[Term, ...], depth: int) -> str:
    """Terms a line each; a group has its own lines further in, and what follows it stands on its last."""
    text = ""
    for place, term in enumerate(terms):
        text += f"{term.join.upper()} " if term.join else ""
        text += "NOT " if term.negated else ""
        if term.inner:
            text += "(\n" + "  " * (depth + 1) + _sequence(term.inner, depth + 1) + "  " * depth + ") "
        else:
            text += f"{term.text}\n"
            text += "  " * depth if place < len(terms) - 1 else ""
    return text


def steps(terms: list[Term]) -> list[Step]:
    """What runs; one step that says that it does not, where a term needs what packets here do not have."""
    found = _steps(terms)
    return [Unsupported(" ".join(listed(terms).split()), "this expression does not run")] if found is None else list(found)


def _steps(terms: list[Term] | tuple[Term, ...]) -> list[Match] | None:
    """All that must hold."""
    if not terms:
        return []
    first = _step(terms[0])
    rest = _steps(terms[1:])
    if first is None or rest is None:
        return None
    if len(terms) > 1 and terms[1].join == "or":
        return [Match(Const(0), AnyOf((tuple(first), tuple(rest))))]
    return first + rest


def _step(term: Term) -> list[Match] | None:
    """A term or a group; the opposite holds also where the packet has no such header."""
    found = _steps(term.inner) if term.inner else [term.match] if term.match is not None else None
    if found is None or not term.negated:
        return found
    return [Match(Const(0), AnyOf((tuple(found),), True))]
