"""What a kind of expression provides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tcemu.ir.operand import Operand
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.tree import Expr, Key

Form = list[Any]


class Kind(NamedTuple):
    """A kind of expression.

    evaluate: a parsed key to a typed one (adding dependencies to the rule). operand: what the engine loads. text and json print a
    stored form, whose first item is the kind's name and whose others are the key's ``args`` (inner expressions as forms).
    """

    name: str
    evaluate: Callable[[Scope, Key], Expr]
    operand: Callable[[Key], Operand]
    text: Callable[[Form, Any], str]
    json: Callable[[Form, Any], Any]
