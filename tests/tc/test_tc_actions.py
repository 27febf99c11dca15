"""Actions as objects: indexes, references, sharing, and what deleting does."""

from __future__ import annotations

import json

from .worlds import SECOND, ingress


def test_indexes_are_the_lowest_free_ones() -> None:
    world = ingress()
    for _ in range(3):
        world.ok("actions add action drop")
    world.ok("actions del action gact index 2")
    world.ok("actions add action pass")
    listed = json.loads(world.ok("-j actions ls action gact"))
    assert [(action["index"], action["control_action"]["type"]) for action in listed[1]["actions"]] == [
        (1, "drop"),
        (2, "pass"),
        (3, "drop"),
    ]


def test_a_shared_action_counts_its_filters() -> None:
    world = ingress()
    world.ok("actions add action ct zone 5 index 7")
    for prio in (1, 2):
        world.ok(f"filter add dev eth0 ingress prio {prio} protocol ip flower action ct index 7")
    assert "index 7 ref 3 bind 2" in world.ok("filter show dev eth0 ingress")
    assert world.tc("actions del action ct index 7").stderr.startswith("Error: Failed to delete TC action.\n")
    world.ok("filter del dev eth0 ingress")
    assert "index 7 ref 1 bind 0" in world.ok("actions ls action ct")


def test_an_action_of_a_filter_goes_with_it() -> None:
    world = ingress()
    world.ok("filter add dev eth0 ingress prio 1 protocol ip flower action drop")
    world.ok("filter del dev eth0 ingress prio 1")
    assert world.ok("actions ls action gact") == ""
    assert len(world.ruleset.objects) == 0


def test_a_goto_holds_its_chain() -> None:
    world = ingress()
    world.ok("filter add dev eth0 ingress prio 1 protocol ip flower action goto chain 5")
    assert world.ruleset.chains.get("tc dev eth0 ingress/5") is not None
    world.ok("filter del dev eth0 ingress prio 1")
    assert world.ruleset.chains.get("tc dev eth0 ingress/5") is None


def test_flush_stops_at_the_first_in_use() -> None:
    world = ingress()
    world.ok("actions add action drop")
    world.ok("filter add dev eth0 ingress prio 1 protocol ip flower action pass")
    world.ok("actions add action drop")
    reply = world.tc("actions flush action gact")
    assert (reply.exit_code, reply.stderr) == (0, "Warning: Unable to flush all TC actions.\n")
    assert world.ok("actions ls action gact").startswith("total acts 2\n")


def test_cookies_flags_and_times() -> None:
    world = ingress()
    world.ok("actions add action drop cookie c0ffee hw_stats disabled no_percpu")
    world.time = 5 * SECOND
    text = world.ok("-s actions ls action gact")
    for part in ("cookie c0ffee", "no_percpu", "hw_stats disabled", "installed 5 sec"):
        assert part in text
