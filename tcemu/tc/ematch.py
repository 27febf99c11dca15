"""Extended matches: the expressions of basic and cgroup.

    EXPR := TERM [ and|or EXPR ]     TERM := [ not ] KIND(ARGS) | [ not ] ( EXPR )

Chains of ``and`` run; ``or`` and parentheses list, and a packet that meets them is refused.
Source: iproute2 6.1 tc/m_ematch.c, em_cmp.c, em_u32.c, em_meta.c, em_nbyte.c; man tc-ematch(8); net/sched/em_*.c.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn

from tcemu.ir.operand import Bits, Load, Operand, Raw
from tcemu.ir.step import Compare, Masked, Match, Not, Step, Test, Unsupported
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError
from tcemu.tc.usage import usage

ALIGN: Final = {"u8": 8, "u16": 16, "u32": 32}
LAYERS: Final = {"link": 0, "network": 1, "transport": 2, "header": 1}
BASES: Final = ("ll", "nh", "th")
OPERATORS: Final = {"eq": "==", "lt": "<", "gt": ">"}
META_FIELDS: Final = {
    "priority": "meta.priority",
    "nf_mark": "meta.mark",
    "protocol": "meta.protocol",
    "pkttype": "meta.pkttype",
    "pktlen": "meta.length",
    "tcindex": "meta.tcindex",
    "dev": "meta.iif",
    "rtiif": "meta.iif",
}
META_NUMBERS: Final = (
    *("random", "loadavg_0", "loadavg_1", "loadavg_2", "priority", "protocol", "pkttype", "pktlen", "datalen", "maclen", "nf_mark"),
    *("tcindex", "rtclassid", "rtiif", "sk_family", "sk_state", "sk_reuse", "sk_refcnt", "sk_rcvbuf", "sk_sndbuf", "sk_shutdown"),
    *("sk_proto", "sk_type", "sk_rmem_alloc", "sk_wmem_alloc", "sk_wmem_queued", "sk_rcv_qlen", "sk_snd_qlen", "sk_err_qlen"),
    *("sk_forward_allocs", "sk_allocs", "sk_route_caps", "sk_hash", "sk_lingertime", "sk_ack_bl", "sk_max_ack_bl", "sk_prio"),
    *("sk_rcvlowat", "sk_rcvtimeo", "sk_sndtimeo", "sk_sendmsg_off", "sk_write_pend", "vlan", "rxhash", "dev", "sk_bound_if"),
)


class Term(NamedTuple):
    """A term as listed, how it is joined to the one before, whether negated, and what it tests (None: it does not run)."""

    text: str
    join: str
    negated: bool
    match: Match | None


class _Tokens:
    """The words, cut at parentheses; each piece knows its word."""

    def __init__(self, words: list[str], rest: list[str]) -> None:
        self.words = words
        self.rest = rest
        cut = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')
        self.tokens = [(token, place) for place, word in enumerate(words) for token in cut.findall(word)]
        self.place = 0

    def peek(self) -> str:
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def next(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1][0] if self.place <= len(self.tokens) else ""

    def left(self) -> str:
        """The word that the next piece is of, or nothing."""
        return self.words[self.tokens[self.place][1]] if self.place < len(self.tokens) else ""

    def broken(self) -> NoReturn:
        """The expression ends too early or has a word out of place: what was read, with the last word pointed at."""
        at = min(self.place - 1, len(self.tokens) - 1)
        last = self.tokens[at][1] if at >= 0 else 0
        read = [*self.words[:last], f">>{self.words[last]}<<"]
        raise ComplaintError(f'Parse error: syntax error\n... {" ".join(read)} ...\n{usage("ematch")}Illegal "ematch"\n')


def parse(words: list[str], rest: list[str]) -> tuple[list[Term], str]:
    """The terms of an expression, parentheses making one term of what they hold; and the word that does not belong to it any more."""
    tokens = _Tokens(words, rest)
    terms: list[Term] = []
    join = ""
    while True:
        negated = tokens.peek().lower() == "not"
        if negated:
            tokens.next()
        terms.append(_term(tokens, join, negated))
        join = tokens.peek().lower()
        if join not in ("and", "or"):
            return terms, tokens.left()
        tokens.next()


def _term(tokens: _Tokens, join: str, negated: bool) -> Term:
    kind = tokens.next()
    if kind == "(":
        text = _group(tokens)
        return Term(f"({text})", join, negated, None)
    if tokens.next() != "(" or kind == ")":
        tokens.broken()
    args = []
    while (word := tokens.next()) != ")":
        if not word or word == "(":
            tokens.broken()
        args.append(word)
    reader = KINDS.get(kind)
    if reader is None:
        raise ComplaintError(f'Unknown ematch "{kind}"\nIllegal "ematch"\n')
    text, match = reader(_Args(kind, args, tokens))
    return Term(f"{kind}({text})", join, negated, match)


def _group(tokens: _Tokens) -> str:
    """What stands in parentheses, as text."""
    inner: list[Term] = []
    join = ""
    while True:
        negated = tokens.peek().lower() == "not"
        if negated:
            tokens.next()
        inner.append(_term(tokens, join, negated))
        join = tokens.next().lower()
        if join == ")":
            break
        if join not in ("and", "or"):
            tokens.broken()
    return "\n    " + "\n    ".join(texts(inner)) + "\n  "


class _Args:
    """The arguments of one term, and how to say that one is wrong."""

    def __init__(self, kind: str, args: list[str], tokens: _Tokens) -> None:
        self.kind = kind
        self.args = args
        self.tokens = tokens

    def word(self, place: int) -> str:
        """An argument, or nothing."""
        return self.args[place] if place < len(self.args) else ""

    def wrong(self, text: str, place: int = -1) -> NoReturn:
        """em_parse_error."""
        words = list(self.args)
        if 0 <= place < len(words):
            words[place] = f">>{words[place]}<<"
        before = " ".join(self.tokens.words)
        where = f"... >>{before}<< ...\n" if self.tokens.rest else "... ...\n"
        raise ComplaintError(f'{text}\n{where}... {self.kind}({" ".join(words)})...\n{usage(f"em_{self.kind}")}Illegal "ematch"\n')


def _cmp(args: _Args) -> tuple[str, Match | None]:
    bits = ALIGN.get(args.word(0).lower())
    if bits is None:
        args.wrong("cmp: invalid alignment", 0)
    layer = mask = place = 0
    offset: int | None = None
    operator, value, swapped = "", None, False
    place = 1
    while place < len(args.args):
        word = args.word(place).lower()
        behind = args.word(place + 1)
        if word == "trans":
            swapped = True
            place += 1
            continue
        if word in ("at", "layer", "mask", *OPERATORS) and not behind:
            args.wrong(f"cmp: missing {'value' if word in OPERATORS else word} argument", place)
        number = LAYERS.get(behind, _number(behind)) if word == "layer" else _number(behind)
        if number is None and word in ("at", "layer", "mask", *OPERATORS):
            what = {"at": "offset", "layer": "layer", "mask": "mask"}.get(word, "value")
            args.wrong(f"cmp: invalid {what}{', must be numeric' if what != 'layer' else ''}", place + 1)
        if word == "at":
            offset = number
        elif word == "layer":
            layer = number or 0
            if layer > 2:
                args.wrong("cmp: illegal layer, must be in 0..2", place + 1)
        elif word == "mask":
            mask = number or 0
        elif word in OPERATORS:
            operator, value = word, number
        else:
            args.wrong("cmp: unknown parameter", place)
        place += 2
    if offset is None or value is None:
        args.wrong("cmp: offset, operator and value are required")
    text = f"{args.word(0).lower()} at {offset} layer {layer} "
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
    bits = ALIGN.get(args.word(0).lower())
    if bits is None:
        args.wrong("u32: invalid alignment", 0)
    key, mask = _number(args.word(1)), _number(args.word(2))
    if key is None:
        args.wrong("u32: missing key" if not args.word(1) else "u32: invalid key, must be numeric", 1)
    if mask is None:
        args.wrong("u32: missing mask" if not args.word(2) else "u32: invalid mask, must be numeric", 2)
    if args.word(3).lower() != "at":
        args.wrong('u32: missing "at"', 3)
    offset_word, next_header = args.word(4), False
    if offset_word.startswith("nexthdr+"):
        next_header = True
        offset_word = offset_word[8:] or args.word(5)
    if not offset_word:
        args.wrong("u32: missing offset")
    offset = readers.signed(offset_word, 32)
    if offset is None:
        args.wrong("u32: invalid offset", 4)
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


def _meta(args: _Args) -> tuple[str, Match | None]:
    place, left, left_text = _meta_object(args, 0, True)
    operator = args.word(place)
    if operator not in OPERATORS:
        args.wrong("meta: missing operand" if not operator else "meta: invalid operand", place)
    if not args.word(place + 1):
        args.wrong("meta: missing rvalue")
    place, right, right_text = _meta_object(args, place + 1, False)
    if args.word(place):
        args.wrong("meta: unexpected trailer", place)
    match = None
    if left is not None and not isinstance(left, int) and isinstance(right, int):
        match = Match(Load(left) if isinstance(left, str) else left, Compare(OPERATORS[operator], right))
    return f"{left_text} {operator} {right_text}", match


def _meta_object(args: _Args, place: int, left: bool) -> tuple[int, Operand | str | int | None, str]:
    """``ID [shift N] [mask N]`` or a number or, in quotes, a string."""
    word = args.word(place)
    if not word:
        args.wrong("meta: missing meta id")
    number = _number(word)
    if number is not None and not left:
        return place + 1, number, str(number)
    if word.startswith('"') and not left:
        return place + 1, None, word
    if word not in META_NUMBERS and word != "indev":
        args.wrong("meta: unknown meta id\n", place)
    text, shift, mask = word, 0, 0
    place += 1
    while args.word(place) in ("shift", "mask"):
        amount = _number(args.word(place + 1))
        if amount is None:
            args.wrong(
                f"meta: invalid {args.word(place)}, must be numeric" if args.word(place + 1) else f"meta: missing {args.word(place)}",
                place + 1,
            )
        if args.word(place) == "shift":
            shift = amount
        else:
            mask = amount
        place += 2
    text += f" shift {shift}" if shift else ""
    text += f" mask 0x{mask:08x}" if mask else ""
    field = META_FIELDS.get(word)
    if field is None:
        return place, None, text
    operand: Operand = Load(field)
    if shift or mask:
        operand = Bits(operand, mask or readers.U32, 0, 0, shift)
    return place, operand, text


def _nbyte(args: _Args) -> tuple[str, Match | None]:
    if not args.word(0):
        args.wrong("nbyte: missing needle")
    if args.word(1).lower() != "at" or not args.word(2):
        args.wrong("nbyte: offset required")
    offset = _number(args.word(2))
    if offset is None:
        args.wrong("nbyte: invalid offset, must be numeric", 2)
    layer = 0
    if args.word(3):
        found = LAYERS.get(args.word(4), _number(args.word(4)))
        if args.word(3).lower() != "layer" or found is None:
            args.wrong("nbyte: unknown parameter", 3)
        layer = found
    needle = args.word(0).strip('"').encode()
    text = f'{len(needle)}"{needle.decode()}" at {offset} layer {layer}'
    value = int.from_bytes(needle)
    width = 8 * len(needle)
    if not 0 < width <= 32:
        return text, None
    return text, Match(Raw(BASES[layer], 8 * offset, width), Masked(value, (1 << width) - 1))


def _plain(args: _Args) -> tuple[str, Match | None]:
    return " ".join(args.args), None


KINDS: Final = {
    "cmp": _cmp,
    "u32": _u32,
    "meta": _meta,
    "nbyte": _nbyte,
    "canid": _plain,
    "ipset": _plain,
    "ipt": _plain,
    "container": _plain,
}


def texts(terms: list[Term]) -> list[str]:
    """The terms as tc lists them."""
    return [(f"{term.join.upper()} " if term.join else "") + ("NOT " if term.negated else "") + term.text for term in terms]


def steps(terms: list[Term]) -> list[Step]:
    """What runs: a chain of ands, or one step that says that it does not."""
    found: list[Step] = []
    for term in terms:
        if term.match is None or term.join == "or":
            return [Unsupported(" ".join(texts(terms)), "this expression does not run")]
        test: Test = Not(term.match.test) if term.negated else term.match.test
        found.append(Match(term.match.left, test))
    return found
