"""What commands in JSON are about: tables, chains, sets, elements, flowtables, named objects. libnftables-json(5), RULESET ELEMENTS.

A noun becomes the `Body` that the text parser would have made of its block. nft 1.0.6 reads less than it prints (no comments of
tables, chains and sets, no flags of tables, no dynamic, no auto-merge); what later versions read of these is read here, so that a
listing loads again as it was. Source: nftables src/parser_json.c, observed with nft 1.0.6.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.nft.blocks import HOOKS, Priority
from tcemu.nft.datatypes import TYPES
from tcemu.nft.frame import Name
from tcemu.nft.json_reader import Failed, maybe
from tcemu.nft.json_statements import Statements, limit_config
from tcemu.nft.tree import NOWHERE, Body, Expr, SetLiteral, Spec, Symbol

FAMILIES: Final = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
CHAIN_TYPES: Final = ("filter", "nat", "route")
SET_FLAGS: Final = ("constant", "interval", "timeout", "dynamic")
OBJECT_MAPS: Final = ("counter", "quota", "limit", "secmark", "ct helper", "ct timeout", "ct expectation", "synproxy")
HELPER_NAME: Final = 16  # nftables NF_CT_HELPER_NAME_LEN
SECMARK_CONTEXT: Final = 256


class Nouns(Statements):
    """Reads what is added."""

    def place(self, root: Any, word: str = "", deleting: bool = False) -> Spec:
        """Family, table and name, or a handle where something is deleted."""
        wanted = [("family", "string"), *([("table", "string")] if word != "table" else [])]
        family, *rest = self.need(root, *wanted)
        name, handle = maybe(root, "name", "string"), maybe(root, "handle", "integer")
        if not deleting:
            (name,) = self.need(root, ("name", "string"))
        elif name is None and handle is None:
            article = "an" if word == "object" else "a"
            raise self.fail(f"Either name or handle required to delete {article} {word}.")
        self.check_family(family)
        spec = Spec(NOWHERE, family, rest[0] if rest else name or "", NOWHERE, name or "" if rest else "", NOWHERE)
        if deleting and name is None:
            spec.handle = handle
        return spec

    def check_family(self, family: str) -> None:
        """One of the six."""
        if family not in FAMILIES:
            raise self.fail(f"Unknown family '{family}'.")

    def table(self, root: Any) -> Body | None:
        body = _body(root)
        flags = maybe(root, "flags")
        if flags is not None:
            words = self.flags(flags, ("dormant", "owner", "persist"), "table")
            body.values["flags"] = words
        return body if body.values else None

    def chain(self, root: Any) -> Body | None:
        """The settings of a chain; type, hook and priority make it a base chain."""
        body = _body(root)
        kind, hook = maybe(root, "type", "string"), maybe(root, "hook", "string")
        level = maybe(root, "prio", "integer")
        if kind is None or hook is None or level is None:
            return body if body.values else None
        if hook not in HOOKS:
            raise self.fail(f"Invalid chain hook '{hook}'.")
        if kind not in CHAIN_TYPES:
            raise self.fail("Could not process rule: No such file or directory")  # the kernel knows no such type
        body.values.update(type=kind, hook=Name(hook, NOWHERE), priority=Priority(NOWHERE, level, 0))
        devices = maybe(root, "dev")
        if devices is not None:
            body.values["devices"] = self._devices(devices, "chain")
        policy = maybe(root, "policy", "string")
        if policy is not None:
            if policy not in ("accept", "drop"):
                raise self.fail(f"Unknown policy '{policy}'.")
            body.values["policy"] = Symbol(NOWHERE, policy)
        return body

    def _devices(self, root: Any, what: str) -> list[Expr]:
        names = [root] if isinstance(root, str) else root
        if not isinstance(names, list):
            raise self.fail(f"Invalid {what} dev.")
        for place, name in enumerate(names):
            if not isinstance(name, str):
                self.say(f"Invalid {what} dev at index {place}.")
                raise self.fail(f"Invalid {what} dev.")
        return [Symbol(NOWHERE, name) for name in names]

    # ------------------------------------------------------------ sets
    def set_body(self, root: Any, is_map: bool) -> Body:
        """The settings of a set or map, and its members."""
        body = _body(root)
        values = body.values
        values["key"] = self._types(root)
        self._map(root, values, is_map)
        policy = maybe(root, "policy", "string")
        if policy is not None:
            if policy not in ("performance", "memory"):
                raise self.fail(f"Unknown set policy '{policy}'.")
            values["policy"] = policy
        values["flags"] = self._set_flags(maybe(root, "flags", otherwise=[]))
        elements = maybe(root, "elem")
        if elements is not None:
            with self.saying("Invalid set elem expression."):
                values["elements"] = self._elements(elements)
        for name, field in (("timeout", "timeout"), ("gc", "gc-interval")):
            seconds = maybe(root, field, "integer")
            if seconds is not None:
                values[name] = max(seconds, 0) * 1000
        size = maybe(root, "size", "integer")
        if size is not None:
            values["size"] = size & 0xFFFFFFFF
        values["auto_merge"] = maybe(root, "auto-merge", "boolean", False)
        states = maybe(root, "stmt", "array", [])
        if states:
            values["stmts"] = [self.stmt(state) for state in states]
        return body

    def _elements(self, root: Any) -> Expr:
        made = self.set("elem", root)
        return made if isinstance(made, SetLiteral) else SetLiteral(NOWHERE, [made])

    def _types(self, root: Any) -> tuple[str, Any]:
        with self.saying("Invalid set type."):
            return self._type(maybe(root, "type"))

    def _type(self, root: Any) -> tuple[str, Any]:
        """("type", names) or ("typeof", an expression)."""
        if isinstance(root, dict) and "typeof" in root:
            of = root["typeof"]
            return "typeof", self.concat("", of) if isinstance(of, list) else self.expr(of)
        names = [root] if isinstance(root, str) else root
        if not isinstance(names, list):
            raise self.fail("Invalid set datatype.") if root is not None else Failed
        for place, name in enumerate(names):
            if name not in TYPES or name in ("xinteger", "bitmask", "priority", "policy"):
                self.say(f"Invalid datatype '{name}'." if isinstance(name, str) else "Invalid set datatype.")
                raise self.fail(f"Invalid datatype at index {place}.") if isinstance(root, list) else Failed
        if not names:
            raise Failed
        return "type", [Name(name, NOWHERE) for name in names]

    def _map(self, root: Any, values: dict[str, Any], is_map: bool) -> None:
        target = maybe(root, "map")
        if target is None:
            return
        if isinstance(target, str) and target in OBJECT_MAPS:
            values["object"] = target
        elif isinstance(target, str) and not set(target.split(" . ")) <= TYPES.keys():
            raise self.fail(f"Invalid map type '{target}'.")
        elif is_map:
            values["data"] = self._type(target.split(" . ") if isinstance(target, str) and " . " in target else target)
            values["interval_data"] = "interval" in _words(maybe(root, "flags")) and any(
                _spans(item) for item in maybe(root, "elem", "array", [])
            )

    def _set_flags(self, root: Any) -> list[str]:
        words = _words(root)
        for place, word in enumerate(words):
            if word not in SET_FLAGS:
                raise self.fail(f"Invalid set flag at index {place}.")
        return words

    # ------------------------------------------------------------ flowtables and objects
    def flowtable(self, root: Any) -> Body:
        hook, level = self.need(root, ("hook", "string"), ("prio", "integer"))
        devices = maybe(root, "dev", otherwise=[])
        if hook not in HOOKS:
            raise self.fail(f"Invalid flowtable hook '{hook}'.")
        body = _body(root)
        body.values.update(hook=Name(hook, NOWHERE), priority=Priority(NOWHERE, level, 0), devices=self._devices(devices, "flowtable"))
        return body

    def object(self, kind: str, root: Any) -> Body:
        """A named object."""
        body = _body(root)
        body.values.update(_OBJECTS[kind](self, root))
        return body

    def _counter(self, root: Any) -> dict[str, Any]:
        return {name: max(maybe(root, name, "integer", 0), 0) for name in ("packets", "bytes")}

    def _quota(self, root: Any) -> dict[str, Any]:
        amounts = {name: max(maybe(root, name, "integer", 0), 0) for name in ("bytes", "used")}
        return {**amounts, "over": maybe(root, "inv", "boolean", False)}

    def _limit(self, root: Any) -> dict[str, Any]:
        self.need(root, ("rate", "integer"), ("per", "string"))
        return limit_config(root)

    def _secmark(self, root: Any) -> dict[str, Any]:
        context = maybe(root, "context", "string", "")
        if len(context.encode()) >= SECMARK_CONTEXT:
            raise self.fail(f"Invalid secmark context '{context}', max length is {SECMARK_CONTEXT}.")
        return {"context": context}

    def _synproxy(self, root: Any) -> dict[str, Any]:
        mss, wscale = self.need(root, ("mss", "integer"), ("wscale", "integer"))
        flags = maybe(root, "flags")
        words = self.flags(flags, ("timestamp", "sack-perm"), "synproxy") if flags is not None else []
        return {"mss": mss & 0xFFFF, "wscale": wscale & 0xFF, "timestamp": "timestamp" in words, "sack": "sack-perm" in words}

    def _conntrack(self, root: Any, what: str) -> dict[str, Any]:
        """Protocol and family of a conntrack object."""
        values: dict[str, Any] = {}
        protocol, network = maybe(root, "protocol", "string"), maybe(root, "l3proto", "string")
        if protocol is not None:
            if protocol not in ("tcp", "udp"):
                raise self.fail(f"Invalid {what} protocol '{protocol}'.")
            values["l4proto"] = protocol
        if network is not None:
            if network not in FAMILIES:
                raise self.fail(f"Invalid {what} l3proto '{network}'.")
            values["l3proto"] = network
        return values

    def _helper(self, root: Any) -> dict[str, Any]:
        name = maybe(root, "type", "string", "")
        if len(name.encode()) >= HELPER_NAME:
            raise self.fail(f"Invalid CT helper type '{name}', max length is {HELPER_NAME}.")
        return {"type": name, **self._conntrack(root, "ct helper")}

    def _timeout(self, root: Any) -> dict[str, Any]:
        values = self._conntrack(root, "ct timeout")
        policy = maybe(root, "policy")
        if policy is None:
            return values
        if not isinstance(policy, dict):
            raise self.fail("Invalid ct timeout policy.")
        for state, seconds in policy.items():
            if not isinstance(seconds, int) or isinstance(seconds, bool):
                raise self.fail(f"Invalid ct timeout policy value for '{state}'.")
        return {**values, "policy": [(state, seconds & 0xFFFFFFFF, NOWHERE) for state, seconds in policy.items()]}

    def _expectation(self, root: Any) -> dict[str, Any]:
        numbers = {name: maybe(root, name, "integer", 0) for name in ("dport", "timeout", "size")}
        return {**self._conntrack(root, "ct expectation"), **{name: max(number, 0) for name, number in numbers.items()}}


def _body(root: Any) -> Body:
    body = Body(NOWHERE)
    comment = maybe(root, "comment", "string")
    if comment is not None:
        body.values["comment"] = comment
    return body


def _words(root: Any) -> list[Any]:
    return [root] if isinstance(root, str) else root if isinstance(root, list) else []


def _spans(item: Any) -> bool:
    """Does a member lead to a range or prefix?"""
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], dict):
        return False
    parts = item[1].get("concat", [item[1]])
    return any(isinstance(part, dict) and ("range" in part or "prefix" in part) for part in parts if isinstance(parts, list))


_OBJECTS: Final[dict[str, Any]] = {
    "counter": Nouns._counter,
    "quota": Nouns._quota,
    "limit": Nouns._limit,
    "secmark": Nouns._secmark,
    "synproxy": Nouns._synproxy,
    "ct helper": Nouns._helper,
    "ct timeout": Nouns._timeout,
    "ct expectation": Nouns._expectation,
}
