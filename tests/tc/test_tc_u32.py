"""u32: where a match lies, and how tc lists it."""

from __future__ import annotations

import pytest

from .worlds import ingress

# selector, lines listed; recorded: iproute2 6.1.0 on Linux 6.18
LISTED = (
    ("u32 0x215 0x0000ffff at -16", ["00000215/0000ffff at -16"]),
    ("u16 0x0215 0xffff at -14", ["00000215/0000ffff at -16"]),
    ("u16 0x0215 0xffff at -16", ["02150000/ffff0000 at -16"]),
    ("u8 0x15 0xff at -1", ["00000015/000000ff at -4"]),
    ("u32 1 1 at nexthdr+-4", ["00000001/00000001 at nexthdr+-4"]),
    ("u32 1 1 at nexthdr+ 0", ["00000001/00000001 at nexthdr+0"]),
    ("u32 1 1 at 0x10", ["00000001/00000001 at 16"]),
    ("u8 1 1 at 3", ["00000001/00000001 at 0"]),
    ("ether dst 02:15:15:15:15:15 at 0", ["02151515/ffffffff at 0", "15150000/ffff0000 at 4"]),
    ("ip src 1.2.3.4 at 8", ["01020304/ffffffff at 8"]),
    ("ip tos 1 1 at -16", ["01000000/01000000 at -16"]),
)


@pytest.mark.parametrize(("selector", "listed"), LISTED, ids=[row[0] for row in LISTED])
def test_a_match_lies_where_at_says(selector: str, listed: list[str]) -> None:
    world = ingress()
    world.ok(f"filter add dev eth0 ingress protocol ip prio 1 u32 match {selector}")
    lines = world.ok("filter show dev eth0 ingress").splitlines()
    assert [line.strip().removeprefix("match ") for line in lines if line.startswith("  match")] == listed


@pytest.mark.parametrize("selector", ["u32 1 1 at 2", "u32 1 1 at -13", "u32 1 1 at 99999", "u32 1 1 at nexthdr+ ffff:"])
def test_a_place_that_cannot_be(selector: str) -> None:
    reply = ingress().tc(f"filter add dev eth0 ingress protocol ip prio 1 u32 match {selector}")
    assert (reply.exit_code, reply.stderr) == (1, 'Illegal "match"\n')


def test_a_mark_of_zero_has_no_prefix_in_json() -> None:
    """As iproute2 6.1.0 prints it on Linux 6.1."""
    world = ingress()
    world.ok("filter add dev eth0 ingress protocol all prio 1 u32 match mark 0 0xffff action drop")
    assert '"fwmark_value":"0","fwmark_mask":"0xffff"' in world.ok("-j filter show dev eth0 ingress")
    assert "  mark 0x0000 0xffff (success 0)\n" in world.ok("filter show dev eth0 ingress")


def test_nodes_are_numbered_within_their_bucket() -> None:
    """As Linux numbers them (recorded: iproute2 6.1.0 on Linux 6.18)."""
    world = ingress()
    for rest in (
        "handle 1: u32 divisor 256",
        "u32 ht 1:5: match tcp dst 80 0xffff",
        "u32 ht 1: sample ip src 1.2.3.4 match ip dst 5.6.7.8",
    ):
        world.ok(f"filter add dev eth0 ingress protocol ip prio 5 {rest}")
    listing = world.ok("filter show dev eth0 ingress")
    assert "fh 1:4:800 order 2048" in listing
    assert "fh 1:5:800 order 2048" in listing


def test_a_link_that_leads_nowhere_is_refused() -> None:
    world = ingress()
    world.ok("filter add dev eth0 ingress protocol ip prio 5 u32 match ip tos 1 0xff flowid 1:1")
    for link, said in (("7:", "Link hash table not found"), ("800:", "Not linking to root node")):
        reply = world.tc(f"filter add dev eth0 ingress protocol ip prio 5 u32 match ip tos 2 0xff link {link}")
        assert reply.exit_code == 2 and f"cls_u32: {said}" in reply.stderr
