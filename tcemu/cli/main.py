"""The way in: which tool was meant, which session, and how a process of ours ends.

A tool's command (``tcemu filter add …``, ``tcemu nft …``, ``tcemu-tc …``, or a symlink named ``tc``) takes the short way: no argument
parser, nothing imported that the command does not use, because scripts call it thousands of times. All else goes to click.

Exit codes are the tool's own; 3 a session that cannot be used, 70 a defect of tcemu, 130 interrupted, 141 nobody reads the output.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from tcemu.session.session import Result, Session

TOOLS: Final = ("tc", "nft", "conntrack", "ip", "sysctl", "socket", "osf")
TC_OBJECTS: Final = ("qdisc", "class", "filter", "chain", "actions")
OURS: Final = ("replay", "trace", "explain", "lint", "diff", "offload", "scenario", "session", "bench", "monitor", "completion", "help")
HELP: Final = {"tc": "help", "ip": "help", "nft": "--help", "conntrack": "--help", "sysctl": "--help", "socket": "help", "osf": "help"}
INTERACTIVE: Final = frozenset(("-i", "--interactive"))
INTERNAL: Final = 70  # sysexits.h EX_SOFTWARE
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141  # 128 + SIGPIPE, as a shell sees a C program that wrote on
SESSION_TROUBLE: Final = 3


class Choice:
    """Which session, and how strict."""

    def __init__(self, strict: bool = False) -> None:
        self.path = os.environ.get("TCEMU_SESSION", "")
        self.namespace = ""
        self.profile = ""
        self.strict = strict or os.environ.get("TCEMU_STRICT", "") not in ("", "0")

    def file(self) -> str:
        """Where the session lies; the default one where none was named."""
        from tcemu.session.places import locate

        return locate(self.path, self.namespace)

    def exists(self) -> bool:
        """Has the session been made?"""
        return os.path.exists(self.file())

    def open(self) -> Session:
        """The session."""
        from tcemu.session.session import Session

        return Session(self.file(), strict=self.strict, profile=self.profile)


# ---------------------------------------------------------------- entry points


def main() -> NoReturn:
    """``tcemu``, whatever it is called."""
    name = os.path.basename(sys.argv[0]).removeprefix("tcemu-")
    if name in TOOLS:
        leave(lambda: tool(name, sys.argv[1:], Choice(strict=True)))
    leave(lambda: dispatch(sys.argv[1:]))


def tc() -> NoReturn:
    """``tcemu-tc``."""
    leave(lambda: tool("tc", sys.argv[1:], Choice(strict=True)))


def nft() -> NoReturn:
    """``tcemu-nft``."""
    leave(lambda: tool("nft", sys.argv[1:], Choice(strict=True)))


def conntrack() -> NoReturn:
    """``tcemu-conntrack``."""
    leave(lambda: tool("conntrack", sys.argv[1:], Choice(strict=True)))


def leave(body: Callable[[], int]) -> NoReturn:
    """Run a command and end the process at once: taking the interpreter apart would cost 10 ms and give nothing."""
    code = guarded(body)
    sys.stderr.flush()
    os._exit(code)


def dispatch(argv: list[str]) -> int:
    """Take tcemu's own options off the front and find out what was meant."""
    choice = Choice()
    if argv[:1] == ["--complete"] and len(argv) > 1:
        from tcemu.cli.completing import candidates

        write("".join(f"{word}\n" for word in candidates(argv[1], argv[2:], choice)))
        return 0
    rest = read_options(argv, choice)
    if rest is None:
        return version()
    word = rest[0] if rest else ""
    if word in TOOLS:
        return tool(word, rest[1:], choice)
    if word == "help" and len(rest) == 2 and (rest[1] in TOOLS or tc_object(rest[1])):
        asked = rest[1]
        return tool(asked, [HELP[asked]], choice) if asked in TOOLS else tool("tc", [asked, "help"], choice)
    if word.startswith("-") and word not in ("-h", "--help"):
        return tool("tc", rest, choice)  # tc's options may stand in front of the object
    if word and word not in OURS and tc_object(word):
        return tool("tc", rest, choice)
    from tcemu.cli.app import run

    return run(rest, choice)


def read_options(argv: list[str], choice: Choice) -> list[str] | None:
    """What is left behind tcemu's own options; None when only the version was asked for."""
    at = 0
    while at < len(argv):
        word, _, value = argv[at].partition("=")
        if word in ("--version", "-V"):
            return None
        if word == "--strict":
            choice.strict = True
        elif word in ("-n", "-netns", "--namespace", "--session", "--profile", "--tz"):
            if not value:
                at += 1
                if at == len(argv):
                    raise usage(f"{word} needs a name")
                value = argv[at]
            if word == "--session":
                choice.path = value
            elif word == "--profile":
                choice.profile = value
            elif word == "--tz":
                live_in(value)
            else:
                choice.namespace = value
        else:
            break
        at += 1
    return argv[at:]


def tc_object(word: str) -> bool:
    """Is the word one of tc's objects, or the beginning of one and of none of our commands?"""
    if word in TC_OBJECTS or word == "action":
        return True
    return any(name.startswith(word) for name in TC_OBJECTS) and not any(name.startswith(word) for name in (*OURS, *TOOLS))


def live_in(zone: str) -> None:
    """Times of day and dates are those of a time zone, as TZ says it for nft. Raises TcemuError for one that is not known."""
    import re
    import time
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):  # not in the data base; a POSIX rule such as CET-1CEST is taken, too
        if not re.fullmatch(r"(<[+\-\w]{3,}>|[A-Za-z]{3,})[+-]?\d.*", zone):
            raise usage(f"{zone!r} is no time zone") from None
    os.environ["TZ"] = zone
    time.tzset()


def version() -> int:
    """``tcemu --version``."""
    from tcemu import __version__, form

    write(f"tcemu {__version__}, engine {form.name()}\n")
    return 0


# ---------------------------------------------------------------- the short way


def tool(name: str, argv: list[str], choice: Choice) -> int:
    """One command of a tool."""
    gc.set_threshold(50_000, 20, 20)  # a command makes little garbage and much that lives as long as it does
    light_imports()
    for word in argv:
        if not word.isascii():
            word.encode()  # raises for bytes that are no UTF-8, which no name or value of a ruleset can hold
    if name in ("tc", "ip"):
        argv = own_namespace(argv, choice)
    with choice.open() as session:
        if name == "nft" and INTERACTIVE & set(argv) and sys.stdin.isatty():
            return conversation(session, [word for word in argv if word not in INTERACTIVE])
        if name == "nft" and any("monitor" in word for word in argv):
            followed = monitored(session, argv)
            if followed is not None:
                return followed
        if name == "tc" and any(word.startswith("m") for word in argv):
            tc_monitored(session, argv)
        run: Callable[..., Result] = getattr(session, name)
        result = run(argv, stdin=standard_input(argv))
    if result.stdout:
        write(result.stdout)
    if result.stderr:
        sys.stdout.flush()
        sys.stderr.write(result.stderr)
    return result.exit_code


def conversation(session: Session, options: list[str]) -> int:
    """``nft -i`` at a terminal."""
    from tcemu.nft.interactive import converse, names_of
    from tcemu.world import Reply

    return converse(lambda line: Reply(*session.nft([*options, line])), lambda: names_of(session))


def monitored(session: Session, argv: list[str]) -> int | None:
    """``nft monitor``, which ends when it is interrupted; None if the command is another one after all."""
    from tcemu.nft.commands import UsageError
    from tcemu.nft.monitor import asked, follow, wants_trace
    from tcemu.session.watching import changes

    try:
        options = asked(argv)
    except UsageError:
        return None
    if options is None:
        return None
    if wants_trace(options):
        from tcemu.session.traceline import listen

        listen(session, write_now)
        return 0
    reply = follow(session, options, changes(session), write_now)
    return complain(reply.stderr, reply.exit_code)


def tc_monitored(session: Session, argv: list[str]) -> None:
    """``tc monitor``, which ends when it is interrupted; comes back if the command is another one after all."""
    from tcemu.session.watching import changes
    from tcemu.tc.monitor import asked, follow

    settings = asked(argv)
    if settings is not None:
        follow(session, settings.options, changes(session), write_now)


def own_namespace(argv: list[str], choice: Choice) -> list[str]:
    """``-n NAME`` of tc and ip names a session of ours if there is one; the tool itself complains if not."""
    for at, word in enumerate(argv):
        if not word.startswith("-"):
            break
        if word in ("-b", "-batch", "-cf", "-conf", "-f", "-family"):
            break
        if word in ("-n", "-net", "-netn", "-netns") and at + 1 < len(argv):
            from tcemu.session.places import locate

            if os.path.exists(locate(choice.path, argv[at + 1])):
                choice.namespace = argv[at + 1]
                return argv[:at] + argv[at + 2 :]
            break
    return argv


def standard_input(argv: list[str]) -> str:
    """Standard input, where a word says that it will be read."""
    if any(word == "-" or word in (*INTERACTIVE, "-f-", "--file=-") for word in argv):
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return ""


def light_imports() -> None:
    """Import msgspec without `typing_extensions`, which it asks for, can do without, and which costs 8 ms."""
    if "msgspec" not in sys.modules and "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        try:
            import msgspec  # noqa: F401
        finally:
            del sys.modules["typing_extensions"]


def write(text: str) -> None:
    """Text to standard output, bytes that were no UTF-8 as they came."""
    sys.stdout.flush()
    left = memoryview(text.encode("utf-8", "surrogateescape"))
    while left:  # under PYTHONUNBUFFERED a write to a pipe takes what fits
        left = left[sys.stdout.buffer.write(left) :]


def write_now(text: str) -> None:
    """Text that somebody waits for."""
    write(text)
    sys.stdout.buffer.flush()


# ---------------------------------------------------------------- how it ends


def guarded(body: Callable[[], int]) -> int:
    """Run a command; whatever happens ends in a sentence and an exit code, never in a traceback."""
    try:
        code = body()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer goes nowhere
        return NOBODY_READS
    except UnicodeEncodeError as slip:
        if os.environ.get("TCEMU_DEBUG") == "1":
            raise
        return complain(f"error: a word is not UTF-8: {slip.object!r}\n", 1)
    except Exception as slip:
        from tcemu.diagnostics import TcemuError

        if isinstance(slip, TcemuError):
            return complain(slip.render(), slip.exit_code)
        if os.environ.get("TCEMU_DEBUG") == "1":
            raise
        return complain(
            f"tcemu: internal error: {type(slip).__name__}: {slip}\nhint: this is a defect of tcemu; TCEMU_DEBUG=1 shows where it happened\n",
            INTERNAL,
        )


def complain(text: str, code: int) -> int:
    """A last word on standard error."""
    try:
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return code


def usage(sentence: str) -> Exception:
    """A command line that tcemu itself cannot read."""
    from tcemu.diagnostics import Diagnostic, TcemuError

    return TcemuError(sentence, (Diagnostic(sentence, hint="see tcemu --help"),), exit_code=2)
