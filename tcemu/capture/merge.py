"""Several captures as one, by time: the order in which one machine with several devices saw the packets.

Each reader holds its next packet; the earliest of all is the current one. Packets of the same time come in the order
of their readers; a reader whose own packets go back in time keeps its order, as with mergecap(1)::

    readers   0: 1.0  4.0        heap of readers by (time of their packet, place): the top is `current`
              1: 2.0  2.5        next(): the top moves on and sinks to where it belongs

A merge copies nothing: the current packet is read from `current`.
"""

from __future__ import annotations

from librt.vecs import append, vec
from mypy_extensions import i64

from tcemu.capture.reader import Reader


class Merge:
    """Readers side by side. Call `next`, then take the packet from ``current``, which is ``readers[index]``."""

    def __init__(self, readers: list[Reader]) -> None:
        if not readers:
            raise ValueError("there is nothing to merge")
        self.readers: list[Reader] = readers
        self.current: Reader = readers[0]
        self.index: i64 = 0
        self.number: i64 = 0  # of packets so far
        self._heap: vec[i64] = vec[i64]()  # places in readers, those with a packet only
        self._size: i64 = 0
        self._begun: bool = False

    def next(self) -> bool:
        """Move to the next packet of all; False when every reader is through."""
        if self._size == 1:  # one is left, or there was but one: nothing to order
            if self.current.next():
                self.number += 1
                return True
            self._size = 0
        elif not self._begun:
            self._begin()
        elif self._size > 0:
            if not self.current.next():
                self._size -= 1
                self._heap[0] = self._heap[self._size]
            self._sink(0)
        if self._size == 0:
            return False
        self.index = self._heap[0]
        self.current = self.readers[self.index]
        self.number += 1
        return True

    def close(self) -> None:
        """Close all readers."""
        for reader in self.readers:
            reader.close()

    def _begin(self) -> None:
        self._begun = True
        for place in range(len(self.readers)):
            if self.readers[place].next():
                self._heap = append(self._heap, place)
                self._size += 1
        for place in range(int(self._size) // 2 - 1, -1, -1):
            self._sink(place)

    def _sink(self, place: i64) -> None:
        """Put the reader at that place of the heap below those that come before it."""
        size = self._size
        heap = self._heap
        while True:
            child = 2 * place + 1
            if child >= size:
                return
            if child + 1 < size and self._before(heap[child + 1], heap[child]):
                child += 1
            if not self._before(heap[child], heap[place]):
                return
            heap[child], heap[place] = heap[place], heap[child]
            place = child

    def _before(self, left: i64, right: i64) -> bool:
        mine = self.readers[left].ts
        other = self.readers[right].ts
        return mine < other or (mine == other and left < right)


def merge(readers: list[Reader]) -> Merge:
    """The readers as one, by time."""
    return Merge(readers)
