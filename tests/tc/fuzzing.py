"""tc lines at random: walks through the parser's own table, and lines that people wrote with words changed.

A walk takes at each step one of the terminals that the parser would shift there; values behind a keyword are those that the lines of
filters.txt have there, and at times nonsense.
"""

from __future__ import annotations

import itertools
import random
import shlex
from collections import defaultdict
from collections.abc import Sequence

from tcemu.syntax.driver import Driver
from tcemu.syntax.table import NO_DEFAULT, Table, load

NONSENSE = (
    "",
    "0",
    "-1",
    "1",
    "7",
    "65536",
    "4294967296",
    "99999999999999999999",
    "0x",
    "0xffffffff",
    "1/2",
    "1-2",
    "ä",
    "\x00",
    "help",
    "\\",
    "%s",
    ":::",
    "a" * 300,
)
VALUES = (
    "ip",
    "ipv6",
    "all",
    "arp",
    "802.1Q",
    "eth0",
    "eth1",
    "10.0.0.1",
    "10.0.0.0/8",
    "2001:db8::1/64",
    "02:00:00:00:00:01",
    "80",
    "1000-2000",
    "+trk+est",
    "ffff:",
    "1:1",
)
PLACE = ["filter", "add", "dev", "eth0", "ingress", "protocol"]
LONGEST = 60  # words of a walk


class Lines:
    """Lines from one source of chance."""

    def __init__(self, chance: random.Random, written: Sequence[str]) -> None:
        self.chance = chance
        self.table: Table = load("tc")
        self.written = [shlex.split(line)[1:] for line in written]
        self.behind: dict[str, list[str]] = defaultdict(list)  # values by the word in front of them
        for words in self.written:
            for before, word in itertools.pairwise(words):
                self.behind[before].append(word)

    def line(self) -> list[str]:
        """One command, of any of the sorts."""
        sort = self.chance.randrange(10)
        if sort < 3:
            return self.mutated(self.chance.choice(self.written))
        if sort < 4:
            return self.mutated(self.walk([]))
        if sort < 6:
            return self.walk([])
        return self.walk(
            [
                *PLACE,
                self.chance.choice(("ip", "ipv6", "all", "802.1Q", "arp", "mpls_uc")),
                self.chance.choice(("flower", "flower", "flower", "matchall", "u32", "basic", "fw", "flow", "route", "cgroup", "bpf")),
            ]
        )

    def options(self) -> list[str]:
        """Options in front of a command that lists."""
        pool = ("-s", "-d", "-j", "-p", "-o", "-br", "-N", "-t", "-iec", "-c", "-r", "-nm")
        return self.chance.sample(pool, self.chance.randrange(4))

    def mutated(self, words: Sequence[str]) -> list[str]:
        """The words with up to three of them changed, added, dropped, doubled or cut off."""
        found = list(words)
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randrange(len(found) + 1)
            what = self.chance.randrange(5)
            if what == 0:
                found[at : at + self.chance.randint(0, 1)] = [self.word(found[at - 1] if at else "")]
            elif what == 1:
                del found[at : at + self.chance.randint(1, 2)]
            elif what == 2 and at < len(found):
                found[at] = found[at][: self.chance.randrange(len(found[at]) + 1)]
            elif what == 3 and at < len(found):
                found.insert(at, found[at])
            elif at < len(found) and found[at]:
                place = self.chance.randrange(len(found[at]))
                found[at] = found[at][:place] + self.chance.choice("0:/-+.,zä") + found[at][place + 1 :]
        return found

    def word(self, before: str) -> str:
        """A value behind a word."""
        sort = self.chance.randrange(12)
        if sort == 0:
            return self.chance.choice(NONSENSE)
        if sort < 10 and self.behind.get(before):
            return self.chance.choice(self.behind[before])
        return self.chance.choice(VALUES)

    def walk(self, before: Sequence[str]) -> list[str]:
        """A way through the table from behind some words, which are keywords or plain values."""
        table, chance = self.table, self.chance
        driver = Driver(table, {})
        spelt = table.spelling()
        plain = table.number["WORD"]
        words: list[str] = []
        for text in before:
            terminal = next((number for number in spelt.get(text, ()) if driver.takes(number)), plain)
            if not driver.push(terminal, text, 0, 0):
                return words
            words.append(text)
        while len(words) < LONGEST:
            terminal = self._step(driver)
            if terminal == 0:
                break
            text = chance.choice(table.keywords[terminal]) if table.keywords[terminal] else self.word(words[-1] if words else "")
            driver.push(terminal, text, 0, 0)
            words.append(text)
        return words

    def _step(self, driver: Driver) -> int:
        """The next terminal, 0 for the end."""
        table, chance = self.table, self.chance
        while True:
            state = driver.states[-1]
            found = [number for number in table.rows[table.row_of[state]] if number and driver.takes(number)]
            default = table.default[state]
            if found and (default == NO_DEFAULT or chance.random() < 0.8):
                return chance.choice(found)
            if default == NO_DEFAULT:
                return 0
            if driver.takes(0) and chance.random() < 0.1:
                return 0
            driver.reduce(default)
