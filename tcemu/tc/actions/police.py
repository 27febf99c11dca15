"""police: a token bucket, in bytes or in packets, with a verdict for what exceeds it and one for what conforms.

Source: iproute2 6.1 tc/m_police.c, tc/tc_core.c (tc_calc_xmittime, tc_calc_rtable), man tc-police(8); net/sched/act_police.c.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Police
from tcemu.ir.ruleset import Object
from tcemu.ir.verdict import ACCEPT, Verdict
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.action_apply import verdict_of
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, Control, FilterCommand
from tcemu.tc.complaint import duplicate, incomplete, invalid
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import rate_text, show_control, show_times, size_text
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

TICKS_PER_US: Final = 15.625  # 1000/64, from /proc/net/psched
CONTROLS: Final = ("CONTINUE", "DROP", "SHOT", "PASS", "OK", "RECLASSIFY", "PIPE", "GOTO", "JUMP", "TRAP")
NUMBERED: Final = {-1: "CONTINUE", 0: "OK", 1: "RECLASSIFY", 2: "DROP", 3: "PIPE", 4: "STOLEN", 8: "TRAP"}
LINKLAYERS: Final = (("ethernet", 1), ("atm", 2), ("adsl", 2))


class PoliceReader(ActionReader):
    """Reads police."""

    KIND = "police"
    DEFAULT = Control("RECLASSIFY", 0)

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.numbers: dict[str, int] = {}
        self.cells: dict[str, int] = {}
        self.conform: Control | None = None
        self.given = False

    def value(self, name: str, word: Word) -> None:
        self.given = True
        row = VALUES.get(name)
        if row is None:
            super().value(name, word)
            return
        field, said, read = row
        if self.numbers.get(field) and said:
            raise duplicate(said, word)
        text, slash, cell = word.partition("/") if read is readers.size and field != "mpu" else (word, "", "")
        number = read(text)
        if number is None:
            raise invalid({"burst": "buffer"}.get(field, field), text)
        if slash:
            size = readers.unsigned(cell, readers.U32, 0)
            if size is None or size.bit_count() != 1:
                raise invalid({"burst": "buffer"}.get(field, field), text)
            self.cells[field] = size.bit_length() - 1
        self.numbers[field] = number

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            raise invalid("index", word)
        self.index = index

    def on_linklayer(self, word: Word) -> None:
        for name, number in LINKLAYERS:
            if name.startswith(word):
                self.numbers["linklayer"] = number
                return
        raise invalid("linklayer", word)

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        if not self.given:
            self.fail("")
        return False

    def exceed(self, control: Control) -> None:
        """A control word alone: what exceeds."""
        self.given = True
        self.control = control

    def conform_exceed(self, items: tuple[Any, ...]) -> None:
        """``conform-exceed EXCEED[/CONFORM]``, in one word or with blanks."""
        self.given = True
        found = [item for item in items[1:] if isinstance(item, Control | Word) and item != "/"]
        if not found:
            self.fail("")
        first = found[0]
        if isinstance(first, Word) and "/" in first:
            left, _, right = first.partition("/")
            controls = [self._named(left), self._named(right)]
            if None in controls:
                self.fail("")
        else:
            controls = [item if isinstance(item, Control) else self._named(item) for item in found]
            for item, control in zip(found, controls, strict=True):
                if control is None:
                    self.fail(f"Bad action type {item}\n")
        self.control = controls[0]
        if len(controls) > 1:
            self.conform = controls[1]

    def _named(self, word: str) -> Control | None:
        name = next((name for name in CONTROLS if word and name.lower().startswith(word)), "")
        if not name:
            number = readers.signed(word, 32)
            if number is None:
                return None
            name = NUMBERED.get(number, "")  # what the kernel has no verdict for is refused there
        return Control(name, 0)

    def finish(self) -> ActionSpec:
        if self.head.place == len(self.parse.words) - 1:
            raise incomplete()
        n = self.numbers
        rate, average, mtu, packets = (n.get(name, 0) for name in ("rate", "avrate", "mtu", "pkts_rate"))
        if not self.given or (rate and average):
            self.fail("")
        if not (rate or average or self.index or mtu or packets):
            self.fail("'rate' or 'avrate' or 'mtu' or 'pkts_rate' MUST be specified.\n")
        if rate and not n.get("burst") and not average:
            self.fail("'burst' requires 'rate'.\n")
        if packets and not n.get("pkts_burst"):
            self.fail("'pkts_burst' requires 'pkts_rate'.\n")
        if packets and rate:
            self.fail("'rate' and 'pkts_rate' are not allowed in same action.\n")
        if n.get("peakrate"):
            if not rate:
                self.fail("'peakrate' requires 'rate'.\n")
            if not mtu:
                self.fail("'mtu' is required, if 'peakrate' is requested.\n")
        spec = self.spec(
            Police(
                rate,
                n.get("burst", 0),
                mtu or self._default_mtu(rate),
                n.get("peakrate", 0),
                average,
                packets,
                n.get("pkts_burst", 0),
                n.get("overhead", 0),
                n.get("linklayer", 1),
            )
        )
        spec.extra = {"conform": list(self.conform)} if self.conform is not None else {}
        return spec

    def _default_mtu(self, rate: int) -> int:
        """Without an mtu the kernel takes what the rate table covers (tc_calc_rtable, tcf_police_init)."""
        if not rate:
            return readers.U32
        cell = self.cells.get("burst", -1)
        if cell < 0:
            cell = 0
            while 2047 >> cell > 255:
                cell += 1
        return 255 << cell


READER = PoliceReader

# terminal -> (field, what duparg calls it, reader)
VALUES: Final[dict[str, tuple[str, str, Any]]] = {
    "BURST": ("burst", "buffer/burst", readers.size),
    "BUFFER": ("burst", "buffer/burst", readers.size),
    "MAXBURST": ("burst", "buffer/burst", readers.size),
    "MTU": ("mtu", "mtu/minburst", readers.size),
    "MINBURST": ("mtu", "mtu/minburst", readers.size),
    "MPU": ("mpu", "mpu", readers.size),
    "RATE_WHOLE": ("rate", "rate", readers.rate),
    "AVRATE": ("avrate", "avrate", readers.rate),
    "PEAKRATE": ("peakrate", "peakrate", readers.rate),
    "OVERHEAD": ("overhead", "", readers.u16),
    "PKTS_RATE": ("pkts_rate", "pkts_rate", readers.u64),
    "PKTS_BURST": ("pkts_burst", "pkts_burst", readers.u64),
}


def check(work: Work, spec: ActionSpec, command: FilterCommand | None) -> Police:
    """The verdict for what conforms becomes part of the effect."""
    police = spec.effect
    assert isinstance(police, Police)
    conform = Verdict(ACCEPT)
    if "conform" in spec.extra:
        conform = verdict_of(work, Control(*spec.extra["conform"]), work.table_of(command))
    return Police(
        police.rate,
        police.burst,
        police.mtu,
        police.peak,
        police.avrate,
        police.packet_rate,
        police.packet_burst,
        police.overhead,
        police.linklayer,
        conform,
    )


def through_ticks(rate: int, amount: int) -> int:
    """An amount after tc turned it into ticks and back, whole microseconds both ways (tc_core_time2tick)."""
    if not rate:
        return 0
    return int(rate * int(ticks_of(rate, amount) / TICKS_PER_US) / 1_000_000)


def ticks_of(rate: int, amount: int) -> int:
    """The time that an amount takes at a rate, in the kernel's ticks."""
    return int(int(1_000_000 * (amount / rate)) * TICKS_PER_US) & 0xFFFFFFFF if rate else 0


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a police."""
    police = action.effect
    assert isinstance(police, Police)
    out.string("kind", "", "police")
    out.text(f" police 0x{action.rank:x} rate {rate_text(police.rate, out.options.iec > 0)} ")
    out.number("index", "", action.rank)
    out.text(f"burst {size_text(through_ticks(police.rate, police.burst))} mtu {size_text(police.mtu)} ")
    if out.raw:
        out.text(f"[{ticks_of(police.rate, police.burst):08x}] ")
    if police.peak:
        out.text(f"peakrate {rate_text(police.peak, out.options.iec > 0)} ")
    if police.avrate:
        out.text(f"avrate {rate_text(police.avrate, out.options.iec > 0)} ")
    if police.packet_rate:
        out.number("pkts_rate", "pkts_rate %u ", police.packet_rate)
        out.number("pkts_burst", "pkts_burst %u ", through_ticks(police.packet_rate, police.packet_burst))
    show_control(out, "action ", action.then, "")
    if police.conform is not None and police.conform.code != ACCEPT:
        show_control(out, "/", police.conform, " ")
    else:
        out.text(" ")
    out.number("overhead", f"overhead {size_text(police.overhead)} ", police.overhead)
    if police.linklayer > 1 or out.options.details:
        out.string("linklayer", "linklayer %s ", "atm" if police.linklayer > 1 else "ethernet" if police.rate else "unspec")
    out.newline()
    out.number("ref", "\tref %d ", action.bound + note.alone)
    out.number("bind", "bind %d ", action.bound)
    if out.stats:
        show_times(out, action.stats, now)
    out.newline()
