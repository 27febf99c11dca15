"""What base chains in front drop of the packets that a later one sees: of the same hook by priority, and of hooks that packets pass before.

Between hooks a packet may change: where anything is translated, boxes with addresses or ports that a translation writes say nothing there.
A drop at the ingress of a device holds for what came in by that device. What postrouting sees came from forward or from output: both must drop it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Translate
from tcemu.lint.index import Index
from tcemu.lint.space import Box

if TYPE_CHECKING:
    from tcemu.lint.order import Taker
    from tcemu.lint.view import Base, View

AHEAD: Final = {"prerouting": ("ingress",), "input": ("ingress", "prerouting"), "forward": ("ingress", "prerouting")}
TARGETS: Final = (
    "ip.daddr",
    "ip6.daddr",
    "th.dport",
    "icmp.id",
)  # written in prerouting and output, answers of masqueraded connections included
SOURCES: Final = ("ip.saddr", "ip6.saddr", "th.sport", "icmp.id")
HERE: Final = frozenset(("meta.pkttype", "meta.length", "meta.priority"))  # may be another from hook to hook
DSTNAT, SRCNAT = -100, 100  # priorities at which addresses are written: of targets in output, of sources in postrouting
FAMILIES: Final = {0x0800: 2, 0x86DD: 10}


class Dropped:
    """What a base chain drops for sure, with who does it."""

    def __init__(self, base: Base, boxes: list[tuple[Box, Taker]]) -> None:
        self.base = base
        self.boxes = boxes

    def here(self, always: frozenset[str]) -> Index[Taker]:
        """For later chains of the same hook."""
        return filed(self.boxes, always)

    def behind(self, always: frozenset[str], changed: tuple[str, ...]) -> Index[Taker]:
        """For chains of later hooks."""
        found: list[tuple[Box, Taker]] = []
        for box, taker in self.boxes:
            if any(dim in changed or dim in HERE for dim in box.dims):
                continue
            made = self._of_device(box) if self.base.family == "netdev" else box
            if made is not None:
                found.append((made, taker))
        return filed(found, always)

    def _of_device(self, box: Box) -> Box | None:
        """A box of an ingress chain as the stack's tables would put it."""
        if not self.base.device:
            return None
        dims = dict(box.dims)
        family = dims.pop("meta.netproto", None) or dims.pop("meta.protocol", None)
        if family is not None:
            number = FAMILIES.get(family[0][0]) if len(family) == 1 and family[0][0] == family[0][1] else None
            if number is None:
                return None
            dims["meta nfproto"] = ((number, number),)
        name = int.from_bytes(self.base.device.encode()[:16].ljust(16, b"\0"), "big")
        dims["meta iifname"] = ((name, name),)
        return Box(dims, box.exact)


def filed(boxes: list[tuple[Box, Taker]], always: frozenset[str]) -> Index[Taker]:
    """Boxes in an index."""
    found: Index[Taker] = Index(always)
    for box, taker in boxes:
        found.add(box, taker)
    return found


class Either:
    """Two rows of indexes, both of which must cover a box: for packets that come by one way or the other."""

    def __init__(self, left: list[Index[Taker]], right: list[Index[Taker]]) -> None:
        self.left, self.right = left, right

    def cover(self, box: Box) -> Taker | None:
        """Who covers it on the one way, where somebody does on the other, too."""
        if any(index.cover(box) is not None for index in self.right):
            return next((found for index in self.left if (found := index.cover(box)) is not None), None)
        return None

    def touching(self, box: Box) -> list[tuple[Box, Taker]] | None:
        """Nothing: parts are not put together over two ways."""
        return None


def in_front(view: View, base: Base, dropped: dict[str, Dropped], always: frozenset[str]) -> list[Index[Taker] | Either]:
    """What takes packets before a base chain sees them."""
    found: list[Index[Taker] | Either] = []
    translated = bool(view.having(Translate))
    for other in _earlier(base, dropped):
        if other.base.hook == base.hook:
            found.append(other.here(always))
        else:
            found.append(other.behind(always, TARGETS if translated else ()))
    if base.hook == "postrouting":
        late = SOURCES if translated and base.priority > SRCNAT else ()
        ways = [
            [
                other.behind(always, (*late, *TARGETS) if translated and other.base.priority <= DSTNAT else late)
                for other in _at(base, hook, dropped)
            ]
            for hook in ("forward", "output")
        ]
        if all(ways):
            found.append(Either(ways[0], ways[1]))
    return found


def _earlier(base: Base, dropped: dict[str, Dropped]) -> Iterator[Dropped]:
    for other in dropped.values():
        if other.base.hook == base.hook and other.base.device == base.device:
            if other.base.priority < base.priority and _shared(other.base, base):
                yield other
        elif other.base.hook in AHEAD.get(base.hook, ()) and (_shared(other.base, base) or other.base.family == "netdev"):
            yield other


def _at(base: Base, hook: str, dropped: dict[str, Dropped]) -> list[Dropped]:
    return [other for other in dropped.values() if other.base.hook == hook and _shared(other.base, base)]


def _shared(one: Base, other: Base) -> bool:
    """Do packets of one come to the other? bridge, arp and netdev are for themselves."""
    return one.family == other.family or "inet" in (one.family, other.family)
