"""Batches: lines, comments, continuations, where they stop, and that what they write is what single commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.session.session import Session

from .worlds import Memory, ingress

ADD = "filter add dev eth0 ingress protocol ip prio 1 flower ip_proto tcp dst_port {} action ct zone 3 pipe action drop\n"


def test_lines_comments_and_continuations() -> None:
    world = ingress()
    text = "# nothing\n\nfilter add dev eth0 ingress prio 1 \\\n protocol ip flower \\\n ip_proto tcp # the rest\nfilter show dev eth0 ingress\n"
    reply = world.tc(["-batch", "-"], text)
    assert (reply.exit_code, reply.stderr) == (0, "")
    assert "ip_proto tcp" in reply.stdout


def test_a_failure_names_its_line_and_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "rules"
    file.write_text(ADD.format(1) + "filter add nonsense x\n" + ADD.format(2), encoding="utf-8")
    world = ingress()
    reply = world.tc(["-batch", str(file)])
    assert reply.exit_code == 1
    assert reply.stderr.endswith(f"Command failed {file}:2\n")
    assert "dst_port 1" in world.ok("filter show dev eth0 ingress")
    assert "dst_port 2" not in world.ok("filter show dev eth0 ingress")


def test_force_goes_on() -> None:
    world = ingress()
    reply = world.tc(["-force", "-batch", "-"], ADD.format(1) + "filter add nonsense x\n" + ADD.format(2))
    assert reply.exit_code == 1
    assert "dst_port 2" in world.ok("filter show dev eth0 ingress")


def test_no_file() -> None:
    reply = Memory().tc(["-batch", "/nowhere/rules"])
    assert (reply.exit_code, reply.stderr) == (1, 'Cannot open file "/nowhere/rules" for reading: No such file or directory\n')


@pytest.mark.parametrize("extra", ["", "filter show dev eth0 ingress\n", "filter del dev eth0 ingress prio 1 handle 3 flower\n"])
def test_a_batch_writes_what_commands_write(extra: str) -> None:
    lines = [*(ADD.format(port) for port in range(1, 30)), extra, *(ADD.format(port) for port in range(30, 40))]
    together, apart = ingress(), ingress()
    assert together.tc(["-batch", "-"], "".join(lines)).exit_code == 0
    for line in lines:
        if line:
            apart.ok(line)
    for show in ("filter show dev eth0 ingress", "actions ls action ct", "actions ls action gact"):
        assert together.ok(show) == apart.ok(show)
    assert list(together.ruleset.rules) == list(apart.ruleset.rules)
    assert list(together.ruleset.objects) == list(apart.ruleset.objects)


FLOWER = "filter add dev eth0 ingress protocol ip prio 1 chain 2 flower ip_proto tcp dst_port {} action ct commit action goto chain {}\n"
U32 = "filter add dev eth0 ingress protocol ip prio 7 u32 match ip dport {} 0xffff action mirred egress redirect dev eth1\n"
MIXED = {
    "a refused twin gives back what it took": [FLOWER.format(1, 3), FLOWER.format(1, 4), FLOWER.format(2, 5)],
    "a refused line after a new slot": [U32.format(1), U32.format(2).replace("eth1", "eth9"), U32.format(3), FLOWER.format(1, 2)],
    "a tag that is free again": [
        FLOWER.format(1, 3),
        FLOWER.format(2, 3),
        "filter replace dev eth0 ingress protocol ip prio 1 chain 2 handle 1 flower ip_proto tcp dst_port 3 action drop\n",
        FLOWER.format(1, 4),
        FLOWER.format(3, 4),
        "filter del dev eth0 ingress protocol ip prio 1 chain 2 handle 2 flower\n",
        FLOWER.format(2, 4),
    ],
    "a goto to its own chain": [
        FLOWER.format(1, 2),
        "filter replace dev eth0 ingress protocol ip prio 1 chain 2 handle 1 flower ip_proto tcp dst_port 1 action drop\n",
        "filter del dev eth0 ingress chain 2\n",
        FLOWER.format(1, 2),
        "filter del dev eth0 ingress chain 2\n",
    ],
    "another qdisc in the midst": [
        FLOWER.format(1, 3),
        "qdisc del dev eth0 clsact\n",
        FLOWER.format(2, 3),
        "qdisc add dev eth0 ingress_block 4 clsact\n",
        FLOWER.format(3, 3),
        FLOWER.format(4, 3).replace("dev eth0 ingress", "block 4"),
    ],
    "actions by index": [
        "actions add action gact drop index 5\n",
        FLOWER.format(1, 3),
        U32.format(1).replace("mirred egress redirect dev eth1", "gact index 5"),
        "actions del action gact index 5\n",
        "filter del dev eth0 ingress prio 7\n",
        "actions del action gact index 5\n",
        U32.format(2).replace("mirred egress redirect dev eth1", "pass"),
    ],
    "u32 tables": [
        "filter add dev eth0 ingress protocol ip prio 7 handle 1: u32 divisor 16\n",
        "filter add dev eth0 ingress protocol ip prio 7 u32 ht 1:3: match ip dport 1 0xffff action drop\n",
        "filter add dev eth0 ingress protocol ip prio 7 u32 ht 1:3:1 match ip dport 2 0xffff action drop\n",
        "filter add dev eth0 ingress protocol ip prio 8 handle 1: u32 divisor 16\n",
        "filter del dev eth0 ingress protocol ip prio 7 handle 1:3:800 u32\n",
        "filter add dev eth0 ingress protocol ip prio 7 u32 ht 1:3: match ip dport 3 0xffff action drop\n",
    ],
}


@pytest.mark.parametrize("lines", MIXED.values(), ids=MIXED)
def test_lines_of_a_batch_do_what_commands_do(lines: list[str]) -> None:
    together, apart = ingress(), ingress()
    reply = together.tc(["-force", "-batch", "-"], "".join(lines))
    told = [(number, apart.tc(line.strip())) for number, line in enumerate(lines, 1)]
    assert reply.stderr == "".join(f"{one.stderr}Command failed -:{number}\n" for number, one in told if one.exit_code)
    for shelf in ("tables", "chains", "slots", "rules", "objects", "attachments"):
        assert list(getattr(together.ruleset, shelf)) == list(getattr(apart.ruleset, shelf)), shelf


def test_a_file_of_a_session_holds_what_a_batch_made(tmp_path: Path) -> None:
    with Session(tmp_path / "lab.db") as session:
        session.tc("qdisc add dev eth0 clsact")
        text = "".join(FLOWER.format(port, 3) for port in range(1, 90))
        assert session.tc(["-batch", "-"], text).exit_code == 0
        assert session.tc(["-force", "-batch", "-"], FLOWER.format(89, 3) + FLOWER.format(90, 3)).exit_code == 1
        listing = session.tc("filter show dev eth0 ingress").stdout
    with Session(tmp_path / "lab.db") as session:
        assert session.tc("filter show dev eth0 ingress").stdout == listing
        assert listing.count("dst_port") == 90
        assert session.tc("actions ls action ct").stdout.count("bind 1") == 90
        assert session.tc(f"{FLOWER.format(91, 3)} index 7").exit_code == 0


def test_a_twin_inside_one_batch_is_found() -> None:
    world = ingress()
    reply = world.tc(["-batch", "-"], ADD.format(1) + ADD.format(1))
    assert reply.exit_code == 1
    assert reply.stderr.startswith("RTNETLINK answers: File exists\n")


class Counting:
    """A shelf that counts what is asked of it."""

    def __init__(self, under: object) -> None:
        self.under = under
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.asked.append(name)
        return getattr(self.under, name)

    def __len__(self) -> int:
        return len(self.under)  # type: ignore[arg-type]


def test_adding_a_filter_lists_no_siblings() -> None:
    world = ingress()
    world.ok(ADD.format(1))
    spy = Counting(world.ruleset.rules)
    world.ruleset.rules = spy  # type: ignore[assignment]
    world.ok(ADD.format(2))
    assert set(spy.asked) <= {"get", "find", "put"}
