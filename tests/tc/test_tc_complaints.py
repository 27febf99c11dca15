"""Wrong lines: what tc 6.1.0 says of them before it asks the kernel, and what the kernel says."""

from __future__ import annotations

import json

import pytest

from .worlds import HERE, Memory, ingress

# argv, exit code and the first 200 characters of standard error, recorded from iproute2 6.1.0 with mutated lines on a device without a qdisc
RECORDED = [json.loads(line) for line in (HERE / "complaints.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("argv", "code", "said"), RECORDED, ids=[" ".join(row[0]) for row in RECORDED])
def test_tc_complains(argv: list[str], code: int, said: str) -> None:
    reply = Memory().tc(argv)
    assert (reply.exit_code, reply.stderr[:200]) == (code, said)


ASKING = "We have an error talking to the kernel\n"

# line, what the kernel says (extack), on a device with clsact and one flower filter at prio 1
REFUSED = (
    ("filter add dev eth0 ingress prio 1 protocol ip flower ip_proto tcp", "RTNETLINK answers: File exists\n"),
    ("filter add dev eth0 ingress prio 1 protocol ipv6 flower", "Error: Filter with specified priority/protocol not found.\n"),
    ("filter add dev eth0 ingress prio 1 protocol ip matchall", "Error: Specified filter kind does not match existing one.\n"),
    ("filter add dev eth0 ingress prio 1 handle 1 protocol ip flower ip_proto udp", "Error: Filter already exists.\n"),
    ("filter del dev eth0 ingress prio 7", "Error: Filter with specified priority/protocol not found.\n"),
    ("filter del dev eth0 ingress prio 1 chain 5", "Error: Cannot find specified filter chain.\n"),
    ("filter del dev eth0 ingress prio 1 handle 9 flower", "Error: Specified filter handle not found.\n"),
    ("filter add dev eth1 ingress prio 1 protocol ip flower", "Error: Parent Qdisc doesn't exists.\n"),
    ("filter add block 9 prio 1 protocol ip flower", "Error: Block of given index was not found.\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip flower ct_state +new", "Error: no trk, so no other flag can be set.\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip flower ct_state +trk+new+est", "Error: new and est are mutually exclusive.\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip flower skip_sw action drop", "RTNETLINK answers: Operation not supported\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip nonsense", "Error: TC classifier not found.\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip flower action mpls modify label 3", "Error: act_mpls: MPLS label out of range.\n"),
    ("filter add dev eth0 ingress prio 2 protocol ip flower action mirred index 7", "Error: act_mirred: Unknown mirred option.\n"),
    ("chain del dev eth0 ingress chain 9", "Error: Cannot find specified filter chain.\n"),
)


@pytest.mark.parametrize(("line", "said"), REFUSED, ids=[line for line, _ in REFUSED])
def test_the_kernel_refuses(line: str, said: str) -> None:
    world = ingress()
    world.ok("filter add dev eth0 ingress prio 1 protocol ip flower ip_proto tcp action drop")
    before = world.ok("filter show dev eth0 ingress")
    reply = world.tc(line)
    assert (reply.exit_code, reply.stderr) == (2, said + ASKING)
    assert world.ok("filter show dev eth0 ingress") == before


# what the kernel says of lines in a row, recorded from Linux 6.1.192
ROWS = (
    (
        (
            "filter add dev eth0 ingress protocol ip pref 77 u32 match u32 0 0",
            "filter add dev eth0 ingress protocol ip pref 5 u32 link 800: match u32 0 0",
        ),
        "Error: cls_u32: Not linking to root node.\n",
    ),
    (
        ("filter add dev eth0 ingress protocol ip flower geneve_opts 1:2:aabbcc",),
        "Error: Tunnel key geneve option data is less than 4 bytes long.\n",
    ),
    (
        ("actions add action tunnel_key set src_ip 1.1.1.1 dst_ip ::1 geneve_opts 1:2:aabbcc",),
        "Error: Tunnel key geneve option data is less than 4 bytes long.\n",
    ),
    (
        (
            "filter add dev eth0 ingress protocol ip pref 7 matchall action pass",
            "filter replace dev eth0 ingress protocol ip pref 7 handle 1 matchall action drop",
        ),
        "RTNETLINK answers: File exists\n",
    ),
    (("actions get action gact index 0",), "Error: Invalid TC action index value.\n"),
    (("chain add dev eth0 ingress chain 1", "chain add dev eth0 ingress chain 1 nosuch"), "Error: Filter chain already exists.\n"),
    (("chain add dev eth0 ingress chain 1 nosuch",), "Error: TC classifier not found.\n"),
)


@pytest.mark.parametrize(("lines", "said"), ROWS, ids=[said for _, said in ROWS])
def test_the_kernel_refuses_the_last(lines: tuple[str, ...], said: str) -> None:
    world = ingress()
    for line in lines[:-1]:
        world.ok(line)
    reply = world.tc(lines[-1])
    assert (reply.exit_code != 0, reply.stderr.startswith(said)) == (True, True)


@pytest.mark.parametrize("what", ["filter", "chain"])
def test_a_listing_of_a_block_that_is_not_there_begins_no_json(what: str) -> None:
    reply = ingress().tc(f"-j {what} show block 2")
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, "", 'Cannot find block "2"\n')


def test_a_template_without_a_protocol_is_one_of_ethertype_0() -> None:
    world = ingress()
    world.ok("chain add dev eth0 ingress chain 4 flower ct_mark 5")
    assert world.ok("chain show dev eth0 ingress") == "chain parent ffff: flower chain 4 \n  eth_type 0000\n  ct_mark 5\n"


def test_what_changes_an_action_leaves_its_flags_and_its_second_verdict() -> None:
    world = ingress()
    world.ok("actions add action gact drop random determ pass 5 index 3 no_percpu")
    world.ok("actions change action gact pipe index 3")
    listing = world.ok("actions ls action gact")
    assert "gact action pipe\n\t random type determ pass val 5\n" in listing
    assert "\tno_percpu\tnot_in_hw" in listing
