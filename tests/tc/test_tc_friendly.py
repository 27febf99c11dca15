"""What a friendly session takes: devices and qdiscs that are not there yet, and lines as mails print them."""

from __future__ import annotations

import pytest

from .worlds import Memory

# the listing of the cover letter of "net/sched: introduce act_ct" as it was sent, numbers and all
COVER = r"""1. tc filter add dev ens1f0_0 ingress prio 1 chain 0 proto ip flower \
    src_mac 24:8a:07:a5:28:01 ct_state -trk \
    action ct \
    pipe action goto chain 2
2. tc filter add dev ens1f0_0 ingress prio 1 chain 2 proto ip flower \
    ct_state +trk+new \
    action ct commit \
    pipe action tunnel_key set \
        src_ip \
        dst_ip \
        id 98 \
        dst_port 4789 \
    action mirred egress redirect dev vxlan0
"""


def test_the_cover_letter_loads() -> None:
    world = Memory(strict=False)
    reply = world.tc(["-batch", "-"], COVER)
    assert reply.exit_code == 0
    assert all(line.startswith("tcemu: note: ") for line in reply.stderr.splitlines())
    listing = world.ok("filter show dev ens1f0_0 ingress")
    for part in ("ct_state -trk", "goto chain 2", "ct commit", "key_id 98", "Redirect to device vxlan0"):
        assert part in listing


def test_a_strict_session_takes_none_of_it() -> None:
    world = Memory()
    reply = world.tc("filter add dev eth9 ingress prio 1 protocol ip flower action drop")
    assert (reply.exit_code, reply.stderr) == (1, 'Cannot find device "eth9"\n')
    assert world.tc(["-batch", "-"], COVER).exit_code == 1


def test_notes_are_said_once() -> None:
    world = Memory(strict=False)
    line = "filter add dev eth9 ingress prio {} protocol ip flower action drop"
    assert world.tc(line.format(1)).stderr.count("note") == 2
    assert world.tc(line.format(2)).stderr == ""


def test_egress_gets_clsact() -> None:
    world = Memory(strict=False)
    world.ok("filter add dev eth9 egress prio 1 protocol ip flower action drop")
    assert "qdisc clsact" in world.ok("qdisc show dev eth9")


@pytest.mark.parametrize(
    "line", ["filter show dev eth9 ingress", "chain show dev eth9 ingress", "qdisc show dev eth9", "filter del dev eth9 ingress"]
)
def test_who_only_asks_makes_nothing(line: str) -> None:
    world = Memory(strict=False)
    assert world.tc(line).stderr == 'Cannot find device "eth9"\n'
    assert world.host.devices.get("eth9") is None


def test_what_was_undone_is_not_said() -> None:
    world = Memory(strict=False)
    reply = world.tc("filter add dev eth9")
    assert reply.exit_code == 2
    assert "note" not in reply.stderr


@pytest.mark.parametrize("name", ["a/b", "", "a b", ".."])
def test_a_name_that_no_device_can_have_is_none(name: str) -> None:
    world = Memory("eth0", strict=False)
    reply = world.tc(
        ["filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "matchall", "action", "mirred", "egress", "redirect", "dev", name]
    )
    assert reply.exit_code != 0
    assert "has been made" not in reply.stderr
