"""The program: global options, batches, and the way of a command from words to reply.

    run(argv) --parse--> Command --apply (in a transaction)--> Reply
                                \\--show--> Reply

Source: iproute2 6.1 tc/tc.c (main, do_cmd), lib/utils.c (do_batch, makeargs); man tc(8).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import TcemuError
from tcemu.host import profile
from tcemu.tc import action_apply, apply, classes, friendly, qdisc, show, show_actions
from tcemu.tc.command import ActionsCommand, ChainCommand, ClassCommand, Command, FilterCommand, QdiscCommand, RecordCommand
from tcemu.tc.complaint import REFUSED, USAGE, ComplaintError, RefusalError, incomplete
from tcemu.tc.parse import parse
from tcemu.tc.parse_state import Names
from tcemu.tc.usage import usage
from tcemu.tc.writer import Options, Writer
from tcemu.world import Reply, World

if TYPE_CHECKING:
    from tcemu.tc.ledger import Ledger

TALKING: Final = "We have an error talking to the kernel\n"
QUIET: Final = Reply()  # of a command that did what it was told and has nothing to say


class Settings:
    """Global options."""

    __slots__ = ("batch", "force", "options")

    def __init__(self) -> None:
        self.options = Options()
        self.batch: str | None = None
        self.force = False


def run(argv: Sequence[str], stdin: str, world: World) -> Reply:
    """One call of tc, without the program's name in front."""
    settings = Settings()
    try:
        early, rest = read_options(list(argv), settings)
    except ComplaintError as slip:
        return Reply(slip.exit_code, "", slip.text)
    if early is not None:
        return early
    if settings.batch is not None:
        return batch(settings, stdin, world)
    if not rest:
        return Reply(0, "", usage("tc"))
    return command(rest, settings.options, world)


# option -> field counted up or switched on; in tc's order of comparison, which shortened ones follow
COUNTED: Final = (
    ("-stats", "stats"),
    ("-statistics", "stats"),
    ("-details", "details"),
    ("-raw", "raw"),
    ("-pretty", "pretty"),
    ("-graph", ""),
    ("-Version", "VERSION"),
    ("-iec", "iec"),
    ("-help", "HELP"),
    ("-force", "FORCE"),
    ("-batch", "BATCH"),
    ("-netns", "NETNS"),
    ("-Numeric", "numeric"),
    ("-names", "names"),
    ("-nm", "names"),
    ("-cf", "CONF"),
    ("-conf", "CONF"),
    ("-color", "COLOR"),
    ("-timestamp", "timestamp"),
    ("-tshort", "tshort"),
    ("-json", "json"),
    ("-oneline", "oneline"),
    ("-brief", "brief"),
)


def read_options(argv: list[str], settings: Settings) -> tuple[Reply | None, list[str]]:
    """Read the options in front; a reply if they end the call."""
    while argv and argv[0].startswith("-"):
        word = argv.pop(0)
        field = _option(word)
        if field == "VERSION":
            return Reply(0, "tc utility, iproute2-6.1.0, libbpf 1.1.2\n"), []
        if field == "HELP":
            return Reply(0, "", usage("tc")), []
        if field == "FORCE":
            settings.force = True
        elif field in ("BATCH", "NETNS", "CONF"):
            if not argv:
                if field == "BATCH":
                    return Reply(0, "", 2 * usage("tc")), []  # once for the option, once for the command that is missing
                raise incomplete()
            value = argv.pop(0)
            if field == "BATCH":
                settings.batch = value
            elif field == "NETNS":
                raise ComplaintError(f'Cannot open network namespace "{value}": No such file or directory\n', USAGE)
        elif field == "COLOR":
            settings.options = settings.options._replace(color=int(_coloured(word)))
        elif field == "tshort":
            settings.options = settings.options._replace(timestamp=1, tshort=1)
        elif field:
            settings.options = settings.options._replace(**{field: getattr(settings.options, field) + 1})
    return None, argv


COLOURED: Final = ("", "always", "auto", "never")


def _coloured(word: str) -> bool:
    """Whether ``-color[=WHEN]`` asks for colours now (lib/color.c matches_color, check_enable_color)."""
    when = word.partition("=")[2]
    if when != "auto":
        return when != "never"
    import sys

    return sys.stdout.isatty()


def _option(word: str) -> str:
    if word == "-echo":
        return ""
    for name, field in COUNTED:
        if name.startswith(word) or (field == "COLOR" and name.startswith(word.partition("=")[0]) and word.partition("=")[2] in COLOURED):
            return field
    raise ComplaintError(f'Option "{word}" is unknown, try "tc -help".\n', USAGE)


def command(words: Sequence[str], options: Options, world: World) -> Reply:
    """One command line; nothing is changed unless it succeeds."""
    names = Names(world)
    said = names.said
    if not world.strict:
        words = friendly.relaxed(words, said)
        if not words:
            return Reply(0, "", usage("tc"))
    out = Sheet(options, world)
    try:
        with world.transaction():
            perform(parse(words, names), world, out, said)
    except ComplaintError as slip:
        return Reply(slip.exit_code, out.value(), friendly.undone(said) + slip.text)
    except RefusalError as no:
        talking = "" if (words[0] and "qdisc".startswith(words[0])) or "class".startswith(words[0]) else TALKING
        return Reply(REFUSED, out.value(), friendly.undone(said) + no.text + talking)
    return Reply(0, out.value(), "".join(said))


def printer(options: Options, world: World) -> Writer:
    """A writer that knows which devices there are."""
    out = Writer(options)
    out.exists = cache(lambda name: world.host.devices.get(name) is not None)
    out.zones = profile.of(world).zones
    return out


class Sheet:
    """What a command prints: a writer, made when there is something to print."""

    __slots__ = ("options", "world", "writer")

    def __init__(self, options: Options, world: World) -> None:
        self.options = options
        self.world = world
        self.writer: Writer | None = None

    def open(self) -> Writer:
        """The writer."""
        if self.writer is None:
            self.writer = printer(self.options, self.world)
        return self.writer

    def value(self) -> str:
        """What was printed."""
        return "" if self.writer is None else self.writer.value()


def perform(wanted: Command, world: World, out: Sheet, said: list[str]) -> None:
    """Apply or show a command."""
    if isinstance(wanted, FilterCommand):
        perform_filter(wanted, world, out, said)
    elif isinstance(wanted, ChainCommand):
        if wanted.filter.verb == "list":
            show.chain_list(out.open(), world, wanted)
        elif wanted.filter.verb == "get":
            show.chain_get(out.open(), wanted, apply.find_chain(world, wanted))
        else:
            friendly.prepare(world, wanted.filter, said)
            apply.chain_modify(world, wanted)
    elif isinstance(wanted, QdiscCommand):
        if wanted.verb == "list":
            qdisc.listing(out.open(), world, wanted)
        else:
            qdisc.modify(world, wanted)
    elif isinstance(wanted, ClassCommand):
        if wanted.verb == "list":
            classes.listing(out.open(), world, wanted)
        else:
            classes.modify(world, wanted)
    elif isinstance(wanted, RecordCommand):
        from tcemu.tc.monitor_file import tell

        tell(wanted.path, world, out.open(), said)
    else:
        perform_actions(wanted, world, out, said)


def perform_filter(wanted: FilterCommand, world: World, out: Sheet, said: list[str]) -> None:
    """add, change, replace, delete, get or list."""
    if wanted.verb == "list":
        show.filter_list(out.open(), world, wanted)
    elif wanted.verb == "get":
        show.filter_get(out.open(), world, wanted, apply.find_filter(world, wanted))
    elif wanted.verb == "delete":
        apply.filter_delete(world, wanted)
    else:
        friendly.prepare(world, wanted, said)
        apply.filter_modify(world, wanted)


def _warn(said: list[str], warning: str) -> None:
    """What the kernel says though it did as it was told."""
    if warning:
        said.append(f"Warning: {warning}.\n")


def perform_actions(wanted: ActionsCommand, world: World, out: Sheet, said: list[str]) -> None:
    """Commands about actions as objects. A failed get or delete leaves tc at the word "action", which it takes for a command."""
    if wanted.verb in ("add", "change", "replace"):
        try:
            _warn(said, action_apply.modify(world, wanted))
        except RefusalError as slip:
            raise ComplaintError(slip.text + TALKING, USAGE) from None
    elif wanted.verb in ("delete", "get"):
        try:
            if wanted.verb == "get":
                show_actions.action_get(out.open(), world, wanted.names)
            else:
                action_apply.delete(world, wanted)
        except RefusalError as slip:
            raise ComplaintError(f'{slip.text}{TALKING}Command "action" is unknown, try "tc actions help".\n', USAGE) from None
    elif wanted.verb == "flush":
        try:
            _warn(said, action_apply.flush(world, wanted.names[0]))
        except RefusalError as slip:
            raise ComplaintError(f"{slip.text}We have an error flushing\n", 1) from None
    else:
        show_actions.action_list(out.open(), world, wanted.names[0].kind)


# ---------------------------------------------------------------- batches
def batch(settings: Settings, stdin: str, world: World) -> Reply:
    """Each line is a command of its own, applied at once; the first failure ends it, unless forced."""
    name = settings.batch or ""
    if name == "-":
        text = stdin
    else:
        try:
            with open(name, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError as slip:
            return Reply(1, "", f'Cannot open file "{name}" for reading: {slip.strerror}\n')
    from tcemu.tc.ledger import Ledger

    out: list[str] = []
    err: list[str] = []
    collecting = gc.isenabled()
    gc.disable()  # what a line makes is let go by counting; looking for circles in 100,000 records is not worth the time
    try:
        with world.transaction():
            code = run_lines(settings, text, Ledger(world), out, err)
    finally:
        if collecting:
            gc.enable()
    return Reply(code, "".join(out), "".join(err))


def run_lines(settings: Settings, text: str, world: Ledger, out: list[str], err: list[str]) -> int:
    """The lines of a batch; the exit code."""
    name, code = settings.batch, 0
    try:
        for number, words in lines(text):
            reply = one(words, settings.options, world)
            if reply is QUIET:
                continue
            out.append(reply.stdout)
            err.append(reply.stderr)
            if reply.exit_code:
                if reply.exit_code < 0:
                    code = -reply.exit_code
                    break
                code = 1
                err.append(f"Command failed {name}:{number}\n")
                if not settings.force:
                    break
    finally:
        world.flush()
    return code


def one(words: Sequence[str], options: Options, world: Ledger) -> Reply:
    """A line of a batch; a negative code says that tc would have left there and then."""
    names = Names(world)
    said = names.said
    if not world.strict:
        words = friendly.relaxed(words, said)
        if not words:
            return Reply()
    out = Sheet(options, world)
    try:
        perform(parse(words, names), world, out, said)  # which writes nothing unless it succeeds (`tcemu.tc.work`)
    except ComplaintError as slip:
        return Reply(-slip.exit_code if slip.dies else slip.exit_code, out.value(), friendly.undone(said) + slip.text)
    except RefusalError as no:
        return Reply(
            REFUSED,
            out.value(),
            friendly.undone(said) + no.text + ("" if "qdisc".startswith(words[0]) or "class".startswith(words[0]) else TALKING),
        )
    except TcemuError as other:
        return Reply(other.exit_code, out.value(), friendly.undone(said) + other.render())
    return QUIET if out.writer is None and not said else Reply(0, out.value(), "".join(said))


def lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and words: comments and empty lines left out, a backslash at the end joins lines, quotes hold words together."""
    number = 0
    joined = ""
    for line in text.split("\n"):
        number += 1
        body = line.split("#", 1)[0] if "#" in line else line
        if body.endswith("\\"):
            joined += body[:-1] + " "
            continue
        full, joined = joined + body, ""
        words = split(full) if '"' in full or "'" in full else full.split()
        if words:
            yield number, words


def split(line: str) -> list[str]:
    """Words of a line with quotes (makeargs): a word that begins with a quote ends at the next."""
    words, rest = [], line.strip(" \t\r\n")
    while rest:
        if rest[0] in "\"'":
            word, _, rest = rest[1:].partition(rest[0])
        else:
            end = next((place for place, char in enumerate(rest) if char in " \t\r\n"), len(rest))
            word, rest = rest[:end], rest[end:]
        words.append(word)
        rest = rest.lstrip(" \t\r\n")
    return words
