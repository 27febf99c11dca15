"""nft, the command: options, input, and the run over it. ``run`` is what a session calls.

    argv -> options -> parse -> evaluate and apply, in one transaction -> Reply

Exit codes as nft has them: 0, 1 for whatever was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.host import profile
from tcemu.nft.compat import compatible
from tcemu.nft.errors import NftError
from tcemu.nft.names import Names
from tcemu.world import Reply, World

if TYPE_CHECKING:
    from tcemu.nft.lexer import Lexer
    from tcemu.nft.parse import Parser
    from tcemu.nft.run import Run
    from tcemu.nft.show import Out
    from tcemu.nft.tree import Command

VERSION: Final = "nftables v1.0.6 (Lester Gooch #5)\n"

# short and long names of options, and whether they take a value
OPTIONS: Final = (
    ("h", "help", False),
    ("v", "version", False),
    ("V", "", False),
    ("c", "check", False),
    ("f", "file", True),
    ("D", "define", True),
    ("i", "interactive", False),
    ("I", "includepath", True),
    ("o", "optimize", False),
    ("j", "json", False),
    ("d", "debug", True),
    ("n", "numeric", False),
    ("N", "reversedns", False),
    ("s", "stateless", False),
    ("S", "service", False),
    ("u", "guid", False),
    ("y", "numeric-priority", False),
    ("p", "numeric-protocol", False),
    ("T", "numeric-time", False),
    ("t", "terse", False),
    ("a", "handle", False),
    ("e", "echo", False),
    ("x", "", False),
    ("", "profile", True),
)


OLDEST: Final = (1, 0, 6)  # the language that is read at least; of a later nft all newer syntax is taken
LATER: Final = (1, 1)  # and its listings are those of that
DEBUG: Final = frozenset(("scanner", "parser", "eval", "netlink", "mnl", "proto-ctx", "segtree", "all"))  # accepted; nothing is told


class Options:
    """What the command line asked for."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.file = ""
        self.defines: list[str] = []
        self.includes: list[str] = []
        self.debug: list[str] = []
        self.words: list[str] = []
        self.language: tuple[int, ...] | None = None  # the version of nft

    def has(self, letter: str) -> bool:
        return letter in self.flags

    @property
    def newest(self) -> bool:
        """Is syntax taken that is newer than nft 1.0.6?"""
        return self.language is None or self.language > OLDEST


class UsageError(Exception):
    """The command line itself is wrong."""


class Abort(Exception):
    """Leave the transaction without its changes."""


def parse_options(argv: Sequence[str]) -> Options:
    """Options stand before the command; ``--`` ends them."""
    options = Options()
    words = list(argv)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(options, word[2:], words)
        else:
            _short(options, word[1:], words)
    options.words = words
    return options


def _long(options: Options, word: str, words: list[str]) -> None:
    name, equals, value = word.partition("=")
    found = [row for row in OPTIONS if row[1] == name] or [row for row in OPTIONS if row[1] and row[1].startswith(name)]
    if len(found) != 1:
        raise UsageError(f"nft: unrecognized option '--{name}'")
    letter, _long_name, takes = found[0]
    if takes:
        if not equals and not words:
            raise UsageError(f"nft: option '--{name}' requires an argument")
        _set(options, letter, value if equals else words.pop(0))
    else:
        options.flags.add(letter)


def _short(options: Options, letters: str, words: list[str]) -> None:
    for place, letter in enumerate(letters):
        row = next((row for row in OPTIONS if row[0] == letter), None)
        if row is None:
            raise UsageError(f"nft: invalid option -- '{letter}'")
        if not row[2]:
            options.flags.add(letter)
            continue
        rest = letters[place + 1 :]
        if not rest and not words:
            raise UsageError(f"nft: option requires an argument -- '{letter}'")
        _set(options, letter, rest or words.pop(0))
        return


def _set(options: Options, letter: str, value: str) -> None:
    if letter == "f":
        options.file = value
    elif letter == "D":
        options.defines.append(value)
    elif not letter:
        parts = value.removeprefix("nft-").split(".")
        if not all(part.isascii() and part.isdigit() for part in parts):
            raise UsageError(f"nft: '{value}' is no version of nft, such as 1.0.6 or 1.1")
        options.language = tuple(int(part) for part in parts)
        return
    elif letter == "I":
        options.includes.append(value)
    elif letter == "d":
        options.debug += value.split(",")
    options.flags.add(letter)


# ---------------------------------------------------------------- the run
def run(argv: Sequence[str], stdin: str, world: World) -> Reply:
    """Run nft on a world."""
    try:
        options = parse_options(argv)
    except UsageError as slip:
        return Reply(1, "", f"{slip}\n")
    if options.has("h"):
        from tcemu.nft.usage import help_text

        return Reply(0, help_text())
    if options.has("v"):
        return Reply(0, VERSION)
    if options.has("V"):
        from tcemu.nft.usage import LONG_VERSION

        return Reply(0, VERSION + LONG_VERSION)
    wrong = next((level for level in options.debug if level not in DEBUG), None)
    if wrong is not None:
        return Reply(1, "", f"invalid debug parameter `{wrong}'\n")
    if options.defines and not options.file:
        return Reply(1, "", "Error: -D/--define can only be used with -f/--filename\n")
    try:
        return _input(options, stdin, world)
    except UsageError as slip:
        return Reply(1, "", f"{slip}\n")


def _input(options: Options, stdin: str, world: World) -> Reply:
    if options.words:
        return execute(options, "", " ".join(options.words) + "\n", world)
    if options.file:
        if options.file in ("-", "/dev/stdin"):
            return execute(options, "/dev/stdin", stdin, world)
        path = Path(options.file)
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as slip:
            return Reply(1, "", f'internal:0:0-0: Error: Could not open file "{options.file}": {slip.strerror}\n\n\n')
        return execute(options, options.file, text, world)
    if options.has("i"):
        from tcemu.nft.interactive import talk

        return talk(options, stdin, world)
    return Reply(1, "", "nft: no command specified\n")


class Reading(NamedTuple):
    """What was read: commands, what was said about the text, where places are looked up, and whether anything may be done."""

    commands: list[Command]
    said: list[NftError]
    lexer: Lexer
    fatal: bool


def execute(options: Options, name: str, text: str, world: World) -> Reply:
    """Read, evaluate and apply one text. What could not be read keeps nothing of the text from being evaluated: all mistakes are told."""
    from tcemu.nft.run import Run

    if options.language is None:
        options.language = profile.of(world).nft
    runner = Run(world, output(options, world))
    runner.as_json, runner.newest, runner.missing = options.has("j"), options.newest, profile.of(world).missing
    reading = read(options, name, text)
    runner.mistakes = len(reading.said)
    if options.has("e"):
        runner.kernel.told = []
    merged, said = "", ""
    if options.has("o") and not reading.fatal:
        from tcemu.nft.optimize import optimize

        merged, said = optimize(reading.commands, reading.lexer)
    try:
        with world.transaction():
            runner.all(reading.commands)
            if reading.fatal or runner.wrong or options.has("c"):
                raise Abort
            runner.close(reading.commands)
    except Abort:
        if not reading.fatal and not runner.errors:
            with world.transaction():
                runner.kernel.keep_handles()
    wrong: list[NftError] = runner.errors if reading.fatal else runner.wrong
    stderr = "".join(error.lines(reading.lexer) for error in [*reading.said, *wrong])
    failed = reading.fatal or bool(wrong)
    shown = "" if failed else _printed(runner, echo=options.has("e") and not options.has("c"))
    return Reply(int(failed), merged + shown, said + stderr)


def read(options: Options, name: str, text: str) -> Reading:
    """The commands of a text. With ``-j`` it is JSON; what is no JSON at all is read as text, as nft does."""
    from tcemu.nft.parse import Parser

    parser = Parser(name, compatible(text), options.includes)
    parser.newest = options.newest
    if options.has("j") and text.lstrip()[:1] in ("{", "["):
        from tcemu.nft.json_reader import Unreadable, load
        from tcemu.nft.read_json import Reader

        try:
            reader = Reader(load(text))
        except Unreadable:
            pass
        else:
            said = reader.run()
            return Reading(reader.commands, said, parser.lexer, reader.fatal)
    slip = define(parser, options.defines)
    if slip:
        raise UsageError(slip.rstrip("\n"))
    parser.run()
    return Reading(parser.commands, parser.errors, parser.lexer, bool(parser.errors))


def define(parser: Parser, definitions: list[str]) -> str:
    """Define what ``-D`` gives in the file's own scope; what was wrong."""
    from tcemu.nft.parse import Parser

    for definition in definitions:
        if "=" not in definition:
            return f"Failed to define variable '{definition}'\n"
        inner = Parser("", f"define {definition}; \n")
        inner.run()
        if inner.errors:
            return "".join(error.lines(inner.lexer) for error in inner.errors)
        parser.scopes[0].update(inner.scopes[0])
    return ""


def _printed(runner: Run, echo: bool) -> str:
    """What a run listed, behind what it added where that is asked for."""
    text = "".join(runner.text)
    if echo:
        from tcemu.nft import echo as told

        text = (told.document(runner) if runner.as_json else told.lines(runner)) + text
    if runner.as_json and (runner.json or runner.listed):
        from tcemu.nft.show_json import document

        text += document(runner.json)
    return text


def output(options: Options, world: World) -> Out:
    """The options of output."""
    from tcemu.nft.show import Out

    out = Out(world.ruleset, Names(world.host), world.now())
    out.handles = options.has("a")
    out.later = options.language is not None and options.language >= LATER
    out.stateless = options.has("s")
    out.terse = options.has("t")
    out.hosts = options.has("N") and not options.has("j")
    out.services = options.has("S")
    out.guid = options.has("u")
    out.numeric_priority = options.has("y") or options.has("n")
    out.numeric_protocol = options.has("p") or options.has("n")
    out.numeric_time = options.has("T") or options.has("n")
    out.seconds = out.numeric_time
    out.numeric_symbol = options.has("n")
    return out
