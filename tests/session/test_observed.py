"""What a recorder sees: rounds over descriptors, raw sockets, counters that moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tcemu.engine.machine")

import tcemu
from tcemu import Session
from tcemu.diagnostics import StateError
from tcemu.host.model import Device
from tcemu.session.observed import Observed
from tcemu.session.rulestate import RuleState
from tcemu.session.scenario import read_config, read_packets, run


def observed(stack: bool = True, local: bool = True) -> Observed:
    seen = Observed(stack, local)
    session = Session()
    for index, name in ((2, "d0"), (3, "d1"), (4, "other")):
        session.host.devices.put(Device(key=name, rank=index))
    seen.name_devices(session.host, ["d1", "d0"])
    return seen


def test_frames_come_in_rounds_over_the_devices() -> None:
    # source: oracle agent.py collect(): one read of each ready descriptor in turn, in the order in which the taps were made
    seen = observed()
    for device, data in ((2, b"a"), (2, b"b"), (3, b"c"), (4, b"nobody holds this one"), (2, b"d"), (3, b"e")):
        seen.transmit(device, data)
    assert [(one["dev"], bytes.fromhex(one["hex"])) for one in seen.take_out()] == [
        ("d1", b"c"),
        ("d0", b"a"),
        ("d1", b"e"),
        ("d0", b"b"),
        ("d0", b"d"),
    ]
    assert seen.take_out() == []


def test_the_stack_is_seen_through_sockets_for_some_ethertypes() -> None:
    seen = observed()
    for ethertype in (0x86DD, 0x0800, 0x88CC):
        seen.stack(2, bytes(12) + ethertype.to_bytes(2, "big"))
    seen.stack(1, bytes(12) + b"\x08\x00")  # lo
    assert [one["hex"][24:] for one in seen.take_stack()] == ["0800", "86dd"]
    quiet = observed(stack=False)
    quiet.stack(2, bytes(12) + b"\x08\x00")
    assert quiet.take_stack() == []


def test_raw_sockets_get_ipv4_whole_and_ipv6_behind_its_headers() -> None:
    seen = observed()
    four = bytes([0x45, 0, 0, 24, 0, 0, 0, 0, 64, 17, 0, 0]) + bytes(8) + b"data"
    six = bytes([0x60, 0, 0, 0, 0, 16, 60, 64]) + bytes(15) + b"\x01" + bytes(16) + bytes([17, 0, 0, 0, 0, 0, 0, 0]) + b"payload!"
    for data in (six, four, four[:9] + b"\xfe" + four[10:]):
        seen.local(2, data)
    assert seen.take_local() == [
        {"proto": 17, "hex": four.hex()},
        {"proto": 17, "hex": b"payload!".hex(), "src": "::1"},
    ]


def test_only_what_moved_is_told() -> None:
    with Session(strict=True) as session:
        session.ip("link add d0 type dummy")
        session.tc("qdisc add dev d0 clsact")
        session.tc("filter add dev d0 egress chain 3 protocol ip prio 7 handle 5 flower action csum ip pipe action drop")
        state = RuleState(session, tc=True, nft=False)
        state.restart()
        assert state.find_hooks() == ["dev d0 ingress", "dev d0 egress"]
        assert state.delta() == []
        action = session.ruleset.objects.get("tc gact 1")
        assert action is not None
        action.stats.packets, action.stats.drops = 2, 1
        session.ruleset.objects.put(action)
        assert state.delta() == [
            {
                "hook": "dev d0 egress",
                "chain": 3,
                "pref": 7,
                "protocol": 0x0800,
                "kind": "flower",
                "handle": 5,
                "order": 2,
                "action": "gact",
                "packets": 2,
                "drops": 1,
            }
        ]
        assert state.delta() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "is no scenario"), ("{}", "is no scenario")],
    ids=["missing", "no JSON", "a list", "without kind"],
)
def test_a_scenario_needs_its_description(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "scenario.json").write_text(text)
    with pytest.raises(StateError, match=why):
        read_config(tmp_path)


def test_a_small_scenario_writes_its_files(tmp_path: Path) -> None:
    source, out = tmp_path / "s", tmp_path / "out"
    source.mkdir()
    devices = [{"name": "d0", "type": "tap", "mac": "02:00:00:00:00:d0", "addr": ["10.0.0.1/24"]}, {"name": "d1", "type": "tap"}]
    commands = [{"after": 0, "run": "ip -br link show d1"}, {"after": 0, "run": "iptables -L"}, {"after": 9, "run": "ip link set d0 down"}]
    (source / "scenario.json").write_text(json.dumps({"name": "s", "kind": "tc", "devices": devices, "commands": commands}))
    (source / "rules.tc").write_text("qdisc add dev d0 ingress\nqdisc add dev d0 ingress\n")
    assert read_packets(source) == []
    run(source, out)
    steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [step["rc"] for step in steps] == [1, 0, 127, 0]
    assert steps[0]["cmd"] == "tc -batch rules.tc" and "Command failed rules.tc:2" in steps[0]["stderr"]
    assert sorted(path.name for path in out.iterdir()) == [
        "conntrack.txt",
        "meta.json",
        "proc_nf_conntrack.txt",
        "steps.jsonl",
        "tc_chain.json",
        "tc_filter.json",
        "tc_filter.txt",
    ]


def test_the_contract_is_what_the_package_gives() -> None:
    assert {name: getattr(tcemu, name).__name__ for name in ("Session", "Result", "ReplayResult")} == {
        "Session": "Session",
        "Result": "Result",
        "ReplayResult": "ReplayResult",
    }
    with pytest.raises(AttributeError):
        tcemu.nothing  # noqa: B018
