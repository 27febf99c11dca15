"""The written tuples of kinds: which word is which file. A new kind is a file, a row here, and its rules in grammar/tc.lark."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Rule

# kind of filter -> module of tcemu.tc with READER (what reads its keys) and KIND (what applies and shows it)
FILTERS: Final = {
    "flower": "flower",
    "matchall": "matchall",
    "u32": "u32",
    "fw": "fw",
    "basic": "basic",
    "cgroup": "cgroup",
    "flow": "flow",
    "route": "route",
    "bpf": "bpf",
}

# kinds whose listing is a module of its own, so that what lists need not load what reads and applies
SHOWN: Final = {"flower": "flower_show"}
# kinds that tc reads and that Linux 6.1 does not have (6.1.192; taken out of all kernels in 2023): nothing applies or shows them
READ_ONLY: Final = {"tcindex": "tcindex", "rsvp": "rsvp", "rsvp6": "rsvp"}

# kind of action -> module of tcemu.tc.actions with READER and `show`
ACTIONS: Final = {
    "gact": "gact",
    "ct": "ct",
    "mirred": "mirred",
    "tunnel_key": "tunnel_key",
    "vlan": "vlan",
    "csum": "csum",
    "skbedit": "skbedit",
    "pedit": "pedit",
    "nat": "nat",
    "police": "police",
    "mpls": "mpls",
    "skbmod": "skbmod",
    "sample": "sample",
    "connmark": "connmark",
    "ctinfo": "ctinfo",
    "simple": "simple",
    "ife": "ife",
    "gate": "gate",
    "bpf": "bpf",
    "xt": "xt",
}


@cache
def filter_module(kind: str) -> Any:
    """The module of a kind of filter."""
    return import_module(f"tcemu.tc.{FILTERS.get(kind) or READ_ONLY[kind]}")


@cache
def shown_module(kind: str) -> Any:
    """The module that lists a kind of filter."""
    return import_module(f"tcemu.tc.{SHOWN.get(kind, FILTERS[kind])}")


@cache
def action_module(kind: str) -> Any:
    """The module of a kind of action."""
    return import_module(f"tcemu.tc.actions.{ACTIONS[kind]}")


def listed(kind: str, rules: list[Rule]) -> list[Rule]:
    """The filters of a slot in the order of a dump: most kinds by handle."""
    module = shown_module(kind)
    found: list[Rule] = module.listed(rules) if hasattr(module, "listed") else sorted(rules, key=lambda rule: rule.rank & 0xFFFFFFFF)
    return found


def filter_reader(kind: str) -> Any:
    """The class that reads the keys of a kind of filter."""
    return filter_module(kind).READER


def action_reader(kind: str) -> Any:
    """The class that reads the words of a kind of action."""
    return action_module(kind).READER
