"""What a small netlink buffer sees of a hook's filters (source: recordings of Linux 6.1, where a matchall filter was missing in a dump)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.session.dumped import _filter, _told, lost
from tcemu.session.observed import is_housekeeping
from tcemu.session.session import Session

# a flower filter with an eth_type and one gact takes 244 bytes, its slot 56; the first message holds 3776
FLOWER = "filter add dev d0 ingress prio {} chain 0 proto ip flower action pass"
MATCHALL = "filter add dev d0 ingress prio {} chain 0 proto ip matchall action pass"


def hook(flowers: int, more: str = "") -> Session:
    session = Session(strict=True)
    session.ip("link add d0 type dummy")
    session.tc("qdisc add dev d0 ingress")
    for number in range(flowers):
        assert session.tc(FLOWER.format(number + 1)).exit_code == 0
    assert session.tc(MATCHALL.format(flowers + 1) + more).exit_code == 0
    return session


@pytest.mark.parametrize("flowers", range(8, 16))
def test_a_matchall_filter_is_lost_only_where_the_first_message_ends(flowers: int) -> None:
    gone = lost(hook(flowers), "dev d0 ingress")
    assert gone == ({(0, flowers + 1, "matchall")} if flowers == 12 else set())


def test_nothing_is_lost_where_the_size_of_a_filter_is_not_known() -> None:
    session = hook(12)
    assert session.tc("filter add dev d0 ingress prio 1 chain 1 proto ip u32 match u32 0 0 action pass").exit_code == 0
    assert session.tc("filter add dev d0 ingress prio 2 chain 1 proto ip matchall action pass").exit_code == 0
    assert lost(session, "dev d0 ingress") == {(0, 13, "matchall")}


SIZES = [
    tuple(row.split("\t")) for row in Path(__file__).with_name("sizes.txt").read_text().splitlines() if row and not row.startswith("#")
]


@pytest.mark.parametrize(("size", "line"), SIZES, ids=[line for _, line in SIZES])
def test_a_filter_takes_as_many_bytes_as_in_the_kernels_dump(size: str, line: str) -> None:
    session = Session(strict=True)
    for name in ("d0", "d1", "d2"):
        session.ip(f"link add {name} type dummy")
    session.tc("qdisc add dev d0 ingress")
    reply = session.tc(line)
    assert reply.exit_code == 0, reply.stderr
    assert [_filter(session, slot, rule) for _, slot, rule in _told(session, "dev d0 ingress") if rule is not None] == [int(size)]


@pytest.mark.parametrize(
    ("frame", "left_out"),
    [
        ("33330000000202000000000a86dd" + "6000000000103aff" + "00" * 32 + "8500" + "00" * 14, True),
        ("33330000000202000000000a86dd" + "6000000000183aff" + "00" * 32 + "8700" + "00" * 22, True),
        ("33330000000202000000000a86dd" + "6000000000183aff" + "fe80" + "00" * 30 + "8700" + "00" * 22, False),
        ("33330000000202000000000a86dd" + "6000000000203aff" + "00" * 32 + "8000" + "00" * 30, False),
    ],
    ids=["router-solicitation", "duplicate-address-detection", "neighbour-solicitation", "echo"],
)
def test_the_kernels_own_ipv6_frames_are_not_recorded(frame: str, left_out: bool) -> None:
    assert is_housekeeping(bytes.fromhex(frame)) is left_out
