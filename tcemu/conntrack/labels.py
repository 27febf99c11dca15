"""Names of labels: ``conntrack -o labels``, ``-l``, ``--label-add`` and ``--label-del``.

They come from the machine's /etc/xtables/connlabel.conf, lines of a bit and a name; of a bit or a name that comes twice, the first counts.

Source: libnetfilter_conntrack src/conntrack/labels.c (what it takes of a line) and snprintf_default.c, conntrack-tools 1.4.7 (runs of it).
"""

from __future__ import annotations

import re
from typing import Final

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.names import halves, number

PATH: Final = "/etc/xtables/connlabel.conf"
BITS: Final = 1024  # that a file may name; a connection has the first 128
OF_ENTRY: Final = 128
ALL: Final = (1 << OF_ENTRY) - 1
_LINE: Final = re.compile(r"\s*(-?)(0[xX][0-9a-fA-F]+|\d+)[ \f\r\t\v]*(.*?)[ \f\r\t\v]*")
_NAME: Final = re.compile(r"[A-Za-z0-9 -]+")


class LabelMap:
    """Bits by name. complaint: what the tool says of a file that it cannot use; there are no names then."""

    def __init__(self, path: str = "") -> None:
        self.bits: dict[str, int] = {}
        self.complaint = ""
        try:
            with open(path or PATH, encoding="ascii", errors="replace") as file:
                for line in file:
                    self._take(line.rstrip("\n"))
        except OSError as error:
            self.complaint = f"nfct_labelmap_new: {error.strerror}\n"
        else:
            self.complaint = "" if self.bits else "nfct_labelmap_new: Success\n"
        self.names = {bit: name for name, bit in self.bits.items()}

    def _take(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        if found is None or found[1] or line.startswith("#") or not _NAME.fullmatch(found[3]):
            return
        bit = _number(found[2])
        if bit < BITS and bit not in self.bits.values() and found[3] not in self.bits:
            self.bits[found[3]] = bit

    def of(self, entry: Entry) -> list[str] | None:
        """The names of a connection's labels by bit; None where it has none, and only those that have names."""
        labels = mask_of(entry)
        return [name for bit, name in sorted(self.names.items()) if labels >> bit & 1] if labels else None

    def text(self, entry: Entry) -> str:
        """As a line shows them."""
        names = self.of(entry)
        return "" if names is None else "labels" + ("=" + ",".join(names) if names else "")

    def xml(self, entry: Entry) -> str:
        """As an element."""
        names = self.of(entry)
        return "" if names is None else "<labels>" + "".join(f"<label>{name}</label>" for name in names) + "</labels>"


def _number(text: str) -> int:
    """strtoul with base 0."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    octal = re.match(r"0[0-7]*", text)
    return int(octal[0], 8) if octal else int(text)


def mask_of(entry: Entry) -> int:
    """A connection's labels, bit 0 for the first: they are kept as bytes in the order in which the kernel has them."""
    return int.from_bytes(number(entry.label_high, entry.label_low).to_bytes(16, "big"), "little")


def put(entry: Entry, mask: int) -> None:
    """Give it these labels."""
    entry.has_labels = True
    entry.label_high, entry.label_low = halves(int.from_bytes(mask.to_bytes(16, "little"), "big"))
