"""gate: let packets through by a cyclic schedule, in capture time.

Source: iproute2 6.1 tc/m_gate.c, man tc-gate(8); net/sched/act_gate.c.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import msgspec

from tcemu.ir.effect import Other
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError, invalid
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_index, size_text, time_text
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer

CLOCKS: Final = (("REALTIME", 0), ("TAI", 11), ("BOOTTIME", 7), ("MONOTONIC", 1))
INVALID_CLOCK: Final = -1
ENTRY: Final = "Usage: sched-entry <open | close> <interval> [ <interval ipv> <octets max bytes> ]\n"
NAMES: Final = {"BASE_TIME": "base-time", "CYCLE_TIME": "cycle-time", "CYCLE_TIME_EXT": "cycle-time-ext"}


class GateReader(ActionReader):
    """Reads gate."""

    KIND = "gate"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.set: dict[str, Any] = {}
        self.entries: list[tuple[bool, int, int, int]] = []

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            raise invalid("index", word)
        self.index = index

    def on_priority(self, word: Word) -> None:
        value = readers.signed(word, 32)
        if value is None:
            raise invalid("priority", word)
        self.set["priority"] = value

    def on_base_time(self, word: Word) -> None:
        self._time("BASE_TIME", word)

    def on_cycle_time(self, word: Word) -> None:
        self._time("CYCLE_TIME", word)

    def on_cycle_time_ext(self, word: Word) -> None:
        self._time("CYCLE_TIME_EXT", word)

    def _time(self, name: str, word: Word) -> None:
        value = readers.signed(word, 64, 10)
        value = readers.time(word) if value is None else value
        if value is None:
            raise invalid(NAMES[name], word)
        self.set[name.lower()] = value

    def on_clockid(self, word: Word) -> None:
        name = word.upper().removeprefix("CLOCK_")
        number = dict(CLOCKS).get(name)
        if number is None:
            raise invalid("clockid", word)
        self.set["clockid"] = number

    def on_flags(self, word: Word) -> None:
        value = readers.unsigned(word, readers.U32, 0)
        if value is None:
            raise invalid("flags", word)
        self.set["flags"] = value

    def entry(self, words: tuple[Word, ...]) -> None:
        """``sched-entry open|close INTERVAL [PRIORITY [OCTETS]]``."""
        state = str(words[1]).lower()
        if state not in ("open", "close") or len(words) < 3:
            self.bad_entry()
        interval = readers.unsigned(words[2], readers.U32, 0)
        interval = readers.time(words[2]) if interval is None else interval
        if interval is None:
            self.bad_entry()
        if interval > readers.U32:
            self.fail('"interval" is too large\n')
        priority = readers.signed(words[3], 32) if len(words) > 3 else None
        octets = None
        if len(words) > 4:
            octets = readers.signed(words[4], 32)
            octets = readers.size(words[4]) if octets is None else octets
            if octets is not None and octets >= 1 << 31:
                self.fail('"maxoctets" is too large\n')
        opened = state == "open"
        self.entries.append(
            (opened, interval, -1 if priority is None or not opened else priority, -1 if octets is None or not opened else octets)
        )

    def bad_entry(self) -> NoReturn:
        """An entry that lacks something."""
        self.fail(ENTRY + '"sched-entry" is incomplete\n')

    def finish(self) -> ActionSpec:
        if not self.entries and not self.index:
            self.fail("gate: must add at least one entry\n")
        return self.spec(Other("gate", msgspec.Raw(msgspec.json.encode({**self.set, "entries": self.entries}))))


READER = GateReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Other:
    """What the kernel wants (tcf_gate_init)."""
    gate = spec.effect
    assert isinstance(gate, Other)
    given = msgspec.json.decode(bytes(gate.params))
    entries = given["entries"]
    if not entries:
        raise RefusalError("The entry list is empty") if spec.index else RefusalError()
    if any(entry[1] == 0 for entry in entries):
        raise RefusalError("Invalid interval for schedule entry")
    given["cycle_time"] = given.get("cycle_time") or sum(entry[1] for entry in entries)
    return Other("gate", msgspec.Raw(msgspec.json.encode(given)))


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a gate."""
    effect = action.effect
    assert isinstance(effect, Other)
    given = msgspec.json.decode(bytes(effect.params))
    out.text("\n")
    priority = given.get("priority", -1)
    out.number("priority", "\tpriority wildcard" if priority == -1 else "\tpriority %-8d", priority)
    clock = given.get("clockid", 11)
    out.string("clockid", "\tclockid %s", next((name for name, number in CLOCKS if number == clock), "invalid"))
    flags = given.get("flags", 0)
    out.string("flags", f"\tflags {flags:#x}" if flags else "\tflags 0", f"{flags:#x}" if flags else "0")
    out.text("\n")
    for key in ("base_time", "cycle_time", "cycle_time_ext"):
        out.text(f"\t{key.replace('_', '-')} {time_text(given.get(key, 0))}")
        out.number(key, "", given.get(key, 0))
    _show_entries(out, given["entries"])
    show_control(out, "\t", action.then, "")
    out.text("\n")
    show_index(out, "\t index %u", action, note, now, end=False)
    out.text("\n")


def _show_entries(out: Writer, entries: list[Any]) -> None:
    out.newline()
    out.text("\tschedule:")
    out.newline()
    out.open_array("schedule")
    for number, (opened, interval, priority, octets) in enumerate(entries):
        out.open()
        out.number("number", "\t number %4u", number)
        out.string("gate_state", "\tgate-state %s ", "open" if opened else "close")
        out.number("interval", "", interval)
        out.text(f"\tinterval {time_text(interval)}")
        out.number("ipv", "\t ipv wildcard" if priority == -1 else "\t ipv %-10u", priority)
        out.number("max_octets", f"\t max-octets {'wildcard' if octets == -1 else size_text(octets)}", octets)
        out.close()
        out.newline()
    out.close_array()
