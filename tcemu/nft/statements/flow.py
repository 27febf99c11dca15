"""``flow add @ft``: offer the connection to a flowtable, or (`tcemu.nft.compat`) to the one of the first patch set. Args: name, at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import FIRST_FORM, Offload
from tcemu.ir.step import Do, Step
from tcemu.nft.compat import TABLE
from tcemu.nft.frame import Name
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "flow"


def flow_add(p: Parser, named: Name) -> Stmt:
    return Stmt(p.at, NAME, name=str(named), name_at=named.at)


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def steps(stmt: Stmt, lowering: Any) -> list[Step]:
    name = stmt.args["name"]
    return [Do(Offload(FIRST_FORM if name == TABLE else f"{lowering.table}/flowtable {name}"))]


def form(stmt: Stmt, _place: int) -> Form:
    return [NAME, stmt.args["name"]]


def text(form: Form, _out: Any) -> str:
    return "flow offload" if form[1] == TABLE else f"flow add @{form[1]}"


def json(form: Form, _out: Any) -> Any:
    if form[1] == TABLE:
        return {"flow": {"op": "offload"}}
    return {"flow": {"op": "add", "flowtable": f"@{form[1]}"}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {"flow_add": flow_add}
