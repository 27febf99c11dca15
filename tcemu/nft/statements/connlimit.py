"""``ct count over 5``: how many connections there are. Args: count, over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import ConnLimit
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "ct count"


def connlimit(over: bool) -> Any:
    def act(p: Parser, count: int) -> Stmt:
        return Stmt(p.at, NAME, count=count, over=over)

    return act


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(ConnLimit(stmt.args["count"], stmt.args["over"]))]


def form(stmt: Stmt, _place: int) -> Form:
    return [NAME, stmt.args["count"], stmt.args["over"]]


def text(form: Form, _out: Any) -> str:
    return f"ct count {'over ' if form[2] else ''}{form[1]}"


def json(form: Form, _out: Any) -> Any:
    return {"ct count": {"val": form[1], **({"inv": True} if form[2] else {})}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {"connlimit": connlimit(False), "connlimit_over": connlimit(True)}
