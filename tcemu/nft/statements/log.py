"""``log prefix "x" level info``. Args: prefix, level, group, snaplen, threshold, flags. Source: nftables src/statement.c (log_stmt_print)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Log
from tcemu.ir.step import Do, Step
from tcemu.nft.errors import NftError
from tcemu.nft.statements.kind import Form, Kind
from tcemu.nft.tree import Expr, Stmt, Symbol, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope
    from tcemu.nft.parse import Parser

NAME: Final = "log"
LEVELS: Final = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit")
VARIABLE: Final = re.compile(r"\$([A-Za-z0-9_]*)")
PREFIX_MAX: Final = 128  # NF_LOG_PREFIXLEN
FLAGS: Final = ("tcp sequence", "tcp options", "ip options", "skuid", "ether")
ALL: Final = frozenset(FLAGS)


def begin(p: Parser) -> Stmt:
    return Stmt(p.at, NAME, prefix=None, level=None, group=None, snaplen=None, threshold=None, flags=[])


def log(p: Parser, stmt: Stmt, *args: tuple[str, Any]) -> Stmt:
    for name, value in args:
        if name == "flags":
            stmt.args["flags"] += value
            continue
        if stmt.args[name] is not None:
            from tcemu.nft.blocks import ONCE

            raise p.error(ONCE)
        stmt.args[name] = value
    return stmt


def arg(name: str) -> Any:
    def act(p: Parser, value: Any) -> tuple[str, Any]:
        return name, value

    return act


def prefix(p: Parser, text: Symbol) -> tuple[str, Any]:
    """Text in which ``$name`` stands for what a variable holds."""
    if "$" in text.text:
        text.text = VARIABLE.sub(lambda match: _held(p, match[1], text), text.text)
    return "prefix", text


def _held(p: Parser, name: str, text: Symbol) -> str:
    value = p.lookup(name)
    while isinstance(value, Variable):
        value = value.value
    if value is None:
        raise p.unknown(name, text.at)
    if not isinstance(value, Symbol):
        raise NftError(f"variable '{name}' is not a string or symbol", text.at)
    return value.text


def level(p: Parser, word: str) -> str:
    if word not in LEVELS:
        raise p.error("invalid log level")
    return word


def flags(*words: str) -> Any:
    def act(_p: Parser) -> list[str]:
        return list(words)

    return act


def tcp_flags(_p: Parser, words: list[str]) -> list[str]:
    return [f"tcp {word}" for word in words]


def log_tcp_flags(_p: Parser, *words: str) -> list[str]:
    return list(words)


def evaluate(_scope: Scope, stmt: Stmt) -> Stmt:
    args = dict(stmt.args)
    grouped = any(args[name] is not None for name in ("group", "snaplen", "threshold"))
    if grouped and args["level"] is not None:
        raise NftError("level and group are mutually exclusive", stmt.at)
    if grouped and args["flags"]:
        raise NftError("flags and group are mutually exclusive", stmt.at)
    if args["level"] == "audit" and (args["prefix"] is not None or args["flags"]):
        raise NftError("log level audit doesn't support any further options", stmt.at)
    if args["prefix"] is not None:
        args["prefix"] = _prefix(args["prefix"])
    return Stmt(stmt.at, NAME, **args)


def _prefix(expr: Expr) -> str:
    text = ""
    while isinstance(expr, Variable):
        expr = expr.value
    if isinstance(expr, Symbol):
        text = expr.text
    if len(text.encode()) >= PREFIX_MAX:
        raise NftError("log prefix is too long", expr.at)
    return text


def steps(stmt: Stmt, _lowering: Any) -> list[Step]:
    args = stmt.args
    return [Do(Log(args["prefix"] or "", args["level"] or "", args["group"], truncate=args["snaplen"] or 0))]


def form(stmt: Stmt, _place: int) -> Form:
    args = stmt.args
    words = [flag for flag in FLAGS if flag in args["flags"]]
    return [NAME, args["prefix"], args["level"], args["group"], args["snaplen"], args["threshold"], words]


def text(form: Form, _out: Any) -> str:
    _kind, prefix, level_name, group, snaplen, threshold, words = form
    text = "log"
    if prefix is not None:
        text += f' prefix "{prefix}"'
    if group is not None:
        text += f" group {group}"
    if snaplen is not None and (snaplen or group is not None):
        text += f" snaplen {snaplen}" if snaplen else ""
    if threshold:
        text += f" queue-threshold {threshold}"
    if level_name not in (None, "warn"):
        text += f" level {level_name}"
    return text + _flag_text(words)


def _flag_text(words: list[str]) -> str:
    if set(words) == ALL:
        return " flags all"
    tcp = [word.split()[1] for word in words if word.startswith("tcp ")]
    text = f" flags tcp {','.join(tcp)}" if tcp else ""
    for word in ("ip options", "skuid", "ether"):
        if word in words:
            text += f" flags {word}"
    return text


def json(form: Form, _out: Any) -> Any:
    _kind, prefix, level_name, group, snaplen, threshold, words = form
    body: dict[str, Any] = {}
    if prefix is not None:
        body["prefix"] = prefix
    if group is not None:
        body["group"] = group
    if snaplen:
        body["snaplen"] = snaplen
    if threshold:
        body["queue-threshold"] = threshold
    if level_name not in (None, "warn"):
        body["level"] = level_name
    names = ["all"] if set(words) == ALL else list(words)
    if names:
        body["flags"] = names[0] if len(names) == 1 else names
    return {"log": body or None}


KINDS: Final = (Kind(NAME, evaluate, steps, form, text, json),)
ACTIONS: Final[dict[str, Any]] = {
    "log_begin": begin,
    "log": log,
    "log_prefix": prefix,
    "log_prefix_variable": arg("prefix"),
    "log_group": arg("group"),
    "log_snaplen": arg("snaplen"),
    "log_threshold": arg("threshold"),
    "log_level": level,
    "log_level_is": arg("level"),
    "log_flags_are": arg("flags"),
    "log_flags_tcp": tcp_flags,
    "log_tcp_flags": log_tcp_flags,
    "log_flags_ip": flags("ip options"),
    "log_flags_skuid": flags("skuid"),
    "log_flags_ether": flags("ether"),
    "log_flags_all": flags(*FLAGS),
}
