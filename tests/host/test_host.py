"""What the host does by itself, and what `ip` refuses or takes over, beyond the recorded transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcemu.host import devices, routes, text
from tcemu.host.text import address, ip4, ip6, mac, show_address, show_mac

if TYPE_CHECKING:
    from conftest import Box

# ---------------------------------------------------------------- addresses as text


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("10.0.0.1", 0x0A000001),
        ("10", 0x0A000000),
        ("10.1", 0x0A010000),
        ("0x0a.0.0.010", 0x0A000008),
        ("256.0.0.1", None),
        ("1.2.3.4.5", None),
    ],
)
def test_ipv4_is_read_as_iproute2_reads_it(word: str, number: int | None) -> None:
    assert ip4(word) == number


@pytest.mark.parametrize("word", ["", "1..2", "a.b", "1.2.3.-4", "10.0.0.1 ", "\u0661.2.3.4"])
def test_what_is_no_ipv4_address_is_none(word: str) -> None:
    assert ip4(word) is None


def test_ipv6_goes_both_ways() -> None:
    assert ip6("2001:db8::1") == 0x20010DB8 << 96 | 1
    assert ip6("::ffff:1.2.3.4") == 0xFFFF01020304
    assert ip6("2001:db8::g") is None
    assert ip6("a\0b") is None
    assert show_address(6, 0x20010DB8 << 96 | 1) == "2001:db8::1"
    assert address("1.2.3.4", 6) is None and address("::1", 4) is None
    assert address("::1") == (6, 1)


def test_mac_addresses_go_both_ways() -> None:
    assert mac("2:0:0:0:0:d0") == 0x0200000000D0
    assert show_mac(0x0200000000D0) == "02:00:00:00:00:d0"
    assert [mac(word) for word in ("02:00:00:00:00", "02:00:00:00:00:xx", "020:0:0:0:0:0", "")] == [None] * 4


@pytest.mark.parametrize("prefix", [0, 1, 24, 32])
def test_netmask_has_as_many_bits(prefix: int) -> None:
    assert bin(text.netmask(4, prefix)).count("1") == prefix


# ---------------------------------------------------------------- devices


def test_indexes_are_not_given_out_twice(box: Box) -> None:
    box.ok("link add ea type dummy", "link add eb type dummy", "link del eb", "link add ec type dummy")
    assert [(one.key, one.index) for one in box.host.devices.children("")] == [("lo", 1), ("ea", 2), ("ec", 4)]


def test_an_index_may_be_asked_for_and_is_stepped_over(box: Box) -> None:
    box.ok("link add ea index 3 type dummy", "link add eb type dummy", "link add ec type dummy")
    assert [(one.key, one.index) for one in box.host.devices.children("")] == [("lo", 1), ("eb", 2), ("ea", 3), ("ec", 4)]


def test_mac_addresses_are_the_same_in_every_run(box: Box) -> None:
    box.ok("link add ea type dummy", "link add link ea name ea.5 type vlan id 5")
    macs = {one.key: show_mac(one.mac) for one in box.host.devices}
    assert (macs["ea"], macs["ea.5"]) == ("02:74:63:00:00:02", "02:74:63:00:00:02")


def test_a_device_named_first_is_a_nic_that_is_up(box: Box) -> None:
    assert devices.ensure(box.host, "eth0")
    assert not devices.ensure(box.host, "eth0")
    assert not devices.ensure(box.host, "no good")
    made = box.host.devices.get("eth0")
    assert made is not None and made.up and made.kind == "physical" and made.index == 2


def test_a_device_takes_what_hangs_on_it_along(box: Box) -> None:
    box.ok(
        "link add v0 type veth peer name v1",
        "link add link v1 name v1.7 type vlan id 7",
        "link set v0 up",
        "link set v1 up",
        "addr add 10.0.0.1/24 dev v1",
        "neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v1",
        "link del v0",
    )
    assert [one.key for one in box.host.devices] == ["lo"]
    assert box.forgotten == ["v0", "v1", "v1.7"]
    assert not box.host.addresses.count("v1") and not len(box.host.neighbours) and not len(box.host.routes)


def test_a_renamed_device_keeps_everything(box: Box) -> None:
    box.ok(
        "link add ea type dummy",
        "addr add 10.0.0.1/24 dev ea",
        "link add link ea name v type vlan id 2",
        "link set ea name eb",
        "link set eb up",
    )
    assert box.renamed == [("ea", "eb")]
    assert box.ok("-br addr show eb").split() == ["eb", "UNKNOWN", "10.0.0.1/24"]
    lower = box.host.devices.get("v")
    assert lower is not None and lower.lower == "eb"
    assert box.ok("route show") == "10.0.0.0/24 dev eb proto kernel scope link src 10.0.0.1 \n"


def test_a_friendly_machine_makes_taps_by_a_line(box: Box) -> None:
    box.strict = False
    box.ok("link add name eth0 type tap", "link set eth0 up", "link add name eth1 type physical")
    assert box.ok("-br link").split()[4:6] == ["eth0", "UNKNOWN"]


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("link del eth9", 1, 'Cannot find device "eth9"\n'),
        ("link add ea type nosuch", 2, "Error: Unknown device type.\n"),
        ("link add ea type vlan id 5", 2, "Error: 8021q: link not specified.\n"),
        ("link add ea type tap", 2, "Error: Unknown device type.\n"),
        ("route add 10.0.0.0/8 via 1.2.3.4", 2, "Error: Nexthop has invalid gateway.\n"),
        ("route add 10.0.0.0/8 dev lo table here", 255, 'Error: argument "here" is wrong: "table" value is invalid\n\n'),
        ("route show table 55", 2, "Error: ipv4: FIB table does not exist.\nDump terminated\n"),
        ("rule add lookup here", 255, 'Error: argument "here" is wrong: invalid table ID\n\n'),
        ("rule add fwmark zz lookup 100", 255, 'Error: argument "zz" is wrong: fwmark value is invalid\n\n'),
        ("rule del fwmark 7", 2, "RTNETLINK answers: No such file or directory\n"),
        ("addr add 1.2.3/24 dev eth9", 1, 'Cannot find device "eth9"\n'),
        ("neigh add 1.2.3.4 lladdr 1:2:3 dev lo", 1, "Invalid address length 3 - must be 6 bytes\n"),
        ("netns list", 1, 'tcemu does not model "ip netns"; it has address, link, neighbour, route, rule and tuntap.\n'),
        ("-n blue link", 255, 'Cannot open network namespace "blue": No such file or directory\n'),
        ("link show dev", 255, 'Command line is not complete. Try option "help"\n'),
    ],
)
def test_what_ip_refuses(box: Box, line: str, code: int, err: str) -> None:
    assert box.ip(line) == (code, "", err)


def test_up_and_down_move_the_routes(box: Box) -> None:
    box.ok("link add ea type dummy", "addr add 10.0.0.1/24 dev ea", "addr add 10.0.0.2/24 dev ea", "addr add 2001:db8::1/64 dev ea")
    assert not len(box.host.routes)
    box.ok("link set ea up", "route add default via 10.0.0.254")
    assert box.ok("route") == "default via 10.0.0.254 dev ea \n10.0.0.0/24 dev ea proto kernel scope link src 10.0.0.1 \n"
    answer = routes.lookup(box.host, 4, 0x08080808)
    assert answer is not None and (answer.device, answer.source) == ("ea", 0x0A000001)
    box.ok("link set ea down")
    assert not len(box.host.routes)
    assert box.ok("-6 -br addr show ea") == ""
    assert routes.lookup(box.host, 4, 0x08080808) is None


# ---------------------------------------------------------------- batches


def test_a_batch_stops_at_its_first_failure(box: Box, tmp_path: Path) -> None:
    batch = tmp_path / "b"
    batch.write_text("# devices\nlink add ea type dummy\n\nlink add ea type \\\ndummy\nlink add eb type dummy\n")
    assert box.ip(f"-batch {batch}") == (1, "", f"RTNETLINK answers: File exists\nCommand failed {batch}:5\n")
    assert box.host.devices.get("eb") is None
    assert box.ip(f"-force -batch {batch}")[0] == 1
    assert box.host.devices.get("eb") is not None


def test_a_batch_comes_from_standard_input_too(box: Box) -> None:
    assert box.ip("-b -", "link add ea type dummy\nlink show ea up\n") == (0, "", "")


# ---------------------------------------------------------------- dumps of real machines


def test_dumps_of_a_machine_come_back(box: Box, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    box.ok(
        "link add ea address 02:00:00:00:00:0a type dummy",
        "link add link ea name ea.5 type vlan id 5",
        "link add vx type vxlan id 7 remote 10.0.0.9 dstport 4789 noudpcsum",
        "link set ea up alias uplink",
        "addr add 10.0.0.1/24 brd + dev ea",
        "addr add 2001:db8::1/64 dev ea",
        "route add default via 10.0.0.254 metric 5",
        "route add 2001:db8:9::/48 via 2001:db8::2",
        "route add blackhole 10.9.0.0/16",
        "neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev ea",
    )
    commands = ("-j -d link show", "-j addr show", "-j route show", "-j -6 route show", "-j neigh show")
    wanted = [box.ok(command) for command in commands]
    for number, content in enumerate(wanted):
        (tmp_path / f"{number}.json").write_text(content)
    other = type(box)()
    names = " ".join(str(tmp_path / f"{number}.json") for number in reversed(range(len(wanted))))
    code, out, err = other.ip(f"--import {names}")
    assert (code, err) == (0, "")
    assert out.endswith("addresses, 5 routes, 1 neighbours\n")
    assert [other.ok(command) for command in commands] == wanted


@pytest.mark.parametrize("content", ["no json", "{}", '[{"x": 1}]', '[{"dst": "1.2.3.4", "state": ["STALE"]}]', '[{"ifname": 5}]'])
def test_a_dump_that_is_none_is_refused(box: Box, tmp_path: Path, content: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    code, out, err = box.ip(f"--import {path}")
    assert (code, out) == (1, "") and err.count("\n") == 1


def test_rules_choose_tables(box: Box) -> None:
    """Source of the listings: iproute2 6.1.0 on Linux."""
    box.ok("link set lo up")
    for line in ("from 10.0.0.0/8 lookup 100", "to 1.2.3.4 fwmark 0x1/0xf iif lo priority 50 table 200", "fwmark 7 lookup main"):
        box.ok(f"rule add {line}")
    box.ok("rule add fwmark 7 lookup main")
    assert box.ok("rule show") == (
        "0:\tfrom all lookup local\n"
        "48:\tfrom all fwmark 0x7 lookup main\n"
        "49:\tfrom all fwmark 0x7 lookup main\n"
        "50:\tfrom all to 1.2.3.4 fwmark 0x1/0xf iif lo lookup 200\n"
        "32765:\tfrom 10.0.0.0/8 lookup 100\n"
        "32766:\tfrom all lookup main\n"
        "32767:\tfrom all lookup default\n"
    )
    box.ok("rule del pref 50")
    box.ok("route add local default dev lo table 100")
    assert box.ok("route show table 100") == "local default dev lo scope host \n"
    assert box.ok("route show") == ""
