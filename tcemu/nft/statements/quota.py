"""``quota over 5 mbytes used 1 kbytes``. Args: bytes, over, used. Source: nftables src/statement.c (quota_stmt_print)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Quota
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt
from tcemu.nft.units import parse_bytes, scale_bytes

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "quota"
USED: Final = "used"  # in Stats.extra: bytes used so far


def config(p: Parser, over: Any, count: int, unit: str, used: Any) -> dict[str, Any]:
    return {"bytes": count * parse_bytes(unit, p.at), "over": over is True, USED: used if isinstance(used, int) else 0}


def quota(p: Parser, over: Any, count: int, unit: str, used: Any) -> Stmt:
    return Stmt(p.at, NAME, **config(p, over, count, unit, used))


def used_is(p: Parser, count: int, unit: str) -> int:
    return count * parse_bytes(unit, p.at)


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def effect(args: dict[str, Any]) -> Quota:
    """The quota as the engine runs it."""
    return Quota(args["bytes"], args["over"], Stats(extra={USED: args[USED]} if args[USED] else {}))


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(effect(stmt.args))]


def form(_stmt: Stmt, place: int) -> Form:
    return [NAME, place]


def words(quota: Quota, stateless: bool) -> str:
    """The quota without its keyword."""
    count, unit = scale_bytes(quota.bytes)
    text = f"{'over ' if quota.over else ''}{count} {unit}"
    used = quota.stats.extra.get(USED, 0) if quota.stats is not None else 0
    if used and not stateless:
        count, unit = scale_bytes(used)
        text += f" used {count} {unit}"
    return text


def text(form: Form, out: Any) -> str:
    return f"quota {words(out.effect(form[1]), out.stateless)}"


def json(form: Form, out: Any) -> Any:
    quota = out.effect(form[1])
    count, unit = scale_bytes(quota.bytes)
    body: dict[str, Any] = {"val": count, "val_unit": unit}
    used = quota.stats.extra.get(USED, 0) if quota.stats is not None else 0
    if quota.over:
        body["inv"] = True
    if used and not out.stateless:
        used_count, used_unit = scale_bytes(used)
        body.update(used=used_count, used_unit=used_unit)
    return {"quota": body}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "quota": quota,
    "quota_config": config,
    "quota_over": lambda _p: True,
    "quota_until": lambda _p: False,
    "quota_used_is": used_is,
}
