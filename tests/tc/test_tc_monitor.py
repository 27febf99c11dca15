"""tc monitor: what changed between two looks, in the words of tc 6.1.0 (recorded with `tc monitor` beside the same commands)."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tcemu.tc.monitor import asked, changes, look, stamp
from tcemu.tc.writer import Options

from .worlds import Memory

U32 = "dev eth0 ingress protocol ip pref 1 u32 chain 0 fh 800::80"
KEY = "key ht 800 bkt 0 *flowid"
MIRRED = "\taction order 1: mirred (Egress {} to device eth1) {}\n\tindex 7 ref 1 bind 0\n\tnot_in_hw\n"

# commands in this order, and the events of each
STEPS = (
    ("qdisc add dev eth0 clsact", "qdisc clsact ffff: dev eth0 parent ffff:fff1 \n"),
    ("chain add dev eth0 ingress chain 5", "added chain dev eth0 parent ffff: chain 5 \n"),
    (
        "filter add dev eth0 ingress protocol ip pref 1 u32 match ip src 1.2.3.4 classid 1:1",
        "added chain dev eth0 parent ffff: chain 0 \n"
        f"added filter {U32}0 order 2048 {KEY} 1:1 not_in_hw \n  match 01020304/ffffffff at 12\n",
    ),
    (
        "filter add dev eth0 ingress protocol ip pref 1 u32 match ip src 1.2.3.5 classid 1:1",
        f"added filter {U32}1 order 2049 {KEY} 1:1 not_in_hw \n  match 01020305/ffffffff at 12\n",
    ),
    (
        "filter replace dev eth0 ingress protocol ip pref 1 handle 800::800 u32 match ip src 1.2.3.4 classid 1:2",
        f"replaced filter {U32}0 order 2048 {KEY} 1:2 not_in_hw \n  match 01020304/ffffffff at 12\n",
    ),
    (
        "filter del dev eth0 ingress protocol ip pref 1 handle 800::801 u32",
        f"deleted filter {U32}1 order 2049 {KEY} 1:1 not_in_hw \n  match 01020305/ffffffff at 12\n",
    ),
    (
        "filter del dev eth0 ingress protocol ip pref 1",
        "deleted filter dev eth0 ingress protocol ip pref 1 u32 chain 0 \ndeleted chain dev eth0 parent ffff: chain 0 \n",
    ),
    ("chain del dev eth0 ingress chain 5", "deleted chain dev eth0 parent ffff: chain 5 \n"),
    (
        "actions add action mirred egress redirect dev eth1 index 7",
        "total acts 0\nAdded action " + "\n" + MIRRED.format("Redirect", "stolen"),
    ),
    (
        "actions replace action mirred egress mirror dev eth1 index 7",
        "total acts 0\nReplaced action " + "\n" + MIRRED.format("Mirror", "pipe"),
    ),
    ("filter show dev eth0 ingress", ""),
)


def test_what_changes_is_told_as_tc_tells_it() -> None:
    world = Memory("eth0", "eth1")
    before = look(world)
    for command, events in STEPS:
        world.ok(command)
        after = look(world)
        assert "".join(changes(world, before, after, Options())) == events, command
        before = after


def test_what_went_with_its_discipline_is_not_told_filter_by_filter() -> None:
    world = Memory("eth0")
    world.ok("qdisc add dev eth0 clsact")
    world.ok("filter add dev eth0 ingress protocol ip pref 1 matchall action drop")
    before = look(world)
    world.ok("qdisc del dev eth0 clsact")
    told = "".join(changes(world, before, look(world), Options()))
    assert told == "deleted chain dev eth0 parent ffff: chain 0 \ndeleted qdisc clsact ffff: dev eth0 parent ffff:fff1 \n"


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (["-timestamp", "monitor"], r"Timestamp: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \d+ usec\n"),
        (["-ts", "monitor"], r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\] "),
        (["monitor"], ""),
    ],
    ids=["long", "short", "none"],
)
def test_the_time_stands_in_front_where_it_is_asked_for(words: list[str], form: str) -> None:
    settings = asked(words)
    assert settings is not None
    assert re.fullmatch(form, stamp(settings.options))


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("monitor help", 255, "Usage: tc [-timestamp [-tshort] monitor\n"),
        ("monitor foo", 255, 'Argument "foo" is unknown, try "tc monitor help".\n'),
        ("monitor file", 255, 'Command line is not complete. Try option "help"\n'),
    ],
    ids=["help", "another word", "no file"],
)
def test_words_behind_monitor(line: str, code: int, said: str) -> None:
    reply = Memory().tc(line)
    assert (reply.exit_code, reply.stderr) == (code, said)


def message(kind: int, flags: int, device: int, parent: int, info: int, handle: int = 0, **attributes: bytes) -> bytes:
    """A message as the kernel writes it: struct nlmsghdr, struct tcmsg, attributes ``a<number>``."""
    body = struct.pack("=BxxxiIII", 0, device, handle, parent, info)
    for name, value in attributes.items():
        body += struct.pack("=HH", 4 + len(value), int(name[1:])) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def number(value: int) -> bytes:
    return struct.pack("=I", value)


# what tc 6.1.0 prints of such messages (recorded from a socket of Linux 6.18, `tc monitor file`)
MESSAGES = (
    (message(36, 0x600, 2, 0xFFFFFFF1, 1, 0xFFFF0000, a1=b"clsact\0", a2=b""), "qdisc clsact ffff: dev eth0 parent ffff:fff1 \n"),
    (
        message(37, 0, 3, 0xFFFFFFF1, 0, 0xFFFF0000, a1=b"ingress\0", a13=number(5)),
        "deleted qdisc ingress ffff: dev eth1 parent ffff:fff1 refcnt 0 ingress_block 5 ---------------- \n",
    ),
    (message(100, 0x600, 2, 0xFFFFFFF2, 0, a11=number(5)), "added chain dev eth0 parent ffff: chain 5 \n"),
    (message(101, 0, -1, 5, 0, a11=number(0)), "deleted chain block 5 chain 0 \n"),
    (
        message(45, 0, 2, 0xFFFFFFF2, 7 << 16 | 8, a1=b"u32\0", a11=number(0)),
        "deleted filter dev eth0 ingress protocol ip pref 7 u32 chain 0 \n",
    ),
)


@pytest.mark.parametrize(("data", "line"), MESSAGES, ids=[line.strip() for _, line in MESSAGES])
def test_recorded_messages_are_told(data: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_bytes(data)
    reply = Memory("eth0", "eth1").tc(["monitor", "file", str(path)])
    assert (reply.exit_code, reply.stdout, reply.stderr) == (0, line, "")


@pytest.mark.parametrize(
    ("data", "said", "code"),
    [
        (message(16, 0, 2, 0, 0), "Unknown message: length 00000036 type 00000010 flags 00000000 \n", 0),
        (message(44, 0x600, 2, 0xFFFFFFF2, 7 << 16 | 8, a1=b"u32\0", a2=bytes(8)), "tcemu: note: options", 0),
        (message(36, 0, 2, 0, 0)[:20], "rtnl-from_file: truncated message\n", 255),
        (struct.pack("=IHHII", 70_000, 36, 0, 0, 0), "!!!malformed message: len=70000 @16\n", 255),
        (None, "Cannot fopen: No such file or directory\n", 255),
    ],
    ids=["not of tc", "options", "truncated", "malformed", "no file"],
)
def test_what_cannot_be_read_of_a_file_is_said(data: bytes | None, said: str, code: int, tmp_path: Path) -> None:
    path = tmp_path / "messages"
    if data is not None:
        path.write_bytes(data)
    reply = Memory("eth0", "eth1").tc(["monitor", "file", str(path)])
    assert reply.exit_code == code
    assert reply.stderr.startswith(said)
