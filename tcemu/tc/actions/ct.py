"""ct: send the packet through connection tracking.

Source: iproute2 6.1 tc/m_ct.c (and 6.3's, for helpers), man tc-ct(8); net/sched/act_ct.c tcf_ct_fill_params, tcf_ct_dump.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, Final

from tcemu.ir.effect import NatRange, Track
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError, incomplete, invalid
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import address_text, masked, show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

LABEL_SIZE: Final = 16
ALL_LABEL: Final = (1 << 128) - 1
HELPER_SINCE: Final = (6, 3)  # iproute2; the kernel has it since 6.2
LONGEST_HELPER: Final = 32
LONGEST_NAME: Final = 15  # NF_CT_HELPER_NAME_LEN less the end
# name and transport protocol of the helpers that Linux has, and those of them that know IPv4 only (net/netfilter/nf_conntrack_*.c)
HELPERS: Final = frozenset(
    [(name, "tcp") for name in ("ftp", "irc", "pptp", "sane", "sip", "Q.931")]
    + [(name, "udp") for name in ("sip", "tftp", "amanda", "snmp", "RAS", "H.245")]
)
HELPERS_OF_IPV4: Final = frozenset(("irc", "pptp", "snmp"))
PROTOCOLS: Final = frozenset(("tcp", "udp", "icmp", "sctp", "dccp", "udplite", "gre", "esp", "ah", "ipv6-icmp"))


class CtReader(ActionReader):
    """Reads ct."""

    KIND = "ct"
    HUNGRY = False

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.words: set[str] = set()
        self.zone = 0
        self.mark = (0, 0)
        self.label = (0, 0)
        self.manips: set[str] = set()
        self.low = readers.Prefix(0, 0, 0)
        self.high = 0
        self.ports = (0, 0)
        self.ported = False
        self.helper = ""
        self.last: Word | None = None

    def on_zone(self, word: Word) -> None:
        zone = readers.unsigned(word, readers.U16, 0)
        if zone is None:
            self.fail('ct: Illegal "zone"\n')
        self.zone = zone
        self.words.add("zone")

    def on_mark(self, word: Word) -> None:
        text, slash, tail = word.partition("/")
        mark = readers.unsigned(text, readers.U32, 0)
        mask = readers.unsigned(tail, readers.U32, 0) if slash else readers.U32
        if mark is None or mask is None:
            self.fail('ct: Illegal "mark"\n')
        self.mark = (mark, mask)

    def on_label(self, word: Word) -> None:
        self.label = read_label(word, "ct: ")

    def ended(self, symbols: Sequence[str], values: Sequence[Any]) -> None:
        if symbols[-1] == "HELPER":
            self._check_age(values[-1])

    def _check_age(self, keyword: str) -> None:
        names = self.parse.names
        if not names.profile.knows(HELPER_SINCE, names.strict):
            self.unknown(keyword)

    def on_helper(self, word: Word) -> None:
        self._check_age(self.parse.words[word.place - 1])
        found = read_helper(word)
        if found is None:
            self.fail('ct: Illegal "helper"\n')
        self.helper = found

    def on_clear(self, _word: Word) -> None:
        self.words.add("clear")

    def on_commit(self, _word: Word) -> None:
        self.words.add("commit")

    def on_force(self, _word: Word) -> None:
        self.words.add("force")

    def on_nat_word(self, word: Word) -> None:
        self.words.add("nat")
        self.last = word

    def values(self, words: tuple[Word, ...]) -> None:
        """``nat src|dst addr A[-B] [port P[-Q]]``."""
        self.words.add("nat")
        self.manips.add(words[1].terminal.lower())
        low, dash, high = words[3].partition("-")
        self.low = readers.address(low)
        self.high = readers.address(high, self.low.family).address if dash else self.low.address
        if len(words) > 4:
            first, dash, second = words[5].partition("-")
            port = readers.unsigned(first, readers.U16)
            last = readers.unsigned(second, readers.U16) if dash else port
            if port is None or last is None:
                self.fail("ct: Illegal nat port range\n")
            self.ports, self.ported = (port, last), True
        else:
            self.last = words[3]

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        if last in ("SRC", "DST"):
            self.usage()
        return False

    def finish(self) -> ActionSpec:
        if self.last is not None and self.ends_early(self.last):
            raise incomplete()
        words, manips = self.words, self.manips
        if "clear" in words and len(words - {"zone"}) > 1:
            self.fail("ct: clear can only be used alone\n")
        if len(manips) > 1:
            self.fail("ct: src and dst nat can't be used together\n")
        if {"commit", "nat"} <= words and not manips:
            self.fail("ct: commit and nat must set src or dst\n")
        if manips and "commit" not in words:
            self.fail("ct: src or dst is only valid if commit is set\n")
        spec = self.spec(self.effect())
        spec.extra = {"ported": True} if self.ported else {}
        if "zone" in words and not self.parse.names.profile.zones and "clear" not in words:
            spec.extra["refused"] = True
        return spec

    def effect(self) -> Track:
        """The parameters as the kernel keeps them."""
        words = self.words
        if "clear" in words:
            return Track(clear=True)
        nat = None
        if "nat" in words:
            manip = "".join(self.manips)
            nat = NatRange(manip, self.low.family, self.low.address, self.high, *self.ports) if manip else NatRange()
        return Track(self.zone, "commit" in words, "force" in words, False, *self.mark, *self.label, nat, self.helper)


READER = CtReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Track:
    """A kernel without zones takes none, and a helper must be one that the kernel has (tcf_ct_fill_params, nf_ct_add_helper)."""
    if "refused" in spec.extra:
        raise RefusalError("act_ct: Conntrack zones isn't enabled", errno.EOPNOTSUPP)
    assert isinstance(spec.effect, Track)
    if spec.effect.helper:
        family, proto, name = spec.effect.helper.split("-", 2)
        if len(name) > LONGEST_NAME:
            raise RefusalError("act_ct: Failed to parse helper name", errno.EINVAL)
        if (name, proto) not in HELPERS or (family == "ipv6" and name in HELPERS_OF_IPV4):
            raise RefusalError("act_ct: Failed to add helper", errno.EINVAL)
    return spec.effect


def read_helper(word: Word) -> str | None:
    """``FAMILY-PROTO-NAME``; the name ends where another dash stands, so netbios-ns cannot be said (ct_parse_helper). None when it is none."""
    parts = word.split("-")
    if len(word) >= LONGEST_HELPER or len(parts) < 3 or not all(parts[:3]) or parts[0] not in ("ipv4", "ipv6"):
        return None
    number = readers.unsigned(parts[1], 0xFF)
    proto = {6: "tcp", 17: "udp"}.get(number, parts[1]) if number is not None else parts[1]
    return f"{parts[0]}-{proto}-{parts[2]}" if number is not None or proto in PROTOCOLS else None


def read_label(word: Word, prefix: str) -> tuple[int, int]:
    """``HEX[/HEX]`` as two numbers of 16 bytes; shorter ones are filled with zero bytes behind."""
    text, slash, tail = word.partition("/")
    if len(text) > 2 * LABEL_SIZE or len(tail) > 2 * LABEL_SIZE:
        raise invalid(f"{len(text)} Max allowed size {2 * LABEL_SIZE}", text)
    label = readers.hexbytes(text)
    if label is None:
        raise invalid(f"{prefix}labels must be a hex string\n", text)
    mask = readers.hexbytes(tail) if slash else b"\xff" * LABEL_SIZE
    if mask is None:
        raise invalid(f"{prefix}labels mask must be a hex string\n", tail)
    return int.from_bytes(label.ljust(LABEL_SIZE, b"\0")), int.from_bytes(mask.ljust(LABEL_SIZE, b"\0"))


def label_text(value: int, mask: int) -> str:
    """A label with its mask, if that is not all ones, as 32 hexadecimal digits."""
    return f"{value:032x}" if mask == ALL_LABEL else f"{value:032x}/{mask:032x}"


def nat_text(nat: NatRange, ported: bool) -> str:
    """What follows the word nat."""
    if not nat.manip:
        return ""
    text = nat.manip
    if nat.family:
        text += f" addr {address_text(nat.family, nat.low)}"
        if nat.high != nat.low:
            text += f"-{address_text(nat.family, nat.high)}"
    if ported:
        text += f" port {nat.port_low}"
        if nat.port_high != nat.port_low:
            text += f"-{nat.port_high}"
    return text


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a ct."""
    track = action.effect
    assert isinstance(track, Track)
    out.string("kind", "%s", "ct")
    if track.commit:
        out.string("action", " %s", "commit force" if track.force else "commit")
    elif track.clear:
        out.string("action", " %s", "clear")
    if not track.clear:
        if track.mark_mask:
            masked(out, "mark", track.mark, track.mark_mask, readers.U32, False)
        if out.zones:
            out.number("zone", " zone %u", track.zone)
        if track.label_mask:
            out.string("label", " label %s", label_text(track.label, track.label_mask))
        if track.helper:
            out.string("helper", " helper %s", track.helper)
        if track.nat is not None:
            text = nat_text(track.nat, bool(note.extra.get("ported")))
            out.string("nat", " nat %s" if text else " nat", text)
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
