"""What tc keeps beside the IR: the private notes of tables, chains, slots, rules and objects.

The engine never reads these; `tcemu.tc.show` prints from them, `tcemu.tc.apply` keeps its books in them (`tcemu.tc.notes`).
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from tcemu.ir.ruleset import NO_NOTE


class BlockNote(Struct, omit_defaults=True):
    """A table: the kernel's tcf_block. ``index`` is that of a shared block (0: the qdisc's own); ``parent`` the class id
    of the last command that touched its filters (what listings show); ``made`` counts chains made; ``users`` its qdiscs."""

    index: int = 0
    parent: int = 0
    made: int = 0
    users: int = 0
    u32: dict[str, str] = {}  # hash tables of u32 by number: the slot they are in


class ChainNote(Struct, omit_defaults=True):
    """A chain: made by ``chain add``, held by how many goto actions and slots, its lowest automatic priority, its template."""

    explicit: bool = False
    acts: int = 0
    slots: int = 0
    auto: int = 0
    kind: str = ""
    template: Raw = NO_NOTE


class SlotNote(Struct, omit_defaults=True):
    """A slot, the kernel's tcf_proto: masks by digest with (order, users), free handles, what one kind keeps in ``extra``."""

    masks: dict[str, tuple[int, int]] = {}
    made: int = 0
    count: int = 0
    free: list[tuple[int, int]] = []
    extra: dict[str, Any] = {}


class RuleNote(Struct, omit_defaults=True):
    """A filter: its handle, class id, flags (TCA_CLS_FLAGS_*), input device and mask digest; ``extra`` is its kind's.

    ``acts`` are the keys of its actions, and ``values`` those of the fields in ``mask``, as they were given, so that a listing can do
    without the steps; None where only the steps say it.
    """

    handle: int = 0
    classid: int = 0
    flags: int = 0
    indev: str = ""
    mask: str = ""
    extra: dict[str, Any] = {}
    police: bool = False  # the last action is a policer that was given as the filter's own
    acts: list[str] | None = None
    values: list[int] | None = None


class ActionNote(Struct, omit_defaults=True):
    """An action: made by ``tc actions`` (and so held by nothing else), cookie, hw_stats and flags; ``extra`` is its kind's."""

    alone: bool = False
    cookie: str = ""
    hw_stats: int = -1  # -1: any
    no_percpu: bool = False
    skip: str = ""
    extra: dict[str, Any] = {}


class QdiscNote(Struct, omit_defaults=True):
    """A qdisc: kind, handle and parent as class ids, the shared blocks of ingress and clsact, options as words."""

    device: str = ""
    kind: str = ""
    handle: int = 0
    parent: int = 0
    ingress_block: int = 0
    egress_block: int = 0
    extra: dict[str, Any] = {}


class IndexNote(Struct, omit_defaults=True):
    """Free indexes of one kind of action."""

    free: list[tuple[int, int]] = []
