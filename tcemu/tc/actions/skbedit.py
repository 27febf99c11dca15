"""skbedit: write what the kernel keeps beside a packet: mark, priority, queue, type.

Source: iproute2 6.1 tc/m_skbedit.c, man tc-skbedit(8); net/sched/act_skbedit.c.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import SetMeta
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import classid_text, show_control, show_index
from tcemu.tc.writer import Writer

PTYPES: Final = (("host", 0), ("broadcast", 1), ("multicast", 2), ("otherhost", 3))


class SkbeditReader(ActionReader):
    """Reads skbedit."""

    KIND = "skbedit"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.given = False
        self.set: dict[str, Any] = {}
        self.masked = False

    def value(self, name: str, word: Word) -> None:
        self.given = True
        super().value(name, word)

    def on_queue_mapping(self, word: Word) -> None:
        queue = readers.unsigned(word, readers.U16)
        if queue is None:
            self.fail("Illegal queue_mapping\n")
        self.set["queue"] = queue

    def on_priority(self, word: Word) -> None:
        priority = readers.classid(word)
        if priority is None:
            self.fail("Illegal priority\n")
        self.set["priority"] = priority

    def on_mark(self, word: Word) -> None:
        text, slash, tail = word.partition("/")
        mark = readers.unsigned(text, readers.U32, 0)
        if mark is None:
            self.fail("Illegal mark\n")
        self.set["mark"] = mark
        if slash:
            mask = readers.unsigned(tail, readers.U32, 0)
            if mask is None:
                self.fail("Illegal mask\n")
            self.set["mark_mask"] = mask
            self.masked = True

    def on_ptype(self, word: Word) -> None:
        for name, number in PTYPES:
            if name.startswith(word):
                self.set["pkttype"] = number
                return
        self.fail(f"Illegal ptype ({word})\n")

    def on_inheritdsfield(self, _word: Word) -> None:
        self.given = True
        self.set["inherit_dsfield"] = True

    def finish(self) -> ActionSpec:
        if not self.given:
            self.explain()
        spec = self.spec(SetMeta(**self.set))
        if self.masked:
            spec.extra = {"mask": True}
        return spec


READER = SkbeditReader


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a skbedit."""
    meta = action.effect
    assert isinstance(meta, SetMeta)
    out.string("kind", "%s ", "skbedit")
    if meta.queue is not None:
        out.number("queue_mapping", "queue_mapping %u", meta.queue)
    if meta.priority is not None:
        out.string("priority", " priority %s", classid_text(meta.priority))
    if meta.mark is not None:
        out.number("mark", " mark %u", meta.mark)
        if meta.mark_mask != readers.U32 or "mask" in note.extra:
            out.hexadecimal("mask", "/%#x", meta.mark_mask)
    if meta.pkttype is not None:
        out.string("ptype", " ptype %s", PTYPES[meta.pkttype][0])
    if meta.inherit_dsfield:
        out.null("inheritdsfield", " inheritdsfield")
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)
