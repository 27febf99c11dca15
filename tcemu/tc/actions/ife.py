"""ife: carry metadata between machines in a header of its own.

Source: iproute2 6.1 tc/m_ife.c, man tc-ife(8); net/sched/act_ife.c.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tcemu.ir.effect import Other
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.actions.skbmod import scanned_mac
from tcemu.tc.command import ActionSpec
from tcemu.tc.complaint import invalid
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import mac_text, show_control, show_index
from tcemu.tc.writer import Writer

ETH_IFE: Final = 0xED3E
METAS: Final = (("mark", readers.U32), ("tcindex", readers.U16), ("prio", readers.U32))  # in printing order


class IfeReader(ActionReader):
    """Reads ife."""

    KIND = "ife"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.mode = ""
        self.set: dict[str, Any] = {}

    def flag(self, name: str, word: Word) -> None:
        if name in ("DECODE", "ENCODE"):
            self.mode = name.lower()
        else:
            super().flag(name, word)

    def on_type(self, word: Word) -> None:
        value = readers.unsigned(word, readers.U16, 0)
        if value is None:
            raise invalid("ife type is invalid", word)
        self.parse.say(f"IFE type 0x{value:04X}\n")
        self.set["type"] = value

    def on_dst(self, word: Word) -> None:
        self._mac("dst", word)

    def on_src(self, word: Word) -> None:
        self._mac("src", word)

    def _mac(self, name: str, word: Word) -> None:
        value = scanned_mac(word)
        if value is None:
            raise invalid("Invalid mac address", word)
        self.parse.say(f"{name} MAC address <{word}>\n")
        self.set[name] = value

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32, 0)
        if index is None:
            self.fail('ife: Illegal "index"\n')
        self.index = index

    def values(self, words: tuple[Word, ...]) -> None:
        """``allow META`` or ``use META VALUE``."""
        name = words[1].terminal.removesuffix("_META").lower()
        if words[0].terminal == "ALLOW":
            self.set.setdefault(name, None)
            return
        value = readers.unsigned(words[2], dict(METAS)[name], 0)
        if value is None:
            raise invalid(f"ife {name} val is invalid", words[2])
        if value:
            self.set[name] = value

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        if last in ("ALLOW", "USE"):
            raise invalid("Illegal meta define" if last == "ALLOW" else "Illegal meta use type", word)
        return False

    def finish(self) -> ActionSpec:
        if not self.mode and not self.index:
            self.usage("IFE requires decode/encode specified\n")
        given = {"mode": self.mode or "decode"}
        if self.mode == "encode":
            given.update(self.set)
            if "type" not in self.set:
                self.parse.say(f"IFE type 0x{ETH_IFE:04X}\n")
        return self.spec(Other("ife", msgspec.Raw(msgspec.json.encode(given))))


READER = IfeReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print an ife."""
    effect = action.effect
    assert isinstance(effect, Other)
    given = msgspec.json.decode(bytes(effect.params))
    encode = given["mode"] == "encode"
    out.string("kind", "%s ", "ife")
    out.string("mode", "%s ", given["mode"])
    show_control(out, "action ", action.then, " ")
    if encode:
        number = given.get("type", ETH_IFE)
        out.string("type", f"type 0X{number:X} ", f"{number:#x}")
    else:
        out.string("type", "type 0 ", "0")
    out.newline()
    out.text("\t")
    for name, _limit in METAS:
        if name in given or not encode:
            if given.get(name) is None:
                out.string(name, f"%s {name} ", "allow")
            else:
                out.number(name, f"use {name} %u ", given[name])
    for name in ("dst", "src"):
        if name in given:
            out.string(name, f"{name} %s ", mac_text(given[name]))
    out.newline()
    show_index(out, "\t index %u", action, note, now)
