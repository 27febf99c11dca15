"""Statements out of JSON: libnftables-json(5), STATEMENTS. One row of `_READERS` a kind.

Source: nftables src/parser_json.c (json_parse_stmt), observed with nft 1.0.6; "last", "map" and "stmt" of sets are of later versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tcemu.nft.json_expressions import Expressions
from tcemu.nft.json_reader import maybe, typename
from tcemu.nft.statements import limit as limits
from tcemu.nft.statements import log as logs
from tcemu.nft.tree import NOWHERE, Element, Expr, Key, SetRef, Stmt, Symbol
from tcemu.nft.units import SECONDS

OPERATORS: Final = frozenset(("==", "!=", "<", ">", "<=", ">=", "!"))
LOG_FLAGS: Final = {**{word: [word] for word in logs.FLAGS}, "all": list(logs.FLAGS)}
SCALES: Final = {"kbytes": 1024, "mbytes": 1024 * 1024}


class Statements(Expressions):
    """Reads statements."""

    def stmt(self, root: Any) -> Stmt:
        """A statement."""
        kind, body = self.only(root)
        read = _READERS.get(kind)
        if read is None:
            raise self.fail(f"Unknown statement object '{kind}'.")
        with self.deeper():
            return read(self, kind, body)

    def stmts(self, root: list[Any]) -> list[Stmt]:
        """The statements of a rule."""
        found = []
        for place, item in enumerate(root):
            if isinstance(item, str):
                found += self.plain(item)
                continue
            if not isinstance(item, dict):
                raise self.fail(f"Unexpected expr array element of type {typename(item)}, expected object.")
            with self.saying(f"Parsing expr array at index {place} failed."):
                found.append(self.stmt(item))
        return found

    def plain(self, text: str) -> list[Stmt]:
        """Statements as text, which is what a listing has for those without JSON (updates of maps, chains in place)."""
        from tcemu.nft.parse import Parser

        parser = Parser("", f"add rule a b {text}\n")
        parser.run()
        if parser.errors or len(parser.commands) != 1 or parser.commands[0].what != "rule":
            raise self.fail("Unexpected expr array element of type string, expected object.")
        stmts: list[Stmt] = parser.commands[0].body.stmts
        return stmts

    def state(self, kind: str, root: Any) -> Stmt:
        return self.stmt({kind: root})

    def argument(self, root: Any, slip: str) -> Any:
        """The value of a statement."""
        with self.saying(slip):
            return self.within("stmt", root)

    def flags(self, root: Any, known: Any, what: str) -> list[str]:
        """Words that may be one or several; a wrong word in a list is told and left out, as nft does."""
        words = [root] if isinstance(root, str) else root
        if not isinstance(words, list):
            raise self.fail(f"Invalid {what} flags type {typename(root)}.")
        found: list[str] = []
        for place, word in enumerate(words):
            if isinstance(word, str) and word in known:
                found.append(word)
                continue
            self.say(
                f"Unknown {what} flag '{word}'."
                if isinstance(word, str)
                else f"Invalid {what} flag type {typename(word)}, expected string."
            )
            if isinstance(root, list):
                self.say(f"Parsing {what} flag at index {place} failed.")
        return found

    # ------------------------------------------------------------ matches and verdicts
    def match(self, _kind: str, root: Any) -> Stmt:
        left, right, sign = self.need(root, ("left", ""), ("right", ""), ("op", "string"))
        if sign not in OPERATORS and sign != "in":
            raise self.fail(f"Unknown relational op '{sign}'.")
        with self.saying("Invalid LHS of relational."):
            of = self.expr(left)
        with self.saying("Invalid RHS of relational."):
            value = self.within("rhs", right)
        return Stmt(NOWHERE, "match", left=of, op="" if sign == "in" else sign, right=value)

    def decide(self, kind: str, root: Any) -> Stmt:
        return Stmt(NOWHERE, "verdict", verdict=self.verdict(kind, root))

    def vmap(self, kind: str, root: Any) -> Stmt:
        with self.saying("Illegal vmap statement."):
            return Stmt(NOWHERE, "vmap", map=self.map(kind, root))

    # ------------------------------------------------------------ with state
    def named(self, kind: str, root: Any) -> Stmt:
        """A named object."""
        return Stmt(NOWHERE, "objref", object=kind, expr=self.argument(root, f"Invalid {kind} reference."))

    def counter(self, kind: str, root: Any) -> Stmt:
        if root is None:
            return Stmt(NOWHERE, "counter", packets=0, bytes=0)
        packets, octets = maybe(root, "packets", "integer"), maybe(root, "bytes", "integer")
        if packets is None or octets is None:
            return self.named(kind, root)
        return Stmt(NOWHERE, "counter", packets=packets & _U64, bytes=octets & _U64)

    def quota(self, kind: str, root: Any) -> Stmt:
        value = maybe(root, "val", "integer")
        if value is None:
            return self.named(kind, root)
        amounts = [_scaled(maybe(root, name, "integer", 0), maybe(root, f"{name}_unit", "string", "bytes")) for name in ("val", "used")]
        return Stmt(NOWHERE, "quota", bytes=amounts[0], over=maybe(root, "inv", "boolean", False), used=amounts[1])

    def limit(self, kind: str, root: Any) -> Stmt:
        if maybe(root, "rate", "integer") is None or maybe(root, "per", "string") is None:
            return self.named(kind, root)
        return Stmt(NOWHERE, "limit", **limit_config(root))

    def connlimit(self, _kind: str, root: Any) -> Stmt:
        (count,) = self.need(root, ("val", "integer"))
        return Stmt(NOWHERE, "ct count", count=count & 0xFFFFFFFF, over=maybe(root, "inv", "boolean", False))

    # ------------------------------------------------------------ changes
    def mangle(self, _kind: str, root: Any) -> Stmt:
        key, value = self.need(root, ("key", ""), ("value", ""))
        with self.saying("Invalid mangle statement key"):
            target = self.within("mangle", key)
        given = self.argument(value, "Invalid mangle statement value")
        if not isinstance(target, Key):
            raise self.fail("Invalid mangle statement key expression type.")
        if target.kind == "ct" and target.args[0] == "helper":
            return Stmt(NOWHERE, "objref", object="ct helper", expr=given)
        return Stmt(NOWHERE, f"{target.kind} set", target=target, value=given)

    def nat(self, kind: str, root: Any) -> Stmt:
        made = Stmt(NOWHERE, "nat", what=kind, family=self.family(root), address=None, port=None, form="", flags=[])
        for name, word in (("address", "addr"), ("port", "port")):
            given = maybe(root, word)
            if given is not None:
                made.args[name] = self.argument(given, f"Invalid nat {word}.")
        flags = maybe(root, "flags")
        if flags is not None:
            made.args["flags"] = [word for word in self.flags(flags, _NAT_FLAGS, "nat") if word != "netmap"]
        form = maybe(root, "type_flags")
        if form is not None:
            words = self.flags(form, ("interval", "prefix", "concat"), "nat type")
            made.args["form"] = next((word for word in ("concat", "prefix", "interval") if word in words), "")
        return made

    def tproxy(self, kind: str, root: Any) -> Stmt:
        made = Stmt(NOWHERE, kind, family=self.family(root), address=None, port=None, what=kind)
        for name, word in (("address", "addr"), ("port", "port")):
            given = maybe(root, word)
            if given is not None:
                made.args[name] = self.argument(given, f"Invalid {word}.")
        return made

    def synproxy(self, kind: str, root: Any) -> Stmt:
        given = {name: maybe(root, name, "integer") for name in ("mss", "wscale")}
        for name, number in given.items():
            if number is not None and number < 0:
                raise self.fail(f"Invalid synproxy {name} value '{number}'")
        flags = maybe(root, "flags")
        if root is not None and flags is None and given["mss"] is None and given["wscale"] is None:
            return Stmt(NOWHERE, "objref", object=kind, expr=self.argument(root, "Invalid synproxy reference"))
        words = self.flags(flags, ("timestamp", "sack-perm"), "synproxy") if flags is not None else []
        return Stmt(NOWHERE, kind, **given, timestamp="timestamp" in words, sack="sack-perm" in words)

    def dup(self, kind: str, root: Any) -> Stmt:
        (address,) = self.need(root, ("addr", ""))
        to = self.argument(address, "Illegal dup addr arg.")
        device = maybe(root, "dev")
        return Stmt(NOWHERE, kind, to=to, device=None if device is None else self.argument(device, "Illegal dup dev."))

    def fwd(self, kind: str, root: Any) -> Stmt:
        (device,) = self.need(root, ("dev", ""))
        made = Stmt(NOWHERE, kind, address=None, device=self.argument(device, "Invalid fwd dev value."), family="")
        family, address = self.family(root), maybe(root, "addr")
        if family and address is not None:
            made.args.update(family=family, address=self.argument(address, "Invalid fwd addr value."))
        return made

    def notrack(self, kind: str, _root: Any) -> Stmt:
        return Stmt(NOWHERE, kind)

    def last(self, kind: str, root: Any) -> Stmt:
        ago = maybe(root, "used", "integer")
        return Stmt(NOWHERE, kind, used=None if ago is None else max(ago, 0))

    def reset(self, kind: str, root: Any) -> Stmt:
        key = self.expr(root)
        if not isinstance(key, Key) or key.kind != "exthdr" or key.args[0] != "tcp":
            raise self.fail("Illegal TCP optstrip argument")
        return Stmt(NOWHERE, kind, name=key.args[1], number=key.args[3])

    # ------------------------------------------------------------ verdicts of a kind
    def reject(self, kind: str, root: Any) -> Stmt:
        name = maybe(root, "type", "string", "")
        code = maybe(root, "expr")
        if code is not None and not isinstance(code, bool | int | str):
            raise self.fail(f"Unexpected JSON type {typename(code)} for immediate value.")
        if name not in ("tcp reset", "icmp", "icmpv6", "icmpx"):
            return Stmt(NOWHERE, kind, type="", code=None)
        if name == "tcp reset":
            return Stmt(NOWHERE, kind, type=name, code=None)
        return Stmt(NOWHERE, kind, type=name, code=Symbol(NOWHERE, str(int(code) if isinstance(code, bool) else code or 0)))

    def queue(self, kind: str, root: Any) -> Stmt:
        number, flags = maybe(root, "num"), maybe(root, "flags", otherwise=[])
        value = None if number is None else self.argument(number, "Invalid queue num.")
        words = [flags] if isinstance(flags, str) else flags
        if not isinstance(words, list):
            raise self.fail("Unexpected object type in queue flags.")
        for place, word in enumerate(words):
            if not isinstance(word, str):
                raise self.fail(f"Invalid object in queue flag array at index {place}.")
            if word not in ("bypass", "fanout"):
                raise self.fail(f"Invalid queue flag '{word}'.")
        return Stmt(NOWHERE, kind, value=value, flags=words)

    def log(self, kind: str, root: Any) -> Stmt:
        prefix = maybe(root, "prefix", "string")
        made = Stmt(NOWHERE, kind, prefix=None if prefix is None else Symbol(NOWHERE, prefix, True), level=maybe(root, "level", "string"))
        for name, word in (("group", "group"), ("snaplen", "snaplen"), ("threshold", "queue-threshold")):
            number = maybe(root, word, "integer")
            made.args[name] = None if number is None else number & 0xFFFFFFFF
        if made.args["level"] is not None and made.args["level"] not in logs.LEVELS:
            raise self.fail(f"Invalid log level '{made.args['level']}'.")
        flags = maybe(root, "flags")
        words = self.flags(flags, LOG_FLAGS, "log") if flags is not None else []
        made.args["flags"] = [flag for word in words for flag in LOG_FLAGS[word]]
        return made

    # ------------------------------------------------------------ sets and flowtables
    def update(self, kind: str, root: Any) -> Stmt:
        """``set`` and ``map``: an element that packets write."""
        wanted = ("op", "string"), ("elem", ""), *((("data", ""),) if kind == "map" else ()), (kind, "string")
        op, elem, *data, name = self.need(root, *wanted)
        if op not in ("add", "update", "delete"):
            raise self.fail(f"Unknown {kind} statement op '{op}'.")
        with self.saying(f"Illegal {kind} statement element."):
            element = self._key(elem)
        value = self.argument(data[0], "Illegal map expression data.") if data else None
        if not name.startswith("@"):
            raise self.fail(f"Illegal set reference in {kind} statement.")
        states = maybe(root, "stmt", "array", [])
        stmts = [self.stmt(state) for state in states] or element.stmts
        return Stmt(NOWHERE, "set", op=op, set=SetRef(NOWHERE, name[1:]), element=element, data=value, stmts=stmts)

    def _key(self, root: Any) -> Element:
        made: Expr = self.within("update", root)
        return made if isinstance(made, Element) else Element(NOWHERE, made)

    def meter(self, kind: str, root: Any) -> Stmt:
        name, key, inner = self.need(root, ("name", "string"), ("key", ""), ("stmt", ""))
        with self.saying("Invalid meter key."):
            element = self._key(key)
        with self.saying("Invalid meter statement."):
            stmt = self.stmt(inner)
        return Stmt(NOWHERE, kind, name=name, size=maybe(root, "size", "integer", 0xFFFF) & 0xFFFFFFFF, element=element, stmt=stmt)

    def flow(self, kind: str, root: Any) -> Stmt:
        op, name = self.need(root, ("op", "string"), ("flowtable", "string"))
        if op != "add":
            raise self.fail(f"Unknown flow offload statement op '{op}'.")
        if not name.startswith("@"):
            raise self.fail("Illegal flowtable reference in flow offload statement.")
        return Stmt(NOWHERE, kind, name=name[1:], name_at=NOWHERE)

    def xt(self, _kind: str, _root: Any) -> Stmt:
        raise self.fail("unsupported xtables compat expression, use iptables-nft with this ruleset")


def limit_config(root: Any) -> dict[str, Any]:
    """A limit's settings; rate and per are there."""
    rate, burst = maybe(root, "rate", "integer", 0), maybe(root, "burst", "integer", 0)
    unit = maybe(root, "rate_unit", "string", "packets")
    octets = unit != "packets"
    if octets:
        rate, burst = _scaled(rate, unit), _scaled(burst, maybe(root, "burst_unit", "string", "bytes"))
    seconds = SECONDS.get(maybe(root, "per", "string", ""), 1)
    burst = burst & 0xFFFFFFFF or (0 if octets else limits.BURST)
    return {"rate": rate & _U64, "unit": seconds, "burst": burst, "bytes": octets, "over": maybe(root, "inv", "boolean", False)}


def _scaled(amount: int, unit: str) -> int:
    return amount * SCALES.get(unit, 1) & _U64


_U64: Final = (1 << 64) - 1
_NAT_FLAGS: Final = ("random", "fully-random", "persistent", "netmap")
_READERS: Final[dict[str, Callable[[Statements, str, Any], Stmt]]] = {
    **dict.fromkeys(("accept", "drop", "continue", "jump", "goto", "return"), Statements.decide),
    "match": Statements.match,
    "vmap": Statements.vmap,
    "counter": Statements.counter,
    "mangle": Statements.mangle,
    "quota": Statements.quota,
    "limit": Statements.limit,
    "fwd": Statements.fwd,
    "notrack": Statements.notrack,
    "dup": Statements.dup,
    **dict.fromkeys(("snat", "dnat", "masquerade", "redirect"), Statements.nat),
    "reject": Statements.reject,
    "set": Statements.update,
    "map": Statements.update,
    "log": Statements.log,
    **dict.fromkeys(("ct helper", "ct timeout", "ct expectation", "secmark"), Statements.named),
    "meter": Statements.meter,
    "queue": Statements.queue,
    "ct count": Statements.connlimit,
    "tproxy": Statements.tproxy,
    "synproxy": Statements.synproxy,
    "flow": Statements.flow,
    "reset": Statements.reset,
    "last": Statements.last,
    "xt": Statements.xt,
}
