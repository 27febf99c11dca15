"""What a command changed, as ``nft monitor`` tells it: two looks at a ruleset held against each other.

Changes come in the order of handles, which is that in which things were made; what is gone comes first, rules before what they
stand in; a table's things go together. Formats observed with nft 1.0.6 (nftables src/monitor.c); of rules with sets of their own its JSON
of what was deleted is rubbish and is not copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcemu.ir.ruleset import Chain, Element, Flowtable, Object, Rule, Ruleset, Set, Table
from tcemu.nft.notes import ChainNote, FlowtableNote, ObjectNote, RuleNote, SetNote, TableNote, unpack
from tcemu.nft.objects import lines
from tcemu.nft.show import hidden, in_place

if TYPE_CHECKING:
    from tcemu.nft.show import Out

Look = dict[str, Any]  # records by key


class Event(NamedTuple):
    """add, insert or delete; the noun; its line as text; its record in JSON."""

    op: str
    noun: str
    text: str
    json: Any


def look(ruleset: Ruleset) -> Look:
    """All of nft that is there now."""
    shelves: tuple[Any, ...] = (
        ruleset.tables,
        ruleset.chains,
        ruleset.sets,
        ruleset.elements,
        ruleset.flowtables,
        ruleset.objects,
        ruleset.rules,
    )
    found: Look = {}
    for place, shelf in enumerate(shelves):
        for record in shelf:
            if not record.key.startswith("tc "):
                found[f"{place} {record.key}"] = record
    return found


def changes(before: Look, after: Look, out: Out) -> list[Event]:
    """What happened between two looks."""
    gone = [record for key, record in before.items() if key not in after]
    new = [record for key, record in after.items() if key not in before or _changed(before[key], record)]
    moved = _renamed(gone, new)
    if moved:  # rules that went along are told of as little as those that name the chain
        gone = [record for record in gone if record.key not in moved and not (isinstance(record, Rule) and record.parent in moved)]
        ends = set(moved.values())
        new = [record for record in new if not (isinstance(record, Rule) and (record.parent in ends or f"6 {record.key}" in before))]
    order = {record.key: record.rank for look in (before, after) for record in look.values() if isinstance(record, Table)}
    found: list[Event] = []
    for record in sorted(gone, key=lambda record: (order.get(_table(record), 0), *_last_first(record))):
        found += _deleted(record, before, after, out)
    new.sort(key=lambda record: (order.get(_table(record), 0), _handle(record, after)))
    return found + [event for record in new for event in _added(record, before, after, out)]


def _changed(old: Any, new: Any) -> bool:
    """Has what was there other settings? How often a thing is used is none of them."""
    if isinstance(new, Chain):
        mine, other = unpack(old.note, ChainNote), unpack(new.note, ChainNote)
        return (mine.policy, mine.flags) != (other.policy, other.flags)
    if isinstance(new, Rule):
        rule, was = unpack(new.note, RuleNote), unpack(old.note, RuleNote)
        return (rule.body, rule.comment) != (was.body, was.comment)
    return isinstance(new, Table) and unpack(old.note, TableNote).flags != unpack(new.note, TableNote).flags


def _renamed(gone: list[Any], new: list[Any]) -> dict[str, str]:
    """Chains that have another name: their old keys and the new ones."""
    handles = {(chain.parent, unpack(chain.note, ChainNote).handle): chain.key for chain in new if isinstance(chain, Chain)}
    found = {}
    for chain in gone:
        key = handles.get((chain.parent, unpack(chain.note, ChainNote).handle)) if isinstance(chain, Chain) else None
        if key is not None:
            found[chain.key] = key
    return found


ORDER: Final = (Rule, Element, Set, Flowtable, Object, Chain, Table)


def _last_first(record: Any) -> tuple[int, int]:
    """What stands in something goes before it; ranks are places."""
    return ORDER.index(type(record)) if type(record) in ORDER else len(ORDER), record.rank


def _table(record: Any) -> str:
    key: str = record.key
    return key if isinstance(record, Table) else key.partition("/")[0]


def _handle(record: Any, found: Look) -> tuple[int, int]:
    """The place among what a table holds; members stand behind their set."""
    if isinstance(record, Table):
        return (0, 0)
    if isinstance(record, Element):
        owner = found.get(f"2 {record.parent}")
        return (owner.rank if owner is not None else 0, 1 + record.rank)
    if isinstance(record, Rule):
        return (unpack(record.note, RuleNote).handle, 0)
    return (record.rank, 0)


def _head(record: Any, noun: str) -> str:
    family, _, table = _table(record).partition(" ")
    return f"{noun} {family} {table}" + (f" {record.name}" if not isinstance(record, Table) else "")


# ---------------------------------------------------------------- what came
def _added(record: Any, before: Look, after: Look, out: Out) -> Iterator[Event]:
    from tcemu.nft import show_json

    if isinstance(record, Table):
        note = unpack(record.note, TableNote)
        flags = f" {{ flags {','.join(note.flags)}; }}" if note.flags else ""
        yield _event("add", "table", f"{_head(record, 'table')}{flags}", note.handle, out, show_json.table_object(record, out))
    elif isinstance(record, Chain) and not in_place(record):
        chain = unpack(record.note, ChainNote)
        block = f" {{ {out.hook(record, chain)} }}" if chain.hook else ""
        yield _event("add", "chain", f"{_head(record, 'chain')}{block}", chain.handle, out, show_json.chain_object(record, out))
    elif isinstance(record, Set) and not hidden(record):
        own = unpack(record.note, SetNote)
        noun = "map" if own.data_types or own.object else "set"
        rows = "".join(f" {row};" for row in out.set_lines(record, own))
        text = f"{_head(record, noun)} {{{rows} }}"
        yield _event("add", noun, text, own.handle, out, show_json.set_object(record, out, []), " ")
    elif isinstance(record, Element):
        yield from _element("add", record, after, out)
    elif isinstance(record, Object) and record.parent.count(" ") == 1 and record.name:
        thing = unpack(record.note, ObjectNote)
        rows_of = lines(record, thing.config, out)
        inside = f" {rows_of[0]}" if len(rows_of) == 1 else "".join(f" {row};" for row in rows_of)
        text = f"{_head(record, record.kind)} {{{inside} }}"
        yield _event("add", record.kind, text, thing.handle, out, show_json.object_object(record, out), " ")
    elif isinstance(record, Flowtable):
        made = unpack(record.note, FlowtableNote)
        devices = f" devices = {{ {', '.join(record.devices)} }};" if record.devices else ""
        text = f"{_head(record, 'flowtable')} {{ hook {made.hook} priority {record.priority};{devices} }}"
        yield _event("add", "flowtable", text, made.handle, out, show_json.flowtable_object(record, out))
    elif isinstance(record, Rule):
        yield from _rule(record, before, after, out)


def _event(op: str, noun: str, text: str, handle: int, out: Out, body: Any, tail: str = "") -> Event:
    return Event(op, noun, f"{op} {text}{f' # handle {handle}' if out.handles else ''}{tail}", {op: body})


def _rule(record: Rule, before: Look, after: Look, out: Out) -> Iterator[Event]:
    from tcemu.nft.show_json import rule_object

    chain = after.get(f"1 {record.parent}")
    if chain is None or in_place(chain):
        return
    family, _, table = chain.parent.partition(" ")
    others = [rule for rule in before.values() if isinstance(rule, Rule) and rule.parent == record.parent]
    op = "insert" if others and record.rank < min(rule.rank for rule in others) else "add"
    place = ""
    if f"6 {record.key}" in before:  # replaced
        op = "add"
        yield from _deleted(before[f"6 {record.key}"], before, after, out)
        ahead = [rule for rule in others if rule.rank < record.rank]
        place = f"handle {unpack(max(ahead, key=lambda rule: rule.rank).note, RuleNote).handle} " if ahead else ""
    text = f"{op} rule {family} {table} {chain.name} {place}{out.rule(record)}"
    yield Event(op, "rule", text, {op: rule_object(record, chain, out)})


def _element(op: str, record: Element, found: Look, out: Out) -> Iterator[Event]:
    from tcemu.nft.show_json import element

    owner = found.get(f"2 {record.parent}")
    if owner is None or hidden(owner):
        return
    note = unpack(owner.note, SetNote)
    family, _, table = owner.parent.partition(" ")
    place = {"family": family, "table": table, "name": owner.name}
    if op == "add" and record.expires and record.timeout:
        out = copy(out)
        out.now = record.expires - record.timeout  # the kernel tells of it when it has just come
    body = {op: {"element": {**place, "elem": {"set": [element(owner, note, record, out)]}}}}
    yield Event(op, "element", f"{op} element {family} {table} {owner.name} {{ {out.element(owner, note, record)} }}", body)


# ---------------------------------------------------------------- what went
def _deleted(record: Any, before: Look, after: Look, out: Out) -> Iterator[Event]:
    family, _, table = _table(record).partition(" ")
    place = {"family": family, "table": table}
    if isinstance(record, Table):
        body = {"family": family, "name": table, "handle": unpack(record.note, TableNote).handle}
        yield Event("delete", "table", f"delete table {family} {table}", {"delete": {"table": body}})
    elif isinstance(record, Rule):
        yield from _rule_gone(record, before, after, place, out)
    elif isinstance(record, Element):
        if f"2 {record.parent}" in before and f"2 {record.parent}" in after:  # elements of a set that goes are not told of
            yield from _element("delete", record, before, out)
    elif isinstance(record, Set):
        if not hidden(record):
            yield _set_gone(record, place)
    elif isinstance(record, Chain | Flowtable) or (isinstance(record, Object) and record.name):
        noun = _noun(record)
        yield Event("delete", noun, f"delete {_head(record, noun)}", {"delete": {noun: _empty(record, noun, place)}})


def _rule_gone(record: Rule, before: Look, after: Look, place: dict[str, Any], out: Out) -> Iterator[Event]:
    """A rule, and the sets that went with it."""
    from tcemu.nft.show_json import rule_object

    chain = before[f"1 {record.parent}"]
    note = unpack(record.note, RuleNote)
    body: Any = {"rule": {**place, "chain": chain.name, "handle": note.handle}}
    if not note.sets:  # nft does not find the members of those either
        body = rule_object(record, chain, out)
    text = f"delete rule {place['family']} {place['table']} {chain.name} handle {note.handle}"
    yield Event("delete", "rule", text, {"delete": body})
    for key in note.sets:
        if f"2 {key}" in before and f"2 {key}" not in after:
            yield _set_gone(before[f"2 {key}"], place)


def _set_gone(record: Set, place: dict[str, Any]) -> Event:
    """A set or a map: nft says set of both, and has no type in JSON, as the kernel does not tell it."""
    body = {"family": place["family"], "name": record.name, "table": place["table"], "type": "invalid"}
    return Event(
        "delete", "set", f"delete {_head(record, 'set')}", {"delete": {"set": {**body, "handle": unpack(record.note, SetNote).handle}}}
    )


NOTHING: Final[dict[str, dict[str, Any]]] = {  # what JSON has of an object of which only the name is told
    "counter": {"packets": 0, "bytes": 0},
    "quota": {"bytes": 0, "used": 0, "inv": False},
    "limit": {"rate": 0, "per": "error"},
    "ct helper": {"type": "(null)", "protocol": "ip", "l3proto": "unknown"},
}


def _empty(record: Any, noun: str, place: dict[str, Any]) -> dict[str, Any]:
    """The JSON of what is gone: its place, and nothing where its settings were."""
    if isinstance(record, Chain):
        return {**place, "name": record.name, "handle": unpack(record.note, ChainNote).handle}
    handle = unpack(record.note, ObjectNote).handle if isinstance(record, Object) else unpack(record.note, FlowtableNote).handle
    return {"family": place["family"], "name": record.name, "table": place["table"], "handle": handle, **NOTHING.get(noun, {})}


def _noun(record: Any) -> str:
    return record.kind if isinstance(record, Object) else type(record).__name__.lower()


WANTED: Final = {
    "tables": ("table",),
    "chains": ("chain",),
    "sets": ("set", "map", "element"),
    "rules": ("rule",),
    "elements": ("element",),
}


def told(events: list[Event], which: str, what: str) -> list[Event]:
    """The events that ``monitor [new|destroy] [tables|chains|sets|rules|elements|ruleset]`` asks for."""
    nouns = WANTED.get(what)
    chosen = [event for event in events if nouns is None or event.noun in nouns]
    return [event for event in chosen if not which or (event.op == "delete") == (which == "destroy")]
