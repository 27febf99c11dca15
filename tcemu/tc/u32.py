"""u32: compare words of the packet.

A slot has a root hash table (800:) of one bucket; ``divisor`` makes more tables, ``link`` leads into them. Tables and nodes are both Rules:
a table has no node number. Nodes of the root table run; a packet that meets a link is refused, nodes behind links only list.
Source: iproute2 6.1 tc/f_u32.c, man tc-u32(8); net/sched/cls_u32.c (u32_change, u32_classify, u32_walk).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.ir.effect import Count
from tcemu.ir.operand import Load, Raw
from tcemu.ir.ruleset import Rule
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Masked, Match, Step, Unsupported
from tcemu.ir.verdict import CONTINUE, Verdict
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import ComplaintError, RefusalError, incomplete
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.tc.names import ETH_IP, ETH_IPV6
from tcemu.tc.notes import RuleNote, SlotNote, give, pack, take, unpack
from tcemu.tc.printers import classid_text, ipv4_text, mask_length
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse

ROOT: Final = 0xFFF00000
TERMINAL: Final = 1
NODES: Final = ((0x800, 0xFFF), (1, 0x7FF))  # where node numbers are taken from, in this order (gen_new_kid)

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

    def select(self, words: tuple[Word, ...]) -> None:
        """One selector: its words, as far as the grammar grouped them."""
        self.given = True
        if not self._select(words):
            self.illegal("match" if self.into is self.keys else "sample")

    def _select(self, words: tuple[Word, ...]) -> bool:
        head, rest = words[0].terminal, list(words[1:])
        at = None
        for place, word in enumerate(rest):
            if word.terminal == "AT":
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
        if rest[1].place == len(self.parse.words) - 1:
            raise incomplete()  # tc looks for a word behind the mask
        value = readers.unsigned(rest[0], readers.U32, 0)
        if value is None:
            raise ComplaintError('Illegal "mark" value\nIllegal "match"\n')
        mask = readers.unsigned(rest[1], readers.U32, 0)
        if mask is None:
            raise ComplaintError('Illegal "mark" mask\nIllegal "match"\n')
        if value & mask != value:
            raise ComplaintError('Illegal "mark" (impossible combination)\nIllegal "match"\n')
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
            raise ComplaintError(f"parse_ether_addr: improperly formed address '{text}'\nIllegal \"match\"\n")
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
            name = item[0].terminal
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
        if last.endswith("_SEL") or any(entry.terminal.endswith("_SEL") for entry in words) or last in ("MATCH", "SAMPLE_WORD"):
            self.illegal("sample" if any(entry.terminal == "SAMPLE_WORD" for entry in words) else "match")

    def ended(self, last: str, words: list[Word]) -> None:
        if not last.endswith("_SEL") and last != "AT" and any(entry.terminal.endswith("_SEL") for entry in words):
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


READER = U32Reader


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


# ---------------------------------------------------------------- the kernel's side
def opened(work: Work, slot: SlotNote) -> None:
    """A new slot: its root table (u32_init). The first of a block is 800:."""
    tables = work.block.note.u32
    number = 0x800 if not tables else _new_table(tables)
    slot.extra["root"] = number << 20
    _add_table(work, number << 20, 1)


def _new_table(tables: dict[str, str]) -> int:
    taken = {int(text, 16) for text in tables}
    return next(number for number in range(0x801, 0x1000) if number not in taken)


def _add_table(work: Work, handle: int, divisor: int) -> None:
    key = f"{work.slot_key}/{handle:08x}"
    work.block.note.u32[f"{handle >> 20:x}"] = work.slot_key
    work.block.save(work)
    prio = int(work.slot_key.rpartition("/")[2])
    note = RuleNote(handle, extra={"divisor": divisor, "order": len(work.block.note.u32)})
    work.put("rules", Rule(key=key, parent=f"{work.chain_key}/u32", rank=prio << 47 | handle, slot=prio, note=pack(note)))


def find_table(work: Work, handle: int) -> Rule | None:
    """A hash table of the block."""
    slot = work.block.note.u32.get(f"{handle >> 20:x}")
    return work.rule(f"{slot}/{handle & ROOT:08x}") if slot is not None else None


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's u32_change."""
    options = command.options
    if options is None or options.given["empty"]:
        if command.handle:
            raise RefusalError("cls_u32: Filter handle requires options")
        return NOTHING
    given = options.given
    if given["flags"] & SKIP_SW:
        raise RefusalError("", errno.EOPNOTSUPP)
    if old is not None:
        return _node(work, options, old.handle, _parent(work, slot, old.handle))
    if "divisor" in given:
        return _table(work, command, given["divisor"])
    root = slot.extra["root"]
    htid = given["htid"] or root
    if htid & ROOT == ROOT:
        htid = root | htid & 0xFFFFF
    table = find_table(work, htid)
    if table is None:
        raise RefusalError("cls_u32: Specified hash table not found")
    if unpack(RuleNote, table.note).extra["divisor"] - 1 < htid >> 12 & 0xFF:
        raise RefusalError("cls_u32: Specified hash table buckets exceed configured value")
    handle = _new_handle(work, command.handle, htid, slot)
    if not options.keys and "match" not in given and "mark" not in given:
        raise RefusalError("cls_u32: Selector not specified")
    link = given.get("link", 0)
    if link:
        down = find_table(work, link)
        if down is None:
            raise RefusalError("cls_u32: Link hash table not found")
        if link & ROOT == root:
            raise RefusalError("cls_u32: Not linking to root node")
    return _node(work, options, handle, _parent(work, slot, handle))


NOTHING: Final = Filter([], RuleNote(), nothing=True)


def _parent(work: Work, slot: SlotNote, handle: int) -> str:
    """Nodes of the root table stand among the chain's rules; the others apart."""
    return work.chain_key if handle & ROOT == slot.extra["root"] else f"{work.chain_key}/u32"


def _table(work: Work, command: FilterCommand, divisor: int) -> Filter:
    """``divisor``: a hash table."""
    handle = command.handle
    if handle & 0xFFFFF:
        raise RefusalError("cls_u32: Divisor can only be used on a hash table")
    tables = work.block.note.u32
    if not handle:
        handle = _new_table(tables) << 20
    elif f"{handle >> 20:x}" in tables:
        raise RefusalError("", errno.ENOSPC)
    _add_table(work, handle, divisor)
    return NOTHING


def _new_handle(work: Work, wanted: int, htid: int, slot: SlotNote) -> int:
    """A node's handle: the wanted one in its bucket, or the first free from 800 on (gen_new_kid)."""
    if wanted and wanted & ROOT and (wanted ^ htid) & ROOT:
        raise RefusalError("cls_u32: Handle specified hash table address mismatch")
    free = slot.extra.setdefault("free", {}).setdefault(f"{htid & ROOT:x}", [[1, 0xFFF]])
    stretches = [(low, high) for low, high in free]
    node = wanted & 0xFFF
    if node:
        if take(stretches, node) < 0:
            raise RefusalError("", errno.ENOSPC)
    else:
        for low, high in NODES:
            node = next((max(low, start) for start, end in stretches if max(low, start) <= min(high, end)), 0)
            if node:
                break
        take(stretches, node)
    slot.extra["free"][f"{htid & ROOT:x}"] = [list(stretch) for stretch in stretches]
    return htid | node


def _node(work: Work, options: Options, handle: int, parent: str) -> Filter:
    """A node: what it compares, and the books of what tc lists."""
    given = options.given
    steps: list[Step] = [Do(Count(Stats()), implied=True)]
    if given.get("mark"):
        value, mask = given["mark"]
        steps.append(Match(Load("meta.mark"), Masked(value, mask)))
    for offset, _behind, value, mask in options.keys:
        steps += [Match(Raw("nh", 8 * offset, 32), Masked(value, mask)), Do(Count(Stats()), implied=True)]
    if given.get("link"):
        steps.append(Unsupported(f"link {handle_text(given['link'])}", "hash tables behind links do not run"))
    elif not given.get("terminal"):
        steps.append(Do(None, Verdict(CONTINUE), implied=True))
    if given.get("indev"):
        steps.append(Match(Load("meta.iif"), Masked(work.device_index(given["indev"]), readers.U32)))
    extra = {name: given[name] for name in ("mark", "link", "terminal", "offset", "hash") if given.get(name)}
    extra["keys"] = [list(key) for key in options.keys]
    extra["protocol"] = work.protocol
    note = RuleNote(handle, given["classid"], given["flags"], given.get("indev", ""), "", extra)
    return Filter(steps, note, whole=True, parent=parent)


def released(slot: SlotNote, note: RuleNote) -> None:
    """A node went: its number is free."""
    free = slot.extra.get("free", {}).get(f"{note.handle & ROOT:x}")
    if free is not None and note.handle & 0xFFF:
        stretches = [(low, high) for low, high in free]
        give(stretches, note.handle & 0xFFF)
        slot.extra["free"][f"{note.handle & ROOT:x}"] = [list(stretch) for stretch in stretches]


def listed(rules: list[Rule]) -> list[Rule]:
    """Tables, the newest first, each with its nodes by bucket and number (u32_walk)."""
    handles = [(rule, int(rule.key.rpartition("/")[2], 16)) for rule in rules]
    tables = [(rule, handle) for rule, handle in handles if not handle & 0xFFFFF]
    tables.sort(key=lambda pair: -unpack(RuleNote, pair[0].note).extra["order"])
    nodes = sorted(((handle, rule) for rule, handle in handles if handle & 0xFFF), key=lambda pair: pair[0])
    found = []
    for rule, table in tables:
        found.append(rule)
        found += [node for handle, node in nodes if handle & ROOT == table & ROOT]
    return found


# ---------------------------------------------------------------- printing
def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print a table or a node."""
    handle, extra = note.handle, note.extra
    out.string("fh", "fh %s ", handle_text(handle))
    if handle & 0xFFF:
        out.number("order", "order %d ", handle & 0xFFF)
    if "divisor" in extra:
        out.number("ht_divisor", "ht divisor %d ", extra["divisor"])
        return
    out.hexadecimal("key_ht", "key ht %x ", handle >> 20)
    out.hexadecimal("bkt", "bkt %x ", handle >> 12 & 0xFF)
    if note.classid:
        out.text("*" if extra.get("terminal") else "")
        out.string("flowid", "flowid %s ", classid_text(note.classid))
    elif extra.get("terminal"):
        out.text("terminal flowid ")
    if extra.get("link"):
        out.string("link", "link %s ", handle_text(extra["link"]))
    for flag, name in ((SKIP_HW, "skip_hw"), (SKIP_SW, "skip_sw")):
        if note.flags & flag:
            out.flag(name, f"{name} ")
    out.flag("not_in_hw", "not_in_hw ")
    _show_body(out, rule, note)


def _show_body(out: Writer, rule: Rule, note: RuleNote) -> None:
    extra = note.extra
    hits = [step.effect.stats.packets for step in rule.steps if isinstance(step, Do) and isinstance(step.effect, Count)]
    if out.stats:
        out.number("rule_hit", "(rule hit %u ", hits[0])
        out.number("success", "success %u)", hits[-1] if extra.get("terminal") and not extra.get("link") else 0)
    if extra.get("mark"):
        value, mask = extra["mark"]
        out.newline()
        out.string("fwmark_value", f"  mark 0x{value:04x} ", f"0x{value:x}")
        out.string("fwmark_mask", f"0x{mask:04x} ", f"0x{mask:x}")
        out.number("fwmark_success", "(success %d)", 0)
    for place, (offset, behind, value, mask) in enumerate(extra["keys"]):
        _show_key(out, extra.get("protocol", 0), offset, behind, value, mask)
        if out.stats:
            out.number("success", " (success %u ) ", hits[1 + place])
    _show_offset(out, extra.get("offset", {}), "offset" in extra)
    if "hash" in extra and extra["hash"].get("mask"):
        out.newline()
        out.hexadecimal("hash_mask", "    hash mask %08x ", extra["hash"]["mask"])
        out.number("hash_off", "at %d ", extra["hash"].get("at", 0))
    if note.indev:
        out.newline()
        out.string("input_dev", "  input dev %s", note.indev)
        out.newline()


def _show_offset(out: Writer, offset: dict[str, Any], given: bool) -> None:
    moving = {"at", "mask", "shift"} & offset.keys()
    if given and (moving or "plus" in offset):
        out.newline()
        out.text("    offset ")
        if moving:
            out.hexadecimal("offset_mask", "%04x", offset.get("mask", 0))
            out.number("offset_shift", ">>%d ", offset.get("shift", 0))
            out.number("offset_off", "at %d ", offset.get("at", 0))
        if offset.get("plus"):
            out.number("plus", "plus %d ", offset["plus"])
    if offset.get("eat"):
        out.text(" eat ")


def _show_key(out: Writer, protocol: int, offset: int, behind: bool, value: int, mask: int) -> None:
    """A key; with -pretty IPv4 and IPv6 keys are named, as far as tc knows them."""
    if out.pretty and protocol in (ETH_IP, ETH_IPV6):
        out.open("match")
        _show_pretty(out, protocol, offset, value, mask)
        out.close()
        return
    out.open("match")
    out.newline()
    out.hexadecimal("value", "  match %08x", value)
    out.hexadecimal("mask", "/%08x ", mask)
    out.string("offmask", "at %s", "nexthdr+" if behind else "")
    out.number("off", "%d", offset)
    out.close()


def _show_pretty(out: Writer, protocol: int, offset: int, value: int, mask: int) -> None:
    line = (offset, mask)
    if line == (0, 0x0F000000):
        out.newline()
        out.number("ip_ihl", "  match IP ihl %u", value >> 24)
    elif line == (0, 0x00FF0000):
        out.newline()
        out.string("ip_dsfield", f"  match IP dsfield {value >> 16:#x}", f"{value >> 16:#x}")
    elif line == (8, 0x00FF0000):
        out.newline()
        out.number("ip_protocol", "  match IP protocol %d", value >> 16)
    elif offset in (12, 16):
        bits = mask_length(mask, 32) if mask else 0
        if bits >= 0:
            side = "src" if offset == 12 else "dst"
            out.newline()
            out.text(f"  match IP {side} ")
            out.open(side)
            out.string("address", "%s", ipv4_text(value))
            out.number("prefixlen", "/%d", bits)
            out.close()
    elif offset == 20:
        _show_ports(out, protocol, value, mask)


def _show_ports(out: Writer, protocol: int, value: int, mask: int) -> None:
    low, high = ("dport", "sport") if protocol == ETH_IP else ("sport", "dport")
    if mask == 0x0000FFFF:
        if low == "sport":
            out.newline()
        out.number(low, f"{'  ' if low == 'sport' else ''}match {low} %u", value & 0xFFFF)
    elif mask == 0xFFFF0000:
        if high == "sport":
            out.newline()
        out.number(high, f"{'  ' if high == 'sport' else ''}match {high} %u", value >> 16)
    elif mask == readers.U32:
        out.newline()
        out.number(low, f"  match {low} %u, ", value & 0xFFFF)
        out.number(high, f"match {high} %u", value >> 16)
