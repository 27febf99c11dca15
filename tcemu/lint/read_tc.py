"""Lines of tc and ip: each is done by the front end that `tcemu tc` and `tcemu ip` are, keeping which line made which filter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from tcemu.diagnostics import Span, TcemuError
from tcemu.lint.subject import Call, Subject, TcLine

MISSING: Final = re.compile(r'Cannot find device "([^"]+)"')


def load_batch(subject: Subject, path: str, content: str, kind: str) -> None:
    """Read a file of lines without the tool's name (``tc -batch``, ``ip -batch``), or with it."""
    import shlex

    from tcemu.lint.reading import spot

    held, first = "", 0
    for number, raw in enumerate(content.split("\n"), 1):
        line = held + raw
        first = first or number
        if line.endswith("\\"):
            held = line[:-1] + " "
            continue
        held, start, first = "", first, 0
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        span = spot(path, start, subject.texts[path][start - 1])
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        tool = words[0] if words and words[0] in ("tc", "ip", "nft") else kind
        line_of(subject, tool, words[1:] if words and words[0] == tool else words, span)


def line_of(subject: Subject, tool: str, words: Sequence[str], span: Span) -> None:
    """Do one line of tc or ip."""
    subject.calls.append(Call(tool, tuple(words), span))
    if tool == "ip":
        _ip(subject, words)
    elif tool == "tc" and words:
        _tc(subject, words, span)


def _ip(subject: Subject, words: Sequence[str]) -> None:
    """A command of ip; on a machine that nobody described, devices that it names are made, and gateways are taken to be near."""
    from tcemu.host.devices import ensure
    from tcemu.host.ip.commands import run

    given = list(words)
    for _ in range(6):
        try:
            said = run(given, "", subject.world)[2]
        except (TcemuError, AttributeError):
            return
        missing = MISSING.search(said)
        if subject.known_host or not said:
            return
        if missing is not None:
            if not ensure(subject.host, missing[1]):
                return
        elif "gateway" in said and "nexthop" in given:
            _several(subject, given)
            return
        elif "gateway" in said and "onlink" not in given:
            given = [
                part
                for number, word in enumerate(given)
                for part in ((word, "onlink") if number and given[number - 1] == "dev" else (word,))
            ]
        else:
            return


def _several(subject: Subject, words: Sequence[str]) -> None:
    """A default route over several next hops, whose gateways the script leaves to be found."""
    from tcemu.host import routes
    from tcemu.host.model import Hop, Route

    hops = tuple(Hop(number, words[at + 1]) for number, at in enumerate(range(len(words) - 1), 1) if words[at] == "dev")
    if hops and "default" in words:
        routes.add(subject.host, Route(key="", parent="4", device=hops[0].device, hops=hops))


def _tc(subject: Subject, words: Sequence[str], span: Span) -> None:
    """A command of tc; queries and statistics are passed over."""
    from tcemu.tc import friendly
    from tcemu.tc.commands import Sheet, perform
    from tcemu.tc.complaint import ComplaintError
    from tcemu.tc.parse import parse
    from tcemu.tc.parse_state import Names
    from tcemu.tc.writer import Options

    given = list(words)
    while given and given[0].startswith("-"):
        given.pop(0)
    if not given or (len(given) > 1 and given[1] in ("show", "list", "ls", "help")):
        return
    names = Names(subject.world)
    command: Any = None
    error, refused, key = "", False, ""
    try:
        command = parse(friendly.relaxed(given, names.said), names)
        perform(command, subject.world, Sheet(Options(), subject.world), names.said)
    except ComplaintError as slip:
        error = slip.text.strip() or str(slip)
    except TcemuError as slip:
        error, refused = str(getattr(slip, "message", "")) or str(slip), True
    watched = getattr(subject.world, "watched", None)
    for fresh in watched.take() if watched is not None else ():
        key = fresh
        subject.places.setdefault(fresh, span)
    if command is not None and not key and getattr(command, "verb", "") in ("replace", "change"):
        key = _existing(subject, command)
        if key:
            subject.places[key] = span
    if refused and "skip_sw" in given and error == "Operation not supported" and not subject.known_host:
        _tc(subject, [word for word in given if word != "skip_sw"], span)  # nobody said what the device can do: it is taken to take it
        made = subject.tc.pop()
        subject.hardware.add(made.key)
        command, error, refused, key = made.command, made.error, made.refused, made.key
    subject.tc.append(TcLine(span, tuple(given), command, error, refused, key))


def _existing(subject: Subject, command: Any) -> str:
    from tcemu.tc.apply import find_filter
    from tcemu.tc.command import FilterCommand

    if not isinstance(command, FilterCommand) or not command.handle:
        return ""
    try:
        return find_filter(subject.world, command)[3].key
    except TcemuError:
        return ""
