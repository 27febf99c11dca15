"""The main job: captures through the machine. One loop, nothing made per packet."""

from __future__ import annotations

import gc
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr

from tcemu.capture.link import locate
from tcemu.capture.merge import Merge
from tcemu.engine.machine import Machine
from tcemu.ir.verdict import ACCEPT
from tcemu.packet.numbers import numbers
from tcemu.packet.packet import LINK_ETHER

SELDOM: Final = 100_000  # objects made between two searches for cycles: connections are many and have none
STRIDE: Final = 1 << 14  # packets between two looks at progress and interruption


@mypyc_attr(allow_interpreted_subclasses=True)
class Progress:
    """Told now and then how far a replay is; a progress bar is one. Returning False stops it."""

    def __init__(self) -> None:
        self.told: i64 = 0

    def update(self, packets: int) -> bool:
        """``packets`` so far."""
        return True


@mypyc_attr(allow_interpreted_subclasses=True)
class Listener:
    """Told of each packet after it ended, with the machine that ran it; for those who want verdicts one by one."""

    def __init__(self) -> None:
        self.heard: i64 = 0

    def packet(self, machine: Machine, reader: int) -> None:
        """The packet is ``machine.packet``, its verdict ``machine.verdict``."""


class Replay:
    """Readers with the devices that their packets arrive on."""

    def __init__(self, machine: Machine, merge: Merge, devices: list[int]) -> None:
        self.machine: Machine = machine
        self.merge: Merge = merge
        self.devices: vec[i64] = numbers(devices)
        self.bytes: i64 = 0
        self.packets: i64 = 0
        self.undecoded: i64 = 0
        self.first: i64 = -1
        self.last: i64 = -1
        self.stopped: bool = False

    def run(self, progress: Progress | None = None, listener: Listener | None = None, limit: int = 0) -> i64:
        """Play all packets, or ``limit`` of them; how many it was. Packets of the same time keep the captures' order."""
        often = gc.get_threshold()
        gc.set_threshold(SELDOM)
        try:
            return self._run(progress, listener, limit)
        finally:
            gc.set_threshold(*often)

    def _run(self, progress: Progress | None, listener: Listener | None, limit: int) -> i64:
        machine = self.machine
        merge = self.merge
        devices = self.devices
        alone = len(merge.readers) == 1  # nothing to put in order
        reader = merge.readers[0]
        device = devices[0]
        count: i64 = 0
        octets: i64 = 0
        last: i64 = 0
        until: i64 = limit if limit > 0 else 1 << 62
        stop: i64 = 1  # where to look up from the work: behind the first packet, then each stride, and at the limit
        while True:
            if alone:
                if not reader.next():
                    break
            elif merge.next():
                reader = merge.current
                device = devices[merge.index]
            else:
                break
            octets += reader.wire
            last = reader.ts
            if reader.layout.plain:
                machine.receive(reader.data, reader.start, reader.end, reader.wire, last, LINK_ETHER, device)
            else:
                link = locate(reader)
                machine.receive(reader.data, reader.first, reader.last, reader.length, last, link, device)
            count += 1
            if listener is not None:
                listener.packet(machine, int(merge.index))
            if count == stop:
                if self.first < 0:
                    self.first = last
                if count & (STRIDE - 1) == 0 and progress is not None and not progress.update(count):
                    self.stopped = True
                    break
                if count == until:
                    break
                stop = (count | (STRIDE - 1)) + 1
                if stop > until:
                    stop = until
        self.packets += count
        self.bytes += octets
        if count > 0:
            self.last = last
        return count


def accepted(machine: Machine) -> bool:
    """Was the last packet let through?"""
    return machine.verdict == ACCEPT
