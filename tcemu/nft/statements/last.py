"""``last``: when a packet was here last (nft 1.0.7 and later). Args: used (ms ago) or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Last
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "last"


def last(p: Parser) -> Stmt:
    return Stmt(p.at, NAME)


def last_used(p: Parser, _ago: int) -> Stmt:
    return Stmt(p.at, NAME)


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def steps(_stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(Last(Stats()))]


def form(_stmt: Stmt, place: int) -> Form:
    return [NAME, place]


def text(form: Form, out: Any) -> str:
    if out.stateless:
        return "last"
    used = out.effect(form[1]).stats.last_used
    return "last used never" if used < 0 else f"last used {out.time((out.now - used) // 1_000_000)}"


def json(form: Form, out: Any) -> Any:
    if out.stateless:
        return {"last": None}
    used = out.effect(form[1]).stats.last_used
    return {"last": None if used < 0 else {"used": (out.now - used) // 1_000_000}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {"last": last, "last_used": last_used}
