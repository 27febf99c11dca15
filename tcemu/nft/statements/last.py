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
MS: Final = 1_000_000


def last(p: Parser) -> Stmt:
    p.newer(NAME)
    return Stmt(p.at, NAME, used=None)


def last_used(p: Parser, ago: int) -> Stmt:
    p.newer(NAME)
    return Stmt(p.at, NAME, used=ago)


def evaluate(scope: Scope, stmt: Stmt) -> Stmt:
    """The time is counted from now on (nft_last.c nft_last_init)."""
    ago = stmt.args["used"]
    return Stmt(stmt.at, NAME, used=None if ago is None else scope.now - ago * MS)


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    used = stmt.args["used"]
    return [Do(Last(Stats() if used is None else Stats(last_used=used)))]


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
