"""Boxes that stand in the way, found without looking at all of them: tuple space search over enclosing prefixes.

Each box is filed under one of its dimensions, by the smallest aligned block that encloses its values there: the dimension whose drawer is
emptiest. A box that covers another has, in that dimension, an equal or larger block around the other's values, so that one look per
dimension and size of block finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from tcemu.lint.space import Box, Values, apart, covers

T = TypeVar("T")
Key = tuple[str, int, int]
SCANNED = 200  # boxes up to which all are looked at when none covers alone


def block(values: Values) -> tuple[int, int]:
    """The smallest aligned block around values: how many low bits are free, and what is above them."""
    low, high = values[0][0], values[-1][1]
    free = (low ^ high).bit_length()
    return free, low >> free


class Index(Generic[T]):
    """Boxes with what they belong to."""

    def __init__(self, always: frozenset[str]) -> None:
        self.always = always
        self.count = 0
        self.all: list[tuple[Box, T]] = []
        self._drawers: dict[Key, list[tuple[Box, T]]] = {}
        self._sizes: dict[str, set[int]] = {}
        self._broad: list[tuple[Box, T]] = []

    def add(self, box: Box, what: T) -> None:
        """File a box that is exact and not empty."""
        entry = (box, what)
        self.all.append(entry)
        best: Key | None = None
        least = 1 << 60
        for dim, values in box.dims.items():
            key = (dim, *block(values))
            size = len(self._drawers.get(key, ())) * 4 + min(key[1], 30)
            if size < least:
                best, least = key, size
        if best is None:
            self._broad.append(entry)
            return
        self._drawers.setdefault(best, []).append(entry)
        self._sizes.setdefault(best[0], set()).add(best[1])

    def cover(self, box: Box) -> T | None:
        """What one of the filed boxes that covers this one belongs to; the first filed in its drawer."""
        for outer, what in self._near(box):
            if covers(outer, box, self.always):
                return what
        return None

    def _near(self, box: Box) -> Iterator[tuple[Box, T]]:
        yield from self._broad
        for dim, sizes in self._sizes.items():
            values = box.dims.get(dim)
            if values is None:
                if dim in self.always:
                    for size in sizes:
                        yield from self._drawers.get((dim, size, 0), ()) if size >= 7 else ()
                continue
            free, above = block(values)
            for size in sizes:
                if size >= free:
                    yield from self._drawers.get((dim, size, above >> (size - free)), ())

    def touching(self, box: Box) -> list[tuple[Box, T]] | None:
        """All filed boxes that share something with this one; None where there are too many to look at."""
        if len(self.all) > SCANNED:
            return None
        return [entry for entry in self.all if not apart(entry[0], box)]
