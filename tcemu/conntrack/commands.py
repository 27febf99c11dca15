"""The `conntrack` tool: parse, select, do, show. Texts and exit codes are those of conntrack-tools 1.4.7.

It works on rows (`tcemu.conntrack.record`), so that a command reads and writes only what it must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from tcemu.conntrack import expected as waiting
from tcemu.conntrack import formats, make, show
from tcemu.conntrack.entry import CONFIRMED, EXPECTED, NAT_CLASH, OFFLOADED, Entry
from tcemu.conntrack.expect import ADDED, CLASH, Expectations
from tcemu.conntrack.help import HELP
from tcemu.conntrack.labels import OF_ENTRY
from tcemu.conntrack.record import EntryRecord, ExpectationRecord, expectation_record, from_record, to_record
from tcemu.conntrack.request import NAME, ComplaintError, Request, parse
from tcemu.conntrack.select import matches
from tcemu.conntrack.stats import Stats
from tcemu.conntrack.tuples import ICMP, ICMPV6
from tcemu.conntrack.words import LOAD, OWN_OPTIONS
from tcemu.shelf import Shelf
from tcemu.world import Reply

OUT_OF_RANGE: Final = "Numerical result out of range"


class Tracked(Protocol):
    """What the command works on: rows of connections, a clock, a transaction. A session is one.

    A world that has kept them may also have ``tracker_stats`` (`Stats`), for -S.
    """

    @property
    def connections(self) -> Shelf[EntryRecord]:
        """The connection table."""

    @property
    def expectations(self) -> Shelf[ExpectationRecord]:
        """What they expect."""

    def now(self) -> int:
        """ns since 1970."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing."""


def run(argv: Sequence[str], stdin: str, world: Tracked) -> Reply:
    """Run one command line (argv without the program's name)."""
    try:
        if len(argv) > 1 and argv[0] in LOAD:
            return _load(argv[1], stdin, world)
        request = parse(list(argv))
        command = request.command or "h"
    except ComplaintError as complaint:
        return Reply(complaint.exit_code, "", complaint.text)
    try:
        with world.transaction() if command in "DIUF" or "zero" in request.given else nullcontext():
            reply = _DO[command](request, world)
    except ComplaintError as complaint:
        reply = Reply(complaint.exit_code, "", complaint.text)
    return reply._replace(stderr=request.warnings + reply.stderr) if request.warnings else reply


def _load(path: str, stdin: str, world: Tracked) -> Reply:
    """-R: lines of -I, -A, -U, -D and -F from a file (``-``: standard input). All are read before the first is done; none says how many."""
    try:
        with nullcontext() if path == "-" else open(path, encoding="utf-8", errors="replace") as file:
            lines = (stdin if file is None else file.read()).splitlines()
    except OSError:
        raise ComplaintError(f"Failed to open file {path} for reading") from None
    requests = []
    for line in lines:
        words = split(line)
        if not any(word.startswith("-") for word in words):
            continue
        request = parse(words)
        command = request.command or "h"
        if command not in "DIUF":
            raise ComplaintError(f"Cannot use command `-{command}' with --load-file")
        requests.append(request)
    out, err = "", ""
    with world.transaction():
        for request in requests:
            try:
                reply = _DO[request.command](request, world)
            except ComplaintError as complaint:
                return Reply(complaint.exit_code, out, err + complaint.text)
            out += reply.stdout.removeprefix(formats.XML_HEAD).removesuffix(formats.XML_TAIL)
            err += reply.stderr if request.command == "F" else ""
    return Reply(0, out, err)


def split(line: str) -> list[str]:
    """A line of a file as arguments."""
    from shlex import split as words

    try:
        return words(line)
    except ValueError:
        return line.split()


def alive(world: Tracked, now: int) -> list[Entry]:
    """Connections that a dump shows: confirmed, not expired, in the order in which they began."""
    entries = [from_record(record) for record in world.connections]
    return [
        entry
        for entry in sorted(entries, key=lambda entry: int(entry.id))
        if entry.status & CONFIRMED and not entry.status & NAT_CLASH and (entry.expires > now or entry.status & OFFLOADED)
    ]


def expected(world: Tracked, now: int) -> list[ExpectationRecord]:
    """Expectations that have not timed out."""
    return [one for one in world.expectations if one.expires > now or not one.expires]


def told(count: int, done: str) -> str:
    """What the tool says on stderr when it is through."""
    return f"{NAME}: {count} flow entries have been {done}.\n"


def _lines(entries: list[Entry], now: int, request: Request) -> str:
    """Connections in the format that -o names; `save` writes what undoes or repeats a -D or -U."""
    labels = request.label_map if request.command != "D" else None  # what was deleted is told without
    if "xml" in request.output:
        body = "".join(formats.xml(entry, now, labels) + "\n" for entry in entries)
        return formats.XML_HEAD + body + formats.XML_TAIL if entries else ""
    if "save" in request.output:
        letter = {"D": "-D", "U": "-U"}.get(request.command, "-A")
        return "".join(formats.save(entry, now, letter) + "\n" for entry in entries)
    output = show.Output("extended" in request.output, "id" in request.output, "ktimestamp" in request.output, labels)
    return "".join(show.line(entry, now, output) + "\n" for entry in entries)


def _list(request: Request, world: Tracked) -> Reply:
    now = world.now()
    if request.table == "expect":
        waited = [one for one in expected(world, now) if (request.family or 4) == one.family]
        text = waiting.text(waited, masters(world, now) if waited else {}, now, request.output)
        return Reply(0, text, _counted(len(waited)))
    if "status" in request.given and not request.status and not request.unreplied:
        raise ComplaintError("Operation failed: invalid parameters", 1)
    found = [entry for entry in alive(world, now) if matches(request, entry, now)] if request.table == "conntrack" else []
    text = _lines(found, now, request)
    if "zero" in request.given:
        for entry in found:
            entry.orig_packets = entry.orig_bytes = entry.reply_packets = entry.reply_bytes = 0
            world.connections.put(to_record(entry))
    return Reply(0, text, told(len(found), "shown"))


def _counted(count: int) -> str:
    return f"{NAME}: {count} expectations have been shown.\n"


def masters(world: Tracked, now: int) -> dict[int, Entry]:
    """Connections by number."""
    return {int(entry.id): entry for entry in alive(world, now)}


def _awaited(request: Request, world: Tracked, now: int) -> tuple[ExpectationRecord, dict[int, Entry]]:
    """The expectation that -G and -D mean."""
    known = masters(world, now)
    found = waiting.find(expected(world, now), known, request)
    if found is None:
        raise ComplaintError("Operation failed: No such file or directory", 1)
    return found, known


def _await(request: Request, world: Tracked, now: int) -> Reply:
    """-I expect: ctnetlink_create_expect."""
    rows = expected(world, now)
    known = masters(world, now)
    found = list(known.values())
    new = waiting.made(request, waiting.master_of(found, request), now)
    table = Expectations()
    table.all = [waiting.expectation(row, known[row.master]) for row in rows if row.master in known]
    if any(one.fits(new.tuple, new.family, new.proto, 0) for one in table.all):
        raise ComplaintError("Operation failed: File exists", 1)
    code = table.relate(new, waiting.policy(new.master)[0], 1 << 30)
    if code != ADDED:
        raise ComplaintError(f"Operation failed: {'Device or resource busy' if code == CLASH else 'Too many open files'}", 1)
    for row in list(world.expectations):
        world.expectations.delete(row.key)
    for rank, one in enumerate(table.all, 1):
        world.expectations.put(expectation_record(one, rank))
    return Reply(0, "", "")


def _forget(world: Tracked, ended: set[int]) -> None:
    """What connections expected that are no more (nf_ct_remove_expectations)."""
    for row in list(world.expectations):
        if row.master in ended:
            world.expectations.delete(row.key)


def _get(request: Request, world: Tracked) -> Reply:
    if request.table == "expect":
        now = world.now()
        one, known = _awaited(request, world, now)
        return Reply(0, waiting.line(one, known.get(one.master), now) + "\n", "")
    if "src" not in request.addresses:
        raise ComplaintError("Operation failed: invalid parameters", 1)
    now = world.now()
    wanted = make.entry_of(request)
    found = make.find(alive(world, now), wanted)
    if found is None:
        raise ComplaintError("Operation failed: such conntrack doesn't exist", 1)
    if not found.has_orig(wanted.orig) or not matches(request, found, now):
        return Reply(1, "", told(0, "shown"))  # found by its reply tuple, which the tool then compares with the original one
    return Reply(0, _lines([found], now, request), told(1, "shown"))


def _delete(request: Request, world: Tracked) -> Reply:
    now = world.now()
    if request.table == "expect":
        world.expectations.delete(_awaited(request, world, now)[0].key)
        return Reply(1, "", _counted(0))  # the tool counts wrong here
    found = [entry for entry in alive(world, now) if matches(request, entry, now)]
    for entry in found:
        world.connections.delete(str(entry.id))
    _forget(world, {int(entry.id) for entry in found})
    return Reply(0 if found else 1, _lines(found, now, request), told(len(found), "deleted"))


def _create(request: Request, world: Tracked) -> Reply:
    now = world.now()
    if request.table == "expect":
        return _await(request, world, now)
    if (request.proto, request.family) in ((ICMP, 6), (ICMPV6, 4)):
        raise ComplaintError("Operation failed: invalid parameters", 1)
    if request.status & EXPECTED:
        raise ComplaintError("Operation failed: Device or resource busy", 1)
    if request.labels.get("label-add", 0) >> OF_ENTRY:
        raise ComplaintError(f"Operation failed: {OUT_OF_RANGE}", 1)
    entries = alive(world, now)
    entry = make.entry_of(request)
    if make.find(entries, entry) is not None:
        if request.adds:
            return Reply(0, "", told(0, "added"))
        raise ComplaintError("Operation failed: Such conntrack exists, try -U to update", 1)
    if make.half_reply(request) and request.proto in OWN_OPTIONS:  # then the reply has no ports
        raise ComplaintError("Operation failed: invalid parameters", 1)
    entry.id = max((record.rank for record in world.connections), default=0) + 1
    entry.acct, entry.stamped = _is_on(world, "acct"), _is_on(world, "timestamp")
    make.begin(entry, request, now)
    world.connections.put(to_record(entry))
    return Reply(0, "", told(1, "added" if request.adds else "created"))


def _is_on(world: Tracked, name: str) -> bool:
    """A switch of net.netfilter.nf_conntrack_*, of a world that has sysctls."""
    host = getattr(world, "host", None)
    kept = host.sysctls.get(f"net.netfilter.nf_conntrack_{name}") if host is not None else None
    return kept is not None and kept.value.strip() not in ("", "0")


def _update(request: Request, world: Tracked) -> Reply:
    now = world.now()
    found = [entry for entry in alive(world, now) if matches(make.filter_of(request), entry, now)]
    found = [entry for entry in found if make.changes(entry, request, now)]
    if found and not request.family:  # the tool sends no family then, and the kernel wants one
        return _failed("Operation not supported")
    if found and request.labels.get("label-add", 0) >> OF_ENTRY:
        return _failed(OUT_OF_RANGE)
    for entry in found:
        make.change(entry, request, now)
        world.connections.put(to_record(entry))
    return Reply(0 if found else 1, _lines(found, now, request), told(len(found), "updated"))


def _failed(why: str) -> Reply:
    """What -U says of the first connection that the kernel would not change."""
    return Reply(1, "", f"Operation failed: {why}\n{NAME}: Operation failed: {why}\n")


def _flush(request: Request, world: Tracked) -> Reply:
    if request.table == "expect":
        for row in list(world.expectations):
            world.expectations.delete(row.key)
        return Reply(0, "", f"{NAME}: expectation table has been emptied.\n")
    ended = list(world.connections)  # -f does not matter: the tool's messages are of version 0, with which the kernel does not look at it
    for record in ended:
        world.connections.delete(record.key)
    _forget(world, {record.rank for record in ended})
    return Reply(0, "", f"{NAME}: connection tracking table has been emptied.\n")


def _count(request: Request, world: Tracked) -> Reply:
    return Reply(0, f"{len(expected(world, world.now()) if request.table == 'expect' else alive(world, world.now()))}\n", "")


def _statistics(request: Request, world: Tracked) -> Reply:
    stats = getattr(world, "tracker_stats", None)
    stats = stats if isinstance(stats, Stats) else Stats()
    if request.table == "expect":
        counts = {name: getattr(stats, name) for name in ("expect_new", "expect_create", "expect_delete")}
        return Reply(0, "cpu=0   \t" + "".join(f"{name}={count} " for name, count in counts.items()) + "\n", "")
    counts = {
        "found": stats.found,
        "invalid": stats.invalid,
        "insert": stats.insert,
        "insert_failed": stats.insert_failed,
        "drop": stats.drop,
        "early_drop": stats.early_drop,
        "error": stats.error,
        "search_restart": 0,
        "clash_resolve": stats.clash_resolve,
        "chaintoolong": 0,
    }
    return Reply(0, "cpu=0   \t" + "".join(f"{name}={count} " for name, count in counts.items()) + "\n", "")


def _events(request: Request, world: Tracked) -> Reply:
    """Events come with packets: those of the captures that --in names, played through the session's ruleset."""
    play = getattr(world, "replay", None)
    if not request.inputs or play is None:
        raise ComplaintError(
            "Operation failed: events come with packets, and none are on their way (see --in, and tcemu replay --events)", 1
        )
    from tcemu.conntrack.events import EventLog, ExpectLog

    lines: list[str] = []
    if request.table == "expect":
        waiting_log = ExpectLog(request, lines.append)
        play(request.inputs, expect_watcher=waiting_log)
        end = waiting_log.finish()
    else:
        log = EventLog(request, lines.append)
        play(request.inputs, watcher=log)
        end = log.finish()
    return Reply(0, "".join(lines), end)


def _version(request: Request, world: Tracked) -> Reply:
    return Reply(0, f"{NAME}\n", "")


def _help(request: Request, world: Tracked) -> Reply:
    return Reply(0, HELP, "")


_DO: Final[dict[str, Callable[[Request, Tracked], Reply]]] = {
    "L": _list,
    "G": _get,
    "D": _delete,
    "I": _create,
    "U": _update,
    "F": _flush,
    "C": _count,
    "S": _statistics,
    "E": _events,
    "V": _version,
    "h": _help,
}
