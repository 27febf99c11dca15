"""skbmod: set or swap MAC addresses, set the ethertype, mark ECN.

Source: iproute2 6.1 tc/m_skbmod.c, man tc-skbmod(8); net/sched/act_skbmod.c.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tcemu.ir.effect import ModifyMac
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError, incomplete, invalid
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import mac_text, show_control, show_times
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class SkbmodReader(ActionReader):
    """Reads skbmod; it says on standard error what it has read."""

    KIND = "skbmod"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.given = False
        self.set: dict[str, Any] = {}

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        if name in ("SET", "SWAP") and self.ends_early(word):
            raise incomplete()
        if name in ("MAC_WORD", "ECN"):
            self.given = True
            self.set["swap" if name == "MAC_WORD" else "ecn"] = True

    def on_etype(self, word: Word) -> None:
        value = readers.unsigned(word, readers.U16, 0)
        if value is None:
            raise invalid("ethertype is invalid", word)
        self.parse.say(f"skbmod etype 0x{value:x}\n")
        self.given = True
        if value:
            self.set["ethertype"] = value

    def on_dmac(self, word: Word) -> None:
        self.set["target"] = self._mac(word, "Invalid dst mac address")
        self.parse.say(f"dst MAC address <{word}>\n")

    def on_smac(self, word: Word) -> None:
        self.set["source"] = self._mac(word, "Invalid smac address")
        self.parse.say(f"src MAC address <{word}>\n")

    def _mac(self, word: Word, text: str) -> int:
        self.given = True
        value = scanned_mac(word)
        if value is None:
            self.fail(f"{text} {word}\n")
        return value

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32, 0)
        if index is None:
            self.fail('skbmod: Illegal "index"\n')
        self.index, self.given = index, True

    def finish(self) -> ActionSpec:
        if not self.given:
            self.usage("skbmod requires at least one option\n")
        for alone in ("ecn", "swap"):
            if alone in self.set:  # the kernel forgets the rest
                self.set = {alone: True}
                break
        return self.spec(ModifyMac(**self.set))


READER = SkbmodReader
NOTHING: Final = ModifyMac()


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> ModifyMac:
    """A new one must do something (tcf_skbmod_init)."""
    if not isinstance(spec.effect, ModifyMac) or spec.effect == NOTHING:
        raise RefusalError()
    return spec.effect


def scanned_mac(word: str) -> int | None:
    """Six hexadecimal bytes as sscanf("%hhx:…") reads them: what follows is not looked at."""
    found = re.match(r"\s*" + ":".join([r"\s*(?:0[xX])?([0-9a-fA-F]+)"] * 6), word, re.ASCII)
    if found is None:
        return None
    return int.from_bytes(bytes(int(part, 16) & 0xFF for part in found.groups()))


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a skbmod: bare text, in JSON too."""
    modify = action.effect
    assert isinstance(modify, ModifyMac)
    out.bare("skbmod ")
    show_control(out, "", action.then, " ")
    if modify.ethertype is not None:
        out.bare(f"set etype 0x{modify.ethertype:X} \n\t ")
    if modify.target is not None:
        out.bare(f"set dmac {mac_text(modify.target)} ")
    if modify.source is not None:
        out.bare(f"set smac {mac_text(modify.source)} ")
    if modify.swap:
        out.bare("swap mac ")
    if modify.ecn:
        out.bare("ecn ")
    out.bare(f"\n\t index {action.rank} ref {action.bound + note.alone} bind {action.bound}")
    if out.stats:
        show_times(out, action.stats, now)
    out.bare("\n")
