"""`ip rule`: which table routes a packet. Source: iproute2 6.1 ip/iprule.c, net/core/fib_rules.c fib_nl_newrule, fib_default_rule_pref.

Rules choose by source, destination, mark and the device a packet came by, and look a table up; other choices and actions are refused.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.host.ip.out import Options, document
from tcemu.host.ip.route import table_number
from tcemu.host.ip.words import FILE_EXISTS, NO_SUCH_FILE, TOOL, Complaint, Machine, Words, number, prefix, rtnetlink, wrong
from tcemu.host.model import Host, Policy
from tcemu.host.text import WIDTH, netmask, show_address

MAIN: Final = 254
NAMES: Final = {255: "local", 254: "main", 253: "default"}
OWN: Final = {4: ((0, 255), (32766, 254), (32767, 253)), 6: ((0, 255), (32766, 254))}  # the kernel's rules
FULL: Final = 0xFFFFFFFF


def _read(words: Words, options: Options) -> tuple[Policy, bool]:
    """iprule_modify: the rule, and whether a preference was given."""
    family, found, placed = options.family, Policy(key=""), False
    while words:
        word = words.take()
        if word in ("from", "to"):
            family, value, length, _ = prefix(words.value(), family)
            value &= netmask(family, length)
            if word == "from":
                found.source, found.source_prefix = value, length
            else:
                found.target, found.target_prefix = value, length
        elif word == "fwmark":
            found.mark, found.mask = _mark(words.value())
        elif word in ("iif", "dev"):
            found.device = words.value()
        elif word in ("table", "lookup"):
            found.table = _table(words.value())
        elif word in ("preference", "order", "priority", "pref"):
            found.rank, placed = words.number("preference", FULL, "preference value is invalid\n"), True
        else:
            raise Complaint(f'Error: tcemu has no "{word}" of rules; it has from, to, fwmark, iif, lookup and priority.', TOOL)
    found.parent = str(family or 4)
    return found, placed


def _mark(word: str) -> tuple[int, int]:
    text, slash, over = word.partition("/")
    mark, mask = number(text), number(over) if slash else FULL
    if mark is None or mask is None:
        raise wrong(word, "fwmark value is invalid\n")
    return mark, mask


def _table(word: str) -> int:
    return 255 if word in ("local", "255") else table_number(word, "invalid table ID\n") or MAIN


def add(words: Words, machine: Machine, options: Options) -> None:
    """`ip rule add`: before all others, unless it has a preference."""
    rule, placed = _read(words, options)
    with machine.transaction():
        others = machine.host.policies.children(rule.parent)
        if not placed:
            above = [other.rank for other in others] + [pref for pref, _ in OWN[int(rule.parent)] if pref]
            rule.rank = max(min(pref for pref in above if pref) - 1, 0)
        if any(_like(other, rule) for other in others):
            raise rtnetlink(FILE_EXISTS)
        index = 0
        while machine.host.policies.get(f"{rule.parent} {rule.rank} {index}") is not None:
            index += 1
        rule.key = f"{rule.parent} {rule.rank} {index}"
        machine.host.policies.put(rule)


def _like(one: Policy, other: Policy) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in Policy.__struct_fields__ if name not in ("key", "tag"))


def delete(words: Words, machine: Machine, options: Options) -> None:
    """`ip rule del`: the first rule that is as the line says."""
    asked, placed = _read(words, options)
    plain = Policy(key="")
    said = [name for name in Policy.__struct_fields__ if name not in ("key", "tag", "parent", "rank")]
    with machine.transaction():
        for rule in machine.host.policies.children(asked.parent):
            same = all(getattr(asked, name) in (getattr(plain, name), getattr(rule, name)) for name in said)
            if same and (not placed or asked.rank == rule.rank):
                machine.host.policies.delete(rule.key)
                return
        raise rtnetlink(NO_SUCH_FILE)


def flush(words: Words, machine: Machine, options: Options) -> None:
    """`ip rule flush`: all but the kernel's own."""
    with machine.transaction():
        for rule in machine.host.policies.children(str(options.family or 4)):
            machine.host.policies.delete(rule.key)


def show(words: Words, machine: Machine, options: Options) -> str:
    """`ip rule show`."""
    rules = _all(machine.host, options.family or 4)
    if options.json:
        return document(options, [_json(rule) for rule in rules])
    return "".join(_text(rule) + "\n" for rule in rules)


def _all(host: Host, family: int) -> list[Policy]:
    """The kernel's rules among the others, by preference."""
    own = [Policy(key="", parent=str(family), rank=pref, table=table) for pref, table in OWN[family]]
    return sorted([*own[:1], *host.policies.children(str(family)), *own[1:]], key=lambda rule: rule.rank)


def _end(rule: Policy, number: int, length: int) -> str:
    family = int(rule.parent)
    return show_address(family, number) + ("" if length == WIDTH[family] else f"/{length}")


def _marked(rule: Policy) -> str:
    return f"{rule.mark:#x}" + ("" if rule.mask == FULL else f"/{rule.mask:#x}")


def _text(rule: Policy) -> str:
    """print_rule."""
    text = f"{rule.rank}:\tfrom {_end(rule, rule.source, rule.source_prefix) if rule.source_prefix else 'all'}"
    if rule.target_prefix:
        text += f" to {_end(rule, rule.target, rule.target_prefix)}"
    if rule.mask:
        text += f" fwmark {_marked(rule)}"
    if rule.device:
        text += f" iif {rule.device}"
    return f"{text} lookup {NAMES.get(rule.table, rule.table)}"


def _json(rule: Policy) -> dict[str, Any]:
    shown: dict[str, Any] = {"priority": rule.rank, "src": show_address(int(rule.parent), rule.source) if rule.source_prefix else "all"}
    if rule.source_prefix and rule.source_prefix != WIDTH[int(rule.parent)]:
        shown["srclen"] = rule.source_prefix
    if rule.target_prefix:
        shown["dst"] = show_address(int(rule.parent), rule.target)
        if rule.target_prefix != WIDTH[int(rule.parent)]:
            shown["dstlen"] = rule.target_prefix
    if rule.mask:
        shown["fwmark"] = f"{rule.mark:#x}"
        if rule.mask != FULL:
            shown["fwmask"] = f"{rule.mask:#x}"
    if rule.device:
        shown["iif"] = rule.device
    return shown | {"table": str(NAMES.get(rule.table, rule.table))}
