"""``tc monitor``: tell what other processes change in the session, until interrupted.

    tc [-timestamp|-tshort] monitor

The kernel sends events; here what there is is looked at again whenever the session's file has another version, and two looks are held
against each other: what went comes first, then what came, disciplines before chains, chains before filters, filters before actions. A filter
that differs is told as replaced. Formats observed with tc 6.1.0; as there, JSON and other options of listings change nothing.
Source: iproute2 6.1 tc/tc_monitor.c (accept_tcmsg), lib/libnetlink.c, tc_filter.c, tc_qdisc.c, m_action.c (print_action).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Final, NamedTuple, TypeVar

from tcemu.clock import MICROSECOND, wall
from tcemu.ir.ruleset import Chain, Object, Rule, Slot, Table
from tcemu.shelf import Record
from tcemu.tc import qdisc
from tcemu.tc.commands import Settings, printer, read_options
from tcemu.tc.complaint import USAGE, ComplaintError
from tcemu.tc.look import Look
from tcemu.tc.notes import ActionNote, ChainNote, QdiscNote, RuleNote, unpack
from tcemu.tc.places import Place
from tcemu.tc.show import View, show_chain, show_filter, show_head
from tcemu.tc.show_actions import show_action
from tcemu.tc.usage import usage
from tcemu.tc.writer import Options
from tcemu.world import Reply, World

R = TypeVar("R", bound=Record)
ROOT_TABLE: Final = 0x80000000  # handles of u32's own hash tables, which the kernel makes without a word, begin here


class Seen(NamedTuple):
    """One look: records by key."""

    tables: dict[str, Table]
    chains: dict[str, Chain]
    slots: dict[str, Slot]
    rules: dict[str, Rule]
    actions: dict[str, Object]


class _Then:
    """The world as it was at a look, for the listing of what went."""

    __slots__ = ("look", "seen", "world")

    def __init__(self, world: World, seen: Seen) -> None:
        self.world = world
        self.seen = seen
        self.look = Look(world)
        self.look.know(seen.actions)


def asked(argv: Sequence[str]) -> Settings | None:
    """The global options, if the command is a monitor that can be followed."""
    settings = Settings()
    try:
        early, rest = read_options(list(argv), settings)
    except ComplaintError:
        return None
    return settings if early is None and settings.batch is None and len(rest) == 1 and rest[0] and "monitor".startswith(rest[0]) else None


def recorded(words: Sequence[str]) -> str | None:
    """The file that messages come from, the last that is named; None where there is none, or a word that is wrong."""
    path = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word or not "file".startswith(word) or not rest:
            return None
        path = rest.pop(0)
    return path


def refuse(words: Sequence[str]) -> Reply:
    """What is said of words behind ``monitor``, and of a monitor that cannot be followed, as nothing else changes the session."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word and "file".startswith(word):
            if not rest:
                return Reply(USAGE, "", 'Command line is not complete. Try option "help"\n')
            del rest[0]
            continue
        if word and "help".startswith(word):
            return Reply(USAGE, "", usage("monitor"))
        return Reply(USAGE, "", f'Argument "{word}" is unknown, try "tc monitor help".\n')
    return Reply(0, "", "tcemu: note: nothing changes while a command runs; there is nothing to wait for\n")


def follow(world: World, options: Options, changed: Iterable[None], tell: Callable[[str], None]) -> None:
    """Tell changes as they come. ``changed`` has an item each time that the session's file is another."""
    seen = look(world)
    for _ in changed:
        now = look(world)
        tell("".join(stamp(options) + event for event in changes(world, seen, now, options)))
        seen = now


def stamp(options: Options) -> str:
    """The time in front of an event (lib/utils.c print_timestamp)."""
    if not options.timestamp:
        return ""
    now = wall() // MICROSECOND
    at = time.localtime(now // 1_000_000)
    if options.tshort:
        return f"[{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{now % 1_000_000:06d}] "
    return f"Timestamp: {time.strftime('%a %b %e %H:%M:%S %Y', at)} {now % 1_000_000} usec\n"


def look(world: World) -> Seen:
    """All of tc that is there now."""
    rules = world.ruleset
    return Seen(
        {table.key: copy(table) for table in rules.tables if table.parent == "tc" or table.parent.startswith("tc qdisc ")},
        {chain.key: copy(chain) for chain in rules.chains if _told(chain)},
        {slot.key: copy(slot) for slot in rules.slots},
        {rule.key: copy(rule) for rule in rules.rules if rule.parent.startswith("tc ")},
        {action.key: copy(action) for action in rules.objects if action.parent.startswith("tc ")},
    )


def _told(chain: Chain) -> bool:
    if not chain.parent.startswith("tc "):
        return False
    note = unpack(ChainNote, chain.note)
    return note.explicit or note.slots > 0


def changes(world: World, before: Seen, after: Seen, options: Options) -> list[str]:
    """The events between two looks, as tc prints them."""
    plain = options._replace(json=False, brief=False)
    then, now = _Then(world, before), _Then(world, after)
    found = _filters_gone(then, after, plain)
    found += [_chain(world, before, chain, "deleted ", plain) for chain in _gone(before.chains, after.chains)]
    found += [_alone(world, action, "Deleted", plain) for action in _gone(_made_alone(before), _made_alone(after))]
    found += [_qdisc(world, table, "deleted ", plain) for table in _gone(before.tables, after.tables)]
    found += [_qdisc(world, table, "", plain) for table in _new(before.tables, after.tables)]
    found += [_chain(world, after, chain, "added ", plain) for key, chain in after.chains.items() if key not in before.chains]
    for rule in _new(before.rules, after.rules):
        word = "replaced " if rule.key in before.rules else "added "
        found.append(_filter(now, rule, word, plain))
    for action in _new(_made_alone(before), _made_alone(after)):
        found.append(_alone(world, action, "Replaced" if action.key in before.actions else "Added", plain))
    return [event for event in found if event]


def _gone(before: dict[str, R], after: dict[str, R]) -> list[R]:
    return [record for key, record in before.items() if key not in after]


def _new(before: dict[str, R], after: dict[str, R]) -> list[R]:
    return [record for key, record in after.items() if key not in before or _differ(before[key], record)]


def _differ(old: Record, new: Record) -> bool:
    """Are they not the same, counters and users apart?"""
    if isinstance(old, Object) and isinstance(new, Object):
        return (old.effect, old.then, old.note) != (new.effect, new.then, new.note)
    if isinstance(old, Table):
        return old.parent != "tc" and old != new  # what a block's books say is no event
    return old != new


def _made_alone(seen: Seen) -> dict[str, Object]:
    return {key: action for key, action in seen.actions.items() if unpack(ActionNote, action.note).alone}


def _place(world: World, seen: Seen, chain: str) -> tuple[Place, Chain] | None:
    """The block of a chain; None where it went with all that is in it, of which the kernel tells nothing."""
    record = seen.chains.get(chain) or world.ruleset.chains.get(chain)
    if record is None:
        return None
    words = record.parent.split()
    return Place(record.parent, seen.tables.get(record.parent), words[2] if words[1] == "dev" else ""), record


def _filters_gone(then: _Then, after: Seen, options: Options) -> list[str]:
    """Filters that went; of a slot that went as a whole its own line alone, of a block that went nothing."""
    found = []
    before = then.seen
    for slot in _gone(before.slots, after.slots):
        place = _place(then.world, before, slot.parent)
        if place is not None and place[0].table in after.tables:
            out = printer(options, then.world)
            out.text("deleted ")
            show_head(out, place[0], View(), place[1], slot)
            out.newline()
            found.append(out.value())
    for rule in _gone(before.rules, after.rules):
        if rule.key.rpartition("/")[0] in after.slots:
            found.append(_filter(then, rule, "deleted ", options))
    return found


def _filter(then: _Then, rule: Rule, word: str, options: Options) -> str:
    slot = then.seen.slots.get(rule.key.rpartition("/")[0])
    place = _place(then.world, then.seen, slot.parent) if slot is not None else None
    own = unpack(RuleNote, rule.note)
    if slot is None or place is None or (own.handle >= ROOT_TABLE and not own.handle & 0xFFFFF):
        return ""
    out = printer(options, then.world)
    out.text(word)
    show_filter(out, then.look, place[0], View(), place[1], slot, rule)
    return out.value()


def _chain(world: World, seen: Seen, chain: Chain, word: str, options: Options) -> str:
    place = _place(world, seen, chain.key)
    if place is None:
        return ""
    out = printer(options, world)
    out.text(word)
    show_chain(out, place[0], View(), chain, unpack(ChainNote, chain.note))
    return out.value()


def _qdisc(world: World, table: Table, word: str, options: Options) -> str:
    if table.parent == "tc":
        return ""
    out = printer(options, world)
    out.text(word)
    qdisc.show_event(out, unpack(QdiscNote, table.note))
    return out.value()


def _alone(world: World, action: Object, word: str, options: Options) -> str:
    out = printer(options, world)
    out.text("total acts 0")
    out.newline()
    out.text(f"{word} action ")
    show_action(out, Look(world), action, 1, True)
    return out.value()
