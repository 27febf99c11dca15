"""xt: an iptables target. LOG is known; it lists and logs nothing.

Source: iproute2 6.1 tc/m_xt.c, man tc-xt(8).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tcemu.ir.effect import Other
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import show_index
from tcemu.tc.writer import Writer

LEVELS: Final = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")


class XtReader(ActionReader):
    """Reads xt: everything up to the end is the target's."""

    KIND = "xt"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.prefix = ""
        self.level = 4

    def target(self, words: list[Word]) -> None:
        """``-j TARGET OPTIONS… [index N]``."""
        rest = [str(word) for word in words]
        if len(rest) < 2:
            self.fail("too few arguments for xt, need at least '-j <target>'\n")
        if rest[0] not in ("-j", "--jump") or rest[1] != "LOG":
            self.fail(f" failed to find target {rest[1]}\n\n")
        options = dict(zip(rest[2::2], rest[3::2], strict=False))
        self.prefix = options.get("--log-prefix", "")[:29]
        level = options.get("--log-level", "4")
        self.level = LEVELS.index(level) if level in LEVELS else readers.unsigned(level, 7) or 0

    def finish(self) -> ActionSpec:
        return self.spec(Other("xt", msgspec.Raw(msgspec.json.encode({"prefix": self.prefix, "level": self.level}))))


READER = XtReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print an xt: bare text, in JSON too."""
    effect = action.effect
    assert isinstance(effect, Other)
    given = msgspec.json.decode(bytes(effect.params))
    out.bare("tablename: mangle  hook: NF_IP_POST_ROUTING\n\ttarget  LOG")
    out.bare(f" level {LEVELS[given['level']]}" + (f' prefix "{given["prefix"]}"' if given["prefix"] else ""))
    out.bare("\n")
    show_index(out, "\tindex %u", action, note, now)
