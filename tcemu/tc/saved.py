"""What a session holds of tc as the commands that make it again, in an order in which they can be given.

    disciplines and classes -> actions made alone -> chains and filters, block by block

Listings of tc cannot always be fed back (they round rates, and say some things in words that are no input); these commands can, to tcemu
and to tc itself. Counters and times are not among them. Chains appear in listings in the order in which they were made, so filters are
given in an order that makes chains as they were made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import convert

from tcemu.diagnostics import TcemuError
from tcemu.ir import verdict as v
from tcemu.ir.ruleset import Chain, Object, Rule, Slot, Table
from tcemu.ir.step import Do, Step
from tcemu.tc import kinds, readers, saved_flower
from tcemu.tc.names import protocol_name
from tcemu.tc.notes import ActionNote, BlockNote, ChainNote, QdiscNote, RuleNote, SlotNote, unpack
from tcemu.tc.parse_state import EGRESS, INGRESS
from tcemu.tc.places import INGRESS_MINOR, ROOT
from tcemu.tc.printers import classid_text
from tcemu.tc.saved_actions import words
from tcemu.tc.saved_filters import handle, options
from tcemu.world import World

INGRESS_MAJOR: Final = 0xFFFF0000
HOOKS: Final = {ROOT: ["root"], INGRESS: ["ingress"], EGRESS: ["egress"]}

IN_FRONT: Final = ("basic", "bpf")  # kinds that put a new filter in front of the others

Line = list[str]


class Item:
    """A command that makes chains: the keys of those that it may be the first to name."""

    __slots__ = ("chains", "line")

    def __init__(self, line: Line, chains: list[str]) -> None:
        self.line = line
        self.chains = chains


def commands(world: World) -> Iterator[Line]:
    """The words of each command, without ``tc`` in front."""
    rules = world.ruleset
    for device in world.host.devices.children(""):
        for table in rules.tables.children(f"tc qdisc {device.key}"):
            yield _qdisc(unpack(QdiscNote, table.note))
        for table in rules.tables.children(f"tc class {device.key}"):
            yield _class(unpack(QdiscNote, table.note))
    for kind in kinds.ACTIONS:
        for action in rules.objects.children(f"tc {kind}"):
            if unpack(ActionNote, action.note).alone:
                yield ["actions", "add", "action", *words(action, True)]
    for block in rules.tables.children("tc"):
        yield from _block(world, block)


def batch_line(line: Line) -> str:
    """A command as ``tc -batch`` reads it: a word with blanks in quotes. Raises TcemuError for words that no batch can hold."""
    return " ".join(map(_quoted, line))


def _quoted(word: str) -> str:
    if word and not set(word) & set(" \t\r\n#") and word[0] not in "\"'" and not word.endswith("\\"):
        return word
    quote = "'" if "'" not in word else '"'
    if quote in word or "\n" in word or "#" in word:
        raise TcemuError(f"a batch of tc cannot hold the word {word!r}; a script can (--tc script)")
    return f"{quote}{word}{quote}"


# ---------------------------------------------------------------- disciplines and classes
def _qdisc(note: QdiscNote) -> Line:
    line = ["qdisc", "add", "dev", note.device]
    if note.kind in ("ingress", "clsact"):
        line += [word for name in ("ingress_block", "egress_block") if getattr(note, name) for word in (name, str(getattr(note, name)))]
        return [*line, note.kind]
    line += ["root"] if note.parent == ROOT else ["parent", classid_text(note.parent)]
    line += ["handle", classid_text(note.handle)] if note.handle else []
    return [*line, note.kind, *note.extra.get("options", ())]


def _class(note: QdiscNote) -> Line:
    parent = f"{note.handle >> 16:x}:" if note.parent == ROOT else classid_text(note.parent)
    return [
        "class",
        "add",
        "dev",
        note.device,
        "parent",
        parent,
        "classid",
        classid_text(note.handle),
        note.kind,
        *note.extra.get("options", ()),
    ]


# ---------------------------------------------------------------- blocks
def _block(world: World, block: Table) -> Iterator[Line]:
    note = unpack(BlockNote, block.note)
    place = _place(block, note)
    chains = world.ruleset.chains.children(block.key)
    queues = [list(_hashed(world, place, chains)), *(list(_chain(world, place, chain)) for chain in chains)]
    queues = [queue for queue in queues if queue]
    order = [chain.key for chain in chains]
    made: set[str] = set()
    while queues:
        expected = next((key for key in order if key not in made), "")
        queue = next((queue for queue in queues if _first(queue[0], made) in ("", expected)), queues[0])
        item = queue.pop(0)
        made.update(item.chains)
        yield item.line
        queues = [queue for queue in queues if queue]


def _first(item: Item, made: set[str]) -> str:
    """The first chain that a command would make."""
    return next((key for key in item.chains if key not in made), "")


def _place(block: Table, note: BlockNote) -> Line:
    """The words that say where filters go."""
    if note.index:
        return ["block", str(note.index)]
    _, _, device, where = block.key.split(" ")
    parent = note.parent
    if not parent:
        parent = (
            INGRESS_MAJOR | INGRESS_MINOR + (where == "egress")
            if where in ("ingress", "egress")
            else int(where.replace(":", "") or "0", 16)
        )
    return ["dev", device, *(HOOKS.get(parent) or ["parent", f"{parent >> 16:x}:{parent & 0xFFFF:x}"])]


def protocol_word(number: int) -> str:
    """An ethertype by name, if it has one."""
    name = protocol_name(number)
    return name if readers.protocol(name) == number else hex(number)


def _frame(object_name: str, verb: str, place: Line, slot: Slot | None, chain: Chain) -> Line:
    line = [object_name, verb, *place]
    if slot is not None:
        line += ["protocol", protocol_word(slot.protocol), "pref", str(slot.rank)]
    return [*line, "chain", chain.name]


def _hashed(world: World, place: Line, chains: list[Chain]) -> Iterator[Item]:
    """u32: all hash tables in the order in which they were made, for a slot's first gets the number that is free then; nodes behind them."""
    tables: list[tuple[int, Item]] = []
    nodes: list[Item] = []
    for chain in chains:
        for slot in world.ruleset.slots.children(chain.key):
            if slot.kind != "u32":
                continue
            frame = _frame("filter", "add", place, slot, chain)
            root = unpack(SlotNote, slot.note).extra["root"]
            low, high = _stretch(slot)
            for rule in world.ruleset.rules.between(f"{chain.key}/u32", low, high):
                note = unpack(RuleNote, rule.note)
                if "divisor" in note.extra:
                    line = [*frame, slot.kind] if note.handle == root else _line(world, frame, slot, rule)[0]
                    tables.append((note.extra["order"], Item(line, [chain.key])))
                else:
                    nodes.append(_item(world, frame, chain, slot, rule))
            nodes += [_item(world, frame, chain, slot, rule) for rule in world.ruleset.rules.between(chain.key, low, high)]
    tables.sort(key=lambda pair: pair[0])
    yield from [item for _, item in tables]
    yield from nodes


def _chain(world: World, place: Line, chain: Chain) -> Iterator[Item]:
    """A chain's commands, but for u32's."""
    note = unpack(ChainNote, chain.note)
    if note.explicit:
        yield Item(_chain_line(place, chain, note), [chain.key])
    for slot in world.ruleset.slots.children(chain.key):
        if slot.kind != "u32":
            yield from _slot(world, place, chain, slot)


def _chain_line(place: Line, chain: Chain, note: ChainNote) -> Line:
    """``chain add``, with its template."""
    line = ["chain", "add", *place]
    if not note.kind:
        return [*line, "chain", chain.name]
    template = unpack(RuleNote, note.template)
    steps = convert(template.extra["steps"], list[Step])
    protocol = saved_flower.protocol(steps)
    line += [*(["protocol", protocol_word(protocol)] if protocol else ()), "chain", chain.name, note.kind]
    return line + saved_flower.keys(steps, template)


def _stretch(slot: Slot) -> tuple[int, int]:
    """The ranks of a slot's rules."""
    return slot.rank << 47, (slot.rank + 1 << 47) - 1


def _slot(world: World, place: Line, chain: Chain, slot: Slot) -> Iterator[Item]:
    """A slot's filters, the oldest first where new ones go in front."""
    rules = world.ruleset.rules.between(chain.key, *_stretch(slot))
    if slot.kind in IN_FRONT:
        rules.reverse()
    frame = _frame("filter", "add", place, slot, chain)
    if not rules:
        yield Item([*frame, slot.kind], [chain.key])
    for rule in rules:
        yield _item(world, frame, chain, slot, rule)


def _item(world: World, frame: Line, chain: Chain, slot: Slot, rule: Rule) -> Item:
    """A filter, and the chains that its actions lead to."""
    line, actions = _line(world, frame, slot, rule)
    return Item(line, [chain.key, *(action.then.to for action in actions if action.then.code == v.GOTO)])


def _line(world: World, frame: Line, slot: Slot, rule: Rule) -> tuple[Line, list[Object]]:
    """A filter's command, and its actions."""
    note = unpack(RuleNote, rule.note)
    actions = [_action(world, step.obj) for step in rule.steps if isinstance(step, Do) and step.obj]
    line = [*frame, *handle(slot.kind, note), slot.kind, *options(slot.kind, rule, note, bool(actions))]
    listed = actions
    if note.police:
        *listed, own = actions
        line += words(own)
    for action in listed:
        line += ["action", *words(action)]
    return line, actions


def _action(world: World, key: str) -> Object:
    found = world.ruleset.objects.get(key)
    assert found is not None
    return found
