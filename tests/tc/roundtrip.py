"""One line in a session, and a filter made again: from the commands that the session saves, and from its listing."""

from __future__ import annotations

import json
import re
from copy import copy

import msgspec

from tcemu import Session
from tcemu.diagnostics import TcemuError
from tcemu.ir.operand import Load
from tcemu.ir.ruleset import Object
from tcemu.ir.stats import Stats
from tcemu.ir.step import Match
from tcemu.session.session import Result
from tcemu.tc import saved
from tcemu.tc.commands import lines

from .relisted import commands, shown

CODES = (0, 1, 2, 255)
DEVICES = ("eth0", "eth1", "eth2", "dummy0")
BARE = ("skbmod", "simple", "fw", "basic", "cgroup", "flow", "route", "xt", "enc_flags", "offset")  # kinds whose JSON tc 6.1 itself breaks
ADDRESSES = tuple(Load(name) for name in ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr"))
NETWORK = tuple(Load(name) for name in ("meta.netproto", "vlan.type", "cvlan.type"))
PLACE = ["dev", "eth0", "ingress"]


class FaultError(AssertionError):
    """Something that may not be."""


class World(Session):
    """A session in memory with devices and a clsact."""

    def __init__(self, strict: bool) -> None:
        super().__init__(strict=strict)
        for name in DEVICES:
            self.ip(["link", "add", "name", name, "type", "dummy"])
        self.tc(["qdisc", "add", "dev", "eth0", "clsact"])


def run_line(world: World, words: list[str], options: list[str]) -> Result:
    """A line; for one that lists, with options in front. The reply must have an exit code of tc's."""
    if len(words) > 1 and words[1] in ("show", "list", "ls", "get"):
        words = [*options, *words]
    reply = world.tc(words)
    if reply.exit_code not in CODES:
        raise FaultError(f"exit {reply.exit_code}")
    if reply.exit_code and not reply.stderr:
        raise FaultError(f"exit {reply.exit_code} without a word")
    return reply


def listing(world: World, *options: str) -> str:
    """What eth0's ingress holds."""
    reply = world.tc([*options, "filter", "show", *PLACE])
    if reply.exit_code and not ("-br" in options and reply.stderr.startswith("Error: Buffer too small")):  # as the kernel ends it
        raise FaultError(f"listing ends with {reply.exit_code}: {reply.stderr}")
    return reply.stdout


def matches(world: World) -> list[list[Match]]:
    """What the rules match, but for what tc does not list: keys under an empty mask, and addresses of a packet whose ethertype it does not know."""
    found = [[step for step in rule.steps if isinstance(step, Match) and not step.implied] for rule in world.ruleset.rules]
    return [[step for step in steps if step.left not in ADDRESSES or any(other.left in NETWORK for other in steps)] for steps in found]


def round_trip(words: list[str], strict: bool) -> str:
    """Make the filter alone in a session, save it and make it again, list it and make it again from the listing. What became of it: made
    again from its listing, or from its commands alone, where tc's listing is no input or tells less than was put in."""
    with World(strict) as world:
        if world.tc(words).exit_code:
            return "not alone"
        saved_again(world)
        text = listing(world)
        if not text:
            return "from its commands"
        as_json = listing(world, "-j")
        if not any(re.search(rf"\b{kind}\b", text, re.I) for kind in BARE):
            try:
                json.loads(as_json)
            except ValueError as slip:
                raise FaultError(f"JSON: {slip}: {as_json[:300]}") from None
        for options in (("-s", "-d"), ("-br",), ("-o", "-j", "-p"), ("-s", "-j")):
            listing(world, *options)
        again = commands(text, PLACE)
        if not again:
            return "from its commands"
        with World(strict) as other:
            for command in again:
                reply = other.tc(command)
                if reply.exit_code:
                    raise FaultError(f"{shown(command)}: {reply.stderr}")
            if (second := listing(other)) != text:
                raise FaultError(f"{text}\n{shown(again[0]) if again else ''}\n{second}")
            if matches(other) != matches(world):
                raise FaultError(f"{text}\n{shown(again[0])}\n{matches(world)}\n{matches(other)}")
    return "from its listing and from its commands"


def saved_again(world: World) -> None:
    """What the session saves makes the same in a new one: every record, counters apart. A batch of tc holds the same words."""
    found = list(saved.commands(world))
    with Session(strict=world.strict) as other:
        for device in world.host.devices.children(""):
            if device.key != "lo":
                other.ip(["link", "add", "name", device.key, "type", "dummy"])
        for command in found:
            try:
                again = [words for _, words in lines(saved.batch_line(command))]
            except TcemuError:
                again = [command]  # no batch can hold it
            if again != [command]:
                raise FaultError(f"{command} reads {again} in a batch")
            reply = other.tc(command)
            if reply.exit_code:
                raise FaultError(f"saved as {shown(command)}: {reply.stderr}")
        if contents(other) != contents(world):
            raise FaultError(f"saved as {[shown(command) for command in found]}\n{contents(world)}\n{contents(other)}")


def contents(session: Session) -> object:
    """All that tc holds in a session, counters and times apart."""
    rules = session.ruleset
    return [[_still(record) for record in shelf] for shelf in (rules.chains, rules.slots, rules.rules, rules.objects, rules.attachments)]


def _still(record: object) -> object:
    found = copy(record)
    if isinstance(found, Object):
        found.stats = Stats()
    return msgspec.json.decode(msgspec.json.encode(found))
