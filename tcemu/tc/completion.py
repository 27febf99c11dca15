"""What may follow on a command line: the keywords that the parser would take there, from the same table that it reads by; names of devices.

complete(["filter", "add", "dev", "eth0", "ingress", "flo"], world) == ["flower"]
"""

from __future__ import annotations

from collections.abc import Sequence

from tcemu.diagnostics import TcemuError
from tcemu.syntax.driver import Driver
from tcemu.syntax.table import load
from tcemu.syntax.words import WORD, Word, _terminal, expected
from tcemu.tc.parse import Parse
from tcemu.tc.parse_state import Names
from tcemu.world import World

DEVICES = ("DEV", "M_DEV", "INDEV", "INDEV_WHOLE", "FROMIF")  # what the name of a device follows


class Asking(Names):
    """Every device is there, and none is made."""

    def index(self, name: str) -> int:
        device = self.world.host.devices.get(name)
        return 1 if device is None else device.index

    def known(self, name: str) -> int:
        return self.index(name)


def complete(words: Sequence[str], world: World) -> list[str]:
    """Ways to complete the last of the words (which may be empty)."""
    *before, begun = words
    names = Asking(world)
    reading = Parse()
    reading.reset(words, names)
    table = load("tc")
    driver = Driver(table, reading.actions)
    spelt = table.spelling()
    last = ""
    try:
        for place, text in enumerate(before):
            driver.settle()
            terminal = _terminal(driver, spelt, text)
            last = table.terminals[terminal]
            if terminal < 0 or not driver.push(terminal, Word(text, place, last), place, place + 1):
                return []
        driver.settle()
    except TcemuError:
        return []
    found = [word for word in expected(driver) if word != WORD]
    if last in DEVICES:
        found += [device.key for device in world.host.devices.children("")]
    return sorted({word for word in found if word.startswith(begun)})
