"""What a session saves as commands of tc makes the same again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tcemu import Session
from tcemu.diagnostics import TcemuError
from tcemu.session.transfer import tc_commands
from tcemu.tc import saved

from .roundtrip import World, saved_again
from .test_tc_corpus import LINES

FRAME = "filter add dev eth0 ingress protocol ip"
WORLDS = {
    "a policer's odd numbers": [f"{FRAME} matchall action police rate 12345bit burst 4777 conform-exceed drop/pipe"],
    "a policer of packets and a jump": [
        f"{FRAME} matchall action police pkts_rate 7 pkts_burst 3 conform-exceed continue/pass action pass"
    ],
    "a policer of a filter's own": [f"{FRAME} u32 match u8 0 0 at 0 police rate 1mbit burst 10k mtu 2k peakrate 2mbit drop flowid 1:1"],
    "a gate": [f"{FRAME} matchall action gate clockid MONOTONIC priority 3 sched-entry open 200ms 3 8000b sched-entry close 1s drop"],
    "realms of a device": [f"{FRAME} route fromif eth1 to 7 classid 1:1"],
    "a program that is the verdict": [f"{FRAME} bpf direct-action bytecode '1,6 0 0 2' flowid 1:1"],
    "the oldest of filters that go in front": [
        f"{FRAME} pref 7 basic match 'u32(u16 0x1122 0xffff at 4)' classid 1:{n}" for n in (1, 2, 3)
    ],
    "needles with anything in them": [rf"""{FRAME} basic match 'nbyte("a \"b" at 3 layer 2)' and 'nbyte(x:y at 0)' classid 1:1"""],
    "needles of bytes": [rf"""{FRAME} basic match 'nbyte("a\x01b\n\101" at 0)' classid 1:1"""],
    "tables of u32 over two slots": [
        f"{FRAME} pref 20 u32 divisor 4",
        f"{FRAME} pref 10 handle 1: u32 divisor 256",
        f"{FRAME} pref 10 u32 ht 1:2: match ip src 10.0.0.1 classid 1:1",
        f"{FRAME} pref 10 u32 match ip dst 10.0.0.1 link 1: hashkey mask 0xff at 12 offset at 0 mask 0x0f00 shift 6 eat",
    ],
    "chains in the order in which they were made": [
        f"{FRAME} pref 1 flower dst_ip 10.0.0.1 action pass",
        f"{FRAME} chain 9 matchall action drop",
        f"{FRAME} pref 2 flower dst_ip 10.0.0.2 action goto chain 5",
        "chain add dev eth0 ingress chain 3",
    ],
    "templates": ["chain add dev eth0 ingress protocol 802.1q chain 4 flower vlan_id 0 vlan_ethtype ip dst_ip 0.0.0.0/16 indev eth1"],
    "a template without a protocol": ["chain add dev eth0 ingress chain 4 flower dst_mac 02:00:00:00:00:01 ct_mark 5/7"],
    "shared actions with cookies": [
        "actions add action simple sdata 'x y' index 8 cookie aabb no_percpu",
        "actions add action gact drop random determ pass 5 hw_stats disabled",
        f"{FRAME} matchall action simple index 8 action gact index 1",
    ],
    "headers rewritten": [
        f"{FRAME} matchall action pedit ex munge eth dst set 02:00:00:00:00:01 munge eth src set 02:00:00:00:00:02 munge ip ttl add 255"
        " munge ip6 src set 2001:db8::1 munge ip6 traffic_class set 0x12 munge tcp dport set 80 munge offset 4 u32 invert retain 0xff00 pipe"
    ],
    "blocks": [
        "qdisc add dev eth1 ingress_block 4 egress_block 5 clsact",
        "filter add block 4 protocol ip flower dst_ip 10.0.0.1 action drop",
        "filter add block 5 matchall action continue",
    ],
    "disciplines and classes": [
        "qdisc add dev eth1 root handle 1: htb default 10",
        "class add dev eth1 parent 1: classid 1:10 htb rate 1mbit",
        "filter add dev eth1 parent 1: protocol ip flower dst_ip 10.0.0.1 classid 1:10",
    ],
    "the end of the slots": [f"{FRAME} fw", f"{FRAME} u32", "filter add dev eth0 egress matchall classid 0"],
}


@pytest.mark.parametrize("commands", WORLDS.values(), ids=WORLDS)
def test_what_is_saved_makes_the_same_again(commands: list[str]) -> None:
    with World(strict=True) as world:
        for command in commands:
            reply = world.tc(shlex.split(command))
            assert reply.exit_code == 0, (command, reply.stderr)
        saved_again(world)


@pytest.mark.parametrize("line", [line.command for line in LINES], ids=lambda line: line[:60])
def test_every_line_of_the_corpus_is_saved(line: str) -> None:
    with World(strict=False) as world:
        for command in line.split(";"):
            world.tc(shlex.split(command)[1:])
        saved_again(world)


def test_a_batch_holds_words_with_blanks_and_one_kind_of_quotes() -> None:
    assert saved.batch_line(["sdata", "x y", "it's", "'tis", 'a "b', "plain"]) == "sdata 'x y' it's \"'tis\" 'a \"b' plain"
    for word in ("a 'b\"", "two\nlines", "# x", ""):
        if word:
            with pytest.raises(TcemuError, match="a script can"):
                saved.batch_line([word])


def test_both_forms_of_an_export_load(tmp_path: Path) -> None:
    with World(strict=True) as world:
        world.tc([*FRAME.split(), "flower", "dst_ip", "10.0.0.1", "action", "simple", "sdata", "x y"])
        batch, script = (b"\n".join(tc_commands(world, form)).decode() for form in (False, True))
    assert batch.splitlines() == [line.removeprefix("tc ") for line in script.splitlines()]
    path = tmp_path / "rules.tc"
    path.write_text(batch)
    with Session() as other:
        other.ip("link add name eth0 type dummy")
        assert other.tc(["-batch", str(path)]).exit_code == 0
        assert "Simple <x y>" in other.tc("filter show dev eth0 ingress").stdout
