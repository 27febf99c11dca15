"""ctinfo: copy bits of the connection's mark to DSCP and to the packet's mark.

Source: iproute2 6.1 tc/m_ctinfo.c, man tc-ctinfo(8); net/sched/act_ctinfo.c.
"""

from __future__ import annotations

from typing import Any

from tcemu.ir.effect import CtInfo
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import USAGE, ComplaintError, RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_control, show_times
from tcemu.tc.usage import usage
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class CtinfoReader(ActionReader):
    """Reads ctinfo."""

    KIND = "ctinfo"
    HUNGRY = False

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.zone = 0
        self.dscp = 0
        self.state = 0
        self.mark: int | None = None

    def on_zone(self, word: Word) -> None:
        zone = readers.unsigned(word, readers.U16)
        if zone is None:
            self.fail('ctinfo: Illegal "zone"\n')
        self.zone = zone

    def on_dscp(self, word: Word) -> None:
        mask = readers.unsigned(word, readers.U32, 0)
        if mask is None:
            self.fail('ctinfo: Illegal dscp "mask"\n')
        self.dscp = mask

    def values(self, words: tuple[Word, ...]) -> None:
        """``dscp MASK STATEMASK`` or ``cpmark MASK``."""
        number = readers.unsigned(words[-1], readers.U32, 0)
        if words[0].terminal == "CPMARK":
            self.mark = number
        else:
            self.on_dscp(words[1])
            self.state = number or 0
        if number is None:  # then it is no mask: tc takes the word for the next action
            self.check_mask()
            if words[-1] == "help":
                raise self.parse.bad_action("")
            raise ComplaintError(f"Bad action type {words[-1]}\n{usage('gact')}", USAGE, True)

    def flag(self, name: str, word: Word) -> None:
        if name == "CPMARK":
            self.mark = readers.U32
        else:
            super().flag(name, word)

    def check_mask(self) -> None:
        """Six bits in a row, none of them the state's."""
        if self.dscp & self.state:
            self.fail("ctinfo: dscp mask & statemask must NOT overlap\n")
        low = (self.dscp & -self.dscp).bit_length()
        if low and self.dscp >> low - 1 != 0x3F:
            self.fail("ctinfo: dscp mask must be 6 contiguous bits long\n")

    def finish(self) -> ActionSpec:
        self.check_mask()
        return self.spec(CtInfo(self.zone, self.dscp, self.state, self.mark or None))


READER = CtinfoReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> CtInfo:
    """What the kernel wants (tcf_ctinfo_init)."""
    effect = spec.effect
    assert isinstance(effect, CtInfo)
    if not effect.dscp_mask and effect.dscp_state:
        raise RefusalError("dscp mask must be 6 contiguous bits")
    return effect


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a ctinfo."""
    effect = action.effect
    assert isinstance(effect, CtInfo)
    out.string("kind", "%s ", "ctinfo")
    out.number("zone", "zone %u", effect.zone)
    show_control(out, " ", action.then, "")
    out.newline()
    out.number("index", "\t index %u", action.rank)
    out.number("ref", " ref %d", action.bound + note.alone)
    out.number("bind", " bind %d", action.bound)
    if effect.dscp_mask:
        out.string("dscpmask", f" dscp {effect.dscp_mask:#010x}", f"{effect.dscp_mask:#x}")
        out.string(
            "dscpstatemask",
            f" {effect.dscp_state:#010x}" if effect.dscp_state else " 0000000000",
            f"{effect.dscp_state:#x}" if effect.dscp_state else "0",
        )
    if effect.mark_mask is not None:
        out.string("cpmark", f" cpmark {effect.mark_mask:#010x}", f"{effect.mark_mask:#x}")
    if out.stats:
        show_times(out, action.stats, now)
        extra = action.stats.extra
        out.number("dscpset", " DSCP set %u", extra.get("dscp_set", 0))
        out.number("dscperror", " error %u", extra.get("dscp_error", 0))
        out.number("cpmarkset", " CPMARK set %u", extra.get("cpmark_set", 0))
    out.newline()
