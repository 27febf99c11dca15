"""``nft -i``: commands line by line, each a transaction of its own. A terminal gets a prompt, history and completion.

Like nft (src/cli.c) it ends at the end of input or at ``quit``, joins a line that ends in a backslash with the next, and keeps
the history in ``~/.nft.history``. What may follow is known to the parser: completion offers exactly the words that it would take next,
and names of tables, chains, sets and objects where it takes a name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tcemu.nft.errors import NftError
from tcemu.nft.parse import Parser
from tcemu.world import Reply, World

if TYPE_CHECKING:
    from tcemu.nft.commands import Options

PROMPT: Final = "nft> "
MORE: Final = "... "
HISTORY: Final = "~/.nft.history"
KEPT: Final = 1000  # lines of history

Execute = Callable[[str], Reply]


def talk(options: Options, stdin: str, world: World) -> Reply:
    """Commands that come through a pipe: all answers together, those of errors apart."""
    from tcemu.nft.commands import execute

    out, wrong = "", ""
    for command in commands(stdin.split("\n")):
        reply = execute(options, "", f"{command}\n", world)
        out += reply.stdout
        wrong += reply.stderr
    return Reply(0, out, wrong)


def commands(lines: Iterable[str]) -> Iterator[str]:
    """Whole commands out of lines; empty ones are left out, ``quit`` ends them."""
    begun = ""
    for line in lines:
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        command, begun = begun + line, ""
        if command.strip() == "quit":
            return
        if command.strip():
            yield command


def converse(execute: Execute, names: Callable[[], list[str]]) -> int:
    """A conversation at a terminal; ``names`` gives what completion offers where a name is meant."""
    import readline

    path = os.path.expanduser(HISTORY)
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(KEPT)
    readline.set_completer_delims(" \t\n;{},=")
    completer = Completer(names)
    readline.set_completer(lambda text, number: completer.offer(readline.get_line_buffer()[: readline.get_begidx()], text, number))
    readline.parse_and_bind("tab: complete")
    try:
        for command in commands(_prompted()):
            reply = execute(f"{command}\n")
            sys.stdout.write(reply.stdout)
            sys.stdout.flush()
            sys.stderr.write(reply.stderr)
    finally:
        with suppress(OSError):
            readline.write_history_file(path)
    return 0


def _prompted() -> Iterator[str]:
    """Lines from the terminal; an interrupt drops the line that is being written."""
    prompt = PROMPT
    while True:
        try:
            line = input(prompt)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            prompt = PROMPT
            continue
        prompt = MORE if line.endswith("\\") else PROMPT
        yield line


class Completer:
    """What a tab offers; the candidates of one place are found once."""

    def __init__(self, names: Callable[[], list[str]]) -> None:
        self.names = names
        self.found: list[str] = []

    def offer(self, before: str, text: str, number: int) -> str | None:
        """The candidate of that number for a word that is begun behind ``before``."""
        if number == 0:
            self.found = [f"{word} " for word in candidates(before, self.names()) if word.startswith(text)]
        return self.found[number] if number < len(self.found) else None


def candidates(before: str, names: list[str] | None = None) -> list[str]:
    """The words that may follow a text: keywords in the order of the grammar, then names where one may stand."""
    parser = Parser("", before)
    driver, lexer, table = parser.driver, parser.lexer, parser.driver.table
    try:
        while True:
            driver.settle()
            terminal = lexer.next()
            if terminal == table.number["_EOF"]:
                break
            if not driver.push(terminal, lexer.value, lexer.start, lexer.end):
                return []
    except NftError:
        return []
    words = [word for number, spelt in enumerate(table.keywords) if spelt and driver.takes(number) for word in spelt]
    found = [word for word in words if word[:1].isalpha()]
    return found + (sorted(set(names or ())) if driver.takes(table.number["STRING"]) else [])


def names_of(world: World) -> list[str]:
    """The names in a world's ruleset."""
    ruleset = world.ruleset
    shelves = (ruleset.tables, ruleset.chains, ruleset.sets, ruleset.flowtables, ruleset.objects)
    return [record.name for shelf in shelves for record in shelf if not getattr(record, "anonymous", False)]
