"""``limit rate 10/second burst 5 packets``. Args: rate, unit (seconds), burst, bytes, over.

Source: nftables src/statement.c (limit_stmt_print), Linux net/netfilter/nft_limit.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Limit
from tcemu.ir.stats import Stats
from tcemu.ir.step import Do, Step
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Stmt
from tcemu.nft.units import SECONDS, parse_bytes, parse_rate, scale_bytes, unit_of

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "limit"
BURST: Final = 5  # packets, where none is written


def limit(p: Parser, over: Any, rate: dict[str, Any]) -> Stmt:
    return Stmt(p.at, NAME, over=over is True, **rate)


def config(_p: Parser, over: Any, rate: dict[str, Any]) -> dict[str, Any]:
    return {"over": over is True, **rate}


def rate_packets(_p: Parser, count: int, unit: str, burst: Any) -> dict[str, Any]:
    return {"rate": count, "unit": SECONDS[unit], "burst": burst if isinstance(burst, int) else BURST, "bytes": False}


def rate_string(p: Parser, count: int, word: str, burst: Any) -> dict[str, Any]:
    scale, seconds = parse_rate(word, p.at)
    return _bytes(count * scale, seconds, burst)


def rate_bytes(_p: Parser, count: int, unit: str, burst: Any) -> dict[str, Any]:
    return _bytes(count, SECONDS[unit], burst)


def _bytes(rate: int, seconds: int, burst: Any) -> dict[str, Any]:
    return {"rate": rate, "unit": seconds, "burst": burst if isinstance(burst, int) else 0, "bytes": True}


def bytes_unit(p: Parser, count: int, word: str) -> int:
    return count * parse_bytes(word, p.at)


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    return stmt


def effect(args: dict[str, Any]) -> Limit:
    """The limit as the engine runs it."""
    return Limit(args["rate"], args["unit"], args["burst"], args["bytes"], args["over"], Stats())


def refused(args: dict[str, Any]) -> bool:
    """Rates whose burst in nanoseconds does not fit 64 bits are EOVERFLOW (nft_limit.c nft_limit_init)."""
    rate, unit, burst = int(args["rate"]), int(args["unit"]), int(args["burst"])
    if rate == 0:
        return True
    nsecs = unit * 1_000_000_000
    if not args["bytes"]:
        return rate + burst < rate
    return nsecs * (rate + burst) >= 1 << 64


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    return [Do(effect(stmt.args))]


def form(stmt: Stmt, _place: int) -> Form:
    args = stmt.args
    return [NAME, args["rate"], args["unit"], args["burst"], args["bytes"], args["over"]]


def words(form: Form) -> str:
    """The limit without its keyword."""
    _kind, rate, unit, burst, octets, over = form
    text = "rate over " if over else "rate "
    if octets:
        count, name = scale_bytes(rate)
        text += f"{count} {name}/{unit_of(unit)}"
        if burst:
            count, name = scale_bytes(burst)
            text += f" burst {count} {name}"
        return text
    text += f"{rate}/{unit_of(unit)}"
    return text + (f" burst {burst} packets" if burst != BURST else "")


def text(form: Form, _out: Any) -> str:
    return f"limit {words(form)}"


def json(form: Form, _out: Any) -> Any:
    _kind, rate, unit, burst, octets, over = form
    return {"limit": config_json(rate, unit, burst, octets, over)}


def config_json(rate: int, unit: int, burst: int, octets: bool, over: bool) -> dict[str, Any]:
    """The limit's settings, also those of a named one."""
    units = {}
    if octets:
        rate, units["rate_unit"] = scale_bytes(rate)
        burst, units["burst_unit"] = scale_bytes(burst)
    return {"rate": rate, "burst": burst, "per": unit_of(unit), **({"inv": True} if over else {}), **units}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "limit": limit,
    "limit_config": config,
    "limit_over": lambda _p: True,
    "rate_packets": rate_packets,
    "rate_string": rate_string,
    "rate_bytes": rate_bytes,
    "burst_packets": lambda _p, count: count,
    "burst_bytes": lambda _p, count: count,
    "bytes_unit": bytes_unit,
    "bytes_plain": lambda _p, count: count,
}
