"""Batches: lines, comments, continuations, where they stop, and that what they write is what single commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

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
