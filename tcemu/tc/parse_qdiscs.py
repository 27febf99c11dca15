"""The reductions of qdiscs and classes."""

from __future__ import annotations

import errno
from typing import Any, Final

from tcemu.syntax.words import Word
from tcemu.tc import qdisc, readers
from tcemu.tc.command import (
    ClassCommand,
    Command,
    QdiscCommand,
)
from tcemu.tc.complaint import USAGE, ComplaintError, RefusalError, duplicate, incomplete, invalid
from tcemu.tc.parse_state import INGRESS_PARENT, LISTS, ROOT, Reading
from tcemu.tc.usage import usage

CLASSES: Final = frozenset(("htb", "hfsc", "drr", "qfq", "cbq", "dsmark", "atm", "ets"))  # kinds whose classes tc has words for


class QdiscReductions(Reading):
    """Part of `tcemu.tc.parse.Parse`."""

    def do_qdisc_value(self, name: Word, value: Word) -> None:
        terminal = name.terminal
        if self.verb in LISTS:
            self._check_listed(terminal, name, value)
        if terminal in self.seen or (terminal == "PARENT" and self.parent):
            raise duplicate("parent" if terminal == "PARENT" else str(name), value)
        if terminal == "DEV":
            self.dev = value[:15].rstrip("\0")
        elif terminal in ("INGRESS_BLOCK", "EGRESS_BLOCK"):
            block = readers.unsigned(value, readers.U32, 0)
            if not block:
                raise invalid(f"invalid {terminal.lower().replace('_', ' ')} index value", value)
            self.blocks[terminal] = block
        elif terminal == "HANDLE":
            handle = qdisc.handle_of(value)
            if handle is None:
                raise invalid(f"invalid {'handle' if self.verb in LISTS else 'qdisc'} ID", value)
            self.number = handle
        elif terminal == "QDISC_Q":
            if qdisc.handle_of(value) is None:
                raise invalid("invalid qdisc ID", value)
        else:
            classid = readers.classid(value)
            if classid is None:
                raise invalid("invalid parent ID" if terminal == "PARENT" else "invalid class ID", value)
            if terminal == "PARENT":
                self.parent = classid
            else:
                self.number = classid
        self.seen[terminal] = value

    def _check_listed(self, terminal: str, name: Word, value: Word) -> None:
        """What listings say of a word given again."""
        if self.words[0].startswith("c"):
            if terminal == "PARENT" and self.parent:
                raise duplicate("parent", name)
        elif terminal == "DEV" and "DEV" in self.seen:
            del self.seen["DEV"]  # the last one counts
        elif (terminal == "PARENT" and self.parent) or (terminal == "HANDLE" and "HANDLE" in self.seen):
            raise invalid(f"{name} is already specified", name)

    def do_qdisc_root(self, word: Word) -> None:
        if self.parent and self.verb in LISTS and not self.words[0].startswith("c"):
            raise invalid("parent is already specified", word)
        if self.parent:
            dot = "." if self.words[0].startswith("c") and self.verb not in LISTS else ""
            raise ComplaintError(f'Error: "root" is duplicate parent ID{dot}\n', USAGE)
        self.parent = ROOT

    def do_qdisc_hook(self, word: Word) -> None:
        if self.parent and self.verb in LISTS:
            raise invalid("parent is already specified", word)
        if self.parent and not self.words[0].startswith("c"):
            raise ComplaintError(f'Error: "{word}" is a duplicate parent ID\n', USAGE)
        self.parent = INGRESS_PARENT
        self.kind = "clsact" if word.terminal == "CLSACT" else "ingress"
        if self.verb not in LISTS:
            self.number = INGRESS_PARENT & 0xFFFF0000

    def do_qdisc_other(self, kind: Word, *options: Word) -> None:
        self.kind = kind[:15]
        self.rest = tuple(str(word) for word in options)
        if not options and any(name.startswith(kind) for name in ("ingress_block", "egress_block", "estimator", "stab")):
            raise incomplete()
        if options and kind not in qdisc.KNOWN and not self.words[0].startswith("c"):
            raise ComplaintError(f'Unknown qdisc "{self.kind}", hence option "{options[0]}" is unparsable\n')

    def do_frame_estimator(self, _estimator: Word, interval: Word, constant: Word) -> None:
        """Read, and forgotten: no packet waits for its rate."""
        if readers.time(interval, False) is None:
            raise invalid("estimator", Word("invalid estimator interval", 0, ""))
        if readers.time(constant, False) is None:
            raise invalid("estimator", Word("invalid estimator time constant", 0, ""))
        if "ESTIMATOR" in self.seen:
            raise duplicate("estimator", self.seen["ESTIMATOR"])
        self.seen["ESTIMATOR"] = interval

    def do_qdisc_help(self, *_words: Word) -> None:
        text = usage("class" if self.words[0].startswith("c") else "qdisc")
        if not self.verb:
            raise ComplaintError(text, 0)
        self.say(text)  # and goes on

    def do_qdisc_nothing(self, _word: Word) -> None:
        """Words that change nothing here."""

    def do_qdisc_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        self.device()
        blocks = self.blocks
        return QdiscCommand(
            verb,
            self.dev,
            self.kind,
            {},
            self.number,
            self.parent,
            blocks.get("INGRESS_BLOCK", 0),
            blocks.get("EGRESS_BLOCK", 0),
            self.rest,
        )

    def do_qdisc_list(self, *_items: Any) -> Command:
        self.device()
        return QdiscCommand("list", self.dev, self.kind, dict(self.seen), self.number, self.parent)

    def do_class_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        if verb == "link":
            raise ComplaintError('Command "link" is unknown, try "tc class help".\n', USAGE)
        if "HANDLE" in self.seen and not self.kind:
            raise ComplaintError('Error: try "classid" instead of "handle"\n', USAGE)
        if self.kind and self.kind not in CLASSES:
            raise ComplaintError(f'Error: Qdisc "{self.kind}" is classless.\n')
        if self.kind == "htb" and not any(word and "rate".startswith(word) for word in self.rest) and verb != "delete":
            raise ComplaintError('"rate" is required.\n')
        if not self.dev:
            raise RefusalError("", errno.ENODEV)
        self.device()
        return ClassCommand(verb, self.dev, self.kind, self.number, self.parent, self.rest)

    def do_class_list(self, *_items: Any) -> Command:
        self.device()
        return ClassCommand("list", self.dev, "", 0, self.parent, ())

    def do_class_help(self, *_items: Any) -> Command:
        raise ComplaintError(usage("class"), 0)
