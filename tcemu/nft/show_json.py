"""The JSON twin of listings: libnftables-json(5). Statements and keys print themselves; here are values, sets, and the nouns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Count, Effect, Limit, Quota
from tcemu.ir.ruleset import Chain, Element, Flowtable, Object, Rule, Set, Table
from tcemu.ir.step import Do
from tcemu.nft import datatypes
from tcemu.nft.datatypes import TYPES, Datatype
from tcemu.nft.elements import data_form, key_form, states, timeout_of
from tcemu.nft.expressions import KINDS as EXPRESSIONS
from tcemu.nft.notes import ChainNote, ElementNote, FlowtableNote, ObjectNote, RuleNote, SetNote, TableNote, unpack
from tcemu.nft.show import hidden, in_place
from tcemu.nft.statements import limit, quota

if TYPE_CHECKING:
    from tcemu.nft.run import Run
    from tcemu.nft.show import Out
    from tcemu.nft.tree import Command

Form = list[Any]
METAINFO: Final = {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}
# types whose values are words even though they are numbers to the kernel, printed as in text without quotes
NUMBERS: Final = frozenset(("mark", "uid", "gid", "inet_service", "integer", "xinteger", "time", "ct_label", "cgroupsv2", "bitmask"))
SWAPPED: Final = frozenset(("ether_type", "arp_op"))  # of two bytes in the order of packets, which nft prints in its own as numbers
MS: Final = 1_000_000


def document(entries: list[Any]) -> str:
    """A whole answer."""
    return json.dumps({"nftables": [METAINFO, *entries]}, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------- expressions
def expression(form: Form, out: Out) -> Any:
    """An expression."""
    kind = form[0]
    if kind == "v":
        return value(TYPES[form[1]], form[2], out)
    if kind == "list":
        words = bits(form, out)
        return words if len(words) > 1 else words[0]
    if kind == "flags":
        words = bits(form, out)
        joined = words[0]
        for word in words[1:]:
            joined = {"|": [joined, word]}
        return joined
    if kind == "prefix":
        return {"prefix": {"addr": expression(form[1], out), "len": form[2]}}
    if kind == "range":
        kept = out.numeric_protocol, out.services
        out.numeric_protocol, out.services = True, False
        ends = [expression(form[1], out), expression(form[2], out)]
        out.numeric_protocol, out.services = kept
        return {"range": ends}
    if kind == "concat":
        return {"concat": [expression(part, out) for part in form[1:]]}
    if kind == "op":
        return {form[1]: [expression(form[2], out), expression(form[3], out)]}
    if kind == "@":
        return set_ref(form, out)
    if kind == "map":
        return {"map": {"key": expression(form[1], out), "data": expression(form[2], out)}}
    if kind == "verdict":
        return {form[1]: {"target": form[2]} if form[2] else None}
    return "*" if kind == "*" else EXPRESSIONS[kind].json(form, out)


def bits(form: Form, out: Out) -> list[Any]:
    """The words of a bitmask."""
    dtype, number = TYPES[form[1]], form[2]
    words: list[Any] = []
    for place in range(number.bit_length()):
        if number >> place & 1:
            words.append(value(dtype, 1 << place, out))
    return words


def value(dtype: Datatype, number: int | str, out: Out) -> Any:
    """A value: a number, or a word where the type has words."""
    if isinstance(number, str):
        return number
    if dtype.name == "time":
        return number // 1000
    if dtype.name == "boolean":
        return bool(number)
    if dtype.name == "iface_index":
        return _bare(datatypes.show(dtype, number, out))
    if dtype.name in NUMBERS:
        if dtype.name == "ct_label" and number and not number & (number - 1):
            return out.names.label_name(number.bit_length() - 1) or number.bit_length() - 1
        if dtype.name in ("uid", "gid"):
            named = _bare(datatypes.show(dtype, number, out))
            return number if named.isdigit() else named
        if number >> 64:
            return f"0x{number:x}"
        if dtype.name == "inet_service" and out.services:
            service = _bare(datatypes.show(dtype, number, out))
            return number if service.isdigit() else service
        return number
    if out.numeric_symbol and dtype.name in SWAPPED and any(number == known for _word, known in dtype.table):
        return number >> 8 | (number & 0xFF) << 8
    text = _bare(datatypes.show(dtype, number, out))
    if dtype.name == "realm":
        return text
    return int(text) if text.isdigit() else number if text.startswith("0x") else text


def _bare(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def set_ref(form: Form, out: Out) -> Any:
    """``@name`` or the members of an anonymous set."""
    _kind, key, name = form
    record = out.ruleset.sets.get(key)
    if record is None or not record.anonymous:
        return f"@{name or (record.name if record else '')}"
    note = unpack(record.note, SetNote)
    return {"set": [element(record, note, member, out) for member in out.elements(record)]}


def element(record: Set, note: SetNote, member: Element, out: Out) -> Any:
    """A member of a set or map."""
    own = unpack(member.note, ElementNote)
    key = expression(key_form(record, note, member, own), out)
    extra: dict[str, Any] = {}
    timeout = timeout_of(member, own)
    if timeout:
        extra["timeout"] = timeout // 1000
    left = out.expires(member)
    if left:  # also of those who do not want to know of states
        extra["expires"] = left // 1000
    if own.comment is not None:
        extra["comment"] = own.comment
    steps, out.steps = out.steps, []
    for effect, form in list(states(member, own))[:1]:  # 1.0.6 shows the first only
        out.steps = [Do(effect)]
        extra.update(out.stmt_json(form))
    out.steps = steps
    if extra:
        key = {"elem": {"val": key, **extra}}
    data = data_form(record, note, member, own)
    return key if data is None else [key, expression(data, out)]


# ---------------------------------------------------------------- nouns
def _place(record: Any, parent: str) -> dict[str, Any]:
    family, _, table = parent.partition(" ")
    return {"family": family, "name": record.name, "table": table}


def table_object(table: Table, _out: Out) -> Any:
    note = unpack(table.note, TableNote)
    body: dict[str, Any] = {"family": table.family, "name": table.name, "handle": note.handle}
    if note.flags:
        body["flags"] = note.flags[0] if len(note.flags) == 1 else note.flags
    return {"table": body}  # 1.0.6 leaves out comments of tables and chains


def chain_object(chain: Chain, _out: Out) -> Any:
    note = unpack(chain.note, ChainNote)
    family, _, table = chain.parent.partition(" ")
    body: dict[str, Any] = {"family": family, "table": table, "name": chain.name, "handle": note.handle}
    if note.hook:
        body.update(type=note.type, hook=note.hook, prio=note.priority, policy=note.policy)  # 1.0.6 leaves out devices
    return {"chain": body}


def rule_object(rule: Rule, chain: Chain, out: Out) -> Any:
    note = unpack(rule.note, RuleNote)
    family, _, table = chain.parent.partition(" ")
    body: dict[str, Any] = {"family": family, "table": table, "chain": chain.name, "handle": note.handle}
    if note.comment is not None:
        body["comment"] = note.comment
    out.begin(rule)
    if note.body:
        body["expr"] = [out.stmt_json(form) for form in note.body]
    return {"rule": body}


def set_object(record: Set, out: Out, members: list[Element] | None = None) -> Any:
    """A named set or map."""
    note = unpack(record.note, SetNote)
    noun = "meter" if note.meter else "map" if note.data_types or note.object else "set"
    body = {**_place(record, record.parent), "type": _type(note.types), "handle": note.handle}
    if note.comment is not None:
        body["comment"] = note.comment
    if note.object:
        body["map"] = note.object
    elif note.data_types:
        body["map"] = " . ".join(note.data_types)
    if note.policy == "memory":
        body["policy"] = "memory"
    if record.size:
        body["size"] = record.size
    flags = [flag for flag in ("constant", "interval", "timeout") if flag in note.flags]  # nft 1.0.6 knows no more in JSON
    if flags:
        body["flags"] = flags
    if note.timeout:
        body["timeout"] = note.timeout // 1000
    if note.gc:
        body["gc-interval"] = note.gc // 1000
    shown = members if members is not None else [] if out.terse else out.elements(record)
    if shown:
        body["elem"] = [element(record, note, member, out) for member in shown]
    if note.stmts:
        body["stmt"] = [_template(effect, form, out) for effect, form in zip(record.effects, note.stmts, strict=True)]
    return {noun: body}


def _type(names: list[str]) -> Any:
    """The type of a key; 1.0.6 has no word for an expression that gave it."""
    shown = ["integer" if name == "xinteger" else name for name in names]
    return shown[0] if len(shown) == 1 else shown


def _template(effect: Effect, form: Form, out: Out) -> Any:
    """A statement that each new element of a set gets."""
    steps, stateless = out.steps, out.stateless
    out.steps, out.stateless = [Do(effect)], True
    shown = out.stmt_json([form[1], 0] if form[0] == "text" else form)
    out.steps, out.stateless = steps, stateless
    return shown


def flowtable_object(record: Flowtable, _out: Out) -> Any:
    note = unpack(record.note, FlowtableNote)
    body = {**_place(record, record.parent), "handle": note.handle, "hook": note.hook, "prio": record.priority}
    if record.devices:
        devices = sorted(record.devices)
        body["dev"] = devices[0] if len(devices) == 1 else devices
    return {"flowtable": body}


def object_object(record: Object, out: Out) -> Any:
    """A named object."""
    note = unpack(record.note, ObjectNote)
    body = {**_place(record, record.parent), "handle": note.handle}
    if note.comment is not None:
        body["comment"] = note.comment
    effect = record.effect
    if isinstance(effect, Count):
        body.update(packets=effect.stats.packets, bytes=effect.stats.bytes)  # also where states are left out
    elif isinstance(effect, Quota):
        used = effect.stats.extra.get(quota.USED, 0) if effect.stats is not None else 0
        body.update(bytes=effect.bytes, used=used, inv=effect.over)
    elif isinstance(effect, Limit):
        config = limit.config_json(effect.rate, effect.unit, effect.burst, effect.bytes, effect.over)
        body.update({"rate": config.pop("rate"), "per": config.pop("per"), **config})  # in another order than as a statement
    else:
        body.update(_config(record.kind, note.config))
    return {record.kind: body}


def _config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    if kind == "ct helper":
        return {"type": config["type"], "protocol": config["l4proto"], "l3proto": config["l3proto"]}
    if kind == "ct timeout":
        return {"protocol": config["l4proto"], "l3proto": config["l3proto"], "policy": config["policy"]}
    if kind == "ct expectation":
        return {
            "protocol": config["l4proto"],
            "dport": config["dport"],
            "timeout": config["timeout"],
            "size": config["size"],
            "l3proto": config["l3proto"],
        }
    if kind == "synproxy":
        flags = (["timestamp"] if config.get("timestamp") else []) + (["sack-perm"] if config.get("sack") else [])
        body: dict[str, Any] = {"mss": config["mss"], "wscale": config["wscale"]}
        return {**body, "flags": flags} if flags else body
    return dict(config)


# ---------------------------------------------------------------- commands
def listing(run: Run, command: Command) -> list[Any]:
    """What a list command shows."""
    from tcemu.nft.listing import table_of, tables

    spec, what = command.spec, command.what
    if what == "ruleset":
        return [entry for table in tables(run, spec.family) for entry in whole(run, table)]
    if what == "tables":
        return [table_object(table, run.out) for table in tables(run, spec.family)]
    if what == "table":
        return whole(run, table_of(run, spec))
    if what == "hooks":
        return []
    chosen = [table_of(run, spec)] if spec.table and what != "sets" else tables(run, spec.family)
    return [entry for table in chosen for entry in _parts(run, table, what, spec.name)]


def whole(run: Run, table: Table) -> list[Any]:
    """A table and all that is in it: chains come before rules."""
    out = run.out
    entries = [table_object(table, out)]
    entries += [object_object(record, out) for record in out.objects(table.key)]
    entries += [set_object(record, out) for record in run.ruleset.sets.children(table.key) if not hidden(record)]
    entries += [flowtable_object(record, out) for record in run.ruleset.flowtables.children(table.key)]
    rules = []
    for chain in run.ruleset.chains.children(table.key):
        if in_place(chain):
            continue
        entries.append(chain_object(chain, out))
        rules += [rule_object(rule, chain, out) for rule in run.ruleset.rules.children(chain.key)]
    return entries + rules


def _parts(run: Run, table: Table, what: str, name: str) -> list[Any]:
    from tcemu.nft.listing import kind_of_set
    from tcemu.nft.objects import NOUNS

    out = run.out
    singular = what if what in NOUNS else what.rstrip("s") if what not in ("chain",) else what
    if singular == "chain":
        entries: list[Any] = []
        for chain in run.ruleset.chains.children(table.key):
            if not in_place(chain) and (not name or chain.name == name):
                entries.append(chain_object(chain, out))
                if name:
                    entries += [rule_object(rule, chain, out) for rule in run.ruleset.rules.children(chain.key)]
        return entries
    if singular in ("set", "map", "meter"):
        records = [record for record in run.ruleset.sets.children(table.key) if not record.anonymous]
        records = [record for record in records if kind_of_set(unpack(record.note, SetNote)) == singular]
        return [set_object(record, out) for record in records if not name or record.name == name]
    if singular == "flowtable":
        return [flowtable_object(record, out) for record in run.ruleset.flowtables.children(table.key) if not name or record.name == name]
    return [
        object_object(record, out) for record in out.objects(table.key) if record.kind == singular and (not name or record.name == name)
    ]
