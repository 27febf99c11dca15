"""``counter``: packets and bytes that got here. Args: packets, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Count
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "counter"


def begin(p: Parser) -> Stmt:
    return Stmt(p.at, NAME, packets=0, bytes=0)


def full(_p: Parser, stmt: Stmt, *counts: tuple[str, int]) -> Stmt:
    stmt.args.update(counts)
    return stmt


def count(what: str) -> Any:
    def act(_p: Parser, number: int) -> tuple[str, int]:
        return what, number

    return act


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(Count(Stats(packets=stmt.args["packets"], bytes=stmt.args["bytes"])))]


def form(_stmt: Stmt, place: int) -> Form:
    return [NAME, place]


def text(form: Form, out: Any) -> str:
    if out.stateless:
        return "counter"
    stats = out.effect(form[1]).stats
    return f"counter packets {stats.packets} bytes {stats.bytes}"


def json(form: Form, out: Any) -> Any:
    if out.stateless:
        return {"counter": None}
    stats = out.effect(form[1]).stats
    return {"counter": {"packets": stats.packets, "bytes": stats.bytes}}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "counter_begin": begin,
    "counter_full": full,
    "counter_packets": count("packets"),
    "counter_bytes": count("bytes"),
}
