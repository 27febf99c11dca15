"""What a kind of statement provides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tcemu.ir.step import Step
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.tree import Stmt

Form = list[Any]


class Kind(NamedTuple):
    """A kind of statement.

    evaluate: a parsed statement to an evaluated one (appending dependencies to ``scope.done`` first). steps: what the engine
    runs. form: what is stored for listing; ``place`` is the number of the statement's first step, for those with state.
    text and json print a form; ``out.step(place)`` is the step with the state. terminal: nothing may follow.
    """

    name: str
    evaluate: Callable[[Scope, Stmt], Stmt]
    steps: Callable[[Stmt, Any], list[Step]]
    form: Callable[[Stmt, int], Form]
    text: Callable[[Form, Any], str]
    json: Callable[[Form, Any], Any]
    terminal: Callable[[Stmt], bool] = lambda _stmt: False
