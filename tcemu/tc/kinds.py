"""The written tuples of kinds: which word is which file. A new kind is a file, a row here, and its rules in grammar/tc.lark."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

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
    return import_module(f"tcemu.tc.{FILTERS[kind]}")


@cache
def action_module(kind: str) -> Any:
    """The module of a kind of action."""
    return import_module(f"tcemu.tc.actions.{ACTIONS[kind]}")


@cache
def filter_reader(kind: str) -> Any:
    """The class that reads the keys of a kind of filter."""
    return filter_module(kind).READER


@cache
def action_reader(kind: str) -> Any:
    """The class that reads the words of a kind of action."""
    return action_module(kind).READER


@cache
def action_check(kind: str) -> Any:
    """What a kind of action checks, and makes of the effect that was asked for; None if it takes all."""
    return getattr(action_module(kind), "check", None)


@cache
def filter_needs_handle(kind: str) -> bool:
    """Is a filter of the kind refused where options were given without a handle?"""
    return getattr(filter_module(kind), "HANDLE_FIRST", False)
