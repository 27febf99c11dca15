"""Parser actions for the frame: lines, defines, names and places, and the commands that act on what exists.

An action gets the parser and what its rule keeps: words that are only punctuation are dropped by the grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.tree import NOWHERE, At, Command, Expr, Rule, SetLiteral, Spec, Stmt, Symbol

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

COMMENT_MAX: Final = 128  # libnftnl NFTNL_UDATA_COMMENT_MAXLEN


class Name(str):
    """A name with its place."""

    __slots__ = ("at",)
    at: At

    def __new__(cls, text: str, at: At) -> Name:
        self = super().__new__(cls, text)
        self.at = at
        return self


# ---------------------------------------------------------------- lines
def line_command(p: Parser, command: Command | None) -> None:
    if command is not None:
        command.at = p.at
        p.commands.append(command)


def start_last(p: Parser, *children: Any) -> None:
    if children[-1] is not None:
        p.commands.append(children[-1])


def recover(p: Parser) -> None:
    p.recovered()
    if p.pending is not None:
        p.pending.places["mistake"] = (p.at[0], p.at[1] - 1)


def include(p: Parser, name: str) -> None:
    from tcemu.nft.include import include as read

    read(p, name)


def define(p: Parser, name: Name, value: Expr) -> None:
    if name in p.scopes[-1]:
        raise p.error(f"redefinition of symbol '{name}'", name.at)
    p.scopes[-1][name] = value


def redefine(p: Parser, name: Name, value: Expr) -> None:
    p.scopes[-1][name] = value


def undefine(p: Parser, name: Name) -> None:
    p.scopes[-1].pop(name, None)  # nft 1.0.6 says nothing of names that are not there


def negative(p: Parser, number: int) -> Symbol:
    return Symbol(p.at, str(-number))


def empty_set(p: Parser) -> SetLiteral:
    return SetLiteral(p.at, [])


# ---------------------------------------------------------------- names and places
def name(p: Parser, word: str) -> Name:
    return Name(word, p.at)


def string(p: Parser, word: str) -> Symbol:
    return Symbol(p.at, word)


def quoted(p: Parser, word: str) -> Symbol:
    return Symbol(p.at, word, True)


def comment(p: Parser, word: Symbol) -> Name:
    if len(word.text.encode()) > COMMENT_MAX:
        raise p.error(f"comment too long, {COMMENT_MAX} characters maximum allowed", word.at)
    return Name(word.text, p.at)


def no_family(_p: Parser) -> None:
    return None


def in_family(p: Parser, family: str | None) -> Spec:
    return Spec(p.at, family or "")


def table_spec(p: Parser, family: str | None, table: Name) -> Spec:
    return Spec(p.at, family or "ip", str(table), table.at)


def named_spec(p: Parser, family: str | None, table: Name, named: Name) -> Spec:
    return Spec(p.at, family or "ip", str(table), table.at, str(named), named.at)


def _with_handle(p: Parser, spec: Spec, handle: int) -> Spec:
    spec.handle = handle
    spec.handle_at = (p.at[1] - len(str(handle)), p.at[1])
    return spec


def handle_in_family(p: Parser, family: str | None, handle: int) -> Spec:
    return _with_handle(p, Spec(p.at, family or "ip"), handle)


def handle_in_table(p: Parser, family: str | None, table: Name, handle: int) -> Spec:
    return _with_handle(p, Spec(p.at, family or "ip", str(table), table.at), handle)


def rule_place_handle(p: Parser, spec: Spec, handle: int) -> Spec:
    spec.position = True
    return _with_handle(p, spec, handle)


def place_number(p: Parser, number: int) -> tuple[int, At]:
    return number, p.at


def rule_place_position(_p: Parser, spec: Spec, place: tuple[int, At]) -> Spec:
    spec.position = True
    spec.handle, spec.handle_at = place
    return spec


def rule_place_index(_p: Parser, spec: Spec, place: tuple[int, At]) -> Spec:
    spec.index, spec.handle_at = place
    return spec


# ---------------------------------------------------------------- rules
def rule(p: Parser, stmts: list[Stmt], text: Name | None = None) -> Rule:
    return Rule(p.at, stmts, None if text is None else str(text))


def stmt_list(_p: Parser, stmt: Stmt) -> list[Stmt]:
    return [stmt]


def stmt_append(_p: Parser, stmts: list[Stmt], stmt: Stmt) -> list[Stmt]:
    stmts.append(stmt)
    return stmts


# ---------------------------------------------------------------- commands
def with_op(op: str) -> Any:
    """The word in front of a creation or deletion."""

    def act(p: Parser, command: Command) -> Command:
        if op == "destroy":
            p.newer(op)
        command.op, command.at = op, p.at
        return command

    return act


def command(op: str, what: str) -> Any:
    """A command that is a spec and at most one thing more."""

    def act(p: Parser, spec: Spec, body: Any = None) -> Command:
        return Command(p.at, op, what, spec, body)

    return act


def list_ct(many: bool) -> Any:
    def act(p: Parser, kind: str, spec: Spec) -> Command:
        what = {"helpers": "ct helper"}.get(kind, f"ct {kind}")
        return Command(p.at, "list", what + "s" if many else what, spec)

    return act


def markup(p: Parser, *words: str) -> Name:
    return Name(" ".join(words), p.at)


def exchange(op: str) -> Any:
    def act(p: Parser, form: Name) -> Command:
        return Command(p.at, op, "ruleset", Spec(p.at), form)

    return act


def monitor(p: Parser, words: Any) -> Command:
    return Command(p.at, "monitor", "events", Spec(p.at), words)


def monitor_event(p: Parser, word: str) -> Name:
    return Name(word, p.at)


def describe(p: Parser, expr: Expr) -> Command:
    return Command(p.at, "describe", "expression", Spec(p.at), expr)


_OBJECTS: Final = ("counter", "quota", "limit", "secmark", "synproxy")
_NAMED: Final = ("chain", "set", "map", "element", "flowtable", *_OBJECTS)

ACTIONS: Final[dict[str, Any]] = {
    "line_command": line_command,
    "start_last": start_last,
    "line_error": recover,
    "body_error": recover,
    "include": include,
    "define": define,
    "redefine": redefine,
    "undefine": undefine,
    "negative": negative,
    "empty_set": empty_set,
    "name": name,
    "string": string,
    "quoted": quoted,
    "asterisk": quoted,
    "comment": comment,
    "no_family": no_family,
    "in_family": in_family,
    "table_spec": table_spec,
    **{f"{kind}_spec": named_spec for kind in ("chain", "set", "set_ref", "object")},
    "handle_in_family": handle_in_family,
    "handle_in_table": handle_in_table,
    "rule_place_handle": rule_place_handle,
    "place_number": place_number,
    "rule_place_position": rule_place_position,
    "rule_place_index": rule_place_index,
    "rule_id": _with_handle,
    "rule": rule,
    "stmt_list": stmt_list,
    "stmt_append": stmt_append,
    **{op: with_op(op) for op in ("add", "create", "delete", "destroy", "reset", "flush", "list")},
    "new_rule": command("add", "rule"),
    "insert_rule": command("insert", "rule"),
    "replace_rule": command("replace", "rule"),
    "get_element": command("get", "element"),
    "rename_chain": command("rename", "chain"),
    "new_element": command("add", "element"),
    "new_table": command("add", "table"),
    "new_chain": command("add", "chain"),
    **{f"del_{kind}": command("delete", kind) for kind in ("table", "rule", *_NAMED)},
    **{f"del_ct_{kind}": command("delete", f"ct {kind}") for kind in ("helper", "timeout", "expectation")},
    **{f"flush_{kind}": command("flush", kind) for kind in ("table", "chain", "set", "map", "meter", "ruleset")},
    **{f"list_{kind}": command("list", kind) for kind in ("table", "chain", "set", "map", "meter", "ruleset", "flowtable", *_OBJECTS)},
    **{f"list_{kind}s": command("list", f"{kind}s") for kind in ("table", "chain", "set", "map", "meter", "flowtable", "hook", *_OBJECTS)},
    **{f"list_{kind}s_table": command("list", f"{kind}s") for kind in ("set", *_OBJECTS)},
    "list_hooks_device": command("list", "hooks"),
    "list_ct_object": list_ct(False),
    "list_ct_objects": list_ct(True),
    **{f"reset_{kind}": command("reset", kind) for kind in ("counter", "quota", "counters", "quotas")},
    **{f"reset_{kind}_table": command("reset", kind) for kind in ("counters", "quotas")},
    "markup": markup,
    "import_ruleset": exchange("import"),
    "export_ruleset": exchange("export"),
    "monitor": monitor,
    "monitor_event": monitor_event,
    "describe": describe,
}
_ = NOWHERE
