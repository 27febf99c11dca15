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

# kinds that tc reads and that Linux 6.1 does not have (6.1.192; taken out of all kernels in 2023): nothing applies or shows them
READ_ONLY: Final = {"tcindex": "tcindex", "rsvp": "rsvp", "rsvp6": "rsvp"}

# kinds whose listing is a module of its own, so that what lists need not load what reads and applies
SHOWN: Final = {"flower": "flower_show"}

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


_FILTER_MODULES: Final[dict[str, Any]] = {}
_ACTION_MODULES: Final[dict[str, Any]] = {}
_FILTER_READERS: Final[dict[str, Any]] = {}
_ACTION_READERS: Final[dict[str, Any]] = {}
_CHECKS: Final[dict[str, Any]] = {}
_HANDLE_FIRST: Final[dict[str, bool]] = {}
_VERDICT_FIRST: Final[dict[str, bool]] = {}


def filter_module(kind: str) -> Any:
    """The module of a kind of filter."""
    found = _FILTER_MODULES.get(kind)
    if found is None:
        found = _FILTER_MODULES[kind] = import_module(f"tcemu.tc.{FILTERS.get(kind) or READ_ONLY[kind]}")
    return found


@cache
def shown_module(kind: str) -> Any:
    """The module that lists a kind of filter."""
    return import_module(f"tcemu.tc.{SHOWN.get(kind, FILTERS[kind])}")


def action_module(kind: str) -> Any:
    """The module of a kind of action."""
    found = _ACTION_MODULES.get(kind)
    if found is None:
        found = _ACTION_MODULES[kind] = import_module(f"tcemu.tc.actions.{ACTIONS[kind]}")
    return found


def listed(kind: str, rules: list[Rule]) -> list[Rule]:
    """The filters of a slot in the order of a dump: most kinds by handle."""
    module = shown_module(kind)
    found: list[Rule] = module.listed(rules) if hasattr(module, "listed") else sorted(rules, key=lambda rule: rule.rank & 0xFFFFFFFF)
    return found


def filter_reader(kind: str) -> Any:
    """The class that reads the keys of a kind of filter."""
    found = _FILTER_READERS.get(kind)
    if found is None:
        found = _FILTER_READERS[kind] = filter_module(kind).READER
    return found


def action_reader(kind: str) -> Any:
    """The class that reads the words of a kind of action."""
    found = _ACTION_READERS.get(kind)
    if found is None:
        found = _ACTION_READERS[kind] = action_module(kind).READER
    return found


def takes_all(_work: Any, spec: Any, _command: Any) -> Any:
    """The check of a kind of action that has none: its effect is what was asked for."""
    return spec.effect


def action_check(kind: str) -> Any:
    """What a kind of action checks, and makes of the effect that was asked for."""
    found = _CHECKS.get(kind)
    if found is None:
        found = _CHECKS[kind] = getattr(action_module(kind), "check", takes_all)
    return found


def needs_handle(kind: str) -> bool:
    """Is a filter of the kind refused where options were given without a handle?"""
    found = _HANDLE_FIRST.get(kind)
    if found is None:
        found = _HANDLE_FIRST[kind] = bool(getattr(filter_module(kind), "HANDLE_FIRST", False))
    return found


def verdict_first(kind: str) -> bool:
    """Is the verdict of the kind of action looked at before its parameters are?"""
    found = _VERDICT_FIRST.get(kind)
    if found is None:
        found = _VERDICT_FIRST[kind] = bool(getattr(action_module(kind), "VERDICT_FIRST", False))
    return found
