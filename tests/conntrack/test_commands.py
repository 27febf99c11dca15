"""The `conntrack` command line against runs of the real tool (commands.txt), and what only a session shows."""

from __future__ import annotations

import re
import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tcemu.conntrack.commands import run
from tcemu.conntrack.entry import ASSURED, OFFLOADED, SEEN_REPLY
from tcemu.conntrack.expect import Expectation
from tcemu.conntrack.record import EntryRecord, ExpectationRecord, expectation_record, from_record, to_record
from tcemu.shelf import MemoryShelf
from tcemu.world import Reply

CORPUS = Path(__file__).with_name("commands.txt")
TOOL = "conntrack v1.4.7 (conntrack-tools): "
TRY = "Try `conntrack -h' or 'conntrack --help' for more information.\n"
NOW = 1_700_000_000_000_000_000

TABLES = {
    "none": [],
    "two": [
        "-I -p tcp -s 1.2.3.4 -d 5.6.7.8 --sport 10 --dport 20 -t 100 --state ESTABLISHED -m 5",
        "-I -p 89 -s 1.2.3.4 -d 5.6.7.8  -t 100",
    ],
    "eight": [
        "-I -p tcp -s 1.2.3.4 -d 5.6.7.8 --sport 10 --dport 20 -t 100 --state ESTABLISHED -m 5 -w 3",
        "-I -p udp -s 1.2.3.4 -d 5.6.7.8 --sport 10 --dport 20 -t 100",
        "-I -p udp -s 9.2.3.4 -d 5.6.7.8 --sport 10 --dport 21 -t 100 --reply-zone 4",
        "-I -p udp -s 9.2.3.4 -d 5.6.7.8 -r 7.7.7.7 -q 8.8.8.8 --sport 10 --dport 22 --reply-port-src 9 --reply-port-dst 7 -t 100",
        "-I -p icmp -s 1.2.3.4 -d 5.6.7.8 --icmp-type 8 --icmp-code 0 --icmp-id 7 -t 100",
        "-I -p gre -s 1.2.3.4 -d 5.6.7.8 --srckey 5 --dstkey 6 -t 100",
        "-I -p sctp -s 1.2.3.4 -d 5.6.7.8 --sport 10 --dport 20 -t 100 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
        "-I -p tcp -s 2001:db8::1 -d 2001:db8::2 --sport 1 --dport 2 -t 100 --state SYN_SENT",
    ],
}


class World:
    """Rows in memory and a clock."""

    def __init__(self, table: str = "none") -> None:
        self._rows: MemoryShelf[EntryRecord] = MemoryShelf()
        self._expected: MemoryShelf[ExpectationRecord] = MemoryShelf()
        self.time = NOW
        for line in TABLES[table]:
            assert self.run(line).exit_code == 0, line
        for record in list(self._rows):
            entry = from_record(record)
            entry.acct = False
            self._rows.put(to_record(entry))
        self.time += 300_000_000

    @property
    def connections(self) -> MemoryShelf[EntryRecord]:
        return self._rows

    @property
    def expectations(self) -> MemoryShelf[ExpectationRecord]:
        return self._expected

    def now(self) -> int:
        return self.time

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, line: str) -> Reply:
        return run(shlex.split(line), "", self)


def sections() -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Runs of commands that share a table: (table, [(command line, wanted lines)])."""
    out: list[tuple[str, list[tuple[str, list[str]]]]] = []
    for line in CORPUS.read_text().splitlines():
        if line.startswith("@"):
            out.append((line[1:], []))
        elif line.startswith("$ conntrack"):
            out[-1][1].append((line[12:].strip(), []))
        elif line and not line.startswith("#"):
            out[-1][1][-1][1].append(line)
    return [section for section in out if section[1]]


def normal(line: str) -> str:
    line = re.sub(r"\bid=\d+$", "id=N", line)
    line = re.sub(r"<id>\d+</id>", "<id>N</id>", line)
    line = re.sub(r"\buse=\d", "use=N", line)
    line = re.sub(r"\b((?:tcp|udp|icmp|gre|sctp|icmpv6|unknown) +\d+) \d+ ", r"\1 N ", line)
    line = re.sub(r"<counters>.*?</counters>", "", line)
    return re.sub(r"-t \d+ -u", "-t N -u", re.sub(r"<timeout>\d+", "<timeout>N", line))


def spoken(reply: Reply) -> list[str]:
    out = [f"O|{normal(line)}" for line in reply.stdout.splitlines()]
    for line in reply.stderr.splitlines(keepends=True):
        if line != TRY:
            out.append(f"E|{line.removeprefix(TOOL)}".rstrip() if line.startswith(TOOL) else line.rstrip())
    return [*sorted(out), f"rc={reply.exit_code}"]


@pytest.mark.parametrize(("table", "commands"), sections(), ids=[f"{t}-{i}" for i, (t, _) in enumerate(sections())])
def test_the_tools_own_words(table: str, commands: list[tuple[str, list[str]]]) -> None:
    world = World(table)
    for line, want in commands:
        got = spoken(world.run(line))
        assert got == [*sorted(map(normal, want[:-1])), want[-1]], line


@pytest.mark.parametrize("line", ["-L -p foo", "-X", "-L -s bogus", "-G", "-L -t 3"])
def test_bad_parameters_point_to_the_help(line: str) -> None:
    reply = World().run(line)
    assert (reply.exit_code, reply.stdout) == (2, "")
    assert reply.stderr.startswith(TOOL)
    assert reply.stderr.endswith(TRY)


def test_expired_connections_are_not_shown() -> None:
    world = World("eight")
    world.time += 200_000_000_000
    assert world.run("-L").stderr == TOOL + "0 flow entries have been shown.\n"
    assert world.run("-C").stdout == "0\n"


def test_offloaded_connections_have_no_timeout_and_no_state() -> None:
    # source: tc-ct-tcp-basic/expected/conntrack.txt
    world = World("two")
    entry = from_record(next(iter(world.connections)))
    entry.status |= OFFLOADED | SEEN_REPLY | ASSURED
    entry.acct, entry.orig_packets, entry.orig_bytes, entry.mark = True, 3, 128, 0
    world.connections.put(to_record(entry))
    world.time += 10**15
    want = "ipv4     2 tcp      6 src=1.2.3.4 dst=5.6.7.8 sport=10 dport=20 packets=3 bytes=128 "
    want += f"src=5.6.7.8 dst=1.2.3.4 sport=20 dport=10 packets=0 bytes=0 [OFFLOAD] mark=0 use=2 id={entry.id}\n"
    assert world.run("-L -o extended,id").stdout == want
    assert world.run("-L -u OFFLOAD").stderr.endswith("1 flow entries have been shown.\n")


def test_counters_may_be_set_to_zero() -> None:
    world = World("two")
    entry = from_record(next(iter(world.connections)))
    entry.acct, entry.orig_packets, entry.orig_bytes = True, 3, 128
    world.connections.put(to_record(entry))
    assert "packets=3 bytes=128" in world.run("-L -z").stdout
    assert "packets=0 bytes=0" in world.run("-L").stdout


def test_timestamps() -> None:
    world = World("two")
    entry = from_record(next(iter(world.connections)))
    entry.stamped, entry.started = True, 1_700_000_000_000_000_000
    world.connections.put(to_record(entry))
    world.time += 7_000_000_000
    shown = world.run("-L -p tcp -o ktimestamp").stdout
    assert " mark=5 delta-time=7 [start=Tue Nov 14 22:13:20 2023] use=1\n" in shown


def test_saved_lines_make_the_same_table_again() -> None:
    world = World("eight")
    saved = world.run("-L -o save").stdout
    again = World()
    for line in saved.splitlines():
        assert again.run(line).exit_code == 0, line
    assert again.run("-L -o save").stdout.replace("-t 99", "-t N") == saved.replace("-t 99", "-t N")


def test_events_have_to_be_asked_for_elsewhere() -> None:
    reply = World().run("-E")
    assert reply.exit_code == 1
    assert "tcemu replay" in reply.stderr


def test_help_and_statistics() -> None:
    assert World().run("").stdout.startswith("Command line interface for the connection tracking system.")
    assert World().run("-S").stdout == (
        "cpu=0   \tfound=0 invalid=0 insert=0 insert_failed=0 drop=0 early_drop=0 error=0 search_restart=0 clash_resolve=0 chaintoolong=0 \n"
    )


def test_expectations_are_listed_counted_and_flushed() -> None:
    world = World("two")
    master = from_record(next(iter(world.connections)))
    one = Expectation(master, 4, 6)
    one.tuple.src = one.tuple.dst = 0x7F000001
    one.tuple.dport, one.expires = 5432, world.time + 300_000_000_000
    world.expectations.put(expectation_record(one, 1))
    # run: conntrack -L expect, where nft's ct expectation had made one
    want = (
        "300 proto=6 src=127.0.0.1 dst=127.0.0.1 sport=0 dport=5432 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 "
    )
    want += "master-src=1.2.3.4 master-dst=5.6.7.8 sport=10 dport=20 class=0\n"
    reply = world.run("-L expect")
    assert (reply.stdout, reply.stderr) == (want, TOOL + "1 expectations have been shown.\n")
    assert world.run("-C expect").stdout == "1\n"
    assert world.run("-F expect").stderr == TOOL + "expectation table has been emptied.\n"
    assert world.run("-C expect").stdout == "0\n"
