"""Names of labels. What the tool prints is that of conntrack 1.4.7 on a kernel, with the same file and the same commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.conntrack.events import EventLog
from tcemu.conntrack.labels import LabelMap, mask_of, put
from tcemu.conntrack.request import parse

from .builder import A, B, Tracker, udp
from .test_commands import TOOL, World

FILE = """\
# labels
0 eth0-in
0x1 eth0-out
3 voice
 64 far
127 last
128 toofar
010 octal
5voice5
-1 neg
2000 big
7 under_score
11   spaces in it\x20\x20
3 again
12 voice
"""
NAMES = {"eth0-in": 0, "eth0-out": 1, "voice": 3, "far": 64, "last": 127, "toofar": 128, "octal": 8, "voice5": 5, "spaces in it": 11}
FLOW = "-p udp -s 10.0.0.1 -d 10.0.0.2 --dport 2 --sport"


@pytest.fixture
def world(label_file: Path) -> World:
    label_file.write_text(FILE)
    world = World()
    assert world.run(f"-I {FLOW} 7 -t 100").exit_code == 0
    assert world.run(f"-I {FLOW} 8 -t 100 --label-add far,voice --label-add eth0-in").exit_code == 0
    return world


def shown(world: World, line: str) -> list[str]:
    """What stands behind use= of each line."""
    return [row.partition("use=1")[2].strip() for row in world.run(line).stdout.splitlines()]


def test_what_is_taken_of_a_file(label_file: Path) -> None:
    label_file.write_text(FILE)
    found = LabelMap()
    assert found.bits == NAMES
    assert found.complaint == ""


def test_labels_are_shown_by_bit_where_they_are_asked_for(world: World) -> None:
    assert shown(world, "-L -o labels") == ["", "labels=eth0-in,voice,far"]
    assert shown(world, "-L") == ["", ""]
    assert shown(world, f"-G {FLOW} 8 -o labels") == ["labels=eth0-in,voice,far"]
    assert shown(world, "-L -o labels,id")[1] == "id=2 labels=eth0-in,voice,far"
    xml = world.run("-L -o labels,xml").stdout
    assert xml.count("<labels>") == 1
    assert "<mark>0</mark><labels><label>eth0-in</label><label>voice</label><label>far</label></labels><use>" in xml


def test_without_names_labels_are_not_told(label_file: Path) -> None:
    label_file.write_text("# none\n")
    tracker, lines = Tracker(), list[str]()
    tracker.table.watcher = EventLog(parse(["-E", "-o", "labels"]), lines.append)
    tracker.send(udp(A, B))
    put(tracker.entry, 8)
    tracker.table.watcher.passed(tracker.entry, tracker.now)
    assert len(lines) == 2
    assert "labels" not in "".join(lines)


def test_a_label_without_a_name_is_only_said_to_be_there(label_file: Path) -> None:
    label_file.write_text(FILE)
    tracker = Tracker()
    tracker.send(udp(A, B))
    put(tracker.entry, 1 << 99)
    assert LabelMap().text(tracker.entry) == "labels"
    assert LabelMap().xml(tracker.entry) == "<labels></labels>"


@pytest.mark.parametrize(
    ("line", "count"), [("-L -l voice", 1), ("-L -l voice,far", 1), ("-L -l voice,last", 0), ("-L -l toofar", 0)], ids=str
)
def test_connections_are_selected_by_all_of_the_labels(world: World, line: str, count: int) -> None:
    reply = world.run(line)
    assert reply.stderr == f"{TOOL}{count} flow entries have been shown.\n"
    assert reply.stdout.count("labels=eth0-in,voice,far") == count


def test_labels_are_added_and_taken_away(world: World) -> None:
    assert shown(world, "-U -f ipv4 -l far --label-add last") == ["labels=eth0-in,voice,far,last"]
    assert shown(world, f"-U -f ipv4 {FLOW} 8 --label-del voice,far") == ["labels=eth0-in,last"]
    assert shown(world, f"-U -f ipv4 {FLOW} 7 --label-add octal") == ["labels=octal"]
    assert shown(world, f"-U -f ipv4 {FLOW} 8 --label-del") == [""]
    assert shown(world, "-L -o labels") == ["labels=octal", ""]


def test_what_is_deleted_is_selected_by_labels_and_shown_without(world: World) -> None:
    reply = world.run("-D -l far -o labels")
    assert "labels" not in reply.stdout
    assert reply.stderr == TOOL + "1 flow entries have been deleted.\n"
    assert world.run(f"-G {FLOW} 7 -l far").stderr == TOOL + "0 flow entries have been shown.\n"


@pytest.mark.parametrize(
    "line", [f"-I {FLOW} 9 -t 9 --label-add toofar", f"-U -f ipv4 {FLOW} 8 --label-add toofar"], ids=["made", "changed"]
)
def test_a_connection_has_128_labels(world: World, line: str) -> None:
    reply = world.run(line)
    assert reply.exit_code == 1
    assert reply.stderr.endswith(TOOL + "Operation failed: Numerical result out of range\n")


@pytest.mark.parametrize("name", ["nonesuch", "voice,nonesuch", "voice,"], ids=str)
def test_a_name_that_there_is_not(world: World, name: str) -> None:
    reply = world.run(f"-L -l {name}")
    assert (reply.exit_code, reply.stderr.splitlines()[0]) == (2, f"{TOOL}unknown label '{name.rpartition(',')[2]}'")


@pytest.mark.parametrize(
    ("text", "why"), [(None, "No such file or directory"), ("# nothing\nx y\n", "Success")], ids=["no-file", "no-names"]
)
def test_a_file_that_is_of_no_use_is_told_of(label_file: Path, text: str | None, why: str) -> None:
    if text is not None:
        label_file.write_text(text)
    reply = World().run("-L -o labels")
    assert reply.stderr == f"nfct_labelmap_new: {why}\n{TOOL}0 flow entries have been shown.\n"
    assert reply.exit_code == 0


def test_events_have_labels_when_these_have_changed(label_file: Path) -> None:
    label_file.write_text(FILE)
    tracker, lines, selected = Tracker(), list[str](), list[str]()
    tracker.table.watcher = EventLog(parse(["-E", "-o", "labels"]), lines.append)
    tracker.send(udp(A, B))
    put(tracker.entry, 1 << 3)
    tracker.table.watcher.passed(tracker.entry, tracker.now)
    tracker.send(udp(B, A, sport=53, dport=1000))
    assert [line.count("labels=voice\n") for line in lines] == [0, 1, 0]
    tracker.table.watcher = EventLog(parse(["-E", "-l", "voice"]), selected.append)
    assert mask_of(tracker.entry) == 8
    tracker.table.kill(tracker.entry)
    assert selected == []
