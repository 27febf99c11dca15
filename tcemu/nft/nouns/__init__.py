"""What a ruleset is made of, one file a noun: how it is added, changed and deleted. ACTIONS maps a command to what does it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

from tcemu.nft.objects import NOUNS

if TYPE_CHECKING:
    from tcemu.nft.run import Run
    from tcemu.nft.tree import Command

Action = Callable[["Run", "Command"], None]
MODULES: Final = {
    "table": "table",
    "chain": "chain",
    "rule": "rule",
    "set": "sets",
    "map": "sets",
    "meter": "sets",
    "element": "element",
    "flowtable": "flowtable",
    "ruleset": "table",
    **dict.fromkeys(NOUNS, "object"),
}
DOERS: Final = {
    "add": "add",
    "create": "add",
    "insert": "add",
    "replace": "add",
    "delete": "delete",
    "destroy": "delete",
    "flush": "flush",
    "rename": "rename",
    "get": "get",
}


def action(op: str, what: str) -> Action | None:
    """What does a command on a noun."""
    name, doer = MODULES.get(what), DOERS.get(op)
    if name is None or doer is None:
        return None
    if what == "ruleset":
        doer = "flush_ruleset"
    found: Action | None = getattr(import_module(f"tcemu.nft.nouns.{name}"), doer, None)
    return found
