"""Parser actions for the blocks of tables, chains, sets, flowtables and objects.

A block's settings are gathered in a `Body`; what may be said only once complains as nft does. A table's members become
commands of their own without family and table, which the evaluator fills in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.errors import NftError
from tcemu.nft.frame import Name
from tcemu.nft.tree import NOWHERE, At, Body, Command, Expr, Rule, Spec, Stmt, Symbol

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

HOOKS: Final = frozenset(("ingress", "egress", "prerouting", "input", "forward", "postrouting", "output"))
ONCE: Final = "You can only specify this once. This statement is duplicated."


def opened(p: Parser) -> Body:
    """A block begins: what stands in it goes into its own body, what it defines is seen in it alone."""
    body = Body(p.at)
    body.values["outer"] = p.pending
    p.pending = body
    p.scopes.append({})
    return body


def closed(p: Parser, body: Body) -> Body:
    """The block is over, and with it whatever a mistake left open inside."""
    while p.pending is not None and p.pending is not body:
        p.pending = p.pending.values.pop("outer")
        p.scopes.pop()
    p.pending = body.values.pop("outer", None)
    p.scopes.pop()
    return body


def once(p: Parser, text: Name) -> None:
    """A comment, which may be said only once."""
    if "comment" in p.pending.values:
        raise NftError(ONCE, text.at, ends_block=True)
    keep(p, "comment", str(text), text.at)


def table_comment(p: Parser, text: Name) -> None:
    if "comment" in p.pending.values:
        raise NftError(ONCE, text.at)
    keep(p, "comment", str(text), text.at)


def keep(p: Parser, key: str, value: Any, at: At | None = None) -> None:
    """Keep a setting; the last one said holds."""
    p.pending.values[key] = value
    p.pending.places[key] = at or p.at


def inner(p: Parser) -> At:
    """The stretch of a setting without the separator that ends it."""
    return p.at[0], p.at[1] - 1


def setting(key: str) -> Any:
    """A setting: its one value, or that it was said."""

    def act(p: Parser, *children: Any) -> None:
        keep(p, key, children[0] if children else True, inner(p))

    return act


def value(key: str) -> Any:
    """A setting that may be said again."""

    def act(p: Parser, *children: Any) -> None:
        p.pending.values[key] = children[0] if children else True
        p.pending.places[key] = inner(p)

    return act


def member(what: str) -> Any:
    """A table's member: a block with a name."""

    def act(p: Parser, named: Name, body: Body, *_: Any) -> None:
        closed(p, body)
        spec = Spec(p.at, "", "", NOWHERE, str(named), named.at)
        body.at = named.at
        p.pending.members.append(Command(inner(p), "add", what, spec, body))

    return act


def new_block(what: str) -> Any:
    """A command with a block, whose place is the block up to its last setting."""

    def act(p: Parser, spec: Spec, body: Body, *items: Any) -> Command:
        ends = [at[1] + 1 for key, at in body.places.items()]
        body.at = (body.at[0], max([body.at[1], *ends]))
        _ = items
        return Command(p.at, "add", what, spec, closed(p, body))

    return act


def new_object(what: str) -> Any:
    """An object on one line or as a block."""

    def act(p: Parser, spec: Spec, *parts: Any) -> Command:
        body = Body(p.at)
        for part in parts:
            if isinstance(part, Body):
                body = closed(p, part)
            elif isinstance(part, dict):
                body.values.update(part)
        return Command(p.at, "add", what, spec, body)

    return act


# ---------------------------------------------------------------- tables and chains
def table_flags(p: Parser, flag: Name) -> None:
    if flag not in ("dormant", "owner"):
        raise p.error(f"unknown table option {flag}", flag.at)
    p.pending.values.setdefault("flags", []).append(str(flag))


def chain_rule(p: Parser, rule: Rule) -> None:
    p.pending.members.append(rule)


def hook(p: Parser, kind: str, named: Name, devices: Any, priority: Priority) -> None:
    if kind not in ("filter", "nat", "route"):
        raise p.error("unknown chain type", (p.at[0] + 5, p.at[0] + 5 + len(kind)))
    if named not in HOOKS:
        raise p.error("unknown chain hook", named.at)
    p.pending.values.update(type=str(kind), hook=named, priority=priority)
    if devices:
        p.pending.values["devices"] = devices
        p.pending.places["devices"] = (devices[0].at[0], devices[-1].at[1])


def first(_p: Parser, item: Any) -> list[Any]:
    return [item]


def append(_p: Parser, items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


def same(_p: Parser, items: Any, *_: Any) -> Any:
    return items


class Priority:
    """A priority as written: a number, a name or a variable, and what is added to it."""

    __slots__ = ("at", "base", "offset")

    def __init__(self, at: At, base: int | Name | Expr, offset: int) -> None:
        self.at = at
        self.base = base
        self.offset = offset


def priority(sign: int) -> Any:
    def act(p: Parser, base: Any, offset: int = 0) -> Priority:
        return Priority(p.at, base, sign * offset)

    return act


def priority_number(p: Parser, number: Any) -> Priority:
    return Priority(p.at, int(number.text) if isinstance(number, Symbol) else number, 0)


def policy(word: str) -> Any:
    def act(p: Parser) -> Symbol:
        return Symbol(p.at, word)

    return act


def chain_policy(p: Parser, word: Expr) -> None:
    if "policy" in p.pending.values:
        raise p.error("you cannot set chain policy twice")
    p.pending.values["policy"] = word


def chain_flags(p: Parser) -> None:
    p.pending.values["flags"] = ["offload"]


# ---------------------------------------------------------------- sets
def type_part(p: Parser, word: str) -> list[Name]:
    from tcemu.nft.datatypes import TYPES

    if word not in TYPES or word in ("xinteger", "bitmask", "priority", "policy"):
        raise p.error(f"unknown datatype {word}")
    return [Name(word, p.at)]


def type_concat(_p: Parser, left: list[Name], right: list[Name]) -> list[Name]:
    return [*left, *right]


def typeof_part(what: str, *words: str) -> Any:
    def act(p: Parser, part: Expr) -> Expr:
        if isinstance(part, Symbol) and part.text not in words:
            raise p.error(f"{what} type 'symbol' lacks typeof serialization")
        return part

    return act


def set_key(how: str) -> Any:
    def act(p: Parser, key: Any) -> None:
        keep(p, "key", (how, key), inner(p))

    return act


def map_types(how: str, interval: bool = False) -> Any:
    def act(p: Parser, key: Any, data: Any) -> None:
        keep(p, "key", (how, key), inner(p))
        p.pending.values.update(data=(how, data), interval_data=interval)

    return act


def map_object(how: str) -> Any:
    def act(p: Parser, key: Any, kind: str) -> None:
        if how == "typeof":
            p.newer(f"typeof with {kind}")
        keep(p, "key", (how, key), inner(p))
        p.pending.values["object"] = kind

    return act


def set_flags(p: Parser, *flags: str) -> None:
    keep(p, "flags", list(flags), inner(p))


def set_elements(p: Parser, elements: Expr) -> None:
    keep(p, "elements", elements)


def set_stateful(p: Parser, *stmts: Stmt) -> None:
    keep(p, "stmts", list(stmts), inner(p))


def time_text(p: Parser, text: str) -> int:
    from tcemu.nft.units import parse_time

    return parse_time(text, p.at)


# ---------------------------------------------------------------- flowtables and objects
def flowtable_hook(p: Parser, named: Name, prio: Priority) -> None:
    if named not in HOOKS:
        raise NftError("unknown chain hook", named.at, ends_block=True)
    p.pending.values.update(hook=named, priority=prio)


def body_config(p: Parser, config: dict[str, Any]) -> None:
    p.pending.values.update(config)


def helper_type(p: Parser, kind: str, l4proto: str) -> None:
    p.pending.values.update(type=kind, l4proto=l4proto)


def timeout_state(p: Parser, state: str, amount: int | str) -> tuple[str, int, At]:
    if isinstance(amount, str):
        from tcemu.nft.units import parse_time

        p.newer("a timeout with a unit")
        amount = parse_time(amount, p.at) // 1000
    return state, amount, (p.at[0], p.at[0] + len(state))


def listed(_p: Parser, *items: Any) -> list[Any]:
    return list(items)


def synproxy_config(_p: Parser, mss: int, wscale: int, timestamp: Any, sack: Any) -> dict[str, Any]:
    return {"mss": mss, "wscale": wscale, "timestamp": timestamp is True, "sack": sack is True}


def yes(_p: Parser) -> bool:
    return True


def no(_p: Parser) -> None:
    return None


_OBJECTS: Final = ("counter", "quota", "limit", "secmark", "synproxy", "ct_helper", "ct_timeout", "ct_expectation")

ACTIONS: Final[dict[str, Any]] = {
    **{f"{what}_open": opened for what in ("table", "chain", "set", "flowtable", "object")},
    "new_table_body": new_block("table"),
    "new_chain_body": new_block("chain"),
    "new_set": new_block("set"),
    "new_map": new_block("map"),
    "new_flowtable": new_block("flowtable"),
    "del_flowtable_devices": new_block("flowtable"),
    **{f"new_{what}": new_object(what.replace("_", " ")) for what in _OBJECTS},
    "new_counter_config": new_object("counter"),
    **{f"table_{what}": member(what.replace("_", " ")) for what in ("chain", "set", "map", "flowtable", *_OBJECTS)},
    "table_flags": table_flags,
    **{f"{what}_comment": once for what in ("table", "chain", "set", "object")},
    "chain_rule": chain_rule,
    "hook": hook,
    "hook_devices": no,
    "hook_device": first,
    "hook_device_list": same,
    "device_list": first,
    "device_append": append,
    "device_same": same,
    "device_set": same,
    "device_variable": first,
    "device_member": same,
    "priority_number": priority_number,
    "priority_name": priority(1),
    "priority_plus": priority(1),
    "priority_minus": priority(-1),
    "policy_accept": policy("accept"),
    "policy_drop": policy("drop"),
    "chain_policy": chain_policy,
    "chain_flags": chain_flags,
    "type_part": type_part,
    "type_concat": type_concat,
    "typeof_first": typeof_part("primary expression"),
    "typeof_alone": typeof_part("map data", "verdict"),
    "set_type": set_key("type"),
    "set_typeof": set_key("typeof"),
    "map_type": map_types("type"),
    "map_type_interval": map_types("type", True),
    "map_type_object": map_object("type"),
    "map_typeof": map_types("typeof"),
    "map_typeof_interval": map_types("typeof", True),
    "map_typeof_object": map_object("typeof"),
    "set_flags": set_flags,
    "set_timeout": setting("timeout"),
    "set_gc": setting("gc"),
    "set_stateful": set_stateful,
    "set_elements": set_elements,
    "set_auto_merge": value("auto_merge"),
    "set_policy_is": setting("policy"),
    "set_size": setting("size"),
    "time_text": time_text,
    "flowtable_hook": flowtable_hook,
    "flowtable_devices": value("devices"),
    "flowtable_counter": value("counter"),
    "flowtable_offload": value("offload"),
    "counter_config": lambda _p, packets, octets: {"packets": packets, "bytes": octets},
    "body_config": body_config,
    "secmark_config": lambda _p, context: {"context": context.text},
    "synproxy_config": synproxy_config,
    "synproxy_yes": yes,
    "synproxy_ts": no,
    "synproxy_sack": no,
    "helper_type": helper_type,
    "helper_l3proto": value("l3proto"),
    "timeout_protocol": value("l4proto"),
    "timeout_policy": value("policy"),
    "timeout_l3proto": value("l3proto"),
    "timeout_states": listed,
    "timeout_state": timeout_state,
    "expectation_protocol": value("l4proto"),
    "expectation_dport": value("dport"),
    "expectation_timeout": value("timeout"),
    "expectation_size": value("size"),
    "expectation_l3proto": value("l3proto"),
}
