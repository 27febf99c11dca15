"""`sysctl`: the settings of the session's machine that change what becomes of packets.

Known are those that the engine heeds; others can be written, are kept, and change nothing (it is said). Source: sysctl(8), sysctl.conf(5),
procps 4.0.2 for the words and exit codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tcemu.conntrack.settings import BY_NAME, Settings
from tcemu.diagnostics import Diagnostic, TcemuError, near
from tcemu.host import sysctls
from tcemu.world import Reply

if TYPE_CHECKING:
    from tcemu.host.model import Host
    from tcemu.session.session import Session

USAGE: Final = """
Usage:
 sysctl [options] [variable[=value] ...]

Options:
  -a, --all            display all variables
      --dry-run        print the key and values but do not write
  -b, --binary         print value without new line
  -e, --ignore         ignore unknown variables errors
  -N, --names          print variable names without values
  -n, --values         print only values of the given variable(s)
  -p, --load[=<file>]  read values from file
  -f                   alias of -p
  -r, --pattern <expression>
                       select setting that match expression
  -q, --quiet          do not echo variable set
  -w, --write          enable writing a value to variable

  -h, --help           display this help and exit
  -V, --version        output version information and exit
"""
LONG: Final = {
    "all": "a", "dry-run": "D", "binary": "b", "ignore": "e", "names": "N", "values": "n", "load": "p", "pattern": "r", "quiet": "q", "write": "w",
    "help": "h", "version": "V",
}  # fmt: skip
SAME: Final = {"A": "a", "X": "a", "f": "p", "d": "h"}  # letters that mean another
NOTHING: Final = "ox"  # letters that are taken and do nothing
FILE: Final = "/etc/sysctl.conf"


def run(argv: Sequence[str], stdin: str, session: Session) -> Reply:
    """Run one command line (without the leading ``sysctl``)."""
    options, values, words, wrong = _options(list(argv))
    if wrong:
        return Reply(1, "", f"sysctl: {wrong}\n{USAGE}")
    if "h" in options:
        return Reply(0, USAGE)
    if "V" in options:
        return Reply(0, "sysctl of tcemu\n")
    if not words and not {"a", "p"} & options.keys():
        return Reply(1, "", USAGE)
    call = Call(session, options)
    if "a" in options:
        call.list(values.get("r", ""))
    elif "p" in options:
        for path in words or [FILE]:
            call.load(path, stdin)
    else:
        with session.transaction():
            for word in words:
                call.word(word, "command line(0)")
    return Reply(call.code, "".join(call.out), "".join(call.err))


def _options(argv: list[str]) -> tuple[dict[str, bool], dict[str, str], list[str], str]:
    """Letters, their values, the other words, and what is wrong."""
    options: dict[str, bool] = {}
    values: dict[str, str] = {}
    words: list[str] = []
    while argv:
        word = argv.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, _, value = word[2:].partition("=")
            if name not in LONG:
                return options, values, words, f"unrecognized option '--{name}'"
            letters, rest = LONG[name], value
        elif word.startswith("-") and len(word) > 1:
            letters, rest = word[1:], ""
        else:
            words.append(word)
            continue
        for at, given in enumerate(letters):
            letter = SAME.get(given, given)
            if letter not in LONG.values() and letter not in NOTHING:
                return options, values, words, f"invalid option -- '{given}'"
            options[letter] = True
            if letter == "r":
                values["r"] = letters[at + 1 :] or rest or (argv.pop(0) if argv else "")
                if not values["r"]:
                    return options, values, words, "option requires an argument -- 'r'"
                break
            if letter == "p" and rest:
                words.append(rest)
    return options, values, words, ""


class Call:
    """One command: what it said, and its exit code."""

    def __init__(self, session: Session, options: dict[str, bool]) -> None:
        self.session = session
        self.options = options
        self.code = 0
        self.out: list[str] = []
        self.err: list[str] = []

    def list(self, pattern: str) -> None:
        """All that are known or were written."""
        host = self.session.host
        try:
            wanted = re.compile(pattern)
        except re.error as slip:
            self._fail(f"could not compile: {pattern}: {slip}")
            return
        names = {*sysctls.DEFAULTS, *BY_NAME, *sysctls.SAME, *(one.key for one in host.sysctls)}
        for name in sorted(names):
            value = value_of(host, name)
            if value is not None and wanted.search(name):
                self._show(name, value)

    def load(self, path: str, stdin: str) -> None:
        """The lines of a file, all of them or, if it cannot be read, none."""
        try:
            text = stdin if path == "-" else open(path, encoding="utf-8", errors="surrogateescape").read()  # noqa: SIM115
        except OSError as slip:
            self._fail(f'cannot open "{path}": {slip.strerror}')
            return
        with self.session.transaction():
            for number, line in _lines(text):
                self.word(line.removeprefix("-"), f"{path}({number})", read=False, unknown=line.startswith("-"))

    def word(self, word: str, place: str, read: bool = True, unknown: bool = False) -> None:
        """NAME shows, NAME=VALUE writes."""
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals and (not read or "w" in self.options):
            self._fail(f"{place}: invalid syntax, continuing...")
        elif equals:
            self._write(name, value, unknown)
        else:
            found = value_of(self.session.host, name)
            if found is not None:
                self._show(name.replace("/", "."), found)
            elif "e" not in self.options:
                self._fail(f"cannot stat /proc/sys/{name.replace('.', '/')}: No such file or directory")

    def _write(self, name: str, value: str, unknown: bool) -> None:
        try:
            heeded = write(self.session.host, name, value, dry="D" in self.options)
        except TcemuError as slip:
            if not unknown and "e" not in self.options:
                self.code = 1
                self.err.append(slip.render())
            return
        if not heeded and not self.session.strict:
            self.err.append(f"tcemu: {name} is kept and changes nothing here\n")
        if "q" not in self.options:
            self._show(name.replace("/", "."), value)

    def _show(self, name: str, value: str) -> None:
        if "N" in self.options:
            self.out.append(f"{name}\n")
        elif "b" in self.options:
            self.out.append(value)
        else:
            self.out.append(f"{value}\n" if "n" in self.options else f"{name} = {value}\n")

    def _fail(self, sentence: str) -> None:
        self.code = 1
        self.err.append(f"sysctl: {sentence}\n")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """What stands in a file of settings, with its line's number."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line and line[0] not in "#;":
            yield number, line


def value_of(host: Host, name: str) -> str | None:
    """What a setting is; None where nobody knows it."""
    plain = sysctls.dotted(name)
    found = sysctls.value_of(host, plain)
    if found is None and plain in BY_NAME:
        found = str(Settings().get(plain))
    return found


def write(host: Host, name: str, value: str, dry: bool = False) -> bool:
    """Write a setting; False where it is one that the engine does not heed. Raises TcemuError for what the kernel would not take."""
    plain = sysctls.dotted(name)
    known = plain in BY_NAME
    if (known or "nf_" in plain) and not Settings().set(plain, value):
        guess = near(plain, BY_NAME)
        hint = f"did you mean {guess}?" if guess and guess != plain else ""
        sentence = f"{plain} cannot be set to {value!r}" if known else f"there is no setting {plain}"
        raise TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=2)
    if plain in sysctls.DEFAULTS and not re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)", value):
        sentence = f"{plain} cannot be set to {value!r}"
        raise TcemuError(sentence, (Diagnostic(sentence, hint="it is a number"),), exit_code=2)
    if not dry:
        sysctls.put(host, plain, value)
    return known or plain in sysctls.DEFAULTS
