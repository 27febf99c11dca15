"""u32's words: selectors, hash tables, links, offsets.

Source: iproute2 6.1 tc/f_u32.c, man tc-u32(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError, incomplete
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


# header -> field -> (offset, width in bits, behind the network header's end?)
FIELDS: Final[dict[str, dict[str, tuple[int, int, bool]]]] = {
    "IP_SEL": {
        "tos": (1, 8, False),
        "dsfield": (1, 8, False),
        "precedence": (1, 8, False),
        "ihl": (0, 8, False),
        "protocol": (9, 8, False),
        "dport": (22, 16, False),
        "sport": (20, 16, False),
        "icmp_type": (20, 8, False),
        "icmp_code": (21, 8, False),
    },
    "IP6_SEL": {
        "protocol": (6, 8, False),
        "flowlabel": (0, 32, False),
        "dport": (42, 16, False),
        "sport": (40, 16, False),
        "icmp_type": (40, 8, False),
        "icmp_code": (41, 8, True),
    },
    "UDP_SEL": {"src": (0, 16, True), "dst": (2, 16, True)},
    "TCP_SEL": {"src": (0, 16, True), "dst": (2, 16, True)},
    "ICMP_SEL": {"type": (0, 8, True), "code": (1, 8, True)},
}
FRAGMENTS: Final = {"nofrag": (0, 0x3FFF), "firstfrag": (0x2000, 0x3FFF), "df": (0x4000, 0x4000), "mf": (0x2000, 0x2000)}
ADDRESSES: Final = {("IP_SEL", "src"): 12, ("IP_SEL", "dst"): 16, ("IP6_SEL", "src"): 8, ("IP6_SEL", "dst"): 24}
HARDWARE: Final = {"src": -8, "dst": -14}


class Options(NamedTuple):
    """What was asked for: keys (offset, next header, value, mask), and the rest by name."""

    keys: list[tuple[int, bool, int, int]]
    given: dict[str, Any]

    @property
    def flags(self) -> int:
        """TCA_CLS_FLAGS_*."""
        return int(self.given["flags"])


class U32Reader(FilterReader):
    """Reads u32."""

    KIND = "u32"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.keys: list[tuple[int, bool, int, int]] = []
        self.into = self.keys
        self.set: dict[str, Any] = {}
        self.htid = 0
        self.sampled = False
        self.order = 0
        self.flags = 0

    def read_handle(self, text: str) -> int:
        handle = u32_handle(text)
        if handle is None:
            raise ComplaintError("Illegal filter ID\n")
        return handle

    # ------------------------------------------------------------ selectors
    def pack(self, offset: int, width: int, value: int, mask: int, behind: bool) -> bool:
        """Put a key in, joined with one at the same place (pack_key)."""
        limit = (1 << width) - 1
        if value > limit or mask > limit:
            return False
        if width == 16 and offset & 3 == 0:
            value, mask = value << 16, mask << 16
        elif width == 8:
            shift = 8 * (3 - (offset & 3))
            value, mask = value << shift, mask << shift
        offset = offset & ~3 if width < 32 else offset
        value &= mask
        for place, (at, next_header, old, old_mask) in enumerate(self.into):
            if (at, next_header) == (offset, behind):
                if (value ^ old) & mask & old_mask:
                    return False
                self.into[place] = (at, next_header, old | value, old_mask | mask)
                return True
        if offset % 4 or len(self.into) >= 128:
            return False
        self.into.append((offset, behind, value, mask))
        return True

    @property
    def selecting(self) -> str:
        """The keyword in front of the selector at hand."""
        return "match" if self.into is self.keys else "sample"

    def select(self, words: tuple[Word, ...]) -> None:
        """One selector: its words, as far as the grammar grouped them."""
        self.given = True
        if not self._select(words):
            self.illegal(self.selecting)

    def _select(self, words: tuple[Word, ...]) -> bool:
        head, rest = words[0].terminal, list(words[1:])
        at = None
        for place, word in enumerate(rest):
            if word.terminal == "AT_WHOLE":
                at = _at(rest[place + 1 :])
                if at is None:
                    return False
                rest = rest[:place]
                break
        if head in ("U32_SEL", "U16_SEL", "U8_SEL"):
            width = {"U32_SEL": 32, "U16_SEL": 16, "U8_SEL": 8}[head]
            return self._number(rest, width, at or (0, False))
        if head == "MARK_SEL":
            return self._mark(rest)
        field = str(rest[0])
        if head == "IP_SEL" and len(rest) == 1:
            if rest[0].place == len(self.parse.words) - 1:
                return False  # tc wants a word behind it (parse_ip)
            return field in FRAGMENTS and self.pack(6, 16, *FRAGMENTS[field], False)
        if head == "ETHER_SEL":
            return self._hardware(field, str(rest[1]), at)
        if (head, field) in ADDRESSES:
            return len(rest) == 2 and self._prefix(head, str(rest[1]), at or (ADDRESSES[head, field], False))
        if head == "IP6_SEL" and field == "priority":
            value, mask = readers.unsigned(rest[1], 0xFF, 0), readers.unsigned(rest[2], 0xFF, 16)
            return value is not None and mask is not None and self.pack(0, 32, value << 20, mask << 20, False)
        found = FIELDS[head].get(field) or next(
            (row for name, row in FIELDS[head].items() if name in ("dsfield", "precedence") and name.startswith(field)), None
        )
        if found is None or len(rest) < 3:
            return False
        offset, width, behind = found
        return self._number(rest[1:], width, at or (offset, behind))

    def _number(self, rest: list[Word], width: int, at: tuple[int, bool]) -> bool:
        value, mask = readers.unsigned(rest[0], readers.U32, 0), readers.unsigned(rest[1], readers.U32, 16)
        return value is not None and mask is not None and self.pack(at[0], width, value, mask, at[1])

    def _mark(self, rest: list[Word]) -> bool:
        value = readers.unsigned(rest[0], readers.U32, 0)
        if value is None:
            raise ComplaintError(f'Illegal "mark" value\nIllegal "{self.selecting}"\n')
        mask = readers.unsigned(rest[1], readers.U32, 0)
        if mask is None:
            raise ComplaintError(f'Illegal "mark" mask\nIllegal "{self.selecting}"\n')
        if rest[1].place == len(self.parse.words) - 1:
            raise incomplete()  # tc looks for a word behind the mask
        if value & mask != value:
            raise ComplaintError(f'Illegal "mark" (impossible combination)\nIllegal "{self.selecting}"\n')
        self.set["mark"] = (value, mask)
        return True

    def _prefix(self, head: str, text: str, at: tuple[int, bool]) -> bool:
        try:
            found = readers.prefix(text, 6 if head == "IP6_SEL" else 4)
        except ComplaintError:
            return False
        if head == "IP_SEL":
            return self.pack(at[0], 32, found.address & readers.U32, found.mask & readers.U32, at[1])
        for place in range((found.bits + 31) // 32):
            shift = 96 - 32 * place
            if not self.pack(at[0] + 4 * place, 32, found.address >> shift & readers.U32, found.mask >> shift & readers.U32, at[1]):
                return False
        return True

    def _hardware(self, field: str, text: str, at: tuple[int, bool] | None) -> bool:
        from tcemu.tc.actions.skbmod import scanned_mac

        value = scanned_mac(text)
        if value is None:
            raise ComplaintError(f"parse_ether_addr: improperly formed address '{text}'\nIllegal \"{self.selecting}\"\n")
        offset, behind = at or (HARDWARE[field], False)
        return all(self.pack(offset + n, 8, value >> 8 * (5 - n) & 0xFF, 0xFF, behind) for n in range(6))

    def sample(self, words: tuple[Word, ...], divisor: Word | None) -> None:
        """``sample SELECTOR [divisor N]``: the bucket that the value hashes to."""
        self.into = []
        self.select(words)
        keys, self.into = self.into, self.keys
        if len(keys) != 1:
            raise ComplaintError('"sample" must contain exactly ONE key.\n')
        number = 0x100 if divisor is None else self._divisor(divisor)
        if number is None:
            raise ComplaintError('Illegal sample "divisor"\n')
        _, _, value, mask = keys[0]
        shift = (mask & -mask).bit_length() - 1 if mask else 0
        self.htid = ((value & mask) >> shift) % number << 12 | self.htid & 0xFFF00000
        self.sampled = True

    def _divisor(self, word: Word) -> int | None:
        number = readers.unsigned(word, readers.U32, 0)
        return number if number is not None and 0 < number <= 0x100 and number.bit_count() == 1 else None

    # ------------------------------------------------------------ the rest
    def on_classid(self, word: Word) -> None:
        super().on_classid(word)
        self.set["terminal"] = True

    def on_divisor(self, word: Word) -> None:
        number = self._divisor(word)
        if number is None:
            self.illegal("divisor")
        self.set["divisor"] = number

    def on_order(self, word: Word) -> None:
        number = readers.unsigned(word, readers.U32, 0)
        if number is None:
            self.illegal("order")
        self.order = number

    def on_link(self, word: Word) -> None:
        handle = u32_handle(word)
        if handle is None:
            self.illegal("link")
        if handle & 0xFFF:
            raise ComplaintError('"link" must be a hash table.\n')
        self.set["link"] = handle

    def on_ht(self, word: Word) -> None:
        handle = u32_handle(word)
        if handle is None:
            self.illegal("ht")
        if self.parse.handle is not None and handle & 0xFFF:
            raise ComplaintError('"ht" must be a hash table.\n')
        self.htid = self.htid & 0xFF000 | handle & 0xFFF00000 if self.sampled else handle & 0xFFFFF000

    def on_indev_whole(self, word: Word) -> None:
        self.set["indev"] = word[:15]

    def on_skip_hw_whole(self, _word: Word) -> None:
        self.flags |= SKIP_HW

    def on_skip_sw_whole(self, _word: Word) -> None:
        self.flags |= SKIP_SW

    def offset(self, items: list[tuple[Word, ...]]) -> None:
        """``offset [plus N] [at N] [mask M] [shift N] [eat]``."""
        self.given = True
        found = self.set.setdefault("offset", {})
        for item in items:
            name = item[0].terminal.removesuffix("_WORD")
            if name == "EAT":
                found["eat"] = True
                continue
            number = readers.unsigned(item[1], readers.U16, 16) if name == "MASK" else readers.signed(item[1], 32)
            if number is None:
                self.illegal("offset")
            if name == "AT" and number % 2:
                raise ComplaintError('offset "at" must be even\nIllegal "offset"\n')
            found[name.lower()] = number

    def hashkey(self, items: list[tuple[Word, ...]]) -> None:
        """``hashkey [mask M] [at N]``."""
        self.given = True
        found = self.set.setdefault("hash", {})
        for item in items:
            mask = item[0].terminal == "MASK"
            number = readers.unsigned(item[1], readers.U32, 16) if mask else readers.signed(item[1], 32)
            if number is None or (not mask and number % 4):
                self.illegal("hashkey")
            found["mask" if mask else "at"] = number

    def stray(self, word: str, last: str, words: list[Word]) -> None:
        marks = [entry for entry in words if entry.terminal in ("MARK_SEL", "WORD")]
        if len(marks) == 2 and marks[0].terminal == "MARK_SEL":
            value = readers.unsigned(marks[1], readers.U32, 0)
            raise ComplaintError(f'Illegal "mark" {"value" if value is None else "mask"}\nIllegal "match"\n')
        if last.endswith("_SEL") or any(entry.terminal.endswith("_SEL") for entry in words) or last in ("MATCH", "SAMPLE_WORD"):
            self.illegal("sample" if any(entry.terminal == "SAMPLE_WORD" for entry in words) else "match")

    def ended(self, last: str, words: list[Word]) -> None:
        if not last.endswith("_SEL") and last != "AT_WHOLE" and any(entry.terminal.endswith("_SEL") for entry in words):
            self.illegal("match")

    def finish(self) -> Options:
        if self.parse.acts is not None or self.police is not None:
            self.set["terminal"] = True
        if self.order:
            if self.handle & 0xFFF and self.order != self.handle & 0xFFF:
                raise ComplaintError('"order" contradicts "handle"\n')
            self.handle |= self.order
        if self.flags == SKIP_HW | SKIP_SW:
            raise ComplaintError("skip_hw and skip_sw are mutually exclusive\n")
        self.set |= {
            "htid": self.htid,
            "flags": self.flags,
            "classid": self.classid,
            "empty": self.empty and not self.order and not self.flags,
        }
        self.options = Options(self.keys, self.set)
        return Options(self.keys, self.set)


def _at(words: list[Word]) -> tuple[int, bool] | None:
    """``[nexthdr+]N``, in one word or two."""
    text, behind = str(words[0]), False
    if text.startswith("nexthdr+"):
        behind = True
        text = text[8:] or str(words[-1])
    offset = readers.signed(text, 32)
    return None if offset is None else (offset, behind)


def u32_handle(text: str) -> int | None:
    """``HT:BUCKET:NODE``, hexadecimal, or 0x… (get_u32_handle)."""
    if ":" not in text:
        return readers.unsigned(text, readers.U32, 16) if text.startswith("0x") else None
    numbers = []
    rest = text
    for limit in (0x1000, 0x100, 0x1000):
        found = readers.strtoul(rest, 16)
        number, rest = (0, rest) if found is None else found
        if number >= limit or (rest and not rest.startswith(":")):
            return None
        numbers.append(number)
        if not rest:
            break
        rest = rest[1:]
    numbers += [0] * (3 - len(numbers))
    return numbers[0] << 20 | numbers[1] << 12 | numbers[2]


def handle_text(handle: int) -> str:
    """A handle as it is listed (sprint_u32_handle)."""
    table, bucket, node = handle >> 20, handle >> 12 & 0xFF, handle & 0xFFF
    text = f"{table:x}:" if table else ""
    if bucket:
        text += f"{bucket:x}"
    if node:
        text += f":{node:x}"
    return text if handle else "none"
