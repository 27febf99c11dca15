"""``nft -o``: neighbouring rules that differ in values only become one rule with a set, a concatenation or a verdict map.

    tcp dport 22 accept                    ip saddr 1.1.1.1 tcp dport 22 accept
    tcp dport 80 accept                    ip saddr 2.2.2.2 tcp dport 80 drop
    tcp dport { 22, 80 } accept            ip saddr . tcp dport vmap { 1.1.1.1 . 22 : accept, 2.2.2.2 . 80 : drop }

It works on rules as written in the chains of a table's block, before anything is evaluated; what was merged is told. Rules with statements
that are not known here (translation among them) stay as they are. Source: man nft, OPTIONS (-o); observed with nft 1.0.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.errors import position, source_line
from tcemu.nft.tree import Command, Concat, Element, Expr, ListOf, MapOf, Rule, SetLiteral, SetRef, Stmt, Variable, Verdict

if TYPE_CHECKING:
    from tcemu.nft.lexer import Lexer

MATCH: Final = "match"
VERDICT: Final = "verdict"
COUNTER: Final = "counter"
ALONE: Final = frozenset((COUNTER, "notrack", "log", "reject"))  # statements that are equal or not


def optimize(commands: list[Command], lexer: Lexer) -> tuple[str, str]:
    """Merge rules; the merged rules, and what is said about them."""
    merged, said = "", ""
    for command in commands:
        if command.what == "table" and command.body is not None:
            for member in command.body.members:
                if member.what == "chain" and member.body is not None:
                    rules, texts, told = _chain(member.body.members, lexer)
                    member.body.members[:] = rules
                    merged, said = merged + texts, said + told
    return merged, said


def _chain(rules: list[Rule], lexer: Lexer) -> tuple[list[Rule], str, str]:
    kept: list[Rule] = []
    merged, said = "", ""
    at = 0
    while at < len(rules):
        end = at + 1
        if _mergeable(rules[at]):
            while end < len(rules) and _alike(rules[at], rules[end]):
                end += 1
        group = rules[at:end]
        at = end
        if len(group) == 1:
            kept.append(group[0])
            continue
        rule = _merge(group)
        kept.append(rule)
        said += "Merging:\n" + "".join(_line(one, lexer) for one in group) + "into:\n\t\n"
        merged += _rule_text(rule, lexer)
    return kept, merged, said


# ---------------------------------------------------------------- which rules
def _mergeable(rule: Rule) -> bool:
    """Only statements that are known here, and a value to collect."""
    known = all(stmt.kind in ALONE or (stmt.kind == VERDICT) or (stmt.kind == MATCH and _plain(stmt)) for stmt in rule.stmts)
    return known and any(stmt.kind == MATCH for stmt in rule.stmts) and rule.comment is None


def _plain(stmt: Stmt) -> bool:
    """An equality with values; named sets, variables and concatenations are left alone."""
    return stmt.args["op"] in ("", "==") and not isinstance(stmt.args["right"], SetRef | Variable | Concat | MapOf)


def _alike(one: Rule, other: Rule) -> bool:
    """The same statements in some order, but for the values of matches and the verdict."""
    if not _mergeable(other) or len(one.stmts) != len(other.stmts):
        return False
    rest = list(other.stmts)
    for stmt in one.stmts:
        found = next((candidate for candidate in rest if _same_kind(stmt, candidate)), None)
        if found is None:
            return False
        rest.remove(found)
    return True


def _same_kind(one: Stmt, other: Stmt) -> bool:
    if one.kind != other.kind:
        return False
    if one.kind == MATCH:
        return _equal(one.args["left"], other.args["left"])
    return one.kind in (VERDICT, COUNTER) or _equal(one.args, other.args)


def _equal(one: Any, other: Any) -> bool:
    """Equal but for places."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Expr):
        return all(_equal(getattr(one, name), getattr(other, name)) for name in _slots(one) if name != "at")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(left, right) for left, right in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return bool(one == other)


def _slots(expr: Expr) -> Iterator[str]:
    for kind in type(expr).__mro__:
        slots = getattr(kind, "__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


# ---------------------------------------------------------------- one rule of several
def _merge(group: list[Rule]) -> Rule:
    first = group[0]
    keys = [stmt for stmt in first.stmts if stmt.kind == MATCH]
    left: Expr = keys[0].args["left"] if len(keys) == 1 else Concat(keys[0].args["left"].at, [stmt.args["left"] for stmt in keys])
    verdicts = [_verdict(rule) for rule in group]
    by_verdict = any(not _equal(verdict, verdicts[0]) for verdict in verdicts)
    counter = next((stmt for stmt in first.stmts if stmt.kind == COUNTER), None) if by_verdict else None
    items: list[Expr] = []
    for rule, verdict in zip(group, verdicts, strict=True):
        rights = [_values(_match(rule, key)) for key in keys]
        for values in product(*rights):
            item = Element(rule.at, values[0] if len(values) == 1 else Concat(rule.at, list(values)))
            if by_verdict:
                item.data = verdict
                item.stmts = [counter] if counter is not None else []
            items.append(item)
    literal = SetLiteral(first.at, items)
    if by_verdict:
        made = Stmt(keys[0].at, "vmap", map=MapOf(first.at, left, literal))
    else:
        made = Stmt(keys[0].at, MATCH, left=left, op="", right=literal)
    gone = {id(stmt) for stmt in keys[1:]} | {id(stmt) for stmt in first.stmts if by_verdict and stmt.kind in (VERDICT, COUNTER)}
    return Rule(first.at, [made if stmt is keys[0] else stmt for stmt in first.stmts if id(stmt) not in gone], None)


def _verdict(rule: Rule) -> Verdict | None:
    return next((stmt.args["verdict"] for stmt in rule.stmts if stmt.kind == VERDICT), None)


def _match(rule: Rule, key: Stmt) -> Stmt:
    return next(stmt for stmt in rule.stmts if _same_kind(key, stmt))


def _values(stmt: Stmt) -> list[Expr]:
    """The values of a match, one by one."""
    right = stmt.args["right"]
    if isinstance(right, ListOf):
        return list(right.items)
    if isinstance(right, SetLiteral):
        return [item.key if isinstance(item, Element) else item for item in right.items]
    return [right]


# ---------------------------------------------------------------- what is told
def _line(rule: Rule, lexer: Lexer) -> str:
    source, line, first, last = position(lexer, rule.at)
    return f"{source.name}:{line}:{first}-{last}: {source_line(source, line)}\n"


def _rule_text(rule: Rule, lexer: Lexer) -> str:
    return " ".join(_stmt_text(stmt, lexer) for stmt in rule.stmts)


def _stmt_text(stmt: Stmt, lexer: Lexer) -> str:
    if stmt.kind == MATCH:
        return f"{_text(stmt.args['left'], lexer)} {_text(stmt.args['right'], lexer)}"
    if stmt.kind == "vmap":
        return f"{_text(stmt.args['map'].key, lexer)} vmap {_text(stmt.args['map'].mappings, lexer)}"
    return COUNTER if stmt.kind == COUNTER else _written(stmt.at, lexer)


def _text(expr: Any, lexer: Lexer) -> str:
    if isinstance(expr, SetLiteral):
        return f"{{ {', '.join(_text(item, lexer) for item in expr.items)} }}"
    if isinstance(expr, Element):
        states = "".join(f" {COUNTER}" for _stmt in expr.stmts)
        return _text(expr.key, lexer) + states + (f" : {_written(expr.data.at, lexer)}" if expr.data is not None else "")
    if isinstance(expr, Concat):
        return " . ".join(_text(part, lexer) for part in expr.parts)
    return _written(expr.at, lexer)


def _written(at: tuple[int, int], lexer: Lexer) -> str:
    """What stands there, on one line."""
    source = next(source for source in reversed(lexer.sources) if source.base <= at[0])
    return re.sub(r"\s+", " ", source.text[at[0] - source.base : at[1] - source.base]).strip()
