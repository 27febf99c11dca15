"""The nouns: tables of chains of rules, what is attached where, and the named things that rules use.

Keys are paths, so that each noun is found without loading its neighbours::

    tc   table "tc dev eth0 ingress" | "tc dev eth0 egress" | "tc block 7"     chain "<table>/<chain number>"
         slot  "<chain>/<prio>"           rule "<slot>/<handle as 8 hex digits>"    object "tc <kind> <index>"
    nft  table "<family> <name>"          chain "<table>/<chain>"                 rule "<chain>/<handle>"
         set, flowtable, object "<table>/<kind> <name>"

A verdict's target is a chain key.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

from tcemu.ir.effect import Effect
from tcemu.ir.stats import Stats
from tcemu.ir.step import Step
from tcemu.ir.verdict import ACCEPT, NEXT, Verdict
from tcemu.shelf import MemoryShelf, Record, Shelf

NO_NOTE = Raw(b"null")


class Table(Record):
    """A namespace of chains and gotos: a tc block or an nft table (parent: ``tc`` or the family)."""

    family: str = ""
    name: str = ""
    max_restarts: int = 0  # tc reclassifies and follows gotos this often, then drops (cls_api.c max_reclassify_loop)
    dormant: bool = False
    note: Raw = NO_NOTE


class Chain(Record):
    """Rules in evaluation order (parent: its table); ``end`` is the verdict behind the last one."""

    name: str = ""
    end: Verdict = Verdict(ACCEPT)
    note: Raw = NO_NOTE


class Slot(Record):
    """A tc prio slot, the kernel's tcf_proto (parent: its chain; rank: the prio): one protocol and one kind."""

    protocol: int = 0
    kind: str = ""
    note: Raw = NO_NOTE


class Rule(Record):
    """Steps with a place (parent: its chain; rank: evaluation order); ``slot`` is where tc's continue leaves from."""

    slot: int = 0
    steps: list[Step] = []
    hardware: str = ""  # "only": the rule runs in hardware or not at all (tc skip_sw); "never": it stays out of it (skip_hw)
    note: Raw = NO_NOTE


class Object(Record):
    """Something with an identity and counters: a tc action instance, an nft named counter, quota, limit, helper …

    parent is ``tc <kind>`` or the nft table; rank the index or handle; ``bound`` counts the rules that use it.
    """

    kind: str = ""
    name: str = ""
    effect: Effect | None = None
    then: Verdict = NEXT
    otherwise: Effect | None = None  # gact's random pick
    stats: Stats = field(default_factory=Stats)
    bound: int = 0
    note: Raw = NO_NOTE


class Attachment(Record):
    """A way in: packets at (device, hook, priority) enter ``chain`` (parent: its table).

    hook is ingress, egress, prerouting, input, forward, output or postrouting; device is empty for all;
    layer is netdev, bridge, arp, ip, ip6 or inet. An nft base chain has one, or one per device.
    """

    layer: str = "netdev"
    hook: str = "ingress"
    device: str = ""
    priority: int = 0
    chain: str = ""
    kind: str = "filter"  # nft chain type; "tc" for classifiers
    note: Raw = NO_NOTE


class Set(Record):
    """A set or map (parent: its table); its elements are on the shelf of elements.

    ``effects`` are the statements that each new element gets, with counters at nought.
    """

    name: str = ""
    bits: tuple[int, ...] = ()  # widths of the key's parts
    interval: bool = False
    data_bits: int = 0
    verdicts: bool = False
    size: int = 0
    timeout: int = 0  # ns
    dynamic: bool = False
    anonymous: bool = False
    effects: list[Effect] = []
    note: Raw = NO_NOTE


class Element(Record):
    """An element (parent: its set): low and high of each part, none for the catch-all; the data of a map; its own counters and lifetime.

    ``data`` holds parts of a concatenation side by side, each filled up to 32 bits or a multiple; ``data_high`` is set where the data is
    a range; ``object`` is the key of the object that an object map leads to. Elements that packets made have no note.
    """

    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()
    data: int | None = None
    data_high: int | None = None
    verdict: Verdict | None = None
    object: str = ""
    timeout: int = 0
    expires: int = 0  # capture time in ns, 0 for never
    effects: list[Effect] = []
    note: Raw = NO_NOTE


class Flowtable(Record):
    """An nft flowtable (parent: its table)."""

    name: str = ""
    devices: tuple[str, ...] = ()
    priority: int = 0
    counter: bool = False
    hardware: bool = False
    note: Raw = NO_NOTE


class Ruleset(Struct):
    """Everything that rules are made of, on its shelves."""

    tables: Shelf[Table]
    chains: Shelf[Chain]
    slots: Shelf[Slot]
    rules: Shelf[Rule]
    objects: Shelf[Object]
    attachments: Shelf[Attachment]
    sets: Shelf[Set]
    elements: Shelf[Element]
    flowtables: Shelf[Flowtable]


def empty() -> Ruleset:
    """A ruleset in memory."""
    return Ruleset(
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
        MemoryShelf(),
    )
